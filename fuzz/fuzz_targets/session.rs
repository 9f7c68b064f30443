//! A program of events for the session machine.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    twill_fuzz::session(input);
});
