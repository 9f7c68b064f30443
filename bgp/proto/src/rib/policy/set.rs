use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::PrefixRange;
use crate::types::{Ipv4Prefix, Ipv6Prefix, Prefix};

/// Prefixes, each with the lengths it admits; built once, cheap to clone, and answered in a few
/// binary searches however many prefixes it holds.
///
/// Two sets are equal where they hold the same ranges, in whatever order they were given.
#[derive(Clone)]
pub struct PrefixSet(Arc<Inner>);

#[derive(PartialEq, Eq, Hash)]
struct Inner {
    v4: Sorted<Ipv4Prefix>,
    v6: Sorted<Ipv6Prefix>,
}

impl PrefixSet {
    /// A set of ranges. A range admits no length shorter than its prefix, whatever its `ge`.
    pub fn new(ranges: impl IntoIterator<Item = PrefixRange>) -> PrefixSet {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for PrefixRange { prefix, ge, le } in ranges {
            let ge = ge.max(prefix.len());
            match prefix {
                Prefix::V4(prefix) => v4.push(Range { prefix, ge, le }),
                Prefix::V6(prefix) => v6.push(Range { prefix, ge, le }),
            }
        }
        PrefixSet(Arc::new(Inner { v4: Sorted::new(v4), v6: Sorted::new(v6) }))
    }

    /// A set that admits each prefix itself and nothing within it.
    pub fn exact(prefixes: impl IntoIterator<Item = Prefix>) -> PrefixSet {
        PrefixSet::new(prefixes.into_iter().map(PrefixRange::exact))
    }

    /// Whether one of the ranges covers `prefix` and admits its length.
    pub fn admits(&self, prefix: Prefix) -> bool {
        match prefix {
            Prefix::V4(prefix) => self.0.v4.admits(prefix),
            Prefix::V6(prefix) => self.0.v6.admits(prefix),
        }
    }

    /// Whether `prefix` shares an address with a prefix of the set, whatever lengths it admits.
    pub fn overlaps(&self, prefix: Prefix) -> bool {
        match prefix {
            Prefix::V4(prefix) => self.0.v4.overlaps(prefix),
            Prefix::V6(prefix) => self.0.v6.overlaps(prefix),
        }
    }

    /// The ranges, IPv4 first, by address and length.
    pub fn iter(&self) -> impl Iterator<Item = PrefixRange> {
        let v4 =
            self.0.v4.ranges.iter().map(|range| (Prefix::V4(range.prefix), range.ge, range.le));
        let v6 =
            self.0.v6.ranges.iter().map(|range| (Prefix::V6(range.prefix), range.ge, range.le));
        v4.chain(v6).map(|(prefix, ge, le)| PrefixRange { prefix, ge, le })
    }

    /// Whether the set holds nothing.
    pub fn is_empty(&self) -> bool {
        self.0.v4.ranges.is_empty() && self.0.v6.ranges.is_empty()
    }
}

impl PartialEq for PrefixSet {
    fn eq(&self, other: &PrefixSet) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for PrefixSet {}

impl Hash for PrefixSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for PrefixSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl FromIterator<PrefixRange> for PrefixSet {
    fn from_iter<I: IntoIterator<Item = PrefixRange>>(ranges: I) -> PrefixSet {
        PrefixSet::new(ranges)
    }
}

impl FromIterator<Prefix> for PrefixSet {
    fn from_iter<I: IntoIterator<Item = Prefix>>(prefixes: I) -> PrefixSet {
        PrefixSet::exact(prefixes)
    }
}

impl From<Vec<PrefixRange>> for PrefixSet {
    fn from(ranges: Vec<PrefixRange>) -> PrefixSet {
        PrefixSet::new(ranges)
    }
}

impl From<Vec<Prefix>> for PrefixSet {
    fn from(prefixes: Vec<Prefix>) -> PrefixSet {
        PrefixSet::exact(prefixes)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Range<K> {
    prefix: K,
    ge: u8,
    le: u8,
}

/// Ranges by address and length. What covers a prefix is found by looking up the prefix cut to
/// each length that occurs, of which there are few; what it covers follows it directly.
#[derive(PartialEq, Eq, Hash)]
struct Sorted<K> {
    ranges: Box<[Range<K>]>,
    lengths: Box<[u8]>,
}

impl<K: Cut> Sorted<K> {
    fn new(mut ranges: Vec<Range<K>>) -> Sorted<K> {
        ranges.sort_unstable();
        ranges.dedup();
        let mut lengths: Vec<u8> = ranges.iter().map(|range| range.prefix.length()).collect();
        lengths.sort_unstable();
        lengths.dedup();
        Sorted { ranges: ranges.into(), lengths: lengths.into() }
    }

    /// The ranges of exactly `prefix`, and what follows them.
    fn from(&self, prefix: K) -> &[Range<K>] {
        let start = self.ranges.partition_point(|range| range.prefix < prefix);
        self.ranges.get(start..).unwrap_or_default()
    }

    fn covering(&self, prefix: K) -> impl Iterator<Item = &Range<K>> {
        self.lengths.iter().take_while(move |length| **length <= prefix.length()).flat_map(
            move |length| {
                let cover = prefix.cut(*length);
                self.from(cover).iter().take_while(move |range| range.prefix == cover)
            },
        )
    }

    fn admits(&self, prefix: K) -> bool {
        self.covering(prefix).any(|range| (range.ge..=range.le).contains(&prefix.length()))
    }

    fn overlaps(&self, prefix: K) -> bool {
        self.covering(prefix).next().is_some()
            || self.from(prefix).first().is_some_and(|range| {
                range.prefix.length() >= prefix.length()
                    && range.prefix.cut(prefix.length()) == prefix
            })
    }
}

trait Cut: Copy + Ord {
    fn length(self) -> u8;
    /// The first `length` bits; itself where it is not longer.
    fn cut(self, length: u8) -> Self;
}

impl Cut for Ipv4Prefix {
    fn length(self) -> u8 {
        self.len()
    }

    fn cut(self, length: u8) -> Ipv4Prefix {
        Ipv4Prefix::truncating(Ipv4Addr::from(*self.octets()), length.min(self.len()))
            .unwrap_or(self)
    }
}

impl Cut for Ipv6Prefix {
    fn length(self) -> u8 {
        self.len()
    }

    fn cut(self, length: u8) -> Ipv6Prefix {
        Ipv6Prefix::truncating(Ipv6Addr::from(*self.octets()), length.min(self.len()))
            .unwrap_or(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(text: &str, ge: u8, le: u8) -> PrefixRange {
        PrefixRange { prefix: text.parse().unwrap(), ge, le }
    }

    #[test]
    fn admits_what_a_range_covers_in_its_lengths() {
        let set = PrefixSet::new([
            range("192.0.2.0/24", 24, 32),
            range("10.0.0.0/8", 16, 24),
            range("fd00::/16", 64, 64),
        ]);
        for (prefix, admitted) in [
            ("192.0.2.0/24", true),
            ("192.0.2.7/32", true),
            ("192.0.0.0/16", false),
            ("10.0.0.0/8", false),
            ("10.1.0.0/16", true),
            ("10.1.2.0/25", false),
            ("fd00:1::/64", true),
            ("fd00:1::/65", false),
            ("::/0", false),
        ] {
            assert_eq!(set.admits(prefix.parse().unwrap()), admitted, "{prefix}");
        }
    }

    #[test]
    fn equal_whatever_the_order() {
        let (a, b) = (range("10.0.0.0/8", 8, 8), range("fd00::/16", 16, 64));
        assert_eq!(PrefixSet::new([a, b]), PrefixSet::new([b, a, b]));
        assert_ne!(PrefixSet::new([a]), PrefixSet::new([b]));
    }

    /// Few addresses, so that prefixes often cover each other.
    fn prefix() -> impl Strategy<Value = Prefix> {
        (0u32..64, 0u8..=8, any::<bool>()).prop_map(|(bits, length, v4)| {
            let address = if v4 {
                Ipv4Addr::from(bits << 26).into()
            } else {
                Ipv6Addr::from(u128::from(bits) << 122).into()
            };
            Prefix::truncating(address, length).unwrap()
        })
    }

    proptest! {
        #[test]
        fn agrees_with_a_scan(
            ranges in prop::collection::vec((prefix(), 0u8..10, 0u8..10), 0..12),
            asked in prefix(),
        ) {
            let ranges: Vec<PrefixRange> =
                ranges.into_iter().map(|(prefix, ge, le)| PrefixRange { prefix, ge, le }).collect();
            let set = PrefixSet::new(ranges.iter().copied());
            let admitted = ranges.iter().any(|range| range.admits(asked));
            prop_assert_eq!(set.admits(asked), admitted);
            let overlaps = ranges.iter().any(|range| range.prefix.overlaps(asked));
            prop_assert_eq!(set.overlaps(asked), overlaps);
        }
    }
}
