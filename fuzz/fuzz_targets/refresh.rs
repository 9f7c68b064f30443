//! The body of a ROUTE-REFRESH.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| twill_fuzz::refresh(input));
