//! The bridge that pods hang on.
//!
//! In: [`BridgeSpec`]. Out: a bridge that is so, and [`BridgeState`], which says what was changed.
//! The agent calls [`ensure_bridge`] at start and on every doubt; ADD only where it finds none.
//! Nothing is taken away: addresses of others stay.

use std::net::IpAddr;

use nix::libc;

use crate::address::Cidr;
use crate::link::message::{Batch, Body, Step, Tolerate};
use crate::link::netlink::{LinkError, Netlink};
use crate::link::query::{addresses, find_link};
use crate::link::{InterfaceName, Mac, link_local_gateway};

const CREATE: i32 = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
const UP: u32 = libc::IFF_UP as u32;
/// IFLA_INET6_ADDR_GEN_MODE and its IN6_ADDR_GEN_MODE_NONE.
const ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_NONE: u8 = 1;
/// IFLA_INET_CONF, and the IPV4_DEVCONF_* that a bridge without an agent needs.
pub(crate) const INET_CONF: u16 = 1;
const FORWARDING: u16 = 1;
const PROXY_ARP: u16 = 3;
const SEND_REDIRECTS: u16 = 6;

/// A bridge as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeSpec {
    /// Its name.
    pub name: InterfaceName,
    /// Its hardware address. Fixed, because a bridge without one takes the lowest of its ports and
    /// changes with every pod, and pods remember it.
    pub mac: Mac,
    /// `None`: as it is.
    pub mtu: Option<u32>,
    /// Its addresses, each a gateway of pods.
    pub addresses: Vec<Cidr>,
    /// Whether another IPv4 address on it is an error (`forceAddress` of the reference is false).
    pub exclusive: bool,
}

impl BridgeSpec {
    /// Link-local gateways, of the families that the pods' subnets are of: 169.254.1.1/32 and
    /// fe80::1/64. On any node and without an address of the pods.
    pub fn link_local(name: InterfaceName, subnets: &[Cidr]) -> Self {
        let family = |ipv6: bool| {
            let address = link_local_gateway(ipv6);
            let length = if ipv6 { 64 } else { 32 };
            let wanted = subnets.iter().any(|subnet| subnet.is_ipv6() == ipv6);
            Cidr::new(address, length).filter(|_| wanted)
        };
        let addresses = [false, true].into_iter().filter_map(family).collect();
        Self { name, mac: own_mac(name), mtu: None, addresses, exclusive: false }
    }

    /// A gateway within each subnet, such as 10.244.1.1/24.
    pub fn gateways(name: InterfaceName, gateways: Vec<Cidr>) -> Self {
        Self { name, mac: own_mac(name), mtu: None, addresses: gateways, exclusive: false }
    }

    fn has_ipv6(&self) -> bool {
        self.addresses.iter().any(|address| address.is_ipv6())
    }
}

/// Stable for this boot and this name, and the same in a container as on its host.
fn own_mac(name: InterfaceName) -> Mac {
    Mac::of_bridge(crate::boot::id().unwrap_or_default(), name.as_str())
}

/// A bridge as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeState {
    /// Its index.
    pub index: u32,
    /// Its hardware address.
    pub mac: Mac,
    /// Its MTU.
    pub mtu: u32,
    /// Whether it was missing.
    pub created: bool,
    /// What was changed, in words.
    pub changed: Vec<String>,
}

/// Makes the bridge as it should be, whatever is there. Idempotent, and safe beside another caller.
/// Interface settings (forwarding, proxy ARP...) are the agent's, but for a bridge made here: that
/// one forwards IPv4, answers ARP for what pods believe to be on-link and sends no redirects, so
/// that pods reach each other before the agent sees it.
///
/// # Errors
/// The kernel refused, the name is that of another device, or the bridge has another address.
pub fn ensure_bridge(spec: &BridgeSpec) -> Result<BridgeState, LinkError> {
    ensure(&mut Netlink::open()?, spec)
}

/// The same on a socket at hand.
pub(crate) fn ensure(netlink: &mut Netlink, spec: &BridgeSpec) -> Result<BridgeState, LinkError> {
    let mut changed = Vec::new();
    let mut found = find_link(netlink, spec.name)?;
    let created = found.is_none();
    if created {
        let mut batch = Batch::new();
        create(&mut batch, spec);
        netlink.execute(&mut batch)?;
        changed.push(format!("{}: created", spec.name));
        found = find_link(netlink, spec.name)?;
    }
    let link = found.ok_or(LinkError::Unreadable(Step::FindLink(spec.name)))?;
    if link.kind != "bridge" {
        let kind = if link.kind.is_empty() { "device".to_owned() } else { link.kind };
        return Err(LinkError::NotABridge { name: spec.name, kind });
    }
    let held = addresses(netlink, spec.name, link.index)?;
    check_addresses(spec, &held)?;

    let mut batch = Batch::new();
    let configure = Step::Configure(spec.name);
    if link.mac != Some(spec.mac) {
        changed.push(format!("{}: hardware address {}", spec.name, spec.mac));
        batch.push(configure, Tolerate::Nothing, libc::RTM_NEWLINK, 0, |m| {
            m.link(link.index, 0, 0);
            m.bytes(libc::IFLA_ADDRESS, &spec.mac.0);
        });
    }
    if let Some(mtu) = spec.mtu.filter(|mtu| *mtu != link.mtu) {
        changed.push(format!("{}: MTU {} -> {mtu}", spec.name, link.mtu));
        batch.push(configure, Tolerate::Nothing, libc::RTM_NEWLINK, 0, |m| {
            m.link(link.index, 0, 0);
            m.u32(libc::IFLA_MTU, mtu);
        });
    }
    if !link.up {
        changed.push(format!("{}: up", spec.name));
        batch.push(configure, Tolerate::Nothing, libc::RTM_NEWLINK, 0, |m| {
            m.link(link.index, UP, UP);
        });
    }
    for address in spec.addresses.iter().filter(|address| !held.contains(address)) {
        changed.push(format!("{}: address {address}", spec.name));
        add_address(&mut batch, spec.name, link.index, *address);
    }
    netlink.execute(&mut batch)?;
    let mtu = spec.mtu.unwrap_or(link.mtu);
    Ok(BridgeState { index: link.index, mac: spec.mac, mtu, created, changed })
}

/// The messages that make a bridge, but for its addresses. Another caller may have won the race:
/// every message means the same then.
fn create(batch: &mut Batch, spec: &BridgeSpec) {
    let step = Step::CreateBridge(spec.name);
    batch.push(step, Tolerate::Exists, libc::RTM_NEWLINK, CREATE, |m| {
        m.link(0, 0, 0);
        m.text(libc::IFLA_IFNAME, spec.name.as_str());
        m.bytes(libc::IFLA_ADDRESS, &spec.mac.0);
        if let Some(mtu) = spec.mtu {
            m.u32(libc::IFLA_MTU, mtu);
        }
        m.nest(libc::IFLA_LINKINFO, |m| m.bytes(libc::IFLA_INFO_KIND, b"bridge"));
    });
    // Before it goes up, or the kernel gives it a link-local address of its own.
    batch.push(Step::Configure(spec.name), Tolerate::Nothing, libc::RTM_NEWLINK, 0, |m| {
        m.link(0, 0, 0);
        m.text(libc::IFLA_IFNAME, spec.name.as_str());
        m.nest(libc::IFLA_AF_SPEC, |m| {
            m.nest(libc::AF_INET as u16, |m| {
                m.nest(INET_CONF, |m| {
                    m.u32(FORWARDING, 1);
                    m.u32(PROXY_ARP, 1);
                    m.u32(SEND_REDIRECTS, 0);
                });
            });
            if spec.has_ipv6() {
                no_own_link_local(m);
            }
        });
    });
    batch.push(Step::Configure(spec.name), Tolerate::Nothing, libc::RTM_NEWLINK, 0, |m| {
        m.link(0, UP, UP);
        m.text(libc::IFLA_IFNAME, spec.name.as_str());
    });
}

/// Within IFLA_AF_SPEC: the kernel makes no link-local address, so none has to settle.
pub(crate) fn no_own_link_local(m: &mut Body<'_>) {
    m.nest(libc::AF_INET6 as u16, |m| m.u8(ADDR_GEN_MODE, ADDR_GEN_NONE));
}

/// An address of the bridge, unless it has it. Without the kernel's own subnet route, because
/// on-link routes are ours, under our protocol number; but pods do have link-local addresses, and
/// that prefix is the link's.
pub(crate) fn add_address(batch: &mut Batch, name: InterfaceName, index: u32, address: Cidr) {
    let step = Step::AddAddress(address, name);
    let link_local =
        matches!(address.address(), IpAddr::V6(address) if address.is_unicast_link_local());
    let no_route = if link_local { 0 } else { libc::IFA_F_NOPREFIXROUTE };
    batch.push(step, Tolerate::Exists, libc::RTM_NEWADDR, CREATE, |m| {
        write_address(m, index, address, libc::IFA_F_NODAD | no_route);
    });
}

/// `struct ifaddrmsg` and its attributes. Link-local IPv4 addresses get scope link, so that the
/// kernel does not take them as the source of packets that leave the link.
pub(crate) fn write_address(m: &mut Body<'_>, index: u32, address: Cidr, flags: u32) {
    let link_local = matches!(address.address(), IpAddr::V4(address) if address.is_link_local());
    let scope = if link_local { libc::RT_SCOPE_LINK } else { libc::RT_SCOPE_UNIVERSE };
    let family = if address.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
    m.raw(&[family as u8, address.length(), 0, scope]);
    m.raw(&index.to_ne_bytes());
    write_ip(m, libc::IFA_LOCAL, address.address());
    write_ip(m, libc::IFA_ADDRESS, address.address());
    m.u32(libc::IFA_FLAGS, flags);
}

/// An attribute that is an address.
pub(crate) fn write_ip(m: &mut Body<'_>, kind: u16, address: IpAddr) {
    match address {
        IpAddr::V4(address) => m.bytes(kind, &address.octets()),
        IpAddr::V6(address) => m.bytes(kind, &address.octets()),
    }
}

/// A link-local address is no stranger: it is that of the other gateway mode, and pods attached
/// while that was configured still use it.
fn check_addresses(spec: &BridgeSpec, held: &[Cidr]) -> Result<(), LinkError> {
    let strange = |found: &&Cidr| match found.address() {
        IpAddr::V4(address) => !address.is_link_local() && !spec.addresses.contains(found),
        IpAddr::V6(_) => false,
    };
    let wanted = spec.addresses.iter().find(|address| !address.is_ipv6());
    match (held.iter().find(strange), wanted) {
        (Some(found), Some(wanted)) if spec.exclusive => {
            Err(LinkError::OtherAddress { name: spec.name, found: *found, wanted: *wanted })
        }
        _ => Ok(()),
    }
}
