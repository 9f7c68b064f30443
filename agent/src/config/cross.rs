//! Values held against each other: names and addresses that are unique, pod CIDRs that are
//! disjoint, a next hop for every prefix; then the snapshot.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use twill_bgp::proto::rib::Claims;
use twill_bgp::proto::types::{Asn, Prefix, RouterId};

use super::mesh::{Listed, MeshEntry, NodeEntry};
use super::peer::PeerEntry;
use super::read::{Field, Sited};
use super::{SitedPrefix, SitedRouterId, values};
use crate::source::peer::PeerRange;
use crate::source::{Cni, Dataplane, MeshMode, NodeView, ServiceAddresses, Snapshot};

/// All sections, each checked by itself.
pub(super) struct Whole<'a> {
    pub(super) name: String,
    pub(super) asn: Asn,
    pub(super) router_id: Option<SitedRouterId<'a>>,
    /// This node, as the top level has it.
    pub(super) own: NodeEntry<'a>,
    pub(super) listen_port: u16,
    pub(super) mesh: MeshEntry<'a>,
    /// Those that could be read, each with its entry.
    pub(super) peers: Vec<Sited<'a, PeerEntry>>,
    /// Names that policies match on.
    pub(super) mentioned: Vec<Sited<'a, String>>,
    pub(super) announce: Vec<SitedPrefix<'a>>,
    pub(super) dataplane: Dataplane,
    pub(super) cni: Cni,
    pub(super) http: Option<SocketAddr>,
}

/// The snapshot; without meaning where problems were noted.
pub(super) fn check(mut whole: Whole<'_>) -> Option<Snapshot> {
    let mut nodes = std::mem::take(&mut whole.mesh.nodes);
    merge_own(&mut whole.own, &mut nodes);
    nodes.insert(0, whole.own);
    unique_names(&nodes, &whole.peers);
    unique_addresses(&nodes, &whole.peers);
    let claims = disjoint_cidrs(&nodes);
    for node in &nodes {
        check_node(node, &claims);
    }
    check_peers(&whole.peers, &claims);
    check_mentioned(&whole.mentioned, &nodes, &whole.peers);
    check_announcements(&whole.announce, &nodes, &claims, &whole.mesh);
    check_mode(&nodes, &whole.mesh);
    check_families(&nodes);
    let router_id = router_id(&whole.name, whole.router_id.as_ref(), &nodes);

    let (mut peers, mut ranges) = (BTreeMap::new(), BTreeMap::new());
    for PeerEntry { peer, range } in whole.peers.into_iter().map(|entry| entry.value) {
        let name = peer.name.clone();
        match range {
            None => drop(peers.insert(name, peer)),
            Some((prefix, limit)) => {
                drop(ranges.insert(name, PeerRange { prefix, limit, template: peer }));
            }
        }
    }
    let mut views = nodes.into_iter().map(|node| view(node, whole.asn));
    let node = views.next()?;
    Some(Snapshot {
        node,
        router_id,
        listen_port: whole.listen_port,
        nodes: views.map(|node| (node.name.clone(), node)).collect(),
        mesh: whole.mesh.settings,
        peers,
        ranges,
        announce: whole.announce.into_iter().map(|prefix| prefix.value).collect(),
        services: ServiceAddresses::default(),
        dataplane: whole.dataplane,
        cni: whole.cni,
        http: whole.http,
        drain: None,
    })
}

fn view(node: NodeEntry<'_>, asn: Asn) -> NodeView {
    NodeView {
        name: node.name,
        addresses: values_of(node.addresses),
        pod_cidrs: values_of(node.pod_cidrs),
        asn,
        reflector: node.reflector,
        client_of: node.client_of.map(|cluster| cluster.value),
    }
}

fn values_of<T>(listed: Option<Listed<'_, T>>) -> Vec<T> {
    listed
        .map(|listed| listed.value.into_iter().map(|item| item.value).collect())
        .unwrap_or_default()
}

/// The node itself may stand among the nodes, so that one list serves all of them.
fn merge_own<'a>(own: &mut NodeEntry<'a>, nodes: &mut Vec<NodeEntry<'a>>) {
    let Some(index) = nodes.iter().position(|node| node.name == own.name) else { return };
    let listed = nodes.remove(index);
    own.reflector = listed.reflector;
    own.client_of = listed.client_of;
    merge(&mut own.addresses, listed.addresses);
    merge(&mut own.pod_cidrs, listed.pod_cidrs);
}

fn merge<'a, T: PartialEq>(own: &mut Option<Listed<'a, T>>, listed: Option<Listed<'a, T>>) {
    let Some(listed) = listed else { return };
    let Some(own) = own else {
        *own = Some(listed);
        return;
    };
    let same =
        own.value.iter().map(|item| &item.value).eq(listed.value.iter().map(|item| &item.value));
    if !same {
        listed.field.wrong(format!(
            "this node is told otherwise by `{}` on line {}: make them equal, or write one of them",
            own.field.path(),
            own.field.line()
        ));
    }
}

fn unique_names(nodes: &[NodeEntry<'_>], peers: &[Sited<'_, PeerEntry>]) {
    let nodes = nodes.iter().map(|node| (node.name.as_str(), &node.whole));
    let peers = peers.iter().map(|peer| (peer.value.peer.name.as_str(), &peer.field));
    let mut seen: HashMap<&str, &Field<'_>> = HashMap::new();
    for (name, field) in nodes.chain(peers) {
        if let Some(first) = seen.get(name) {
            field.wrong(match first.path() {
                "" => format!("the name {name} is this node's own: give it another"),
                path => format!(
                    "the name {name} is taken by {path} on line {}: nodes and peers share one \
                     space of names",
                    first.line()
                ),
            });
        } else {
            seen.insert(name, field);
        }
    }
}

fn unique_addresses(nodes: &[NodeEntry<'_>], peers: &[Sited<'_, PeerEntry>]) {
    let nodes = nodes.iter().flat_map(|node| {
        let listed = node.addresses.iter().flat_map(|listed| &listed.value);
        listed.map(|address| (address.value, node.name.as_str(), &address.field))
    });
    let listed = peers.iter().filter(|peer| peer.value.range.is_none());
    let peers =
        listed.map(|peer| (peer.value.peer.address, peer.value.peer.name.as_str(), &peer.field));
    let mut seen: HashMap<IpAddr, (&str, u32)> = HashMap::new();
    for (address, name, field) in nodes.chain(peers) {
        if let Some((owner, line)) = seen.get(&address) {
            field.wrong(format!(
                "{address} is already an address of {owner} (line {line}): each belongs to one \
                 node or peer"
            ));
        } else {
            seen.insert(address, (name, field.line()));
        }
    }
}

/// Notes every overlap, and returns whose each pod CIDR is.
fn disjoint_cidrs(nodes: &[NodeEntry<'_>]) -> Claims {
    let mut cidrs: Vec<(Prefix, &str, &Field<'_>)> = Vec::new();
    for node in nodes {
        let listed = node.pod_cidrs.iter().flat_map(|listed| &listed.value);
        cidrs.extend(listed.map(|cidr| (cidr.value, node.name.as_str(), &cidr.field)));
    }
    cidrs.sort_by_key(|(prefix, _, field)| (*prefix, field.line()));
    // What covers a prefix sorts before it, so the widest so far is all to look at.
    let mut widest: Option<(Prefix, &str, &Field<'_>)> = None;
    for cidr in &cidrs {
        match widest {
            Some(wide) if wide.0.covers(cidr.0) => {
                let (early, late) =
                    if cidr.2.line() >= wide.2.line() { (&wide, cidr) } else { (cidr, &wide) };
                late.2.wrong(format!(
                    "{} overlaps the pod CIDR {} of {} (line {}): pod CIDRs share no address",
                    late.0,
                    early.0,
                    early.1,
                    early.2.line()
                ));
            }
            _ => widest = Some(*cidr),
        }
    }
    Claims::new(cidrs.iter().map(|(prefix, name, field)| {
        (*prefix, Arc::from(format!("the pod CIDR {prefix} of {name} (line {})", field.line())))
    }))
}

fn check_node(node: &NodeEntry<'_>, claims: &Claims) {
    let addresses: Vec<&Sited<'_, IpAddr>> =
        node.addresses.iter().flat_map(|listed| &listed.value).collect();
    // What could not be read was noted; what follows from it is not noted as well.
    let complete =
        node.addresses.as_ref().is_none_or(|listed| listed.value.len() == listed.field.len());
    if addresses.is_empty() && complete {
        let place = node.addresses.as_ref().map_or(&node.whole, |listed| &listed.field);
        place.wrong(format!(
            "{} has no address: list under `addresses` what the others reach it by",
            node.name
        ));
    }
    for address in &addresses {
        if let Some(owner) = claims.overlapping(Prefix::host(address.value)) {
            address.field.wrong(format!(
                "{} lies within {owner}: nodes live outside of pod CIDRs",
                address.value
            ));
        }
    }
    for cidr in node.pod_cidrs.iter().flat_map(|listed| &listed.value) {
        let family = cidr.value.family();
        let routed = addresses.iter().any(|address| Prefix::host(address.value).family() == family);
        if !routed && complete && !addresses.is_empty() {
            cidr.field.wrong(format!(
                "{} has no {family} address, so nobody could be told a next hop for {}: add one \
                 under `addresses`",
                node.name, cidr.value
            ));
        }
    }
}

fn check_peers(peers: &[Sited<'_, PeerEntry>], claims: &Claims) {
    let mut ranges: Vec<(Prefix, &str, u32)> = Vec::new();
    for Sited { value: PeerEntry { peer, range }, field } in peers {
        let prefix = range.map_or(Prefix::host(peer.address), |(prefix, _)| prefix);
        if let Some(owner) = claims.overlapping(prefix) {
            field.wrong(match range {
                None => format!(
                    "its address {} lies within {owner}: peers live outside of pod CIDRs",
                    peer.address
                ),
                Some(_) => {
                    format!("{prefix} overlaps {owner}: pods could make themselves routers")
                }
            });
        }
        if range.is_none() {
            continue;
        }
        if let Some((other, name, line)) = ranges.iter().find(|(other, ..)| other.overlaps(prefix))
        {
            field.wrong(format!(
                "{prefix} overlaps {other} of {name} (line {line}): who dials must belong to one"
            ));
        }
        ranges.push((prefix, &peer.name, field.line()));
    }
}

/// A policy that matches on a name which nobody has would never hold.
fn check_mentioned(
    mentioned: &[Sited<'_, String>],
    nodes: &[NodeEntry<'_>],
    peers: &[Sited<'_, PeerEntry>],
) {
    let nodes = nodes.iter().skip(1).map(|node| node.name.as_str());
    let known: HashSet<&str> =
        nodes.chain(peers.iter().map(|peer| peer.value.peer.name.as_str())).collect();
    for Sited { value: name, field } in mentioned {
        if !known.contains(name.as_str()) {
            field.wrong(format!("no other node and no peer is called {name}"));
        }
    }
}

fn check_announcements(
    announced: &[SitedPrefix<'_>],
    nodes: &[NodeEntry<'_>],
    claims: &Claims,
    mesh: &MeshEntry<'_>,
) {
    let mut seen: HashMap<Prefix, u32> = HashMap::new();
    for Sited { value: prefix, field } in announced {
        if let Some(owner) = claims.overlapping(*prefix) {
            field.wrong(format!("{prefix} overlaps {owner}, which its node announces itself"));
        }
        if let Some(line) = seen.insert(*prefix, field.line()) {
            field.wrong(format!("{prefix} is announced already (line {line}): keep one"));
        }
        let own = nodes.first().and_then(|own| own.addresses.as_ref());
        let routed = own.is_none_or(|own| {
            own.value.iter().any(|own| Prefix::host(own.value).family() == prefix.family())
        });
        if !routed {
            field.wrong(format!("{prefix} needs an address of its family as next hop"));
        }
        let carried = mesh.settings.transit.iter().any(|range| {
            range.prefix.covers(*prefix) && (range.ge..=range.le).contains(&prefix.len())
        });
        if !carried && mesh.settings.mode != MeshMode::None {
            field.doubt(format!(
                "the other nodes refuse {prefix}, which is no pod CIDR: add it to mesh.transit"
            ));
        }
    }
}

fn check_mode(nodes: &[NodeEntry<'_>], mesh: &MeshEntry<'_>) {
    let reflector = nodes.iter().find(|node| node.reflector.is_some());
    match (mesh.settings.mode, reflector, &mesh.mode) {
        (MeshMode::Reflector, None, Some(mode)) => {
            mode.wrong("no node of mesh.nodes is a reflector: give one `reflector: CLUSTER-ID`");
        }
        (MeshMode::Full | MeshMode::None, Some(node), _) => node.whole.doubt(format!(
            "{} is marked as a reflector, which takes effect with mesh.mode: reflector",
            node.name
        )),
        _ => {}
    }
    for node in nodes {
        let Some(Sited { value: cluster, field }) = &node.client_of else { continue };
        if node.reflector == Some(*cluster) {
            field.wrong(format!(
                "{} is a reflector of {cluster} itself: name another cluster, or leave it out",
                node.name
            ));
        } else if !nodes.iter().any(|other| other.reflector == Some(*cluster)) {
            field.wrong(format!("no node of mesh.nodes is a reflector of {cluster}"));
        }
    }
}

/// A session needs one family that both ends have.
fn check_families(nodes: &[NodeEntry<'_>]) {
    let has = |node: &NodeEntry<'_>, ipv6| {
        let listed = node.addresses.iter().flat_map(|listed| &listed.value);
        listed.into_iter().any(|address| address.value.is_ipv6() == ipv6)
    };
    let Some((own, others)) = nodes.split_first() else { return };
    for node in others {
        if ![false, true].into_iter().any(|ipv6| has(own, ipv6) && has(node, ipv6)) {
            node.whole.doubt(format!(
                "{} and this node share no address family, so they cannot peer: give both an IPv4 \
                 or both an IPv6 address",
                node.name
            ));
        }
    }
}

/// As configured; else the first IPv4 address; else from the name.
fn router_id(name: &str, given: Option<&SitedRouterId<'_>>, nodes: &[NodeEntry<'_>]) -> RouterId {
    let derived = |name: &str, addresses: &Option<Listed<'_, IpAddr>>| {
        let listed = addresses.iter().flat_map(|listed| &listed.value);
        let mut ipv4 = listed.filter_map(|address| match address.value {
            IpAddr::V4(address) => RouterId::new(address),
            IpAddr::V6(_) => None,
        });
        ipv4.next().unwrap_or_else(|| values::router_id_of_name(name))
    };
    let mut all = nodes.iter();
    let own = all.next();
    let id = match (given, own) {
        (Some(given), _) => given.value,
        (None, Some(own)) => derived(name, &own.addresses),
        (None, None) => values::router_id_of_name(name),
    };
    let has = |node: &NodeEntry<'_>| {
        let listed = node.addresses.iter().flat_map(|listed| &listed.value);
        listed.map(|address| address.value).any(|address| address == id.to_ipv4())
    };
    let clash = all.find(|node| derived(&node.name, &node.addresses) == id);
    // Where both have the address, that is what is wrong, and was noted.
    if let (Some(clash), Some(own)) = (clash, own)
        && !(has(clash) && has(own))
    {
        let place = given.map_or(&own.whole, |given| &given.field);
        place.wrong(format!(
            "the router id {id} is also that of {}, and they must differ: set `routerId`",
            clash.name
        ));
    }
    id
}
