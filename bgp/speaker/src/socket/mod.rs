//! TCP sockets as BGP wants them.
//!
//! In goes a peer's transport configuration, out comes a socket that already carries it when the
//! first SYN leaves or arrives: MD5 keys, TTL, the least TTL accepted, traffic class. What can be
//! changed on a live connection ([`apply_ttl`]) and on a listening socket ([`set_key`],
//! [`remove_key`]) is.
//!
//! RFC 4271 section 8 (port 179), RFC 2385 (TCP MD5), RFC 5082 (GTSM), RFC 2474 and 4594 (class
//! selector 6 for routing protocols).

mod option;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::socket::setsockopt;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::error::SpeakerError;
use crate::settings::{Endpoint, PeerConfig, Secret, Ttl};
use option::{
    IpMinTtl, IpTos, IpTtl, Ipv6MinHopCount, Ipv6TrafficClass, Ipv6UnicastHops, Md5Key, TcpMd5,
};

/// Room for all peers of a large mesh that dial at the same moment.
const BACKLOG: i32 = 1024;

/// DSCP CS6, network control (RFC 4594 section 3.1), as a TOS octet.
const NETWORK_CONTROL: i32 = 0xC0;

/// What GTSM peers insist on, and what harms nobody else: a SYN-ACK leaves with the listening
/// socket's TTL, before we can know whose it is.
const TTL_MAXIMUM: i32 = 255;

/// The longest TCP MD5 key of Linux (`TCP_MD5SIG_MAXKEYLEN`).
pub(crate) const KEY_MAXIMUM: usize = 80;

/// Why a socket could not be made as a peer's configuration wants it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SocketError {
    #[error(
        "a password is configured, but this kernel has no TCP MD5 (CONFIG_TCP_MD5SIG); \
         remove the password or boot a kernel that has it"
    )]
    Md5Unsupported,
    #[error("the kernel refused the TCP MD5 key: {0}")]
    Md5(Errno),
    #[error("this kernel cannot drop packets by TTL (needed by GTSM): {0}")]
    MinimumTtl(Errno),
    #[error("cannot send from {0}: no interface of this host has the address")]
    LocalAddress(IpAddr),
    #[error("{0}")]
    Io(String),
}

impl From<io::Error> for SocketError {
    fn from(error: io::Error) -> SocketError {
        SocketError::Io(words(&error))
    }
}

/// The operating system's words, without the number behind them.
pub(crate) fn words(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => Errno::from_raw(code).desc().to_owned(),
        None => error.to_string(),
    }
}

/// Opens a listening socket. IPv6 sockets take IPv6 only, so that `0.0.0.0` and `[::]` can be
/// listened on side by side and a peer's address always has one form.
pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener, SpeakerError> {
    try_listen(address).map_err(|source| match source.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EADDRINUSE) => SpeakerError::PortTaken { address },
        Some(Errno::EADDRNOTAVAIL) => SpeakerError::NoSuchAddress { address },
        Some(Errno::EACCES) => SpeakerError::Privileged { address, first_free: first_free_port() },
        Some(Errno::EAFNOSUPPORT) => SpeakerError::FamilyUnavailable { address },
        _ => SpeakerError::Listen { address, source },
    })
}

fn try_listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = open(address.ip())?;
    socket.set_reuse_address(true)?;
    match address {
        SocketAddr::V4(_) => setsockopt(&socket, IpTtl, &TTL_MAXIMUM)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            setsockopt(&socket, Ipv6UnicastHops, &TTL_MAXIMUM)?;
        }
    }
    set_network_control(&socket, address.ip());
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

pub(crate) fn open(family_of: IpAddr) -> io::Result<Socket> {
    let domain = if family_of.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    Socket::new(domain, Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))
}

/// Only for the message: below this, ports are privileged.
fn first_free_port() -> u16 {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(1024)
}

/// Dials a peer at one of its addresses: from ours that belongs to it, with its key and TTL in
/// force from the first SYN.
pub(crate) async fn dial(peer: &PeerConfig, at: Endpoint) -> Result<TcpStream, SocketError> {
    let Endpoint { address, local, ttl, .. } = at;
    let socket = open(address)?;
    if let Some(password) = &peer.password {
        set_key(&socket, address, password)?;
    }
    apply_ttl(&socket, address, ttl)?;
    prepare(&socket, address)?;
    if let Some(local) = local {
        socket
            .bind(&SocketAddr::new(local, 0).into())
            .map_err(|_| SocketError::LocalAddress(local))?;
    }
    let socket = TcpSocket::from_std_stream(socket.into());
    Ok(socket.connect(SocketAddr::new(address, peer.port)).await?)
}

/// Gives an accepted connection what a dialled one has. Its key came with the listening socket.
pub(crate) fn adopt(stream: &TcpStream, peer: &PeerConfig) -> Result<(), SocketError> {
    let source = stream.peer_addr()?.ip();
    apply_ttl(stream, source, peer.ttl_towards(source))?;
    prepare(&SockRef::from(stream), source)
}

fn prepare(socket: &Socket, peer: IpAddr) -> Result<(), SocketError> {
    // Keepalives must leave at once, and UPDATEs are written whole.
    socket.set_tcp_nodelay(true)?;
    set_network_control(socket, peer);
    Ok(())
}

/// A mark for queues on the way: worth asking for, not worth failing for.
fn set_network_control(socket: &Socket, family_of: IpAddr) {
    let set = match family_of {
        IpAddr::V4(_) => setsockopt(socket, IpTos, &NETWORK_CONTROL),
        IpAddr::V6(_) => setsockopt(socket, Ipv6TrafficClass, &NETWORK_CONTROL),
    };
    if let Err(error) = set {
        tracing::debug!(%error, "cannot mark BGP packets as network control");
    }
}

/// Sets the TTL sent and the least accepted; on a live connection it holds from the next packet.
pub(crate) fn apply_ttl(socket: &impl AsFd, peer: IpAddr, ttl: Ttl) -> Result<(), SocketError> {
    let (sent, least) = (i32::from(ttl.sent()), i32::from(ttl.least_accepted()));
    let (set_sent, set_least) = match peer {
        IpAddr::V4(_) => (setsockopt(socket, IpTtl, &sent), setsockopt(socket, IpMinTtl, &least)),
        IpAddr::V6(_) => (
            setsockopt(socket, Ipv6UnicastHops, &sent),
            setsockopt(socket, Ipv6MinHopCount, &least),
        ),
    };
    set_sent.map_err(|error| SocketError::Io(error.desc().to_owned()))?;
    match set_least {
        Err(error) if least > 0 => Err(SocketError::MinimumTtl(error)),
        _ => Ok(()),
    }
}

/// Sets the least TTL that new connections may arrive with; each gets its own peer's once it is
/// accepted.
pub(crate) fn set_least_ttl(socket: &impl AsFd, ipv4: bool, least: u8) -> Result<(), SocketError> {
    let least = i32::from(least);
    if ipv4 {
        setsockopt(socket, IpMinTtl, &least)
    } else {
        setsockopt(socket, Ipv6MinHopCount, &least)
    }
    .map_err(SocketError::MinimumTtl)
}

/// From now on segments of `peer` must be signed with this key: on a listening socket for new
/// connections, on any other for itself.
pub(crate) fn set_key(
    socket: &impl AsFd,
    peer: IpAddr,
    password: &Secret,
) -> Result<(), SocketError> {
    let key = Md5Key::new(peer, &password.0).ok_or(SocketError::Md5(Errno::EINVAL))?;
    setsockopt(socket, TcpMd5, &key).map_err(|error| match error {
        Errno::ENOPROTOOPT => SocketError::Md5Unsupported,
        error => SocketError::Md5(error),
    })
}

/// Takes the key of `peer` away again.
pub(crate) fn remove_key(socket: &impl AsFd, peer: IpAddr) -> Result<(), SocketError> {
    let Some(key) = Md5Key::new(peer, &[]) else { return Ok(()) };
    match setsockopt(socket, TcpMd5, &key) {
        Ok(()) | Err(Errno::ENOENT | Errno::ENOPROTOOPT) => Ok(()),
        Err(error) => Err(SocketError::Md5(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_named_with_its_remedy() {
        let first = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let error = listen(address).unwrap_err();
        assert!(matches!(error, SpeakerError::PortTaken { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&address.to_string()), "{text}");
        assert!(text.contains("ss -ltnp"), "{text}");
    }

    #[tokio::test]
    async fn an_address_of_nobody_is_named() {
        let error = listen("192.0.2.1:0".parse().unwrap()).unwrap_err();
        assert!(matches!(error, SpeakerError::NoSuchAddress { .. }), "{error}");
    }

    #[tokio::test]
    async fn both_families_share_a_port() {
        let v4 = listen("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = v4.local_addr().unwrap().port();
        listen(SocketAddr::new("::".parse().unwrap(), port)).unwrap();
    }

    #[tokio::test]
    async fn keys_are_set_replaced_and_removed() {
        for (local, peer) in [("127.0.0.1:0", "127.0.0.9"), ("[::1]:0", "fd00::9")] {
            let listener = listen(local.parse().unwrap()).unwrap();
            let peer = peer.parse().unwrap();
            match set_key(&listener, peer, &Secret::new("first")) {
                Err(SocketError::Md5Unsupported) => {
                    println!("SKIPPED: this kernel has no TCP MD5");
                    return;
                }
                other => other.unwrap(),
            }
            set_key(&listener, peer, &Secret::new("second")).unwrap();
            remove_key(&listener, peer).unwrap();
            remove_key(&listener, peer).unwrap();
        }
    }

    #[tokio::test]
    async fn ttl_changes_on_a_live_socket_of_either_family() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let listener = listen(local.parse().unwrap()).unwrap();
            let address = listener.local_addr().unwrap();
            let stream = TcpStream::connect(address).await.unwrap();
            apply_ttl(&stream, address.ip(), Ttl::Gtsm(254)).unwrap();
            apply_ttl(&stream, address.ip(), Ttl::Hops(7)).unwrap();
            let socket = SockRef::from(&stream);
            let sent = match address {
                SocketAddr::V4(_) => socket.ttl_v4().unwrap(),
                SocketAddr::V6(_) => socket.unicast_hops_v6().unwrap(),
            };
            assert_eq!(sent, 7);
        }
    }
}
