//! See `conbusd::fuzzing::tlv`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| conbusd::fuzzing::tlv(input));
