//! Socket options that no crate names: each by one declaration, without unsafe code of our own.

use std::net::IpAddr;

use nix::{libc, setsockopt_impl, sockopt_impl};

use super::KEY_MAXIMUM;

sockopt_impl!(
    /// TTL of IPv4 packets sent.
    IpTtl, SetOnly, libc::IPPROTO_IP, libc::IP_TTL, i32
);
sockopt_impl!(
    /// IPv4 packets that arrive with less are dropped; 0 for none (RFC 5082).
    IpMinTtl, SetOnly, libc::IPPROTO_IP, libc::IP_MINTTL, i32
);
sockopt_impl!(
    /// TOS octet of IPv4 packets sent.
    IpTos, SetOnly, libc::IPPROTO_IP, libc::IP_TOS, i32
);
sockopt_impl!(
    /// Hop limit of IPv6 packets sent.
    Ipv6UnicastHops, SetOnly, libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, i32
);
sockopt_impl!(
    /// IPv6 packets that arrive with less are dropped; 0 for none (RFC 5082).
    Ipv6MinHopCount, SetOnly, libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT, i32
);
sockopt_impl!(
    /// Traffic class of IPv6 packets sent.
    Ipv6TrafficClass, SetOnly, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, i32
);

/// `TCP_MD5SIG` of `linux/tcp.h`.
const TCP_MD5SIG: libc::c_int = 14;

sockopt_impl!(
    /// Segments to and from one address are signed (RFC 2385).
    TcpMd5, SetOnly, libc::IPPROTO_TCP, TCP_MD5SIG, Md5Key
);

/// `struct tcp_md5sig` of `linux/tcp.h`.
#[repr(C, align(8))]
#[derive(Clone)]
#[expect(unreachable_pub, reason = "as visible as the option that nix's macro makes of it")]
pub struct Md5Key {
    /// A `sockaddr_storage`: family, port (0: any), address.
    peer: [u8; 128],
    flags: u8,
    prefix_length: u8,
    key_length: u16,
    interface: i32,
    key: [u8; KEY_MAXIMUM],
}

impl Md5Key {
    /// An empty key removes the peer's. `None` where the key is too long.
    pub(super) fn new(peer: IpAddr, key: &[u8]) -> Option<Md5Key> {
        let mut value = Md5Key {
            peer: [0; 128],
            flags: 0,
            prefix_length: 0,
            key_length: u16::try_from(key.len()).ok()?,
            interface: 0,
            key: [0; KEY_MAXIMUM],
        };
        value.key.get_mut(..key.len())?.copy_from_slice(key);
        let (family, address_at) = match peer {
            IpAddr::V4(_) => (libc::AF_INET, 4),
            IpAddr::V6(_) => (libc::AF_INET6, 8),
        };
        let family = u16::try_from(family).ok()?;
        value.peer.get_mut(..2)?.copy_from_slice(&family.to_ne_bytes());
        match peer {
            IpAddr::V4(peer) => put(&mut value.peer, address_at, &peer.octets())?,
            IpAddr::V6(peer) => put(&mut value.peer, address_at, &peer.octets())?,
        }
        Some(value)
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) -> Option<()> {
    bytes.get_mut(at..)?.get_mut(..value.len())?.copy_from_slice(value);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_size_that_the_kernel_expects() {
        assert_eq!(size_of::<Md5Key>(), 216);
    }

    #[test]
    fn a_key_of_81_octets_is_too_long() {
        let peer = "192.0.2.1".parse().unwrap();
        assert!(Md5Key::new(peer, &[7; 80]).is_some());
        assert!(Md5Key::new(peer, &[7; 81]).is_none());
    }
}
