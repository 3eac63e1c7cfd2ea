//! See `conbusd::fuzzing::telegram`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| conbusd::fuzzing::telegram(input));
