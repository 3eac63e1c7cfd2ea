//! See `conbusd::fuzzing::record`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| conbusd::fuzzing::record(input));
