//! What this host should look like beside its routes: the bridge, and settings of interfaces.
//!
//! In: the snapshot and the host's links and addresses. Out: [`HostWants`], which the owner of
//! the host compares with what is there. No global setting is ever wanted: a packet is forwarded
//! by the settings of the interface that it came in by. docs/decisions/0051 gives the kernel's
//! rules behind each line.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use twill_bgp::proto::types::{Families, Family};

use crate::kernel::HostView;
use crate::kernel::settings::{Room, Setting};
use crate::source::Snapshot;

/// The MTU where no interface tells a better one: Ethernet's.
const DEFAULT_MTU: u32 = 1500;

/// What the host should have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostWants {
    /// The bridge that pods hang on; `None` where there are no pods.
    pub bridge: Option<BridgeWants>,
    /// What interfaces should be set to.
    pub settings: Vec<Want>,
    /// What the snapshot wants and this host does not have, with the remedy.
    pub problems: Vec<String>,
}

/// The bridge as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeWants {
    /// Its name.
    pub name: String,
    /// Octets.
    pub mtu: u32,
}

/// A setting that should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// Exactly this value.
    Value(Setting, i64),
    /// IPv6 packets that come in by this interface are forwarded. The kernel asks the global
    /// setting, or, from Linux 6.17 on, `force_forwarding` of the interface.
    Ipv6Forwarding(Arc<str>),
    /// The reverse path filter does not insist on the way back (RFC 3704 section 2.4): the
    /// kernel takes the stronger of the interface's and the global setting, of which 2, loose,
    /// is the stronger.
    LooseReversePath(Arc<str>),
    /// IPv6 addresses of the interface stay when it goes down: by the global setting, or else by
    /// `keep_addr_on_down` of the interface.
    KeepAddresses(Arc<str>),
}

impl HostWants {
    /// What is wanted of this host. Nothing, where kernel routes are not ours to touch.
    pub fn new(snapshot: &Snapshot, view: &HostView) -> HostWants {
        let mut wants = HostWants::default();
        if !snapshot.dataplane.install {
            return wants;
        }
        let families = families(snapshot);
        for link in uplinks(snapshot, view) {
            uplink_settings(&mut wants.settings, &link, families);
        }
        if snapshot.node.pod_cidrs.is_empty() {
            return wants;
        }
        let mtu = snapshot.dataplane.mtu.or_else(|| smallest_mtu(snapshot, view));
        if view.holders(&snapshot.node.addresses).next().is_none() {
            wants.problems.push(missing_addresses(&snapshot.node.addresses));
        }
        let name = snapshot.dataplane.bridge.clone();
        bridge_settings(
            &mut wants.settings,
            &Arc::from(name.as_str()),
            families,
            snapshot.dataplane.proxy_arp,
        );
        wants.bridge = Some(BridgeWants { name, mtu: mtu.unwrap_or(DEFAULT_MTU) });
        wants
    }
}

fn missing_addresses(addresses: &[IpAddr]) -> String {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    format!(
        "no interface has an address of this node ({}), so nothing can be sent to it: put the \
         address on an interface, or correct `addresses`",
        addresses.join(", ")
    )
}

/// The families that this node has addresses or pods of.
fn families(snapshot: &Snapshot) -> Families {
    let pods = snapshot.node.pod_cidrs.iter().map(|prefix| prefix.family());
    let addresses = snapshot.node.addresses.iter().map(|address| match address {
        IpAddr::V4(_) => Family::Ipv4Unicast,
        IpAddr::V6(_) => Family::Ipv6Unicast,
    });
    pods.chain(addresses).collect()
}

/// The smallest MTU of the interfaces that hold this node's addresses: what a pod sends as one
/// packet must fit them all. Where the loopback interface alone holds them, that of all uplinks.
fn smallest_mtu(snapshot: &Snapshot, view: &HostView) -> Option<u32> {
    let holders = view.holders(&snapshot.node.addresses);
    let smallest = holders.filter(|link| !link.loopback).map(|link| link.mtu).min();
    let links = uplinks(snapshot, view).into_iter();
    smallest.or_else(|| links.filter_map(|name| view.link_named(&name)).map(|link| link.mtu).min())
}

/// The interfaces by which other nodes and routers are reached, and those that hold our own
/// addresses.
fn uplinks(snapshot: &Snapshot, view: &HostView) -> BTreeSet<Arc<str>> {
    let nodes = snapshot.nodes.values().flat_map(|node| node.addresses.iter().copied());
    let routers = snapshot.peers.values().map(|peer| peer.address);
    let reached = nodes.chain(routers).filter_map(|address| view.connected(address));
    let beside = view.addresses.iter().filter(|address| {
        snapshot.ranges.values().any(|range| range.prefix.overlaps(address.subnet))
    });
    let unlisted = beside.filter_map(|address| view.links.get(&address.interface));
    let holders = view.holders(&snapshot.node.addresses).filter(|link| !link.loopback);
    reached
        .chain(unlisted.filter(|link| !link.loopback))
        .chain(holders)
        .filter(|link| *link.name != *snapshot.dataplane.bridge)
        .map(|link| Arc::clone(&link.name))
        .collect()
}

fn value(room: Room, interface: &Arc<str>, key: &'static str, value: i64) -> Want {
    Want::Value(Setting { room, interface: Arc::clone(interface), key }, value)
}

fn uplink_settings(wants: &mut Vec<Want>, link: &Arc<str>, families: Families) {
    if families.contains(Family::Ipv4Unicast) {
        wants.extend([
            value(Room::Ipv4, link, "forwarding", 1),
            // A pod's packet that comes back in by the way it went out is no mistake of its
            // sender's.
            value(Room::Ipv4, link, "send_redirects", 0),
            Want::LooseReversePath(Arc::clone(link)),
        ]);
    }
    if families.contains(Family::Ipv6Unicast) {
        wants.extend([
            Want::Ipv6Forwarding(Arc::clone(link)),
            // Or the node's own address goes with the link, and does not come back with it.
            Want::KeepAddresses(Arc::clone(link)),
        ]);
    }
}

fn bridge_settings(wants: &mut Vec<Want>, bridge: &Arc<str>, families: Families, proxy: bool) {
    let proxy = i64::from(proxy);
    if families.contains(Family::Ipv4Unicast) {
        wants.extend([
            value(Room::Ipv4, bridge, "forwarding", 1),
            value(Room::Ipv4, bridge, "proxy_arp", proxy),
            value(Room::Ipv4Neighbours, bridge, "proxy_delay", 0),
            value(Room::Ipv4, bridge, "send_redirects", 0),
            // A pod does not tell the node how to route.
            value(Room::Ipv4, bridge, "accept_redirects", 0),
        ]);
    }
    if families.contains(Family::Ipv6Unicast) {
        wants.extend([
            value(Room::Ipv6, bridge, "accept_ra", 0),
            value(Room::Ipv6, bridge, "accept_redirects", 0),
            // Its addresses are the same on every node, on purpose.
            value(Room::Ipv6, bridge, "accept_dad", 0),
            // Makes it a router towards pods, without which it answers for nobody.
            value(Room::Ipv6, bridge, "forwarding", 1),
            Want::Ipv6Forwarding(Arc::clone(bridge)),
            value(Room::Ipv6, bridge, "proxy_ndp", proxy),
            value(Room::Ipv6Neighbours, bridge, "proxy_delay", 0),
        ]);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::desired::fixture::{THREE, snapshot};
    use crate::kernel::host::{Address, Link};

    fn view(links: &[(u32, &str, u32, &str)]) -> HostView {
        let mut view = HostView::default();
        for (index, name, mtu, address) in links {
            let (address, length) = address.split_once('/').unwrap();
            let address = address.parse().unwrap();
            let subnet =
                twill_bgp::proto::types::Prefix::truncating(address, length.parse().unwrap());
            let link = Link {
                index: *index,
                name: Arc::from(*name),
                up: true,
                carrier: true,
                mtu: *mtu,
                loopback: *name == "lo",
            };
            view.links.insert(*index, link);
            let subnet = subnet.unwrap();
            view.addresses.push(Address { interface: *index, address, subnet, tentative: false });
        }
        view
    }

    #[test]
    fn the_bridge_takes_the_smallest_mtu_of_our_addresses() {
        let view = view(&[
            (1, "lo", 65536, "127.0.0.1/8"),
            (2, "eth0", 9000, "10.0.0.1/24"),
            (3, "eth1", 1450, "fd00::1/64"),
            (4, "eth2", 1280, "192.0.2.1/24"),
        ]);
        let wants = HostWants::new(&snapshot(THREE), &view);
        assert_eq!(wants.bridge.unwrap(), BridgeWants { name: "twill0".into(), mtu: 1450 });
        assert!(wants.problems.is_empty());
        let only_lo = [("lo", "10.0.0.1/32"), ("eth0", "10.0.0.7/24")];
        let only_lo =
            only_lo.map(|(name, address)| (1 + u32::from(name != "lo"), name, 1400, address));
        let on_lo = HostWants::new(&snapshot(THREE), &self::view(&only_lo));
        assert_eq!(on_lo.bridge.unwrap().mtu, 1400, "by the uplink");
        assert!(on_lo.problems.is_empty());
        let fixed = snapshot(&format!("{THREE}\ndataplane: {{mtu: 1400}}"));
        assert_eq!(HostWants::new(&fixed, &view).bridge.unwrap().mtu, 1400);
    }

    #[test]
    fn only_interfaces_towards_others_are_set() {
        let view = view(&[(2, "eth0", 1500, "10.0.0.1/24"), (4, "eth2", 1500, "192.0.2.1/24")]);
        let wants = HostWants::new(&snapshot(THREE), &view);
        let names: BTreeSet<&str> = wants
            .settings
            .iter()
            .map(|want| match want {
                Want::Value(setting, _) => &*setting.interface,
                Want::Ipv6Forwarding(link)
                | Want::LooseReversePath(link)
                | Want::KeepAddresses(link) => link,
            })
            .collect();
        assert_eq!(names, ["eth0", "twill0"].into());
    }

    #[test]
    fn without_an_address_on_the_host_it_says_so() {
        let wants = HostWants::new(&snapshot(THREE), &HostView::default());
        assert_eq!(wants.bridge.unwrap().mtu, 1500);
        assert!(wants.problems[0].contains("10.0.0.1, fd00::1"), "{:?}", wants.problems);
    }

    #[test]
    fn nothing_is_wanted_where_nothing_is_installed() {
        let snapshot = snapshot(&format!("{THREE}\ndataplane: {{install: false}}"));
        assert_eq!(HostWants::new(&snapshot, &HostView::default()), HostWants::default());
    }
}
