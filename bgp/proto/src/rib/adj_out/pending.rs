use hashbrown::{DefaultHashBuilder, HashTable};

use crate::rib::table::Key;

/// The prefixes a peer has yet to hear about, each once however often it changed, with whether
/// the peer has a route to it now. The newest is taken first.
pub(in crate::rib) struct Pending<K> {
    entries: Vec<(K, bool)>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl<K> Default for Pending<K> {
    fn default() -> Pending<K> {
        Pending {
            entries: Vec::new(),
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }
}

impl<K: Key> Pending<K> {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn contains(&self, prefix: K) -> bool {
        if self.entries.is_empty() {
            return false;
        }
        let hash = prefix.hash_with(&self.hasher);
        let entry = |number: &u32| self.entries.get(*number as usize);
        self.index.find(hash, |number| entry(number).is_some_and(|one| one.0 == prefix)).is_some()
    }

    /// Adds `prefix`; where it is there already, what the peer has stays as it was said first.
    pub(super) fn insert(&mut self, prefix: K, had: bool) {
        let Pending { entries, index, hasher } = self;
        let hash = prefix.hash_with(hasher);
        let known = |number: &u32| entries.get(*number as usize).is_some_and(|one| one.0 == prefix);
        if index.find(hash, known).is_some() {
            return;
        }
        let Ok(number) = u32::try_from(entries.len()) else { return };
        entries.push((prefix, had));
        index.insert_unique(hash, number, |number| {
            entries.get(*number as usize).map_or(0, |one| one.0.hash_with(hasher))
        });
    }

    pub(super) fn pop(&mut self) -> Option<(K, bool)> {
        let (prefix, had) = self.entries.pop()?;
        let number = self.entries.len() as u32;
        let hash = prefix.hash_with(&self.hasher);
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == number) {
            entry.remove();
        }
        if self.entries.is_empty() {
            *self = Pending::default();
        }
        Some((prefix, had))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Ipv4Prefix;

    #[test]
    fn holds_each_prefix_once_and_the_first_word() {
        let prefix = |last| Ipv4Prefix::truncating([10, 0, last, 0].into(), 24).unwrap();
        let mut pending = Pending::default();
        for (last, had) in [(1, true), (2, false), (1, false), (3, true), (2, true)] {
            pending.insert(prefix(last), had);
        }
        assert_eq!(pending.len(), 3);
        let mut taken: Vec<_> = std::iter::from_fn(|| pending.pop()).collect();
        taken.sort();
        assert_eq!(taken, [(prefix(1), true), (prefix(2), false), (prefix(3), true)]);
        assert!(pending.is_empty());
    }
}
