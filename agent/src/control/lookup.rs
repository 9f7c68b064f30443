//! Asks the kernel which of its routes it would use for an address (RTM_GETROUTE).
//!
//! With RTM_F_FIB_MATCH the kernel answers with the entry that matched, not with the path it
//! resolved to: so the prefix, the metric and whose route it is are known. The kernel answers a
//! request before the call that sent it returns; nothing here waits.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteProtocol, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::net::if_::if_indextoname;
use twill_bgp::proto::types::Prefix;

use super::api::KernelRoute;
use super::view::words;

/// The route that a packet from this host to `address` would take; `ours` is the protocol number
/// of the agent's own routes.
///
/// # Errors
/// The kernel's words: where it has no route, and where it could not be asked.
pub(super) fn lookup(address: IpAddr, ours: u8) -> Result<KernelRoute, String> {
    let answer = ask(request(address)).map_err(|error| format!("netlink: {error}"))?;
    match answer {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) => {
            Ok(read(&route, address, ours))
        }
        NetlinkPayload::Error(error) => Err(words(&error.to_io().to_string()).to_lowercase()),
        other => Err(format!("netlink: unexpected answer of type {}", other.message_type())),
    }
}

fn request(address: IpAddr) -> RouteMessage {
    let mut message = RouteMessage::default();
    let (family, length) = match address {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    };
    message.header.address_family = family;
    message.header.destination_prefix_length = length;
    message.header.flags = RouteFlags::FibMatch;
    message.attributes.push(RouteAttribute::Destination(address.into()));
    message
}

fn ask(message: RouteMessage) -> std::io::Result<NetlinkPayload<RouteNetlinkMessage>> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let mut packet = NetlinkMessage::new(header, RouteNetlinkMessage::GetRoute(message).into());
    packet.finalize();
    let mut bytes = vec![0; packet.buffer_len()];
    packet.serialize(&mut bytes);

    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.set_non_blocking(true)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&bytes, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer)
        .map(|message| message.payload)
        .map_err(std::io::Error::other)
}

fn read(route: &RouteMessage, asked: IpAddr, ours: u8) -> KernelRoute {
    let mut hops = Vec::new();
    let mut devices = Vec::new();
    let (mut source, mut metric, mut table) = (None, 0, u32::from(route.header.table));
    let mut destination = match asked {
        IpAddr::V4(_) => IpAddr::from([0, 0, 0, 0]),
        IpAddr::V6(_) => IpAddr::from([0_u16; 8]),
    };
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Destination(address) => {
                destination = ip(address).unwrap_or(destination);
            }
            RouteAttribute::PrefSource(address) => source = ip(address),
            RouteAttribute::Priority(priority) => metric = *priority,
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::MultiPath(paths) => {
                for path in paths {
                    hops.extend(path.attributes.iter().filter_map(gateway));
                    devices.push(device(path.interface_index));
                }
            }
            RouteAttribute::Oif(index) => devices.push(device(*index)),
            attribute => hops.extend(gateway(attribute)),
        }
    }
    let prefix = Prefix::truncating(destination, route.header.destination_prefix_length)
        .unwrap_or_else(|_| Prefix::host(destination));
    KernelRoute {
        prefix: prefix.to_string(),
        kind: kind(route.header.kind),
        next_hops: hops,
        devices,
        source,
        protocol: match route.header.protocol {
            protocol if u8::from(protocol) == ours => "twill".to_owned(),
            RouteProtocol::Other(number) => number.to_string(),
            protocol => protocol.to_string().to_lowercase(),
        },
        metric,
        table,
    }
}

fn kind(kind: RouteType) -> String {
    match kind {
        RouteType::Unicast => "unicast",
        RouteType::Local => "local",
        RouteType::Broadcast => "broadcast",
        RouteType::Anycast => "anycast",
        RouteType::Multicast => "multicast",
        RouteType::BlackHole => "blackhole",
        RouteType::Unreachable => "unreachable",
        RouteType::Prohibit => "prohibit",
        RouteType::Throw => "throw",
        kind => return format!("type {}", u8::from(kind)),
    }
    .to_owned()
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

/// A next hop, also one of the other family (RFC 8950).
fn gateway(attribute: &RouteAttribute) -> Option<IpAddr> {
    use netlink_packet_route::route::RouteVia;
    match attribute {
        RouteAttribute::Gateway(address) => ip(address),
        RouteAttribute::Via(RouteVia::Inet(address)) => Some((*address).into()),
        RouteAttribute::Via(RouteVia::Inet6(address)) => Some((*address).into()),
        _ => None,
    }
}

fn device(index: u32) -> String {
    match if_indextoname(index) {
        Ok(name) => name.to_string_lossy().into_owned(),
        Err(_) => format!("interface {index}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_local() {
        let route = lookup(IpAddr::from([127, 0, 0, 1]), 116).expect("every host has it");
        assert_eq!(
            (route.kind.as_str(), route.prefix.as_str(), route.protocol.as_str()),
            ("local", "127.0.0.1/32", "kernel")
        );
        assert_eq!(route.devices, ["lo"]);
    }

    #[test]
    fn nowhere_is_said_in_the_kernels_words() {
        // A namespace without any route; the thread ends with the test.
        let answer = std::thread::spawn(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).ok()?;
            Some(lookup(IpAddr::from([192, 0, 2, 1]), 116))
        })
        .join()
        .expect("no panic");
        match answer {
            Some(answer) => assert_eq!(answer.unwrap_err(), "network is unreachable"),
            None => eprintln!("skipped: no right to make a network namespace"),
        }
    }
}
