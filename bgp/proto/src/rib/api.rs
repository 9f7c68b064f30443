use std::net::IpAddr;
use std::sync::Arc;

use super::policy::Policy;
use crate::types::{Asn, Attributes, Families, Prefix, Role, RouterId};
use crate::wire::Codec;

/// A peer within the RIB: small, dense, given by the speaker, reused after removal. Below
/// 2^24 - 2; a larger one is no peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(pub u32);

/// How a peer stands to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerKind {
    /// Of another AS.
    External,
    /// Of our AS.
    Internal,
    /// Of our AS, and our reflection client (RFC 4456).
    Client,
}

/// What holds with a peer beside its policies. By default nothing does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PeerRules {
    /// Our AS as this external peer sees it, in place of our own (RFC 7705, the local AS alone in
    /// what we send, and nothing put into what we receive).
    pub local_asn: Option<Asn>,
    /// What we are to this external peer: Only to Customer is checked and set by it (RFC 9234).
    pub role: Option<Role>,
    /// A path of this external peer must begin with its AS (RFC 4271 section 6.3).
    pub own_as_first: bool,
    /// GRACEFUL_SHUTDOWN on a route of this external peer makes it the last choice (RFC 8326).
    pub graceful_shutdown: bool,
    /// What is sent again stands in brackets (RFC 7313).
    pub enhanced_refresh: bool,
    /// Next hop self of IPv4 routes is our IPv6 address, where the session carries that
    /// (RFC 8950).
    pub ipv6_next_hop: bool,
}

/// What the RIB must know of an Established peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RibPeer {
    /// How it stands to us.
    pub kind: PeerKind,
    /// Its AS.
    pub asn: Asn,
    /// Its identifier: a tie-breaker (RFC 4271 section 9.1.2.2 f).
    pub router_id: RouterId,
    /// Its address: the last tie-breaker (section 9.1.2.2 g).
    pub address: IpAddr,
    /// Families of the session.
    pub families: Families,
    /// How its bytes are written; part of the update group's key.
    pub codec: Codec,
    /// Our address on this session: next hop self, IPv4.
    pub local_ipv4: Option<std::net::Ipv4Addr>,
    /// Our address on this session: next hop self, IPv6.
    pub local_ipv6: Option<std::net::Ipv6Addr>,
    /// Our link-local address, where the peer shares our link (RFC 2545 section 3).
    pub local_link_local: Option<std::net::Ipv6Addr>,
    /// What else holds with it.
    pub rules: PeerRules,
    /// Judges what it sends.
    pub import: Arc<Policy>,
    /// Judges what it is sent; part of the update group's key.
    pub export: Arc<Policy>,
}

/// Who a route is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoutesFrom {
    /// Announced by this speaker.
    Local,
    /// Learned.
    Peer(PeerKey),
}

/// A usable route: the best of its prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// After import policy.
    pub attributes: Arc<Attributes>,
    /// Who it is from.
    pub from: RoutesFrom,
    /// The peer is gone and may return (RFC 4724).
    pub stale: bool,
}

/// A change of the best route of one prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Of which prefix.
    pub prefix: Prefix,
    /// Before; `None` where there was none.
    pub old: Option<Route>,
    /// Now; `None` where none is left.
    pub new: Option<Route>,
}

/// Why a route is not the best of its prefix: the step of the decision process that it lost,
/// by the numbers of the list in `decision`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LostBecause {
    /// Refused by import policy; the rule's name.
    Policy(Arc<str>),
    /// Our AS is in its path (RFC 4271 section 9.1.2).
    AsLoop,
    /// We are its originator, or our cluster is in its list (RFC 4456).
    ReflectionLoop,
    /// Its next hop is our own address (RFC 4271 section 5.1.3).
    OwnNextHop,
    /// It was for customers only, and came from elsewhere (RFC 9234 section 5).
    RouteLeak,
    /// Its path does not begin with the external peer's AS (RFC 4271 section 6.3).
    ForeignPath,
    /// A lower local preference.
    LocalPref,
    /// Not announced by ourselves, while another is.
    NotLocal,
    /// A longer AS_PATH (a).
    AsPathLength,
    /// A higher origin (b).
    Origin,
    /// A higher MED of the same neighbouring AS (c).
    Med,
    /// Internal, while an external one exists (d).
    Internal,
    /// Stale, while a fresh one exists that is otherwise equal.
    Stale,
    /// A higher router id, or originator (f).
    RouterId,
    /// A longer CLUSTER_LIST (RFC 4456 section 9).
    ClusterList,
    /// A higher peer address (g).
    PeerAddress,
}

/// A route as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteView {
    /// Of which prefix.
    pub prefix: Prefix,
    /// As received where policy refused it, else after policy.
    pub attributes: Arc<Attributes>,
    /// Who it is from.
    pub from: RoutesFrom,
    /// The peer is gone and may return.
    pub stale: bool,
    /// `None` for the best.
    pub lost: Option<LostBecause>,
}

/// What a peer sent and is sent, in one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerCounters {
    /// Prefixes it sent, refused ones included.
    pub received: u32,
    /// Of those, usable: not refused by policy, without a loop.
    pub accepted: u32,
    /// Of those received, held as stale.
    pub stale: u32,
    /// Prefixes announced to it, or about to be; those it announced to us as the best count out.
    pub advertised: u32,
}

impl PeerCounters {
    /// Prefixes that policy or a loop refused.
    pub fn rejected(&self) -> u32 {
        self.received.saturating_sub(self.accepted)
    }
}

/// A route newly refused by import policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// By whom it was sent.
    pub peer: PeerKey,
    /// Which.
    pub prefix: Prefix,
    /// The rule's name, or the claim's words.
    pub rule: Arc<str>,
}
