//! Links, addresses and routes: all that the plugin does to the kernel, over rtnetlink.
//!
//! In: names, addresses and routes already decided. Out: a bridge that is as it should be, a veth
//! pair between it and a pod, and what CHECK wants to see. A pod costs two batches of messages, one
//! on a socket of the host's namespace and one on a socket of the pod's; docs/decisions/0080 says
//! why it is shaped so.

mod bridge;
pub mod message;
mod name;
mod netlink;
mod pod;
mod query;
mod reattach;

pub use bridge::{BridgeSpec, BridgeState, ensure_bridge};
pub use name::{HOST_PREFIX, InterfaceName, MAX_NAME, Mac, NameError, PairNames};
pub use netlink::{LinkError, Netlink};
pub use pod::{HostEnd, PodEnd, bring_up, delete, delete_existing, set_up};
pub use query::{Answer, Link, addresses, ask_route, find_link, routes};
pub use reattach::reattach;

pub(crate) use bridge::ensure;
pub(crate) use query::find_link_with;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The bridge's own IPv4 address in link-local mode, every pod's gateway.
pub const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// The same for IPv6.
pub const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// The gateway of a family in link-local mode.
pub fn link_local_gateway(ipv6: bool) -> IpAddr {
    if ipv6 { GATEWAY_V6.into() } else { GATEWAY_V4.into() }
}
