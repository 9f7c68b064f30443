//! What is announced: prefixes in groups that share their path, made up or read from a file.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::path::Path;

use anyhow::{Result, bail};
use bytes::{Bytes, BytesMut};
use twill_bgp_proto::types::{AsPath, Asn, Attributes, Community, NextHop, Prefix};
use twill_bgp_proto::wire::Codec;

use super::index::Index;
use super::mrt::{self, Go};

/// Prefixes that share one attribute set.
pub(super) struct Group {
    /// The peer that announces it.
    pub(super) owner: usize,
    path: Vec<Asn>,
    communities: Vec<Community>,
    prefixes: Range<usize>,
}

/// How often a table was announced; a change of all is the next one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    First = 1,
    Second = 2,
}

/// See the module.
pub(super) struct Table {
    prefixes: Vec<Prefix>,
    groups: Vec<Group>,
    /// By prefix.
    group_of: Vec<u32>,
    index: Index,
}

/// The shares of /24, /23, /22, /21, /20 and shorter in the IPv4 table, in percent, added up.
const IPV4_LENGTHS: [(u32, u8); 8] =
    [(60, 24), (70, 23), (81, 22), (86, 21), (91, 20), (94, 19), (96, 18), (100, 16)];
/// The same of IPv6.
const IPV6_LENGTHS: [(u32, u8); 5] = [(48, 48), (60, 44), (75, 40), (85, 36), (100, 32)];

/// A generator of numbers that are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u32) -> u32 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((value ^ (value >> 31)) >> 32) as u32 % end.max(1)
    }
}

impl Table {
    /// `count` prefixes in today's mix of lengths, 6.7 of them for each attribute set; neighbours
    /// in the address space mostly share theirs, the sets come in no order. Each of `senders` has
    /// an equal share.
    pub(super) fn generated(count: usize, senders: usize, ipv6: bool) -> Result<Table> {
        let mut numbers = Numbers(1);
        let mut sizes = Vec::new();
        let mut left = count;
        while left > 0 {
            let size = match numbers.below(100) {
                0..45 => 1,
                45..75 => 2 + numbers.below(4),
                75..95 => 6 + numbers.below(12),
                _ => 18 + numbers.below(80),
            };
            let size = (size as usize).min(left);
            sizes.push(size);
            left -= size;
        }
        let mut begin = 0;
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for size in sizes {
            ranges.push(begin..begin + size);
            begin += size;
        }
        for at in (1..ranges.len()).rev() {
            ranges.swap(at, numbers.below(u32::try_from(at + 1)?) as usize);
        }
        let (mut groups, mut prefixes) = (Vec::new(), Vec::with_capacity(count));
        let mut seen = HashSet::new();
        for range in ranges {
            let hops = 2 + numbers.below(4);
            // Neither ours nor a peer's: those would be loops.
            let hop = |_| Asn::new(200_000 + numbers.below(200_000));
            let path = (0..hops).filter_map(hop).collect();
            let tags = numbers.below(5);
            let communities =
                (0..tags).map(|_| Community(numbers.below(u32::MAX))).collect::<Vec<_>>();
            let first = prefixes.len();
            for place in range {
                prefixes.push(prefix(u32::try_from(place)?, &mut numbers, ipv6, &mut seen)?);
            }
            groups.push(Group { owner: 0, path, communities, prefixes: first..prefixes.len() });
        }
        Table::new(prefixes, groups, senders)
    }

    /// What nodes announce: `count` prefixes of one length that share no address, an equal share
    /// for each of `senders`, without a path or communities.
    pub(super) fn nodes(count: usize, senders: usize, ipv6: bool) -> Result<Table> {
        let place = |place| {
            let (address, length) = place_of(u32::try_from(place)?, ipv6)?;
            Ok(Prefix::truncating(address, length)?)
        };
        let prefixes = (0..count).map(place).collect::<Result<Vec<Prefix>>>()?;
        let group = Group { owner: 0, path: vec![], communities: vec![], prefixes: 0..count };
        Table::new(prefixes, vec![group], senders)
    }

    /// The routes of a file, see [`super::mrt`]: of each prefix the first that is seen.
    pub(super) fn file(file: &Path, count: usize, senders: usize, ipv6: bool) -> Result<Table> {
        let mut seen = HashSet::new();
        let mut by_path: HashMap<Vec<Asn>, usize> = HashMap::new();
        let mut lists: Vec<(Vec<Asn>, Vec<Prefix>)> = Vec::new();
        mrt::routes(file, |prefix, path| {
            if prefix.address().is_ipv6() == ipv6 && seen.len() < count && seen.insert(prefix) {
                let place = *by_path.entry(path).or_insert_with_key(|path| {
                    lists.push((path.clone(), Vec::new()));
                    lists.len() - 1
                });
                lists[place].1.push(prefix);
            }
            Ok(if seen.len() < count { Go::On } else { Go::NoFurther })
        })?;
        if lists.is_empty() {
            bail!("{} has no routes of this family", file.display());
        }
        let (mut groups, mut prefixes) = (Vec::new(), Vec::new());
        for (path, list) in lists {
            let first = prefixes.len();
            prefixes.extend(list);
            let communities = Vec::new();
            groups.push(Group { owner: 0, path, communities, prefixes: first..prefixes.len() });
        }
        Table::new(prefixes, groups, senders)
    }

    fn new(prefixes: Vec<Prefix>, groups: Vec<Group>, senders: usize) -> Result<Table> {
        let share = prefixes.len().div_ceil(senders.max(1)).max(1);
        let mut table =
            Table { index: Index::new(&prefixes)?, prefixes, groups: vec![], group_of: vec![] };
        for group in groups {
            // A group whose prefixes belong to two senders is two groups.
            let mut rest = group.prefixes;
            while !rest.is_empty() {
                let owner = rest.start / share;
                let end = rest.end.min((owner + 1) * share);
                let number = u32::try_from(table.groups.len())?;
                table.group_of.resize(end, number);
                table.groups.push(Group {
                    owner,
                    path: group.path.clone(),
                    communities: group.communities.clone(),
                    prefixes: rest.start..end,
                });
                rest.start = end;
            }
        }
        Ok(table)
    }

    pub(super) fn len(&self) -> usize {
        self.prefixes.len()
    }

    pub(super) fn groups(&self) -> usize {
        self.groups.len()
    }

    pub(super) fn prefixes(&self) -> &[Prefix] {
        &self.prefixes
    }

    /// How many prefixes a peer announces.
    pub(super) fn owned(&self, owner: usize) -> usize {
        let own = self.groups.iter().filter(|group| group.owner == owner);
        own.map(|group| group.prefixes.len()).sum()
    }

    /// A prefix's number, by its address and length as they stand in messages.
    pub(super) fn find(&self, address: IpAddr, length: u8) -> Option<usize> {
        self.index.find(address, length)
    }

    pub(super) fn group_of(&self, place: usize) -> u32 {
        self.group_of.get(place).copied().unwrap_or(u32::MAX)
    }

    pub(super) fn group(&self, number: u32) -> Option<&Group> {
        self.groups.get(number as usize)
    }

    /// The AS path of a group as its sender announces it. Each version has another one.
    pub(super) fn path(&self, group: &Group, version: Version, sender: Option<Asn>) -> Vec<Asn> {
        let last = (version == Version::Second).then_some(Asn::TRANS);
        sender.into_iter().chain(group.path.iter().copied()).chain(last).collect()
    }

    /// UPDATEs for all that a peer announces.
    pub(super) fn announcements(
        &self,
        owner: usize,
        sender: Option<Asn>,
        next_hop: IpAddr,
        version: Version,
        codec: &Codec,
    ) -> Result<Bytes> {
        let mut out = BytesMut::new();
        for group in self.groups.iter().filter(|group| group.owner == owner) {
            let attributes = Attributes {
                as_path: AsPath::sequence(self.path(group, version, sender)),
                communities: group.communities.iter().copied().collect(),
                ..Attributes::originated(next_hop_of(next_hop))
            };
            let prefixes = &self.prefixes[group.prefixes.clone()];
            codec.encode_updates(&attributes, prefixes.iter().copied(), &mut out)?;
        }
        Ok(out.freeze())
    }

    /// UPDATEs that withdraw all that a peer announces.
    pub(super) fn withdrawals(&self, owner: usize, codec: &Codec) -> Bytes {
        let mut out = BytesMut::new();
        let own = self.groups.iter().filter(|group| group.owner == owner);
        let own = own.flat_map(|group| &self.prefixes[group.prefixes.clone()]);
        codec.encode_withdrawals(own.copied(), &mut out);
        out.freeze()
    }
}

/// How a receiver sums a path up: its segments as in the message.
pub(super) fn path_hash(octets: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    octets.hash(&mut hasher);
    hasher.finish()
}

/// The segments of a path that is one sequence.
pub(super) fn path_octets(path: &[Asn]) -> Vec<u8> {
    let mut octets = Vec::new();
    if let Ok(hops @ 1..) = u8::try_from(path.len()) {
        octets.extend([2, hops]);
        octets.extend(path.iter().flat_map(|asn| asn.get().to_be_bytes()));
    }
    octets
}

pub(super) fn next_hop_of(address: IpAddr) -> NextHop {
    match address {
        IpAddr::V4(address) => NextHop::V4(address),
        IpAddr::V6(global) => NextHop::V6 { global, link_local: None },
    }
}

/// A place of the address space, and the length that no other place shares an address with.
fn place_of(place: u32, ipv6: bool) -> Result<(IpAddr, u8)> {
    if ipv6 {
        let bits = (0x2001_0000_0000_u128 + u128::from(place)) << 80;
        return Ok((Ipv6Addr::from(bits).into(), 48));
    }
    // From 11.0.0.0 on, all unicast.
    if place >= 53 << 16 {
        bail!("at most {} prefixes can be made up", 53 << 16);
    }
    Ok((Ipv4Addr::from((11 << 24) + (place << 8)).into(), 24))
}

/// The prefix at a place of the address space.
fn prefix(
    place: u32,
    numbers: &mut Numbers,
    ipv6: bool,
    seen: &mut HashSet<Prefix>,
) -> Result<Prefix> {
    let chosen = numbers.below(100);
    let mix: &[(u32, u8)] = if ipv6 { &IPV6_LENGTHS } else { &IPV4_LENGTHS };
    let (address, whole) = place_of(place, ipv6)?;
    let wanted = mix.iter().find(|(end, _)| chosen < *end).map_or(whole, |(_, length)| *length);
    // A neighbour may have taken the shorter one; the longest is this place's alone.
    for length in wanted..=whole {
        let prefix = Prefix::truncating(address, length)?;
        if seen.insert(prefix) {
            return Ok(prefix);
        }
    }
    bail!("two prefixes at one place")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_tables_hold_what_they_promise() {
        for ipv6 in [false, true] {
            let table = Table::generated(20_000, 3, ipv6).unwrap();
            assert_eq!(table.len(), 20_000);
            let ratio = table.len() as f64 / table.groups() as f64;
            assert!((5.5..8.0).contains(&ratio), "{ratio}");
            assert_eq!((0..3).map(|owner| table.owned(owner)).sum::<usize>(), 20_000);
            assert_eq!(table.owned(0), 6667);
            for (place, prefix) in table.prefixes().iter().enumerate() {
                assert_eq!(table.find(prefix.address(), prefix.len()), Some(place));
            }
            assert_eq!(table.find("9.9.9.0".parse().unwrap(), 24), None);
        }
    }

    #[test]
    fn prefixes_of_nodes_share_no_address() {
        for ipv6 in [false, true] {
            let table = Table::nodes(800, 200, ipv6).unwrap();
            assert!((0..200).all(|owner| table.owned(owner) == 4));
            for (place, prefix) in table.prefixes().iter().enumerate() {
                assert!(!table.prefixes()[..place].iter().any(|other| other.overlaps(*prefix)));
            }
        }
    }

    #[test]
    fn a_path_is_summed_up_as_it_stands_in_messages() {
        let path = [Asn::new(65001).unwrap(), Asn::new(7).unwrap()];
        assert_eq!(path_octets(&path), [2, 2, 0, 0, 0xfd, 0xe9, 0, 0, 0, 7]);
        assert!(path_octets(&[]).is_empty());
        assert_ne!(path_hash(&path_octets(&path)), path_hash(&path_octets(&path[..1])));
    }
}
