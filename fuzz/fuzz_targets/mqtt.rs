//! See `conbusd::fuzzing::mqtt`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| conbusd::fuzzing::mqtt(input));
