//! Routes of ours: listed, added, replaced, deleted.
//!
//! What makes a route ours is its protocol number, in our table. Additions carry NLM_F_EXCL, so
//! that a foreign route of the same prefix and metric stops them; replacements are asked for
//! only where one of ours was listed, because the kernel's NLM_F_REPLACE looks at prefix and
//! metric alone; deletions name protocol, metric, table and next hop, so that they can hit
//! nothing else. Messages: rtnetlink(7), RTM_NEWROUTE.

use std::net::IpAddr;

use nix::libc;
use twill_bgp::proto::types::{Families, Family, Prefix};

use super::error::KernelError;
use super::message::{Incoming, Request, attributes, read_address, read_u32};
use super::socket::{Dump, Netlink};
use crate::desired::Via;

const FIXED: usize = 12;
const RTA_VIA: u16 = 18;
const RTA_NH_ID: u16 = 30;
const RTM_F_CLONED: u32 = 0x200;
/// Flags that tell of the interface's state, not of how the route was configured.
const STATE_FLAGS: u32 = 0x1 | 0x10 | 0x40 | 0x8 | 0x20;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
const SCOPE_NOWHERE: u8 = 255;

/// What marks our routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// Table id; 254 is main.
    pub table: u32,
    /// Metric.
    pub metric: u32,
    /// Protocol number.
    pub protocol: u8,
}

/// A route as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Where to.
    pub prefix: Prefix,
    /// Which way.
    pub via: Via,
    /// Its metric.
    pub metric: u32,
    /// Its protocol number.
    pub protocol: u8,
    /// Its table.
    pub table: u32,
    /// Type of service, a part of the key in IPv4.
    pub tos: u8,
    /// Of the form we make: unicast, one next hop, no further attributes. Others are described
    /// by `via` in part only.
    pub plain: bool,
}

impl Listed {
    /// Whether it stands under our protocol in our table, whatever its metric.
    pub fn is_ours(&self, marks: &Marks) -> bool {
        self.protocol == marks.protocol && self.table == marks.table
    }

    /// Whether it stands where ours would stand: no second route fits there.
    pub fn has_our_place(&self, marks: &Marks) -> bool {
        self.table == marks.table && self.metric == marks.metric && self.tos == 0
    }
}

/// A notification of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteEvent {
    /// It went; otherwise it came or changed.
    pub deleted: bool,
    /// It took another route's place.
    pub replaced: bool,
    /// Which.
    pub route: Listed,
}

fn family_code(family: Family) -> u8 {
    match family {
        Family::Ipv4Unicast => libc::AF_INET as u8,
        Family::Ipv6Unicast => libc::AF_INET6 as u8,
    }
}

/// Collects the addition of a route of ours; refused with EEXIST where any route has its place.
pub fn add(netlink: &mut Netlink, marks: &Marks, prefix: Prefix, via: &Via) {
    write_new(netlink, marks, prefix, via, (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16);
}

/// Collects the replacement of a route that was listed as ours; refused with ENOENT where there
/// is none.
pub fn replace(netlink: &mut Netlink, marks: &Marks, prefix: Prefix, via: &Via) {
    write_new(netlink, marks, prefix, via, libc::NLM_F_REPLACE as u16);
}

fn write_new(netlink: &mut Netlink, marks: &Marks, prefix: Prefix, via: &Via, flags: u16) {
    let scope = match (prefix, via.next_hop) {
        (Prefix::V4(_), None) => SCOPE_LINK,
        _ => SCOPE_UNIVERSE,
    };
    let mut request = netlink.request(libc::RTM_NEWROUTE, flags);
    write_fixed(&mut request, prefix, marks, 0, scope, libc::RTN_UNICAST);
    write_key(&mut request, prefix, marks.table, marks.metric);
    write_via(&mut request, prefix, via);
    if let Some(source) = via.source {
        request.address(libc::RTA_PREFSRC, source);
    }
}

/// Collects the deletion of exactly this route; refused with ESRCH where it is not there.
pub fn delete(netlink: &mut Netlink, route: &Listed) {
    let marks = Marks { table: route.table, metric: route.metric, protocol: route.protocol };
    let mut request = netlink.request(libc::RTM_DELROUTE, 0);
    // Type 0 and scope nowhere match any.
    write_fixed(&mut request, route.prefix, &marks, route.tos, SCOPE_NOWHERE, 0);
    write_key(&mut request, route.prefix, route.table, route.metric);
    if route.plain {
        write_via(&mut request, route.prefix, &route.via);
    }
}

fn write_fixed(
    request: &mut Request<'_>,
    prefix: Prefix,
    marks: &Marks,
    tos: u8,
    scope: u8,
    kind: u8,
) {
    let table = u8::try_from(marks.table).unwrap_or(libc::RT_TABLE_UNSPEC);
    let family = family_code(prefix.family());
    request.fixed(&[family, prefix.len(), 0, tos, table, marks.protocol, scope, kind, 0, 0, 0, 0]);
}

fn write_key(request: &mut Request<'_>, prefix: Prefix, table: u32, metric: u32) {
    match prefix {
        Prefix::V4(prefix) => request.attribute(libc::RTA_DST, prefix.octets()),
        Prefix::V6(prefix) => request.attribute(libc::RTA_DST, prefix.octets()),
    }
    request.number(libc::RTA_PRIORITY, metric);
    if table > u32::from(u8::MAX) {
        request.number(libc::RTA_TABLE, table);
    }
}

fn write_via(request: &mut Request<'_>, prefix: Prefix, via: &Via) {
    match (prefix, via.next_hop) {
        (_, None) => {}
        // IPv4 by an IPv6 next hop (RFC 8950).
        (Prefix::V4(_), Some(IpAddr::V6(next_hop))) => {
            let mut value = [0; 18];
            value[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
            value[2..].copy_from_slice(&next_hop.octets());
            request.attribute(RTA_VIA, &value);
        }
        (_, Some(next_hop)) => request.address(libc::RTA_GATEWAY, next_hop),
    }
    request.number(libc::RTA_OIF, via.device);
}

/// Which routes a listing asks for.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// Of our protocol in our table.
    Ours(&'a Marks),
    /// Of whatever protocol in this table.
    Table(u32),
}

impl Scope<'_> {
    fn wants(self, route: &Listed) -> bool {
        match self {
            Scope::Ours(marks) => route.is_ours(marks),
            Scope::Table(table) => route.table == table,
        }
    }
}

fn begin_list(netlink: &mut Netlink, family: Family, scope: Scope<'_>) {
    let (table, protocol) = match scope {
        Scope::Ours(marks) => (marks.table, marks.protocol),
        Scope::Table(table) => (table, 0),
    };
    let short = u8::try_from(table).unwrap_or(libc::RT_TABLE_UNSPEC);
    let mut request = netlink.request(libc::RTM_GETROUTE, libc::NLM_F_DUMP as u16);
    request.fixed(&[family_code(family), 0, 0, 0, short, protocol, 0, 0, 0, 0, 0, 0]);
    request.number(libc::RTA_TABLE, table);
}

/// Lists routes of both families, 32 KiB at a time; lets other tasks run in between. `each` may
/// be told of a route twice where others change the table meanwhile.
pub async fn list(
    netlink: &mut Netlink,
    scope: Scope<'_>,
    mut each: impl FnMut(Listed) + Send,
) -> Result<(), KernelError> {
    for family in Family::ALL {
        begin_list(netlink, family, scope);
        netlink.begin_dump()?;
        while list_some(netlink, scope, &mut each)? != Dump::Done {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

fn list_some(
    netlink: &mut Netlink,
    scope: Scope<'_>,
    each: &mut impl FnMut(Listed),
) -> Result<Dump, KernelError> {
    netlink.continue_dump("routes cannot be listed", |message| {
        if let Some(event) = read(&message).filter(|event| scope.wants(&event.route)) {
            each(event.route);
        }
    })
}

/// The families of which routes of ours stand in the kernel: after a restart, those for which
/// forwarding was preserved (RFC 4724 section 3, the F bit).
pub fn families_of_ours(netlink: &mut Netlink, marks: &Marks) -> Result<Families, KernelError> {
    let mut found = Families::NONE;
    for family in Family::ALL {
        begin_list(netlink, family, Scope::Ours(marks));
        netlink.begin_dump()?;
        let mut each = |_| found = found.with(family);
        while list_some(netlink, Scope::Ours(marks), &mut each)? != Dump::Done {}
    }
    Ok(found)
}

/// Reads RTM_NEWROUTE or RTM_DELROUTE; `None` for anything else and for cache entries.
pub(super) fn read(message: &Incoming<'_>) -> Option<RouteEvent> {
    let deleted = match message.kind {
        libc::RTM_NEWROUTE => false,
        libc::RTM_DELROUTE => true,
        _ => return None,
    };
    let fixed = message.payload.get(..FIXED)?;
    let flags = read_u32(fixed, 8)?;
    if flags & RTM_F_CLONED != 0 {
        return None;
    }
    let unspecified = match i32::from(fixed[0]) {
        libc::AF_INET => IpAddr::from([0; 4]),
        libc::AF_INET6 => IpAddr::from([0; 16]),
        _ => return None,
    };
    let mut destination = unspecified;
    let mut metric = 0;
    let mut table = u32::from(fixed[4]);
    let mut via = Via { next_hop: None, device: 0, source: None };
    let mut plain = fixed[7] == libc::RTN_UNICAST && fixed[2] == 0 && flags & !STATE_FLAGS == 0;
    for (kind, value) in attributes(message.payload.get(FIXED..)?) {
        match kind {
            libc::RTA_DST => destination = read_address(value)?,
            libc::RTA_PRIORITY => metric = read_u32(value, 0)?,
            libc::RTA_TABLE => table = read_u32(value, 0)?,
            libc::RTA_OIF => via.device = read_u32(value, 0)?,
            libc::RTA_GATEWAY => via.next_hop = read_address(value),
            RTA_VIA => via.next_hop = value.get(2..).and_then(read_address),
            libc::RTA_PREFSRC => via.source = read_address(value),
            libc::RTA_MULTIPATH | libc::RTA_METRICS | RTA_NH_ID | libc::RTA_ENCAP => plain = false,
            _ => {}
        }
    }
    let prefix = Prefix::truncating(destination, fixed[1]).ok()?;
    let protocol = fixed[5];
    let route = Listed { prefix, via, metric, protocol, table, tos: fixed[3], plain };
    let replaced = !deleted && message.flags & libc::NLM_F_REPLACE as u16 != 0;
    Some(RouteEvent { deleted, replaced, route })
}

/// The name of a protocol number, as `ip route` shows it.
pub fn protocol_name(protocol: u8) -> String {
    match protocol {
        1 => "redirect".into(),
        2 => "kernel".into(),
        3 => "boot".into(),
        4 => "static".into(),
        9 => "ra".into(),
        12 => "bird".into(),
        16 => "dhcp".into(),
        186 => "bgp".into(),
        188 => "ospf".into(),
        other => other.to_string(),
    }
}
