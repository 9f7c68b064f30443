//! Links and addresses, and what the node is connected to by them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use nix::libc;
use twill_bgp::proto::types::Prefix;

use super::error::KernelError;
use super::message::{Incoming, attributes, read_address, read_text, read_u32};
use super::socket::Netlink;

const LINK_FIXED: usize = 16;
const ADDRESS_FIXED: usize = 8;
const RTEXT_FILTER_SKIP_STATS: u32 = 8;

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: Arc<str>,
    /// Switched on by the administrator.
    pub up: bool,
    /// Something answers at the other end.
    pub carrier: bool,
    /// Octets.
    pub mtu: u32,
    /// The loopback interface.
    pub loopback: bool,
}

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The interface's index.
    pub interface: u32,
    /// Ours.
    pub address: IpAddr,
    /// What the kernel reaches through the interface because of it; of a point-to-point address,
    /// the peer.
    pub subnet: Prefix,
    /// Not to be used yet, or in use elsewhere (duplicate address detection).
    pub tentative: bool,
}

impl Address {
    /// Valid on its link alone: fe80::/10, or 169.254.0.0/16.
    pub fn is_link_local(&self) -> bool {
        is_link_local(self.address)
    }
}

/// Whether an address is valid on one link alone.
pub fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// The links and addresses of this host at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostView {
    /// By index.
    pub links: BTreeMap<u32, Link>,
    /// Of all interfaces.
    pub addresses: Vec<Address>,
}

impl HostView {
    /// The interface of this name.
    pub fn link_named(&self, name: &str) -> Option<&Link> {
        self.links.values().find(|link| &*link.name == name)
    }

    /// Whether an address is one of this host's.
    pub fn is_local(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|ours| ours.address == address)
    }

    /// Whether an address is one of this host's and may be a source.
    pub fn is_usable(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|ours| ours.address == address && !ours.tentative)
    }

    /// The interface that an address is on-link of: by the longest subnet, then one that is up,
    /// then one with carrier, then the lowest index. An interface that is down is returned only
    /// where no other holds the subnet. Link-local addresses are on every link, so never found.
    pub fn connected(&self, address: IpAddr) -> Option<&Link> {
        if is_link_local(address) && address.is_ipv6() {
            return None;
        }
        self.addresses
            .iter()
            .filter(|ours| ours.subnet.contains(address))
            .filter_map(|ours| Some((ours.subnet.len(), self.links.get(&ours.interface)?)))
            .filter(|(_, link)| !link.loopback)
            .max_by_key(|(length, link)| {
                (link.up, *length, link.carrier, std::cmp::Reverse(link.index))
            })
            .map(|(_, link)| link)
    }

    /// The interfaces that hold one of `addresses`.
    pub fn holders(&self, addresses: &[IpAddr]) -> impl Iterator<Item = &Link> {
        self.links.values().filter(|link| {
            self.addresses
                .iter()
                .any(|ours| ours.interface == link.index && addresses.contains(&ours.address))
        })
    }
}

/// Lists links and addresses.
pub fn list(netlink: &mut Netlink) -> Result<HostView, KernelError> {
    let links = netlink.dump(
        "links cannot be listed",
        |netlink| {
            let mut request = netlink.request(libc::RTM_GETLINK, libc::NLM_F_DUMP as u16);
            request.fixed(&[0; LINK_FIXED]);
            request.number(libc::IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
        },
        BTreeMap::new,
        |links, message| {
            if let Some(link) = read_link(&message) {
                links.insert(link.index, link);
            }
        },
    )?;
    let addresses = netlink.dump(
        "addresses cannot be listed",
        |netlink| {
            let mut request = netlink.request(libc::RTM_GETADDR, libc::NLM_F_DUMP as u16);
            request.fixed(&[0; ADDRESS_FIXED]);
        },
        Vec::new,
        |addresses, message| addresses.extend(read_host_address(&message)),
    )?;
    Ok(HostView { links, addresses })
}

/// Reads RTM_NEWLINK or RTM_DELLINK. Messages of the bridge's own family (AF_BRIDGE) tell of
/// ports and are no links.
pub(super) fn read_link(message: &Incoming<'_>) -> Option<Link> {
    if !matches!(message.kind, libc::RTM_NEWLINK | libc::RTM_DELLINK)
        || i32::from(*message.payload.first()?) != libc::AF_UNSPEC
    {
        return None;
    }
    let index = read_u32(message.payload, 4)?;
    let flags = read_u32(message.payload, 8)?;
    let (mut name, mut mtu) = (String::new(), 0);
    for (kind, value) in attributes(message.payload.get(LINK_FIXED..)?) {
        match kind {
            libc::IFLA_IFNAME => name = read_text(value),
            libc::IFLA_MTU => mtu = read_u32(value, 0)?,
            _ => {}
        }
    }
    let is = |flag: i32| flags & flag.cast_unsigned() != 0;
    Some(Link {
        index,
        name: name.into(),
        up: is(libc::IFF_UP),
        carrier: is(libc::IFF_LOWER_UP),
        mtu,
        loopback: is(libc::IFF_LOOPBACK),
    })
}

/// Reads RTM_NEWADDR or RTM_DELADDR.
pub(super) fn read_host_address(message: &Incoming<'_>) -> Option<Address> {
    if !matches!(message.kind, libc::RTM_NEWADDR | libc::RTM_DELADDR) {
        return None;
    }
    let length = *message.payload.get(1)?;
    let mut flags = u32::from(*message.payload.get(2)?);
    let interface = read_u32(message.payload, 4)?;
    let (mut local, mut peer) = (None, None);
    for (kind, value) in attributes(message.payload.get(ADDRESS_FIXED..)?) {
        match kind {
            libc::IFA_LOCAL => local = read_address(value),
            libc::IFA_ADDRESS => peer = read_address(value),
            libc::IFA_FLAGS => flags = read_u32(value, 0)?,
            _ => {}
        }
    }
    let address = local.or(peer)?;
    let subnet = Prefix::truncating(peer.unwrap_or(address), length).ok()?;
    let tentative = flags & (libc::IFA_F_TENTATIVE | libc::IFA_F_DADFAILED) != 0
        && flags & libc::IFA_F_OPTIMISTIC == 0;
    Some(Address { interface, address, subnet, tentative })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, up: bool, carrier: bool) -> (u32, Link) {
        let name = format!("eth{index}").into();
        (index, Link { index, name, up, carrier, mtu: 1500, loopback: false })
    }

    fn address(interface: u32, text: &str) -> Address {
        let (address, length) = text.split_once('/').unwrap();
        let address: IpAddr = address.parse().unwrap();
        let subnet = Prefix::truncating(address, length.parse().unwrap()).unwrap();
        Address { interface, address, subnet, tentative: false }
    }

    #[test]
    fn the_longest_subnet_that_is_up_and_has_carrier_connects() {
        let view = HostView {
            links: [link(2, true, true), link(3, true, false), link(4, false, false)].into(),
            addresses: vec![
                address(2, "10.0.0.1/16"),
                address(3, "10.0.1.1/24"),
                address(4, "10.0.2.1/24"),
                address(4, "10.9.0.1/24"),
                address(3, "fd00::1/64"),
                address(2, "fd00::2/64"),
                address(2, "fe80::2/64"),
            ],
        };
        let connected = |text: &str| view.connected(text.parse().unwrap()).map(|link| link.index);
        assert_eq!(connected("10.0.9.9"), Some(2));
        assert_eq!(connected("10.0.1.9"), Some(3), "the longest wins");
        assert_eq!(connected("10.0.2.9"), Some(2), "not by a link that is down");
        assert_eq!(connected("10.9.0.9"), Some(4), "down, but the only one");
        assert_eq!(connected("fd00::9"), Some(2), "of equals the one with carrier");
        assert_eq!(connected("fe80::9"), None);
        assert_eq!(connected("192.0.2.1"), None);
    }
}
