//! What must be so once all is quiet.

use std::net::IpAddr;

use twill_bgp_proto::rib::{PeerKey, Route, RoutesFrom};
use twill_bgp_proto::session::State;
use twill_bgp_proto::types::{Attributes, Families, Family};

use crate::boot::version_of;
use crate::oracle::{Oracle, Right};
use crate::speaker::Life;
use crate::topology::{prefix_of, speaker_at};
use crate::world::{Violation, World};

/// Routes are compared one by one up to so many sides of sessions; beyond, by number.
const EXACT: usize = 4096;

impl World {
    /// What is still going on; `None` where all is quiet.
    pub fn unrest(&self) -> Option<String> {
        let under_way = self.network.under_way();
        if under_way > 0 {
            return Some(format!("{under_way} packets are under way"));
        }
        for (number, it) in (0u32..).zip(&self.speakers) {
            if it.life != Life::Running {
                if it.booting {
                    return Some(format!("speaker {number} is yet to start"));
                }
                continue;
            }
            if it.stopped_until > self.now {
                return Some(format!("speaker {number} stands still"));
            }
            if !it.is_idle() {
                return Some(format!("the core of speaker {number} has work"));
            }
            if !it.synced {
                return Some(format!("speaker {number} waits for its peers"));
            }
            for (key, peer) in (0u32..).zip(&it.peers) {
                if !peer.session.stale().is_empty() {
                    return Some(format!("speaker {number} keeps stale routes of peer {key}"));
                }
                let state = peer.session.state();
                let joined = self.is_joined(number, key);
                if joined != (state == State::Established) {
                    let neighbor = self.topology.members.get(number as usize);
                    let neighbor = neighbor.and_then(|it| it.peers.get(key as usize));
                    let other = neighbor.map_or(u32::MAX, |it| it.speaker);
                    return Some(format!("speaker {number} is {state:?} with speaker {other}"));
                }
            }
        }
        None
    }

    /// Everything, once all is quiet.
    ///
    /// # Errors
    ///
    /// What is wrong first.
    pub fn check(&mut self) -> Result<(), Violation> {
        for what in [self.check_sessions(), self.check_tables(), self.check_routes()] {
            if let Err(what) = what {
                self.fail(|| what);
            }
        }
        match &self.violation {
            Some(violation) => Err(violation.clone()),
            None => Ok(()),
        }
    }

    /// Each session is one connection, the same at both ends.
    fn check_sessions(&self) -> Result<(), String> {
        for (number, it) in (0u32..).zip(&self.speakers) {
            if it.life != Life::Running {
                continue;
            }
            for (key, peer) in (0u32..).zip(&it.peers) {
                if !self.is_joined(number, key) {
                    continue;
                }
                let links: Vec<_> = peer.sockets.iter().flatten().map(|it| it.link).collect();
                let neighbor = self.topology.members.get(number as usize);
                let Some(neighbor) = neighbor.and_then(|it| it.peers.get(key as usize)) else {
                    continue;
                };
                let other = self
                    .speakers
                    .get(neighbor.speaker as usize)
                    .and_then(|it| it.peers.get(neighbor.back as usize));
                let theirs: Vec<_> = other
                    .into_iter()
                    .flat_map(|peer| peer.sockets.iter().flatten().map(|it| it.link))
                    .collect();
                if links.len() != 1 || links != theirs {
                    return Err(format!(
                        "speaker {number} and peer {key} talk on {links:?} and {theirs:?}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// What one side says it has sent is what the other has received, and who is away has left
    /// nothing.
    fn check_tables(&self) -> Result<(), String> {
        let exact = self.up <= EXACT;
        for (number, it) in (0u32..).zip(&self.speakers) {
            if it.life != Life::Running {
                continue;
            }
            let Some(member) = self.topology.members.get(number as usize) else { continue };
            for (key, neighbor) in (0u32..).zip(&member.peers) {
                let received = self.count(number, key, Families::ALL, |it| it.received);
                if !self.is_joined(number, key) {
                    if received > 0 {
                        return Err(format!(
                            "speaker {number} has {received} routes of peer {key}, who is away"
                        ));
                    }
                    continue;
                }
                let (other, back) = (neighbor.speaker, neighbor.back);
                for family in Family::ALL {
                    let one = Families::NONE.with(family);
                    let sent = self.count(other, back, one, |it| it.advertised);
                    let received = self.count(number, key, one, |it| it.received);
                    if sent != received {
                        return Err(format!(
                            "speaker {other} has sent {sent} {family} routes to speaker {number}, \
                             which has {received}"
                        ));
                    }
                }
                if exact {
                    self.check_what_was_sent(number, key, other, back)?;
                }
            }
        }
        Ok(())
    }

    /// Prefix by prefix, with what identifies the route.
    fn check_what_was_sent(
        &self,
        number: u32,
        key: u32,
        other: u32,
        back: u32,
    ) -> Result<(), String> {
        let told = |attributes: &Attributes| {
            (attributes.next_hop.address(), attributes.as_path.clone(), version_of(attributes))
        };
        let (Some(receiver), Some(sender)) =
            (self.speakers.get(number as usize), self.speakers.get(other as usize))
        else {
            return Ok(());
        };
        let mut sent: Vec<_> = sender
            .rib
            .advertised(PeerKey(back))
            .map(|view| (view.prefix, told(&view.attributes)))
            .collect();
        let mut received: Vec<_> = receiver
            .rib
            .received(PeerKey(key))
            .map(|view| (view.prefix, told(&view.attributes)))
            .collect();
        sent.sort_by_key(|(prefix, _)| *prefix);
        received.sort_by_key(|(prefix, _)| *prefix);
        // What the session itself adds, the next hop and the own AS, stands in both.
        if sent.len() != received.len() {
            return Err(format!(
                "speaker {other} sent {sent:?}, speaker {number} has {received:?}"
            ));
        }
        for (one, two) in sent.iter().zip(&received) {
            if one != two {
                return Err(format!(
                    "speaker {other} sent {one:?}, speaker {number} has {two:?} instead"
                ));
            }
        }
        Ok(())
    }

    /// Every best route of everyone is the right one, and leads to its owner.
    fn check_routes(&self) -> Result<(), String> {
        let joined = |speaker, key| self.is_joined(speaker, key);
        let runs = |speaker: u32| {
            self.speakers.get(speaker as usize).is_some_and(|it| it.life == Life::Running)
        };
        let mut oracle = Oracle::new(&self.topology, &self.truth, &joined);
        let mut expected = vec![0usize; self.speakers.len()];
        for owner in 0..self.topology.members.len() as u32 {
            let prefixes = self.topology.members.get(owner as usize).map_or(0, |it| it.prefixes);
            for index in 0..prefixes {
                let Some(prefix) = prefix_of(owner, index) else { continue };
                let right = oracle.solve(prefix, &runs)?;
                for (number, (it, right)) in (0u32..).zip(self.speakers.iter().zip(right)) {
                    if it.life != Life::Running {
                        continue;
                    }
                    let best = it.rib.best_route(prefix);
                    if let Some(expected) = expected.get_mut(number as usize) {
                        *expected += usize::from(best.is_some());
                    }
                    compare(best.as_ref(), right.as_ref()).map_err(|what| {
                        format!("speaker {number}, {prefix} of speaker {owner}: {what}")
                    })?;
                    if let (Some(kernel), Some(best)) = (&it.kernel, &best) {
                        let next_hop = best.attributes.next_hop.address();
                        let installed = kernel.routes.get(&prefix).copied();
                        if best.from != RoutesFrom::Local && installed != Some(next_hop) {
                            return Err(format!(
                                "speaker {number}: the kernel has {installed:?} for {prefix}, \
                                 not {next_hop}"
                            ));
                        }
                    }
                    self.follow(number, right, prefix.family(), prefix)?;
                }
            }
        }
        for (number, (it, expected)) in (0u32..).zip(self.speakers.iter().zip(expected)) {
            let learned = it.rib.best_routes().count();
            if it.life == Life::Running && learned != expected {
                return Err(format!(
                    "speaker {number} has {learned} best routes, {expected} of them known"
                ));
            }
            let local =
                it.rib.best_routes().filter(|(_, route)| route.from == RoutesFrom::Local).count();
            if let Some(kernel) = it.kernel.as_ref().filter(|_| it.life == Life::Running)
                && kernel.routes.len() != learned - local
            {
                return Err(format!(
                    "the kernel of speaker {number} has {} routes, the RIB {}",
                    kernel.routes.len(),
                    learned - local
                ));
            }
        }
        Ok(())
    }

    /// Hop by hop a packet comes to someone who announces the prefix.
    fn follow(
        &self,
        speaker: u32,
        right: &Option<Right>,
        family: Family,
        prefix: twill_bgp_proto::types::Prefix,
    ) -> Result<(), String> {
        // In a mesh the next hop is the owner, which was compared.
        if self.topology.shape != crate::topology::Shape::Ases || right.is_none() {
            return Ok(());
        }
        let mut at = speaker;
        for _ in 0..=self.speakers.len() {
            let Some(best) =
                self.speakers.get(at as usize).and_then(|it| it.rib.best_route(prefix))
            else {
                return Err(format!("from {speaker}, {prefix} ends at {at}"));
            };
            if best.from == RoutesFrom::Local {
                return Ok(());
            }
            let address: IpAddr = best.attributes.next_hop.address();
            at = speaker_at(address).ok_or_else(|| format!("{address} is no {family} next hop"))?;
        }
        Err(format!("from speaker {speaker}, packets to {prefix} go round in a circle"))
    }
}

fn compare(best: Option<&Route>, right: Option<&Right>) -> Result<(), String> {
    let found = best.map(|route| {
        let attributes = &route.attributes;
        let own = route.from == RoutesFrom::Local;
        let path = attributes.as_path.segments.iter().flat_map(|it| it.asns.iter());
        (
            match route.from {
                RoutesFrom::Local => None,
                RoutesFrom::Peer(key) => Some(key.0),
            },
            if own { None } else { speaker_at(attributes.next_hop.address()) },
            path.map(|asn| asn.get()).collect::<Vec<u32>>(),
            attributes.originator_id.map(|id| u32::from(id.to_ipv4())),
            attributes.cluster_list.iter().map(|id| u32::from(id.0)).collect::<Vec<u32>>(),
            version_of(attributes),
            route.stale,
        )
    });
    let wanted = right.map(|right| {
        (
            right.from,
            right.from.map(|_| right.next_hop),
            right.path.to_vec(),
            right.originator,
            right.clusters.to_vec(),
            Some(right.version),
            false,
        )
    });
    if found == wanted { Ok(()) } else { Err(format!("found {found:?}, right is {wanted:?}")) }
}
