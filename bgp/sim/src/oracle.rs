//! What is right: the best routes that speakers must come to once all is told, computed prefix by
//! prefix from the topology and the truth alone, with rules written down a second time.
//!
//! A route spreads from whoever announces it, by instant messages in the order of a queue, until
//! nobody changes their mind. Nothing here knows sessions, timers or the RIB.

use std::collections::VecDeque;
use std::rc::Rc;

use twill_bgp_proto::rib::PeerKind;
use twill_bgp_proto::types::Prefix;

use crate::topology::{Shape, Topology, owner_of};
use crate::world::Truth;

/// The best route of a prefix, or a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Right {
    /// The neighbour, by key; `None`: its own.
    pub(crate) from: Option<u32>,
    /// The speaker that packets go to.
    pub(crate) next_hop: u32,
    /// The ASes, nearest first.
    pub(crate) path: Rc<[u32]>,
    /// The identifier of who brought it into the AS.
    pub(crate) originator: Option<u32>,
    /// The clusters it was reflected through, nearest first.
    pub(crate) clusters: Rc<[u32]>,
    pub(crate) version: u32,
    /// Before an own route nobody's counts.
    own: bool,
}

/// Computes one prefix after the other.
pub(crate) struct Oracle<'a> {
    topology: &'a Topology,
    truth: &'a Truth,
    /// Which sessions there are: speaker and key.
    joined: &'a dyn Fn(u32, u32) -> bool,
    heard: Vec<Vec<Right>>,
    best: Vec<Option<Right>>,
    waiting: Vec<bool>,
    /// Speakers that pass on what they learn within the AS.
    passes_on: Vec<bool>,
}

impl<'a> Oracle<'a> {
    pub(crate) fn new(
        topology: &'a Topology,
        truth: &'a Truth,
        joined: &'a dyn Fn(u32, u32) -> bool,
    ) -> Oracle<'a> {
        let count = topology.members.len();
        let passes = |member: &crate::topology::Member| {
            member.peers.iter().any(|peer| peer.kind != PeerKind::Internal)
        };
        Oracle {
            topology,
            truth,
            joined,
            heard: vec![Vec::new(); count],
            best: vec![None; count],
            waiting: vec![false; count],
            passes_on: topology.members.iter().map(passes).collect(),
        }
    }

    /// The best routes of `prefix` by speaker, `runs` says who is there at all. An error where
    /// they never come to rest, which is a fault of the topology.
    pub(crate) fn solve(
        &mut self,
        prefix: Prefix,
        runs: &dyn Fn(u32) -> bool,
    ) -> Result<&[Option<Right>], String> {
        self.heard.iter_mut().for_each(Vec::clear);
        self.best.fill(None);
        let mut queue = VecDeque::new();
        for (speaker, version) in self.announcers(prefix) {
            if !runs(speaker) {
                continue;
            }
            let own = Right {
                from: None,
                next_hop: speaker,
                path: Rc::from([]),
                originator: None,
                clusters: Rc::from([]),
                version,
                own: true,
            };
            if let Some(heard) = self.heard.get_mut(speaker as usize) {
                heard.push(own);
            }
            self.wake(speaker, &mut queue);
        }
        let mut left = 64 * self.topology.members.len() + 64;
        while let Some(speaker) = queue.pop_front() {
            left = left.checked_sub(1).ok_or_else(|| format!("{prefix} never comes to rest"))?;
            if let Some(waiting) = self.waiting.get_mut(speaker as usize) {
                *waiting = false;
            }
            self.decide(speaker, prefix, &mut queue);
        }
        Ok(&self.best)
    }

    fn announcers(&self, prefix: Prefix) -> Vec<(u32, u32)> {
        let mut announcers: Vec<(u32, u32)> = self
            .truth
            .rogues
            .iter()
            .filter(|(_, taken)| *taken == prefix)
            .map(|(speaker, _)| (*speaker, 0))
            .collect();
        if let Some((speaker, index)) = owner_of(prefix) {
            let versions = self.truth.announced.get(speaker as usize);
            if let Some(version) = versions.and_then(|it| it.get(index as usize).copied().flatten())
            {
                announcers.push((speaker, version));
            }
        }
        announcers
    }

    fn wake(&mut self, speaker: u32, queue: &mut VecDeque<u32>) {
        if let Some(waiting) = self.waiting.get_mut(speaker as usize)
            && !std::mem::replace(waiting, true)
        {
            queue.push_back(speaker);
        }
    }

    fn decide(&mut self, speaker: u32, prefix: Prefix, queue: &mut VecDeque<u32>) {
        let place = speaker as usize;
        let topology = self.topology;
        let (Some(heard), Some(member)) = (self.heard.get(place), topology.members.get(place))
        else {
            return;
        };
        let best = heard.iter().min_by_key(|route| self.measure(speaker, route)).cloned();
        if self.best.get(place) == Some(&best) {
            return;
        }
        let old = self.best.get_mut(place).and_then(|slot| std::mem::replace(slot, best.clone()));
        let within = |route: &Option<Right>| match route {
            Some(route) => route.from.is_some_and(|key| {
                member.peers.get(key as usize).is_some_and(|it| it.kind == PeerKind::Internal)
            }),
            None => true,
        };
        let passes = self.passes_on.get(place).copied().unwrap_or(true);
        if !passes && within(&old) && within(&best) {
            return;
        }
        for (key, neighbor) in (0u32..).zip(&member.peers) {
            if !(self.joined)(speaker, key) {
                continue;
            }
            let sent = best.as_ref().and_then(|best| self.sent(speaker, key, best));
            let taken =
                sent.and_then(|sent| self.taken(neighbor.speaker, neighbor.back, prefix, sent));
            let Some(heard) = self.heard.get_mut(neighbor.speaker as usize) else { continue };
            let known = heard.iter().position(|route| route.from == Some(neighbor.back));
            match (known, taken) {
                (Some(known), Some(route)) if heard.get(known) == Some(&route) => continue,
                (Some(known), Some(route)) => {
                    if let Some(slot) = heard.get_mut(known) {
                        *slot = route;
                    }
                }
                (Some(known), None) => {
                    heard.swap_remove(known);
                }
                (None, Some(route)) => heard.push(route),
                (None, None) => continue,
            }
            self.wake(neighbor.speaker, queue);
        }
    }

    /// What the decision compares, the lower wins: RFC 4271 section 9.1.2.2 and RFC 4456 section
    /// 9, for routes that all have the same preference and origin, and no MED.
    fn measure(&self, speaker: u32, route: &Right) -> (bool, usize, bool, u32, usize, u32) {
        let peer = route
            .from
            .and_then(|key| self.topology.members.get(speaker as usize)?.peers.get(key as usize));
        let internal = peer.is_some_and(|peer| peer.kind != PeerKind::External);
        let address = peer.map_or(0, |peer| peer.speaker);
        let id = route.originator.or_else(|| peer.and_then(|peer| self.id(peer.speaker)));
        (!route.own, route.path.len(), internal, id.unwrap_or(0), route.clusters.len(), address)
    }

    fn id(&self, speaker: u32) -> Option<u32> {
        let member = self.topology.members.get(speaker as usize)?;
        Some(u32::from(member.router_id.to_ipv4()))
    }

    /// What `speaker` sends its neighbour `key` where `best` is its best.
    fn sent(&self, speaker: u32, key: u32, best: &Right) -> Option<Right> {
        if best.from == Some(key) || self.truth.shut_out.contains(&(speaker, key)) {
            return None;
        }
        let member = self.topology.members.get(speaker as usize)?;
        let to = member.peers.get(key as usize)?.kind;
        let from = match best.from {
            Some(from) => Some(member.peers.get(from as usize)?),
            None => None,
        };
        let mut sent = best.clone();
        if to == PeerKind::External {
            let path = std::iter::once(member.asn.get()).chain(best.path.iter().copied());
            sent.path = path.collect();
            sent.next_hop = speaker;
            (sent.originator, sent.clusters) = (None, Rc::from([]));
            return Some(sent);
        }
        if let Some(from) = from.filter(|from| from.kind != PeerKind::External) {
            // RFC 4456 section 6: what a non-client sent goes to clients alone.
            if from.kind == PeerKind::Internal && to == PeerKind::Internal {
                return None;
            }
            sent.originator = best.originator.or_else(|| self.id(from.speaker));
            let own = self.id(speaker)?;
            sent.clusters = std::iter::once(own).chain(best.clusters.iter().copied()).collect();
        }
        Some(sent)
    }

    /// What `speaker` makes of a route that its neighbour `key` sent.
    fn taken(&self, speaker: u32, key: u32, prefix: Prefix, mut route: Right) -> Option<Right> {
        let member = self.topology.members.get(speaker as usize)?;
        let neighbor = member.peers.get(key as usize)?;
        let id = self.id(speaker)?;
        let loops = route.path.contains(&member.asn.get())
            || route.originator == Some(id)
            || route.clusters.contains(&id)
            || route.next_hop == speaker;
        if loops || self.truth.shut_in.contains(&(speaker, key)) {
            return None;
        }
        if !is_its_announcers(self.topology, speaker, key, prefix, route.next_hop) {
            return None;
        }
        route.from = Some(key);
        route.own = false;
        if neighbor.kind == PeerKind::External {
            (route.originator, route.clusters) = (None, Rc::from([]));
        }
        Some(route)
    }
}

/// Whether a speaker of a mesh may accept `prefix` from its neighbour `key`: from its owner or a
/// reflector, and by way of its owner. Between ASes everything may be accepted.
pub(crate) fn is_its_announcers(
    topology: &Topology,
    speaker: u32,
    key: u32,
    prefix: Prefix,
    next_hop: u32,
) -> bool {
    if topology.shape == Shape::Ases {
        return true;
    }
    let owner = owner_of(prefix).map(|(owner, _)| owner);
    let neighbor = topology
        .members
        .get(speaker as usize)
        .and_then(|member| member.peers.get(key as usize))
        .map(|neighbor| neighbor.speaker);
    let reflects = neighbor
        .and_then(|neighbor| topology.members.get(neighbor as usize))
        .is_some_and(|neighbor| neighbor.reflector);
    owner == Some(next_hop) && (reflects || neighbor == owner)
}
