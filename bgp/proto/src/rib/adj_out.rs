//! Adj-RIB-Out.

use bytes::Bytes;

use super::intern::Interner;
use super::loc::Moved;
use super::peers::{Peer, Peers};
use super::rib::{Ours, Rib};
use super::table::Key;
use super::{PeerKey, RouteView};
use crate::types::Family;

pub(super) struct Member {}

#[derive(Default)]
pub(super) struct Groups {
    pub(super) hold_end_of_rib: bool,
    pub(super) moving: bool,
}

impl Groups {
    pub(super) fn join(&mut self, _: PeerKey, _: &mut Peer) {}
    pub(super) fn leave(&mut self, _: PeerKey, _: &mut Peer) {}
    pub(super) fn refresh(&mut self, _: &mut Peer, _: Family) {}
    pub(super) fn advertised(&self, _: PeerKey, _: &Peer, _: Family) -> u32 {
        0
    }
    pub(super) fn tell<K: Key>(&mut self, _: &[Moved<K>], _: &Ours, _: &Interner, _: &mut Peers) {}
}

impl Rib {
    pub(super) fn move_members(&mut self) {
        self.out.moving = false;
    }

    /// The next bytes for a peer, whole messages, about `budget` octets or less; `None` where
    /// there is nothing before the next [`Rib::settle`] or other call. Empty bytes mean that
    /// the work allowed for one call found nothing to say yet: ask again.
    pub fn poll_transmit(&mut self, key: PeerKey, budget: usize) -> Option<Bytes> {
        let _ = (key, budget);
        None
    }

    /// Whether [`Rib::poll_transmit`] may have something for the peer.
    pub fn wants_transmit(&self, key: PeerKey) -> bool {
        let _ = key;
        false
    }

    /// The peers for which [`Rib::poll_transmit`] may have something.
    pub fn writers(&self) -> impl Iterator<Item = PeerKey> {
        self.peers.iter().map(|(key, _)| key).filter(|key| self.wants_transmit(*key))
    }

    /// What a peer is sent, as it is sent: attributes after export policy. With what it has
    /// not fetched yet.
    pub fn advertised(&self, key: PeerKey) -> impl Iterator<Item = RouteView> {
        let _ = key;
        std::iter::empty()
    }
}
