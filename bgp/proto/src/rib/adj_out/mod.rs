//! Adj-RIB-Out: from changes of the Loc-RIB to the bytes for each peer.
//!
//! ```text
//! changes -> group: judge, rewrite, encode once -> log -> each member at its own pace
//!                                                   \-> too far behind: a map of prefixes,
//!                                                       encoded for that member from the table
//! ```
//!
//! Peers that are sent the same bytes form a group: same kind, families, codec, export policy and
//! local addresses. A group keeps no copy of what it has sent: a bit per prefix tells whether
//! export accepts the best route, and the source of that route is the one member that does not
//! have it. When a member's own path becomes the best, that member is sent a withdrawal of what
//! it had before.
//!
//! A new member walks the table in bounded steps. What changes behind its walk goes to its map,
//! what changes ahead of it is met by the walk; then it drains its map and joins the log. A
//! member whose log grows over [`group::LOG_LIMIT`] falls back to the map, too: it costs at most
//! an entry per prefix, however long it sleeps.
//!
//! Withdrawals are sent only for what a peer has. That is exact but for one case: a member that
//! falls behind in the middle of a chunk of the log may be withdrawn a prefix of that chunk
//! which it never had.
//!
//! RFCs: 4271 section 9.2 and 9.3, 4456, 1997, 4724 section 4.1 (End-of-RIB), 2918,
//! 7313 (a table that is sent again stands between BoRR and EoRR).

mod bits;
mod group;
mod log;
mod member;
mod moves;
mod pending;
mod transmit;

use group::{Group, becomes};
use log::{Record, Records};
pub(super) use member::Member;
use member::{Bracket, Position, Walk};
use pending::Pending;

use super::PeerKey;
use super::base::{Ours, index};
use super::export::Towards;
use super::intern::Interner;
use super::loc::Moved;
use super::peers::{Peer, Peers};
use super::table::{From, Key};
use crate::types::{Family, Ipv4Prefix, Ipv6Prefix};

/// One thing for each family.
#[derive(Default)]
pub(super) struct PerFamily<A, B> {
    v4: A,
    v6: B,
}

/// A prefix, with where a family's part of things lies.
pub(super) trait Outward: Key {
    fn pending_mut(
        pending: &mut PerFamily<Pending<Ipv4Prefix>, Pending<Ipv6Prefix>>,
    ) -> &mut Pending<Self>;
    fn list_mut(records: &mut Records) -> &mut Vec<Record<Self>>;
}

impl Outward for Ipv4Prefix {
    fn pending_mut(
        pending: &mut PerFamily<Pending<Ipv4Prefix>, Pending<Ipv6Prefix>>,
    ) -> &mut Pending<Ipv4Prefix> {
        &mut pending.v4
    }

    fn list_mut(records: &mut Records) -> &mut Vec<Record<Ipv4Prefix>> {
        &mut records.v4
    }
}

impl Outward for Ipv6Prefix {
    fn pending_mut(
        pending: &mut PerFamily<Pending<Ipv4Prefix>, Pending<Ipv6Prefix>>,
    ) -> &mut Pending<Ipv6Prefix> {
        &mut pending.v6
    }

    fn list_mut(records: &mut Records) -> &mut Vec<Record<Ipv6Prefix>> {
        &mut records.v6
    }
}

/// Every update group.
#[derive(Default)]
pub(super) struct Groups {
    groups: Vec<Option<Group>>,
    /// No End-of-RIB goes out.
    pub(super) hold_end_of_rib: bool,
    /// Export policies have changed, and their peers are still in their old groups.
    pub(super) moving: bool,
    /// Replaces the log's limit in new groups.
    pub(super) log_limit: Option<usize>,
}

impl Groups {
    /// The peer's session is up: it is to be sent everything.
    pub(super) fn join(&mut self, key: PeerKey, peer: &mut Peer) {
        let number = self.find_or_make(Towards::of(&peer.info));
        if let Some(group) = self.get_mut(number) {
            group.members.push(key);
        }
        peer.member = Some(Member::new(number, peer.info.families));
    }

    /// The peer's session is down.
    pub(super) fn leave(&mut self, key: PeerKey, peer: &mut Peer) {
        let Some(member) = peer.member.take() else { return };
        if let Some(group) = self.get_mut(member.group)
            && let Position::Level(cursor) = member.position
        {
            group.log.leave(cursor);
            group.level -= 1;
        }
        self.drop_member(member.group, key);
    }

    fn drop_member(&mut self, number: usize, key: PeerKey) {
        let Some(slot) = self.groups.get_mut(number) else { return };
        if let Some(group) = slot {
            group.members.retain(|member| *member != key);
            if group.members.is_empty() {
                *slot = None;
            }
        }
    }

    /// The peer is to be sent all of `family` again.
    pub(super) fn refresh(&mut self, key: PeerKey, peer: &mut Peer, family: Family) {
        let (Some(from), Some(member)) = (From::peer(key), peer.member.as_mut()) else { return };
        if !peer.info.families.contains(family) {
            return;
        }
        if let Some(group) = self.get_mut(member.group) {
            group.fall_behind(member, from);
        }
        // What it has not been sent at all yet, it must not be withdrawn; but to know that for
        // each prefix is not worth its cost here.
        member.walks[index(family)] = Some(Walk { next: 0, fresh: false });
        // Before End-of-RIB nothing is in brackets (RFC 7313 section 4).
        if peer.info.rules.enhanced_refresh && !member.owed.contains(family) {
            member.brackets[index(family)] = Bracket::Due;
        }
    }

    pub(super) fn release_end_of_rib(&mut self, peers: &mut Peers) {
        self.hold_end_of_rib = false;
        for (_, peer) in peers.iter_mut() {
            if let Some(member) = &mut peer.member {
                member.owed_after = None;
            }
        }
    }

    /// Prefixes that a member is sent.
    pub(super) fn advertised(&self, key: PeerKey, peer: &Peer, family: Family) -> u32 {
        let group = peer.member.as_ref().and_then(|member| self.get(member.group));
        group.map_or(0, |group| group.sent[index(family)].towards(key))
    }

    /// Tells every group what has changed.
    pub(super) fn tell<K: Outward>(
        &mut self,
        moved: &[Moved<K>],
        ours: Ours,
        attrs: &Interner,
        peers: &mut Peers,
    ) {
        let differs = |moved: &&Moved<K>| match (moved.old, moved.new) {
            (Some(old), Some(new)) => !old.sends_like(new),
            _ => true,
        };
        let mut moved: Vec<Moved<K>> = moved.iter().filter(differs).copied().collect();
        if moved.is_empty() {
            return;
        }
        moved.sort_by_key(becomes);
        for group in self.groups.iter_mut().flatten() {
            group.tell(&moved, ours, attrs, peers);
        }
    }

    fn get(&self, number: usize) -> Option<&Group> {
        self.groups.get(number)?.as_ref()
    }

    fn get_mut(&mut self, number: usize) -> Option<&mut Group> {
        self.groups.get_mut(number)?.as_mut()
    }

    fn find_or_make(&mut self, towards: Towards) -> usize {
        let mut known = self.groups.iter().flatten();
        if let Some(group) = known.find(|group| *group.towards == towards) {
            return group.number;
        }
        let free = self.groups.iter().position(Option::is_none);
        let number = free.unwrap_or_else(|| {
            self.groups.push(None);
            self.groups.len() - 1
        });
        let group = Group::new(number, towards);
        let group = Group { log_limit: self.log_limit.unwrap_or(group.log_limit), ..group };
        self.groups[number] = Some(group);
        number
    }

    /// How many groups there are, and how often they encoded a set of attributes.
    pub(super) fn statistics(&self) -> (usize, u64) {
        let groups = self.groups.iter().flatten();
        groups.fold((0, 0), |(count, encoded), group| (count + 1, encoded + group.encoded))
    }
}
