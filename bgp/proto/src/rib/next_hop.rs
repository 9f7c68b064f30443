//! Next hops (RFC 4271 section 5.1.3, RFC 2545 section 3).
//!
//! Towards external peers the next hop is our own address of the session, always: sending a
//! third party's address where it shares the subnet is allowed, not required, and a session
//! does not tell what is shared. Within the AS the next hop stays, but for our own
//! announcements that name none and where policy sets it; a link-local address stays behind,
//! because it means nothing on another link.

use super::RibPeer;
use crate::types::{Family, NextHop};

/// Our own address towards `peer`; `None` where the session has none that the family can use.
pub(super) fn ours(peer: &RibPeer, family: Family) -> Option<NextHop> {
    let v4 = peer.local_ipv4.map(NextHop::V4);
    let v6 =
        peer.local_ipv6.map(|global| NextHop::V6 { global, link_local: peer.local_link_local });
    match family {
        Family::Ipv4Unicast => v4.or(v6.filter(|_| peer.codec.extended_next_hop)),
        Family::Ipv6Unicast => v6,
    }
}

/// Whether it stands for our own address.
pub(super) fn is_unspecified(next_hop: NextHop) -> bool {
    next_hop.address().is_unspecified()
}

/// As passed on unchanged.
pub(super) fn passed_on(next_hop: NextHop) -> NextHop {
    match next_hop {
        NextHop::V4(_) => next_hop,
        NextHop::V6 { global, .. } => NextHop::V6 { global, link_local: None },
    }
}
