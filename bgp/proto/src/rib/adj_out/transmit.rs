use bytes::{Bytes, BytesMut};

use super::Outward;
use super::group::Group;
use super::log::Cursor;
use super::member::{Bracket, Member, Position};
use crate::rib::base::Rib;
use crate::rib::export::{Export, World};
use crate::rib::loc::{Best, Loc, routes_from};
use crate::rib::table::From;
use crate::rib::{PeerKey, RouteView};
use crate::types::{Families, Prefix};
use crate::wire::{Message, RefreshKind, RouteRefresh};

/// Places that one call may look at.
const PLACES_A_CALL: u32 = 65_536;
/// Octets of budget for each prefix that one call takes up: a little less than what it costs
/// where few share attributes.
const OCTETS_A_PREFIX: usize = 16;
/// Prefixes that one call takes up at most, whatever its budget.
const PREFIXES_A_CALL: usize = 4096;

impl Rib {
    /// The next bytes for a peer: whole messages, about `budget` octets. `None` where there is
    /// nothing before the next [`Rib::settle`] or other call. Empty bytes mean that the work
    /// allowed for one call came to nothing that is to be said: ask again.
    ///
    /// Peers of an update group that are level share the bytes.
    pub fn poll_transmit(&mut self, key: PeerKey, budget: usize) -> Option<Bytes> {
        let from = From::peer(key)?;
        let mut member = self.peers.get_mut(key)?.member.take()?;
        let bytes = self.transmit(&mut member, from, budget);
        if let Some(peer) = self.peers.get_mut(key) {
            peer.member = Some(member);
        }
        bytes
    }

    fn transmit(&mut self, member: &mut Member, from: From, budget: usize) -> Option<Bytes> {
        let settled = self.v4.is_settled() && self.v6.is_settled();
        let hold = self.out.hold_end_of_rib;
        let world = World { ours: self.ours, attrs: &self.attrs, peers: &self.peers };
        let group = self.out.get_mut(member.group)?;
        if member.position == Position::Behind {
            let mut step = Step::new(budget);
            let begun = member.turn(Bracket::Due, Bracket::Open);
            bracket(group, begun, RefreshKind::Begin, &mut step.out);
            step.take(group, member, from, &self.v4, world);
            step.take(group, member, from, &self.v6, world);
            if member.has_caught_up() {
                let ended = member.turn(Bracket::Open, Bracket::Closed);
                bracket(group, ended, RefreshKind::End, &mut step.out);
                let cursor = group.log.join();
                group.level += 1;
                member.position = Position::Level(cursor);
                member.owed_after = Some(cursor).filter(|_| !hold);
            }
            if !step.out.is_empty() {
                return Some(step.out.freeze());
            }
            if member.position == Position::Behind {
                return step.advanced.then(Bytes::new);
            }
        }
        let Position::Level(mut cursor) = member.position else { return None };
        let due = |group: &mut Group, member: &mut Member, cursor| {
            if hold { None } else { end_of_rib(group, member, cursor, settled) }
        };
        if let Some(bytes) = due(group, member, cursor) {
            return Some(bytes);
        }
        let bytes = group.log.read(&mut cursor, from, budget);
        member.position = Position::Level(cursor);
        // The rest of the log may be of the reader itself: then it is passed over, and what was
        // owed after it is due.
        bytes.or_else(|| due(group, member, cursor))
    }

    /// Whether [`Rib::poll_transmit`] may have something for the peer.
    pub fn wants_transmit(&self, key: PeerKey) -> bool {
        let member = self.peers.get(key).and_then(|peer| peer.member.as_ref());
        let Some((member, group)) =
            member.and_then(|member| Some((member, self.out.get(member.group)?)))
        else {
            return false;
        };
        let Position::Level(cursor) = member.position else { return true };
        group.log.has_more(cursor) || (!member.owed.is_empty() && !self.out.hold_end_of_rib)
    }

    /// The peers for which [`Rib::poll_transmit`] may have something.
    pub fn writers(&self) -> impl Iterator<Item = PeerKey> {
        self.peers.iter().map(|(key, _)| key).filter(|key| self.wants_transmit(*key))
    }

    /// What a peer is sent, as it is sent: attributes after export policy, without what only
    /// the codec changes. What it has not fetched yet is among it.
    pub fn advertised(&self, key: PeerKey) -> impl Iterator<Item = RouteView> {
        let group = self.peers.get(key).and_then(|peer| {
            let member = peer.member.as_ref()?;
            self.out.get(member.group)
        });
        let from = From::peer(key);
        group.zip(from).into_iter().flat_map(move |(group, from)| {
            let v4 = (0..self.v4.table.places())
                .filter_map(move |place| self.sent_view(group, from, &self.v4, place));
            let v6 = (0..self.v6.table.places())
                .filter_map(move |place| self.sent_view(group, from, &self.v6, place));
            v4.chain(v6)
        })
    }

    fn sent_view<K: Outward>(
        &self,
        group: &Group,
        reader: From,
        loc: &Loc<K>,
        place: u32,
    ) -> Option<RouteView> {
        if !group.sent[K::INDEX].bits.get(place) {
            return None;
        }
        let best = Best::of(loc.table.best(place)?);
        if best.from == reader {
            return None;
        }
        let prefix = loc.table.prefix(place).prefix();
        let world = World { ours: self.ours, attrs: &self.attrs, peers: &self.peers };
        let mut export = Export::new(&group.towards, world, K::FAMILY, best)?;
        let number = export.verdict(prefix)?;
        Some(RouteView {
            prefix,
            attributes: export.attributes(number)?.clone().into(),
            from: routes_from(best.from),
            stale: best.stale,
            lost: None,
        })
    }
}

/// End-of-RIB, once the reader has been sent what was there when it became due.
fn end_of_rib(
    group: &mut Group,
    member: &mut Member,
    cursor: Cursor,
    settled: bool,
) -> Option<Bytes> {
    if member.owed.is_empty() {
        return None;
    }
    if member.owed_after.is_none() && settled {
        member.owed_after = Some(group.log.mark());
    }
    if member.owed_after.is_none_or(|after| cursor < after) {
        return None;
    }
    let mut out = BytesMut::new();
    for family in member.owed.iter() {
        group.towards.codec.encode_end_of_rib(family, &mut out);
    }
    member.owed = Families::NONE;
    member.owed_after = None;
    Some(out.freeze())
}

/// BoRR or EoRR of `families` (RFC 7313).
fn bracket(group: &Group, families: Families, kind: RefreshKind, out: &mut BytesMut) {
    for family in families.iter() {
        let refresh = RouteRefresh { family: Some(family), kind };
        group.towards.codec.encode(&Message::RouteRefresh(refresh), out);
    }
}

/// One call's work for a member that is behind.
struct Step {
    places: u32,
    prefixes: usize,
    /// Something was looked at.
    advanced: bool,
    out: BytesMut,
}

impl Step {
    fn new(budget: usize) -> Step {
        Step {
            places: PLACES_A_CALL,
            prefixes: (budget / OCTETS_A_PREFIX).clamp(1, PREFIXES_A_CALL),
            advanced: false,
            out: BytesMut::new(),
        }
    }

    /// A stretch of the walk over one family's table, or of what is pending.
    fn take<K: Outward>(
        &mut self,
        group: &mut Group,
        member: &mut Member,
        from: From,
        loc: &Loc<K>,
        world: World<'_>,
    ) {
        let mut picked: Vec<(Best, K)> = Vec::new();
        let mut gone: Vec<Prefix> = Vec::new();
        self.walk(group, member, from, loc, world, &mut picked);
        if member.walks[K::INDEX].is_none() {
            self.drain(group, member, from, loc, &mut picked, &mut gone);
        }
        group.towards.codec.encode_withdrawals(gone, &mut self.out);
        group.encode(&mut picked, world, &mut self.out);
    }

    /// A place whose change is not told yet ends the stretch: a peer is never ahead of what was
    /// told, or it could miss what is not told because it came back.
    fn walk<K: Outward>(
        &mut self,
        group: &mut Group,
        member: &mut Member,
        from: From,
        loc: &Loc<K>,
        world: World<'_>,
        picked: &mut Vec<(Best, K)>,
    ) {
        let Some(walk) = &mut member.walks[K::INDEX] else { return };
        let end = loc.table.places();
        while walk.next < end && self.places > 0 && self.prefixes > 0 {
            if loc.table.is_dirty(walk.next) {
                return;
            }
            let place = walk.next;
            if place >= group.sent[K::INDEX].judged {
                let stretch = end.min(place.saturating_add(JUDGED_AHEAD));
                let clean = (place..stretch).find(|place| loc.table.is_dirty(*place));
                group.judge(clean.unwrap_or(stretch), loc, world);
            }
            walk.next += 1;
            self.places -= 1;
            self.advanced = true;
            // What is pending is sent from there, where it is known what the peer has of it.
            let prefix = loc.table.prefix(place);
            if group.sent[K::INDEX].bits.get(place)
                && !K::pending_mut(&mut member.pending).contains(prefix)
                && let Some(best) = loc.settled_best(place).filter(|best| best.from != from)
            {
                picked.push((best, prefix));
                self.prefixes -= 1;
            }
        }
        if walk.next >= end {
            member.walks[K::INDEX] = None;
            group.sent[K::INDEX].judged = u32::MAX;
        }
    }

    fn drain<K: Outward>(
        &mut self,
        group: &Group,
        member: &mut Member,
        from: From,
        loc: &Loc<K>,
        picked: &mut Vec<(Best, K)>,
        gone: &mut Vec<Prefix>,
    ) {
        let pending = K::pending_mut(&mut member.pending);
        let mut unsettled = Vec::new();
        while self.prefixes > 0
            && let Some((prefix, had)) = pending.pop()
        {
            self.prefixes -= 1;
            let place = loc.table.find(prefix);
            if place.is_some_and(|place| loc.table.is_dirty(place)) {
                unsettled.push((prefix, had));
                continue;
            }
            self.advanced = true;
            let sent = place.filter(|place| group.sent[K::INDEX].bits.get(*place));
            let best = sent.and_then(|place| loc.settled_best(place));
            match best.filter(|best| best.from != from) {
                Some(best) => picked.push((best, prefix)),
                None if had => gone.push(prefix.prefix()),
                None => {}
            }
        }
        for (prefix, had) in unsettled {
            pending.insert(prefix, had);
        }
    }
}

/// Places that are judged together: neighbours often share attributes.
const JUDGED_AHEAD: u32 = 1024;
