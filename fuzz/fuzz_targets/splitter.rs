//! See `conbusd::fuzzing::splitter`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| conbusd::fuzzing::splitter(input));
