//! A pod's pair, its addresses and routes.
//!
//! The pair is created where it belongs: the host's end on its bridge and up, the pod's end in the
//! pod's namespace under its final name. A link that is moved between namespaces, or renamed after,
//! costs the wait for an RCU grace period. What remains for the pod's side is to bring its end up
//! (a peer cannot be created up) and give it addresses and routes, in one batch.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;

use crate::address::Cidr;
use crate::config::{HostRoutes, PortOptions, Route};
use crate::link::bridge::{INET_CONF, add_address, no_own_link_local, write_address, write_ip};
use crate::link::message::{Batch, Body, Step, Tolerate};
use crate::link::netlink::{LinkError, Netlink};
use crate::link::{InterfaceName, Mac, PairNames};

const CREATE: i32 = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
const UP: u32 = libc::IFF_UP as u32;
const PROMISC: u32 = libc::IFF_PROMISC as u32;
/// linux/veth.h, linux/if_link.h, linux/rtnetlink.h: what libc does not name.
const VETH_INFO_PEER: u16 = 1;
const NUM_TX_QUEUES: u16 = 31;
const NUM_RX_QUEUES: u16 = 32;
const INFO_SLAVE_KIND: u16 = 4;
const INFO_SLAVE_DATA: u16 = 5;
const BRPORT_MODE: u16 = 4;
const BRPORT_ISOLATED: u16 = 33;
const NEXT_HOP_ON_LINK: u32 = 4;
const METRIC_MTU: u16 = 2;
const METRIC_ADVMSS: u16 = 8;
const BOOT: u8 = 3;
/// Of the IPV4_DEVCONF_*.
const ACCEPT_REDIRECTS: u16 = 4;

/// The bridge's side of an attachment.
pub struct HostEnd<'a> {
    /// Names of the pair.
    pub names: PairNames,
    /// The pod's end.
    pub interface: InterfaceName,
    /// Where the pod's end goes.
    pub netns: BorrowedFd<'a>,
    /// The bridge's name.
    pub bridge: InterfaceName,
    /// The bridge's index.
    pub bridge_index: u32,
    /// Of both ends.
    pub mtu: u32,
    /// Of the port.
    pub port: PortOptions,
    /// The bridge takes in all frames.
    pub promiscuous: bool,
    /// Whether pods have IPv6.
    pub ipv6: bool,
    /// Addresses that the bridge seems to lack; it keeps those it has.
    pub gateways: &'a [Cidr],
    /// Subnets of pods that seem not to be on link at the bridge.
    pub subnets: &'a [Cidr],
    /// How those routes are marked.
    pub routes: HostRoutes,
}

impl HostEnd<'_> {
    /// Makes the pair and whatever the bridge lacks. When it fails, the pair is not there.
    ///
    /// # Errors
    /// The kernel refused one of them.
    pub fn attach(&self, netlink: &mut Netlink) -> Result<(), LinkError> {
        let mut batch = Batch::new();
        self.create_pair(&mut batch);
        self.configure(&mut batch);
        netlink.execute(&mut batch).inspect_err(|error| {
            let create = Step::CreatePair(self.names.host);
            if !matches!(error, LinkError::Refused { step, .. } if *step == create) {
                // The pair was made, or nobody could say that it was not; what the first error said
                // matters more than a second one.
                let _ = delete(netlink, self.names.host);
            }
        })
    }

    /// The same for a pair that is there.
    ///
    /// # Errors
    /// The kernel refused one of them; whoever made the pair deletes it.
    pub fn complete(&self, netlink: &mut Netlink) -> Result<(), LinkError> {
        let mut batch = Batch::new();
        self.configure(&mut batch);
        netlink.execute(&mut batch)
    }

    fn configure(&self, batch: &mut Batch) {
        self.configure_port(batch);
        if self.promiscuous {
            let step = Step::Configure(self.bridge);
            batch.push(step, Tolerate::Nothing, libc::RTM_NEWLINK, 0, |m| {
                m.link(self.bridge_index, PROMISC, PROMISC);
            });
        }
        for gateway in self.gateways {
            add_address(batch, self.bridge, self.bridge_index, *gateway);
        }
        for subnet in self.subnets {
            self.add_subnet(batch, *subnet);
        }
    }

    fn create_pair(&self, batch: &mut Batch) {
        let step = Step::CreatePair(self.names.host);
        batch.push(step, Tolerate::Nothing, libc::RTM_NEWLINK, CREATE, |m| {
            m.link(0, UP, UP);
            m.text(libc::IFLA_IFNAME, self.names.host.as_str());
            m.bytes(libc::IFLA_ADDRESS, &self.names.host_mac.0);
            m.u32(libc::IFLA_MTU, self.mtu);
            one_queue(m);
            m.u32(libc::IFLA_MASTER, self.bridge_index);
            m.nest(libc::IFLA_LINKINFO, |m| {
                m.bytes(libc::IFLA_INFO_KIND, b"veth");
                m.nest(libc::IFLA_INFO_DATA, |m| {
                    m.nest(VETH_INFO_PEER, |m| {
                        m.link(0, 0, 0);
                        m.text(libc::IFLA_IFNAME, self.interface.as_str());
                        m.bytes(libc::IFLA_ADDRESS, &self.names.pod_mac.0);
                        m.u32(libc::IFLA_MTU, self.mtu);
                        one_queue(m);
                        m.u32(libc::IFLA_NET_NS_FD, self.netns.as_raw_fd() as u32);
                    });
                });
            });
        });
    }

    /// The host's end is a port: it needs no address of its own, and none settles on it.
    fn configure_port(&self, batch: &mut Batch) {
        let PortOptions { hairpin, isolated } = self.port;
        if !(self.ipv6 || hairpin || isolated) {
            return;
        }
        let step = Step::Configure(self.names.host);
        batch.push(step, Tolerate::Nothing, libc::RTM_NEWLINK, 0, |m| {
            m.link(0, 0, 0);
            m.text(libc::IFLA_IFNAME, self.names.host.as_str());
            if hairpin || isolated {
                port_options(m, self.port);
            }
            if self.ipv6 {
                m.nest(libc::IFLA_AF_SPEC, no_own_link_local);
            }
        });
    }

    /// The agent's route, if nobody made it yet: pods of this node must be reached while the agent
    /// is down, too.
    fn add_subnet(&self, batch: &mut Batch, subnet: Cidr) {
        let step = Step::AddRoute(subnet, self.bridge);
        batch.push(step, Tolerate::Exists, libc::RTM_NEWROUTE, CREATE, |m| {
            let HostRoutes { table, protocol, .. } = self.routes;
            route_header(m, subnet, table, protocol, libc::RT_SCOPE_LINK, 0);
            write_ip(m, libc::RTA_DST, subnet.network().address());
            m.u32(libc::RTA_OIF, self.bridge_index);
            m.u32(libc::RTA_PRIORITY, self.routes.metric);
        });
    }
}

/// As many queues as a veth uses unless told otherwise. Said, because one that is not told is made
/// with a queue for each processor and then reduced to one, which waits for RCU.
fn one_queue(m: &mut Body<'_>) {
    m.u32(NUM_TX_QUEUES, 1);
    m.u32(NUM_RX_QUEUES, 1);
}

/// The pod's side of an attachment.
pub struct PodEnd<'a> {
    /// Its name.
    pub interface: InterfaceName,
    /// Its hardware address.
    pub mac: Mac,
    /// Its addresses, with the length they have on it.
    pub addresses: &'a [Cidr],
    /// Its routes, in order.
    pub routes: &'a [Route],
    /// Whether it is brought up.
    pub up: bool,
    /// Whether its addresses wait for duplicate address detection (RFC 4862 section 5.4).
    pub detect_duplicates: bool,
}

impl PodEnd<'_> {
    /// Brings it up with all addresses and routes, on a socket of the pod's namespace.
    ///
    /// # Errors
    /// The kernel refused one of them; whoever made the pair deletes it.
    pub fn configure(&self, netlink: &mut Netlink, index: u32) -> Result<(), LinkError> {
        self.send(netlink, index, Tolerate::Nothing)
    }

    /// The same again, after some of it was done.
    ///
    /// # Errors
    /// The kernel refused one of them.
    pub fn complete(&self, netlink: &mut Netlink, index: u32) -> Result<(), LinkError> {
        self.send(netlink, index, Tolerate::Exists)
    }

    fn send(&self, netlink: &mut Netlink, index: u32, tolerate: Tolerate) -> Result<(), LinkError> {
        let mut batch = Batch::new();
        let has = |ipv6: bool| self.addresses.iter().any(|address| address.is_ipv6() == ipv6);
        let own_link_local = has(true) && !self.detect_duplicates;
        let step = Step::Configure(self.interface);
        if own_link_local {
            // The kernel's own would have to settle first, for a second or two.
            batch.push(step, Tolerate::Nothing, libc::RTM_NEWLINK, 0, |m| {
                m.link(index, 0, 0);
                m.nest(libc::IFLA_AF_SPEC, no_own_link_local);
            });
        }
        if self.up {
            batch.push(step, Tolerate::Nothing, libc::RTM_NEWLINK, 0, |m| {
                m.link(index, UP, UP);
                if has(false) {
                    m.nest(libc::IFLA_AF_SPEC, no_redirects);
                }
            });
        }
        if own_link_local && let Some(address) = Cidr::new(self.mac.link_local().into(), 64) {
            self.add_address(&mut batch, tolerate, index, address);
        }
        for address in self.addresses {
            self.add_address(&mut batch, tolerate, index, *address);
        }
        for route in self.routes {
            self.add_route(&mut batch, tolerate, index, *route);
        }
        netlink.execute(&mut batch)
    }

    /// Whether the gateway is in no subnet or prefix that the pod has on link: the bridge's proxy
    /// ARP answers for it, and the kernel must be told to believe that.
    fn needs_proxy(&self, route: Route) -> bool {
        let Some(IpAddr::V4(gateway)) = route.gateway else { return false };
        let on_link = self.routes.iter().filter(|other| other.gateway.is_none());
        let mut reached = self.addresses.iter().copied().chain(on_link.map(|other| other.to));
        !reached.any(|prefix| prefix.contains(gateway.into()))
    }

    fn add_address(&self, batch: &mut Batch, tolerate: Tolerate, index: u32, address: Cidr) {
        let flags = if self.detect_duplicates { 0 } else { libc::IFA_F_NODAD };
        let step = Step::AddAddress(address, self.interface);
        batch.push(step, tolerate, libc::RTM_NEWADDR, CREATE, |m| {
            write_address(m, index, address, flags);
        });
    }

    fn add_route(&self, batch: &mut Batch, tolerate: Tolerate, index: u32, route: Route) {
        let step = Step::AddRoute(route.to, self.interface);
        batch.push(step, tolerate, libc::RTM_NEWROUTE, CREATE, |m| {
            let table = route.table.unwrap_or(u32::from(libc::RT_TABLE_MAIN));
            let on_link = if route.gateway.is_none() { libc::RT_SCOPE_LINK } else { 0 };
            let scope = route.scope.unwrap_or(on_link);
            let flags = if self.needs_proxy(route) { NEXT_HOP_ON_LINK } else { 0 };
            route_header(m, route.to, table, BOOT, scope, flags);
            if route.to.length() > 0 {
                write_ip(m, libc::RTA_DST, route.to.network().address());
            }
            if let Some(gateway) = route.gateway {
                write_ip(m, libc::RTA_GATEWAY, gateway);
            }
            m.u32(libc::RTA_OIF, index);
            if let Some(priority) = route.priority {
                m.u32(libc::RTA_PRIORITY, priority);
            }
            if route.mtu.is_some() || route.advmss.is_some() {
                m.nest(libc::RTA_METRICS, |m| {
                    for (kind, value) in [(METRIC_MTU, route.mtu), (METRIC_ADVMSS, route.advmss)] {
                        if let Some(value) = value {
                            m.u32(kind, value);
                        }
                    }
                });
            }
        });
    }
}

/// Within IFLA_AF_SPEC: no redirects are believed, as far as the interface has a say in it.
fn no_redirects(m: &mut Body<'_>) {
    m.nest(libc::AF_INET as u16, |m| m.nest(INET_CONF, |m| m.u32(ACCEPT_REDIRECTS, 0)));
}

/// Of a port of a bridge, within a message about it.
pub(crate) fn port_options(m: &mut Body<'_>, PortOptions { hairpin, isolated }: PortOptions) {
    m.nest(libc::IFLA_LINKINFO, |m| {
        m.bytes(INFO_SLAVE_KIND, b"bridge");
        m.nest(INFO_SLAVE_DATA, |m| {
            m.u8(BRPORT_MODE, u8::from(hairpin));
            m.u8(BRPORT_ISOLATED, u8::from(isolated));
        });
    });
}

/// `struct rtmsg`, and the table, which may not fit there.
fn route_header(m: &mut Body<'_>, to: Cidr, table: u32, protocol: u8, scope: u8, flags: u32) {
    let family = if to.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
    // IPv6 has no scopes of routes.
    let scope = if to.is_ipv6() { libc::RT_SCOPE_UNIVERSE } else { scope };
    let short_table = u8::try_from(table).unwrap_or(libc::RT_TABLE_UNSPEC);
    m.raw(&[family as u8, to.length(), 0, 0]);
    m.raw(&[short_table, protocol, scope, libc::RTN_UNICAST]);
    m.raw(&flags.to_ne_bytes());
    m.u32(libc::RTA_TABLE, table);
}

/// Deletes a link, and with it the other end. One that is gone is no error.
///
/// # Errors
/// The kernel refused.
pub fn delete(netlink: &mut Netlink, name: InterfaceName) -> Result<(), LinkError> {
    delete_existing(netlink, name).map(drop)
}

/// The same, and says whether there was one.
///
/// # Errors
/// The kernel refused.
pub fn delete_existing(netlink: &mut Netlink, name: InterfaceName) -> Result<bool, LinkError> {
    let mut batch = Batch::new();
    batch.push(Step::DeleteLink(name), Tolerate::Nothing, libc::RTM_DELLINK, 0, |m| {
        m.link(0, 0, 0);
        m.text(libc::IFLA_IFNAME, name.as_str());
    });
    match netlink.execute(&mut batch) {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == Some(libc::ENODEV) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Brings a pod's end up before its addresses are known. The kernel gives it no link-local address
/// that would have to settle, unless that is wanted; a kernel without IPv6 refuses to be told so.
///
/// # Errors
/// The kernel refused.
pub fn bring_up(
    netlink: &mut Netlink,
    name: InterfaceName,
    detect_duplicates: bool,
) -> Result<(), LinkError> {
    let mut batch = Batch::new();
    let step = Step::Configure(name);
    if !detect_duplicates {
        batch.push(step, Tolerate::Refusal, libc::RTM_NEWLINK, 0, |m| {
            m.link(0, 0, 0);
            m.text(libc::IFLA_IFNAME, name.as_str());
            m.nest(libc::IFLA_AF_SPEC, no_own_link_local);
        });
    }
    batch.push(step, Tolerate::Nothing, libc::RTM_NEWLINK, 0, |m| {
        m.link(0, UP, UP);
        m.text(libc::IFLA_IFNAME, name.as_str());
    });
    netlink.execute(&mut batch)
}

/// Brings a link up that exists: the loopback.
///
/// # Errors
/// The kernel refused.
pub fn set_up(netlink: &mut Netlink, name: InterfaceName) -> Result<(), LinkError> {
    let mut batch = Batch::new();
    batch.push(Step::Configure(name), Tolerate::Nothing, libc::RTM_NEWLINK, 0, |m| {
        m.link(0, UP, UP);
        m.text(libc::IFLA_IFNAME, name.as_str());
    });
    netlink.execute(&mut batch)
}
