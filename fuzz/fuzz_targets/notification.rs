//! The body of a NOTIFICATION.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| twill_fuzz::notification(input));
