//! The body of a KEEPALIVE.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| twill_fuzz::keepalive(input));
