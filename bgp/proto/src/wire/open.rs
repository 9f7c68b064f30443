//! OPEN: who the peer is and what it can do (RFC 4271 sections 4.2 and 6.2).
//!
//! Optional parameters in both forms: the classic one, and the extended one of RFC 9072 with
//! two-octet lengths. Of parameters only capabilities (RFC 5492) are known.

use std::num::NonZeroU32;

use bytes::{BufMut, BytesMut};

use super::capability::Capability;
use super::error::{MessageError, Truncated};
use super::frame;
use super::notification::{Notification, VERSION};
use super::reader::Reader;
use crate::types::{Asn, HoldTime, RouterId};

/// OPEN: who the peer is and what it can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The "My Autonomous System" field: AS_TRANS where the real one needs four octets.
    pub asn: u16,
    /// Proposed hold time.
    pub hold_time: HoldTime,
    /// BGP Identifier.
    pub router_id: RouterId,
    /// In the order received; duplicates are kept.
    pub capabilities: Vec<Capability>,
}

/// The optional parameter that holds capabilities (RFC 5492 section 4).
const CAPABILITIES: u8 = 2;
/// In place of a parameter's type: the extended form follows (RFC 9072 section 2).
const EXTENDED: u8 = 255;

impl Open {
    /// The sender's AS: that of the four-octet capability, else the two-octet field (RFC 6793
    /// section 3). `None` for 0, which a decoded OPEN never holds (RFC 7607).
    pub fn asn(&self) -> Option<Asn> {
        let wide = self.capabilities.iter().find_map(|capability| match capability {
            Capability::FourOctetAsn(asn) => Some(*asn),
            _ => None,
        });
        Asn::new(wide.unwrap_or(u32::from(self.asn)))
    }

    /// `body` is the message behind its header.
    pub(super) fn decode(body: &[u8]) -> Result<Open, MessageError> {
        let short = |_: Truncated| malformed("the message ends within its fixed part");
        let mut reader = Reader::new(body);
        let version = reader.u8().map_err(short)?;
        if version != VERSION {
            return Err(MessageError::new(
                Notification::unsupported_version(),
                format!("OPEN: version {version} is not supported, only 4"),
            ));
        }
        let asn = reader.u16().map_err(short)?;
        let seconds = reader.u16().map_err(short)?;
        let id = reader.u32().map_err(short)?;
        if asn == 0 {
            return Err(as_zero());
        }
        let hold_time = HoldTime::from_secs(seconds).ok_or_else(|| {
            MessageError::new(
                Notification::unacceptable_hold_time(),
                format!("OPEN: hold time of {seconds}s; it must be 0, or 3 and more"),
            )
        })?;
        let router_id = NonZeroU32::new(id).map(RouterId::from).ok_or_else(|| {
            MessageError::new(Notification::bad_bgp_identifier(), "OPEN: BGP Identifier is 0.0.0.0")
        })?;
        let capabilities = parameters(&mut reader)?;
        if capabilities.contains(&Capability::FourOctetAsn(0)) {
            return Err(as_zero());
        }
        Ok(Open { asn, hold_time, router_id, capabilities })
    }

    /// Writes the body. Capabilities are put into one parameter, as RFC 5492 section 4 asks, in
    /// the extended form only where the classic one is too short. What would take the message
    /// over 4,096 octets is left out from the end.
    pub(super) fn encode(&self, out: &mut BytesMut) {
        /// What the header, the fixed part and the extended form's own fields leave.
        const ROOM: usize = frame::MAXIMUM - 29 - 6;
        let mut capabilities = BytesMut::new();
        for capability in &self.capabilities {
            let before = capabilities.len();
            capability.encode(&mut capabilities);
            if capabilities.len() > ROOM {
                capabilities.truncate(before);
                break;
            }
        }
        out.put_u8(VERSION);
        out.put_u16(self.asn);
        out.put_u16(self.hold_time.as_secs());
        out.put_u32(u32::from(self.router_id.to_ipv4()));
        match u8::try_from(capabilities.len()) {
            Ok(0) => out.put_u8(0),
            Ok(length @ ..=253) => {
                out.put_slice(&[length + 2, CAPABILITIES, length]);
            }
            _ => {
                let length = u16::try_from(capabilities.len()).unwrap_or(u16::MAX);
                out.put_slice(&[EXTENDED, EXTENDED]);
                out.put_u16(length.saturating_add(3));
                out.put_u8(CAPABILITIES);
                out.put_u16(length);
            }
        }
        out.put_slice(&capabilities);
    }
}

fn malformed(what: &str) -> MessageError {
    MessageError::new(Notification::malformed_open(), format!("OPEN: {what}"))
}

fn as_zero() -> MessageError {
    MessageError::new(Notification::bad_peer_as(), "OPEN: AS 0 is reserved (RFC 7607)")
}

/// The length field and all parameters, up to the end of the message.
fn parameters(reader: &mut Reader<'_>) -> Result<Vec<Capability>, MessageError> {
    let overrun = |_: Truncated| malformed("an optional parameter reaches beyond the message");
    let length = reader.u8().map_err(overrun)?;
    let mut ahead = *reader;
    // The type decides alone: a length other than 255 is accepted (RFC 9072 section 2).
    let extended = length != 0 && ahead.u8() == Ok(EXTENDED);
    let length = if extended {
        *reader = ahead;
        usize::from(reader.u16().map_err(overrun)?)
    } else {
        usize::from(length)
    };
    if length != reader.len() {
        return Err(malformed(&format!(
            "optional parameters of {length} octets in the {} that are left",
            reader.len()
        )));
    }
    let mut found = Vec::new();
    while !reader.is_empty() {
        let kind = reader.u8().map_err(overrun)?;
        let length = if extended {
            usize::from(reader.u16().map_err(overrun)?)
        } else {
            usize::from(reader.u8().map_err(overrun)?)
        };
        let mut value = reader.sub(length).map_err(overrun)?;
        if kind != CAPABILITIES {
            return Err(MessageError::new(
                Notification::unsupported_optional_parameter(),
                format!("OPEN: optional parameter {kind} is not supported"),
            ));
        }
        while !value.is_empty() {
            found.push(capability(&mut value)?);
        }
    }
    Ok(found)
}

fn capability(reader: &mut Reader<'_>) -> Result<Capability, MessageError> {
    let overrun = |_: Truncated| malformed("a capability reaches beyond its parameter");
    let code = reader.u8().map_err(overrun)?;
    let length = reader.u8().map_err(overrun)?;
    let value = reader.take(usize::from(length)).map_err(overrun)?;
    Capability::decode(code, value)
        .map_err(|_| malformed(&format!("capability {code} cannot have a length of {length}")))
}
