//! Why a connection is ended, and what the peer is told: one function for each reason of
//! RFC 4271 section 6 that the state machine itself finds.

use super::{DownReason, State};
use crate::types::{Asn, Families, Role, RouterId};
use crate::wire::{Capability, Message, Notification};

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

/// 2/2: the peer is not who it should be.
pub(super) fn bad_peer_as(expected: Asn, claimed: Option<Asn>) -> Fault {
    let what = match claimed {
        Some(claimed) => format!("the peer is of AS {claimed}, configured is AS {expected}"),
        None => format!("the peer claims AS 0, configured is AS {expected}"),
    };
    Fault { notification: Notification::bad_peer_as(), what }
}

/// 2/3: an internal peer has our own identifier (RFC 6286 section 2.2).
pub(super) fn bad_identifier(ours: RouterId) -> Fault {
    Fault {
        notification: Notification::bad_bgp_identifier(),
        what: format!("the peer has our own router id {ours}: give each router of the AS its own"),
    }
}

/// 2/7, with the families that we would need (RFC 5492 section 5).
pub(super) fn no_common_family(ours: Families, theirs: Families) -> Fault {
    let wanted: Vec<Capability> = ours.iter().map(Capability::Multiprotocol).collect();
    Fault {
        notification: Notification::unsupported_capability(&wanted),
        what: format!(
            "no address family in common: we offer {}, the peer {}",
            in_words(ours),
            in_words(theirs)
        ),
    }
}

/// 2/11: what the peer says it is does not go with what we are to it (RFC 9234 section 4.2).
/// `theirs` are the numbers that it sent.
pub(super) fn role_mismatch(ours: Role, theirs: &[u8]) -> Fault {
    let name = |number: &u8| match Role::from_u8(*number) {
        Some(role) => role.to_string(),
        None => format!("role {number}, which is unknown"),
    };
    let expected = ours.counterpart();
    let what = match theirs {
        [] => format!("the peer says no role, and one is required: it must be {expected}"),
        _ => {
            let said: Vec<String> = theirs.iter().map(name).collect();
            format!(
                "we are {ours} to the peer, so it must be {expected}; it is {}",
                said.join(" and ")
            )
        }
    };
    Fault { notification: Notification::role_mismatch(), what }
}

fn in_words(families: Families) -> String {
    let words: Vec<String> = families.iter().map(|family| family.to_string()).collect();
    if words.is_empty() { "none that we know".to_owned() } else { words.join(" and ") }
}

/// 5: a message that has no place in this state (RFC 6608).
pub(super) fn unexpected(state: State, message: &Message) -> Fault {
    let kind = message.kind();
    let notification = match state {
        State::OpenConfirm => Notification::unexpected_in_open_confirm(kind),
        State::Established => Notification::unexpected_in_established(kind),
        State::OpenSent | State::Idle | State::Connect | State::Active => {
            Notification::unexpected_in_open_sent(kind)
        }
    };
    let name = match message {
        Message::Open(_) => "OPEN",
        Message::Update(_) => "UPDATE",
        Message::Notification(_) => "NOTIFICATION",
        Message::Keepalive => "KEEPALIVE",
        Message::RouteRefresh(_) => "ROUTE-REFRESH",
    };
    Fault { notification, what: format!("{name} received in state {state:?}") }
}

/// Whether the peer says that it keeps another connection of ours (6/7).
pub(super) fn is_collision(notification: &Notification) -> bool {
    (notification.code, notification.subcode) == (6, 7)
}

/// Whether the peer speaks another version of BGP (2/1), RFC 4271 event 24.
pub(super) fn is_version(notification: &Notification) -> bool {
    (notification.code, notification.subcode) == (2, 1)
}
