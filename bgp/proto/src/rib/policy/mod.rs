//! Policy: ordered rules, one evaluation path for import and export, no state.
//!
//! A [`Policy`] is data. A `Judge` evaluates it for one set of attributes and any number of
//! prefixes: what does not depend on the prefix is asked once.

mod judge;
mod pattern;
mod set;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

pub(super) use judge::{Judge, Learned, Setting, Touched, Verdict};
pub use pattern::{AsnRange, AsnSet, CommunityPattern, LargeCommunityPattern};
pub use set::PrefixSet;

use super::Claims;
use crate::types::{Asn, Attributes, Community, LargeCommunity, Origin, Prefix};

/// Prefixes of a set, each with the lengths it admits: `192.0.2.0/24 le 32`, `10.0.0.0/8 ge 16 le 24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PrefixRange {
    /// What must cover the route's prefix.
    pub prefix: Prefix,
    /// Shortest length admitted.
    pub ge: u8,
    /// Longest length admitted.
    pub le: u8,
}

impl PrefixRange {
    /// The prefix itself and nothing within it.
    pub fn exact(prefix: Prefix) -> PrefixRange {
        PrefixRange { prefix, ge: prefix.len(), le: prefix.len() }
    }

    /// Whether `prefix` lies within and has an admitted length.
    pub fn admits(&self, prefix: Prefix) -> bool {
        self.prefix.covers(prefix) && (self.ge..=self.le).contains(&prefix.len())
    }
}

/// A rule's condition; a rule applies where all of its conditions hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Match {
    /// Within one of the ranges.
    PrefixIn(PrefixSet),
    /// Shares an address with one of the prefixes.
    Overlaps(PrefixSet),
    /// The next hop is one of these.
    NextHopIn(Arc<BTreeSet<IpAddr>>),
    /// The next hop lies within one of the prefixes.
    NextHopWithin(PrefixSet),
    /// The path begins with one of these.
    NeighborAs(AsnSet),
    /// One of these stands somewhere in the path.
    AsPathContains(AsnSet),
    /// The path ends with one of these: who originated the route. Never a path that ends with a
    /// set, whose originator is not told.
    OriginatedBy(AsnSet),
    /// The path has no hop.
    AsPathEmpty,
    /// The path has so many hops, as the decision process counts them.
    AsPathLength(RangeInclusive<u32>),
    /// Of each form one is present.
    Communities(Arc<[CommunityPattern]>),
    /// Of each form one is present.
    LargeCommunities(Arc<[LargeCommunityPattern]>),
    /// The origin is this.
    Origin(Origin),
    /// Learned from a peer of this kind, or our own.
    Source(Source),
    /// Learned from a peer of one of these addresses.
    FromPeer(Arc<BTreeSet<IpAddr>>),
    /// Learned from a peer whose address lies within one of the prefixes.
    FromPeerWithin(PrefixSet),
    /// Does not hold.
    Not(Box<Match>),
}

/// Where a route came from, as export rules see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// Announced by this speaker.
    Local,
    /// Learned from an internal peer.
    Internal,
    /// Learned from an external peer.
    External,
    /// Learned from this one peer.
    Peer(super::PeerKey),
}

/// What an accepting rule changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Set {
    /// Local preference.
    LocalPref(u32),
    /// Multi-exit discriminator.
    Med(Option<u32>),
    /// Adds communities.
    AddCommunities(Arc<[Community]>),
    /// Adds large communities.
    AddLargeCommunities(Arc<[LargeCommunity]>),
    /// Removes communities of any of these forms.
    RemoveCommunities(Arc<[CommunityPattern]>),
    /// Removes large communities of any of these forms.
    RemoveLargeCommunities(Arc<[LargeCommunityPattern]>),
    /// On export, puts our AS in front this many times more; towards external peers it stands
    /// there once without. On import, the peer's AS: ours would be a loop to whoever is sent it.
    Prepend(u8),
    /// Our own address towards the peer, as export does for external peers without being told.
    NextHopSelf,
}

/// A rule's end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Then {
    /// Takes the route, changed so.
    Accept(Vec<Set>),
    /// Refuses it; the rule's name is the reason shown.
    Reject,
    /// Refuses it where its prefix overlaps a claim, whose words are the reason shown; goes on
    /// with the next rule where it does not.
    RejectClaimed(Arc<Claims>),
    /// Changes the route and goes on with the next rule.
    Continue(Vec<Set>),
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rule {
    /// In words that explain a refusal: `not a pod CIDR of node-b`.
    pub name: Arc<str>,
    /// All must hold; none means always.
    pub when: Vec<Match>,
    /// What then.
    pub then: Then,
}

/// Ordered rules; the first that accepts or rejects decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Policy {
    /// In order.
    pub rules: Vec<Rule>,
    /// Where no rule decided. Its conditions do not count, and `Continue` refuses: there is
    /// nothing to go on with.
    pub otherwise: Rule,
}

impl Policy {
    /// Takes everything as it is.
    pub fn accept_all() -> Policy {
        Policy::otherwise("accept all", Then::Accept(Vec::new()))
    }

    /// Refuses everything; `name` is the reason shown (RFC 8212 where nothing was configured).
    pub fn reject_all(name: &str) -> Policy {
        Policy::otherwise(name, Then::Reject)
    }

    /// The rule that refuses a route of our own; `None` where it is accepted. For whoever asks
    /// before announcing; the RIB asks in the same way.
    pub fn refuses_own(&self, prefix: Prefix, route: &Attributes, ours: Asn) -> Option<Arc<str>> {
        let setting = Setting { asn: ours, next_hop: None };
        match Judge::new(self, route, Learned::Here, setting).verdict(prefix) {
            Verdict::Accept(_) => None,
            Verdict::Reject(rule) => Some(Arc::clone(rule)),
        }
    }

    fn otherwise(name: &str, then: Then) -> Policy {
        Policy { rules: Vec::new(), otherwise: Rule { name: name.into(), when: Vec::new(), then } }
    }
}
