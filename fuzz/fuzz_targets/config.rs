//! See `conbusd::fuzzing::config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| conbusd::fuzzing::config(input));
