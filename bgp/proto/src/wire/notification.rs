//! NOTIFICATION: why a session ends (RFC 4271 sections 4.5 and 6), in octets and in words.
//!
//! Codes and subcodes: RFC 4271, 4486 and 9003 (Cease), 5492, 6608 (state machine), 7313 (route
//! refresh), 8538 (Hard Reset), 9234 (roles), 9384 (BFD), 9687 (send hold timer).

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::capability::Capability;
use super::cease::Cease;
use super::error::MessageError;
use crate::types::Family;

/// NOTIFICATION: why a session ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Notification {
    /// Error code.
    pub code: u8,
    /// Error subcode.
    pub subcode: u8,
    /// As the code defines it.
    pub data: Bytes,
}

pub(super) const MESSAGE_HEADER: u8 = 1;
pub(super) const OPEN: u8 = 2;
pub(super) const UPDATE: u8 = 3;
pub(super) const HOLD_TIMER: u8 = 4;
pub(super) const STATE_MACHINE: u8 = 5;
pub(super) const CEASE: u8 = 6;
pub(super) const ROUTE_REFRESH: u8 = 7;
pub(super) const SEND_HOLD_TIMER: u8 = 8;

pub(super) const MAXIMUM_PREFIXES: u8 = 1;
pub(super) const SHUTDOWN: u8 = 2;
pub(super) const RESET: u8 = 4;
pub(super) const HARD_RESET: u8 = 9;

/// The version we speak (RFC 4271 section 4.2).
pub(super) const VERSION: u8 = 4;

impl Notification {
    fn bare(code: u8, subcode: u8) -> Notification {
        Notification { code, subcode, data: Bytes::new() }
    }

    fn with(code: u8, subcode: u8, data: &[u8]) -> Notification {
        Notification { code, subcode, data: Bytes::copy_from_slice(data) }
    }

    /// 1/1: the marker is not all ones (RFC 4271 section 6.1).
    pub fn connection_not_synchronized() -> Notification {
        Notification::bare(MESSAGE_HEADER, 1)
    }

    /// 1/2: the length field cannot be (RFC 4271 section 6.1).
    pub fn bad_message_length(length: u16) -> Notification {
        Notification::with(MESSAGE_HEADER, 2, &length.to_be_bytes())
    }

    /// 1/3: the type field is unknown (RFC 4271 section 6.1).
    pub fn bad_message_type(kind: u8) -> Notification {
        Notification::with(MESSAGE_HEADER, 3, &[kind])
    }

    /// 2/0: an optional parameter is malformed (RFC 4271 section 6.2).
    pub fn malformed_open() -> Notification {
        Notification::bare(OPEN, 0)
    }

    /// 2/1: not version 4; the data names ours (RFC 4271 section 6.2).
    pub fn unsupported_version() -> Notification {
        Notification::with(OPEN, 1, &u16::from(VERSION).to_be_bytes())
    }

    /// 2/2: not the AS that is configured, or 0 (RFC 4271 section 6.2, RFC 7607).
    pub fn bad_peer_as() -> Notification {
        Notification::bare(OPEN, 2)
    }

    /// 2/3: the BGP Identifier is 0, or our own within one AS (RFC 6286 section 2.2).
    pub fn bad_bgp_identifier() -> Notification {
        Notification::bare(OPEN, 3)
    }

    /// 2/4: an optional parameter is unknown (RFC 4271 section 6.2).
    pub fn unsupported_optional_parameter() -> Notification {
        Notification::bare(OPEN, 4)
    }

    /// 2/6: a hold time of 1 or 2 seconds (RFC 4271 section 6.2).
    pub fn unacceptable_hold_time() -> Notification {
        Notification::bare(OPEN, 6)
    }

    /// 2/7: capabilities are missing that we require; the data lists them (RFC 5492 section 5).
    pub fn unsupported_capability(missing: &[Capability]) -> Notification {
        let mut data = BytesMut::new();
        for capability in missing {
            capability.encode(&mut data);
        }
        Notification { code: OPEN, subcode: 7, data: data.freeze() }
    }

    /// 2/11: the roles do not go together (RFC 9234 section 4.2).
    pub fn role_mismatch() -> Notification {
        Notification::bare(OPEN, 11)
    }

    /// 4: nothing heard within the hold time (RFC 4271 section 6.5).
    pub fn hold_timer_expired() -> Notification {
        Notification::bare(HOLD_TIMER, 0)
    }

    /// 5/1: a message that OpenSent does not expect; the data is its type (RFC 6608).
    pub fn unexpected_in_open_sent(kind: u8) -> Notification {
        Notification::with(STATE_MACHINE, 1, &[kind])
    }

    /// 5/2: a message that OpenConfirm does not expect; the data is its type (RFC 6608).
    pub fn unexpected_in_open_confirm(kind: u8) -> Notification {
        Notification::with(STATE_MACHINE, 2, &[kind])
    }

    /// 5/3: a message that Established does not expect; the data is its type (RFC 6608).
    pub fn unexpected_in_established(kind: u8) -> Notification {
        Notification::with(STATE_MACHINE, 3, &[kind])
    }

    /// 6: we end the session in good order (RFC 4486, 9003, 8538).
    pub fn cease(cease: &Cease) -> Notification {
        cease.to_notification()
    }

    /// 6/1 with the limit that was passed in the data (RFC 4486 section 4).
    pub fn maximum_prefixes(family: Family, limit: u32) -> Notification {
        let mut data = BytesMut::with_capacity(7);
        data.put_u16(family.afi());
        data.put_u8(family.safi());
        data.put_u32(limit);
        Notification { code: CEASE, subcode: MAXIMUM_PREFIXES, data: data.freeze() }
    }

    /// 6/9 around the reason proper, so that the peer drops our routes although it does graceful
    /// restart (RFC 8538 section 3.1).
    pub fn hard_reset(reason: &Notification) -> Notification {
        let mut data = BytesMut::with_capacity(2 + reason.data.len());
        data.put_u8(reason.code);
        data.put_u8(reason.subcode);
        data.put_slice(&reason.data);
        Notification { code: CEASE, subcode: HARD_RESET, data: data.freeze() }
    }

    /// 7/1: a ROUTE-REFRESH of a length that its subtype cannot have; the data is the message
    /// (RFC 7313 section 5).
    pub fn invalid_refresh_length(message: &[u8]) -> Notification {
        Notification::with(ROUTE_REFRESH, 1, message)
    }

    /// 8: the peer did not read what we sent (RFC 9687). For the log alone: it could not be sent.
    pub fn send_hold_timer_expired() -> Notification {
        Notification::bare(SEND_HOLD_TIMER, 0)
    }

    /// Whether this is Cease with Hard Reset, which ends forwarding in any case (RFC 8538).
    pub fn is_hard_reset(&self) -> bool {
        self.code == CEASE && self.subcode == HARD_RESET
    }

    /// The operator's words of a shutdown or reset (RFC 9003); `None` where there are none, or
    /// where they are no UTF-8.
    pub fn communication(&self) -> Option<&str> {
        if self.code != CEASE || !matches!(self.subcode, SHUTDOWN | RESET) {
            return None;
        }
        let (length, text) = self.data.split_first()?;
        let text = text.get(..usize::from(*length))?;
        std::str::from_utf8(text).ok().filter(|text| !text.is_empty())
    }

    /// What a Hard Reset carries (RFC 8538 section 3.1).
    pub fn encapsulated(&self) -> Option<Notification> {
        if !self.is_hard_reset() {
            return None;
        }
        let (&[code, subcode], _) = self.data.split_first_chunk()?;
        Some(Notification { code, subcode, data: self.data.slice(2..) })
    }

    /// The error code in words.
    fn code_name(&self) -> Option<&'static str> {
        Some(match self.code {
            MESSAGE_HEADER => "Message Header Error",
            OPEN => "OPEN Message Error",
            UPDATE => "UPDATE Message Error",
            HOLD_TIMER => "Hold Timer Expired",
            STATE_MACHINE => "Finite State Machine Error",
            CEASE => "Cease",
            ROUTE_REFRESH => "ROUTE-REFRESH Message Error",
            SEND_HOLD_TIMER => "Send Hold Timer Expired",
            _ => return None,
        })
    }

    /// The subcode in words; `None` where it is 0 or has none.
    fn subcode_name(&self) -> Option<&'static str> {
        Some(match (self.code, self.subcode) {
            (MESSAGE_HEADER, 1) => "Connection Not Synchronized",
            (MESSAGE_HEADER, 2) => "Bad Message Length",
            (MESSAGE_HEADER, 3) => "Bad Message Type",
            (OPEN, 1) => "Unsupported Version Number",
            (OPEN, 2) => "Bad Peer AS",
            (OPEN, 3) => "Bad BGP Identifier",
            (OPEN, 4) => "Unsupported Optional Parameter",
            (OPEN, 5) => "Authentication Failure",
            (OPEN, 6) => "Unacceptable Hold Time",
            (OPEN, 7) => "Unsupported Capability",
            (OPEN, 11) => "Role Mismatch",
            (UPDATE, 1) => "Malformed Attribute List",
            (UPDATE, 2) => "Unrecognized Well-known Attribute",
            (UPDATE, 3) => "Missing Well-known Attribute",
            (UPDATE, 4) => "Attribute Flags Error",
            (UPDATE, 5) => "Attribute Length Error",
            (UPDATE, 6) => "Invalid ORIGIN Attribute",
            (UPDATE, 7) => "AS Routing Loop",
            (UPDATE, 8) => "Invalid NEXT_HOP Attribute",
            (UPDATE, 9) => "Optional Attribute Error",
            (UPDATE, 10) => "Invalid Network Field",
            (UPDATE, 11) => "Malformed AS_PATH",
            (STATE_MACHINE, 1) => "Unexpected Message in OpenSent State",
            (STATE_MACHINE, 2) => "Unexpected Message in OpenConfirm State",
            (STATE_MACHINE, 3) => "Unexpected Message in Established State",
            (CEASE, MAXIMUM_PREFIXES) => "Maximum Number of Prefixes Reached",
            (CEASE, SHUTDOWN) => "Administrative Shutdown",
            (CEASE, 3) => "Peer De-configured",
            (CEASE, RESET) => "Administrative Reset",
            (CEASE, 5) => "Connection Rejected",
            (CEASE, 6) => "Other Configuration Change",
            (CEASE, 7) => "Connection Collision Resolution",
            (CEASE, 8) => "Out of Resources",
            (CEASE, HARD_RESET) => "Hard Reset",
            (CEASE, 10) => "BFD Down",
            (ROUTE_REFRESH, 1) => "Invalid Message Length",
            _ => return None,
        })
    }

    /// What the data says, where it says something that an operator can use.
    fn fmt_data(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.subcode, &*self.data) {
            (MESSAGE_HEADER, 2, &[high, low]) => {
                write!(f, " (length {})", u16::from_be_bytes([high, low]))
            }
            (MESSAGE_HEADER, 3, &[kind]) => write!(f, " (type {kind})"),
            (OPEN, 1, &[high, low]) => {
                write!(f, " (it speaks version {})", u16::from_be_bytes([high, low]))
            }
            (OPEN, 7, &[code, ..]) => write!(f, " (capability {code})"),
            (UPDATE, 3, &[code]) => write!(f, " (attribute {code})"),
            (UPDATE, 2 | 4 | 5 | 6 | 8 | 9, &[_, code, _, ..]) => {
                write!(f, " (attribute {code})")
            }
            (STATE_MACHINE, 1..=3, &[kind]) => write!(f, " (message type {kind})"),
            (CEASE, MAXIMUM_PREFIXES, &[a, b, safi, c, d, e, g]) => {
                let limit = u32::from_be_bytes([c, d, e, g]);
                match Family::from_afi_safi(u16::from_be_bytes([a, b]), safi) {
                    Some(family) => write!(f, " (its limit for {family} is {limit})"),
                    None => write!(f, " (its limit is {limit})"),
                }
            }
            _ => match (self.communication(), self.encapsulated()) {
                // Escaped: the text is the peer's and ends up on a terminal.
                (Some(text), _) => write!(f, ": \"{}\"", text.escape_debug()),
                // One level: what is within a Hard Reset is no Hard Reset.
                (None, Some(inner)) if !inner.is_hard_reset() => write!(f, ": {inner}"),
                _ => Ok(()),
            },
        }
    }

    /// `body` is the message behind its header, at least two octets.
    pub(super) fn decode(body: &[u8]) -> Result<Notification, MessageError> {
        let (&[code, subcode], data) = body.split_first_chunk().ok_or_else(|| {
            let length = u16::try_from(body.len() + super::frame::HEADER).unwrap_or(u16::MAX);
            MessageError::new(
                Notification::bad_message_length(length),
                "NOTIFICATION without code and subcode",
            )
        })?;
        Ok(Notification::with(code, subcode, data))
    }

    /// Writes the body; data that a message of 4,096 octets cannot hold is cut off.
    pub(super) fn encode(&self, out: &mut BytesMut) {
        const ROOM: usize = super::frame::MAXIMUM - super::frame::HEADER - 2;
        out.put_u8(self.code);
        out.put_u8(self.subcode);
        out.put_slice(self.data.get(..ROOM).unwrap_or(&self.data));
    }
}

/// `Cease, Administrative Shutdown: "rack move"`.
impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code_name(), self.subcode_name()) {
            (Some(code), Some(subcode)) => write!(f, "{code}, {subcode}")?,
            (Some(code), None) if self.subcode == 0 => f.write_str(code)?,
            (Some(code), None) => write!(f, "{code}, subcode {}", self.subcode)?,
            (None, _) => write!(f, "error code {}, subcode {}", self.code, self.subcode)?,
        }
        self.fmt_data(f)
    }
}
