//! A stream of any octets.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| twill_fuzz::frame(input));
