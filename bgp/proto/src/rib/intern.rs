//! Attribute sets, each kept once. A path holds a number of four octets instead of a pointer;
//! the set lives as long as a path, or a change that is not told yet, counts on it.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::decision::Rank;
use crate::types::Attributes;

/// An interned attribute set. Valid as long as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct AttrId(pub(super) u32);

struct Slot {
    /// `None`: free.
    attributes: Option<Arc<Attributes>>,
    hash: u64,
    count: u32,
    rank: Rank,
}

/// Every attribute set in use.
#[derive(Default)]
pub(super) struct Interner {
    index: HashTable<u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    hasher: DefaultHashBuilder,
}

impl Interner {
    /// The number of `attributes`, counted once more. What is known already is dropped.
    pub(super) fn intern(&mut self, attributes: Arc<Attributes>) -> AttrId {
        let hash = self.hasher.hash_one(&*attributes);
        let slots = &self.slots;
        let same = |number: &u32| {
            slots.get(*number as usize).is_some_and(|slot| {
                slot.hash == hash && slot.attributes.as_ref() == Some(&attributes)
            })
        };
        if let Some(number) = self.index.find(hash, same).copied() {
            let id = AttrId(number);
            self.retain(id);
            return id;
        }
        let slot =
            Slot { hash, count: 1, rank: Rank::of(&attributes), attributes: Some(attributes) };
        let number = match self.free.pop() {
            Some(number) => {
                self.slots[number as usize] = slot;
                number
            }
            None => {
                self.slots.push(slot);
                u32::try_from(self.slots.len() - 1).expect("memory ends before 2^32 sets")
            }
        };
        let slots = &self.slots;
        self.index.insert_unique(hash, number, |number| slots[*number as usize].hash);
        AttrId(number)
    }

    /// Counts `id` once more.
    pub(super) fn retain(&mut self, id: AttrId) {
        self.slots[id.0 as usize].count += 1;
    }

    /// Counts `id` once less; frees it with the last.
    pub(super) fn release(&mut self, id: AttrId) {
        let slot = &mut self.slots[id.0 as usize];
        slot.count -= 1;
        if slot.count > 0 {
            return;
        }
        slot.attributes = None;
        if let Ok(entry) = self.index.find_entry(slot.hash, |number| *number == id.0) {
            entry.remove();
        }
        self.free.push(id.0);
    }

    /// The attributes of a counted `id`.
    pub(super) fn get(&self, id: AttrId) -> &Arc<Attributes> {
        self.slots[id.0 as usize].attributes.as_ref().expect("a path counts on it")
    }

    /// What the decision process compares first.
    pub(super) fn rank(&self, id: AttrId) -> Rank {
        self.slots[id.0 as usize].rank
    }

    /// How many sets are in use.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn attributes(last: u8) -> Arc<Attributes> {
        Arc::new(Attributes::originated(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)).into()))
    }

    #[test]
    fn equal_sets_are_kept_once() {
        let mut interner = Interner::default();
        let first = interner.intern(attributes(1));
        assert_eq!(interner.intern(attributes(1)), first);
        assert_ne!(interner.intern(attributes(2)), first);
        assert_eq!(interner.len(), 2);
    }

    #[test]
    fn the_last_one_frees_it_and_its_number_is_used_again() {
        let mut interner = Interner::default();
        let first = interner.intern(attributes(1));
        interner.retain(first);
        interner.release(first);
        assert_eq!(**interner.get(first), *attributes(1));
        interner.release(first);
        assert_eq!(interner.len(), 0);
        let second = interner.intern(attributes(2));
        assert_eq!(second, first);
        assert_eq!(**interner.get(second), *attributes(2));
    }
}
