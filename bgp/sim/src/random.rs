//! Everything that is left to chance, from one seed.

/// SplitMix64: every seed, 0 included, gives a full-period sequence, the same on every machine.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number below `bound`; 0 where that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.bits() % bound }
    }

    /// A number from `least` to `most`.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// A place in a list of `length`.
    pub fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    /// True once in `times`, on average.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of a list.
    pub fn one_of<T: Copy>(&mut self, choices: &[T], otherwise: T) -> T {
        let place = self.place(choices.len());
        choices.get(place).copied().unwrap_or(otherwise)
    }

    /// A sequence of its own, so that what one part draws does not shift what another does.
    pub fn fork(&mut self) -> Random {
        Random(self.bits())
    }
}

/// Spreads a value over all bits.
pub(crate) fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// A hash of all that happened, in order: two runs that agree on it were the same run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trace(u64);

impl Trace {
    /// Takes in one word.
    pub(crate) fn word(&mut self, word: u64) {
        self.0 = mix(self.0.rotate_left(5) ^ word.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    }

    /// Takes in octets.
    pub(crate) fn octets(&mut self, octets: &[u8]) {
        self.word(octets.len() as u64);
        for chunk in octets.chunks(8) {
            let word = chunk.iter().fold(0, |word, octet| word << 8 | u64::from(*octet));
            self.word(word);
        }
    }

    /// The hash so far.
    pub fn value(self) -> u64 {
        self.0
    }
}
