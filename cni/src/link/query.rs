//! What the kernel says of links and their addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::libc;

use crate::address::{Cidr, width};
use crate::config::HostRoutes;
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

/// The route by which an address is reached, as the routing tables have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// RTN_LOCAL: the address is this host's own, on whatever interface; then no pod can have it.
    pub local: bool,
    /// The prefix of the route.
    pub to: Cidr,
    /// Out of which link.
    pub device: Option<u32>,
    /// Whether by a gateway.
    pub on_link: bool,
    /// How it is marked.
    pub mark: HostRoutes,
}

impl Answer {
    fn read(message: &Message<'_>) -> Option<Self> {
        let (to, gateway) = read_route(message)?;
        let attributes = message.attributes(ROUTE_FIXED);
        let number = |kind| attributes.value_of(kind).and_then(u32_of);
        let mark = HostRoutes {
            metric: number(libc::RTA_PRIORITY).unwrap_or(0),
            table: number(libc::RTA_TABLE).unwrap_or(0),
            protocol: *message.body.get(5)?,
        };
        Some(Self {
            local: message.body.get(7) == Some(&libc::RTN_LOCAL),
            to,
            device: number(libc::RTA_OIF),
            on_link: gateway.is_none(),
            mark,
        })
    }
}

/// Asks for the route to an address. `None` where there is none: a kernel that refuses has answered.
/// Takes no lock that links are changed under.
///
/// # Errors
/// The socket failed.
pub fn ask_route(netlink: &mut Netlink, address: IpAddr) -> Result<Option<Answer>, LinkError> {
    let mut batch = Batch::new();
    push_route(&mut batch, address, None);
    let mut answer = None;
    netlink.ask(&batch, |_, message| answer = Answer::read(message))?;
    Ok(answer)
}

/// The question, out of this link where one is named: a link-local address is one of a link.
fn push_route(batch: &mut Batch, address: IpAddr, device: Option<u32>) {
    let family = if address.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
    batch.push(Step::FindRoute(address), Tolerate::Refusal, libc::RTM_GETROUTE, 0, |m| {
        m.raw(&[family as u8, width(address), 0, 0, 0, 0, 0, 0]);
        m.raw(&libc::RTM_F_FIB_MATCH.to_ne_bytes());
        write_ip(m, libc::RTA_DST, address);
        if let Some(device) = device {
            m.u32(libc::RTA_OIF, device);
        }
    });
}

/// The link of this name, if there is one.
pub fn find_link(netlink: &mut Netlink, name: InterfaceName) -> Result<Option<Link>, LinkError> {
    find_link_with(netlink, name, &[]).map(|(link, _)| link)
}

/// The link of this name, and which of these addresses are its own, by one system call.
pub(crate) fn find_link_with(
    netlink: &mut Netlink,
    name: InterfaceName,
    addresses: &[Cidr],
) -> Result<(Option<Link>, Vec<Cidr>), LinkError> {
    let index = if addresses.is_empty() { None } else { netlink.index_of(name)? };
    let mut batch = Batch::new();
    let step = Step::FindLink(name);
    batch.push(step, Tolerate::Missing, libc::RTM_GETLINK, 0, |m| {
        m.link(0, 0, 0);
        m.text(libc::IFLA_IFNAME, name.as_str());
        m.u32(libc::IFLA_EXT_MASK, SKIP_STATISTICS);
    });
    for address in addresses.iter().filter(|_| index.is_some()) {
        push_route(&mut batch, address.address(), index);
    }
    let mut link = None;
    let mut own = Vec::new();
    netlink.ask(&batch, |place, message| match place.checked_sub(1) {
        None => link = Some(Link::read(message)),
        Some(place) => {
            let answer = Answer::read(message).filter(|a| a.local && a.device == index);
            own.extend(answer.and_then(|_| addresses.get(place)));
        }
    })?;
    Ok((link.map(|link| link.ok_or(LinkError::Unreadable(step))).transpose()?, own))
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
