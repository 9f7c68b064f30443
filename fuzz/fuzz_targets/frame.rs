//! A stream of any octets.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use twill_fuzz::{check_reread, check_told, codec, drain};

fuzz_target!(|input: &[u8]| {
    let Some((session, stream)) = input.split_first() else { return };
    let codec = codec(*session);
    let mut whole = BytesMut::from(stream);
    let at_once = drain(&codec, &mut whole);

    let (front, back) = stream.split_at(stream.len() / 2);
    let mut buffer = BytesMut::from(front);
    let in_two = drain(&codec, &mut buffer).and_then(|mut messages| {
        buffer.extend_from_slice(back);
        messages.extend(drain(&codec, &mut buffer)?);
        Ok(messages)
    });
    assert_eq!(at_once, in_two);
    match at_once {
        Ok(messages) => messages.iter().for_each(|message| check_reread(&codec, message)),
        Err(error) => check_told(&error),
    }
});
