//! What peers of one kind are sent of a route: whether at all, and with which attributes. Pure.

use std::sync::Arc;

use super::base::Ours;
use super::decision::DEFAULT_LOCAL_PREF;
use super::intern::Interner;
use super::loc::Best;
use super::next_hop::{Local, passed_on};
use super::peers::Peers;
use super::policy::{Judge, Learned, Policy, Setting, Touched, Verdict};
use super::{PeerKind, RibPeer};
use crate::types::{
    Asn, Attributes, ClusterId, Community, ExtendedCommunity, Families, Family, Prefix, Role,
    RouterId,
};
use crate::wire::Codec;

/// What decides about the bytes a peer is sent: peers alike in it share an update group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Towards {
    kind: PeerKind,
    pub(super) families: Families,
    pub(super) codec: Codec,
    local: Local,
    local_asn: Option<Asn>,
    /// What we are to them, where they are external (RFC 9234).
    role: Option<Role>,
    pub(super) policy: Arc<Policy>,
}

impl Towards {
    pub(super) fn of(peer: &RibPeer) -> Towards {
        Towards {
            kind: peer.kind,
            families: peer.families,
            codec: peer.codec,
            local: Local::of(peer),
            local_asn: peer.rules.local_asn.filter(|_| peer.kind == PeerKind::External),
            role: peer.rules.role.filter(|_| peer.kind == PeerKind::External),
            policy: peer.export.clone(),
        }
    }
}

/// What the rooms of Adj-RIB-Out read and never change.
#[derive(Clone, Copy)]
pub(super) struct World<'a> {
    pub(super) ours: Ours,
    pub(super) attrs: &'a Interner,
    pub(super) peers: &'a Peers,
}

/// One attribute set from one source, on its way to one group; asked for any number of prefixes.
pub(super) struct Export<'a> {
    towards: &'a Towards,
    family: Family,
    /// Our AS as they see it.
    asn: Asn,
    cluster: ClusterId,
    learned: Learned,
    /// The source's router id, where it must become ORIGINATOR_ID.
    reflected: Option<RouterId>,
    judge: Judge<'a>,
    /// By the rules that accepted: what is sent, or that nothing can be.
    made: Vec<(Vec<u16>, Option<Attributes>)>,
    /// For every prefix the same.
    constant: Option<Option<usize>>,
}

impl<'a> Export<'a> {
    /// `None` where the group is sent nothing of it, whatever the prefix.
    pub(super) fn new(
        towards: &'a Towards,
        world: World<'a>,
        family: Family,
        best: Best,
    ) -> Option<Export<'a>> {
        let attributes = world.attrs.get(best.used);
        let learned = world.peers.learned(best.from);
        if !is_passed_on(towards.kind, learned, attributes)
            || (attributes.only_to_customer.is_some()
                && towards.role.is_some_and(Role::marks_on_import))
        {
            return None;
        }
        let source = world.peers.of(best.from).map(|peer| &peer.info);
        let inside = |kind: PeerKind| kind != PeerKind::External;
        let reflected = source
            .filter(|source| inside(source.kind) && inside(towards.kind))
            .map(|source| source.router_id);
        let asn = towards.local_asn.unwrap_or(world.ours.asn);
        let setting = Setting { asn, next_hop: towards.local.next_hop(family) };
        Some(Export {
            towards,
            family,
            asn,
            cluster: world.ours.cluster_id,
            learned,
            reflected,
            judge: Judge::new(&towards.policy, attributes, learned, setting),
            made: Vec::new(),
            constant: None,
        })
    }

    /// What `prefix` is sent with, by its number for [`Export::attributes`]; `None` where it is
    /// not sent.
    pub(super) fn verdict(&mut self, prefix: Prefix) -> Option<usize> {
        if let Some(constant) = self.constant {
            return constant;
        }
        let number = match self.judge.verdict(prefix) {
            Verdict::Accept(rules) => self.made_by(rules),
            Verdict::Reject(_) => None,
        };
        if self.judge.is_constant() {
            self.constant = Some(number);
        }
        number
    }

    /// The attributes of a number that [`Export::verdict`] gave.
    pub(super) fn attributes(&self, number: usize) -> Option<&Attributes> {
        self.made.get(number)?.1.as_ref()
    }

    fn made_by(&mut self, rules: Vec<u16>) -> Option<usize> {
        let known = self.made.iter().position(|(known, _)| *known == rules);
        let number = known.unwrap_or_else(|| {
            let (attributes, touched) = self.judge.apply(&rules);
            self.made.push((rules, self.rewrite(attributes, touched)));
            self.made.len() - 1
        });
        self.attributes(number).map(|_| number)
    }

    /// What the kind of peer makes of a route; `None` where there is no next hop to send.
    fn rewrite(&self, mut route: Attributes, touched: Touched) -> Option<Attributes> {
        let own = self.towards.local.next_hop(self.family);
        let here = self.learned == Learned::Here;
        let external = self.towards.kind == PeerKind::External;
        route.next_hop = if touched.next_hop {
            own?
        } else if here && !route.next_hop.address().is_unspecified() {
            route.next_hop
        } else if here || external {
            own?
        } else {
            passed_on(route.next_hop)?
        };
        if !self.towards.local.carries(route.next_hop, self.family) {
            return None;
        }
        if external {
            route.as_path = route.as_path.prepend(self.asn, 1);
            route.local_pref = None;
            route.originator_id = None;
            route.cluster_list = Box::default();
            if self.towards.role.is_some_and(Role::marks_on_export) {
                route.only_to_customer.get_or_insert(self.asn);
            }
            if !here && !touched.med {
                route.med = None;
            }
            if !route.extended_communities.iter().all(is_transitive) {
                let transitive = route.extended_communities.iter().copied().filter(is_transitive);
                route.extended_communities = transitive.collect();
            }
        } else {
            route.local_pref.get_or_insert(DEFAULT_LOCAL_PREF);
        }
        if let Some(source) = self.reflected {
            reflect(&mut route, source, self.cluster);
        }
        Some(route)
    }
}

/// RFC 4456 section 8.
fn reflect(route: &mut Attributes, source: RouterId, cluster: ClusterId) {
    route.originator_id.get_or_insert(source);
    route.cluster_list =
        std::iter::once(cluster).chain(route.cluster_list.iter().copied()).collect();
}

/// Whether a route that is not our own may cross into another AS with it (RFC 4360 section 2).
fn is_transitive(community: &ExtendedCommunity) -> bool {
    let [high, ..] = community.0;
    high & 0x40 == 0
}

/// The rules that hold whatever policy says: RFC 1997 for communities of learned routes, RFC
/// 4271 section 9.2 and RFC 4456 section 6 for what internal peers sent.
fn is_passed_on(to: PeerKind, learned: Learned, attributes: &Attributes) -> bool {
    let Learned::From { kind: from, .. } = learned else { return true };
    let says = |community| attributes.communities.contains(&community);
    if says(Community::NO_ADVERTISE) {
        return false;
    }
    match (from, to) {
        (_, PeerKind::External) => {
            !says(Community::NO_EXPORT) && !says(Community::NO_EXPORT_SUBCONFED)
        }
        (PeerKind::Internal, PeerKind::Internal) => false,
        _ => true,
    }
}
