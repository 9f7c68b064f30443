use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use super::{Match, Policy, Rule, Set, Source, Then};
use crate::rib::{PeerKey, PeerKind};
use crate::types::{Asn, Attributes, NextHop, Prefix};

/// Where a route under judgement came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rib) enum Learned {
    /// Our own.
    Here,
    /// From a peer.
    From { key: PeerKey, kind: PeerKind, address: IpAddr },
}

/// What the changes of a rule need to know beside the route.
#[derive(Debug, Clone, Copy)]
pub(in crate::rib) struct Setting {
    /// What is prepended: our AS on export, the peer's on import.
    pub(in crate::rib) asn: Asn,
    /// Next hop self; without one, a rule that asks for it leaves the next hop alone.
    pub(in crate::rib) next_hop: Option<NextHop>,
}

/// How a policy ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rib) enum Verdict<'a> {
    /// Accepted, with the changes of these rules, in order. Empty where nothing changes, and
    /// the same rules change the same attributes in the same way.
    Accept(Vec<u16>),
    /// Refused; why.
    Reject(&'a Arc<str>),
}

/// What [`Judge::apply`] changed that export must then leave alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::rib) struct Touched {
    /// A rule has set the MED.
    pub(in crate::rib) med: bool,
    /// A rule asks for next hop self.
    pub(in crate::rib) next_hop: bool,
}

/// `otherwise`, in the list of an accepting verdict.
const OTHERWISE: u16 = u16::MAX;

/// Rules whose part that does not depend on the prefix is remembered.
const REMEMBERED: usize = 64;

/// A policy applied to one set of attributes from one source; asked for any number of prefixes.
pub(in crate::rib) struct Judge<'a> {
    policy: &'a Policy,
    attributes: &'a Attributes,
    learned: Learned,
    setting: Setting,
    /// Rules, by bit, whose conditions on attributes and source hold.
    holds: u64,
    /// Rules, by bit, that have conditions on the prefix as well.
    asks_prefix: u64,
    /// The verdict, once it is known to be the same for every prefix.
    constant: Option<Verdict<'a>>,
}

impl<'a> Judge<'a> {
    pub(in crate::rib) fn new(
        policy: &'a Policy,
        attributes: &'a Attributes,
        learned: Learned,
        setting: Setting,
    ) -> Judge<'a> {
        let (mut holds, mut asks_prefix) = (0, 0);
        for (index, rule) in policy.rules.iter().enumerate().take(REMEMBERED) {
            let mut may = true;
            for condition in &rule.when {
                if asks_prefix_of(condition) {
                    asks_prefix |= 1 << index;
                } else {
                    may &= matches_route(condition, attributes, learned);
                }
            }
            holds |= u64::from(may) << index;
        }
        Judge { policy, attributes, learned, setting, holds, asks_prefix, constant: None }
    }

    /// The verdict on `prefix`.
    pub(in crate::rib) fn verdict(&mut self, prefix: Prefix) -> Verdict<'a> {
        if let Some(verdict) = &self.constant {
            return verdict.clone();
        }
        let mut asked = false;
        let verdict = self.evaluate(prefix, &mut asked);
        if !asked {
            self.constant = Some(verdict.clone());
        }
        verdict
    }

    /// The same verdict for every prefix, where the first one asked shows that.
    pub(in crate::rib) fn is_constant(&self) -> bool {
        self.constant.is_some()
    }

    fn evaluate(&self, prefix: Prefix, asked: &mut bool) -> Verdict<'a> {
        let mut current = Cow::Borrowed(self.attributes);
        let mut applied = Vec::new();
        for (index, rule) in self.policy.rules.iter().enumerate() {
            let changed = matches!(current, Cow::Owned(_));
            if !self.applies(index, rule, prefix, &current, changed, asked) {
                continue;
            }
            let number = u16::try_from(index).unwrap_or(OTHERWISE);
            match &rule.then {
                Then::Accept(sets) => {
                    if !sets.is_empty() {
                        applied.push(number);
                    }
                    return Verdict::Accept(applied);
                }
                Then::Reject => return Verdict::Reject(&rule.name),
                Then::RejectClaimed(claims) => {
                    *asked = true;
                    if let Some(reason) = claims.overlapping(prefix) {
                        return Verdict::Reject(reason);
                    }
                }
                Then::Continue(sets) => {
                    if !sets.is_empty() {
                        applied.push(number);
                        let mut touched = Touched::default();
                        change(current.to_mut(), sets, self.setting, &mut touched);
                    }
                }
            }
        }
        match &self.policy.otherwise.then {
            Then::Accept(sets) => {
                if !sets.is_empty() {
                    applied.push(OTHERWISE);
                }
                Verdict::Accept(applied)
            }
            Then::RejectClaimed(claims) => {
                *asked = true;
                Verdict::Reject(claims.overlapping(prefix).unwrap_or(&self.policy.otherwise.name))
            }
            Then::Reject | Then::Continue(_) => Verdict::Reject(&self.policy.otherwise.name),
        }
    }

    fn applies(
        &self,
        index: usize,
        rule: &Rule,
        prefix: Prefix,
        attributes: &Attributes,
        changed: bool,
        asked: &mut bool,
    ) -> bool {
        let remembered = index < REMEMBERED && !changed;
        if remembered && self.holds & (1 << index) == 0 {
            return false;
        }
        if remembered && self.asks_prefix & (1 << index) == 0 {
            return true;
        }
        *asked = true;
        rule.when.iter().all(|condition| {
            if asks_prefix_of(condition) {
                matches_prefix(condition, prefix)
            } else {
                remembered || matches_route(condition, attributes, self.learned)
            }
        })
    }

    /// The attributes after the changes of an accepting verdict.
    pub(in crate::rib) fn apply(&self, applied: &[u16]) -> (Attributes, Touched) {
        let mut attributes = self.attributes.clone();
        let mut touched = Touched::default();
        for number in applied {
            let rule = match *number {
                OTHERWISE => Some(&self.policy.otherwise),
                number => self.policy.rules.get(usize::from(number)),
            };
            if let Some(Then::Accept(sets) | Then::Continue(sets)) = rule.map(|rule| &rule.then) {
                change(&mut attributes, sets, self.setting, &mut touched);
            }
        }
        (attributes, touched)
    }
}

fn asks_prefix_of(condition: &Match) -> bool {
    match condition {
        Match::PrefixIn(_) | Match::Overlaps(_) => true,
        Match::Not(inner) => asks_prefix_of(inner),
        _ => false,
    }
}

fn matches_prefix(condition: &Match, prefix: Prefix) -> bool {
    match condition {
        Match::PrefixIn(set) => set.admits(prefix),
        Match::Overlaps(set) => set.overlaps(prefix),
        Match::Not(inner) => !matches_prefix(inner, prefix),
        _ => false,
    }
}

fn matches_route(condition: &Match, attributes: &Attributes, learned: Learned) -> bool {
    let path = &attributes.as_path;
    match condition {
        Match::NextHopIn(addresses) => addresses.contains(&attributes.next_hop.address()),
        Match::NextHopWithin(set) => set.admits(Prefix::host(attributes.next_hop.address())),
        Match::NeighborAs(set) => path.first().is_some_and(|asn| set.contains(asn)),
        Match::AsPathContains(set) => path.iter().any(|asn| set.contains(asn)),
        Match::OriginatedBy(set) => path.origin().is_some_and(|asn| set.contains(asn)),
        Match::AsPathEmpty => path.segments.is_empty(),
        Match::AsPathLength(hops) => {
            u32::try_from(path.hops()).is_ok_and(|length| hops.contains(&length))
        }
        Match::Communities(all) => {
            let present = &attributes.communities;
            all.iter().all(|form| present.iter().any(|community| form.matches(*community)))
        }
        Match::LargeCommunities(all) => {
            let present = &attributes.large_communities;
            all.iter().all(|form| present.iter().any(|community| form.matches(*community)))
        }
        Match::Origin(origin) => attributes.origin == *origin,
        Match::Source(source) => matches_source(*source, learned),
        Match::FromPeer(addresses) => match learned {
            Learned::Here => false,
            Learned::From { address, .. } => addresses.contains(&address),
        },
        Match::FromPeerWithin(set) => match learned {
            Learned::Here => false,
            Learned::From { address, .. } => set.admits(Prefix::host(address)),
        },
        Match::Not(inner) => !matches_route(inner, attributes, learned),
        Match::PrefixIn(_) | Match::Overlaps(_) => false,
    }
}

fn matches_source(source: Source, learned: Learned) -> bool {
    match (source, learned) {
        (Source::Local, Learned::Here) => true,
        (Source::External, Learned::From { kind, .. }) => kind == PeerKind::External,
        (Source::Internal, Learned::From { kind, .. }) => kind != PeerKind::External,
        (Source::Peer(wanted), Learned::From { key, .. }) => wanted == key,
        _ => false,
    }
}

fn change(attributes: &mut Attributes, sets: &[Set], setting: Setting, touched: &mut Touched) {
    for set in sets {
        match set {
            Set::LocalPref(value) => attributes.local_pref = Some(*value),
            Set::Med(value) => {
                attributes.med = *value;
                touched.med = true;
            }
            Set::AddCommunities(added) => add(&mut attributes.communities, added),
            Set::AddLargeCommunities(added) => add(&mut attributes.large_communities, added),
            Set::RemoveCommunities(forms) => {
                remove(&mut attributes.communities, |community| {
                    forms.iter().any(|form| form.matches(community))
                });
            }
            Set::RemoveLargeCommunities(forms) => {
                remove(&mut attributes.large_communities, |community| {
                    forms.iter().any(|form| form.matches(community))
                });
            }
            Set::Prepend(times) => {
                attributes.as_path = attributes.as_path.prepend(setting.asn, usize::from(*times));
            }
            Set::NextHopSelf => {
                attributes.next_hop = setting.next_hop.unwrap_or(attributes.next_hop);
                touched.next_hop = true;
            }
        }
    }
}

/// Keeps the list sorted, and each entry once.
fn add<T: Copy + Ord>(list: &mut Box<[T]>, added: &[T]) {
    let mut all: Vec<T> = list.iter().chain(added).copied().collect();
    all.sort_unstable();
    all.dedup();
    *list = all.into();
}

fn remove<T: Copy>(list: &mut Box<[T]>, goes: impl Fn(T) -> bool) {
    if list.iter().any(|entry| goes(*entry)) {
        *list = list.iter().copied().filter(|entry| !goes(*entry)).collect();
    }
}
