//! Pure: from a snapshot and the learned routes to what should be.

use std::net::IpAddr;

use twill_bgp::proto::types::Prefix;

/// A route as it should stand in the kernel, or stands there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KernelRoute {
    /// Where to.
    pub prefix: Prefix,
    /// By whom; `None`: on link, as the pod CIDRs on the bridge.
    pub next_hop: Option<IpAddr>,
    /// Interface index.
    pub device: u32,
    /// Preferred source address.
    pub source: Option<IpAddr>,
}
