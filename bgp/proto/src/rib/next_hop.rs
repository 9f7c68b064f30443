//! Next hops (RFC 4271 section 5.1.3, RFC 2545 section 3).
//!
//! Towards external peers the next hop is our own address of the session: sending a third
//! party's address where it shares the subnet is allowed, not required, and a session does not
//! tell what is shared. Within the AS the next hop stays as it was learned, unless policy sets
//! it; a link-local address stays behind, because it means nothing on another link. An
//! announcement of our own goes out with the next hop that it names, or with our own address.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::RibPeer;
use crate::types::{Family, NextHop};

/// Our own addresses on a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Local {
    ipv4: Option<Ipv4Addr>,
    ipv6: Option<Ipv6Addr>,
    link_local: Option<Ipv6Addr>,
    /// IPv4 prefixes may have an IPv6 next hop (RFC 8950).
    extended: bool,
    /// And ours is one.
    prefer_ipv6: bool,
}

impl Local {
    pub(super) fn of(peer: &RibPeer) -> Local {
        Local {
            ipv4: peer.local_ipv4,
            ipv6: peer.local_ipv6,
            link_local: peer.local_link_local,
            extended: peer.codec.extended_next_hop,
            prefer_ipv6: peer.rules.ipv6_next_hop,
        }
    }

    /// Next hop self; `None` where the session has no address that the family can use.
    pub(super) fn next_hop(&self, family: Family) -> Option<NextHop> {
        let v4 = self.ipv4.map(NextHop::V4);
        let v6 = self.ipv6.map(|global| NextHop::V6 { global, link_local: self.link_local });
        match family {
            Family::Ipv4Unicast => {
                let extended = v6.filter(|_| self.extended);
                if self.prefer_ipv6 { extended.or(v4) } else { v4.or(extended) }
            }
            Family::Ipv6Unicast => v6,
        }
    }

    /// Whether a prefix of `family` can be sent with `next_hop` in this session.
    pub(super) fn carries(&self, next_hop: NextHop, family: Family) -> bool {
        match (family, next_hop) {
            (Family::Ipv4Unicast, NextHop::V4(_)) => true,
            (Family::Ipv4Unicast, NextHop::V6 { .. }) => self.extended,
            (Family::Ipv6Unicast, NextHop::V6 { .. }) => true,
            (Family::Ipv6Unicast, NextHop::V4(_)) => false,
        }
    }

    /// Whether it is our own address: a route by way of ourselves is none.
    pub(super) fn is(&self, next_hop: NextHop) -> bool {
        match next_hop {
            NextHop::V4(address) => self.ipv4 == Some(address),
            NextHop::V6 { global, .. } => {
                self.ipv6 == Some(global) || self.link_local == Some(global)
            }
        }
    }
}

/// As learned, for a peer that may be on another link; `None` where it is of one link only.
pub(super) fn passed_on(next_hop: NextHop) -> Option<NextHop> {
    match next_hop {
        NextHop::V4(_) => Some(next_hop),
        NextHop::V6 { global, .. } if global.is_unicast_link_local() => None,
        NextHop::V6 { global, .. } => Some(NextHop::V6 { global, link_local: None }),
    }
}
