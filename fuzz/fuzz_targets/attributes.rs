//! Path attributes before a prefix.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| twill_fuzz::attributes(input));
