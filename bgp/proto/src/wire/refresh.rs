//! ROUTE-REFRESH (RFC 2918) and its brackets (RFC 7313).

use bytes::{BufMut, BytesMut};

use super::error::MessageError;
use super::frame;
use super::notification::Notification;
use crate::types::Family;

/// ROUTE-REFRESH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteRefresh {
    /// `None` for a family that we do not carry: ignored (RFC 2918 section 4).
    pub family: Option<Family>,
    /// The message subtype (RFC 7313).
    pub kind: RefreshKind,
}

/// The message subtype of ROUTE-REFRESH (RFC 7313 section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshKind {
    /// 0: send everything again.
    Request,
    /// 1: BoRR.
    Begin,
    /// 2: EoRR.
    End,
    /// Anything else: ignored.
    Unknown(u8),
}

impl RefreshKind {
    /// The subtype on the wire.
    pub const fn to_u8(self) -> u8 {
        match self {
            RefreshKind::Request => 0,
            RefreshKind::Begin => 1,
            RefreshKind::End => 2,
            RefreshKind::Unknown(subtype) => subtype,
        }
    }
}

impl RouteRefresh {
    /// `message` is whole, with its header, of at least 23 octets.
    pub(super) fn decode(message: &[u8]) -> Result<RouteRefresh, MessageError> {
        let body = message.get(frame::HEADER..).unwrap_or_default();
        let Some((&[high, low, subtype, safi], rest)) = body.split_first_chunk() else {
            return Err(bad_length(message));
        };
        let kind = match subtype {
            0 => RefreshKind::Request,
            1 => RefreshKind::Begin,
            2 => RefreshKind::End,
            other => RefreshKind::Unknown(other),
        };
        match kind {
            // What follows could only be filters (RFC 5291), which we never offer.
            RefreshKind::Request if !rest.is_empty() => return Err(bad_length(message)),
            RefreshKind::Begin | RefreshKind::End if !rest.is_empty() => {
                let told = message.get(..frame::MAXIMUM - frame::HEADER - 2).unwrap_or(message);
                return Err(MessageError::new(
                    Notification::invalid_refresh_length(told),
                    format!("ROUTE-REFRESH: length {} with subtype {subtype}", message.len()),
                ));
            }
            _ => {}
        }
        Ok(RouteRefresh {
            family: Family::from_afi_safi(u16::from_be_bytes([high, low]), safi),
            kind,
        })
    }

    /// Writes the body; a family that we do not carry is written as AFI and SAFI 0.
    pub(super) fn encode(self, out: &mut BytesMut) {
        out.put_u16(self.family.map_or(0, Family::afi));
        out.put_u8(self.kind.to_u8());
        out.put_u8(self.family.map_or(0, Family::safi));
    }
}

fn bad_length(message: &[u8]) -> MessageError {
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    MessageError::new(
        Notification::bad_message_length(length),
        format!("ROUTE-REFRESH: length {length}, not 23"),
    )
}
