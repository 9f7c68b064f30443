//! The peers the RIB knows: established ones, and those that are away while their routes stay.

use super::adj_out::Member;
use super::policy::Learned;
use super::table::From;
use super::{PeerCounters, PeerKey, PeerKind, RibPeer};
use crate::types::Asn;

/// One peer.
pub(super) struct Peer {
    /// As of its last session.
    pub(super) info: RibPeer,
    /// Its session is up.
    pub(super) up: bool,
    /// By family.
    pub(super) counters: [PeerCounters; 2],
    /// Its import policy has changed and its routes are to be judged again.
    pub(super) judge_again: bool,
    /// Its part in Adj-RIB-Out, while its session is up.
    pub(super) member: Option<Member>,
}

impl RibPeer {
    /// Our AS as the peer sees it.
    pub(super) fn local_asn(&self, ours: Asn) -> Asn {
        self.rules.local_asn.filter(|_| self.kind == PeerKind::External).unwrap_or(ours)
    }
}

impl Peer {
    pub(super) fn new(info: RibPeer) -> Peer {
        Peer {
            info,
            up: false,
            counters: [PeerCounters::default(); 2],
            judge_again: false,
            member: None,
        }
    }

    pub(super) fn learned(&self, key: PeerKey) -> Learned {
        Learned::From { key, kind: self.info.kind, address: self.info.address }
    }
}

/// By key; keys are dense.
#[derive(Default)]
pub(super) struct Peers(Vec<Option<Peer>>);

impl Peers {
    pub(super) fn get(&self, key: PeerKey) -> Option<&Peer> {
        self.0.get(key.0 as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, key: PeerKey) -> Option<&mut Peer> {
        self.0.get_mut(key.0 as usize)?.as_mut()
    }

    /// The peer that a path is from; `None` for our own.
    pub(super) fn of(&self, from: From) -> Option<&Peer> {
        self.get(from.key()?)
    }

    pub(super) fn learned(&self, from: From) -> Learned {
        match from.key().and_then(|key| Some((key, self.get(key)?))) {
            Some((key, peer)) => peer.learned(key),
            None => Learned::Here,
        }
    }

    /// Adds a peer; `false` where its key is too large to be one.
    pub(super) fn insert(&mut self, key: PeerKey, peer: Peer) -> bool {
        if From::peer(key).is_none() {
            return false;
        }
        let index = key.0 as usize;
        if self.0.len() <= index {
            self.0.resize_with(index + 1, || None);
        }
        self.0[index] = Some(peer);
        true
    }

    pub(super) fn remove(&mut self, key: PeerKey) {
        if let Some(slot) = self.0.get_mut(key.0 as usize) {
            *slot = None;
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PeerKey, &Peer)> {
        let keyed = (0u32..).zip(&self.0);
        keyed.filter_map(|(key, peer)| Some((PeerKey(key), peer.as_ref()?)))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (PeerKey, &mut Peer)> {
        let keyed = (0u32..).zip(&mut self.0);
        keyed.filter_map(|(key, peer)| Some((PeerKey(key), peer.as_mut()?)))
    }
}
