//! What the RIB costs, without sockets: memory by prefix and time by prefix.
//!
//! ```text
//! cargo run --release -p twill-bgp-proto --example rib_load -- [PREFIXES] [SENDERS] [RECEIVERS]
//! ```
//!
//! Each of SENDERS external peers announces its share of PREFIXES IPv4 prefixes, in the mix of
//! lengths of today's table and with one attribute set for every 6.7 of them; all peers, and
//! RECEIVERS more, read what they are sent as it comes. Then everything is withdrawn. Times are of
//! the RIB's calls alone; memory is what the process has grown by.
//!
//! At most 1,048,576 prefixes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use twill_bgp_proto::rib::policy::Policy;
use twill_bgp_proto::rib::{PeerKey, PeerKind, PeerRules, Rib, RibPeer};
use twill_bgp_proto::types::{
    AsPath, Asn, Attributes, ClusterId, Community, Families, Family, Ipv4Prefix, NextHop, Prefix,
    RouterId,
};
use twill_bgp_proto::wire::{Codec, Reach, Update};

/// Updates that are taken in before peers are given what came of them.
const UPDATES_A_BATCH: usize = 256;
/// Changes that are told at once, as a busy speaker does.
const CHANGES_AT_ONCE: usize = 4096;
/// Octets that a peer is given at once.
const BUDGET: usize = 64 * 1024;

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|text| text.parse::<u32>().ok());
    let count = arguments.next().unwrap_or(1_000_000).min(1 << 20);
    let senders = arguments.next().unwrap_or(1).max(1);
    let receivers = arguments.next().unwrap_or(1);

    let asn = Asn::new(64512).unwrap_or(Asn::TRANS);
    let id = Ipv4Addr::new(10, 0, 0, 1);
    let Some(router_id) = RouterId::new(id) else { return };
    let mut load =
        Load { rib: Rib::new(asn, router_id, ClusterId(id)), peers: senders + receivers };
    for number in 0..load.peers {
        load.rib.peer_up(PeerKey(number), peer(number));
        while load.rib.poll_transmit(PeerKey(number), BUDGET).is_some() {}
    }
    println!("{count} prefixes, {senders} senders, {receivers} more receivers");

    let before = resident();
    let announcements = (0..count).collect::<Vec<u32>>();
    let update = |range: &[u32]| Update {
        reach: vec![Reach {
            attributes: Arc::new(attributes(range.first().copied().unwrap_or(0) * 20 / 134)),
            prefixes: range.iter().map(|number| prefix(*number)).collect(),
        }],
        ..Update::default()
    };
    let share = (count / senders).max(1);
    let sender = |number: u32| PeerKey((number / share).min(senders - 1));
    let alike =
        |one: &u32, next: &u32| one * 20 / 134 == next * 20 / 134 && sender(*one) == sender(*next);
    let updates = announcements.chunk_by(alike);
    load.run("announce", count, updates.map(|range| (sender(range[0]), update(range))));
    load.report(before, count);

    let updates = announcements.chunks(700);
    let withdrawals = updates.flat_map(|range| range.chunk_by(|a, b| sender(*a) == sender(*b)));
    load.run(
        "withdraw",
        count,
        withdrawals.map(|range| {
            let withdrawn = range.iter().map(|number| prefix(*number)).collect();
            (sender(range[0]), Update { withdrawn, ..Update::default() })
        }),
    );
    load.report(before, count);
}

struct Load {
    rib: Rib,
    peers: u32,
}

impl Load {
    #[expect(
        clippy::disallowed_methods,
        reason = "a measurement reads the clock; the library is given the time"
    )]
    fn run(&mut self, what: &str, count: u32, updates: impl Iterator<Item = (PeerKey, Update)>) {
        let (mut taking, mut telling, mut sending) =
            (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        let mut octets = 0;
        let mut updates = updates.peekable();
        while updates.peek().is_some() {
            let batch: Vec<_> = updates.by_ref().take(UPDATES_A_BATCH).collect();
            for (key, update) in batch {
                let start = Instant::now();
                self.rib.update(key, update);
                let taken = Instant::now();
                taking += taken - start;
                if self.rib.unsettled() >= CHANGES_AT_ONCE {
                    self.rib.settle(CHANGES_AT_ONCE, None);
                    telling += taken.elapsed();
                }
            }
            let taken = Instant::now();
            while self.rib.settle(CHANGES_AT_ONCE, None) {}
            let told = Instant::now();
            for number in 0..self.peers {
                while let Some(bytes) = self.rib.poll_transmit(PeerKey(number), BUDGET) {
                    octets += bytes.len();
                }
            }
            sending += told.elapsed();
            telling += told - taken;
        }
        let all = taking + telling + sending;
        println!(
            "{what}: {:.3} s ({:.0} ns a prefix): taking in {:.3}, telling {:.3}, sending {:.3}; \
             {:.1} MB sent",
            all.as_secs_f64(),
            all.as_secs_f64() * 1e9 / f64::from(count),
            taking.as_secs_f64(),
            telling.as_secs_f64(),
            sending.as_secs_f64(),
            octets as f64 / 1e6,
        );
    }

    fn report(&self, before: u64, count: u32) {
        let grown = resident().saturating_sub(before);
        let (groups, encoded) = self.rib.group_statistics();
        println!(
            "  {} prefixes, {} attribute sets, {groups} groups, {encoded} encodings; resident: \
             {:.1} MB more ({:.1} octets a prefix), {:.1} MB at the peak",
            self.rib.prefixes(Family::Ipv4Unicast),
            self.rib.attribute_sets(),
            grown as f64 / 1e6,
            grown as f64 / f64::from(count),
            peak() as f64 / 1e6,
        );
    }
}

fn peer(number: u32) -> RibPeer {
    let address = Ipv4Addr::from(0xc000_0200 + number + 1);
    RibPeer {
        kind: PeerKind::External,
        asn: Asn::new(65000 + number).unwrap_or(Asn::TRANS),
        router_id: RouterId::new(address).expect("not 0.0.0.0"),
        address: IpAddr::V4(address),
        families: Families::ALL,
        codec: Codec { four_octet_asn: true, families: Families::ALL, ..Codec::default() },
        local_ipv4: Some(Ipv4Addr::new(192, 0, 2, 254)),
        local_ipv6: Some(Ipv6Addr::LOCALHOST),
        local_link_local: None,
        rules: PeerRules::default(),
        import: Arc::new(Policy::accept_all()),
        export: Arc::new(Policy::accept_all()),
    }
}

/// A prefix of its own for each number below 2^20: shorter ones are told apart by their length.
fn prefix(number: u32) -> Prefix {
    let length = match number.wrapping_mul(0x9e37_79b1) % 100 {
        0..60 => 24,
        60..72 => 23,
        72..84 => 22,
        84..94 => 21,
        _ => 20,
    };
    let address = Ipv4Addr::from(number << (32 - u32::from(length)));
    let prefix = Ipv4Prefix::truncating(address, length);
    prefix.map_or_else(|| Prefix::host(address.into()), Prefix::V4)
}

/// A path of three to six hops and a few communities.
fn attributes(number: u32) -> Attributes {
    let mut attributes = Attributes::originated(NextHop::V4(Ipv4Addr::new(192, 0, 2, 1)));
    let hops = 3 + number % 4;
    let hop = |hop: u32| Asn::new(1 + (number.wrapping_mul(7919 + hop * 104_729) >> 3) % 400_000);
    attributes.as_path = AsPath::sequence((0..hops).filter_map(hop));
    attributes.communities = (0..number % 5).map(|one| Community(number << 8 | one)).collect();
    attributes
}

/// Resident memory of this process, in octets.
fn resident() -> u64 {
    status("VmRSS:")
}

fn peak() -> u64 {
    status("VmHWM:")
}

fn status(line: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = text.lines().find_map(|found| found.strip_prefix(line));
    let kilobytes = value.and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
