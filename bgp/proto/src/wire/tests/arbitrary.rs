//! Octets of any content: no panic, and whatever is understood can be sent on as the same.

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;

use super::strategy;
use crate::wire::{Codec, Message, Update};

fn framed(kind: u8, body: &[u8]) -> BytesMut {
    let length = u16::try_from(body.len() + 19).unwrap();
    let mut message = BytesMut::from(&[0xFF; 16][..]);
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(&[kind]);
    message.extend_from_slice(body);
    message
}

/// Attributes with plausible headers and any value.
fn plausible_attributes() -> impl Strategy<Value = Vec<u8>> {
    let flags = prop_oneof![Just(0x40u8), Just(0x80), Just(0xC0), Just(0x50), any::<u8>()];
    let code = prop_oneof![4 => 0..40u8, 1 => any::<u8>()];
    let attribute = (flags, code, vec(any::<u8>(), 0..24)).prop_map(|(flags, code, value)| {
        let length = u16::try_from(value.len()).unwrap().to_be_bytes();
        let length = if flags & 0x10 == 0 { &length[1..] } else { &length[..] };
        [&[flags, code], length, &value].concat()
    });
    vec(attribute, 0..8).prop_map(|attributes| attributes.concat())
}

/// What was understood, written anew, says the same.
fn sends_on(codec: &Codec, message: &Message) -> Result<(), TestCaseError> {
    let Message::Update(update) = message else { return Ok(()) };
    let mut out = BytesMut::new();
    codec.encode(message, &mut out);
    let mut read = Update::default();
    while let Some(message) = codec.decode(&mut out).unwrap() {
        let Message::Update(again) = message else { panic!("{message:?}") };
        prop_assert!(again.faults.is_empty(), "{:?}", again.faults);
        read.withdrawn.extend(again.withdrawn);
        read.reach.extend(again.reach);
    }
    prop_assert_eq!(&read.withdrawn.len(), &update.withdrawn.len());
    prop_assert_eq!(read.reach.len(), update.reach.len());
    for (read, wanted) in read.reach.iter().zip(&update.reach) {
        prop_assert_eq!(&read.prefixes, &wanted.prefixes);
        prop_assert_eq!(&read.attributes.communities, &wanted.attributes.communities);
        prop_assert_eq!(read.attributes.as_path.hops(), wanted.attributes.as_path.hops());
        prop_assert_eq!(read.attributes.next_hop, wanted.attributes.next_hop);
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_octets(codec in strategy::codec(), octets in vec(any::<u8>(), 0..200)) {
        let _ = codec.decode(&mut BytesMut::from(&*octets));
    }

    #[test]
    fn any_body(codec in strategy::codec(), kind in 0..7u8, body in vec(any::<u8>(), 0..200)) {
        if let Ok(Some(message)) = codec.decode(&mut framed(kind, &body)) {
            sends_on(&codec, &message)?;
        }
    }

    #[test]
    fn any_attributes(
        codec in strategy::codec(),
        attributes in plausible_attributes(),
        good in any::<bool>(),
    ) {
        let start = if good { super::notation::bytes("good pref") } else { Vec::new() };
        let attributes = [start, attributes].concat();
        let length = u16::try_from(attributes.len()).unwrap().to_be_bytes();
        let body = [&[0, 0], &length[..], &attributes, &[24, 10, 1, 0]].concat();
        if let Ok(Some(message)) = codec.decode(&mut framed(2, &body)) {
            sends_on(&codec, &message)?;
        }
    }

    /// One octet of a good message changed.
    #[test]
    fn a_damaged_octet(
        (codec, update) in strategy::codec()
            .prop_flat_map(|codec| (Just(codec), strategy::update(codec))),
        at in any::<prop::sample::Index>(),
        octet in any::<u8>(),
    ) {
        let mut message = BytesMut::new();
        codec.encode(&Message::Update(update), &mut message);
        let at = 19 + at.index(message.len() - 19);
        message[at] = octet;
        if let Ok(Some(message)) = codec.decode(&mut message) {
            sends_on(&codec, &message)?;
        }
    }

    /// Whatever the fault, what is told to the peer is a valid message that it can read.
    #[test]
    fn what_the_peer_is_told_is_valid(
        codec in strategy::codec(),
        kind in any::<u8>(),
        body in vec(any::<u8>(), 0..4077),
    ) {
        if let Err(error) = codec.decode(&mut framed(kind, &body)) {
            let told = Message::Notification(error.notification);
            let mut out = BytesMut::new();
            codec.encode(&told, &mut out);
            prop_assert_eq!(Codec::default().decode(&mut out), Ok(Some(told)));
        }
    }
}
