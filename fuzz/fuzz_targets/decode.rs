//! See `conbusd::fuzzing::decode`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| conbusd::fuzzing::decode(input));
