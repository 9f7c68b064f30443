//! Where the world comes from. Each source yields the same [`Snapshot`]: whole, checked, and
//! compared with the one before by value.

pub mod file;
pub mod kube;
pub mod peer;
pub mod policy;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use twill_bgp::Secret;
use twill_bgp::proto::rib::policy::PrefixRange;
use twill_bgp::proto::types::{Asn, ClusterId, HoldTime, Prefix, RouterId};

pub use self::peer::OutsidePeer;
use self::peer::PeerRange;
use crate::drain::Drain;

/// All that the agent acts upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// This node.
    pub node: NodeView,
    /// This node's BGP Identifier.
    pub router_id: RouterId,
    /// Where to listen.
    pub listen_port: u16,
    /// The other nodes, by name; never this one.
    pub nodes: BTreeMap<String, NodeView>,
    /// How nodes peer with each other.
    pub mesh: Mesh,
    /// Routers outside the mesh, by name.
    pub peers: BTreeMap<String, OutsidePeer>,
    /// Routers that nobody lists, by the name of where they may come from; disjoint.
    pub ranges: BTreeMap<String, PeerRange>,
    /// Further prefixes of this node.
    pub announce: Vec<Prefix>,
    /// Addresses of Services.
    pub services: ServiceAddresses,
    /// The host's part.
    pub dataplane: Dataplane,
    /// The CNI file.
    pub cni: Cni,
    /// Where metrics, health and the looking glass listen; `None`: nowhere.
    pub http: Option<SocketAddr>,
    /// How far this node is drained; no source says so, the operator does at run time.
    pub drain: Option<Drain>,
}

/// Addresses of Services, each as a prefix of its whole length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceAddresses {
    /// ClusterIPs that this node announces.
    pub cluster: Vec<Prefix>,
    /// ExternalIPs that it announces.
    pub external: Vec<Prefix>,
    /// Addresses of load balancers that it announces.
    pub load_balancer: Vec<Prefix>,
    /// All that are known, announced here or not: nobody else may announce them.
    pub all: Vec<Prefix>,
}

impl ServiceAddresses {
    /// What this node announces.
    pub fn announced(&self) -> impl Iterator<Item = &Prefix> {
        self.cluster.iter().chain(&self.external).chain(&self.load_balancer)
    }
}

/// A node, whatever told us of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Unique.
    pub name: String,
    /// Its addresses, the next hops it announces; the first of each family counts.
    pub addresses: Vec<IpAddr>,
    /// What its pods live in.
    pub pod_cidrs: Vec<Prefix>,
    /// Its AS.
    pub asn: Asn,
    /// Its cluster, where it is a reflector.
    pub reflector: Option<ClusterId>,
    /// The cluster whose reflectors alone serve it; `None`: a node that is no reflector itself is
    /// served by every reflector.
    pub client_of: Option<ClusterId>,
}

/// The mesh's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mesh {
    /// Who peers with whom.
    pub mode: MeshMode,
    /// TCP MD5.
    pub password: Option<Secret>,
    /// Proposed hold time.
    pub hold_time: HoldTime,
    /// GTSM.
    pub gtsm: MeshGtsm,
    /// Graceful restart: how long the others keep our routes while we are away.
    pub restart_time: Duration,
    /// Graceful restart: how long this node, after a restart, waits for the others' End-of-RIB.
    pub deferral_time: Duration,
    /// What nodes may pass on from outside routers.
    pub transit: Vec<PrefixRange>,
}

/// Who peers with whom in the mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeshMode {
    /// Every node with every other.
    Full,
    /// Clients with the reflectors of their cluster, reflectors with each other.
    Reflector,
    /// Nobody.
    None,
}

/// GTSM between nodes (RFC 5082); all send TTL 255.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeshGtsm {
    /// Accepts 255 from a peer on a connected subnet, 240 and up from others.
    Auto,
    /// Accepts this and up.
    Least(u8),
    /// Checks nothing.
    None,
}

/// The host's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataplane {
    /// Whether kernel routes are touched at all.
    pub install: bool,
    /// The bridge that pods hang on.
    pub bridge: String,
    /// Proxy ARP and NDP towards pods, on the bridge.
    pub proxy_arp: bool,
    /// Whether pods leave the cluster under this node's address.
    pub masquerade: bool,
    /// Destinations where they keep their own, beside pods, nodes and learned prefixes.
    pub masquerade_exempt: Vec<Prefix>,
    /// `None`: the smallest MTU of the interfaces that hold our addresses.
    pub mtu: Option<u32>,
    /// Table id; 254 is main.
    pub table: u32,
    /// Metric of our routes.
    pub metric: u32,
    /// Protocol number of our routes.
    pub protocol: u8,
}

/// The CNI file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cni {
    /// Where the conflist goes.
    pub conf_file: PathBuf,
    /// Where the plugins are.
    pub bin_dir: PathBuf,
    /// Whether it is written.
    pub write: bool,
}
