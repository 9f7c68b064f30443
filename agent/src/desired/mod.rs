//! Pure: from a snapshot and the learned routes to what should be.

pub mod announcements;
pub mod cni;
pub mod host;
pub mod masquerade;
pub mod policy;
pub mod routes;
pub mod speaker;

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

impl KernelRoute {
    /// The route to `prefix` that goes this way.
    pub fn new(prefix: Prefix, via: Via) -> KernelRoute {
        let Via { next_hop, device, source } = via;
        KernelRoute { prefix, next_hop, device, source }
    }
}

/// Which way a [`KernelRoute`] goes: many routes share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Via {
    /// By whom; `None`: on link.
    pub next_hop: Option<IpAddr>,
    /// Interface index.
    pub device: u32,
    /// Preferred source address.
    pub source: Option<IpAddr>,
}

#[cfg(test)]
pub(crate) mod fixture {
    //! Snapshots for tests, written as configuration files.

    use std::path::{Path, PathBuf};

    use crate::config::{Config, Environment};
    use crate::source::Snapshot;

    /// The snapshot of a configuration file.
    pub(crate) fn snapshot(text: &str) -> Snapshot {
        let environment =
            Environment { variable: &|_| None, host_name: None, directory: PathBuf::new() };
        match Config::parse(text, Path::new("test.yaml"), &environment) {
            Ok(config) => config.snapshot,
            Err(error) => panic!("{error}"),
        }
    }

    /// Three nodes of both families, and an outside router that may pass into the mesh.
    pub(crate) const THREE: &str = "
node: node-a
addresses: [10.0.0.1, fd00::1]
podCIDRs: [10.244.1.0/24, fd00:244:1::/64]
mesh:
  transit: [203.0.113.0/24 le 32, 10.244.0.0/14 le 32, 0.0.0.0/0]
  nodes:
    - {name: node-b, addresses: [10.0.0.2, fd00::2], podCIDRs: [10.244.2.0/24, fd00:244:2::/64]}
    - {name: node-c, addresses: [10.0.0.3], podCIDRs: [10.244.3.0/24]}
peers:
  - name: tor-a
    address: 10.0.0.254
    asn: 65000
    mesh: true
    import: {prefixes: [0.0.0.0/0, 203.0.113.0/24 le 32, 10.0.0.0/8 le 32]}
    export: {prefixes: [podCIDRs, 198.51.100.0/24], communities: [64512:100], prepend: 2, med: 50}
";
}
