use std::sync::Arc;

use super::adj_out::{Groups, Outward};
use super::intern::Interner;
use super::loc::Loc;
use super::peers::{Peer, Peers};
use super::policy::Policy;
use super::refusals::Refusals;
use super::table::{From, Key, Path, Standing};
use super::{Change, PeerCounters, PeerKey, Refusal, RibPeer};
use crate::types::{
    Asn, Attributes, ClusterId, Families, Family, Ipv4Prefix, Ipv6Prefix, Prefix, RouterId,
};

/// Who we are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ours {
    pub(super) asn: Asn,
    pub(super) router_id: RouterId,
    pub(super) cluster_id: ClusterId,
}

/// The routing information base: owned by one task, changed by calls, never blocking.
///
/// Calls in one direction: [`Rib::update`] and its kin change what is known, [`Rib::settle`]
/// tells what of it matters, as [`Change`]s and to the update groups, and [`Rib::poll_transmit`]
/// yields the bytes for each peer. Nothing reaches a peer before `settle` has told it.
pub struct Rib {
    pub(super) ours: Ours,
    pub(super) attrs: Interner,
    pub(super) peers: Peers,
    pub(super) v4: Loc<Ipv4Prefix>,
    pub(super) v6: Loc<Ipv6Prefix>,
    pub(super) out: Groups,
    pub(super) refusals: Refusals,
    /// Some peer's import policy has changed.
    pub(super) judge_again: bool,
}

impl Rib {
    /// An empty RIB. `cluster_id` counts where some peer is a reflection client (RFC 4456).
    pub fn new(asn: Asn, router_id: RouterId, cluster_id: ClusterId) -> Rib {
        Rib {
            ours: Ours { asn, router_id, cluster_id },
            attrs: Interner::default(),
            peers: Peers::default(),
            v4: Loc::default(),
            v6: Loc::default(),
            out: Groups::default(),
            refusals: Refusals::default(),
            judge_again: false,
        }
    }

    /// A session is up. The peer will be sent every route that its export policy accepts, then
    /// End-of-RIB for each family of the session.
    ///
    /// Routes kept from its last session stay, stale, until [`Rib::update`] replaces them or
    /// brings End-of-RIB, or [`Rib::forget_stale`]; but where it comes back as another (AS,
    /// router id, address or kind) they go.
    pub fn peer_up(&mut self, key: PeerKey, peer: RibPeer) {
        let returns_as_another = self.peers.get(key).is_some_and(|known| {
            let identity = |peer: &RibPeer| (peer.kind, peer.asn, peer.router_id, peer.address);
            identity(&known.info) != identity(&peer)
        });
        if returns_as_another {
            self.forget(key, Families::ALL, |_| true);
        }
        if let Some(known) = self.peers.get_mut(key) {
            self.out.leave(key, known);
            known.judge_again |= known.info.import != peer.import;
            self.judge_again |= known.judge_again;
            known.info = peer;
        } else if !self.peers.insert(key, Peer::new(peer)) {
            return;
        }
        if let Some(peer) = self.peers.get_mut(key) {
            peer.up = true;
            self.out.join(key, peer);
        }
    }

    /// A session is down. Routes of `retained` families are kept and marked stale, the others
    /// are forgotten; so is what was stale already, for a peer that was lost twice without
    /// sending a route again (RFC 4724 section 4.2).
    pub fn peer_down(&mut self, key: PeerKey, retained: Families) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.up = false;
            self.out.leave(key, peer);
        }
        self.forget(key, Families::ALL.minus(retained), |_| true);
        self.forget(key, retained, Path::is_stale);
        self.mark(key, retained, Path::set_stale);
    }

    /// The peer is configured no more: all of it is forgotten.
    pub fn peer_removed(&mut self, key: PeerKey) {
        self.peer_down(key, Families::NONE);
        self.peers.remove(key);
    }

    /// What is still stale of `families` goes: the restart time is over, or the families' F bits
    /// were not set when the peer came back.
    pub fn forget_stale(&mut self, key: PeerKey, families: Families) {
        let stale = |peer: &Peer, family: Family| {
            peer.counters.get(index(family)).is_some_and(|counters| counters.stale > 0)
        };
        let families: Families = match self.peers.get(key) {
            Some(peer) => families.iter().filter(|family| stale(peer, *family)).collect(),
            None => return,
        };
        self.forget(key, families, Path::is_stale);
    }

    /// The peer begins to send all of `family` again (BoRR, RFC 7313 section 4). What it has not
    /// sent again at [`Rib::end_refresh`] goes.
    pub fn begin_refresh(&mut self, key: PeerKey, family: Family) {
        self.mark(key, Families::NONE.with(family), Path::set_unconfirmed);
    }

    /// The peer has sent all of `family` again (EoRR).
    pub fn end_refresh(&mut self, key: PeerKey, family: Family) {
        self.forget(key, Families::NONE.with(family), Path::is_unconfirmed);
    }

    /// Announces `prefix` as our own, or changes how. A next hop that is unspecified (0.0.0.0 or
    /// ::) stands for our own address towards each peer.
    pub fn announce(&mut self, prefix: Prefix, attributes: Attributes) {
        let id = self.attrs.intern(Arc::new(attributes));
        self.attrs.retain(id);
        self.store(prefix, Path::new(From::LOCAL, Standing::Usable, id, id));
    }

    /// Announces `prefix` as our own no more.
    pub fn withdraw(&mut self, prefix: Prefix) {
        if let Some(place) = self.place_of(prefix) {
            self.unstore(prefix.family(), place, From::LOCAL);
        }
    }

    /// Replaces a peer's policies without a bounce: at the next [`Rib::settle`] its routes are
    /// judged again, and it is sent what differs for it.
    pub fn set_policies(&mut self, key: PeerKey, import: Arc<Policy>, export: Arc<Policy>) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if peer.info.import != import {
            peer.judge_again = true;
            self.judge_again = true;
        }
        if peer.info.export != export {
            self.out.moving = true;
        }
        peer.info.import = import;
        peer.info.export = export;
    }

    /// The peer asks for all of `family` again (RFC 2918).
    pub fn refresh(&mut self, key: PeerKey, family: Family) {
        if let Some(peer) = self.peers.get_mut(key) {
            self.out.refresh(key, peer, family);
        }
    }

    /// Keeps End-of-RIB back from every peer, until [`Rib::release_end_of_rib`]: this process
    /// has restarted and has not heard everyone yet (RFC 4724 section 4.1).
    pub fn hold_end_of_rib(&mut self) {
        self.out.hold_end_of_rib = true;
    }

    /// How many octets of encoded messages may wait for the slowest peer of an update group, from
    /// the next group on; 8 MB unless told. Who is further behind costs a map of prefixes.
    pub fn limit_logs(&mut self, octets: usize) {
        self.out.log_limit = Some(octets);
    }

    /// The deferral is over: End-of-RIB follows what each peer is still to be sent.
    pub fn release_end_of_rib(&mut self) {
        self.out.release_end_of_rib(&mut self.peers);
    }

    /// Whether [`Rib::settle`] has nothing to do.
    pub fn is_settled(&self) -> bool {
        self.v4.is_settled() && self.v6.is_settled() && !self.out.moving && !self.judge_again
    }

    /// How many prefixes [`Rib::settle`] has to look at, beside what [`Rib::set_policies`] asked
    /// for.
    pub fn unsettled(&self) -> usize {
        self.v4.unsettled() + self.v6.unsettled()
    }

    /// Tells up to `max` changed prefixes of each family: to the update groups, and as changes,
    /// which are appended to `changes`, if anybody acts on them. Returns whether more are left.
    ///
    /// A prefix that came back to what it was is not told. Judging again after
    /// [`Rib::set_policies`] passes over the whole table at once.
    pub fn settle(&mut self, max: usize, mut changes: Option<&mut Vec<Change>>) -> bool {
        self.judge_again();
        let Rib { v4, v6, attrs, out, peers, ours, .. } = self;
        settle(v4, max, (*ours, attrs, out, peers), changes.as_deref_mut());
        settle(v6, max, (*ours, attrs, out, peers), changes);
        if self.out.moving && self.v4.is_settled() && self.v6.is_settled() {
            self.move_members();
        }
        !self.is_settled()
    }

    /// Routes that import policy refused since the last call, oldest first; at most
    /// 1,024 are kept, later ones are only counted by the peers' counters.
    pub fn take_refusals(&mut self) -> Vec<Refusal> {
        self.refusals.take()
    }

    /// A peer's counters of one family; all 0 for an unknown peer.
    pub fn counters(&self, key: PeerKey, family: Family) -> PeerCounters {
        let Some(peer) = self.peers.get(key) else { return PeerCounters::default() };
        PeerCounters {
            advertised: self.out.advertised(key, peer, family),
            ..peer.counters[index(family)]
        }
    }

    /// Prefixes of a family that have a path, refused ones included.
    pub fn prefixes(&self, family: Family) -> usize {
        match family {
            Family::Ipv4Unicast => self.v4.table.len(),
            Family::Ipv6Unicast => self.v6.table.len(),
        }
    }

    /// Distinct attribute sets in use.
    pub fn attribute_sets(&self) -> usize {
        self.attrs.len()
    }

    /// Update groups, and how often a set of attributes was encoded for one of them, which is
    /// once for each group, not for each peer.
    pub fn group_statistics(&self) -> (usize, u64) {
        self.out.statistics()
    }

    /// Puts a path whose attributes are counted; keeps the counters.
    pub(super) fn store(&mut self, prefix: Prefix, path: Path) -> Option<Path> {
        let old = match prefix {
            Prefix::V4(prefix) => self.v4.put(prefix, path, &mut self.attrs, &self.peers),
            Prefix::V6(prefix) => self.v6.put(prefix, path, &mut self.attrs, &self.peers),
        };
        count(&mut self.peers, prefix.family(), old, Some(path));
        old
    }

    /// Takes out the path of `from` at a place of a family's table.
    pub(super) fn unstore(&mut self, family: Family, place: u32, from: From) {
        let (attrs, peers) = (&mut self.attrs, &self.peers);
        let old = match family {
            Family::Ipv4Unicast => self.v4.take(place, from, attrs, peers),
            Family::Ipv6Unicast => self.v6.take(place, from, attrs, peers),
        };
        count(&mut self.peers, family, old, None);
    }

    pub(super) fn place_of(&self, prefix: Prefix) -> Option<u32> {
        match prefix {
            Prefix::V4(prefix) => self.v4.table.find(prefix),
            Prefix::V6(prefix) => self.v6.table.find(prefix),
        }
    }

    /// Forgets the routes of a peer that are `gone`. Passes over the whole table.
    fn forget(&mut self, key: PeerKey, families: Families, gone: impl Fn(Path) -> bool + Copy) {
        let Some(from) = From::peer(key) else { return };
        for family in families.iter() {
            if !self.has_routes(key, family) {
                continue;
            }
            let (attrs, peers) = (&mut self.attrs, &mut self.peers);
            match family {
                Family::Ipv4Unicast => forget(&mut self.v4, from, attrs, peers, gone),
                Family::Ipv6Unicast => forget(&mut self.v6, from, attrs, peers, gone),
            }
        }
    }

    /// Marks every route of a peer. Passes over the whole table.
    fn mark(&mut self, key: PeerKey, families: Families, mark: impl Fn(&mut Path) + Copy) {
        let Some(from) = From::peer(key) else { return };
        for family in families.iter() {
            if !self.has_routes(key, family) {
                continue;
            }
            let (attrs, peers) = (&mut self.attrs, &mut self.peers);
            match family {
                Family::Ipv4Unicast => mark_all(&mut self.v4, from, attrs, peers, mark),
                Family::Ipv6Unicast => mark_all(&mut self.v6, from, attrs, peers, mark),
            }
        }
    }

    fn has_routes(&self, key: PeerKey, family: Family) -> bool {
        self.peers.get(key).is_some_and(|peer| peer.counters[index(family)].received > 0)
    }
}

/// Where a family stands in arrays with one element per family.
pub(super) fn index(family: Family) -> usize {
    match family {
        Family::Ipv4Unicast => Ipv4Prefix::INDEX,
        Family::Ipv6Unicast => Ipv6Prefix::INDEX,
    }
}

fn settle<K: Outward>(
    loc: &mut Loc<K>,
    max: usize,
    (ours, attrs, out, peers): (Ours, &mut Interner, &mut Groups, &mut Peers),
    changes: Option<&mut Vec<Change>>,
) {
    let moved = loc.settle(max, attrs);
    if let Some(changes) = changes {
        changes.extend(moved.iter().map(|moved| moved.change(attrs)));
    }
    out.tell(&moved, ours, attrs, peers);
    loc.told(&moved, attrs);
}

fn forget<K: Key>(
    loc: &mut Loc<K>,
    from: From,
    attrs: &mut Interner,
    peers: &mut Peers,
    gone: impl Fn(Path) -> bool,
) {
    for place in 0..loc.table.places() {
        let path = loc.table.paths(place).iter().find(|path| path.from() == from);
        if path.is_some_and(|path| gone(*path)) {
            let old = loc.take(place, from, attrs, peers);
            count(peers, K::FAMILY, old, None);
        }
    }
}

fn mark_all<K: Key>(
    loc: &mut Loc<K>,
    from: From,
    attrs: &mut Interner,
    peers: &mut Peers,
    mark: impl Fn(&mut Path) + Copy,
) {
    for place in 0..loc.table.places() {
        let path = loc.table.paths(place).iter().find(|path| path.from() == from);
        if let Some(old) = path.copied() {
            let mut new = old;
            mark(&mut new);
            if new != old {
                loc.mark(place, from, attrs, peers, mark);
                count(peers, K::FAMILY, Some(old), Some(new));
            }
        }
    }
}

/// Keeps a peer's counters when one of its paths is replaced, comes or goes.
fn count(peers: &mut Peers, family: Family, old: Option<Path>, new: Option<Path>) {
    let Some(from) = old.or(new).map(Path::from) else { return };
    let Some(peer) = from.key().and_then(|key| peers.get_mut(key)) else { return };
    let counters = &mut peer.counters[index(family)];
    let adjust = |counter: &mut u32, had: bool, has: bool| {
        *counter = counter.wrapping_add(u32::from(has)).wrapping_sub(u32::from(had));
    };
    let usable = |path: Option<Path>| path.is_some_and(Path::is_usable);
    let stale = |path: Option<Path>| path.is_some_and(Path::is_stale);
    adjust(&mut counters.received, old.is_some(), new.is_some());
    adjust(&mut counters.accepted, usable(old), usable(new));
    adjust(&mut counters.stale, stale(old), stale(new));
}
