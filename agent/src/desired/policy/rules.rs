//! From the rules of the configuration to the speaker's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use twill_bgp::proto::rib::policy::{
    AsnRange, AsnSet, Match, PrefixRange, PrefixSet, Rule, Set, Source, Then,
};
use twill_bgp::proto::types::{Origin, Prefix};

use super::{not, within};
use crate::source::Snapshot;
use crate::source::policy::{AsPathMatch, PolicyRule, RouteSource, RuleAction, RuleMatch, RuleSet};

/// What rules of the configuration mean in one snapshot.
#[derive(Debug, Clone)]
pub(super) struct Compiler {
    /// Addresses that a node or an outside router has its sessions by.
    neighbors: BTreeMap<String, Vec<IpAddr>>,
    /// Where routers may come from that nobody lists.
    ranges: BTreeMap<String, Prefix>,
    own_pod_cidrs: Vec<PrefixRange>,
}

impl Compiler {
    pub(super) fn new(snapshot: &Snapshot) -> Compiler {
        let nodes = snapshot.nodes.values().map(|node| (node.name.clone(), node.addresses.clone()));
        let peers = snapshot.peers.values().map(|peer| (peer.name.clone(), vec![peer.address]));
        Compiler {
            neighbors: nodes.chain(peers).collect(),
            ranges: snapshot
                .ranges
                .iter()
                .map(|(name, range)| (name.clone(), range.prefix))
                .collect(),
            own_pod_cidrs: snapshot
                .node
                .pod_cidrs
                .iter()
                .copied()
                .map(PrefixRange::exact)
                .collect(),
        }
    }

    /// `peer`: whose rules they are. `keeps_next_hop`: what they accept goes to a router of our
    /// AS, which is sent the next hop that the route has, unless it is set.
    pub(super) fn compile(
        &self,
        rules: &[PolicyRule],
        peer: &str,
        keeps_next_hop: bool,
    ) -> Vec<Rule> {
        let compile = |rule: &PolicyRule| Rule {
            name: format!("rule {} of {peer}", rule.name).into(),
            when: self.conditions(&rule.when),
            then: match rule.action {
                RuleAction::Accept => Then::Accept(changes(&rule.set, keeps_next_hop)),
                RuleAction::Reject => Then::Reject,
                RuleAction::Continue => Then::Continue(changes(&rule.set, false)),
            },
        };
        rules.iter().map(compile).collect()
    }

    /// That a route was learned from one of these neighbours. Who is listed is not of a range
    /// that holds its address.
    pub(super) fn learned_from(&self, names: &BTreeSet<&str>) -> Vec<Match> {
        let named = |name: &String| names.contains(name.as_str());
        let listed = |wanted: bool| {
            let neighbors = self.neighbors.iter().filter(move |(name, _)| named(name) == wanted);
            neighbors.flat_map(|(_, addresses)| addresses).copied()
        };
        let ranges: Vec<Prefix> =
            self.ranges.iter().filter(|(name, _)| named(name)).map(|(_, prefix)| *prefix).collect();
        if ranges.is_empty() {
            return vec![Match::FromPeer(Arc::new(listed(true).collect()))];
        }
        let others: BTreeSet<IpAddr> = listed(false)
            .filter(|address| ranges.iter().any(|prefix| prefix.contains(*address)))
            .collect();
        let from = ranges.into_iter().map(within).chain(listed(true).map(Prefix::host).map(within));
        let mut when = vec![Match::FromPeerWithin(PrefixSet::new(from))];
        if !others.is_empty() {
            when.push(not(Match::FromPeer(Arc::new(others))));
        }
        when
    }

    fn conditions(&self, rule: &RuleMatch) -> Vec<Match> {
        let mut when = Vec::new();
        if rule.pod_cidrs || !rule.prefixes.is_empty() {
            let own = self.own_pod_cidrs.iter().filter(|_| rule.pod_cidrs);
            let ranges = rule.prefixes.iter().chain(own).copied();
            when.push(Match::PrefixIn(PrefixSet::new(ranges)));
        }
        if !rule.neighbors.is_empty() {
            let names = rule.neighbors.iter().map(String::as_str).collect();
            when.extend(self.learned_from(&names));
        }
        when.extend(rule.source.map(|source| {
            Match::Source(match source {
                RouteSource::Local => Source::Local,
                RouteSource::Internal => Source::Internal,
                RouteSource::External => Source::External,
            })
        }));
        as_path(&rule.as_path, &mut when);
        if !rule.communities.is_empty() {
            when.push(Match::Communities(rule.communities.as_slice().into()));
        }
        if !rule.large_communities.is_empty() {
            when.push(Match::LargeCommunities(rule.large_communities.as_slice().into()));
        }
        if !rule.origins.is_empty() {
            // One of those that are listed is none of those that are not.
            let all = [Origin::Igp, Origin::Egp, Origin::Incomplete];
            let others = all.into_iter().filter(|origin| !rule.origins.contains(origin));
            when.extend(others.map(|origin| not(Match::Origin(origin))));
        }
        if !rule.next_hops.is_empty() {
            let ranges = rule.next_hops.iter().copied().map(within);
            when.push(Match::NextHopWithin(PrefixSet::new(ranges)));
        }
        when
    }
}

fn as_path(path: &AsPathMatch, when: &mut Vec<Match>) {
    let mut push = |list: &[AsnRange], condition: fn(AsnSet) -> Match| {
        if !list.is_empty() {
            when.push(condition(list.iter().copied().collect()));
        }
    };
    push(&path.contains, Match::AsPathContains);
    push(&path.begins_with, Match::NeighborAs);
    push(&path.originates_from, Match::OriginatedBy);
    when.extend(path.empty.map(|empty| match empty {
        true => Match::AsPathEmpty,
        false => not(Match::AsPathEmpty),
    }));
    if path.min_length.is_some() || path.max_length.is_some() {
        let hops = path.min_length.unwrap_or(0)..=path.max_length.unwrap_or(u32::MAX);
        when.push(Match::AsPathLength(hops));
    }
}

/// `next_hop_self`: what an accepting rule does where it says nothing of it.
fn changes(rule: &RuleSet, next_hop_self: bool) -> Vec<Set> {
    let mut sets = Vec::new();
    sets.extend(rule.local_pref.map(Set::LocalPref));
    sets.extend(rule.med.map(|med| Set::Med(Some(med))));
    if !rule.remove_communities.is_empty() {
        sets.push(Set::RemoveCommunities(rule.remove_communities.as_slice().into()));
    }
    if !rule.add_communities.is_empty() {
        sets.push(Set::AddCommunities(rule.add_communities.as_slice().into()));
    }
    if !rule.remove_large_communities.is_empty() {
        sets.push(Set::RemoveLargeCommunities(rule.remove_large_communities.as_slice().into()));
    }
    if !rule.add_large_communities.is_empty() {
        sets.push(Set::AddLargeCommunities(rule.add_large_communities.as_slice().into()));
    }
    if rule.prepend > 0 {
        sets.push(Set::Prepend(rule.prepend));
    }
    if rule.next_hop_self.unwrap_or(next_hop_self) {
        sets.push(Set::NextHopSelf);
    }
    sets
}
