use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::types::{Attributes, Families, Family, HoldTime, Prefix, RouterId};

/// One BGP message, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// RFC 4271 section 4.2.
    Open(Open),
    /// RFC 4271 section 4.3.
    Update(Update),
    /// RFC 4271 section 4.5.
    Notification(Notification),
    /// RFC 4271 section 4.4.
    Keepalive,
    /// RFC 2918, RFC 7313.
    RouteRefresh(RouteRefresh),
}

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

/// A capability (RFC 5492).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Capability {
    /// 1: a family (RFC 4760); one that we do not carry is kept as `Unknown`.
    Multiprotocol(Family),
    /// 2: ROUTE-REFRESH (RFC 2918).
    RouteRefresh,
    /// 5: IPv4 routes with IPv6 next hops (RFC 8950); only the family triples that we know.
    ExtendedNextHop(Vec<Family>),
    /// 6: messages up to 65,535 octets (RFC 8654).
    ExtendedMessage,
    /// 9: role (RFC 9234), as sent.
    Role(u8),
    /// 64: graceful restart (RFC 4724).
    GracefulRestart {
        /// R: the sender has restarted.
        restarted: bool,
        /// N: NOTIFICATION does not end forwarding (RFC 8538).
        notification: bool,
        /// How long to keep its routes, at most 4,095 s.
        restart_time: Duration,
        /// Families whose forwarding may be kept. Families that we do not carry are left out.
        families: Vec<GracefulRestartFamily>,
    },
    /// 65: the AS number in four octets (RFC 6793), as sent, so that 0 can be refused by name.
    FourOctetAsn(u32),
    /// 70: enhanced route refresh (RFC 7313).
    EnhancedRouteRefresh,
    /// Anything else, or a known code whose value we do not use.
    Unknown {
        /// Capability code.
        code: u8,
        /// As received.
        value: Bytes,
    },
}

/// One family of the graceful restart capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GracefulRestartFamily {
    /// Which family.
    pub family: Family,
    /// F: the sender kept its forwarding state across the restart.
    pub forwarding: bool,
}

/// UPDATE, as RFC 7606 left it: whatever was treated as withdrawn stands in `withdrawn` already.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Update {
    /// No longer reachable by this peer, of either family.
    pub withdrawn: Vec<Prefix>,
    /// Reachable; at most two entries, one for each next hop (NEXT_HOP and MP_REACH_NLRI).
    pub reach: Vec<Reach>,
    /// The End-of-RIB marker of a family (RFC 4724 section 2). Then the rest is empty.
    pub end_of_rib: Option<Family>,
    /// What was wrong and mended. For counters, logs and `lastError`.
    pub faults: Vec<AttributeFault>,
}

/// Prefixes that share attributes and next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Shared by every prefix of the entry.
    pub attributes: Arc<Attributes>,
    /// All of one family.
    pub prefixes: Vec<Prefix>,
}

/// What RFC 7606 does about a fault; the worst of a message decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Ignored; the attribute is used as it stands.
    Keep,
    /// The attribute is left out, the routes are used.
    DiscardAttribute,
    /// The routes of the message are treated as withdrawn.
    TreatAsWithdraw,
    /// The session ends. Never found in an [`Update`]: it is a [`MessageError`].
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

/// A fault that ends the session; `notification` is what the peer is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct MessageError {
    /// What to send before closing.
    pub notification: Notification,
    /// In words, for logs and `lastError`.
    pub what: String,
}

/// What a session has agreed on, as far as bytes depend on it. Starts at the defaults of a
/// session that is not yet open, and is replaced when the OPENs are exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Codec {
    /// AS numbers in AS_PATH and AGGREGATOR take four octets (RFC 6793).
    pub four_octet_asn: bool,
    /// Both sides are of one AS: LOCAL_PREF, ORIGINATOR_ID and CLUSTER_LIST are valid.
    pub ibgp: bool,
    /// Up to 65,535 octets (RFC 8654) instead of 4,096.
    pub extended_message: bool,
    /// Families that both sides carry; NLRI of others is ignored.
    pub families: Families,
    /// Families whose NLRI may have an IPv6 next hop although it is IPv4 (RFC 8950).
    pub extended_next_hop: bool,
}

impl Default for Codec {
    fn default() -> Codec {
        Codec {
            four_octet_asn: false,
            ibgp: false,
            extended_message: false,
            families: Families::NONE.with(Family::Ipv4Unicast),
            extended_next_hop: false,
        }
    }
}

impl std::fmt::Display for Notification {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.code, self.subcode)
    }
}

impl std::fmt::Display for Cease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}
