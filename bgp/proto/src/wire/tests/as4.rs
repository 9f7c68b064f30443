//! The path and the aggregator proper of routes from two-octet speakers (RFC 6793 section 4.2.3),
//! and what we send to them (section 4.2.2).

use bytes::BytesMut;

use super::notation::bytes;
use crate::types::{Asn, Attributes};
use crate::wire::{Codec, Message};

/// AS_PATH, other attributes -> the path, and the aggregator's AS.
fn restored(as_path: &str, others: &str) -> (String, Option<Asn>) {
    let text = format!("update[l[] l[origin @4002[{as_path}] hop {others}] 10.1.0.0/24]");
    let attributes = decode(&Codec::default(), &mut BytesMut::from(&*bytes(&text)));
    (attributes.as_path.to_string(), attributes.aggregator.map(|aggregator| aggregator.asn))
}

fn decode(codec: &Codec, buffer: &mut BytesMut) -> Attributes {
    match codec.decode(buffer) {
        Ok(Some(Message::Update(mut update))) => {
            let reach = update.reach.pop().expect("a route");
            (*reach.attributes).clone()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn paths() {
    let rows = [
        ("no AS4_PATH: AS_TRANS stands", "02 02 0001 5ba0", "", "1 23456"),
        ("as long", "02 02 5ba0 5ba0", "@c011[02 02 00011170 00011171]", "70000 70001"),
        (
            "shorter: what is in front stays",
            "02 03 0001 0002 5ba0",
            "@c011[02 01 00011170]",
            "1 2 70000",
        ),
        ("longer: ignored", "02 01 0001", "@c011[02 02 00011170 00011171]", "1"),
        ("empty: ignored", "02 01 0001", "@c011[]", "1"),
        ("only confederation: ignored", "02 01 0001", "@c011[03 01 00011170]", "1"),
        (
            "confederation left out",
            "02 02 0001 5ba0",
            "@c011[03 01 00011171 02 01 00011170]",
            "1 70000",
        ),
        (
            "a set counts as one",
            "02 01 0001 01 02 5ba0 5ba0",
            "@c011[01 02 00011170 00011171]",
            "1 {70000,70001}",
        ),
        (
            "a set in front is taken whole",
            "01 02 0001 0002 02 01 5ba0",
            "@c011[02 01 00011170]",
            "{1,2} 70000",
        ),
        (
            "aggregated by one who knows nothing of it: ignored",
            "02 01 5ba0",
            "@c011[02 01 00011170] @c007[0007 c0000201] @c012[00011170 c0000202]",
            "23456",
        ),
    ];
    for (name, as_path, others, wanted) in rows {
        assert_eq!(restored(as_path, others).0, wanted, "{name}");
    }
}

#[test]
fn aggregators() {
    let rows = [
        ("alone", "@c007[0007 c0000201]", Some(7)),
        ("AS_TRANS alone", "@c007[5ba0 c0000201]", Some(23456)),
        ("AS_TRANS and the wide one", "@c007[5ba0 c0000201] @c012[00011170 c0000202]", Some(70000)),
        ("another and the wide one", "@c007[0007 c0000201] @c012[00011170 c0000202]", Some(7)),
        ("the wide one alone", "@c012[00011170 c0000202]", None),
    ];
    for (name, others, wanted) in rows {
        assert_eq!(restored("02 01 0001", others).1, wanted.and_then(Asn::new), "{name}");
    }
}

/// The codes of the attributes in the first message.
fn codes(message: &[u8]) -> Vec<u8> {
    let mut field = &message[23..][..usize::from(u16::from_be_bytes([message[21], message[22]]))];
    let mut codes = Vec::new();
    while let [_, code, length, rest @ ..] = field {
        codes.push(*code);
        field = &rest[usize::from(*length)..];
    }
    codes
}

#[test]
fn companions_are_sent_only_where_they_say_more() {
    let next_hop = std::net::IpAddr::from([192, 0, 2, 1]).into();
    for (asn, wanted) in [(65_535, vec![1, 2, 3, 7]), (65_536, vec![1, 2, 3, 7, 17, 18])] {
        let asn = Asn::new(asn).unwrap();
        let mut attributes = Attributes::originated(next_hop);
        attributes.as_path = crate::types::AsPath::sequence([Asn::new(1).unwrap(), asn]);
        attributes.aggregator =
            Some(crate::types::Aggregator { asn, address: [192, 0, 2, 1].into() });
        let mut out = BytesMut::new();
        let prefix = "10.1.0.0/24".parse().unwrap();
        Codec::default().encode_updates(&attributes, [prefix], &mut out).unwrap();
        assert_eq!(codes(&out), wanted);
        assert_eq!(decode(&Codec::default(), &mut out), attributes);
    }
}
