//! What one peer was sent, checked against what was announced: each prefix by itself, its AS path
//! and its next hop.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result};
use twill_bgp_proto::types::Asn;

use super::table::{Group, Table, Version, path_hash, path_octets};

/// What every receiver expects.
pub(super) struct Expected {
    pub(super) table: Table,
    /// By sender that announces it and group, for either version.
    paths: Vec<[Vec<u64>; 2]>,
    /// The next hop that a peer announces, by peer.
    senders: Vec<IpAddr>,
    daemon: IpAddr,
    /// Every sender announces all: whichever the daemon holds for the best will do.
    overlap: bool,
}

impl Expected {
    /// `prepended` is what the daemon puts in front of each path.
    pub(super) fn new(
        table: Table,
        senders: Vec<(Option<Asn>, IpAddr)>,
        prepended: Option<Asn>,
        daemon: IpAddr,
        overlap: bool,
    ) -> Expected {
        let paths_of = |choose: &dyn Fn(&Group) -> Option<Option<Asn>>| {
            [Version::First, Version::Second].map(|version| {
                let hash = |number| {
                    let group = table.group(number)?;
                    let path = table.path(group, version, choose(group)?);
                    let path: Vec<Asn> = prepended.into_iter().chain(path).collect();
                    Some(path_hash(&path_octets(&path)))
                };
                (0_u32..).map_while(hash).collect()
            })
        };
        let paths = if overlap {
            senders.iter().map(|sender| paths_of(&|_| Some(sender.0))).collect()
        } else {
            vec![paths_of(&|group| senders.get(group.owner).map(|sender| sender.0))]
        };
        let senders = senders.into_iter().map(|(_, address)| address).collect();
        Expected { table, paths, senders, daemon, overlap }
    }

    /// The state that an announcement leads to.
    fn judge(&self, group: u32, path: u64, next_hop: IpAddr) -> State {
        let owner = self.table.group(group).map(|group| group.owner);
        for (number, [first, second]) in self.paths.iter().enumerate() {
            let sender = if self.overlap { Some(number) } else { owner };
            let sender = sender.and_then(|sender| self.senders.get(sender));
            if next_hop != self.daemon && sender != Some(&next_hop) {
                continue;
            }
            for (paths, version) in [(first, Version::First), (second, Version::Second)] {
                if paths.get(group as usize) == Some(&path) {
                    return version as State;
                }
            }
        }
        WRONG
    }
}

/// 0: not announced, or withdrawn. Else a [`Version`], or [`WRONG`].
type State = u8;

const WRONG: State = 3;

/// See the module.
pub(super) struct Receiver {
    /// Its peer's number: what it announced itself and gets back is no news.
    own: usize,
    states: Vec<State>,
    counts: [usize; 4],
    /// Prefixes that nobody announced.
    pub(super) strange: usize,
}

/// The parts of an UPDATE that a receiver looks at.
#[derive(Default)]
struct Attributes<'a> {
    path: u64,
    next_hop: Option<IpAddr>,
    reach: &'a [u8],
    unreach: &'a [u8],
}

impl Receiver {
    pub(super) fn new(own: usize, table: &Table) -> Receiver {
        let needed = table.len() - table.owned(own);
        Receiver { own, states: vec![0; table.len()], counts: [needed, 0, 0, 0], strange: 0 }
    }

    /// Whether all prefixes of all others are as announced in this version; `None`: withdrawn.
    pub(super) fn complete(&self, version: Option<Version>) -> bool {
        let state = version.map_or(0, |version| version as usize);
        self.counts.iter().enumerate().all(|(at, count)| at == state || *count == 0)
    }

    /// For the message of a wait that was in vain.
    pub(super) fn summary(&self) -> String {
        let [none, first, second, wrong] = self.counts;
        format!("{none} missing, {first} and {second} of the two versions, {wrong} wrong")
    }

    /// Takes the body of an UPDATE in.
    pub(super) fn update(&mut self, body: &[u8], expected: &Expected) -> Result<()> {
        let (withdrawn, rest) = field(body).context("an UPDATE without its first field")?;
        let (attributes, nlri) = field(rest).context("an UPDATE without attributes")?;
        self.withdraw(withdrawn, expected, false);
        let attributes = read_attributes(attributes).context("attributes that cannot be read")?;
        self.withdraw(attributes.unreach, expected, true);
        if let Some(next_hop) = attributes.next_hop {
            self.announce(nlri, expected, false, (attributes.path, next_hop));
            self.announce(attributes.reach, expected, true, (attributes.path, next_hop));
        }
        Ok(())
    }

    fn withdraw(&mut self, mut nlri: &[u8], expected: &Expected, ipv6: bool) {
        while let Some((address, length)) = take_prefix(&mut nlri, ipv6) {
            self.set(expected, address, length, |_| 0);
        }
    }

    fn announce(
        &mut self,
        mut nlri: &[u8],
        expected: &Expected,
        ipv6: bool,
        (path, next_hop): (u64, IpAddr),
    ) {
        let mut last = (u32::MAX, WRONG);
        while let Some((address, length)) = take_prefix(&mut nlri, ipv6) {
            self.set(expected, address, length, |group| {
                if last.0 != group {
                    last = (group, expected.judge(group, path, next_hop));
                }
                last.1
            });
        }
    }

    fn set(
        &mut self,
        expected: &Expected,
        address: IpAddr,
        length: u8,
        state: impl FnOnce(u32) -> State,
    ) {
        let Some(place) = expected.table.find(address, length) else {
            self.strange += 1;
            return;
        };
        let group = expected.table.group_of(place);
        if expected.table.group(group).is_none_or(|group| group.owner == self.own) {
            return;
        }
        let new = state(group);
        let old = std::mem::replace(&mut self.states[place], new);
        self.counts[usize::from(old)] -= 1;
        self.counts[usize::from(new)] += 1;
    }
}

/// A field behind its length of two octets, and what follows.
fn field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// RFC 4271 section 4.3, RFC 4760.
fn read_attributes(mut bytes: &[u8]) -> Option<Attributes<'_>> {
    let mut found = Attributes { path: path_hash(&[]), ..Attributes::default() };
    while let [flags, code, rest @ ..] = bytes {
        let (length, rest) = if flags & 0x10 == 0 {
            let (length, rest) = rest.split_first()?;
            (usize::from(*length), rest)
        } else {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        };
        let (value, rest) = rest.split_at_checked(length)?;
        bytes = rest;
        match code {
            2 => found.path = path_hash(value),
            3 => {
                let octets: [u8; 4] = value.try_into().ok()?;
                found.next_hop = Some(Ipv4Addr::from(octets).into());
            }
            14 => {
                let (hop, rest) = value.get(4..)?.split_at_checked(usize::from(*value.get(3)?))?;
                found.next_hop = Some(Ipv6Addr::from(*hop.first_chunk::<16>()?).into());
                found.reach = rest.get(1..)?;
            }
            15 => found.unreach = value.get(3..)?,
            _ => {}
        }
    }
    Some(found)
}

fn take_prefix(nlri: &mut &[u8], ipv6: bool) -> Option<(IpAddr, u8)> {
    let (length, rest) = nlri.split_first()?;
    let (octets, rest) = rest.split_at_checked(usize::from(length.div_ceil(8)))?;
    *nlri = rest;
    let address = if ipv6 {
        let mut whole = [0; 16];
        whole.get_mut(..octets.len())?.copy_from_slice(octets);
        IpAddr::from(whole)
    } else {
        let mut whole = [0; 4];
        whole.get_mut(..octets.len())?.copy_from_slice(octets);
        IpAddr::from(whole)
    };
    Some((address, *length))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use twill_bgp_proto::types::Families;
    use twill_bgp_proto::wire::Codec;

    use super::*;

    fn codec() -> Codec {
        Codec { four_octet_asn: true, families: Families::ALL, ..Codec::default() }
    }

    fn deliver(receiver: &mut Receiver, expected: &Expected, mut messages: Bytes) {
        while !messages.is_empty() {
            let length = usize::from(u16::from_be_bytes([messages[16], messages[17]]));
            receiver.update(&messages.split_to(length)[19..], expected).unwrap();
        }
    }

    #[test]
    fn content_is_checked_and_not_only_counted() {
        for (ipv6, own, daemon) in [(false, "10.0.1.1", "10.0.0.1"), (true, "fd00::2", "fd00::1")] {
            let (own, daemon) = (own.parse().unwrap(), daemon.parse().unwrap());
            let table = Table::generated(500, 1, ipv6).unwrap();
            let sender = Asn::new(65001);
            let ours = Asn::new(64512);
            let expected = Expected::new(table, vec![(sender, own)], ours, daemon, false);
            let mut receiver = Receiver::new(1, &expected.table);
            let table = &expected.table;
            let first = table.announcements(0, sender, own, Version::First, &codec()).unwrap();
            deliver(&mut receiver, &expected, first);
            assert_eq!(receiver.counts, [0, 0, 0, 500], "the daemon's AS is missing");
            // The daemon's own AS in front: what a sender of that AS would say through the other.
            let stranger = "10.9.9.9".parse().unwrap();
            for (version, next_hop, counts) in [
                (Version::First, daemon, [0, 500, 0, 0]),
                (Version::Second, own, [0, 0, 500, 0]),
                (Version::Second, stranger, [0, 0, 0, 500]),
            ] {
                if ipv6 && next_hop == stranger {
                    continue;
                }
                let through = through(table, version, ours, sender, next_hop);
                deliver(&mut receiver, &expected, through);
                assert_eq!(receiver.counts, counts);
            }
            deliver(&mut receiver, &expected, table.withdrawals(0, &codec()));
            assert!(receiver.complete(None) && !receiver.complete(Some(Version::First)));
            assert_eq!(receiver.strange, 0);
        }
    }

    #[test]
    fn of_senders_that_overlap_any_will_do() {
        let (one, two) = ("10.0.1.1".parse().unwrap(), "10.0.1.2".parse().unwrap());
        let daemon = "10.0.0.1".parse().unwrap();
        let (ours, stranger) = (Asn::new(64512), Asn::new(65009));
        let senders = vec![(Asn::new(65001), one), (Asn::new(65002), two)];
        let table = Table::generated(100, 1, false).unwrap();
        let expected = Expected::new(table, senders, ours, daemon, true);
        let mut receiver = Receiver::new(2, &expected.table);
        let table = &expected.table;
        for (sender, next_hop, counts) in [
            (Asn::new(65001), daemon, [0, 100, 0, 0]),
            (Asn::new(65002), two, [0, 100, 0, 0]),
            // The path of one with the next hop of the other.
            (Asn::new(65001), two, [0, 0, 0, 100]),
            (stranger, daemon, [0, 0, 0, 100]),
        ] {
            let through = through(table, Version::First, ours, sender, next_hop);
            deliver(&mut receiver, &expected, through);
            assert_eq!(receiver.counts, counts);
        }
    }

    fn through(
        table: &Table,
        version: Version,
        daemon: Option<Asn>,
        sender: Option<Asn>,
        next_hop: IpAddr,
    ) -> Bytes {
        use twill_bgp_proto::types::{AsPath, Attributes};
        let mut out = bytes::BytesMut::new();
        for (place, prefix) in table.prefixes().iter().enumerate() {
            let group = table.group(table.group_of(place)).unwrap();
            let path = daemon.into_iter().chain(table.path(group, version, sender));
            let attributes = Attributes {
                as_path: AsPath::sequence(path),
                ..Attributes::originated(super::super::table::next_hop_of(next_hop))
            };
            codec().encode_updates(&attributes, [*prefix], &mut out).unwrap();
        }
        out.freeze()
    }
}
