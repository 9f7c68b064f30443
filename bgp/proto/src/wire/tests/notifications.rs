//! NOTIFICATIONs: the data that we send, and the words that an operator reads.

use bytes::{Bytes, BytesMut};

use super::notation::bytes;
use crate::types::Family;
use crate::wire::{Capability, Cease, Codec, Notification};

fn notification(code: u8, subcode: u8, data: &[u8]) -> Notification {
    Notification { code, subcode, data: Bytes::copy_from_slice(data) }
}

#[test]
fn in_words() {
    let rows: &[(u8, u8, &[u8], &str)] = &[
        (1, 1, &[], "Message Header Error, Connection Not Synchronized"),
        (1, 2, &[0, 18], "Message Header Error, Bad Message Length (length 18)"),
        (1, 3, &[9], "Message Header Error, Bad Message Type (type 9)"),
        (2, 0, &[], "OPEN Message Error"),
        (2, 1, &[0, 4], "OPEN Message Error, Unsupported Version Number (it speaks version 4)"),
        (2, 2, &[], "OPEN Message Error, Bad Peer AS"),
        (2, 3, &[], "OPEN Message Error, Bad BGP Identifier"),
        (2, 4, &[], "OPEN Message Error, Unsupported Optional Parameter"),
        (2, 6, &[], "OPEN Message Error, Unacceptable Hold Time"),
        (2, 7, &[1, 4, 0, 2, 0, 1], "OPEN Message Error, Unsupported Capability (capability 1)"),
        (2, 11, &[], "OPEN Message Error, Role Mismatch"),
        (2, 99, &[], "OPEN Message Error, subcode 99"),
        (3, 1, &[], "UPDATE Message Error, Malformed Attribute List"),
        (
            3,
            2,
            &[64, 99, 0],
            "UPDATE Message Error, Unrecognized Well-known Attribute (attribute 99)",
        ),
        (3, 3, &[2], "UPDATE Message Error, Missing Well-known Attribute (attribute 2)"),
        (3, 10, &[], "UPDATE Message Error, Invalid Network Field"),
        (3, 11, &[], "UPDATE Message Error, Malformed AS_PATH"),
        (4, 0, &[], "Hold Timer Expired"),
        (5, 0, &[], "Finite State Machine Error"),
        (
            5,
            1,
            &[2],
            "Finite State Machine Error, Unexpected Message in OpenSent State (message type 2)",
        ),
        (
            5,
            3,
            &[1],
            "Finite State Machine Error, Unexpected Message in Established State (message type 1)",
        ),
        (6, 0, &[], "Cease"),
        (
            6,
            1,
            &[0, 1, 1, 0, 0, 0, 100],
            "Cease, Maximum Number of Prefixes Reached (its limit for ipv4 is 100)",
        ),
        (
            6,
            1,
            &[0, 25, 65, 0, 0, 0, 100],
            "Cease, Maximum Number of Prefixes Reached (its limit is 100)",
        ),
        (6, 1, &[], "Cease, Maximum Number of Prefixes Reached"),
        (6, 2, b"\x04move", "Cease, Administrative Shutdown: \"move\""),
        (6, 2, &[], "Cease, Administrative Shutdown"),
        (6, 2, &[0], "Cease, Administrative Shutdown"),
        (6, 2, b"\x09move", "Cease, Administrative Shutdown"),
        (6, 2, &[2, 0xFF, 0xFE], "Cease, Administrative Shutdown"),
        (6, 4, b"\x07\x1b[2J\n\"x", "Cease, Administrative Reset: \"\\u{1b}[2J\\n\\\"x\""),
        (6, 5, &[], "Cease, Connection Rejected"),
        (6, 7, &[], "Cease, Connection Collision Resolution"),
        (6, 9, b"\x06\x02\x04move", "Cease, Hard Reset: Cease, Administrative Shutdown: \"move\""),
        (6, 9, &[6, 9, 6, 9, 6, 9], "Cease, Hard Reset"),
        (6, 9, &[6], "Cease, Hard Reset"),
        (6, 10, &[], "Cease, BFD Down"),
        (7, 1, &[], "ROUTE-REFRESH Message Error, Invalid Message Length"),
        (8, 0, &[], "Send Hold Timer Expired"),
        (0, 0, &[], "error code 0, subcode 0"),
        (99, 7, &[1, 2], "error code 99, subcode 7"),
    ];
    for (code, subcode, data, wanted) in rows {
        assert_eq!(notification(*code, *subcode, data).to_string(), *wanted);
    }
}

#[test]
fn data_that_we_send() {
    assert_eq!(Notification::bad_message_length(18), notification(1, 2, &[0, 18]));
    assert_eq!(Notification::bad_message_type(9), notification(1, 3, &[9]));
    assert_eq!(Notification::unsupported_version(), notification(2, 1, &[0, 4]));
    assert_eq!(
        Notification::unsupported_capability(&[Capability::Multiprotocol(Family::Ipv6Unicast)]),
        notification(2, 7, &[1, 4, 0, 2, 0, 1]),
    );
    assert_eq!(Notification::unexpected_in_open_sent(2), notification(5, 1, &[2]));
    assert_eq!(
        Notification::maximum_prefixes(Family::Ipv6Unicast, 258),
        notification(6, 1, &[0, 2, 1, 0, 0, 1, 2]),
    );
    let reason = Notification::cease(&Cease::AdministrativeShutdown("x".into()));
    let hard = Notification::hard_reset(&reason);
    assert_eq!(hard, notification(6, 9, &[6, 2, 1, b'x']));
    assert_eq!(hard.encapsulated(), Some(reason));
}

#[test]
fn faults_are_told_with_their_data() {
    let codec = Codec { four_octet_asn: true, ..Codec::default() };
    let rows = [
        ("ff*16 1001 02", notification(1, 2, &[0x10, 0x01])),
        ("ff*16 0013 09", notification(1, 3, &[9])),
        ("open[05 fde9 005a c0000201 00]", notification(2, 1, &[0, 4])),
        // Attributes are repeated whole.
        ("update[l[] l[good @4063[0102]] 10.1.0.0/24]", notification(3, 2, &bytes("@4063[0102]"))),
        ("update[l[] l[@4001[09]]]", notification(3, 6, &bytes("@4001[09]"))),
        ("update[l[] l[@c001[00]]]", notification(3, 4, &bytes("@c001[00]"))),
        ("update[l[] l[@8004[00]]]", notification(3, 5, &bytes("@8004[00]"))),
        ("refresh[0001 01 01 00]", notification(7, 1, &bytes("refresh[0001 01 01 00]"))),
    ];
    for (text, wanted) in rows {
        let error = codec.decode(&mut BytesMut::from(&*bytes(text))).unwrap_err();
        assert_eq!(error.notification, wanted, "{text}: {error}");
    }
}

#[test]
fn cease_in_octets_and_back() {
    let rows = [
        (Cease::MaximumPrefixes, 1, "Maximum Number of Prefixes Reached"),
        (Cease::AdministrativeShutdown(String::new()), 2, "Administrative Shutdown"),
        (Cease::AdministrativeShutdown("move".into()), 2, "Administrative Shutdown: \"move\""),
        (Cease::PeerDeconfigured, 3, "Peer De-configured"),
        (Cease::AdministrativeReset("move".into()), 4, "Administrative Reset: \"move\""),
        (Cease::ConnectionRejected, 5, "Connection Rejected"),
        (Cease::OtherConfigurationChange, 6, "Other Configuration Change"),
        (Cease::ConnectionCollision, 7, "Connection Collision Resolution"),
        (Cease::OutOfResources, 8, "Out of Resources"),
        (Cease::HardReset, 9, "Hard Reset"),
    ];
    for (cease, subcode, words) in rows {
        let notification = Notification::cease(&cease);
        assert_eq!((notification.code, notification.subcode), (6, subcode));
        assert_eq!(Cease::from_notification(&notification), Some(cease.clone()));
        assert_eq!(cease.to_string(), words);
    }
    assert_eq!(Cease::from_notification(&notification(4, 0, &[])), None);
    assert_eq!(Cease::from_notification(&notification(6, 77, &[])), None);
}

#[test]
fn the_operators_words_are_cut_between_characters() {
    let told = Notification::cease(&Cease::AdministrativeShutdown("é".repeat(200)));
    assert_eq!(told.data.len(), 255);
    assert_eq!(told.communication().map(str::len), Some(254));
}
