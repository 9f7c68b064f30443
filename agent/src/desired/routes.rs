//! Which kernel route a learned route should become, or why none.
//!
//! In: the snapshot, the host's links and addresses, and the next hop of a best path. Out: a
//! [`Via`] or an [`Unroutable`] that names its remedy. A next hop is routed to only where it is
//! on a subnet that this host is connected to: nothing here recurses over other routes.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use twill_bgp::proto::types::{NextHop, Prefix};

use super::{KernelRoute, Via};
use crate::kernel::HostView;
use crate::kernel::host::{Address, Link, is_link_local};
use crate::source::Snapshot;
use crate::source::peer::PeerRange;

/// Why a route cannot, or must not, be installed; the remedy is part of the words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unroutable {
    /// No interface is connected to the next hop.
    #[error(
        "next hop {next_hop} is not on a connected subnet: put an address of its subnet on an \
         interface of this node, or let a router of a connected subnet announce the route with \
         itself as next hop"
    )]
    NotConnected {
        /// The next hop.
        next_hop: IpAddr,
    },
    /// The interface that is connected to the next hop is down.
    #[error("next hop {next_hop} is behind {device}, which is down: `ip link set {device} up`")]
    LinkDown {
        /// The next hop.
        next_hop: IpAddr,
        /// The interface.
        device: Arc<str>,
    },
    /// The next hop is this host itself.
    #[error(
        "next hop {next_hop} is an address of this node: another node has the same address, or a \
         peer sends our own routes back"
    )]
    OwnNextHop {
        /// The next hop.
        next_hop: IpAddr,
    },
    /// No address of one host.
    #[error(
        "next hop {next_hop} is no address that a packet can be sent to: the peer that announces \
         the route must set its next hop"
    )]
    NoHost {
        /// The next hop.
        next_hop: IpAddr,
    },
    /// An IPv6 prefix by an IPv4 address.
    #[error(
        "an IPv6 route cannot go by the IPv4 next hop {next_hop}: give the peer an IPv6 address \
         to announce"
    )]
    WrongFamily {
        /// The next hop.
        next_hop: IpAddr,
    },
    /// A link-local next hop, and the link is not known.
    #[error(
        "next hop {next_hop} is valid on one link only, and no interface is connected to the \
         peer that sent it: peer over a connected subnet, or let it announce a global next hop"
    )]
    UnknownLink {
        /// The next hop.
        next_hop: IpAddr,
    },
    /// The prefix is this node's own.
    #[error("{own} is this node's own: another speaker announces it, which its policy must stop")]
    OwnPrefix {
        /// Ours.
        own: Prefix,
    },
    /// The bridge of the pods is not there, or down.
    #[error(
        "the bridge {bridge} is {state}: the agent makes it again; if it stays so, see `twill status`"
    )]
    Bridge {
        /// Its name.
        bridge: String,
        /// `missing` or `down`.
        state: BridgeFault,
    },
}

/// What is wrong with the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BridgeFault {
    /// No interface has its name.
    Missing,
    /// It is down.
    Down,
}

impl fmt::Display for BridgeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BridgeFault::Missing => "missing",
            BridgeFault::Down => "down",
        })
    }
}

/// What decides over routes at one moment. Made anew when the snapshot or the host changes.
#[derive(Debug, Clone)]
pub struct Desired {
    view: Arc<HostView>,
    own_addresses: Vec<IpAddr>,
    own_prefixes: BTreeSet<Prefix>,
    pod_cidrs: Vec<Prefix>,
    local: Vec<(Prefix, Result<Via, Unroutable>)>,
    bridge: String,
    /// Addresses of peers by name: they tell the link of a link-local next hop.
    peers: HashMap<String, Vec<IpAddr>>,
    /// Where peers come from that nobody lists.
    ranges: Vec<PeerRange>,
}

impl Desired {
    /// Takes what counts from the snapshot and the host.
    pub fn new(snapshot: &Snapshot, view: Arc<HostView>) -> Desired {
        let nodes = snapshot.nodes.values().map(|node| (node.name.clone(), node.addresses.clone()));
        let outside = snapshot.peers.values().map(|peer| (peer.name.clone(), vec![peer.address]));
        Desired {
            own_addresses: snapshot.node.addresses.clone(),
            own_prefixes: snapshot.announce.iter().copied().collect(),
            pod_cidrs: snapshot.node.pod_cidrs.clone(),
            local: local_routes(snapshot, &view),
            bridge: snapshot.dataplane.bridge.clone(),
            peers: nodes.chain(outside).collect(),
            ranges: snapshot.ranges.values().cloned().collect(),
            view,
        }
    }

    /// The host that this was made for.
    pub fn view(&self) -> &HostView {
        &self.view
    }

    /// Whether a link as it is now may make a difference to routes. Most links are ports of
    /// pods, which come and go without any.
    pub fn concerns_link(&self, link: &Link) -> bool {
        let holds = |address: &Address| address.interface == link.index && !address.is_link_local();
        (*link.name == *self.bridge || self.view.addresses.iter().any(holds))
            && self.view.links.get(&link.index) != Some(link)
    }

    /// Whether an address that came or went may make a difference to routes.
    pub fn concerns_address(&self, address: &Address) -> bool {
        !address.is_link_local()
    }

    /// This node's pod CIDRs on the bridge, preferring the node's own address as source, so
    /// that pods see the node by its name's address.
    pub fn local(&self) -> &[(Prefix, Result<Via, Unroutable>)] {
        &self.local
    }

    /// Why a learned route to `prefix` is refused whatever its next hop: it is our own, or
    /// within our pod CIDRs.
    pub fn refuse(&self, prefix: Prefix) -> Option<Unroutable> {
        let own = self.pod_cidrs.iter().find(|own| own.covers(prefix));
        own.or_else(|| self.own_prefixes.get(&prefix))
            .map(|own| Unroutable::OwnPrefix { own: *own })
    }

    /// The way to a next hop that `peer` told us. IPv6 routes need [`fits`] besides.
    pub fn via(&self, next_hop: NextHop, peer: Option<&str>) -> Result<Via, Unroutable> {
        let address = next_hop.address();
        if self.view.is_local(address) || self.own_addresses.contains(&address) {
            return Err(Unroutable::OwnNextHop { next_hop: address });
        }
        if address.is_unspecified() || address.is_multicast() || address.is_loopback() {
            return Err(Unroutable::NoHost { next_hop: address });
        }
        if address.is_ipv6() && is_link_local(address) {
            return self.by_peer(address, peer);
        }
        match self.by_device(address, self.view.connected(address)) {
            // The peer shares a link with us, but not the subnet of its global address.
            Err(Unroutable::NotConnected { .. })
                if let NextHop::V6 { link_local: Some(link_local), .. } = next_hop =>
            {
                self.by_peer(IpAddr::V6(link_local), peer)
                    .map_err(|_| Unroutable::NotConnected { next_hop: address })
            }
            result => result,
        }
    }

    /// The whole of it: the kernel route for a best path.
    pub fn route(
        &self,
        prefix: Prefix,
        next_hop: NextHop,
        peer: Option<&str>,
    ) -> Result<KernelRoute, Unroutable> {
        if let Some(reason) = self.refuse(prefix) {
            return Err(reason);
        }
        fits(prefix, next_hop)?;
        self.via(next_hop, peer).map(|via| KernelRoute::new(prefix, via))
    }

    fn by_peer(&self, next_hop: IpAddr, peer: Option<&str>) -> Result<Via, Unroutable> {
        let listed = peer.and_then(|peer| self.peers.get(peer)).into_iter().flatten().copied();
        let unlisted =
            peer.and_then(|peer| self.ranges.iter().find_map(|range| range.address_of(peer)));
        let link = listed
            .chain(unlisted)
            .find_map(|address| self.view.connected(address))
            .ok_or(Unroutable::UnknownLink { next_hop })?;
        self.by_device(next_hop, Some(link))
    }

    fn by_device(&self, next_hop: IpAddr, link: Option<&Link>) -> Result<Via, Unroutable> {
        match link {
            None => Err(Unroutable::NotConnected { next_hop }),
            Some(link) if !link.up => {
                Err(Unroutable::LinkDown { next_hop, device: Arc::clone(&link.name) })
            }
            Some(link) => Ok(Via { next_hop: Some(next_hop), device: link.index, source: None }),
        }
    }
}

/// Whether the kernel can route this prefix by this kind of next hop: IPv4 by IPv6 it can
/// (RFC 8950), IPv6 by IPv4 it cannot.
pub fn fits(prefix: Prefix, next_hop: NextHop) -> Result<(), Unroutable> {
    match (prefix, next_hop) {
        (Prefix::V6(_), NextHop::V4(next_hop)) => {
            Err(Unroutable::WrongFamily { next_hop: IpAddr::V4(next_hop) })
        }
        _ => Ok(()),
    }
}

fn local_routes(snapshot: &Snapshot, view: &HostView) -> Vec<(Prefix, Result<Via, Unroutable>)> {
    let bridge = &snapshot.dataplane.bridge;
    let fault = |state| Unroutable::Bridge { bridge: bridge.clone(), state };
    let device = match view.link_named(bridge) {
        None => Err(fault(BridgeFault::Missing)),
        Some(link) if !link.up => Err(fault(BridgeFault::Down)),
        Some(link) => Ok(link.index),
    };
    let source = |prefix: Prefix| {
        let mut addresses = snapshot.node.addresses.iter().copied();
        addresses
            .find(|address| address.is_ipv4() == matches!(prefix, Prefix::V4(_)))
            .filter(|address| view.is_usable(*address))
    };
    let route = |prefix: Prefix| {
        let device = device.clone()?;
        // Without the address, as while an uplink is away, pods are still to be reached.
        Ok(Via { next_hop: None, device, source: source(prefix) })
    };
    snapshot.node.pod_cidrs.iter().map(|prefix| (*prefix, route(*prefix))).collect()
}
