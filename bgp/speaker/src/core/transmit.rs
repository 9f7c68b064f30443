//! What goes out of the core: UPDATEs to peers, best paths to subscribers. Both only as fast as
//! the other side takes them; what it has not taken stays keyed by prefix.

use std::pin::Pin;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use twill_bgp_proto::rib::{PeerKey, Route, RoutesFrom};
use twill_bgp_proto::types::Prefix;

use super::Core;
use crate::peer::PeerId;
use crate::status::Notice;
use crate::subscription::{BestRoute, Flushed, Subscription, feed};

/// Octets of UPDATEs handed to a peer at once.
const CHUNK: usize = 32 * 1024;

/// Chunks handed out in one wake-up.
const CHUNKS_AT_ONCE: usize = 64;

/// Changed prefixes of each family that are told at once.
pub(super) const CHANGES_AT_ONCE: usize = 4096;

/// Somebody who had no room has room again, or is gone.
#[derive(Debug, Clone, Copy)]
pub(super) enum Room {
    Peer(PeerId),
    Feed(u64),
}

pub(super) type RoomFuture = Pin<Box<dyn Future<Output = Room> + Send>>;

impl Core {
    pub(super) fn on_room(&mut self, room: Room) {
        match room {
            Room::Peer(id) => {
                if let Some(live) = self.peer_mut(id).and_then(|peer| peer.live.as_mut()) {
                    live.waiting = false;
                    self.may_send(id.key);
                }
            }
            Room::Feed(id) => {
                if let Some(feed) = self.feeds.get_mut(&id) {
                    feed.waiting = false;
                }
            }
        }
    }

    /// Settles a bounded part of what changed in the RIB, and takes it to subscribers' maps; and
    /// takes refusals to whoever listens.
    pub(super) fn distribute(&mut self) {
        let mut changes = std::mem::take(&mut self.changes);
        let wanted = (!self.feeds.is_empty()).then_some(&mut changes);
        self.unsettled = self.rib.settle(CHANGES_AT_ONCE, wanted);
        for change in changes.drain(..) {
            let route = change.new.as_ref().map(|route| self.best_route(route));
            for feed in self.feeds.values_mut() {
                feed.push(change.prefix, route.clone(), self.received);
            }
        }
        self.changes = changes;
        let refusals = self.rib.take_refusals();
        if self.notices.receiver_count() == 0 {
            return;
        }
        for refusal in refusals {
            if let Some(peer) = self.peer_of(refusal.peer) {
                let peer = peer.config.name.clone();
                self.notice(Notice::Refused { peer, prefix: refusal.prefix, rule: refusal.rule });
            }
        }
    }

    fn best_route(&self, route: &Route) -> BestRoute {
        let peer = match route.from {
            RoutesFrom::Local => None,
            RoutesFrom::Peer(key) => self.peer_of(key).map(|peer| peer.name.clone()),
        };
        BestRoute { attributes: route.attributes.clone(), peer, stale: route.stale }
    }

    /// Whoever the RIB has something for may be sent it.
    pub(super) fn all_may_send(&mut self) {
        let writers: Vec<PeerKey> = self.rib.writers().collect();
        writers.into_iter().for_each(|key| self.may_send(key));
    }

    /// There may be something to be sent to this peer. A peer without room is not asked: its
    /// turn comes when it has some.
    pub(super) fn may_send(&mut self, key: PeerKey) {
        let Some(peer) = self.peer_of_mut(key) else { return };
        let can = peer.live.as_ref().is_some_and(|live| !live.waiting);
        if can && !peer.queued {
            peer.queued = true;
            self.sendable.push_back(key);
        }
    }

    /// Hands encoded UPDATEs to peers with room, in turn, up to the bound of one wake-up. Whether
    /// there were any.
    pub(super) fn transmit(&mut self) -> bool {
        let mut left = CHUNKS_AT_ONCE;
        let mut any = false;
        while left > 0
            && let Some(key) = self.sendable.pop_front()
        {
            let Some(peer) = self.peers.get_mut(key.0 as usize).and_then(Option::as_mut) else {
                continue;
            };
            peer.queued = false;
            let Some(live) = peer.live.as_mut().filter(|live| !live.waiting) else { continue };
            match live.transmit.try_reserve() {
                Ok(permit) => {
                    if let Some(bytes) = self.rib.poll_transmit(key, CHUNK) {
                        // Empty: a piece of work was done that found nothing to say yet.
                        if !bytes.is_empty() {
                            permit.send(bytes);
                            any = true;
                        }
                        left -= 1;
                        peer.queued = true;
                        self.sendable.push_back(key);
                    }
                }
                Err(TrySendError::Full(())) => {
                    live.waiting = true;
                    let room = room(live.transmit.clone(), Room::Peer(peer.id));
                    self.rooms.push(room);
                }
                // The session is gone; the word of it is on its way.
                Err(TrySendError::Closed(())) => {}
            }
        }
        any
    }

    pub(super) fn subscribe(&mut self) -> Subscription {
        let (mut feed, subscription) = feed();
        let now = Instant::now();
        let best: Vec<(Prefix, BestRoute)> = self
            .rib
            .best_routes()
            .map(|(prefix, route)| (prefix, self.best_route(&route)))
            .collect();
        for (prefix, route) in best {
            feed.push(prefix, Some(route), now);
        }
        self.feeds_made += 1;
        self.feeds.insert(self.feeds_made, feed);
        subscription
    }

    /// Hands changes to subscribers with room. Whether there were any to hand over.
    pub(super) fn feed_all(&mut self) -> bool {
        let readiness = self.synced;
        let mut any = false;
        let mut rooms = Vec::new();
        self.feeds.retain(|&id, feed| {
            any |= !feed.is_empty();
            let flushed = if feed.waiting { Flushed::NoRoom } else { feed.flush(readiness) };
            if flushed == Flushed::NoRoom && !feed.waiting {
                feed.waiting = true;
                let room = feed.room();
                rooms.push(Box::pin(async move {
                    room.await;
                    Room::Feed(id)
                }));
            }
            flushed != Flushed::Closed
        });
        for room in rooms {
            self.rooms.push(room);
        }
        any
    }
}

fn room<T: Send + 'static>(sender: mpsc::Sender<T>, whose: Room) -> RoomFuture {
    Box::pin(async move {
        // The permit goes back at once: whoever is at the core's turn takes it.
        drop(sender.reserve_owned().await);
        whose
    })
}
