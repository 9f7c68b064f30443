//! What a speaker's core does at one turn, as the real one: news to the RIB, changes told,
//! deferral judged, bytes handed to peers with room. Each turn is bounded, and looks at what it
//! did.

use twill_bgp_proto::rib::{PeerKey, PeerRules, RibPeer, RoutesFrom};
use twill_bgp_proto::session::{Event as Input, Negotiated};
use twill_bgp_proto::types::{Families, Family};
use twill_bgp_proto::wire::{RefreshKind, RouteRefresh, Update};

use crate::clock::Event;
use crate::speaker::News;
use crate::topology::{ipv4_of, ipv6_of};
use crate::world::World;

/// Chunks of UPDATEs between the core and a session.
const TRANSMIT_CHUNKS: usize = 4;

/// Chunks handed out at one turn.
const CHUNKS_AT_ONCE: usize = 64;

impl World {
    /// The core of a speaker gets a turn soon.
    pub(crate) fn schedule_core(&mut self, speaker: u32) {
        let Some(it) = self.running(speaker).filter(|it| !it.due) else { return };
        it.due = true;
        let delay = 1 + self.random.below(self.settings.turn);
        self.plan(delay, Event::Core { speaker });
    }

    pub(crate) fn core(&mut self, speaker: u32) {
        if self.is_stopped(speaker, Event::Core { speaker }) {
            return;
        }
        let (news, told) = (self.settings.news, self.settings.told);
        let Some(it) = self.running(speaker) else { return };
        it.due = false;
        for _ in 0..news {
            let Some((peer, news)) = self.running(speaker).and_then(|it| it.inbox.pop_front())
            else {
                break;
            };
            self.hear(speaker, peer, news);
        }
        let mut changes = std::mem::take(&mut self.changes);
        let Some(it) = self.running(speaker) else { return };
        let changed = !it.rib.is_settled();
        it.unsettled = it.rib.settle(told, Some(&mut changes));
        it.rib.take_refusals();
        for change in &changes {
            self.look_at(speaker, change);
        }
        changes.clear();
        self.changes = changes;
        if changed {
            self.all_may_send(speaker);
        }
        self.judge_deferral(speaker);
        self.transmit(speaker);
        let Some(it) = self.running(speaker) else { return };
        if !it.is_idle() {
            self.schedule_core(speaker);
        }
    }

    fn hear(&mut self, speaker: u32, peer: u32, news: News) {
        let key = PeerKey(peer);
        match news {
            News::Up(negotiated, number) => self.hear_up(speaker, peer, &negotiated, number),
            News::Down(retained) => {
                let address = self.neighbor_address(speaker, peer);
                let Some(it) = self.running(speaker) else { return };
                it.rib.peer_down(key, retained);
                if let Some(address) = address {
                    it.deferral.down(address);
                }
                if let Some(it) = it.peers.get_mut(peer as usize) {
                    it.live = None;
                    it.stale = retained;
                }
                self.look_at_forgotten(speaker, peer, Families::ALL.minus(retained));
            }
            News::Update(update) => self.hear_update(speaker, peer, update),
            News::Refresh(refresh) => self.hear_refresh(speaker, peer, refresh),
            News::ForgetStale(families) => {
                let Some(it) = self.running(speaker) else { return };
                it.rib.forget_stale(key, families);
                if let Some(it) = it.peers.get_mut(peer as usize) {
                    it.stale = it.stale.minus(families);
                }
                self.look_at_stale(speaker, peer, families);
            }
        }
    }

    fn neighbor_address(&self, speaker: u32, peer: u32) -> Option<std::net::IpAddr> {
        let member = self.topology.members.get(speaker as usize)?;
        Some(ipv4_of(member.peers.get(peer as usize)?.speaker).into())
    }

    fn hear_up(&mut self, speaker: u32, peer: u32, negotiated: &Negotiated, number: u32) {
        let Some(neighbor) =
            self.topology.members.get(speaker as usize).and_then(|it| it.peers.get(peer as usize))
        else {
            return;
        };
        let Some(other) = self.topology.members.get(neighbor.speaker as usize) else { return };
        let address = ipv4_of(neighbor.speaker).into();
        let who = (speaker, peer);
        let shut = |set: &std::collections::BTreeSet<(u32, u32)>| set.contains(&who);
        let nothing = crate::topology::nothing;
        let (import, export) = (neighbor.import.clone(), neighbor.export.clone());
        let info = RibPeer {
            kind: neighbor.kind,
            asn: other.asn,
            router_id: negotiated.open.router_id,
            address,
            families: negotiated.codec.families,
            codec: negotiated.codec,
            local_ipv4: Some(ipv4_of(speaker)),
            local_ipv6: Some(ipv6_of(speaker)),
            local_link_local: None,
            rules: PeerRules {
                own_as_first: true,
                graceful_shutdown: true,
                enhanced_refresh: negotiated.enhanced_refresh,
                ..PeerRules::default()
            },
            import: if shut(&self.truth.shut_in) { nothing() } else { import },
            export: if shut(&self.truth.shut_out) { nothing() } else { export },
        };
        let promised = negotiated.end_of_rib.and(negotiated.codec.families);
        let now = self.clock.instant(self.now);
        let Some(it) = self.running(speaker) else { return };
        it.rib.peer_up(PeerKey(peer), info);
        it.deferral.up(address, promised, negotiated.peer_restarted, now);
        if let Some(at) = it.deferral.poll_timeout() {
            let delay = self.clock.micros(at).saturating_sub(self.now);
            self.plan(delay, Event::Deferral { speaker });
        }
        if let Some(it) = self.peer(speaker, peer) {
            it.live = Some(number);
            it.full = false;
        }
        self.may_send(speaker, peer);
    }

    fn hear_update(&mut self, speaker: u32, peer: u32, mut update: Update) {
        for reach in &mut update.reach {
            reach.attributes = self.share(reach.attributes.clone());
        }
        let now = self.clock.instant(self.now);
        let ended = update.end_of_rib;
        let address = self.neighbor_address(speaker, peer);
        let Some(it) = self.running(speaker) else { return };
        it.rib.update(PeerKey(peer), update);
        if let (Some(family), Some(address)) = (ended, address) {
            it.deferral.end_of_rib(address, family, now);
        }
    }

    fn hear_refresh(&mut self, speaker: u32, peer: u32, refresh: RouteRefresh) {
        let (Some(family), key) = (refresh.family, PeerKey(peer)) else { return };
        let Some(it) = self.running(speaker) else { return };
        match refresh.kind {
            RefreshKind::Request => {
                it.rib.refresh(key, family);
                self.may_send(speaker, peer);
            }
            RefreshKind::Begin => it.rib.begin_refresh(key, family),
            RefreshKind::End => it.rib.end_refresh(key, family),
            RefreshKind::Unknown(_) => {}
        }
    }

    /// The deferral's end, once all that came in is told.
    fn judge_deferral(&mut self, speaker: u32) {
        let Some(it) = self.running(speaker) else { return };
        if it.synced || it.unsettled || it.deferral.over().is_none() {
            return;
        }
        it.synced = true;
        it.rib.release_end_of_rib();
        let peers = it.peers.len() as u32;
        self.sweep(speaker);
        self.all_may_send(speaker);
        for peer in 0..peers {
            self.input(speaker, peer, Input::RestartOver);
        }
    }

    /// Whoever the RIB has something for may be sent it.
    pub(crate) fn all_may_send(&mut self, speaker: u32) {
        let Some(it) = self.running(speaker) else { return };
        let writers: Vec<PeerKey> = it.rib.writers().collect();
        for key in writers {
            self.may_send(speaker, key.0);
        }
    }

    pub(crate) fn may_send(&mut self, speaker: u32, peer: u32) {
        let Some(it) = self.running(speaker) else { return };
        let Some(other) = it.peers.get_mut(peer as usize) else { return };
        if other.live.is_some() && !other.full && !other.queued {
            other.queued = true;
            it.sendable.push_back(peer);
        }
    }

    fn transmit(&mut self, speaker: u32) {
        let chunk = self.settings.chunk;
        let mut left = CHUNKS_AT_ONCE;
        while left > 0
            && let Some(it) = self.running(speaker)
            && let Some(peer) = it.sendable.pop_front()
        {
            let Some(other) = it.peers.get_mut(peer as usize) else { continue };
            other.queued = false;
            let Some(live) = other.live.filter(|_| !other.full) else { continue };
            // The session is gone; the word of it is on its way.
            if other.up.is_none() || live != other.sessions {
                continue;
            }
            if other.chunks.len() >= TRANSMIT_CHUNKS {
                other.full = true;
                continue;
            }
            let Some(bytes) = it.rib.poll_transmit(PeerKey(peer), chunk) else { continue };
            left -= 1;
            let direction = other.up;
            if !bytes.is_empty() {
                other.chunks.push_back(bytes);
            }
            other.queued = true;
            it.sendable.push_back(peer);
            if let Some(direction) = direction {
                self.write(speaker, peer, direction);
            }
        }
    }

    /// Follows a change into the kernel.
    pub(crate) fn install(&mut self, speaker: u32, change: &twill_bgp_proto::rib::Change) {
        let Some(kernel) = self.running(speaker).and_then(|it| it.kernel.as_mut()) else { return };
        let new = change.new.as_ref().filter(|route| route.from != RoutesFrom::Local);
        match new {
            Some(route) => {
                kernel.adopted.remove(&change.prefix);
                kernel.routes.insert(change.prefix, route.attributes.next_hop.address());
            }
            None => {
                if !kernel.adopted.contains(&change.prefix)
                    && kernel.routes.remove(&change.prefix).is_some()
                {
                    self.counters.kernel_losses += 1;
                }
            }
        }
    }

    /// The first exchange is complete: what nobody confirmed goes.
    fn sweep(&mut self, speaker: u32) {
        let Some(kernel) = self.running(speaker).and_then(|it| it.kernel.as_mut()) else { return };
        let swept = std::mem::take(&mut kernel.adopted);
        let mut losses = 0;
        for prefix in swept {
            losses += u64::from(kernel.routes.remove(&prefix).is_some());
        }
        self.counters.kernel_losses += losses;
    }

    /// Routes in all kernels.
    #[cfg(test)]
    pub(crate) fn installed(&self) -> usize {
        let kernels = self.speakers.iter().filter_map(|it| it.kernel.as_ref());
        kernels.map(|kernel| kernel.routes.len()).sum()
    }

    /// Counters of both families.
    pub(crate) fn count(
        &self,
        speaker: u32,
        peer: u32,
        families: Families,
        what: impl Fn(twill_bgp_proto::rib::PeerCounters) -> u32,
    ) -> u32 {
        let Some(it) = self.speakers.get(speaker as usize) else { return 0 };
        Family::ALL
            .into_iter()
            .filter(|family| families.contains(*family))
            .map(|family| what(it.rib.counters(PeerKey(peer), family)))
            .sum()
    }
}
