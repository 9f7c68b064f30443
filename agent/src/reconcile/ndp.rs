//! Answers for pods that believe remote pods to be on their link, in IPv6.
//!
//! For IPv4 the kernel's proxy ARP answers for whatever is routed elsewhere. For IPv6 its
//! `proxy_ndp` needs an entry for each address, so this task answers: it sees the neighbour
//! solicitations that arrive at the bridge, and where one asks for an address of another node's
//! pods, to which a route of ours stands in the kernel by another interface, it advertises the
//! bridge. Whatever asks for an address of this node's own pods is left to those.
//!
//! RFC 4861 sections 4.3, 4.4 and 7.2.8 (proxies advertise without the override flag).

use std::io::{self, ErrorKind};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket as StdSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;

use nix::ifaddrs::getifaddrs;
use nix::libc;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::{SockaddrStorage, bind};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tracing::{debug, info};
use twill_bgp::proto::types::Prefix;

use super::report::FibReport;
use crate::kernel::{Event, Group, KernelError, Watch};
use crate::source::Snapshot;

const IPV6_HEADER: usize = 40;
const ICMPV6: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Router and solicited; not override.
const FLAGS: u8 = 0xc0;
const TARGET_LINK_ADDRESS: u8 = 2;
/// An advertisement with the one option.
const ANSWER: usize = 32;
/// No solicitation is longer than this, options and all.
const LONGEST: usize = 1500;

/// What the task acts upon.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// The snapshot in force.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// Which routes stand in the kernel.
    pub fib: watch::Receiver<Arc<FibReport>>,
}

/// The bridge as solicitations find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bridge {
    link: SockaddrStorage,
    index: u32,
    mac: [u8; 6],
}

/// Answers until the source of snapshots has gone.
///
/// Acts in the network namespace of the thread that first polls it.
///
/// # Errors
/// Where sockets cannot be opened or break: packet and raw sockets need CAP_NET_RAW.
pub async fn run(inputs: Inputs) -> Result<(), KernelError> {
    let Inputs { snapshot: mut snapshots, fib } = inputs;
    let mut watch = Watch::open(&[Group::Links], None)?;
    let mut events = Vec::new();
    loop {
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        let name = snapshot.dataplane.bridge.clone();
        let bridge = if is_wanted(&snapshot) { find(&name)? } else { None };
        let serving = async {
            match bridge {
                Some(bridge) => serve(&name, bridge, &snapshot, &fib).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(serving);
        loop {
            tokio::select! {
                result = &mut serving => match result {
                    Ok(()) => break,
                    Err(source) => {
                        let what = "cannot answer neighbour solicitations (CAP_NET_RAW is needed)";
                        return Err(KernelError::Socket { what, source });
                    }
                },
                changed = snapshots.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return Ok(()),
                },
                result = watch.wait(&mut events) => {
                    result?;
                    let concerned = events.drain(..).any(|event| match event {
                        Event::Link(link) | Event::LinkGone(link) => *link.name == *name,
                        Event::Lost => true,
                        _ => false,
                    });
                    if concerned && find(&name)? != bridge {
                        break;
                    }
                }
            }
        }
    }
}

fn is_wanted(snapshot: &Snapshot) -> bool {
    let pods = &snapshot.node.pod_cidrs;
    snapshot.dataplane.install
        && snapshot.dataplane.proxy_arp
        && pods.iter().any(|prefix| matches!(prefix, Prefix::V6(_)))
}

/// The bridge, where it is there and up.
fn find(name: &str) -> Result<Option<Bridge>, KernelError> {
    let interfaces = getifaddrs().map_err(|errno| KernelError::Socket {
        what: "cannot list interfaces",
        source: errno.into(),
    })?;
    let mut up = interfaces.filter(|interface| {
        interface.interface_name == name && interface.flags.contains(InterfaceFlags::IFF_UP)
    });
    Ok(up.find_map(|interface| {
        let storage = interface.address?;
        let link = storage.as_link_addr()?;
        let index = u32::try_from(link.ifindex()).ok()?;
        Some(Bridge { link: storage, index, mac: link.addr()? })
    }))
}

/// Answers at one bridge until it goes down or away.
async fn serve(
    name: &str,
    bridge: Bridge,
    snapshot: &Snapshot,
    fib: &watch::Receiver<Arc<FibReport>>,
) -> io::Result<()> {
    let listener = listen(&bridge)?;
    let speaker = speak(bridge.index)?;
    info!("answering neighbour solicitations of pods on {name}");
    let mut packet = [0; LONGEST];
    loop {
        let length = match listener.recv(&mut packet).await {
            Ok(length) => length,
            // The bridge went down; the hint of its return is awaited by the caller.
            Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => {
                std::future::pending().await
            }
            Err(error) => return Err(error),
        };
        let Some(question) = packet.get(..length).and_then(read) else { continue };
        if !answers_for(question.target, name, snapshot, &fib.borrow()) {
            continue;
        }
        let to = SocketAddrV6::new(question.source, 0, 0, bridge.index);
        if let Err(error) =
            speaker.send_to(&answer(&question, bridge.mac), &SocketAddr::V6(to).into())
        {
            debug!(target = %question.target, %error, "a neighbour solicitation stays unanswered");
        }
    }
}

/// A packet socket that hears the bridge's neighbour solicitations and nothing else.
fn listen(bridge: &Bridge) -> io::Result<UdpSocket> {
    let protocol = i32::from((libc::ETH_P_IPV6 as u16).to_be());
    let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(protocol)))?;
    socket.attach_filter(&solicitations())?;
    bind(socket.as_raw_fd(), &bridge.link)?;
    socket.set_nonblocking(true)?;
    // What came from other interfaces before it was bound.
    let mut rest = [0; LONGEST];
    loop {
        match io::Read::read(&mut &socket, &mut rest) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    // tokio has no type for packet sockets; receiving is the same for all that take datagrams.
    UdpSocket::from_std(StdSocket::from(OwnedFd::from(socket)))
}

/// A raw socket for advertisements: the kernel adds header and checksum. It hears nothing.
fn speak(index: u32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
    socket.attach_filter(&[SockFilter::new(code([libc::BPF_RET, libc::BPF_K, 0]), 0, 0, 0)])?;
    socket.bind_device_by_index_v6(std::num::NonZeroU32::new(index))?;
    // RFC 4861 section 7.1.2: less is not believed.
    socket.set_unicast_hops_v6(255)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn code(parts: [u32; 3]) -> u16 {
    parts.iter().fold(0, |code, part| code | *part as u16)
}

/// Lets through what is ICMPv6 at octet 6, and a solicitation at octet 40.
fn solicitations() -> [SockFilter; 6] {
    let load = code([libc::BPF_LD, libc::BPF_B, libc::BPF_ABS]);
    let equal = code([libc::BPF_JMP, libc::BPF_JEQ, libc::BPF_K]);
    let done = code([libc::BPF_RET, libc::BPF_K, 0]);
    [
        SockFilter::new(load, 0, 0, 6),
        SockFilter::new(equal, 0, 3, u32::from(ICMPV6)),
        SockFilter::new(load, 0, 0, IPV6_HEADER as u32),
        SockFilter::new(equal, 0, 1, u32::from(SOLICITATION)),
        SockFilter::new(done, 0, 0, u32::MAX),
        SockFilter::new(done, 0, 0, 0),
    ]
}

/// What a solicitation asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Question {
    source: Ipv6Addr,
    target: Ipv6Addr,
}

/// Reads an IPv6 packet; `None` for what is no valid solicitation (RFC 4861 section 7.1.1), and
/// for one of duplicate address detection, whose sender claims the address. The checksum is not
/// looked at: within a host it may not be filled in.
fn read(packet: &[u8]) -> Option<Question> {
    let address = |at: usize| {
        let octets: [u8; 16] = packet.get(at..at + 16)?.try_into().ok()?;
        Some(Ipv6Addr::from(octets))
    };
    let (next_header, hop_limit) = (*packet.get(6)?, *packet.get(7)?);
    let (kind, code) = (*packet.get(IPV6_HEADER)?, *packet.get(IPV6_HEADER + 1)?);
    let source = address(8)?;
    let target = address(IPV6_HEADER + 8)?;
    let valid = next_header == ICMPV6
        && hop_limit == 255
        && (kind, code) == (SOLICITATION, 0)
        && !source.is_unspecified()
        && !source.is_multicast()
        && !target.is_multicast();
    valid.then_some(Question { source, target })
}

fn answer(question: &Question, mac: [u8; 6]) -> [u8; ANSWER] {
    let mut message = [0; ANSWER];
    message[0] = ADVERTISEMENT;
    message[4] = FLAGS;
    message[8..24].copy_from_slice(&question.target.octets());
    message[24] = TARGET_LINK_ADDRESS;
    // In units of eight octets.
    message[25] = 1;
    message[26..].copy_from_slice(&mac);
    message
}

/// Whether `target` is an address of another node's pods, and we have a route there that does
/// not lead back to the bridge.
fn answers_for(target: Ipv6Addr, bridge: &str, snapshot: &Snapshot, fib: &FibReport) -> bool {
    let target = target.into();
    if snapshot.node.pod_cidrs.iter().any(|own| own.contains(target)) {
        return false;
    }
    let mut remote = snapshot.nodes.values().flat_map(|node| &node.pod_cidrs);
    let Some(prefix) = remote.find(|prefix| prefix.contains(target)) else { return false };
    // The report is sorted by prefix.
    let found = fib.installed.binary_search_by(|route| route.prefix.cmp(prefix)).ok();
    found
        .and_then(|index| fib.installed.get(index))
        .is_some_and(|route| route.device.as_deref().is_some_and(|device| device != bridge))
}

#[cfg(test)]
mod tests;
