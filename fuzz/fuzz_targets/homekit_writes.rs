//! See `conbusd::fuzzing::homekit_writes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| conbusd::fuzzing::homekit_writes(input));
