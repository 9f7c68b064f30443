//! Bytes that are wrong, or look it, and what they are answered with: one row, one test.
//!
//! A row reads `name: session, "bytes" => "answer"`. Bytes are written in [`super::notation`],
//! sessions are [`Session`], and the answer is what [`answer`] makes of the outcome: `reset` with
//! the NOTIFICATION's code and subcode, or the routes accepted and withdrawn, followed by what
//! was wrong with which attribute.

use bytes::BytesMut;

use super::notation::bytes;
use crate::types::{Families, Family};
use crate::wire::{Codec, Message, RefreshKind, Update, Verdict};

mod as_path;
mod attributes;
mod header;
mod multiprotocol;
mod open;
mod page;
mod update;

/// What the two sides have agreed on. Four-octet AS numbers and both families unless it says
/// otherwise.
#[derive(Clone, Copy)]
#[allow(non_camel_case_types, reason = "the words of the tables")]
enum Session {
    external,
    internal,
    /// Two-octet AS numbers.
    external_two_octet,
    external_ipv4_only,
    external_ipv6_only,
    /// Extended messages (RFC 8654).
    external_long,
    /// IPv6 next hops for IPv4 (RFC 8950).
    external_next_hop,
}

impl Session {
    fn codec(self) -> Codec {
        let usual = Codec { four_octet_asn: true, families: Families::ALL, ..Codec::default() };
        let only = |family| Families::NONE.with(family);
        match self {
            Session::external => usual,
            Session::internal => Codec { ibgp: true, ..usual },
            Session::external_two_octet => Codec { four_octet_asn: false, ..usual },
            Session::external_ipv4_only => Codec { families: only(Family::Ipv4Unicast), ..usual },
            Session::external_ipv6_only => Codec { families: only(Family::Ipv6Unicast), ..usual },
            Session::external_long => Codec { extended_message: true, ..usual },
            Session::external_next_hop => Codec { extended_next_hop: true, ..usual },
        }
    }
}

/// One row, for the page.
struct Row {
    name: &'static str,
    session: &'static str,
    bytes: &'static str,
    answer: &'static str,
}

macro_rules! rows {
    ($($name:ident: $session:ident, $bytes:expr => $answer:expr;)*) => {
        pub(super) const ROWS: &[super::Row] = &[
            $(super::Row {
                name: stringify!($name),
                session: stringify!($session),
                bytes: $bytes,
                answer: $answer,
            },)*
        ];

        $(
            #[test]
            fn $name() {
                super::check(super::Session::$session, $bytes, $answer);
            }
        )*
    };
}
use rows;

fn check(session: Session, text: &str, wanted: &str) {
    let mut buffer = BytesMut::from(&*bytes(text));
    let outcome = session.codec().decode(&mut buffer);
    let answer = match &outcome {
        Ok(None) => "wait for more".to_owned(),
        Ok(Some(message)) => answer(message),
        Err(error) => {
            format!("reset {}/{}", error.notification.code, error.notification.subcode)
        }
    };
    assert_eq!(answer, wanted, "{outcome:#?}");
}

fn answer(message: &Message) -> String {
    match message {
        Message::Open(_) => "open".to_owned(),
        Message::Keepalive => "keepalive".to_owned(),
        Message::Notification(told) => format!("notification {}/{}", told.code, told.subcode),
        Message::RouteRefresh(refresh) => {
            let family = refresh.family.map_or("unknown".to_owned(), |family| family.to_string());
            let kind = match refresh.kind {
                RefreshKind::Request => "request".to_owned(),
                RefreshKind::Begin => "begin".to_owned(),
                RefreshKind::End => "end".to_owned(),
                RefreshKind::Unknown(subtype) => format!("subtype {subtype}"),
            };
            format!("refresh {family} {kind}")
        }
        Message::Update(update) => update_answer(update),
    }
}

fn update_answer(update: &Update) -> String {
    let mut parts = Vec::new();
    for reach in &update.reach {
        let prefixes: Vec<_> = reach.prefixes.iter().map(ToString::to_string).collect();
        parts.push(format!("accept {}", prefixes.join(" ")));
    }
    if !update.withdrawn.is_empty() {
        let prefixes: Vec<_> = update.withdrawn.iter().map(ToString::to_string).collect();
        parts.push(format!("withdraw {}", prefixes.join(" ")));
    }
    parts.extend(update.end_of_rib.map(|family| format!("end of {family}")));
    for fault in &update.faults {
        let verdict = match fault.verdict {
            Verdict::Keep => "ignored",
            Verdict::DiscardAttribute => "discarded",
            Verdict::TreatAsWithdraw => "refused",
            Verdict::SessionReset => panic!("a reset within an UPDATE: {fault:?}"),
        };
        parts.push(format!("{verdict} {}", fault.attribute));
    }
    if parts.is_empty() { "nothing".to_owned() } else { parts.join("; ") }
}
