//! The table of one family: every prefix that someone announced, with every path to it.
//!
//! Most prefixes have one path, so one lies in the entry itself; more lie in a list aside. An
//! entry's place never changes while it is in use: bits per group and cursors count in places.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::PeerKey;
use super::intern::AttrId;
use crate::types::{Family, Ipv4Prefix, Ipv6Prefix, Prefix};

/// A prefix of one family.
pub(super) trait Key: Copy + Ord + std::fmt::Debug + 'static {
    const FAMILY: Family;
    /// For arrays with one element per family.
    const INDEX: usize;
    fn hash_with(self, hasher: &DefaultHashBuilder) -> u64;
    fn prefix(self) -> Prefix;
}

impl Key for Ipv4Prefix {
    const FAMILY: Family = Family::Ipv4Unicast;
    const INDEX: usize = 0;

    fn hash_with(self, hasher: &DefaultHashBuilder) -> u64 {
        hasher.hash_one(u64::from(u32::from_be_bytes(*self.octets())) << 8 | u64::from(self.len()))
    }

    fn prefix(self) -> Prefix {
        Prefix::V4(self)
    }
}

impl Key for Ipv6Prefix {
    const FAMILY: Family = Family::Ipv6Unicast;
    const INDEX: usize = 1;

    fn hash_with(self, hasher: &DefaultHashBuilder) -> u64 {
        hasher.hash_one((u128::from_be_bytes(*self.octets()), self.len()))
    }

    fn prefix(self) -> Prefix {
        Prefix::V6(self)
    }
}

/// Who announced a path: a peer, or ourselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct From(u32);

impl From {
    /// This speaker.
    pub(super) const LOCAL: From = From(Self::MASK);
    const MASK: u32 = 0x00ff_ffff;

    /// Stands for nobody, where three octets are to say so.
    const NOBODY: u32 = Self::MASK - 1;

    /// Keys are dense and few, so 24 bits hold them; a larger one is no peer.
    pub(super) fn peer(key: PeerKey) -> Option<From> {
        (key.0 < Self::NOBODY).then_some(From(key.0))
    }

    /// In three octets.
    pub(super) fn pack(from: Option<From>) -> [u8; 3] {
        let [_, packed @ ..] = from.map_or(Self::NOBODY, |from| from.0).to_be_bytes();
        packed
    }

    pub(super) fn unpack([high, middle, low]: [u8; 3]) -> Option<From> {
        let from = u32::from_be_bytes([0, high, middle, low]);
        (from != Self::NOBODY).then_some(From(from))
    }

    pub(super) fn key(self) -> Option<PeerKey> {
        (self != From::LOCAL).then_some(PeerKey(self.0))
    }
}

/// What a path is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Takes part in the decision.
    Usable,
    /// Refused by import policy.
    Refused,
    /// Our AS is in its path.
    AsLoop,
    /// We are its originator, or our cluster is in its list.
    ReflectionLoop,
    /// Its next hop is our own address.
    OwnNextHop,
    /// Only to Customer says that it should not have come here.
    RouteLeak,
    /// Its path does not begin with the peer's AS.
    ForeignPath,
}

/// One peer's path to a prefix: twelve octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Path {
    /// Low 24 bits: who; then standing (3), stale (1), unconfirmed (1).
    word: u32,
    /// As received.
    pub(super) received: AttrId,
    /// After import policy; `received` where it changed nothing or refused.
    pub(super) used: AttrId,
}

impl Path {
    const STANDING: u32 = 24;
    const STALE: u32 = 1 << 27;
    const UNCONFIRMED: u32 = 1 << 28;

    pub(super) fn new(from: From, standing: Standing, received: AttrId, used: AttrId) -> Path {
        Path { word: from.0 | (standing as u32) << Self::STANDING, received, used }
    }

    pub(super) fn from(self) -> From {
        From(self.word & From::MASK)
    }

    pub(super) fn standing(self) -> Standing {
        match self.word >> Self::STANDING & 0b111 {
            0 => Standing::Usable,
            1 => Standing::Refused,
            2 => Standing::AsLoop,
            3 => Standing::ReflectionLoop,
            4 => Standing::OwnNextHop,
            5 => Standing::RouteLeak,
            _ => Standing::ForeignPath,
        }
    }

    pub(super) fn is_usable(self) -> bool {
        self.standing() == Standing::Usable
    }

    /// The peer is gone and may return (RFC 4724).
    pub(super) fn is_stale(self) -> bool {
        self.word & Self::STALE != 0
    }

    /// The peer is sending everything again and has not come to this one yet (RFC 7313).
    pub(super) fn is_unconfirmed(self) -> bool {
        self.word & Self::UNCONFIRMED != 0
    }

    pub(super) fn set_stale(&mut self) {
        self.word |= Self::STALE;
    }

    pub(super) fn set_unconfirmed(&mut self) {
        self.word |= Self::UNCONFIRMED;
    }

    /// Stale and unconfirmed, as `other` is.
    pub(super) fn with_marks_of(self, other: Path) -> Path {
        let marks = Self::STALE | Self::UNCONFIRMED;
        Path { word: self.word & !marks | other.word & marks, ..self }
    }
}

#[derive(Debug)]
struct Entry<K> {
    prefix: K,
    state: u8,
    /// The only path; of several, its `received` is the number of the list.
    path: Path,
}

impl<K> Entry<K> {
    /// In use, without a path, and nothing left to tell of it.
    fn is_empty(&self) -> bool {
        self.state & (COUNT | DIRTY | FREE) == 0
    }
}

/// How many prefixes are looked up before the first of them is dealt with: a lookup in a large
/// table waits for memory, and lookups that follow each other wait together.
pub(super) const TOGETHER: usize = 64;

/// No path; the place is free unless `DIRTY`.
const COUNT_NONE: u8 = 0;
const COUNT_ONE: u8 = 1;
const COUNT_MANY: u8 = 2;
const COUNT: u8 = 0b11;
/// The first path is the best of the prefix.
const BEST: u8 = 0b100;
/// Its change is not told yet.
const DIRTY: u8 = 0b1000;
/// Not in the index.
const FREE: u8 = 0b1_0000;

/// Every prefix of a family.
pub(super) struct Table<K> {
    index: HashTable<u32>,
    entries: Vec<Entry<K>>,
    free: Vec<u32>,
    many: Vec<Vec<Path>>,
    free_many: Vec<u32>,
    hasher: DefaultHashBuilder,
}

impl<K> Default for Table<K> {
    fn default() -> Table<K> {
        Table {
            index: HashTable::new(),
            entries: Vec::new(),
            free: Vec::new(),
            many: Vec::new(),
            free_many: Vec::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }
}

impl<K: Key> Table<K> {
    /// Places in use and free ones among them: every place is below this.
    pub(super) fn places(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Prefixes that have a path, or had one of which the end is not told yet.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn find(&self, prefix: K) -> Option<u32> {
        let hash = prefix.hash_with(&self.hasher);
        self.index.find(hash, |place| self.entries[*place as usize].prefix == prefix).copied()
    }

    /// Makes room for so many prefixes more.
    pub(super) fn reserve(&mut self, new: usize) {
        self.entries.reserve(new.saturating_sub(self.free.len()));
        let Table { index, entries, hasher, .. } = self;
        index.reserve(new, |place| entries[*place as usize].prefix.hash_with(hasher));
    }

    /// The place of `prefix`, a new one without a path where there was none.
    pub(super) fn find_or_insert(&mut self, prefix: K) -> u32 {
        let hash = prefix.hash_with(&self.hasher);
        let (entries, hasher) = (&self.entries, &self.hasher);
        let found = self.index.find(hash, |place| entries[*place as usize].prefix == prefix);
        if let Some(place) = found {
            return *place;
        }
        let entry = Entry { prefix, state: COUNT_NONE, path: NO_PATH };
        let place = match self.free.pop() {
            Some(place) => {
                self.entries[place as usize] = entry;
                place
            }
            None => {
                self.entries.push(entry);
                u32::try_from(self.entries.len() - 1).expect("memory ends before 2^32 prefixes")
            }
        };
        let entries = &self.entries;
        self.index
            .insert_unique(hash, place, |place| entries[*place as usize].prefix.hash_with(hasher));
        place
    }

    /// Gives the place back where nothing needs it: no path, and nothing left to tell.
    pub(super) fn free_if_empty(&mut self, place: u32) {
        self.free_all_empty(&[place]);
    }

    /// Gives back those of `places` that nothing needs. See [`TOGETHER`].
    pub(super) fn free_all_empty(&mut self, places: &[u32]) {
        for together in places.chunks(TOGETHER) {
            let mut buckets = [None; TOGETHER];
            for (place, bucket) in together.iter().zip(&mut buckets) {
                let entry = &self.entries[*place as usize];
                if entry.is_empty() {
                    let hash = entry.prefix.hash_with(&self.hasher);
                    *bucket = self.index.find_bucket_index(hash, |other| other == place);
                }
            }
            for (place, bucket) in together.iter().zip(buckets) {
                let found = bucket.map(|bucket| self.index.get_bucket_entry(bucket));
                if let Some(Ok(found)) = found {
                    found.remove();
                    self.entries[*place as usize].state = FREE;
                    self.free.push(*place);
                }
            }
        }
    }

    pub(super) fn prefix(&self, place: u32) -> K {
        self.entries[place as usize].prefix
    }

    /// The best first, where one is usable; the rest in no order.
    pub(super) fn paths(&self, place: u32) -> &[Path] {
        let Some(entry) = self.entries.get(place as usize) else { return &[] };
        match entry.state & COUNT {
            COUNT_NONE => &[],
            COUNT_ONE => std::slice::from_ref(&entry.path),
            _ => &self.many[entry.path.received.0 as usize],
        }
    }

    pub(super) fn paths_mut(&mut self, place: u32) -> &mut [Path] {
        let entry = &mut self.entries[place as usize];
        match entry.state & COUNT {
            COUNT_NONE => &mut [],
            COUNT_ONE => std::slice::from_mut(&mut entry.path),
            _ => &mut self.many[entry.path.received.0 as usize],
        }
    }

    /// The best path, where one is usable.
    pub(super) fn best(&self, place: u32) -> Option<Path> {
        let entry = self.entries.get(place as usize)?;
        if entry.state & BEST == 0 {
            return None;
        }
        match entry.state & COUNT {
            COUNT_ONE => Some(entry.path),
            _ => self.paths(place).first().copied(),
        }
    }

    /// Makes the path at `index` the best, or none.
    pub(super) fn set_best(&mut self, place: u32, index: Option<usize>) {
        let state = &mut self.entries[place as usize].state;
        match index {
            None => *state &= !BEST,
            Some(index) => {
                *state |= BEST;
                self.paths_mut(place).swap(0, index);
            }
        }
    }

    /// Adds `path`, in place of the one of the same peer, which is returned.
    pub(super) fn put(&mut self, place: u32, path: Path) -> Option<Path> {
        let from = path.from();
        if let Some(old) = self.paths_mut(place).iter_mut().find(|old| old.from() == from) {
            return Some(std::mem::replace(old, path));
        }
        let entry = &mut self.entries[place as usize];
        match entry.state & COUNT {
            COUNT_NONE => {
                entry.path = path;
                entry.state = entry.state & !COUNT | COUNT_ONE;
            }
            COUNT_ONE => {
                let list = vec![entry.path, path];
                let number = match self.free_many.pop() {
                    Some(number) => {
                        self.many[number as usize] = list;
                        number
                    }
                    None => {
                        self.many.push(list);
                        u32::try_from(self.many.len() - 1).expect("fewer lists than places")
                    }
                };
                entry.path.received = AttrId(number);
                entry.state = entry.state & !COUNT | COUNT_MANY;
            }
            _ => self.many[entry.path.received.0 as usize].push(path),
        }
        None
    }

    /// Takes out the path of `from`. The caller decides anew if it was the best.
    pub(super) fn take(&mut self, place: u32, from: From) -> Option<Path> {
        let entry = self.entries.get_mut(place as usize)?;
        match entry.state & COUNT {
            COUNT_NONE => None,
            COUNT_ONE => (entry.path.from() == from).then(|| {
                entry.state &= !(COUNT | BEST);
                entry.path
            }),
            _ => {
                let number = entry.path.received.0;
                let list = &mut self.many[number as usize];
                let index = list.iter().position(|path| path.from() == from)?;
                let taken = list.swap_remove(index);
                if let [only] = **list {
                    entry.path = only;
                    entry.state = entry.state & !COUNT | COUNT_ONE;
                    *list = Vec::new();
                    self.free_many.push(number);
                }
                if index == 0 {
                    entry.state &= !BEST;
                }
                Some(taken)
            }
        }
    }

    pub(super) fn is_dirty(&self, place: u32) -> bool {
        self.entries.get(place as usize).is_some_and(|entry| entry.state & DIRTY != 0)
    }

    pub(super) fn set_dirty(&mut self, place: u32, dirty: bool) {
        let state = &mut self.entries[place as usize].state;
        *state = if dirty { *state | DIRTY } else { *state & !DIRTY };
    }
}

const NO_PATH: Path = Path { word: 0, received: AttrId(0), used: AttrId(0) };

#[cfg(test)]
mod tests {
    use super::*;

    fn path(peer: u32) -> Path {
        let from = From::peer(PeerKey(peer)).unwrap();
        Path::new(from, Standing::Usable, AttrId(peer), AttrId(peer))
    }

    #[test]
    fn an_ipv4_entry_takes_twenty_octets() {
        assert_eq!(size_of::<Entry<Ipv4Prefix>>(), 20);
    }

    #[test]
    fn paths_come_and_go_between_one_and_many() {
        let mut table = Table::<Ipv4Prefix>::default();
        let prefix = Ipv4Prefix::truncating([10, 0, 0, 0].into(), 8).unwrap();
        let place = table.find_or_insert(prefix);
        for peer in 0..4 {
            assert_eq!(table.put(place, path(peer)), None);
        }
        assert_eq!(table.put(place, path(2)), Some(path(2)));
        table.set_best(place, Some(3));
        assert_eq!(table.best(place), Some(path(3)));
        for peer in [3, 0, 2] {
            let from = From::peer(PeerKey(peer)).unwrap();
            assert_eq!(table.take(place, from), Some(path(peer)));
            assert_eq!(table.take(place, from), None);
        }
        assert_eq!(table.best(place), None);
        assert_eq!(table.paths(place), [path(1)]);
        table.free_if_empty(place);
        assert_eq!(table.find(prefix), Some(place));
        table.take(place, From(1));
        table.free_if_empty(place);
        assert_eq!(table.find(prefix), None);
        assert_eq!(table.find_or_insert(prefix), place);
    }

    #[test]
    fn of_many_places_those_that_are_empty_are_given_back_once() {
        let mut table = Table::<Ipv4Prefix>::default();
        let prefix =
            |number: u32| Ipv4Prefix::truncating((number << 8).into(), 24).expect("a prefix");
        let places: Vec<u32> =
            (0..1000).map(|number| table.find_or_insert(prefix(number))).collect();
        table.put(places[5], path(1));
        table.set_dirty(places[70], true);
        let twice: Vec<u32> = places.iter().chain(&places).copied().collect();
        table.free_all_empty(&twice);
        let left: Vec<u32> =
            (0..1000).filter(|number| table.find(prefix(*number)).is_some()).collect();
        assert_eq!(left, [5, 70]);
        assert_eq!(table.len(), 2);
        let again: std::collections::BTreeSet<u32> =
            (0..1000).map(|number| table.find_or_insert(prefix(number))).collect();
        assert_eq!(again.len(), 1000, "no place is given to two");
        assert_eq!(table.places(), 1000);
    }

    #[test]
    fn a_key_that_does_not_fit_is_no_peer() {
        assert!(From::peer(PeerKey(0x00ff_fffe)).is_none());
        for from in [None, Some(From::LOCAL), From::peer(PeerKey(0x00ff_fffd)), Some(From(0))] {
            assert_eq!(From::unpack(From::pack(from)), from);
        }
        assert_eq!(From::peer(PeerKey(5)).and_then(From::key), Some(PeerKey(5)));
        assert_eq!(From::LOCAL.key(), None);
    }
}
