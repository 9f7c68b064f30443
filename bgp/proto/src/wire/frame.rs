//! The fixed header: where one message ends and the next begins (RFC 4271 sections 4.1 and 6.1).

use bytes::{BufMut, BytesMut};

use super::error::MessageError;
use super::notification::Notification;

/// Octets of the header: marker, length, type.
pub(super) const HEADER: usize = 19;
/// Octets of the longest message without the extended message capability (RFC 4271 section 4.1).
pub(super) const MAXIMUM: usize = 4096;
/// Octets of the longest message with it (RFC 8654).
pub(super) const EXTENDED_MAXIMUM: usize = 65_535;

const MARKER: [u8; 16] = [0xFF; 16];
const LENGTH_AT: usize = 16;

/// The message types (RFC 4271 section 4.1, RFC 2918).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Open = 1,
    Update = 2,
    Notification = 3,
    Keepalive = 4,
    RouteRefresh = 5,
}

impl Kind {
    fn from_u8(kind: u8) -> Option<Kind> {
        Some(match kind {
            1 => Kind::Open,
            2 => Kind::Update,
            3 => Kind::Notification,
            4 => Kind::Keepalive,
            5 => Kind::RouteRefresh,
            _ => return None,
        })
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Kind::Open => "OPEN",
            Kind::Update => "UPDATE",
            Kind::Notification => "NOTIFICATION",
            Kind::Keepalive => "KEEPALIVE",
            Kind::RouteRefresh => "ROUTE-REFRESH",
        }
    }

    /// The least and the greatest length; OPEN and KEEPALIVE are never extended (RFC 8654
    /// section 4).
    fn bounds(self, maximum: usize) -> (usize, usize) {
        match self {
            Kind::Open => (29, MAXIMUM),
            Kind::Update => (23, maximum),
            Kind::Notification => (21, maximum),
            Kind::Keepalive => (HEADER, HEADER),
            Kind::RouteRefresh => (23, maximum),
        }
    }
}

/// A header that can be: what follows it is `length` minus 19 octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// Of the whole message.
    pub(super) length: usize,
}

impl Header {
    /// `None` where more octets are needed. A damaged marker is refused as early as it is seen,
    /// so that a stranger's protocol does not hold the connection open.
    pub(super) fn peek(bytes: &[u8], maximum: usize) -> Result<Option<Header>, MessageError> {
        if bytes.iter().zip(MARKER).any(|(octet, wanted)| *octet != wanted) {
            return Err(MessageError::new(
                Notification::connection_not_synchronized(),
                "message header: the marker is not all ones",
            ));
        }
        let Some((header, _)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
        let [.., high, low, code] = *header;
        let length = u16::from_be_bytes([high, low]);
        let kind = Kind::from_u8(code);
        let (least, greatest) = kind.map_or((HEADER, maximum), |kind| kind.bounds(maximum));
        if !(least..=greatest).contains(&usize::from(length)) {
            let name = kind.map_or("message header", Kind::name);
            return Err(MessageError::new(
                Notification::bad_message_length(length),
                format!("{name}: length {length} is not within {least} to {greatest}"),
            ));
        }
        match kind {
            Some(kind) => Ok(Some(Header { kind, length: usize::from(length) })),
            None => Err(MessageError::new(
                Notification::bad_message_type(code),
                format!("message header: type {code} is unknown"),
            )),
        }
    }
}

/// Writes a header whose length [`finish`] fills in; returns where the message begins.
pub(super) fn begin(kind: Kind, out: &mut BytesMut) -> usize {
    let start = out.len();
    out.put_slice(&MARKER);
    out.put_u16(0);
    out.put_u8(kind as u8);
    start
}

/// Fills in the length of the message that begins at `start`.
pub(super) fn finish(start: usize, out: &mut BytesMut) {
    let length = out.len() - start;
    debug_assert!((HEADER..=EXTENDED_MAXIMUM).contains(&length), "message of {length} octets");
    patch_u16(out, start + LENGTH_AT, length);
}

/// Overwrites the two octets at `at`, which were written before, with `value`.
pub(super) fn patch_u16(out: &mut BytesMut, at: usize, value: usize) {
    let value = u16::try_from(value).unwrap_or(u16::MAX);
    if let Some(field) = out.get_mut(at..at + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}
