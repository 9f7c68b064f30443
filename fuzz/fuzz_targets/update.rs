//! The body of an UPDATE.
#![no_main]

use libfuzzer_sys::fuzz_target;
use twill_fuzz::{check_reread, check_told, codec, framed};

fuzz_target!(|input: &[u8]| {
    let Some((session, body)) = input.split_first() else { return };
    let codec = codec(*session);
    let Some(mut message) = framed(2, body) else { return };
    match codec.decode(&mut message) {
        Ok(Some(message)) => check_reread(&codec, &message),
        Ok(None) => panic!("a whole message was not taken"),
        Err(error) => check_told(&error),
    }
});
