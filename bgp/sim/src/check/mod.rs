//! What must never be so, looked at as it happens.

mod quiet;

use twill_bgp_proto::rib::{Change, PeerKey, PeerKind, Route, RoutesFrom};
use twill_bgp_proto::session::Timer;
use twill_bgp_proto::types::{Attributes, Families};

use crate::oracle::is_its_announcers;
use crate::speaker::Life;
use crate::topology::speaker_at;
use crate::world::World;

impl World {
    /// A best route has changed.
    pub(crate) fn look_at(&mut self, speaker: u32, change: &Change) {
        self.counters.changes += 1;
        self.trace.word(u64::from(speaker));
        match &change.new {
            Some(route) => {
                let next_hop = speaker_at(route.attributes.next_hop.address()).unwrap_or(u32::MAX);
                self.trace.word(u64::from(next_hop) << 8 | u64::from(route.stale));
                self.look_at_route(speaker, change, route, next_hop);
            }
            None => {
                self.trace.word(u64::MAX);
                self.counters.losses += 1;
            }
        }
        self.install(speaker, change);
    }

    /// A route has a session or a graceful restart timer behind it, no loop, and an announcer
    /// who may announce it.
    fn look_at_route(&mut self, speaker: u32, change: &Change, route: &Route, next_hop: u32) {
        let prefix = change.prefix;
        let RoutesFrom::Peer(PeerKey(key)) = route.from else { return };
        let Some(it) = self.speakers.get(speaker as usize) else { return };
        let Some(peer) = it.peers.get(key as usize) else { return };
        let family = prefix.family();
        let behind = if route.stale { peer.stale.contains(family) } else { peer.live.is_some() };
        if !behind {
            let stale = route.stale;
            self.fail(|| {
                format!("speaker {speaker}: {prefix} of {key} (stale: {stale}) has no session")
            });
        }
        self.look_at_session(speaker, key);
        let Some(member) = self.topology.members.get(speaker as usize) else { return };
        if let Some(what) = looped(&route.attributes, member, next_hop == speaker) {
            self.fail(|| format!("speaker {speaker}: {prefix} of {key}: {what}"));
        }
        if !is_its_announcers(&self.topology, speaker, key, prefix, next_hop) {
            self.fail(|| {
                format!("speaker {speaker} accepts {prefix} by way of {next_hop} from {key}")
            });
        }
    }

    /// Where the core has heard all, it and the session say the same, and what is stale has a
    /// timer.
    fn look_at_session(&mut self, speaker: u32, key: u32) {
        let now = self.clock.instant(self.now);
        let Some(it) = self.speakers.get(speaker as usize) else { return };
        let Some(peer) = it.peers.get(key as usize).filter(|_| it.inbox.is_empty()) else { return };
        let (stale, held) = (peer.stale, peer.session.stale());
        let up = peer.session.established().is_some();
        let live = peer.live.is_some();
        let waits = peer
            .session
            .timers(now)
            .any(|(timer, _)| matches!(timer, Timer::Restart | Timer::StalePath));
        if stale != held || live != up || (!stale.is_empty() && !waits) {
            self.fail(|| {
                format!(
                    "speaker {speaker}, peer {key}: the core holds {stale:?} as stale, the session \
                     {held:?}; live {live}, up {up}, restart timer {waits}"
                )
            });
        }
    }

    /// A session is lost: nothing of it is left but what is kept.
    pub(crate) fn look_at_forgotten(&mut self, speaker: u32, peer: u32, families: Families) {
        let left = self.count(speaker, peer, families, |counters| counters.received);
        if left > 0 {
            self.fail(|| format!("speaker {speaker} keeps {left} routes of the lost peer {peer}"));
        }
    }

    /// Stale routes are forgotten.
    pub(crate) fn look_at_stale(&mut self, speaker: u32, peer: u32, families: Families) {
        let left = self.count(speaker, peer, families, |counters| counters.stale);
        if left > 0 {
            self.fail(|| format!("speaker {speaker} keeps {left} stale routes of peer {peer}"));
        }
    }

    /// Whether a session of `speaker` with its neighbour `key` must be up in the end.
    pub(crate) fn is_joined(&self, speaker: u32, key: u32) -> bool {
        let runs = |speaker: u32| {
            self.speakers.get(speaker as usize).is_some_and(|it| it.life == Life::Running)
        };
        let member = self.topology.members.get(speaker as usize);
        member.and_then(|member| member.peers.get(key as usize)).is_some_and(|neighbor| {
            runs(speaker)
                && runs(neighbor.speaker)
                && !self.network.is_cut(speaker, neighbor.speaker)
        })
    }
}

/// What in a route says that it has been here, or anywhere twice.
fn looped(attributes: &Attributes, member: &crate::topology::Member, own: bool) -> Option<String> {
    let mut path: Vec<_> =
        attributes.as_path.segments.iter().flat_map(|segment| segment.asns.iter()).collect();
    let id = member.router_id;
    let hops = path.len();
    path.sort();
    path.dedup();
    let mut clusters = attributes.cluster_list.to_vec();
    clusters.sort();
    clusters.dedup();
    let external = member.peers.iter().any(|peer| peer.kind == PeerKind::External);
    let path_is_looped = path.len() != hops || (external && path.contains(&&member.asn));
    (path_is_looped
        || clusters.len() != attributes.cluster_list.len()
        || clusters.iter().any(|cluster| cluster.0 == id.to_ipv4())
        || attributes.originator_id == Some(id)
        || own)
        .then(|| format!("a loop: {attributes:?}"))
}
