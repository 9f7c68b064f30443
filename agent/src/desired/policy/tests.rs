//! What the policies let through, asked of a RIB as a speaker asks it: who sends, what, by which
//! next hop; and what becomes of it.

mod rules;

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use twill_bgp::PeerConfig;
use twill_bgp::proto::rib::{LostBecause, PeerKey, PeerKind, Rib, RibPeer};
use twill_bgp::proto::types::{
    AsPath, Asn, Attributes, ClusterId, Families, NextHop, Prefix, RouterId,
};
use twill_bgp::proto::wire::{Codec, Reach, Update};

use crate::desired::fixture::{THREE, snapshot};
use crate::desired::speaker::peers;
use crate::source::Snapshot;

/// Whichever of its addresses a node's routes go by, they are its own; another's are not.
#[test]
fn a_node_of_several_addresses_is_the_next_hop_by_each() {
    let text = "
node: a
addresses: [10.0.0.1]
mesh:
  nodes:
    - {name: b, addresses: [10.0.0.2, 10.1.0.2, 'fd00::2'], podCIDRs: [10.244.2.0/24]}
    - {name: c, addresses: [10.0.0.3, 10.1.0.3], podCIDRs: [10.244.3.0/24]}
";
    let mut bench = Bench::new(&snapshot(text));
    for next_hop in ["10.0.0.2", "10.1.0.2", "fd00::2"] {
        assert_eq!(bench.verdict("b", "10.244.2.0/24", next_hop), "accepted", "{next_hop}");
    }
    for next_hop in ["10.0.0.3", "10.1.0.3", "10.9.0.9"] {
        let verdict = bench.verdict("b", "10.244.2.0/24", next_hop);
        assert_eq!(verdict, "next hop is not an address of b", "{next_hop}");
    }
    // Nor may it take another's second address for itself.
    let verdict = bench.verdict("b", "10.1.0.3/32", "10.1.0.2");
    assert!(verdict.contains("overlaps the address 10.1.0.3 of c"), "{verdict}");
}

/// A RIB with the peers of a snapshot, all up.
struct Bench {
    rib: Rib,
    peers: Vec<PeerConfig>,
}

impl Bench {
    fn new(snapshot: &Snapshot) -> Bench {
        let cluster = ClusterId(snapshot.router_id.to_ipv4());
        let rib = Rib::new(snapshot.node.asn, snapshot.router_id, cluster);
        let mut bench = Bench { rib, peers: Vec::new() };
        for peer in peers(snapshot, &BTreeSet::new()).configs {
            bench.join(snapshot, peer);
        }
        bench
    }

    fn join(&mut self, snapshot: &Snapshot, peer: PeerConfig) {
        let key = PeerKey(u32::try_from(self.peers.len()).unwrap());
        let own = |ipv4| snapshot.node.addresses.iter().find(|own| own.is_ipv4() == ipv4);
        self.rib.peer_up(
            key,
            RibPeer {
                kind: peer.kind,
                asn: peer.asn,
                router_id: RouterId::new([1, 1, 1, 1 + key.0 as u8].into()).unwrap(),
                address: peer.address,
                families: Families::ALL,
                codec: Codec {
                    four_octet_asn: true,
                    ibgp: peer.kind != PeerKind::External,
                    families: Families::ALL,
                    ..Codec::default()
                },
                local_ipv4: own(true).and_then(|own| own.to_string().parse().ok()),
                local_ipv6: own(false).and_then(|own| own.to_string().parse().ok()),
                local_link_local: None,
                rules: Default::default(),
                import: Arc::clone(&peer.import),
                export: Arc::clone(&peer.export),
            },
        );
        self.peers.push(peer);
    }

    fn key(&self, name: &str) -> PeerKey {
        let index = self.peers.iter().position(|peer| peer.name == name).unwrap();
        PeerKey(u32::try_from(index).unwrap())
    }

    fn send(&mut self, from: &str, prefix: Prefix, next_hop: &str) {
        let key = self.key(from);
        let asn = self.peers[key.0 as usize].asn;
        let mut attributes =
            Attributes::originated(NextHop::from(next_hop.parse::<std::net::IpAddr>().unwrap()));
        if asn != Asn::new(64512).unwrap() {
            attributes.as_path = AsPath::sequence([asn]);
        }
        let reach = Reach { attributes: Arc::new(attributes), prefixes: vec![prefix] };
        let update =
            Update { withdrawn: vec![], reach: vec![reach], end_of_rib: None, faults: vec![] };
        self.rib.update(key, update);
        self.rib.settle(usize::MAX, None);
    }

    /// `accepted`, or the rule that refused.
    fn verdict(&mut self, from: &str, prefix: &str, next_hop: &str) -> String {
        let prefix: Prefix = prefix.parse().unwrap();
        self.send(from, prefix, next_hop);
        let key = self.key(from);
        let sent = self.rib.received(key).find(|view| view.prefix == prefix);
        match sent.expect("kept, refused or not").lost {
            Some(LostBecause::Policy(rule)) => rule.to_string(),
            None => "accepted".to_owned(),
            Some(LostBecause::OwnNextHop) => "our own next hop".to_owned(),
            Some(_) => "accepted".to_owned(),
        }
    }
}

#[test]
fn imports() {
    let rows = [
        // A node speaks for its own pods, by its own addresses, and for nobody else.
        ("node-b", "10.244.2.0/24", "10.0.0.2", "accepted"),
        ("node-b", "fd00:244:2::/64", "fd00::2", "accepted"),
        ("node-b", "10.244.2.0/24", "10.0.0.3", "next hop is not an address of node-b"),
        ("node-b", "10.244.3.0/24", "10.0.0.2", "overlaps the pod CIDR 10.244.3.0/24 of node-c"),
        ("node-b", "10.244.3.7/32", "10.0.0.2", "overlaps the pod CIDR 10.244.3.0/24 of node-c"),
        ("node-b", "10.244.2.0/25", "10.0.0.2", "overlaps the pod CIDR 10.244.2.0/24 of node-b"),
        ("node-b", "10.244.1.0/24", "10.0.0.2", "overlaps the pod CIDR 10.244.1.0/24 of node-a"),
        ("node-b", "10.0.0.3/32", "10.0.0.2", "overlaps the address 10.0.0.3 of node-c"),
        (
            "node-b",
            "192.0.2.0/24",
            "10.0.0.2",
            "not a pod CIDR of node-b, and outside mesh.transit",
        ),
        // What covers pods is no transit, though the range would admit it.
        ("node-b", "10.244.0.0/16", "10.0.0.2", "overlaps the pod CIDR 10.244.1.0/24 of node-a"),
        ("node-b", "0.0.0.0/0", "10.0.0.2", "overlaps the address 10.0.0.1 of node-a"),
        ("node-b", "10.245.0.0/16", "10.0.0.2", "accepted"),
        ("node-b", "203.0.113.7/32", "10.0.0.2", "accepted"),
        ("node-b", "203.0.113.0/24", "10.0.0.254", "next hop is not an address of node-b"),
        // A router says what it is configured to say, but nothing of ours.
        ("tor-a", "0.0.0.0/0", "10.0.0.254", "accepted"),
        ("tor-a", "203.0.113.9/32", "10.0.0.254", "accepted"),
        ("tor-a", "10.0.0.0/16", "10.0.0.254", "accepted"),
        ("tor-a", "192.0.2.0/24", "10.0.0.254", "not in import.prefixes of tor-a (RFC 8212)"),
        ("tor-a", "10.244.3.0/24", "10.0.0.254", "overlaps the pod CIDR 10.244.3.0/24 of node-c"),
        ("tor-a", "10.244.3.9/32", "10.0.0.254", "overlaps the pod CIDR 10.244.3.0/24 of node-c"),
        ("tor-a", "10.0.0.2/32", "10.0.0.254", "overlaps the address 10.0.0.2 of node-b"),
    ];
    let mut bench = Bench::new(&snapshot(THREE));
    for (from, prefix, next_hop, expected) in rows {
        assert_eq!(bench.verdict(from, prefix, next_hop), expected, "{from} {prefix} {next_hop}");
    }
}

#[test]
fn without_transit_the_refusal_does_not_speak_of_it() {
    let text = THREE.lines().filter(|line| !line.contains("transit:")).collect::<Vec<_>>();
    let mut bench = Bench::new(&snapshot(&text.join("\n")));
    let refused = bench.verdict("node-b", "203.0.113.0/24", "10.0.0.2");
    assert_eq!(refused, "not a pod CIDR of node-b");
}

/// A reflector may pass on what each node might have said itself.
#[test]
fn reflected_routes_are_judged_by_their_next_hop() {
    let text = "
node: a
addresses: [10.0.0.1]
podCIDRs: [10.244.1.0/24]
mesh:
  mode: reflector
  transit: [203.0.113.0/24 le 32]
  nodes:
    - {name: b, addresses: [10.0.0.2], podCIDRs: [10.244.2.0/24]}
    - {name: c, addresses: [10.0.0.3], podCIDRs: [10.244.3.0/24]}
    - {name: r, addresses: [10.0.0.9], podCIDRs: [10.244.9.0/24], reflector: 1.1.1.1}
";
    let mut bench = Bench::new(&snapshot(text));
    let elsewhere = "next hop is not an address of any other node";
    for (prefix, next_hop, expected) in [
        ("10.244.2.0/24", "10.0.0.2", "accepted"),
        ("10.244.9.0/24", "10.0.0.9", "accepted"),
        ("10.244.2.0/24", "10.0.0.3", "overlaps the pod CIDR 10.244.2.0/24 of b"),
        ("10.244.1.0/24", "10.0.0.2", "overlaps the pod CIDR 10.244.1.0/24 of a"),
        ("203.0.113.0/24", "10.0.0.3", "accepted"),
        ("10.244.2.0/24", "10.0.0.77", elsewhere),
        ("10.244.1.0/24", "10.0.0.1", "our own next hop"),
    ] {
        assert_eq!(bench.verdict("r", prefix, next_hop), expected, "{prefix} {next_hop}");
    }
}

/// A router of our own AS beside a reflector is no node: what it sends is not reflected, though it
/// be within `mesh.transit`.
#[test]
fn what_a_reflector_passes_on() {
    let text = "
node: r
addresses: [10.0.0.9]
podCIDRs: [10.244.9.0/24]
mesh:
  mode: reflector
  transit: [203.0.113.0/24 le 32]
  nodes:
    - {name: r, reflector: 1.1.1.1}
    - {name: b, addresses: [10.0.0.2], podCIDRs: [10.244.2.0/24]}
    - {name: c, addresses: [10.0.0.3], podCIDRs: [10.244.3.0/24]}
peers:
  - {name: inner, address: 10.0.0.254, asn: 64512, import: {default: accept}}
";
    let mut bench = Bench::new(&snapshot(text));
    bench.send("c", "10.244.3.0/24".parse().unwrap(), "10.0.0.3");
    bench.send("inner", "203.0.113.2/32".parse().unwrap(), "10.0.0.254");
    assert_eq!(sent(&mut bench, "b"), ["10.244.3.0/24 via 10.0.0.3 path []"]);
}

proptest! {
    /// Whatever one node sends, no route by way of it ever covers a pod or an address of another.
    #[test]
    fn nobody_takes_what_is_not_theirs(
        address in any::<u32>(),
        length in 0u8..=32,
        near in any::<bool>(),
        hop in prop::sample::select(vec!["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.254"]),
    ) {
        let address = if near { 0x0af4_0000 | (address & 0x7ff) } else { address };
        let prefix = Prefix::truncating(std::net::Ipv4Addr::from(address).into(), length).unwrap();
        let snapshot = snapshot(THREE);
        let mut bench = Bench::new(&snapshot);
        if bench.verdict("node-b", &prefix.to_string(), hop) == "accepted" {
            prop_assert_eq!(hop, "10.0.0.2");
            let own = prefix.to_string() == "10.244.2.0/24";
            let nodes = std::iter::once(&snapshot.node).chain(snapshot.nodes.values());
            for node in nodes {
                let cidrs = node.pod_cidrs.iter().copied();
                let hosts = node.addresses.iter().map(|address| Prefix::host(*address));
                for claim in cidrs.chain(hosts) {
                    prop_assert!(!claim.overlaps(prefix) || own && node.name == "node-b");
                }
            }
        }
    }
}

/// What a peer is sent: `prefix via next hop`, with what export added.
fn sent(bench: &mut Bench, to: &str) -> Vec<String> {
    bench.rib.settle(usize::MAX, None);
    let key = bench.key(to);
    while bench.rib.poll_transmit(key, 1 << 16).is_some() {}
    let mut routes: Vec<String> = bench
        .rib
        .advertised(key)
        .map(|view| {
            let attributes = &view.attributes;
            let mut text = format!("{} via {}", view.prefix, attributes.next_hop);
            for community in &attributes.communities {
                text += &format!(" {community}");
            }
            if let Some(med) = attributes.med {
                text += &format!(" med {med}");
            }
            text + &format!(" path [{}]", attributes.as_path)
        })
        .collect();
    routes.sort();
    routes
}

/// Its own pod CIDRs go to everyone; what a marked router announces within `mesh.transit` goes
/// into the mesh with this node as next hop; what another node announced goes to the routers that
/// are to have it, and to no other node.
#[test]
fn exports() {
    let mut bench = Bench::new(&snapshot(THREE));
    for cidr in ["10.244.1.0/24", "fd00:244:1::/64"] {
        let prefix: Prefix = cidr.parse().unwrap();
        let unspecified: std::net::IpAddr =
            if cidr.contains(':') { "::" } else { "0.0.0.0" }.parse().unwrap();
        bench.rib.announce(prefix, Attributes::originated(NextHop::from(unspecified)));
    }
    bench.send("tor-a", "203.0.113.9/32".parse().unwrap(), "10.0.0.254");
    bench.send("tor-a", "10.9.0.0/16".parse().unwrap(), "10.0.0.254");
    bench.send("node-c", "10.244.3.0/24".parse().unwrap(), "10.0.0.3");
    assert_eq!(
        sent(&mut bench, "node-b"),
        [
            "10.244.1.0/24 via 10.0.0.1 path []",
            "203.0.113.9/32 via 10.0.0.1 path [65000]",
            "fd00:244:1::/64 via fd00::1 path []",
        ]
    );
    assert_eq!(
        sent(&mut bench, "tor-a"),
        [
            "10.244.1.0/24 via 10.0.0.1 64512:100 med 50 path [64512 64512 64512]",
            "fd00:244:1::/64 via fd00::1 64512:100 med 50 path [64512 64512 64512]",
        ]
    );
}

/// An address of a Service goes to the routers that are to have its kind, to no node, and is
/// taken from nobody.
#[test]
fn addresses_of_services() {
    let host: Prefix = "10.96.0.7/32".parse().unwrap();
    let mut snapshot = snapshot(THREE);
    snapshot.services.cluster = vec![host];
    snapshot.services.all = vec![host];
    for told in [false, true] {
        snapshot.peers.get_mut("tor-a").unwrap().export.services.cluster = told;
        let mut bench = Bench::new(&snapshot);
        let unspecified: std::net::IpAddr = "0.0.0.0".parse().unwrap();
        bench.rib.announce(host, Attributes::originated(NextHop::from(unspecified)));
        assert_eq!(sent(&mut bench, "node-b"), [""; 0]);
        assert_eq!(sent(&mut bench, "tor-a").len(), usize::from(told));
        let refused = "overlaps 10.96.0.7/32, an address of a Service";
        assert_eq!(bench.verdict("tor-a", "10.96.0.7/32", "10.0.0.254"), refused);
        assert_eq!(bench.verdict("node-b", "10.96.0.7/32", "10.0.0.2"), refused);
    }
}
