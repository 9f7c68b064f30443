//! The body of an UPDATE.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| twill_fuzz::update(input));
