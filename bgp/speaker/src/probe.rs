//! What sessions need of the kernel, tried on sockets that connect to nobody.

use std::io;
use std::net::IpAddr;

use nix::errno::Errno;

use crate::settings::{Secret, Ttl};
use crate::socket::{self, SocketError};

/// What this kernel cannot do for a session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lacking {
    /// It does not speak this version of IP.
    #[error("this kernel has no {}", if *ipv6 { "IPv6" } else { "IPv4" })]
    Family {
        /// Which of the two.
        ipv6: bool,
    },
    /// It cannot sign segments.
    #[error("this kernel cannot sign TCP connections (TCP MD5, CONFIG_TCP_MD5SIG)")]
    Md5,
    /// It cannot drop packets by their TTL.
    #[error("this kernel cannot drop packets by their TTL ({})",
        if *ipv6 { "IPV6_MINHOPCOUNT" } else { "IP_MINTTL" })]
    MinimumTtl {
        /// Whether of IPv6.
        ipv6: bool,
    },
}

/// Whether this kernel can do what sessions with peers of this address's family are to have:
/// signatures, where they have a password, and the TTL they are guarded by. What it refuses for
/// another reason than that it lacks it is for the session to meet with and to tell.
///
/// # Errors
/// The first thing that it lacks.
pub fn probe(peer: IpAddr, password: bool, ttl: Ttl) -> Result<(), Lacking> {
    let ipv6 = peer.is_ipv6();
    let absent =
        |error: &io::Error| error.raw_os_error().map(Errno::from_raw) == Some(Errno::EAFNOSUPPORT);
    let socket = match socket::open(peer) {
        Ok(socket) => socket,
        Err(error) if absent(&error) => return Err(Lacking::Family { ipv6 }),
        Err(_) => return Ok(()),
    };
    if password
        && socket::set_key(&socket, peer, &Secret::new("probe")) == Err(SocketError::Md5Unsupported)
    {
        return Err(Lacking::Md5);
    }
    match socket::apply_ttl(&socket, peer, ttl) {
        Err(SocketError::MinimumTtl(Errno::ENOPROTOOPT)) => Err(Lacking::MinimumTtl { ipv6 }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linux_of_today_lacks_nothing() {
        for peer in ["192.0.2.1", "2001:db8::1"] {
            let found = probe(peer.parse().unwrap(), true, Ttl::Gtsm(255));
            if matches!(found, Err(Lacking::Family { .. } | Lacking::Md5)) {
                println!("SKIPPED: {found:?}");
            } else {
                assert_eq!(found, Ok(()), "{peer}");
            }
        }
    }
}
