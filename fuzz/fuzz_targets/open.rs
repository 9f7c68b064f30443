//! The body of an OPEN.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| twill_fuzz::open(input));
