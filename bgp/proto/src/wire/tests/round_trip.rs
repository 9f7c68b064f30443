//! What the codec writes, it reads as the same.

use bytes::{Buf, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;

use super::strategy;
use crate::types::{Families, Family, Prefix};
use crate::wire::{Codec, Message, Update};

fn decode_all(codec: &Codec, mut buffer: BytesMut) -> Vec<Message> {
    let mut messages = Vec::new();
    while let Some(message) = codec.decode(&mut buffer).unwrap() {
        messages.push(message);
    }
    assert!(buffer.is_empty(), "{} octets are left", buffer.len());
    messages
}

fn encode(codec: &Codec, message: &Message) -> BytesMut {
    let mut out = BytesMut::new();
    codec.encode(message, &mut out);
    out
}

fn returns(codec: &Codec, message: Message) -> Result<(), TestCaseError> {
    let read = decode_all(codec, encode(codec, &message));
    prop_assert_eq!(read, vec![message]);
    Ok(())
}

fn message(codec: Codec) -> impl Strategy<Value = Message> {
    prop_oneof![
        strategy::open().prop_map(Message::Open),
        strategy::update(codec).prop_map(Message::Update),
        strategy::notification().prop_map(Message::Notification),
        strategy::refresh().prop_map(Message::RouteRefresh),
        Just(Message::Keepalive),
    ]
}

fn session_and_messages() -> impl Strategy<Value = (Codec, Vec<Message>)> {
    strategy::codec().prop_flat_map(|codec| (Just(codec), vec(message(codec), 1..5)))
}

fn table() -> impl Strategy<Value = (Codec, Family, crate::types::Attributes, Vec<Prefix>)> {
    (strategy::codec(), strategy::family()).prop_flat_map(|(codec, family)| {
        let attributes = strategy::attributes(codec, family);
        (Just(codec), Just(family), attributes, vec(strategy::prefix(family), 900..1200))
    })
}

proptest! {
    #[test]
    fn open(open in strategy::open()) {
        returns(&Codec::default(), Message::Open(open))?;
    }

    #[test]
    fn notification(notification in strategy::notification()) {
        returns(&Codec::default(), Message::Notification(notification))?;
    }

    #[test]
    fn refresh(refresh in strategy::refresh()) {
        returns(&Codec::default(), Message::RouteRefresh(refresh))?;
    }

    #[test]
    fn update(
        (codec, update) in strategy::codec()
            .prop_flat_map(|codec| (Just(codec), strategy::update(codec)))
    ) {
        returns(&codec, Message::Update(update))?;
    }

    /// A stream may be cut anywhere: the same messages come out.
    #[test]
    fn messages_split_at_every_octet((codec, messages) in session_and_messages()) {
        let mut stream = BytesMut::new();
        for message in &messages {
            codec.encode(message, &mut stream);
        }
        let mut buffer = BytesMut::new();
        let mut read = Vec::new();
        for octet in stream {
            buffer.extend_from_slice(&[octet]);
            read.extend(codec.decode(&mut buffer).unwrap());
        }
        prop_assert!(buffer.is_empty());
        prop_assert_eq!(read, messages);
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// More routes than one message holds: every message is within the limit and as full as can
    /// be, and nothing is lost, doubled or put out of order.
    #[test]
    fn a_table_is_packed((codec, family, attributes, prefixes) in table()) {
        let mut out = BytesMut::new();
        codec.encode_updates(&attributes, prefixes.iter().copied(), &mut out).unwrap();
        let longest = lengths(&out).into_iter().max().unwrap();
        prop_assert!(longest <= codec.max_message_len());
        // All but the last could hold not one prefix more.
        let mut earlier = lengths(&out);
        earlier.pop();
        for length in earlier {
            prop_assert!(length + 17 > codec.max_message_len(), "{} octets", length);
        }
        let mut read = Vec::new();
        for message in decode_all(&codec, out) {
            let Message::Update(update) = message else { panic!("{message:?}") };
            prop_assert!(update.faults.is_empty() && update.withdrawn.is_empty());
            for reach in update.reach {
                prop_assert_eq!(&*reach.attributes, &attributes);
                read.extend(reach.prefixes);
            }
        }
        prop_assert_eq!(&read, &prefixes);

        let mut out = BytesMut::new();
        codec.encode_withdrawals(prefixes.iter().copied(), &mut out);
        prop_assert!(lengths(&out).into_iter().all(|length| length <= codec.max_message_len()));
        let mut read = Vec::new();
        for message in decode_all(&codec, out) {
            let Message::Update(update) = message else { panic!("{message:?}") };
            prop_assert!(update.reach.is_empty() && update.end_of_rib.is_none());
            read.extend(update.withdrawn);
        }
        prop_assert_eq!(&read, &prefixes);
        prop_assert_eq!(prefixes[0].family(), family);
    }
}

/// The length field of each message of a stream.
fn lengths(mut stream: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let Some(field) = stream.get(16..18) {
        let length = usize::from(u16::from_be_bytes([field[0], field[1]]));
        lengths.push(length);
        stream.advance(length);
    }
    lengths
}

#[test]
fn families_that_alternate_are_all_announced() {
    let codec = Codec {
        four_octet_asn: true,
        families: Families::ALL,
        extended_next_hop: true,
        ..Codec::default()
    };
    let prefixes: Vec<Prefix> = ["10.1.0.0/24", "fd00:1::/48", "10.2.0.0/24", "fd00:2::/48"]
        .map(|prefix| prefix.parse().unwrap())
        .into();
    let next_hop: std::net::IpAddr = "fd00::1".parse().unwrap();
    let attributes = crate::types::Attributes::originated(next_hop.into());
    let mut out = BytesMut::new();
    codec.encode_updates(&attributes, prefixes.iter().copied(), &mut out).unwrap();
    let read: Vec<Prefix> = decode_all(&codec, out)
        .into_iter()
        .flat_map(|message| match message {
            Message::Update(Update { reach, .. }) => reach,
            other => panic!("{other:?}"),
        })
        .flat_map(|reach| reach.prefixes)
        .collect();
    assert_eq!(read, prefixes);
}
