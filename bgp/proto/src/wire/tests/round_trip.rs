//! What the codec writes, it reads as the same.

use crate::types::{Attributes, Families, Family, NextHop, Prefix};
use crate::wire::{Codec, Message, Update};
use bytes::BytesMut;

fn codec() -> Codec {
    Codec { four_octet_asn: true, families: Families::ALL, ..Codec::default() }
}

fn all(codec: &Codec, mut buffer: BytesMut) -> Vec<Message> {
    let mut messages = Vec::new();
    while let Some(message) = codec.decode(&mut buffer).unwrap() {
        messages.push(message);
    }
    assert!(buffer.is_empty(), "{} octets are left", buffer.len());
    messages
}

#[test]
fn many_prefixes_are_packed_into_few_messages() {
    for (base, next_hop, least) in [("10.0.0.0/24", "192.0.2.1", 2), ("fd00::/48", "fd00::1", 2)] {
        let base: Prefix = base.parse().unwrap();
        let next_hop: std::net::IpAddr = next_hop.parse().unwrap();
        let attributes = Attributes::originated(NextHop::from(next_hop));
        let prefixes: Vec<Prefix> = vec![base; 1100];
        let mut out = BytesMut::new();
        codec().encode_updates(&attributes, prefixes.iter().copied(), &mut out).unwrap();
        let messages = all(&codec(), out);
        assert_eq!(messages.len(), least);
        let mut found = Vec::new();
        for message in messages {
            let Message::Update(update) = message else { panic!("{message:?}") };
            for reach in update.reach {
                assert_eq!(*reach.attributes, attributes);
                found.extend(reach.prefixes);
            }
        }
        assert_eq!(found, prefixes);
    }
}

#[test]
fn end_of_rib_is_recognised_in_each_family() {
    for family in Family::ALL {
        let mut out = BytesMut::new();
        codec().encode_end_of_rib(family, &mut out);
        let wanted = Update { end_of_rib: Some(family), ..Update::default() };
        assert_eq!(all(&codec(), out), [Message::Update(wanted)]);
    }
}
