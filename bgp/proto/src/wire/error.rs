//! The two kinds of fault: one ends the session, the other is mended (RFC 7606).

use std::borrow::Cow;

use bytes::Bytes;

use super::Notification;

/// What RFC 7606 does about a fault; the worst of a message decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Ignored; the attribute is used as it stands.
    Keep,
    /// The attribute is left out, the routes are used.
    DiscardAttribute,
    /// The routes of the message are treated as withdrawn.
    TreatAsWithdraw,
    /// The session ends. Never found in an [`Update`](super::Update): it is a [`MessageError`].
    SessionReset,
}

/// A fault in one path attribute, answered within the session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{attribute}: {what}")]
pub struct AttributeFault {
    /// Attribute type code.
    pub code: u8,
    /// The attribute's name, or `attribute N`.
    pub attribute: String,
    /// What was wrong, in words.
    pub what: String,
    /// What was done about it.
    pub verdict: Verdict,
}

/// A fault that ends the session; `notification` is what the peer is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct MessageError {
    /// What to send before closing.
    pub notification: Notification,
    /// In words, for logs and `lastError`.
    pub what: String,
}

impl MessageError {
    /// The peer is told `notification`, the operator `what`.
    pub fn new(notification: Notification, what: impl Into<String>) -> MessageError {
        MessageError { notification, what: what.into() }
    }
}

/// Routes that no valid UPDATE of this session can carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// The attributes leave no room for a prefix (RFC 8654 section 4).
    #[error(
        "path attributes of {length} octets do not fit into a message of at most {maximum}; remove communities or hops"
    )]
    TooLong {
        /// Of all path attributes together.
        length: usize,
        /// The session's message size.
        maximum: usize,
    },
    /// The next hop is no host address, or of a family that this session cannot carry for the
    /// prefix (RFC 4760, RFC 8950).
    #[error("next hop {next_hop} cannot be sent with an {family} prefix in this session")]
    NextHop {
        /// The route's next hop.
        next_hop: crate::types::NextHop,
        /// The prefix's family.
        family: crate::types::Family,
    },
    /// The family was not negotiated; nothing was written, not even a withdrawal.
    #[error("this session does not carry {0} prefixes")]
    Family(crate::types::Family),
}

/// A field reaches beyond its container, or octets are left over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Truncated;

/// The subcodes of an UPDATE Message Error that a path attribute or NLRI can cause
/// (RFC 4271 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subcode {
    MalformedAttributeList = 1,
    UnrecognizedWellKnown = 2,
    MissingWellKnown = 3,
    AttributeFlags = 4,
    AttributeLength = 5,
    InvalidOrigin = 6,
    InvalidNextHop = 8,
    OptionalAttribute = 9,
    InvalidNetworkField = 10,
    MalformedAsPath = 11,
}

/// What the decoder of one attribute found wrong with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) subcode: Subcode,
    pub(super) what: Cow<'static, str>,
    /// `None`: what the attribute's descriptor says.
    pub(super) verdict: Option<Verdict>,
}

impl Malformed {
    pub(super) fn new(subcode: Subcode, what: impl Into<Cow<'static, str>>) -> Malformed {
        Malformed { subcode, what: what.into(), verdict: None }
    }

    pub(super) fn with(self, verdict: Verdict) -> Malformed {
        Malformed { verdict: Some(verdict), ..self }
    }

    /// The attribute's length is not one it can have.
    pub(super) fn length(actual: usize, wanted: &str) -> Malformed {
        Malformed::new(Subcode::AttributeLength, format!("length is {actual}, not {wanted}"))
    }
}

/// An UPDATE Message Error.
pub(super) fn update_error(subcode: Subcode, data: &[u8]) -> Notification {
    Notification { code: 3, subcode: subcode as u8, data: Bytes::copy_from_slice(data) }
}
