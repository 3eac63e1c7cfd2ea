//! See `conbusd::fuzzing::http_json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| conbusd::fuzzing::http_json(input));
