//! Our own addresses on the link of a session: next hop self for the family that the session does
//! not run over, and the link-local address that RFC 2545 section 3 wants beside a global one
//! where the peer shares our link.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use twill_bgp_proto::types::Prefix;

/// Our addresses towards a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Ours {
    pub(crate) ipv4: Option<Ipv4Addr>,
    pub(crate) ipv6: Option<Ipv6Addr>,
    /// Only where the peer shares our link.
    pub(crate) link_local: Option<Ipv6Addr>,
}

/// An address of an interface, and the subnet that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    interface: String,
    address: IpAddr,
    subnet: Option<Prefix>,
}

/// Configured next hops go first, and of these the session's own address, then what else is on its
/// interface: what the peer reaches as it reaches the session. Without any, the session's own
/// address, then what else its interface has.
pub(crate) fn ours(configured: &[IpAddr], local: Option<IpAddr>, peer: IpAddr) -> Ours {
    choose(configured, local, peer, &addresses())
}

/// What the kernel says now; sessions come up seldom.
fn addresses() -> Vec<Address> {
    match getifaddrs() {
        Ok(all) => all.filter_map(|entry| address(&entry)).collect(),
        Err(error) => {
            tracing::warn!(%error, "cannot list our own addresses");
            Vec::new()
        }
    }
}

fn address(entry: &InterfaceAddress) -> Option<Address> {
    let storage = entry.address.as_ref()?;
    let mask = entry.netmask.as_ref();
    let (address, length) = match (storage.as_sockaddr_in(), storage.as_sockaddr_in6()) {
        (Some(v4), _) => {
            let mask = mask.and_then(|mask| mask.as_sockaddr_in()).map(|mask| mask.ip().to_bits());
            (IpAddr::V4(v4.ip()), mask.map(u32::count_ones))
        }
        (_, Some(v6)) => {
            let mask = mask.and_then(|mask| mask.as_sockaddr_in6()).map(|mask| mask.ip().to_bits());
            (IpAddr::V6(v6.ip()), mask.map(u128::count_ones))
        }
        _ => return None,
    };
    let length = length.and_then(|length| u8::try_from(length).ok());
    let subnet = length.and_then(|length| Prefix::truncating(address, length).ok());
    Some(Address { interface: entry.interface_name.clone(), address, subnet })
}

fn choose(
    configured: &[IpAddr],
    local: Option<IpAddr>,
    peer: IpAddr,
    addresses: &[Address],
) -> Ours {
    let interface = addresses
        .iter()
        .find(|entry| Some(entry.address) == local)
        .map(|entry| entry.interface.as_str());
    let beside: Vec<&Address> =
        addresses.iter().filter(|entry| Some(entry.interface.as_str()) == interface).collect();
    let link_local = |address: &IpAddr| match address {
        IpAddr::V6(address) => address.is_unicast_link_local(),
        IpAddr::V4(_) => false,
    };
    let near = local.into_iter().chain(beside.iter().map(|entry| entry.address));
    let candidates: Vec<IpAddr> = near
        .filter(|address| configured.contains(address))
        .chain(configured.iter().copied())
        .chain(local)
        .chain(beside.iter().map(|entry| entry.address))
        .filter(|address| !link_local(address) && !address.is_unspecified())
        .collect();
    let shares_link =
        beside.iter().any(|entry| entry.subnet.is_some_and(|subnet| subnet.contains(peer)));
    Ours {
        ipv4: candidates.iter().find_map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        }),
        ipv6: candidates.iter().find_map(|address| match address {
            IpAddr::V6(address) => Some(*address),
            IpAddr::V4(_) => None,
        }),
        link_local: beside
            .iter()
            .filter(|_| shares_link)
            .map(|entry| entry.address)
            .find(link_local)
            .and_then(|address| match address {
                IpAddr::V6(address) => Some(address),
                IpAddr::V4(_) => None,
            }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Vec<Address> {
        [
            ("lo", "127.0.0.1", 8),
            ("lo", "::1", 128),
            ("eth0", "10.0.0.1", 24),
            ("eth0", "fd00::1", 64),
            ("eth0", "fe80::1", 64),
            ("eth1", "10.1.0.1", 24),
        ]
        .map(|(interface, address, length)| {
            let address: IpAddr = address.parse().unwrap();
            let subnet = Prefix::truncating(address, length).ok();
            Address { interface: interface.to_owned(), address, subnet }
        })
        .into()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_interface_gives_the_other_family_and_the_link_local_address() {
        let ours = choose(&[], Some(ip("10.0.0.1")), ip("10.0.0.2"), &host());
        assert_eq!(ours.ipv4, Some("10.0.0.1".parse().unwrap()));
        assert_eq!(ours.ipv6, Some("fd00::1".parse().unwrap()));
        assert_eq!(ours.link_local, Some("fe80::1".parse().unwrap()));
    }

    #[test]
    fn a_peer_behind_a_router_gets_no_link_local_address() {
        let ours = choose(&[], Some(ip("fd00::1")), ip("fd01::2"), &host());
        assert_eq!(ours.ipv6, Some("fd00::1".parse().unwrap()));
        assert_eq!(ours.link_local, None);
    }

    #[test]
    fn configured_next_hops_go_first() {
        let ours = choose(&[ip("fd00::9")], Some(ip("10.1.0.1")), ip("10.1.0.2"), &host());
        assert_eq!(ours.ipv4, Some("10.1.0.1".parse().unwrap()));
        assert_eq!(ours.ipv6, Some("fd00::9".parse().unwrap()));
    }

    #[test]
    fn of_configured_next_hops_the_session_s_own_address_is_the_one() {
        let configured = [ip("10.0.0.1"), ip("10.1.0.1"), ip("fd01::9"), ip("fd00::1")];
        let ours = choose(&configured, Some(ip("10.1.0.1")), ip("10.1.0.2"), &host());
        assert_eq!(ours.ipv4, Some("10.1.0.1".parse().unwrap()));
        assert_eq!(ours.ipv6, Some("fd01::9".parse().unwrap()), "its interface has none");
        let ours = choose(&configured, Some(ip("10.0.0.1")), ip("10.0.0.2"), &host());
        assert_eq!(ours.ipv6, Some("fd00::1".parse().unwrap()), "beside the session");
    }

    #[test]
    fn an_address_of_no_interface_stands_alone() {
        let ours = choose(&[], Some(ip("192.0.2.1")), ip("192.0.2.2"), &host());
        assert_eq!(ours, Ours { ipv4: Some("192.0.2.1".parse().unwrap()), ..Ours::default() });
    }

    #[test]
    fn the_kernel_lists_the_loopback_address() {
        let addresses = addresses();
        let loopback = addresses.iter().find(|entry| entry.address == ip("127.0.0.1")).unwrap();
        assert_eq!(loopback.interface, "lo");
        assert_eq!(loopback.subnet.unwrap().to_string(), "127.0.0.0/8");
    }
}
