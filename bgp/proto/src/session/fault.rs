//! Why a connection is ended, and what the peer is told: one function for each reason of
//! RFC 4271 section 6 that the state machine itself finds.

use bytes::Bytes;

use super::{DownReason, State};
use crate::types::{Asn, Families, RouterId};
use crate::wire::{Cease, Message, Notification};

/// A reason found by ourselves, with what the peer is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) notification: Notification,
    pub(super) what: String,
}

impl From<Fault> for DownReason {
    fn from(fault: Fault) -> DownReason {
        DownReason::Sent { notification: fault.notification, what: fault.what }
    }
}

fn notification(code: u8, subcode: u8, data: impl Into<Bytes>) -> Notification {
    Notification { code, subcode, data: data.into() }
}

/// 2/2: the peer is not who it should be.
pub(super) fn bad_peer_as(expected: Asn, claimed: Option<Asn>) -> Fault {
    let what = match claimed {
        Some(claimed) => format!("the peer is of AS {claimed}, configured is AS {expected}"),
        None => format!("the peer claims AS 0, configured is AS {expected}"),
    };
    Fault { notification: notification(2, 2, Bytes::new()), what }
}

/// 2/3: an internal peer has our own identifier (RFC 6286 section 2.2).
pub(super) fn bad_identifier(ours: RouterId) -> Fault {
    Fault {
        notification: notification(2, 3, Bytes::new()),
        what: format!("the peer has our own router id {ours}: give each router of the AS its own"),
    }
}

/// 2/7, with the families that we would need (RFC 5492 section 5).
pub(super) fn no_common_family(ours: Families, theirs: Families) -> Fault {
    let mut data = Vec::new();
    for family in ours.iter() {
        data.extend([1, 4]);
        data.extend(family.afi().to_be_bytes());
        data.extend([0, family.safi()]);
    }
    Fault {
        notification: notification(2, 7, data),
        what: format!(
            "no address family in common: we offer {}, the peer {}",
            in_words(ours),
            in_words(theirs)
        ),
    }
}

fn in_words(families: Families) -> String {
    let words: Vec<String> = families.iter().map(|family| family.to_string()).collect();
    if words.is_empty() { "none that we know".to_owned() } else { words.join(" and ") }
}

/// 4/0.
pub(super) fn hold_timer_expired() -> Notification {
    notification(4, 0, Bytes::new())
}

/// 5: a message that has no place in this state (RFC 6608).
pub(super) fn unexpected(state: State, message: &Message) -> Fault {
    let subcode = match state {
        State::OpenSent => 1,
        State::OpenConfirm => 2,
        State::Established => 3,
        State::Idle | State::Connect | State::Active => 0,
    };
    let (code, name) = match message {
        Message::Open(_) => (1, "OPEN"),
        Message::Update(_) => (2, "UPDATE"),
        Message::Notification(_) => (3, "NOTIFICATION"),
        Message::Keepalive => (4, "KEEPALIVE"),
        Message::RouteRefresh(_) => (5, "ROUTE-REFRESH"),
    };
    Fault {
        notification: notification(5, subcode, vec![code]),
        what: format!("{name} received in state {state:?}"),
    }
}

/// 6: Cease, with the operator's words where the subcode has them (RFC 9003).
pub(super) fn cease(cease: &Cease) -> Notification {
    let (subcode, text) = match cease {
        Cease::MaximumPrefixes => (1, None),
        Cease::AdministrativeShutdown(text) => (2, Some(text)),
        Cease::PeerDeconfigured => (3, None),
        Cease::AdministrativeReset(text) => (4, Some(text)),
        Cease::ConnectionRejected => (5, None),
        Cease::OtherConfigurationChange => (6, None),
        Cease::ConnectionCollision => (7, None),
        Cease::OutOfResources => (8, None),
        Cease::HardReset => (9, None),
    };
    let mut data = Vec::new();
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        let end = (0..=text.len().min(255)).rev().find(|end| text.is_char_boundary(*end));
        let text = text.as_bytes().get(..end.unwrap_or(0)).unwrap_or_default();
        data.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        data.extend_from_slice(text);
    }
    notification(6, subcode, data)
}

/// Whether the peer says that it keeps another connection of ours (6/7).
pub(super) fn is_collision(notification: &Notification) -> bool {
    (notification.code, notification.subcode) == (6, 7)
}

/// Whether the peer speaks another version of BGP (2/1), RFC 4271 event 24.
pub(super) fn is_version(notification: &Notification) -> bool {
    (notification.code, notification.subcode) == (2, 1)
}
