use std::hash::Hash;

use hashbrown::HashMap;

/// A place in a [`Pool`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(u32);

impl Slot {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Values of which many entries share few: each is kept once, for as long as somebody uses it.
#[derive(Debug)]
pub(super) struct Pool<T> {
    slots: Vec<Option<(T, u32)>>,
    free: Vec<Slot>,
    index: HashMap<T, Slot>,
}

impl<T> Default for Pool<T> {
    fn default() -> Pool<T> {
        Pool { slots: Vec::new(), free: Vec::new(), index: HashMap::new() }
    }
}

impl<T: Eq + Hash + Clone> Pool<T> {
    /// Takes part in the use of a value; each must be given back by [`Pool::release`].
    pub(super) fn acquire(&mut self, value: T) -> Slot {
        if let Some(slot) = self.index.get(&value) {
            if let Some(Some((_, uses))) = self.slots.get_mut(slot.index()) {
                *uses = uses.saturating_add(1);
            }
            return *slot;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            Slot(u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX))
        });
        if let Some(place) = self.slots.get_mut(slot.index()) {
            *place = Some((value.clone(), 1));
        }
        self.index.insert(value, slot);
        slot
    }

    /// Ends one use; true: it was the last, and the slot may come to hold something else.
    pub(super) fn release(&mut self, slot: Slot) -> bool {
        let Some(place) = self.slots.get_mut(slot.index()) else { return false };
        match place {
            Some((_, uses)) if *uses > 1 => {
                *uses -= 1;
                false
            }
            Some((value, _)) => {
                self.index.remove(value);
                *place = None;
                self.free.push(slot);
                true
            }
            None => false,
        }
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&T> {
        self.slots.get(slot.index())?.as_ref().map(|(value, _)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_kept_once_and_for_as_long_as_it_is_used() {
        let mut pool = Pool::default();
        let first = pool.acquire("a");
        let second = pool.acquire("a");
        let other = pool.acquire("b");
        assert_eq!(first, second);
        assert_ne!(first, other);
        assert!(!pool.release(first));
        assert_eq!(pool.get(first), Some(&"a"));
        assert!(pool.release(second));
        assert_eq!(pool.get(first), None);
        assert_eq!(pool.acquire("c"), first, "the place is used again");
        assert_eq!(pool.get(other), Some(&"b"));
    }
}
