//! Whom an address belongs to: a table that names, for a prefix, the claim that it overlaps.
//!
//! A mesh has thousands of claims and every peer's policy asks the same ones, so the table is
//! built once, shared, and searched by bisection: its entries share no address with each other.

use std::sync::Arc;

use crate::types::Prefix;

/// Prefixes that belong to someone, each with the reason to refuse what overlaps it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Claims {
    /// Sorted, and no two share an address.
    entries: Box<[(Prefix, Arc<str>)]>,
}

impl Claims {
    /// Of claims that lie within each other, the widest is kept; of equal ones, the first.
    pub fn new(claims: impl IntoIterator<Item = (Prefix, Arc<str>)>) -> Claims {
        let mut sorted: Vec<(Prefix, Arc<str>)> = claims.into_iter().collect();
        sorted.sort_by_key(|(prefix, _)| *prefix);
        let mut entries: Vec<(Prefix, Arc<str>)> = Vec::with_capacity(sorted.len());
        for claim in sorted {
            // What covers a prefix sorts before it.
            if !entries.last().is_some_and(|(last, _)| last.covers(claim.0)) {
                entries.push(claim);
            }
        }
        Claims { entries: entries.into() }
    }

    /// The reason of a claim that shares an address with `prefix`.
    pub fn overlapping(&self, prefix: Prefix) -> Option<&Arc<str>> {
        let next = self.entries.partition_point(|(claim, _)| *claim <= prefix);
        let before = next.checked_sub(1).and_then(|index| self.entries.get(index));
        [before, self.entries.get(next)]
            .into_iter()
            .flatten()
            .find(|(claim, _)| claim.overlaps(prefix))
            .map(|(_, reason)| reason)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;
    use crate::types::Ipv4Prefix;

    fn prefix() -> impl Strategy<Value = Prefix> {
        (0u32..64, 24u8..=32).prop_map(|(address, length)| {
            let address = Ipv4Addr::from(0x0a00_0000 | address << 4);
            Prefix::V4(Ipv4Prefix::truncating(address, length).expect("at most 32"))
        })
    }

    proptest! {
        /// Bisection finds a claim exactly where a look at each of them does.
        #[test]
        fn finds_what_a_full_search_finds(
            claims in proptest::collection::vec(prefix(), 0..12),
            asked in prefix(),
        ) {
            let table = Claims::new(claims.iter().map(|claim| (*claim, claim.to_string().into())));
            let found = table.overlapping(asked);
            prop_assert_eq!(found.is_some(), claims.iter().any(|claim| claim.overlaps(asked)));
            if let Some(reason) = found {
                prop_assert!(reason.parse::<Prefix>().is_ok_and(|claim| claim.overlaps(asked)));
            }
        }
    }
}
