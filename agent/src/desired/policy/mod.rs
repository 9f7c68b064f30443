//! Who may announce what, as policies of the speaker (law 5: trust nobody by default).
//!
//! In go the nodes and the outside routers; out come policies that share all that is common to
//! them, so that a mesh of a thousand nodes costs a thousand small policies and one table of
//! claims. The rules' names are what an operator reads beside a refused route.
//!
//! The operator's own rules (`import.rules`, `export.rules`) and the short form (`prefixes`,
//! `default` and so on) become rules of one list: first, on import, what nobody outside may
//! announce; then the operator's, in order; then the short form.

mod drain;
mod rules;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use twill_bgp::proto::rib::Claims;
use twill_bgp::proto::rib::policy::{
    Match, Policy, PrefixRange, PrefixSet, Rule, Set, Source, Then,
};
use twill_bgp::proto::types::Prefix;

use self::rules::Compiler;
use crate::drain::Drain;
use crate::source::{NodeView, OutsidePeer, ServiceAddresses, Snapshot};

/// What the policies of one snapshot share.
#[derive(Debug, Clone)]
pub struct Policies {
    /// Every pod CIDR and node address, with its owner's name.
    claims: Arc<Claims>,
    /// The same as prefixes, with all that lies within them.
    claimed: PrefixSet,
    transit: Transit,
    mesh_export: Arc<Policy>,
    /// Made when a reflector is among the peers: a rule per node.
    any_node: Arc<Policy>,
    own_pod_cidrs: PrefixSet,
    services: ServiceAddresses,
    rules: Compiler,
    drain: Option<Drain>,
}

/// What nodes may pass on from outside routers.
#[derive(Debug, Clone)]
struct Transit {
    ranges: PrefixSet,
    empty: bool,
}

impl Policies {
    /// Builds the shared parts.
    pub fn new(snapshot: &Snapshot) -> Policies {
        let services = snapshot.services.all.iter();
        let of_services = services
            .clone()
            .map(|host| (*host, format!("overlaps {host}, an address of a Service").into()));
        let claims = all_nodes(snapshot).flat_map(claims_of).chain(of_services);
        let claims = Arc::new(Claims::new(claims));
        let claimed = all_nodes(snapshot).flat_map(|node| {
            let addresses = node.addresses.iter().map(|address| Prefix::host(*address));
            node.pod_cidrs.iter().copied().chain(addresses).map(within)
        });
        let claimed = claimed.chain(services.copied().map(within));
        let claimed = PrefixSet::new(claimed.collect::<Vec<_>>());
        let ranges = snapshot.mesh.transit.iter().copied();
        let transit =
            Transit { ranges: PrefixSet::new(ranges), empty: snapshot.mesh.transit.is_empty() };
        let rules = Compiler::new(snapshot);
        let mut policies = Policies {
            claims,
            claimed,
            mesh_export: Arc::new(mesh_export(snapshot, &transit, &rules)),
            any_node: Arc::new(Policy::reject_all("no reflector is configured")),
            services: snapshot.services.clone(),
            own_pod_cidrs: PrefixSet::exact(snapshot.node.pod_cidrs.iter().copied()),
            rules,
            transit,
            drain: snapshot.drain,
        };
        if snapshot.nodes.values().any(|node| node.reflector.is_some()) {
            policies.any_node = Arc::new(policies.any_node_policy(snapshot));
        }
        policies
    }

    /// What a node may send: routes by way of itself, to its own pods, or within `mesh.transit`.
    pub fn import_from_node(&self, node: &NodeView) -> Arc<Policy> {
        let name = &node.name;
        let elsewhere = reject(
            format!("next hop is not an address of {name}"),
            vec![Match::Not(Box::new(next_hop_of(node)))],
        );
        let own = accept(
            format!("pod CIDR of {name}"),
            vec![Match::PrefixIn(PrefixSet::exact(node.pod_cidrs.iter().copied()))],
            Vec::new(),
        );
        Arc::new(self.or_transit(vec![elsewhere, own], name))
    }

    /// What a reflector may send: what each node might have sent itself.
    pub fn import_from_reflector(&self) -> Arc<Policy> {
        Arc::clone(&self.any_node)
    }

    fn any_node_policy(&self, snapshot: &Snapshot) -> Policy {
        let own = |node: &NodeView| {
            let cidrs = PrefixSet::exact(node.pod_cidrs.iter().copied());
            let when = vec![next_hop_of(node), Match::PrefixIn(cidrs)];
            accept(format!("pod CIDR of {}", node.name), when, Vec::new())
        };
        let addresses: BTreeSet<IpAddr> =
            snapshot.nodes.values().flat_map(|node| node.addresses.iter().copied()).collect();
        let known = Match::NextHopIn(Arc::new(addresses));
        let mut rules =
            vec![reject("next hop is not an address of any other node", vec![not(known)])];
        rules.extend(snapshot.nodes.values().map(own));
        self.or_transit(rules, "the node that is its next hop")
    }

    /// After `rules`: nothing that belongs to a node, and nothing but transit.
    fn or_transit(&self, mut rules: Vec<Rule>, name: &str) -> Policy {
        // First what lies within a claim, then the rest: a default route overlaps every claim,
        // but what is to be said of it is that it is no transit.
        let taken = |when| Rule {
            name: "overlaps a pod CIDR or a node's address".into(),
            when,
            then: Then::RejectClaimed(Arc::clone(&self.claims)),
        };
        let transit = Match::PrefixIn(self.transit.ranges.clone());
        let outside = if self.transit.empty {
            format!("not a pod CIDR of {name}")
        } else {
            format!("not a pod CIDR of {name}, and outside mesh.transit")
        };
        rules.push(taken(vec![Match::PrefixIn(self.claimed.clone())]));
        rules.push(reject(outside, vec![not(transit)]));
        rules.push(taken(Vec::new()));
        let otherwise = accept("within mesh.transit", Vec::new(), Vec::new());
        Policy { rules, otherwise }
    }

    /// What nodes are sent: our own, and what outside routers marked `mesh: true` announce within
    /// `mesh.transit`, with ourselves as the next hop.
    pub fn export_to_mesh(&self) -> Arc<Policy> {
        Arc::clone(&self.mesh_export)
    }

    /// What an outside router may send: what its rules accept, and the configured prefixes
    /// (RFC 8212), and never what is, or lies within, a pod CIDR or a node's address. Less specific prefixes, such as a default
    /// route, harm nobody: the longest prefix wins.
    pub fn import_from_outside(&self, peer: &OutsidePeer) -> Arc<Policy> {
        let name = &peer.name;
        let taken = Rule {
            name: "overlaps a pod CIDR or a node's address".into(),
            when: vec![Match::PrefixIn(self.claimed.clone())],
            then: Then::RejectClaimed(Arc::clone(&self.claims)),
        };
        let listed = accept(
            format!("import.prefixes of {name}"),
            vec![Match::PrefixIn(PrefixSet::new(peer.import.prefixes.iter().copied()))],
            Vec::new(),
        );
        let otherwise = if peer.import.accept_by_default {
            accept(format!("import.default of {name}"), Vec::new(), Vec::new())
        } else {
            reject(format!("not in import.prefixes of {name} (RFC 8212)"), Vec::new())
        };
        // Whatever the operator's rules accept, it comes after what nobody may announce.
        let mut rules = vec![taken];
        rules.extend(self.rules.compile(&peer.import.rules, name, false));
        if !peer.import.prefixes.is_empty() {
            rules.push(listed);
        }
        Arc::new(Policy { rules, otherwise })
    }

    /// What an outside router is sent: what its rules accept, and the configured prefixes
    /// (RFC 8212), changed as configured.
    pub fn export_to_outside(&self, peer: &OutsidePeer, internal: bool) -> Arc<Policy> {
        let name = &peer.name;
        let export = &peer.export;
        let mut sets = Vec::new();
        if internal {
            // An internal peer cannot be expected to reach the routers behind us.
            sets.push(Set::NextHopSelf);
        }
        if !export.communities.is_empty() {
            sets.push(Set::AddCommunities(export.communities.as_slice().into()));
        }
        if export.prepend > 0 {
            sets.push(Set::Prepend(export.prepend));
        }
        if export.med.is_some() {
            sets.push(Set::Med(export.med));
        }
        let mut rules = self.rules.compile(&export.rules, name, internal);
        if export.pod_cidrs {
            let when =
                vec![Match::Source(Source::Local), Match::PrefixIn(self.own_pod_cidrs.clone())];
            rules.push(accept("pod CIDR of this node", when, sets.clone()));
        }
        let services = &self.services;
        for (wanted, kind, addresses) in [
            (export.services.cluster, "ClusterIP", &services.cluster),
            (export.services.external, "ExternalIP", &services.external),
            (export.services.load_balancer, "load balancer's address", &services.load_balancer),
        ] {
            if wanted {
                let own = Match::PrefixIn(PrefixSet::exact(addresses.iter().copied()));
                let when = vec![Match::Source(Source::Local), own];
                rules.push(accept(format!("{kind} of a Service"), when, sets.clone()));
            }
        }
        if !export.prefixes.is_empty() {
            let listed = Match::PrefixIn(PrefixSet::new(export.prefixes.iter().copied()));
            rules.push(accept(format!("export.prefixes of {name}"), vec![listed], sets.clone()));
        }
        let otherwise = if export.accept_by_default {
            accept(format!("export.default of {name}"), Vec::new(), sets)
        } else {
            reject(format!("not in export.prefixes of {name} (RFC 8212)"), Vec::new())
        };
        let mut policy = Policy { rules, otherwise };
        drain::apply(self.drain, &mut policy);
        Arc::new(policy)
    }
}

fn mesh_export(snapshot: &Snapshot, transit: &Transit, compiler: &Compiler) -> Policy {
    let own = accept("our own", vec![Match::Source(Source::Local)], Vec::new());
    let mut rules = Vec::new();
    let mut reflected = None;
    if snapshot.services.announced().next().is_some() {
        let services = PrefixSet::exact(snapshot.services.announced().copied());
        let when = vec![Match::Source(Source::Local), Match::PrefixIn(services)];
        rules.push(reject("addresses of Services go to routers outside the mesh only", when));
    }
    rules.push(own);
    if snapshot.node.reflector.is_some() {
        // Who may be sent what others sent is the RIB's to decide (RFC 4456). A router outside the
        // mesh may be of our AS too; what it sends is no node's.
        let outside = snapshot.peers.values().map(|peer| peer.address).collect();
        let from_outside = Match::FromPeer(Arc::new(outside));
        let when = vec![Match::Source(Source::Internal), not(from_outside)];
        reflected = Some(accept("reflected", when, Vec::new()));
    }
    let peers = snapshot.peers.values().filter(|peer| peer.mesh).map(|peer| &peer.name);
    let ranges = snapshot.ranges.iter().filter(|(_, range)| range.template.mesh);
    let marked: BTreeSet<&str> =
        peers.chain(ranges.map(|(name, _)| name)).map(String::as_str).collect();
    if !marked.is_empty() {
        let mut when = compiler.learned_from(&marked);
        when.push(Match::PrefixIn(transit.ranges.clone()));
        rules.push(accept("mesh.transit", when, vec![Set::NextHopSelf]));
    }
    let otherwise = reject(
        "neither our own, nor from a peer marked mesh: true and within mesh.transit",
        Vec::new(),
    );
    let mut policy = Policy { rules, otherwise };
    drain::apply(snapshot.drain, &mut policy);
    // No packet passes through this node for a route that it reflects, and its clients may have no
    // other reflector: such routes are what they are, also of a drained node.
    policy.rules.splice(0..0, reflected);
    policy
}

fn all_nodes(snapshot: &Snapshot) -> impl Iterator<Item = &NodeView> {
    std::iter::once(&snapshot.node).chain(snapshot.nodes.values())
}

fn claims_of(node: &NodeView) -> impl Iterator<Item = (Prefix, Arc<str>)> {
    let name = &node.name;
    let cidrs = node
        .pod_cidrs
        .iter()
        .map(move |cidr| (*cidr, format!("overlaps the pod CIDR {cidr} of {name}").into()));
    let addresses = node.addresses.iter().map(move |address| {
        (Prefix::host(*address), format!("overlaps the address {address} of {name}").into())
    });
    cidrs.chain(addresses)
}

fn within(prefix: Prefix) -> PrefixRange {
    PrefixRange { prefix, ge: prefix.len(), le: prefix.max_len() }
}

fn next_hop_of(node: &NodeView) -> Match {
    Match::NextHopIn(Arc::new(node.addresses.iter().copied().collect()))
}

fn not(condition: Match) -> Match {
    Match::Not(Box::new(condition))
}

fn accept(name: impl Into<Arc<str>>, when: Vec<Match>, sets: Vec<Set>) -> Rule {
    Rule { name: name.into(), when, then: Then::Accept(sets) }
}

fn reject(name: impl Into<Arc<str>>, when: Vec<Match>) -> Rule {
    Rule { name: name.into(), when, then: Then::Reject }
}

#[cfg(test)]
mod tests;
