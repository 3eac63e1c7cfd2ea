//! See `conbusd::fuzzing::import`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| conbusd::fuzzing::import(input));
