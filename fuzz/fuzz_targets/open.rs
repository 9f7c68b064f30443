//! The body of an OPEN.
#![no_main]

use libfuzzer_sys::fuzz_target;
use twill_bgp_proto::wire::{Codec, Message};
use twill_fuzz::{check_reread, check_told, framed};

fuzz_target!(|body: &[u8]| {
    let Some(mut message) = framed(1, body) else { return };
    let codec = Codec::default();
    match codec.decode(&mut message) {
        Ok(Some(message)) => {
            let Message::Open(open) = &message else { panic!("not an OPEN: {message:?}") };
            assert!(open.asn().is_some());
            check_reread(&codec, &message);
        }
        Ok(None) => panic!("a whole message was not taken"),
        Err(error) => check_told(&error),
    }
});
