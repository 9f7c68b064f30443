//! What the kernel says of links and their addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::libc;
use nix::net::if_::if_nametoindex;

use crate::address::{Cidr, width};
use crate::link::bridge::write_ip;
use crate::link::message::{Attributes, Batch, Message, Step, Tolerate, text_of, u32_of};
use crate::link::netlink::{LinkError, Netlink};
use crate::link::{InterfaceName, Mac};

const LINK_FIXED: usize = 16;
const ADDRESS_FIXED: usize = 8;
const ROUTE_FIXED: usize = 12;
/// RTEXT_FILTER_SKIP_STATS: counters are not asked for.
const SKIP_STATISTICS: u32 = 1 << 3;

/// A link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its index in its namespace.
    pub index: u32,
    /// IFF_UP.
    pub up: bool,
    /// Its hardware address, where it has one of 6 bytes.
    pub mac: Option<Mac>,
    /// Its MTU.
    pub mtu: u32,
    /// `bridge`, `veth`...; empty for a device of its own.
    pub kind: String,
    /// The index of what it is a port of.
    pub master: Option<u32>,
    /// The index of its other end.
    pub peer: Option<u32>,
}

impl Link {
    fn read(message: &Message<'_>) -> Option<Self> {
        let attributes = message.attributes(LINK_FIXED);
        let info = attributes.value_of(libc::IFLA_LINKINFO).map(Attributes);
        let kind = info.and_then(|info| info.value_of(libc::IFLA_INFO_KIND));
        Some(Self {
            index: message.u32_at(4)?,
            up: message.u32_at(8)? & libc::IFF_UP as u32 != 0,
            mac: attributes
                .value_of(libc::IFLA_ADDRESS)
                .and_then(|mac| mac.try_into().ok())
                .map(Mac),
            mtu: attributes.value_of(libc::IFLA_MTU).and_then(u32_of)?,
            kind: kind.map(text_of).unwrap_or_default().to_owned(),
            master: attributes.value_of(libc::IFLA_MASTER).and_then(u32_of),
            peer: attributes.value_of(libc::IFLA_LINK).and_then(u32_of),
        })
    }
}

/// The index of the link of this name in the namespace of this thread. By ioctl: unlike a netlink
/// question it does not wait for whoever changes links, on any namespace of this machine.
///
/// # Errors
/// No socket could be opened.
pub fn index_of(name: InterfaceName) -> Result<Option<u32>, LinkError> {
    match if_nametoindex(name.as_str()) {
        Ok(index) => Ok(Some(index)),
        Err(nix::Error::ENODEV) => Ok(None),
        Err(errno) => Err(std::io::Error::from(errno).into()),
    }
}

/// Whether the address is this host's own, on whatever interface: then no pod can have it as well.
///
/// # Errors
/// The socket failed. A kernel that knows no route to the address has answered.
pub fn is_local(netlink: &mut Netlink, address: IpAddr) -> Result<bool, LinkError> {
    let family = if address.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
    let mut batch = Batch::new();
    let step = Step::FindRoute(address);
    batch.push(step, Tolerate::Refusal, libc::RTM_GETROUTE, 0, |m| {
        m.raw(&[family as u8, width(address), 0, 0]);
        m.raw(&[0; ROUTE_FIXED - 4]);
        write_ip(m, libc::RTA_DST, address);
    });
    let mut local = false;
    netlink.ask(&batch, |_, message| local = message.body.get(7) == Some(&libc::RTN_LOCAL))?;
    Ok(local)
}

/// The link of this name, if there is one.
pub fn find_link(netlink: &mut Netlink, name: InterfaceName) -> Result<Option<Link>, LinkError> {
    let step = Step::FindLink(name);
    let mut batch = Batch::new();
    batch.push(step, Tolerate::Missing, libc::RTM_GETLINK, 0, |m| {
        m.link(0, 0, 0);
        m.text(libc::IFLA_IFNAME, name.as_str());
        m.u32(libc::IFLA_EXT_MASK, SKIP_STATISTICS);
    });
    let mut answer = None;
    netlink.ask(&batch, |_, message| answer = Some(Link::read(message)))?;
    answer.map(|link| link.ok_or(LinkError::Unreadable(step))).transpose()
}

/// The addresses of a link, both families.
pub fn addresses(
    netlink: &mut Netlink,
    name: InterfaceName,
    index: u32,
) -> Result<Vec<Cidr>, LinkError> {
    netlink.filter_dumps()?;
    let mut batch = Batch::new();
    let dump = libc::NLM_F_DUMP;
    batch.push(Step::ListAddresses(name), Tolerate::Nothing, libc::RTM_GETADDR, dump, |m| {
        m.raw(&[0; 4]);
        m.raw(&index.to_ne_bytes());
    });
    let mut found = Vec::new();
    netlink.ask(&batch, |_, message| {
        // A kernel without strict checking ignores the filter.
        if message.u32_at(4) == Some(index) {
            found.extend(read_address(message));
        }
    })?;
    Ok(found)
}

/// The routes out of a link, both families, of all tables but the local one: where to, and by whom.
///
/// # Errors
/// The kernel refused.
pub fn routes(
    netlink: &mut Netlink,
    name: InterfaceName,
    index: u32,
) -> Result<Vec<(Cidr, Option<IpAddr>)>, LinkError> {
    let mut found = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let mut batch = Batch::new();
        let dump = libc::NLM_F_DUMP;
        batch.push(Step::ListRoutes(name), Tolerate::Nothing, libc::RTM_GETROUTE, dump, |m| {
            m.raw(&[family as u8, 0, 0, 0]);
            m.raw(&[0; ROUTE_FIXED - 4]);
        });
        netlink.ask(&batch, |_, message| {
            let attributes = message.attributes(ROUTE_FIXED);
            let local = message.body.get(4) == Some(&libc::RT_TABLE_LOCAL);
            let device = attributes.value_of(libc::RTA_OIF).and_then(u32_of);
            if !local && device == Some(index) {
                found.extend(read_route(message));
            }
        })?;
    }
    Ok(found)
}

fn read_route(message: &Message<'_>) -> Option<(Cidr, Option<IpAddr>)> {
    let attributes = message.attributes(ROUTE_FIXED);
    let ipv6 = i32::from(*message.body.first()?) == libc::AF_INET6;
    let any = if ipv6 { Cidr::DEFAULT_V6 } else { Cidr::DEFAULT_V4 };
    let to = attributes.value_of(libc::RTA_DST).map_or(Some(any.address()), ip_of)?;
    let gateway = attributes.value_of(libc::RTA_GATEWAY).and_then(ip_of);
    Some((Cidr::new(to, *message.body.get(1)?)?, gateway))
}

fn read_address(message: &Message<'_>) -> Option<Cidr> {
    let length = *message.body.get(1)?;
    let attributes = message.attributes(ADDRESS_FIXED);
    let bytes =
        attributes.value_of(libc::IFA_LOCAL).or_else(|| attributes.value_of(libc::IFA_ADDRESS))?;
    Cidr::new(ip_of(bytes)?, length)
}

/// An address of either family, by its length.
pub(crate) fn ip_of(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(bytes).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).into())
}
