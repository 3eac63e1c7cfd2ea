//! See `conbusd::fuzzing::state`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| conbusd::fuzzing::state(input));
