//! Which packets of pods leave the cluster under this node's address.
//!
//! In: the snapshot and the routes that stand in the kernel. Out: whose packets, and where they go
//! unchanged. Packets to pods and nodes keep the pod's address, and so do those to what outside
//! routers announce, for these learn the way back; a default route says nothing of who knows it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use twill_bgp::proto::types::{Family, Prefix};

use crate::source::Snapshot;

/// What is never forwarded by way of a router, and so never translated: link-local addresses,
/// multicast and broadcast.
const NEVER: [(&str, u8); 5] =
    [("169.254.0.0", 16), ("224.0.0.0", 4), ("255.255.255.255", 32), ("fe80::", 10), ("ff00::", 8)];

/// More intervals than this are not put into the kernel's set: a whole Internet table, learned
/// from a router, would cost more than it tells.
pub const MAX_LEARNED: usize = 50_000;

/// What is translated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Masquerade {
    /// Sources: this node's pod CIDRs.
    pub pods: Vec<Interval>,
    /// Destinations that are left alone.
    pub exempt: Vec<Interval>,
    /// Learned prefixes that found no room among them.
    pub left_out: usize,
}

/// Addresses of one family, from the first to the one before `after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval {
    /// The first.
    pub first: IpAddr,
    /// The first that is not in it; `None`: it reaches the family's end.
    pub after: Option<IpAddr>,
}

impl Interval {
    fn of(prefix: Prefix) -> Interval {
        let first = prefix.address();
        let host_bits = u32::from(prefix.max_len() - prefix.len());
        let after = match first {
            IpAddr::V4(address) => 1_u32
                .checked_shl(host_bits)
                .and_then(|size| u32::from(address).checked_add(size))
                .map(|address| IpAddr::V4(address.into())),
            IpAddr::V6(address) => 1_u128
                .checked_shl(host_bits)
                .and_then(|size| u128::from(address).checked_add(size))
                .map(|address| IpAddr::V6(address.into())),
        };
        Interval { first, after }
    }

    /// Of which family.
    pub fn family(&self) -> Family {
        Prefix::host(self.first).family()
    }

    /// Whether `next`, which begins no earlier, begins within or right behind.
    fn reaches(&self, next: &Interval) -> bool {
        self.family() == next.family() && self.after.is_none_or(|after| next.first <= after)
    }

    fn extend(&mut self, next: &Interval) {
        self.after = self.after.zip(next.after).map(|(one, other)| one.max(other));
    }
}

/// The fewest intervals that hold these prefixes, in order.
fn merged(prefixes: impl IntoIterator<Item = Prefix>) -> Vec<Interval> {
    let prefixes: BTreeSet<Prefix> = prefixes.into_iter().collect();
    let mut intervals: Vec<Interval> = Vec::new();
    for next in prefixes.into_iter().map(Interval::of) {
        match intervals.last_mut() {
            Some(last) if last.reaches(&next) => last.extend(&next),
            _ => intervals.push(next),
        }
    }
    intervals
}

impl Masquerade {
    /// `None`: nothing is translated. `routes`: what stands in the kernel under our number.
    pub fn new(
        snapshot: &Snapshot,
        routes: impl IntoIterator<Item = Prefix>,
    ) -> Option<Masquerade> {
        let dataplane = &snapshot.dataplane;
        let pods = &snapshot.node.pod_cidrs;
        if !dataplane.install || !dataplane.masquerade || pods.is_empty() {
            return None;
        }
        let nodes = std::iter::once(&snapshot.node).chain(snapshot.nodes.values());
        let inside = nodes.flat_map(|node| {
            let hosts = node.addresses.iter().copied().map(Prefix::host);
            node.pod_cidrs.iter().copied().chain(hosts)
        });
        let never = NEVER.iter().filter_map(|(address, length)| {
            Prefix::truncating(address.parse().ok()?, *length).ok()
        });
        let always: Vec<Prefix> =
            inside.chain(never).chain(dataplane.masquerade_exempt.iter().copied()).collect();
        let learned = routes.into_iter().filter(|prefix| prefix.len() > 0);
        let mut exempt = merged(always.iter().copied().chain(learned));
        let mut left_out = 0;
        if exempt.len() > MAX_LEARNED {
            left_out = exempt.len();
            exempt = merged(always);
            left_out = left_out.saturating_sub(exempt.len());
        }
        Some(Masquerade { pods: merged(pods.iter().copied()), exempt, left_out })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::desired::fixture::{THREE, snapshot};

    fn prefixes(texts: &[&str]) -> Vec<Prefix> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn shown(intervals: &[Interval]) -> Vec<String> {
        let end = |after: Option<IpAddr>| after.map_or("end".into(), |after| after.to_string());
        intervals.iter().map(|each| format!("{} to {}", each.first, end(each.after))).collect()
    }

    #[test]
    fn what_lies_within_or_touches_is_one_interval() {
        let rows: [(&[&str], &[&str]); 6] = [
            (&[], &[]),
            (&["10.0.0.0/24", "10.0.0.7/32"], &["10.0.0.0 to 10.0.1.0"]),
            (&["10.0.1.0/24", "10.0.0.0/24"], &["10.0.0.0 to 10.0.2.0"]),
            (&["10.0.0.0/24", "10.0.2.0/24"], &["10.0.0.0 to 10.0.1.0", "10.0.2.0 to 10.0.3.0"]),
            (&["224.0.0.0/3", "::/0"], &["224.0.0.0 to end", ":: to end"]),
            (&["255.255.255.255/32", "ff00::/8"], &["255.255.255.255 to end", "ff00:: to end"]),
        ];
        for (given, expected) in rows {
            assert_eq!(shown(&merged(prefixes(given))), expected, "{given:?}");
        }
    }

    #[test]
    fn pods_keep_their_address_towards_pods_nodes_and_what_was_learned() {
        let learned = prefixes(&["198.51.100.0/24", "0.0.0.0/0", "10.244.2.0/24"]);
        let more = "dataplane: {masqueradeExempt: [172.16.0.0/12]}";
        let wanted = Masquerade::new(&snapshot(&format!("{THREE}{more}")), learned).unwrap();
        assert_eq!(
            shown(&wanted.pods),
            ["10.244.1.0 to 10.244.2.0", "fd00:244:1:: to fd00:244:1:1::"]
        );
        let exempt = shown(&wanted.exempt);
        for expected in [
            "10.0.0.1 to 10.0.0.4",
            "10.244.1.0 to 10.244.4.0",
            "172.16.0.0 to 172.32.0.0",
            "198.51.100.0 to 198.51.101.0",
            "fd00::1 to fd00::3",
        ] {
            let found = exempt.iter().any(|each| each.starts_with(expected));
            assert!(found, "{expected}: {exempt:?}");
        }
        assert!(!exempt.iter().any(|each| each.starts_with("0.0.0.0")), "{exempt:?}");
        assert_eq!(wanted.left_out, 0);
    }

    #[test]
    fn nothing_is_translated_where_that_is_off_or_there_are_no_pods() {
        for more in ["dataplane: {masquerade: false}", "dataplane: {install: false}"] {
            assert_eq!(Masquerade::new(&snapshot(&format!("{THREE}{more}")), []), None, "{more}");
        }
        let no_pods = snapshot("node: a\naddresses: [10.0.0.1]\n");
        assert_eq!(Masquerade::new(&no_pods, []), None);
    }

    #[test]
    fn a_whole_table_is_left_out_and_counted() {
        let many = (0..u32::try_from(MAX_LEARNED).unwrap() + 10).map(|number| {
            Prefix::truncating(IpAddr::V4((0x1400_0000 + number * 512).into()), 24).unwrap()
        });
        let wanted = Masquerade::new(&snapshot(THREE), many).unwrap();
        assert_eq!(wanted.left_out, MAX_LEARNED + 10);
        assert!(wanted.exempt.len() < 20);
    }

    proptest! {
        /// An address is in one of the intervals where it is in one of the prefixes; intervals
        /// neither overlap nor touch.
        #[test]
        fn intervals_hold_what_the_prefixes_hold(
            given in prop::collection::vec((any::<u32>(), 0_u8..=32), 0..20),
            asked in any::<u32>(),
        ) {
            let given: Vec<Prefix> = given
                .into_iter()
                .map(|(address, length)| {
                    Prefix::truncating(IpAddr::V4(address.into()), length).unwrap()
                })
                .collect();
            let asked = IpAddr::V4(asked.into());
            let intervals = merged(given.iter().copied());
            let holds = |each: &Interval| {
                each.first <= asked && each.after.is_none_or(|after| asked < after)
            };
            prop_assert_eq!(
                intervals.iter().any(holds),
                given.iter().any(|prefix| prefix.contains(asked))
            );
            prop_assert!(intervals.is_sorted());
            for pair in intervals.windows(2) {
                prop_assert!(!pair[0].reaches(&pair[1]), "{:?}", pair);
            }
        }
    }
}
