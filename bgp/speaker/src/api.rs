use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use twill_bgp_proto::rib::PeerKind;
use twill_bgp_proto::rib::policy::Policy;
use twill_bgp_proto::session::{Negotiated, Passive, State};
use twill_bgp_proto::types::{
    Asn, ClusterId, Community, Families, HoldTime, LargeCommunity, NextHop, Prefix, RouterId,
};

/// What a speaker is, once started.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our AS.
    pub asn: Asn,
    /// Our BGP Identifier.
    pub router_id: RouterId,
    /// Our cluster, where we reflect; the router id where `None`.
    pub cluster_id: Option<ClusterId>,
    /// Where to listen; empty: nowhere.
    pub listen: Vec<SocketAddr>,
    /// Graceful restart: how long peers may keep our routes. `None`: neither offered nor helped.
    pub restart_time: Option<Duration>,
    /// Families whose routes of the run before were found in the kernel: sets the R and F bits.
    /// Empty: a first start, which waits for nobody.
    pub preserved: Families,
    /// The longest wait for the End-of-RIB of peers after a restart (120 s).
    pub deferral: Duration,
}

/// A secret that is never printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(pub Arc<[u8]>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// The TTL sent, and the least accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ttl {
    /// Sends 255 and drops, in the kernel, what arrives with less than this (RFC 5082).
    Gtsm(u8),
    /// Sends this; 1 for a neighbour on the link.
    Hops(u8),
}

/// A limit on what a peer may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MaxPrefixes {
    /// Over this, the session ends with Cease, Maximum Number of Prefixes Reached (RFC 4486).
    pub limit: u32,
    /// How long to stay down after that; `None`: until reset.
    pub restart_after: Option<Duration>,
}

/// One peer. Compared field by field to find what must bounce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerConfig {
    /// Unique; how people and scripts call it.
    pub name: String,
    /// Unique; connections are matched by it.
    pub address: IpAddr,
    /// Where it listens.
    pub port: u16,
    /// Its AS; the session is internal where it is ours.
    pub asn: Asn,
    /// Its part in reflection, where it is internal.
    pub kind: PeerKind,
    /// Whether we dial.
    pub passive: Passive,
    /// What we dial from; `None`: as the kernel chooses.
    pub local_address: Option<IpAddr>,
    /// Proposed hold time.
    pub hold_time: HoldTime,
    /// Base of the back-off between attempts.
    pub connect_retry: Duration,
    /// Offered families.
    pub families: Families,
    /// TCP MD5 (RFC 2385).
    pub password: Option<Secret>,
    /// TTL or GTSM.
    pub ttl: Ttl,
    /// What it may send us, and how it is changed.
    pub import: Arc<Policy>,
    /// What it is sent.
    pub export: Arc<Policy>,
    /// Limit on received prefixes, each family.
    pub max_prefixes: Option<MaxPrefixes>,
    /// The next hop, for next hop self, instead of the session's own addresses.
    pub next_hops: Vec<IpAddr>,
    /// After a restart, whether its End-of-RIB is waited for.
    pub awaited: bool,
}

/// A route of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// What.
    pub prefix: Prefix,
    /// `None`: our address towards each peer.
    pub next_hop: Option<NextHop>,
    /// `None`: 100 towards internal peers.
    pub local_pref: Option<u32>,
    /// MED.
    pub med: Option<u32>,
    /// Communities.
    pub communities: Vec<Community>,
    /// Large communities.
    pub large_communities: Vec<LargeCommunity>,
}

/// A peer as it is now.
#[derive(Debug, Clone)]
pub struct PeerStatus {
    /// As configured.
    pub config: Arc<PeerConfig>,
    /// The state machine's.
    pub state: State,
    /// When it came up.
    pub since: Option<SystemTime>,
    /// What was agreed on, while Established.
    pub negotiated: Option<Arc<Negotiated>>,
    /// Our end of the connection.
    pub local: Option<SocketAddr>,
    /// The peer's end.
    pub remote: Option<SocketAddr>,
    /// Prefixes it sent, refused ones included, v4 then v6.
    pub received: [u32; 2],
    /// Of those, accepted by policy.
    pub accepted: [u32; 2],
    /// Of those, refused.
    pub rejected: [u32; 2],
    /// Of those, held as stale.
    pub stale: [u32; 2],
    /// Prefixes we announce to it.
    pub advertised: [u32; 2],
    /// How often Established was lost.
    pub flaps: u32,
    /// Why it is, or was last, down; and when.
    pub last_error: Option<(SystemTime, String)>,
    /// Families whose End-of-RIB has come in this session.
    pub end_of_rib: Families,
    /// Messages received, by type 1 to 5.
    pub messages_in: [u64; 5],
    /// Messages sent, by type 1 to 5.
    pub messages_out: [u64; 5],
}

/// What the speaker tells its listeners as it happens. May be lost by a slow listener, who then
/// reads the state itself.
#[derive(Debug, Clone)]
pub enum Notice {
    /// A session changed state.
    Peer {
        /// Which.
        name: String,
        /// To which state.
        state: State,
        /// Why, where it went down.
        reason: Option<String>,
    },
    /// A route was refused by policy.
    Refused {
        /// By whom it was sent.
        peer: String,
        /// Which.
        prefix: Prefix,
        /// The rule.
        rule: Arc<str>,
    },
    /// A fault in an UPDATE was mended (RFC 7606).
    Fault {
        /// By whom it was sent.
        peer: String,
        /// In words.
        what: String,
    },
}

/// Whether the first exchange is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// After a restart: waiting for End-of-RIB.
    Waiting,
    /// Every awaited peer has sent its End-of-RIB, or the deferral is over.
    InSync {
        /// The deferral timer had to end the wait.
        by_timer: bool,
    },
}
