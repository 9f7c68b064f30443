use std::sync::Arc;

use super::bits::Bits;
use super::log::{Audience, Log, Record};
use super::member::{Member, Position};
use super::{Outward, PerFamily};
use crate::rib::PeerKey;
use crate::rib::export::{Export, Towards, World};
use crate::rib::intern::AttrId;
use crate::rib::loc::{Best, Loc, Moved};
use crate::rib::peers::Peers;
use crate::rib::table::From;
use crate::types::Prefix;

/// Octets that may wait for the slowest member that follows the log; who is further behind
/// falls back to a map of prefixes.
pub(super) const LOG_LIMIT: usize = 8 * 1024 * 1024;

/// Peers that are sent the same bytes.
pub(super) struct Group {
    pub(super) number: usize,
    pub(super) towards: Arc<Towards>,
    pub(super) members: Vec<PeerKey>,
    /// How many members follow the log.
    pub(super) level: usize,
    pub(super) sent: [Sent; 2],
    pub(super) log: Log,
    pub(super) log_limit: usize,
    /// How often a set of attributes was encoded for the log.
    pub(super) encoded: u64,
}

/// What the group is sent of one family.
#[derive(Default)]
pub(super) struct Sent {
    /// By place: export accepts the best route, so that every member but its source has it, or
    /// has yet to fetch it.
    pub(super) bits: Bits,
    /// Places below are judged; the first member to walk the table judges as it goes.
    pub(super) judged: u32,
    count: u32,
    /// Of `count`, by source.
    by_source: Vec<u32>,
}

impl Sent {
    /// Prefixes that a member is sent: all but its own.
    pub(super) fn towards(&self, reader: PeerKey) -> u32 {
        self.count - self.by_source.get(reader.0 as usize).copied().unwrap_or(0)
    }

    fn count(&mut self, from: From, add: bool) {
        let adjust = |count: &mut u32| *count = if add { *count + 1 } else { *count - 1 };
        adjust(&mut self.count);
        if let Some(key) = from.key() {
            let index = key.0 as usize;
            if self.by_source.len() <= index {
                self.by_source.resize(index + 1, 0);
            }
            if let Some(count) = self.by_source.get_mut(index) {
                adjust(count);
            }
        }
    }

    /// The route of `place` was of `old`, and is of `new`, as far as the group is sent it.
    fn replace(&mut self, place: u32, old: Option<From>, new: Option<From>) {
        if let Some(old) = old {
            self.count(old, false);
        }
        if let Some(new) = new {
            self.count(new, true);
        }
        self.bits.set(place, new.is_some());
    }
}

/// What one telling comes to for a group, beside announcements.
struct News<K> {
    touched: Vec<(u32, Record<K>)>,
    /// To be withdrawn from everyone but the source of what was there.
    gone: Vec<(From, K)>,
    /// To be withdrawn from one member, whose own path is the best now.
    returned: Vec<(From, K)>,
}

impl Group {
    pub(super) fn new(number: usize, towards: Towards) -> Group {
        Group {
            number,
            towards: Arc::new(towards),
            members: Vec::new(),
            level: 0,
            sent: [Sent::default(), Sent::default()],
            log: Log::default(),
            log_limit: LOG_LIMIT,
            encoded: 0,
        }
    }

    /// Takes in changes, which stand together by what they became.
    pub(super) fn tell<K: Outward>(
        &mut self,
        moved: &[Moved<K>],
        ours: crate::rib::base::Ours,
        attrs: &crate::rib::intern::Interner,
        peers: &mut Peers,
    ) {
        if !self.towards.families.contains(K::FAMILY) {
            return;
        }
        self.log.begin();
        let mut news = News { touched: Vec::new(), gone: Vec::new(), returned: Vec::new() };
        let world = World { ours, attrs, peers };
        for alike in moved.chunk_by(|one, next| becomes(one) == becomes(next)) {
            self.tell_alike(alike, world, &mut news);
        }
        self.withdraw(&mut news, peers);
        if self.level < self.members.len() {
            self.hand_to_those_behind(&news.touched, peers);
        }
        if self.level > 0 {
            K::list_mut(self.log.records()).extend(news.touched.iter().map(|(_, record)| *record));
            self.bound_log(peers);
        }
    }

    /// Changes that became the same route, or none.
    fn tell_alike<K: Outward>(&mut self, alike: &[Moved<K>], world: World<'_>, news: &mut News<K>) {
        let Some(new) = alike.first().map(|first| first.new) else { return };
        let towards = self.towards.clone();
        let mut export = new.and_then(|best| Export::new(&towards, world, K::FAMILY, best));
        let source = new.map(|best| best.from);
        let source_is_member = source.is_some_and(|from| self.is_member(from, world.peers));
        let sole = match *self.members {
            [only] => From::peer(only),
            _ => None,
        };
        let mut announced: Vec<Vec<K>> = Vec::new();
        for one in alike {
            let sent = &mut self.sent[K::INDEX];
            if one.place >= sent.judged {
                continue;
            }
            let old = one.old.filter(|_| sent.bits.get(one.place)).map(|best| best.from);
            let number = export.as_mut().and_then(|export| export.verdict(one.prefix.prefix()));
            if old.is_none() && number.is_none() {
                continue;
            }
            let sent_of = source.filter(|_| number.is_some());
            sent.replace(one.place, old, sent_of);
            if sole.is_some() && [old, sent_of].iter().all(|from| from.is_none() || *from == sole) {
                // Of the only reader itself: nobody is told.
                continue;
            }
            news.touched.push((one.place, Record::new(one.prefix, old)));
            match (number, old, source) {
                (None, Some(old), _) => news.gone.push((old, one.prefix)),
                (Some(number), old, Some(source)) => {
                    if announced.len() <= number {
                        announced.resize_with(number + 1, Vec::new);
                    }
                    announced[number].push(one.prefix);
                    if source_is_member && old.is_some_and(|old| old != source) {
                        news.returned.push((source, one.prefix));
                    }
                }
                _ => {}
            }
        }
        let (Some(export), Some(source)) = (export, source) else { return };
        let audience = if source_is_member { Audience::Except(source) } else { Audience::All };
        for (number, prefixes) in announced.iter().enumerate().filter(|(_, list)| !list.is_empty())
        {
            if let Some(attributes) = export.attributes(number).filter(|_| self.level > 0) {
                let prefixes = prefixes.iter().map(|prefix| prefix.prefix());
                self.encoded += 1;
                // Attributes that fit into no message are withdrawn by the codec (RFC 8654).
                self.log.append(audience, |out| {
                    let _ = towards.codec.encode_updates(attributes, prefixes, out);
                });
            }
        }
    }

    fn withdraw<K: Outward>(&mut self, news: &mut News<K>, peers: &Peers) {
        if self.level == 0 {
            return;
        }
        let News { gone, returned, .. } = news;
        for (from, _) in gone.iter_mut() {
            // Nobody is left out where the source is no member; so more of them go together.
            if !self.is_member(*from, peers) {
                *from = From::LOCAL;
            }
        }
        gone.sort_unstable_by_key(|(from, _)| *from);
        for alike in gone.chunk_by(|one, next| one.0 == next.0) {
            let audience = match alike {
                [(From::LOCAL, _), ..] | [] => Audience::All,
                [(from, _), ..] => Audience::Except(*from),
            };
            self.append_withdrawals(audience, alike);
        }
        returned.sort_unstable_by_key(|(from, _)| *from);
        for alike in returned.chunk_by(|one, next| one.0 == next.0) {
            if let [(from, _), ..] = alike {
                self.append_withdrawals(Audience::Only(*from), alike);
            }
        }
    }

    fn append_withdrawals<K: Outward>(&mut self, audience: Audience, alike: &[(From, K)]) {
        let codec = self.towards.codec;
        let prefixes = alike.iter().map(|(_, prefix)| prefix.prefix());
        self.log.append(audience, |out| codec.encode_withdrawals(prefixes, out));
    }

    fn is_member(&self, from: From, peers: &Peers) -> bool {
        let member = peers.of(from).and_then(|peer| peer.member.as_ref());
        member.is_some_and(|member| member.group == self.number)
    }

    fn hand_to_those_behind<K: Outward>(
        &mut self,
        touched: &[(u32, Record<K>)],
        peers: &mut Peers,
    ) {
        for key in &self.members {
            let Some(from) = From::peer(*key) else { continue };
            let member = peers.get_mut(*key).and_then(|peer| peer.member.as_mut());
            let Some(member) = member.filter(|member| member.position == Position::Behind) else {
                continue;
            };
            for (place, record) in touched {
                if !member.has_yet_to_walk::<K>(*place) {
                    let had = record.was_had_by(from);
                    K::pending_mut(&mut member.pending).insert(record.prefix, had);
                }
            }
        }
    }

    /// Sends who is too far behind to the map of prefixes.
    fn bound_log(&mut self, peers: &mut Peers) {
        while self.log.octets() > self.log_limit && self.level > 0 {
            for key in self.members.clone() {
                let Some(from) = From::peer(key) else { continue };
                let member = peers.get_mut(key).and_then(|peer| peer.member.as_mut());
                if let Some(member) = member
                    && let Position::Level(cursor) = member.position
                    && self.log.is_last(cursor)
                {
                    self.fall_behind(member, from);
                }
            }
            if self.level == 0 {
                self.log = Log::default();
            }
        }
    }

    /// Turns what a member has not read of the log into a map of prefixes.
    pub(super) fn fall_behind(&mut self, member: &mut Member, from: From) {
        let Position::Level(cursor) = member.position else { return };
        let PerFamily { v4, v6 } = &mut member.pending;
        for (records, in_part) in self.log.unread(cursor) {
            // Of a chunk that was read in part, some has arrived: to withdraw once too often is
            // harmless, to leave a route behind is not.
            for record in &records.v4 {
                v4.insert(record.prefix, in_part || record.was_had_by(from));
            }
            for record in &records.v6 {
                v6.insert(record.prefix, in_part || record.was_had_by(from));
            }
        }
        self.log.leave(cursor);
        self.level -= 1;
        member.position = Position::Behind;
    }

    /// Judges places up to `end` that are not judged yet. All of them must be settled.
    pub(super) fn judge<K: Outward>(&mut self, end: u32, loc: &Loc<K>, world: World<'_>) {
        let towards = self.towards.clone();
        let mut last: Option<(AttrId, From, Option<Export<'_>>)> = None;
        let sent = &mut self.sent[K::INDEX];
        for place in sent.judged..end {
            let Some(best) = loc.settled_best(place) else { continue };
            let alike =
                matches!(&last, Some((used, from, _)) if (*used, *from) == (best.used, best.from));
            if !alike {
                let export = Export::new(&towards, world, K::FAMILY, best);
                last = Some((best.used, best.from, export));
            }
            let Some((_, _, Some(export))) = &mut last else { continue };
            if export.verdict(loc.table.prefix(place).prefix()).is_some() {
                sent.replace(place, None, Some(best.from));
            }
        }
        sent.judged = sent.judged.max(end);
    }

    /// Appends messages for `picked` to `out`: packed by attributes and source.
    pub(super) fn encode<K: Outward>(
        &self,
        picked: &mut [(Best, K)],
        world: World<'_>,
        out: &mut bytes::BytesMut,
    ) {
        picked.sort_by_key(|(best, _)| (best.used, best.from));
        let alike = |one: &(Best, K), next: &(Best, K)| one.0.sends_like(next.0);
        for run in picked.chunk_by(alike) {
            let Some((best, _)) = run.first() else { continue };
            let Some(mut export) = Export::new(&self.towards, world, K::FAMILY, *best) else {
                continue;
            };
            let mut by_number: Vec<Vec<Prefix>> = Vec::new();
            for prefix in run.iter().map(|(_, prefix)| prefix.prefix()) {
                if let Some(number) = export.verdict(prefix) {
                    if by_number.len() <= number {
                        by_number.resize_with(number + 1, Vec::new);
                    }
                    by_number[number].push(prefix);
                }
            }
            for (number, prefixes) in by_number.into_iter().enumerate() {
                if let Some(attributes) = export.attributes(number).filter(|_| !prefixes.is_empty())
                {
                    // As above: what cannot be sent is withdrawn.
                    let _ = self.towards.codec.encode_updates(attributes, prefixes, out);
                }
            }
        }
    }
}

/// What a change became, as peers see it; changes are sorted by it.
pub(super) fn becomes<K>(moved: &Moved<K>) -> Option<(AttrId, From)> {
    moved.new.map(|best| (best.used, best.from))
}
