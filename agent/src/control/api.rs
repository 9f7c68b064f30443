//! What stands in the JSON of the agent's socket. The server builds these types and the command
//! line reads them back; scripts rely on the names of the fields, so none is ever renamed.
//!
//! Times are RFC 3339 in UTC, durations are seconds, prefixes and addresses are text.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::drain::Drain;

/// `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// This node.
    pub node: String,
    /// Its AS.
    pub asn: u32,
    /// Its BGP Identifier.
    pub router_id: Ipv4Addr,
    /// The routes of the first exchange are in the kernel and the host is set up.
    pub ready: bool,
    /// Ready, and no problem known: what decides the exit code of `twill status`. A session with
    /// one node of many that is down is told in [`Status::sessions_down`] and is no problem.
    pub healthy: bool,
    /// Sessions.
    pub peers: PeerTotals,
    /// Routes.
    pub routes: RouteTotals,
    /// Since the agent started.
    pub uptime_seconds: u64,
    /// Of the agent.
    pub version: String,
    /// The configuration in force.
    pub config: Config,
    /// What is wrong, each in one sentence with its remedy.
    pub problems: Vec<String>,
    /// Sessions with nodes that are down, and why. The sessions with outside routers that are
    /// down stand among the problems, and so does that fewer than half of these are up.
    #[serde(default)]
    pub sessions_down: Vec<String>,
    /// The newest errors of sessions, newest first.
    pub last_errors: Vec<PeerError>,
    /// When the kernel's routes were compared last.
    pub synced_at: Option<String>,
    /// How long that took.
    pub sync_seconds: f64,
    /// Whether the CNI file is in place: pods may be scheduled here.
    pub cni_written: bool,
    /// Whether pods leave the cluster under this node's address.
    pub masquerading: bool,
    /// What the agent changed on this host, `name: old -> new`.
    pub host_changes: Vec<String>,
    /// How far `twill drain` has taken this node out; `null` where it is not drained.
    #[serde(default)]
    pub drain: Option<Drain>,
}

/// `GET`, `PUT` and `DELETE` of `/v1/drain`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Draining {
    /// How far; `null` where the node is not drained.
    pub state: Option<Drain>,
    /// Packets of both families that the host has forwarded since it booted; `null` where the
    /// kernel does not say.
    pub forwarded_packets: Option<u64>,
}

/// Sessions by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerTotals {
    /// All.
    pub configured: usize,
    /// Of those, up.
    pub established: usize,
}

/// Routes by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteTotals {
    /// Should be in the kernel.
    pub expected: usize,
    /// Should be and are.
    pub installed: usize,
    /// Should be and are not.
    pub missing: usize,
    /// Are and should not be.
    pub unexpected: usize,
    /// Of the run before, kept until the mesh is in sync.
    pub stale: usize,
    /// Foreign routes that go before ours.
    #[serde(default)]
    pub shadowed: usize,
    /// Refused by import policy.
    pub rejected: u64,
}

/// How the configuration was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// When the one in force was read.
    pub loaded_at: Option<String>,
    /// Why the newest one was refused.
    pub refused: Option<String>,
    /// What is doubtful in the one in force.
    pub warnings: Vec<String>,
}

/// Why a session was lost, or never came up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerError {
    /// Whose.
    pub peer: String,
    /// When.
    pub at: String,
    /// What.
    pub error: String,
}

/// How a peer stands to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerKind {
    /// A node of ours.
    Mesh,
    /// A router outside the mesh.
    External,
}

/// The states of RFC 4271 section 8.2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the RFC")]
pub enum State {
    Idle,
    Connect,
    Active,
    OpenSent,
    OpenConfirm,
    Established,
}

/// `GET /v1/peers`: a list of these; `GET /v1/peers/NAME`: one, with [`Peer::detail`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// Unique.
    pub name: String,
    /// Where it is; of several addresses, the one that the session runs with, or that is dialled
    /// first.
    pub address: IpAddr,
    /// Its AS.
    pub asn: u32,
    /// How it stands to us.
    pub kind: PeerKind,
    /// Whether it is of our AS.
    pub ibgp: bool,
    /// Of its session.
    pub state: State,
    /// Since it was established; `null` while it is not.
    pub uptime_seconds: Option<u64>,
    /// Agreed on while established, else offered: `ipv4`, `ipv6`.
    pub families: Vec<String>,
    /// Sent by it, refused ones included.
    pub prefixes_received: u64,
    /// Of those, accepted by policy.
    pub prefixes_accepted: u64,
    /// Of those, refused by policy.
    pub prefixes_rejected: u64,
    /// Of those, kept while it is away (RFC 4724).
    pub prefixes_stale: u64,
    /// Announced to it.
    pub prefixes_advertised: u64,
    /// The limit on what it may send of a family, where one is nearly reached; `null` where none is.
    pub near_limit: Option<u32>,
    /// How often the session was lost.
    pub flaps: u32,
    /// Why the session was lost last; of a peer that never had one, why the last attempt failed.
    pub last_error: Option<String>,
    /// When.
    pub last_error_at: Option<String>,
    /// The last reasons for which sessions were lost and attempts failed, the newest first.
    #[serde(default)]
    pub reasons: Vec<Reason>,
    /// Why it is down, with a remedy; `null` while it is up.
    pub down_because: Option<String>,
    /// Where one peer was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<Box<PeerDetail>>,
}

/// What came to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// An established session.
    Lost,
    /// An attempt at one.
    Attempt,
}

/// Why a session was lost, or an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// Which of the two.
    pub what: Ended,
    /// In words.
    pub error: String,
    /// When it was so for the first time in a row.
    pub since: String,
    /// When it was so last.
    pub at: String,
    /// How often in a row.
    pub times: u32,
}

/// More about one peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerDetail {
    /// All of its addresses: connections from each are its own.
    pub addresses: Vec<IpAddr>,
    /// Where it listens.
    pub port: u16,
    /// We only wait for it to dial.
    pub passive: bool,
    /// `TTL 1` or `GTSM, 255 and up`.
    pub ttl: String,
    /// Whether TCP MD5 signs the session. The secret itself is never shown.
    pub password: bool,
    /// Our end of the connection.
    pub local: Option<SocketAddr>,
    /// Its end of the connection.
    pub remote: Option<SocketAddr>,
    /// The limit on what it may send, each family.
    pub max_prefixes: Option<u32>,
    /// From this on it is told that the limit is near.
    pub max_prefixes_warning: Option<u32>,
    /// After the session was ended by it, tried again after so many seconds; `null`: when reset.
    pub max_prefixes_restart_seconds: Option<u64>,
    /// Nobody listed it: it is a peer for as long as its session.
    pub dynamic: bool,
    /// Our AS towards it, where it is another than our own.
    pub local_asn: Option<u32>,
    /// What we are to it (RFC 9234), where that is said.
    pub role: Option<String>,
    /// What we propose; 0 for none.
    pub hold_time_seconds: u16,
    /// Base of the back-off between attempts.
    pub connect_retry_seconds: u64,
    /// What both sides agreed on, while established.
    pub negotiated: Option<Negotiated>,
    /// Prefixes by family.
    pub by_family: Vec<FamilyCounts>,
    /// Messages received since the agent started.
    pub messages_received: MessageCounts,
    /// Messages sent since the agent started.
    pub messages_sent: MessageCounts,
}

/// What both sides agreed on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Negotiated {
    /// `outgoing` where we dialled.
    pub direction: String,
    /// The peer's BGP Identifier.
    pub router_id: Ipv4Addr,
    /// 0 for none.
    pub hold_time_seconds: u16,
    /// A third of it.
    pub keepalive_seconds: u64,
    /// What the peer offered, in words.
    pub capabilities: Vec<String>,
    /// What is in use, in words.
    pub in_use: Vec<String>,
    /// What the peer refused of earlier OPENs and was not offered again, in words.
    #[serde(default)]
    pub refused: Vec<String>,
    /// Families whose End-of-RIB has come.
    pub end_of_rib: Vec<String>,
}

/// Prefixes of one family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "as in Peer")]
pub struct FamilyCounts {
    pub family: String,
    pub received: u32,
    pub accepted: u32,
    pub rejected: u32,
    pub stale: u32,
    pub advertised: u32,
}

/// Messages by type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the message types of RFC 4271 and 2918")]
pub struct MessageCounts {
    pub open: u64,
    pub update: u64,
    pub notification: u64,
    pub keepalive: u64,
    pub route_refresh: u64,
}

/// `GET /v1/routes`: a list of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Where to.
    pub prefix: String,
    /// By whom.
    pub next_hop: IpAddr,
    /// The peer it was learned from; `local` for our own.
    pub from: String,
    /// Nearest AS first; an unordered set is a list within the list.
    pub as_path: Vec<PathElement>,
    /// `igp`, `egp` or `incomplete`.
    pub origin: String,
    /// `null` where the route carries none.
    pub local_pref: Option<u32>,
    /// `null` where the route carries none.
    pub med: Option<u32>,
    /// `64512:100`, or the name of a well-known one.
    pub communities: Vec<String>,
    /// `64512:1:2`.
    pub large_communities: Vec<String>,
    /// Who brought it into the AS, where it was reflected (RFC 4456).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub originator_id: Option<Ipv4Addr>,
    /// The clusters it was reflected through, the nearest first (RFC 4456).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cluster_list: Vec<Ipv4Addr>,
    /// The best of its prefix.
    pub best: bool,
    /// Neither refused nor looped.
    pub valid: bool,
    /// Its peer is away and may return (RFC 4724).
    pub stale: bool,
    /// Why it is not the best: the step of the decision that it lost, or the rule that refused it.
    pub reason: Option<String>,
}

/// An AS, or an unordered set of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PathElement {
    /// One hop.
    As(u32),
    /// AS_SET: one hop as well.
    Set(Vec<u32>),
}

/// `GET /v1/fib`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fib {
    /// Should be and are.
    pub installed: Vec<FibRoute>,
    /// Should be and are not.
    pub missing: Vec<FibRoute>,
    /// Ours, and should not be.
    pub unexpected: Vec<FibRoute>,
    /// Of the run before, kept until the mesh is in sync.
    pub stale: Vec<FibRoute>,
    /// The routes of the first exchange are in the kernel.
    pub ready: bool,
    /// What clashes or is not ready, each with its remedy.
    pub problems: Vec<String>,
    /// When the kernel was compared last.
    pub synced_at: Option<String>,
    /// How long that took.
    pub sync_seconds: f64,
    /// Failed changes since start.
    pub errors: u64,
}

/// A kernel route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FibRoute {
    /// Where to.
    pub prefix: String,
    /// By whom; `null` on link.
    pub next_hop: Option<IpAddr>,
    /// Interface.
    pub device: Option<String>,
    /// For a missing one: why, and the remedy.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// `GET /v1/explain/ADDRESS`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// What was asked for.
    pub address: IpAddr,
    /// Whether a packet would leave towards it, and nothing contradicts that.
    pub reachable: bool,
    /// In one sentence.
    pub summary: String,
    /// The best route of the RIB by longest match.
    pub route: Option<Route>,
    /// Who announced it.
    pub announced_by: Option<Announcer>,
    /// What should be in the kernel for that route.
    pub desired: Option<DesiredRoute>,
    /// What the kernel would use.
    pub kernel: Option<KernelRoute>,
    /// Why the kernel has no answer: its own words.
    pub kernel_error: Option<String>,
    /// What does not agree, each with its remedy.
    pub contradictions: Vec<String>,
}

/// Who announced a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Announcer {
    /// A peer's name; `local` for this node.
    pub name: String,
    /// Of its session; `null` for this node.
    pub state: Option<State>,
    /// Since it was established.
    pub uptime_seconds: Option<u64>,
}

/// A route that should be in the kernel, and whether it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredRoute {
    /// The route.
    #[serde(flatten)]
    pub route: FibRoute,
    /// `installed`, `missing`, `unexpected` or `stale`.
    pub state: FibState,
}

/// How a kernel route stands to what should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "as in Fib")]
pub enum FibState {
    Installed,
    Missing,
    Unexpected,
    Stale,
}

/// The kernel's own answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KernelRoute {
    /// The matching entry.
    pub prefix: String,
    /// `unicast`, `local`, `blackhole`...
    pub kind: String,
    /// By whom; several where the route spreads packets.
    pub next_hops: Vec<IpAddr>,
    /// Interfaces, in the order of the next hops.
    pub devices: Vec<String>,
    /// Preferred source address.
    pub source: Option<IpAddr>,
    /// Who made it: `twill`, `kernel`, `static` or another name, or a number.
    pub protocol: String,
    /// Its metric.
    pub metric: u32,
    /// Its table.
    pub table: u32,
}

/// `GET /v1/ipam`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ipam {
    /// Where the leases are kept.
    pub data_dir: String,
    /// What pods' addresses are taken from.
    pub ranges: Vec<IpamRange>,
    /// Addresses in use.
    pub leases: Vec<Lease>,
    /// Addresses that rest before they are given again.
    pub cooling: Vec<Cooling>,
    /// What does not agree with what exists, each with its remedy.
    pub problems: Vec<String>,
}

/// A range of pod addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IpamRange {
    /// Within which subnet.
    pub subnet: String,
    /// The first address that is given out.
    pub first: IpAddr,
    /// The last.
    pub last: IpAddr,
    /// How many there are; the largest number where there are more than it can say.
    pub capacity: u64,
    /// Of those, in use.
    pub leased: u64,
    /// Of those, resting.
    pub cooling: u64,
}

/// An address in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// Which.
    pub address: IpAddr,
    /// By which container.
    pub container_id: String,
    /// By which of its interfaces.
    pub interface: String,
    /// When it was given.
    pub since: Option<String>,
}

/// An address that rests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cooling {
    /// Which.
    pub address: IpAddr,
    /// Until when.
    pub until: String,
}

/// `PUT /v1/announcements/PREFIX`: how the route is announced. Everything may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AnnounceOptions {
    /// `null`: our address towards each peer.
    pub next_hop: Option<IpAddr>,
    /// `null`: 100 towards internal peers.
    pub local_pref: Option<u32>,
    /// MED.
    pub med: Option<u32>,
    /// `64512:100`, or the name of a well-known one.
    pub communities: Vec<String>,
}

/// What was done, where something was to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// In one sentence.
    pub done: String,
    /// What should be known with it.
    pub notes: Vec<String>,
}

/// The body of every answer that is no success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// What is wrong.
    pub error: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// `GET /v1/monitor`: one of these on each line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// When the agent saw it.
    pub time: String,
    /// What.
    #[serde(flatten)]
    pub what: EventKind,
}

/// What happened; the field `event` tells which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "event")]
pub enum EventKind {
    /// A session changed state.
    Session {
        /// Whose.
        peer: String,
        /// To which state.
        state: State,
        /// Why, where it went down.
        reason: Option<String>,
    },
    /// The best route of a prefix changed.
    Route {
        /// Which prefix.
        prefix: String,
        /// `null` where no route is left.
        next_hop: Option<IpAddr>,
        /// The peer it is from, `local` for our own; `null` where no route is left.
        from: Option<String>,
        /// Its peer is away and may return.
        stale: bool,
    },
    /// A route was refused by import policy.
    Refused {
        /// Who sent it.
        peer: String,
        /// Which prefix.
        prefix: String,
        /// The rule.
        rule: String,
    },
    /// A peer has nearly sent as many prefixes as it may.
    NearLimit {
        /// Which.
        peer: String,
        /// Of which family.
        family: String,
        /// So many.
        received: u32,
        /// More than this end the session.
        limit: u32,
    },
    /// A fault in an UPDATE was mended (RFC 7606).
    Fault {
        /// Who sent it.
        peer: String,
        /// In words.
        what: String,
    },
    /// The kernel's routes changed.
    Kernel {
        /// What was done.
        action: KernelAction,
        /// The route.
        #[serde(flatten)]
        route: FibRoute,
        /// The kernel's words, where it refused.
        error: Option<String>,
    },
    /// A setting of this host was changed by us.
    Setting {
        /// `twill0/proxy_arp`.
        name: String,
        /// Before.
        old: String,
        /// Now.
        new: String,
    },
    /// The listener was too slow, and events are missing here.
    Lag {
        /// How many.
        lost: u64,
    },
}

/// What was done to a kernel route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KernelAction {
    /// We added or replaced it.
    Installed,
    /// We removed it.
    Removed,
    /// Someone else had deleted or changed it, and it was put back.
    Restored,
    /// The kernel refused.
    Failed,
}
