//! Which peers the speaker shall have, and by what settings.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use twill_bgp::proto::rib::PeerKind;
use twill_bgp::proto::types::{Family, Prefix};
use twill_bgp::{DynamicPeers, Endpoint, PeerConfig, Ttl};

use super::policy::Policies;
use crate::source::peer::SessionOptions;
use crate::source::{MeshGtsm, MeshMode, NodeView, OutsidePeer, Snapshot};

/// The least TTL accepted from a node that is not on a connected subnet: it may be fifteen
/// routers away, and an attacker who is farther off still gets nowhere (RFC 5082 section 5.5).
const FAR: u8 = 240;
/// From a node on a connected subnet: no router in between.
const NEAR: u8 = 255;

/// The peers of a snapshot.
#[derive(Debug, Clone, Default)]
pub struct Peers {
    /// All of them, mesh and outside.
    pub configs: Vec<PeerConfig>,
    /// Where peers may come from that nobody lists.
    pub ranges: Vec<DynamicPeers>,
    /// Nodes that cannot be peered with, each with the reason and the remedy.
    pub problems: Vec<String>,
}

/// `connected`: the subnets of this host's interfaces.
pub fn peers(snapshot: &Snapshot, connected: &BTreeSet<Prefix>) -> Peers {
    let policies = Policies::new(snapshot);
    let mut peers = Peers::default();
    for node in snapshot.nodes.values() {
        let Some(kind) = kind(snapshot, node) else { continue };
        match common(&snapshot.node, node) {
            Some((local, address)) => {
                let mut peer = mesh_peer(snapshot, node, address, &policies);
                peer.kind = kind;
                peer.local_address = Some(local);
                peer.ttl = mesh_ttl(snapshot.mesh.gtsm, address, connected);
                meet(&mut peer, snapshot, node, connected);
                peers.configs.push(peer);
            }
            None => peers.problems.push(format!(
                "no session with {}: it and this node share no address family; give both an IPv4 \
                 or both an IPv6 address",
                node.name
            )),
        }
    }
    peers.configs.extend(snapshot.peers.values().map(|peer| outside(snapshot, peer, &policies)));
    peers.ranges.extend(snapshot.ranges.iter().map(|(name, range)| {
        DynamicPeers::new(name, range.prefix, range.template.asn)
            .limit(range.limit)
            .template(outside(snapshot, &range.template, &policies))
    }));
    peers
}

/// How a node stands to us; `None` where the two of us do not peer.
fn kind(snapshot: &Snapshot, node: &NodeView) -> Option<PeerKind> {
    let own = &snapshot.node;
    if node.asn != own.asn {
        return None;
    }
    match snapshot.mesh.mode {
        MeshMode::None => None,
        MeshMode::Full => Some(PeerKind::Internal),
        MeshMode::Reflector if serves(own, node) => Some(PeerKind::Client),
        MeshMode::Reflector => {
            let reflectors = own.reflector.is_some() && node.reflector.is_some();
            (reflectors || serves(node, own)).then_some(PeerKind::Internal)
        }
    }
}

/// Whether `client` is a client of `reflector`. A reflector may itself be the client of another
/// cluster, but only where it says so (RFC 4456 section 7).
fn serves(reflector: &NodeView, client: &NodeView) -> bool {
    match (reflector.reflector, client.client_of) {
        (None, _) => false,
        (Some(cluster), Some(of)) => cluster == of,
        (Some(_), None) => client.reflector.is_none(),
    }
}

/// How near one of our addresses is to one of another node's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    /// Routers lie in between, or nothing leads there.
    Far,
    /// It is on the link of an interface of ours.
    OnLink,
    /// A connected subnet holds both.
    SameSubnet,
}

fn nearness(own: IpAddr, other: IpAddr, connected: &BTreeSet<Prefix>) -> Nearness {
    let near = connected.iter().filter(|subnet| subnet.contains(other));
    let of = |subnet: &Prefix| match subnet.contains(own) {
        true => Nearness::SameSubnet,
        false => Nearness::OnLink,
    };
    near.map(of).max().unwrap_or(Nearness::Far)
}

/// Where two nodes of which one has several addresses of a family meet: at each address of the
/// other's, from the one of ours that is nearest, the nearest pair first; of equals, IPv4 and
/// what is listed first. Only where no pair is near is one dialled that is not: an address of
/// another network would cost every second attempt.
fn meet(peer: &mut PeerConfig, snapshot: &Snapshot, node: &NodeView, connected: &BTreeSet<Prefix>) {
    let own = &snapshot.node.addresses;
    let mut pairs = Vec::new();
    for family in Family::ALL {
        let of_family = |address: &&IpAddr| Prefix::host(**address).family() == family;
        for other in node.addresses.iter().copied().filter(|address| of_family(&address)) {
            let ours = own.iter().copied().filter(|address| of_family(&address));
            let by_nearness = ours.map(|own| (nearness(own, other, connected), own));
            // The first of the nearest.
            let nearest = by_nearness.rev().max_by_key(|(nearness, _)| *nearness);
            pairs.extend(nearest.map(|(nearness, own)| (nearness, own, other)));
        }
    }
    pairs.sort_by_key(|(nearness, ..)| std::cmp::Reverse(*nearness));
    let best = pairs.first().map_or(Nearness::Far, |(nearness, ..)| *nearness);
    let mut listed = BTreeSet::new();
    let nearest = pairs.iter().map(|(_, own, _)| *own);
    peer.next_hops =
        nearest.chain(own.iter().copied()).filter(|address| listed.insert(*address)).collect();
    peer.endpoints = pairs
        .into_iter()
        .map(|(nearness, own, other)| Endpoint {
            address: other,
            local: Some(own),
            ttl: mesh_ttl(snapshot.mesh.gtsm, other, connected),
            dialled: nearness > Nearness::Far || best == Nearness::Far,
        })
        .collect();
}

/// The first address of each of the two, of the first family that both have; IPv4 first.
fn common(own: &NodeView, other: &NodeView) -> Option<(IpAddr, IpAddr)> {
    Family::ALL.into_iter().find_map(|family| Some((first(own, family)?, first(other, family)?)))
}

/// A node's next hop of a family.
fn first(node: &NodeView, family: Family) -> Option<IpAddr> {
    node.addresses.iter().copied().find(|address| Prefix::host(*address).family() == family)
}

/// A node that is there again is dialled within this, however long it was away: one SYN in two
/// seconds is nothing, and pods wait for the routes.
const MESH_RETRY_MAX: Duration = Duration::from_secs(2);
const MESH_RETRY: Duration = Duration::from_secs(1);

fn mesh_peer(
    snapshot: &Snapshot,
    node: &NodeView,
    address: IpAddr,
    policies: &Policies,
) -> PeerConfig {
    let reflector = snapshot.mesh.mode == MeshMode::Reflector && node.reflector.is_some();
    let import =
        if reflector { policies.import_from_reflector() } else { policies.import_from_node(node) };
    let mut peer = PeerConfig::new(&node.name, address, node.asn)
        .port(snapshot.listen_port)
        .hold_time(snapshot.mesh.hold_time)
        .connect_retry(MESH_RETRY)
        .connect_retry_max(MESH_RETRY_MAX)
        .import(import)
        .export(policies.export_to_mesh());
    peer.password.clone_from(&snapshot.mesh.password);
    peer
}

fn mesh_ttl(gtsm: MeshGtsm, address: IpAddr, connected: &BTreeSet<Prefix>) -> Ttl {
    match gtsm {
        MeshGtsm::Auto if connected.iter().any(|subnet| subnet.contains(address)) => {
            Ttl::Gtsm(NEAR)
        }
        MeshGtsm::Auto => Ttl::Gtsm(FAR),
        MeshGtsm::Least(least) => Ttl::Gtsm(least),
        MeshGtsm::None => Ttl::Hops(255),
    }
}

fn outside(snapshot: &Snapshot, peer: &OutsidePeer, policies: &Policies) -> PeerConfig {
    let internal = peer.asn == snapshot.node.asn;
    let mut config = PeerConfig::new(&peer.name, peer.address, peer.asn)
        .port(peer.port)
        .kind(if internal { PeerKind::Internal } else { PeerKind::External })
        .hold_time(peer.hold_time)
        .families(peer.families)
        .ttl(peer.ttl)
        .import(policies.import_from_outside(peer))
        .export(policies.export_to_outside(peer, internal));
    if peer.passive {
        config = config.passive();
    }
    config.password.clone_from(&peer.password);
    config.max_prefixes = peer.import.max_prefixes;
    session(&mut config, &peer.session);
    // The session's own address is what its subnet reaches; of the other family there is none,
    // so the node's stands in.
    let family_of_session = Prefix::host(peer.address).family();
    config.next_hops = Family::ALL
        .into_iter()
        .filter(|family| *family != family_of_session)
        // Its own address serves IPv4 as well, where both sides can do that.
        .filter(|_| !(config.extended_next_hop && family_of_session == Family::Ipv6Unicast))
        .filter_map(|family| first(&snapshot.node, family))
        .collect();
    config
}

/// What few sessions need; what is not said is left as the speaker has it.
fn session(config: &mut PeerConfig, options: &SessionOptions) {
    config.local_asn = options.local_asn;
    config.local_address = options.local_address;
    config.role = options.role;
    config.connect_retry = options.connect_retry.unwrap_or(config.connect_retry);
    config.connect_retry_max =
        options.connect_retry_max.unwrap_or(config.connect_retry_max).max(config.connect_retry);
    config.send_hold_time = options.send_hold_time;
    config.extended_next_hop = options.extended_next_hop;
    config.graceful_notification = options.graceful_notification;
    config.own_as_first = options.enforce_first_as;
    config.graceful_shutdown = options.honor_graceful_shutdown;
    config.shutdown.clone_from(&options.shutdown);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use twill_bgp::proto::session::Passive;

    use super::*;
    use crate::desired::fixture::{THREE, snapshot};

    fn connected(subnets: &[&str]) -> BTreeSet<Prefix> {
        subnets.iter().map(|subnet| subnet.parse().unwrap()).collect()
    }

    fn find<'a>(peers: &'a Peers, name: &str) -> &'a PeerConfig {
        peers.configs.iter().find(|peer| peer.name == name).unwrap()
    }

    #[test]
    fn a_full_mesh_peers_with_every_other_node_and_every_router() {
        let peers = peers(&snapshot(THREE), &connected(&["10.0.0.0/24"]));
        let names: Vec<&str> = peers.configs.iter().map(|peer| peer.name.as_str()).collect();
        assert_eq!(names, ["node-b", "node-c", "tor-a"]);
        let b = find(&peers, "node-b");
        assert_eq!(b.address.to_string(), "10.0.0.2");
        assert_eq!(b.local_address.unwrap().to_string(), "10.0.0.1");
        assert_eq!(b.kind, PeerKind::Internal);
        assert_eq!(b.passive, Passive::No);
        assert!(b.awaited);
        let hops: Vec<String> = b.next_hops.iter().map(ToString::to_string).collect();
        assert_eq!(hops, ["10.0.0.1", "fd00::1"]);
        assert!(Arc::ptr_eq(&b.export, &find(&peers, "node-c").export), "one policy for all");
        let tor = find(&peers, "tor-a");
        assert_eq!(
            (tor.kind, tor.ttl, tor.local_address),
            (PeerKind::External, Ttl::Hops(1), None)
        );
        let hops: Vec<String> = tor.next_hops.iter().map(ToString::to_string).collect();
        assert_eq!(hops, ["fd00::1"], "its own family is the session's business");
    }

    #[test]
    fn gtsm_follows_the_distance() {
        for (gtsm, subnets, expected) in [
            ("auto", &["10.0.0.0/24"][..], Ttl::Gtsm(255)),
            ("auto", &["10.0.1.0/24", "fd00::/64"], Ttl::Gtsm(240)),
            ("250", &["10.0.0.0/24"], Ttl::Gtsm(250)),
            ("none", &["10.0.0.0/24"], Ttl::Hops(255)),
        ] {
            let text = THREE.replace("mesh:\n", &format!("mesh:\n  gtsm: {gtsm}\n"));
            let peers = peers(&snapshot(&text), &connected(subnets));
            assert_eq!(find(&peers, "node-b").ttl, expected, "{gtsm} {subnets:?}");
        }
    }

    #[test]
    fn the_session_runs_over_the_first_family_that_both_have() {
        let text = "
node: a
addresses: [fd00::1, fd00::11]
mesh:
  nodes:
    - {name: b, addresses: [10.0.0.2, fd00::2]}
    - {name: c, addresses: [10.0.0.3]}
";
        let peers = peers(&snapshot(text), &BTreeSet::new());
        let b = find(&peers, "b");
        assert_eq!(b.address.to_string(), "fd00::2");
        assert_eq!(b.local_address.unwrap().to_string(), "fd00::1");
        assert_eq!(peers.configs.len(), 1);
        assert!(peers.problems[0].contains("no session with c"), "{:?}", peers.problems);
    }

    /// Each row: our addresses, the other's, our subnets; then the pairs that are dialled, in
    /// order, and the next hops that we announce.
    #[test]
    fn nodes_of_several_addresses_meet_where_they_are_near() {
        type Row<'a> = (&'a str, &'a str, &'a [&'a str], &'a [(&'a str, &'a str)], &'a [&'a str]);
        let two = ["10.0.0.0/24", "10.1.0.0/24"];
        let rows: [Row<'_>; 7] = [
            (
                "10.0.0.1, 10.1.0.1",
                "10.1.0.2, 10.0.0.2",
                &two,
                &[("10.1.0.1", "10.1.0.2"), ("10.0.0.1", "10.0.0.2")],
                &["10.1.0.1", "10.0.0.1"],
            ),
            // Only the second is near: the first is taken from there, not dialled.
            (
                "10.0.0.1, 10.1.0.1",
                "10.9.0.2, 10.1.0.2",
                &two,
                &[("10.1.0.1", "10.1.0.2")],
                &["10.1.0.1", "10.0.0.1"],
            ),
            // None is near: all are tried, from our first.
            (
                "10.0.0.1, 10.1.0.1",
                "10.8.0.2, 10.9.0.2",
                &two,
                &[("10.0.0.1", "10.8.0.2"), ("10.0.0.1", "10.9.0.2")],
                &["10.0.0.1", "10.1.0.1"],
            ),
            // A nearer IPv6 pair goes before an IPv4 pair.
            (
                "10.0.0.1, fd00::1",
                "10.9.0.2, fd00::2",
                &["10.0.0.0/24", "fd00::/64"],
                &[("fd00::1", "fd00::2")],
                &["fd00::1", "10.0.0.1"],
            ),
            // The next hop of the other family is near, too.
            (
                "10.0.0.1, fd00::1, fd01::1",
                "10.0.0.2, fd01::2",
                &["10.0.0.0/24", "fd00::/64", "fd01::/64"],
                &[("10.0.0.1", "10.0.0.2"), ("fd01::1", "fd01::2")],
                &["10.0.0.1", "fd01::1", "fd00::1"],
            ),
            // An address of the loopback interface meets an address on a link.
            ("10.255.0.1", "10.0.0.2", &two, &[("10.255.0.1", "10.0.0.2")], &["10.255.0.1"]),
            ("10.0.0.1", "10.0.0.2", &[], &[("10.0.0.1", "10.0.0.2")], &["10.0.0.1"]),
        ];
        for (own, other, subnets, dialled, next_hops) in rows {
            let text = format!(
                "node: a\naddresses: [{own}]\nmesh: {{nodes: [{{name: b, addresses: [{other}]}}]}}\n"
            );
            let peers = peers(&snapshot(&text), &connected(subnets));
            let b = find(&peers, "b");
            let pairs: Vec<(String, String)> = b
                .endpoints
                .iter()
                .filter(|endpoint| endpoint.dialled)
                .map(|one| (one.local.unwrap().to_string(), one.address.to_string()))
                .collect();
            let pairs: Vec<(&str, &str)> =
                pairs.iter().map(|(own, other)| (own.as_str(), other.as_str())).collect();
            assert_eq!(pairs, dialled, "{own} and {other}");
            let hops: Vec<String> = b.next_hops.iter().map(ToString::to_string).collect();
            assert_eq!(hops, next_hops, "{own} and {other}");
            let known: BTreeSet<String> =
                b.endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect();
            let all: BTreeSet<String> = other.split(", ").map(str::to_owned).collect();
            assert_eq!(known, all, "connections from each of its addresses are its own");
        }
    }

    /// Each row: who we are, and whom we peer with and how.
    #[test]
    fn reflectors_and_clients() {
        let nodes = "
mesh:
  mode: reflector
  nodes:
    - {name: c1, addresses: [10.0.0.1]}
    - {name: c2, addresses: [10.0.0.2]}
    - {name: r1, addresses: [10.0.0.3], reflector: 1.1.1.1}
    - {name: r2, addresses: [10.0.0.4], reflector: 1.1.1.1}
    - {name: c3, addresses: [10.0.0.5], clientOf: 2.2.2.2}
    - {name: r3, addresses: [10.0.0.6], reflector: 2.2.2.2}
    - {name: r4, addresses: [10.0.0.7], reflector: 3.3.3.3, clientOf: 2.2.2.2}
";
        use PeerKind::{Client, Internal};
        let rows: [(&str, &[(&str, PeerKind)]); 5] = [
            ("c1", &[("r1", Internal), ("r2", Internal), ("r3", Internal), ("r4", Internal)]),
            (
                "r1",
                &[
                    ("c1", Client),
                    ("c2", Client),
                    ("r2", Internal),
                    ("r3", Internal),
                    ("r4", Internal),
                ],
            ),
            ("c3", &[("r3", Internal)]),
            (
                "r3",
                &[
                    ("c1", Client),
                    ("c2", Client),
                    ("c3", Client),
                    ("r1", Internal),
                    ("r2", Internal),
                    ("r4", Client),
                ],
            ),
            (
                "r4",
                &[
                    ("c1", Client),
                    ("c2", Client),
                    ("r1", Internal),
                    ("r2", Internal),
                    ("r3", Internal),
                ],
            ),
        ];
        for (node, expected) in rows {
            let peers = peers(&snapshot(&format!("node: {node}{nodes}")), &BTreeSet::new());
            let found: Vec<(&str, PeerKind)> =
                peers.configs.iter().map(|peer| (peer.name.as_str(), peer.kind)).collect();
            assert_eq!(found, expected, "{node}");
        }
        let none = format!("node: c1{}", nodes.replace("mode: reflector", "mode: none"));
        assert!(peers(&snapshot(&none), &BTreeSet::new()).configs.is_empty());
    }

    /// Each row: a key of the configuration, and what becomes of it.
    #[test]
    fn keys_of_a_session_reach_the_speaker() {
        type Check = fn(&PeerConfig) -> bool;
        let rows: [(&str, Check); 11] = [
            ("localAsn: 65100", |peer| peer.local_asn.is_some_and(|asn| asn.get() == 65100)),
            ("localAddress: 10.0.0.9", |peer| {
                peer.local_address.is_some_and(|local| local.to_string() == "10.0.0.9")
            }),
            ("role: peer", |peer| peer.role.is_some_and(|offer| !offer.required)),
            ("connectRetry: 200s", |peer| {
                // Never longer than the longest.
                (peer.connect_retry.as_secs(), peer.connect_retry_max.as_secs()) == (200, 200)
            }),
            ("connectRetryMax: 7s", |peer| peer.connect_retry_max.as_secs() == 7),
            ("sendHoldTime: 10m", |peer| peer.send_hold_time == Some(Duration::from_secs(600))),
            ("extendedNextHop: true", |peer| peer.extended_next_hop),
            ("gracefulNotification: true", |peer| peer.graceful_notification),
            ("enforceFirstAs: false", |peer| !peer.own_as_first),
            ("honorGracefulShutdown: false", |peer| !peer.graceful_shutdown),
            ("shutdown: back at 5", |peer| peer.shutdown.as_deref() == Some("back at 5")),
        ];
        let before = peers(&snapshot(THREE), &BTreeSet::new());
        for (key, check) in rows {
            let text = format!("{THREE}    {key}\n");
            let after = peers(&snapshot(&text), &BTreeSet::new());
            assert!(!check(find(&before, "tor-a")), "{key}: by default");
            assert!(check(find(&after, "tor-a")), "{key}");
            assert_eq!(find(&before, "node-b"), find(&after, "node-b"), "{key}: of a node");
        }
    }

    /// Over IPv6, IPv4 routes go by our IPv6 address where that was asked for.
    #[test]
    fn an_ipv6_session_with_extended_next_hops_needs_no_ipv4_address() {
        for (key, hops) in [("", vec!["10.0.0.1"]), ("extendedNextHop: true", vec![])] {
            let text = format!("{THREE}    {key}\n").replace("10.0.0.254", "fd00::254");
            let peers = peers(&snapshot(&text), &BTreeSet::new());
            let found: Vec<String> =
                find(&peers, "tor-a").next_hops.iter().map(ToString::to_string).collect();
            assert_eq!(found, hops, "{key}");
        }
    }

    #[test]
    fn a_prefix_of_peers_becomes_a_range() {
        let text = THREE
            .replace("name: tor-a", "name: racks")
            .replace("address: 10.0.0.254", "prefix: 10.1.0.0/24\n    limit: 7");
        let peers = peers(&snapshot(&text), &BTreeSet::new());
        assert!(peers.configs.iter().all(|peer| peer.name.starts_with("node-")));
        let [range] = &peers.ranges[..] else { panic!("{peers:?}") };
        assert_eq!((range.name.as_str(), range.limit), ("racks", 7));
        assert_eq!(range.prefix.to_string(), "10.1.0.0/24");
        assert_eq!((range.template.kind, range.template.asn.get()), (PeerKind::External, 65000));
        assert!(
            range
                .template
                .import
                .rules
                .iter()
                .any(|rule| &*rule.name == "import.prefixes of racks")
        );
    }

    #[test]
    fn the_same_snapshot_gives_equal_peers() {
        let subnets = connected(&["10.0.0.0/24"]);
        let (one, two) = (peers(&snapshot(THREE), &subnets), peers(&snapshot(THREE), &subnets));
        assert_eq!(one.configs, two.configs);
    }
}
