//! Records, in one process and by one clock, when packets with an UPDATE arrive and when the
//! kernel tells of a new route. One line of JSON each, until the standard input ends.

use std::collections::BTreeMap;
use std::io::{self, IoSliceMut, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{RouteAddress, RouteAttribute};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg,
    setsockopt, socket, sockopt,
};
use nix::time::{ClockId, clock_gettime};

#[derive(Args)]
pub(crate) struct Options {
    /// How many prefixes are awaited; the report follows when all have come.
    #[arg(long)]
    count: usize,
}

/// When a prefix was seen, since the epoch.
#[derive(Default)]
struct Seen {
    packet: Option<Duration>,
    route: Option<Duration>,
}

type Times = BTreeMap<Ipv4Addr, Seen>;

/// The kernel's group for IPv4 route notifications (RTNLGRP_IPV4_ROUTE).
const IPV4_ROUTES: u32 = 7;

fn packets() -> Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(AddressFamily::Packet, SockType::Datagram, flags, SockProtocol::EthAll)
        .context("cannot capture packets (CAP_NET_RAW)")?;
    setsockopt(&fd, sockopt::ReceiveTimestampns, &true)?;
    setsockopt(&fd, sockopt::RcvBuf, &(4 << 20))?;
    Ok(fd)
}

fn routes() -> Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    socket.add_membership(IPV4_ROUTES)?;
    socket.set_non_blocking(true)?;
    Ok(socket)
}

fn now() -> Result<Duration> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_REALTIME)?))
}

/// The network address of the last prefix of an UPDATE with one /24, in an IPv4 packet.
fn announced(packet: &[u8]) -> Option<Ipv4Addr> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let tcp = packet.get(header..)?;
    let payload = tcp.get(usize::from(tcp.get(12)? >> 4) * 4..)?;
    let marker = payload.get(..16)?;
    if marker.iter().any(|byte| *byte != 0xff) || *payload.get(18)? != 2 {
        return None;
    }
    let [.., 24, a, b, c] = *payload else { return None };
    Some(Ipv4Addr::new(a, b, c, 0))
}

fn read_packets(fd: &OwnedFd, times: &mut Times) -> Result<()> {
    loop {
        let mut bytes = [0; 2048];
        let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let received =
            recvmsg::<()>(fd.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::empty());
        let received = match received {
            Ok(received) => received,
            Err(nix::Error::EAGAIN) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let stamp = received.cmsgs()?.find_map(|message| match message {
            ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
            _ => None,
        });
        let length = received.bytes;
        if let (Some(address), Some(stamp)) = (announced(&bytes[..length]), stamp) {
            times.entry(address).or_default().packet.get_or_insert(stamp);
        }
    }
}

fn read_routes(socket: &Socket, times: &mut Times) -> Result<()> {
    loop {
        let mut bytes = Vec::with_capacity(65536);
        match socket.recv(&mut bytes, 0) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let at = now()?;
        let mut rest = &bytes[..];
        while let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest) {
            let length = usize::try_from(message.header.length)?;
            if let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) =
                message.payload
            {
                for attribute in route.attributes {
                    if let RouteAttribute::Destination(RouteAddress::Inet(address)) = attribute {
                        times.entry(address).or_default().route.get_or_insert(at);
                    }
                }
            }
            match rest.get(length..) {
                Some(next) if length > 0 && !next.is_empty() => rest = next,
                _ => break,
            }
        }
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let packets = packets()?;
    let routes = routes()?;
    let mut times = Times::new();
    println!("ready");
    io::stdout().flush()?;
    let complete = |times: &Times| {
        times.values().filter(|seen| seen.packet.is_some() && seen.route.is_some()).count()
            >= options.count
    };
    while !complete(&times) {
        let mut polled = [
            PollFd::new(packets.as_fd(), PollFlags::POLLIN),
            PollFd::new(routes.as_fd(), PollFlags::POLLIN),
        ];
        if poll(&mut polled, PollTimeout::from(20_000_u16))? == 0 {
            break;
        }
        // Routes first: their time is the reading, the packets carry the kernel's.
        read_routes(&routes, &mut times)?;
        read_packets(&packets, &mut times)?;
    }
    let latencies: Vec<f64> = times
        .values()
        .filter_map(|seen| Some((seen.route?, seen.packet?)))
        .map(|(route, packet)| (route.as_secs_f64() - packet.as_secs_f64()) * 1000.0)
        .collect();
    println!("{}", serde_json::to_string(&latencies)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_found_in_a_packet() {
        let mut packet = vec![0x45; 1];
        packet.resize(20, 0);
        packet.extend([0; 12]);
        packet.extend([0x50, 0, 0, 0, 0, 0, 0, 0]);
        packet.extend([0xff; 16]);
        packet.extend([0, 27, 2, 0, 0, 0, 0, 24, 198, 18, 7]);
        assert_eq!(announced(&packet), Some(Ipv4Addr::new(198, 18, 7, 0)));
        packet[58] = 4;
        assert_eq!(announced(&packet), None);
        assert_eq!(announced(&[]), None);
    }
}
