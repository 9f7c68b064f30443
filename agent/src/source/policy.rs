//! What an outside router may send and is sent, as configured. `desired::policy` makes the
//! speaker's rules of it.

use twill_bgp::MaxPrefixes;
use twill_bgp::proto::rib::policy::{
    AsnRange, CommunityPattern, LargeCommunityPattern, PrefixRange,
};
use twill_bgp::proto::types::{Community, LargeCommunity, Origin, Prefix};

/// What an outside router may send. By default nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImportRules {
    /// In order, before all that follows; what never may come from outside is refused before.
    pub rules: Vec<PolicyRule>,
    /// Where nothing matches.
    pub accept_by_default: bool,
    /// What is accepted where no rule decided.
    pub prefixes: Vec<PrefixRange>,
    /// Limit.
    pub max_prefixes: Option<MaxPrefixes>,
}

/// What an outside router is sent. By default nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExportRules {
    /// In order, before all that follows.
    pub rules: Vec<PolicyRule>,
    /// Where nothing matches.
    pub accept_by_default: bool,
    /// `podCIDRs`: this node's own pod CIDRs.
    pub pod_cidrs: bool,
    /// Addresses of Services that this node announces.
    pub services: ServiceKinds,
    /// Further prefixes.
    pub prefixes: Vec<PrefixRange>,
    /// Added to what no rule accepted.
    pub communities: Vec<Community>,
    /// Our AS in front this many times more, of what no rule accepted.
    pub prepend: u8,
    /// MED of what no rule accepted.
    pub med: Option<u32>,
}

/// Kinds of addresses of Services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServiceKinds {
    /// ClusterIPs.
    pub cluster: bool,
    /// ExternalIPs.
    pub external: bool,
    /// Of load balancers.
    pub load_balancer: bool,
}

impl ServiceKinds {
    /// All of them.
    pub const ALL: ServiceKinds =
        ServiceKinds { cluster: true, external: true, load_balancer: true };

    /// Whether there is any.
    pub fn any(self) -> bool {
        self != ServiceKinds::default()
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRule {
    /// Unique within its list; what is shown beside a route that it refused.
    pub name: String,
    /// All of it must hold.
    pub when: RuleMatch,
    /// What changes.
    pub set: RuleSet,
    /// What then.
    pub action: RuleAction,
}

/// A rule's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleAction {
    /// The route is taken.
    Accept,
    /// The route is refused.
    Reject,
    /// The next rule goes on with the route as it is now.
    Continue,
}

/// A rule's conditions; what is empty, or `None`, asks nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuleMatch {
    /// The prefix is in one of these; with `pod_cidrs`, or one of this node's pod CIDRs.
    pub prefixes: Vec<PrefixRange>,
    /// See `prefixes`.
    pub pod_cidrs: bool,
    /// Learned from one of these, by name: nodes and outside routers.
    pub neighbors: Vec<String>,
    /// Where it came from.
    pub source: Option<RouteSource>,
    /// AS path.
    pub as_path: AsPathMatch,
    /// Of each form one is present.
    pub communities: Vec<CommunityPattern>,
    /// Of each form one is present.
    pub large_communities: Vec<LargeCommunityPattern>,
    /// The origin is one of these.
    pub origins: Vec<Origin>,
    /// The next hop lies within one of these.
    pub next_hops: Vec<Prefix>,
}

/// Where a route came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteSource {
    /// This node announces it.
    Local,
    /// Of a peer of our AS: the nodes, and outside routers of our AS.
    Internal,
    /// Of a peer of another AS.
    External,
}

/// Conditions on the AS path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AsPathMatch {
    /// One of these stands in it.
    pub contains: Vec<AsnRange>,
    /// It begins with one of these: the neighbour.
    pub begins_with: Vec<AsnRange>,
    /// It ends with one of these: the originator.
    pub originates_from: Vec<AsnRange>,
    /// It has no hop, or has one.
    pub empty: Option<bool>,
    /// Hops at least.
    pub min_length: Option<u32>,
    /// Hops at most.
    pub max_length: Option<u32>,
}

/// What a rule changes, in the order of these fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuleSet {
    /// Local preference.
    pub local_pref: Option<u32>,
    /// Multi-exit discriminator.
    pub med: Option<u32>,
    /// Communities of these forms go.
    pub remove_communities: Vec<CommunityPattern>,
    /// These come.
    pub add_communities: Vec<Community>,
    /// Large communities of these forms go.
    pub remove_large_communities: Vec<LargeCommunityPattern>,
    /// These come.
    pub add_large_communities: Vec<LargeCommunity>,
    /// On export our AS, on import the peer's, in front this many times more.
    pub prepend: u8,
    /// Our own address as next hop. `None` as it is otherwise: ours, but where a rule accepted
    /// what goes to a router of our AS, `Some(false)` keeps the next hop that the route has.
    pub next_hop_self: Option<bool>,
}

impl RuleSet {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == RuleSet::default()
    }
}
