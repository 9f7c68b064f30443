/// One bit for each place of a table; unset beyond what was ever set.
#[derive(Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn get(&self, place: u32) -> bool {
        let word = self.0.get(place as usize / 64).copied().unwrap_or(0);
        word >> (place % 64) & 1 != 0
    }

    pub(super) fn set(&mut self, place: u32, value: bool) {
        let index = place as usize / 64;
        if index >= self.0.len() {
            if !value {
                return;
            }
            self.0.resize(index + 1, 0);
        }
        if let Some(word) = self.0.get_mut(index) {
            let bit = 1 << (place % 64);
            *word = if value { *word | bit } else { *word & !bit };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_their_own() {
        let mut bits = Bits::default();
        bits.set(1000, false);
        assert!(!bits.get(1000));
        for place in [0, 63, 64, 1000] {
            bits.set(place, true);
        }
        bits.set(63, false);
        let set: Vec<u32> = (0..2000).filter(|place| bits.get(*place)).collect();
        assert_eq!(set, [0, 64, 1000]);
    }
}
