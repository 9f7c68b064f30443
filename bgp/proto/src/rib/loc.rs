//! Loc-RIB: the best path of each prefix, and what of it has changed since it was last told.
//!
//! An update changes the table at once and notes the prefix as dirty, with what was its best
//! before; however often it changes until then, [`Loc::settle`] tells the difference once, and
//! nothing where it came back to what it was.

use std::collections::VecDeque;

use super::decision;
use super::intern::{AttrId, Interner};
use super::peers::Peers;
use super::table::{From, Key, Path, Table};
use super::{Change, Route, RoutesFrom};

/// The best path of a prefix, as far as anyone is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Best {
    pub(super) from: From,
    pub(super) used: AttrId,
    pub(super) stale: bool,
}

impl Best {
    pub(super) fn of(path: Path) -> Best {
        Best { from: path.from(), used: path.used, stale: path.is_stale() }
    }

    pub(super) fn route(self, attrs: &Interner) -> Route {
        Route {
            attributes: attrs.get(self.used).clone(),
            from: routes_from(self.from),
            stale: self.stale,
        }
    }

    /// The same towards peers, who are not told what is stale.
    pub(super) fn sends_like(self, other: Best) -> bool {
        self.from == other.from && self.used == other.used
    }
}

pub(super) fn routes_from(from: From) -> RoutesFrom {
    from.key().map_or(RoutesFrom::Local, RoutesFrom::Peer)
}

struct Dirty {
    place: u32,
    /// Counts on its attributes.
    old: Option<Best>,
}

/// One settled change. `old` still counts on its attributes, until [`Loc::told`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Moved<K> {
    pub(super) place: u32,
    pub(super) prefix: K,
    pub(super) old: Option<Best>,
    pub(super) new: Option<Best>,
}

impl<K: Key> Moved<K> {
    pub(super) fn change(&self, attrs: &Interner) -> Change {
        Change {
            prefix: self.prefix.prefix(),
            old: self.old.map(|best| best.route(attrs)),
            new: self.new.map(|best| best.route(attrs)),
        }
    }
}

/// One family's table and what of it is to be told.
pub(super) struct Loc<K> {
    pub(super) table: Table<K>,
    dirty: VecDeque<Dirty>,
}

impl<K> Default for Loc<K> {
    fn default() -> Loc<K> {
        Loc { table: Table::default(), dirty: VecDeque::new() }
    }
}

impl<K: Key> Loc<K> {
    /// How many prefixes are noted.
    pub(super) fn unsettled(&self) -> usize {
        self.dirty.len()
    }

    pub(super) fn is_settled(&self) -> bool {
        self.dirty.is_empty()
    }

    /// Puts `path` in place of its peer's earlier one, which is returned; the attributes of the
    /// new one are counted by the caller, those of the old one are released.
    pub(super) fn put(
        &mut self,
        prefix: K,
        path: Path,
        attrs: &mut Interner,
        peers: &Peers,
    ) -> Option<Path> {
        let place = self.table.find_or_insert(prefix);
        self.edit(place, attrs, peers, |table| table.put(place, path))
    }

    /// Takes out the path of `from`, which is returned, its attributes released.
    pub(super) fn take(
        &mut self,
        place: u32,
        from: From,
        attrs: &mut Interner,
        peers: &Peers,
    ) -> Option<Path> {
        self.edit(place, attrs, peers, |table| table.take(place, from))
    }

    /// Changes the marks of the path of `from`.
    pub(super) fn mark(
        &mut self,
        place: u32,
        from: From,
        attrs: &mut Interner,
        peers: &Peers,
        mark: impl FnOnce(&mut Path),
    ) {
        self.edit(place, attrs, peers, |table| {
            if let Some(path) = table.paths_mut(place).iter_mut().find(|path| path.from() == from) {
                mark(path);
            }
            None
        });
    }

    fn edit(
        &mut self,
        place: u32,
        attrs: &mut Interner,
        peers: &Peers,
        edit: impl FnOnce(&mut Table<K>) -> Option<Path>,
    ) -> Option<Path> {
        let old = self.table.best(place).map(Best::of);
        let replaced = edit(&mut self.table);
        let best = decision::select(self.table.paths(place), attrs, peers);
        self.table.set_best(place, best);
        let new = self.table.best(place).map(Best::of);
        if old != new && !self.table.is_dirty(place) {
            if let Some(old) = old {
                attrs.retain(old.used);
            }
            self.table.set_dirty(place, true);
            self.dirty.push_back(Dirty { place, old });
        }
        if let Some(replaced) = replaced {
            attrs.release(replaced.received);
            attrs.release(replaced.used);
        }
        self.table.free_if_empty(place);
        replaced
    }

    /// Takes up to `max` noted prefixes, oldest first, and returns those that differ.
    pub(super) fn settle(&mut self, max: usize, attrs: &mut Interner) -> Vec<Moved<K>> {
        let count = max.min(self.dirty.len());
        let mut moved = Vec::with_capacity(count);
        for Dirty { place, old } in self.dirty.drain(..count) {
            self.table.set_dirty(place, false);
            let new = self.table.best(place).map(Best::of);
            if old == new {
                if let Some(old) = old {
                    attrs.release(old.used);
                }
                self.table.free_if_empty(place);
                continue;
            }
            moved.push(Moved { place, prefix: self.table.prefix(place), old, new });
        }
        if self.dirty.is_empty() {
            // A whole table may have passed through; the next one seldom does.
            self.dirty.shrink_to(KEPT_DIRTY);
        }
        moved
    }

    /// Everyone was told: forgets what `moved` held.
    pub(super) fn told(&mut self, moved: &[Moved<K>], attrs: &mut Interner) {
        moved.iter().filter_map(|one| one.old).for_each(|old| attrs.release(old.used));
        let gone = moved.iter().filter(|one| one.new.is_none()).map(|one| one.place);
        self.table.free_all_empty(&gone.collect::<Vec<_>>());
    }

    /// The best of `place` as it was last told, where it is not noted as changed.
    pub(super) fn settled_best(&self, place: u32) -> Option<Best> {
        if self.table.is_dirty(place) {
            return None;
        }
        self.table.best(place).map(Best::of)
    }

    /// Every prefix and its best as it was last told.
    pub(super) fn told_bests(&self) -> impl Iterator<Item = (K, Best)> {
        let places = 0..self.table.places();
        let clean =
            places.filter_map(|place| Some((self.table.prefix(place), self.settled_best(place)?)));
        let noted =
            self.dirty.iter().filter_map(|one| Some((self.table.prefix(one.place), one.old?)));
        clean.chain(noted)
    }
}

/// Notes for which memory is kept when all is told.
const KEPT_DIRTY: usize = 4096;
