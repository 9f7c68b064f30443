//! Cease: the end of a session in good order (RFC 4486, 9003, 8538).

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::notification::{CEASE, HARD_RESET, MAXIMUM_PREFIXES, Notification, RESET, SHUTDOWN};

/// Why we, or the peer, end a session in good order (RFC 4486, 9003, 8538).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Cease {
    /// 1
    MaximumPrefixes,
    /// 2, with the operator's words
    AdministrativeShutdown(String),
    /// 3
    PeerDeconfigured,
    /// 4, with the operator's words
    AdministrativeReset(String),
    /// 5
    ConnectionRejected,
    /// 6
    OtherConfigurationChange,
    /// 7
    ConnectionCollision,
    /// 8
    OutOfResources,
    /// 9 (RFC 8538)
    HardReset,
}

/// The longest operator's text, in octets of UTF-8 (RFC 9003 section 2).
const COMMUNICATION: usize = 255;

impl Cease {
    const fn subcode(&self) -> u8 {
        match self {
            Cease::MaximumPrefixes => MAXIMUM_PREFIXES,
            Cease::AdministrativeShutdown(_) => SHUTDOWN,
            Cease::PeerDeconfigured => 3,
            Cease::AdministrativeReset(_) => RESET,
            Cease::ConnectionRejected => 5,
            Cease::OtherConfigurationChange => 6,
            Cease::ConnectionCollision => 7,
            Cease::OutOfResources => 8,
            Cease::HardReset => HARD_RESET,
        }
    }

    /// The operator's words are cut at 255 octets, never within a character.
    pub(super) fn to_notification(&self) -> Notification {
        let data = match self {
            Cease::AdministrativeShutdown(text) | Cease::AdministrativeReset(text)
                if !text.is_empty() =>
            {
                let text = shortened(text);
                let mut data = BytesMut::with_capacity(1 + text.len());
                data.put_u8(u8::try_from(text.len()).unwrap_or(0));
                data.put_slice(text.as_bytes());
                data.freeze()
            }
            // A Hard Reset must say what it stands for (RFC 8538 section 3.1).
            Cease::HardReset => Bytes::from_static(&[CEASE, RESET]),
            _ => Bytes::new(),
        };
        Notification { code: CEASE, subcode: self.subcode(), data }
    }

    /// `None` for other codes, and for subcodes that we have no name for.
    pub fn from_notification(notification: &Notification) -> Option<Cease> {
        if notification.code != CEASE {
            return None;
        }
        let text = || notification.communication().unwrap_or_default().to_owned();
        Some(match notification.subcode {
            MAXIMUM_PREFIXES => Cease::MaximumPrefixes,
            SHUTDOWN => Cease::AdministrativeShutdown(text()),
            3 => Cease::PeerDeconfigured,
            RESET => Cease::AdministrativeReset(text()),
            5 => Cease::ConnectionRejected,
            6 => Cease::OtherConfigurationChange,
            7 => Cease::ConnectionCollision,
            8 => Cease::OutOfResources,
            HARD_RESET => Cease::HardReset,
            _ => return None,
        })
    }
}

/// At most [`COMMUNICATION`] octets, whole characters.
fn shortened(text: &str) -> &str {
    (0..=COMMUNICATION).rev().find_map(|end| text.get(..end.min(text.len()))).unwrap_or_default()
}

/// `Administrative Shutdown: "rack move"`.
impl fmt::Display for Cease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cease::MaximumPrefixes => "Maximum Number of Prefixes Reached",
            Cease::AdministrativeShutdown(_) => "Administrative Shutdown",
            Cease::PeerDeconfigured => "Peer De-configured",
            Cease::AdministrativeReset(_) => "Administrative Reset",
            Cease::ConnectionRejected => "Connection Rejected",
            Cease::OtherConfigurationChange => "Other Configuration Change",
            Cease::ConnectionCollision => "Connection Collision Resolution",
            Cease::OutOfResources => "Out of Resources",
            Cease::HardReset => "Hard Reset",
        })?;
        match self {
            Cease::AdministrativeShutdown(text) | Cease::AdministrativeReset(text)
                if !text.is_empty() =>
            {
                write!(f, ": \"{}\"", text.escape_debug())
            }
            _ => Ok(()),
        }
    }
}
