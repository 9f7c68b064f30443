//! What was seen.

use std::net::IpAddr;

use twill_bgp::proto::types::Prefix;

/// Something that was looked at; `None` where it could not be.
pub type Known<T> = Option<T>;

/// What the configuration wants; the defaults where there is none to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// Kernel routes are made.
    pub install: bool,
    /// Of either family.
    pub ipv4: bool,
    /// Of either family.
    pub ipv6: bool,
    /// The bridge of pods.
    pub bridge: String,
    /// An MTU by configuration.
    pub mtu: Option<u32>,
    /// Where BGP listens.
    pub port: u16,
    /// Of our routes.
    pub protocol: u8,
    /// Of our routes.
    pub metric: u32,
    /// This node's addresses.
    pub addresses: Vec<IpAddr>,
    /// Pod CIDRs of other nodes, each with the node's name.
    pub pod_cidrs: Vec<(Prefix, String)>,
    /// Our conflist's file name.
    pub cni_file: String,
    /// Sessions by name, whether each is signed.
    pub signed: Vec<(String, bool)>,
}

/// An interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Octets.
    pub mtu: u32,
    /// It has an address that is not link-local, and is no loopback and no bridge of pods.
    pub uplink: bool,
    /// It holds an address of this node; where none is configured, every uplink.
    pub ours: bool,
    /// net.ipv4.conf.*.forwarding
    pub forwarding4: Known<bool>,
    /// net.ipv6.conf.*.forwarding, or force_forwarding where the kernel has it.
    pub forwarding6: Known<bool>,
    /// net.ipv4.conf.*.rp_filter, the greater of its own and that of all.
    pub rp_filter: Known<u8>,
}

/// Who listens on a TCP port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// `0.0.0.0:179`
    pub at: String,
    /// Process id and name, where they are known.
    pub process: Known<(u32, String)>,
}

/// Segments that TCP has dropped since this host, or its network namespace, began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TcpDrops {
    /// A signature was due and none was there.
    pub md5_missing: u64,
    /// A signature was there and none was due.
    pub md5_unexpected: u64,
    /// The signature was wrong: another password.
    pub md5_wrong: u64,
    /// The TTL was below what GTSM asks for.
    pub ttl: u64,
}

/// A session, as a running agent tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Whether it is established.
    pub up: bool,
    /// Whether it is signed.
    pub signed: bool,
    /// The least TTL that is accepted, where GTSM is on.
    pub gtsm: Option<String>,
}

/// A network configuration of the container runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CniFile {
    /// Its name within the directory.
    pub name: String,
    /// The plugins that it names.
    pub types: Vec<String>,
    /// `gateway` of our plugin in it.
    pub gateway: Option<String>,
}

/// All that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// What is wanted.
    pub want: Want,
    /// Why the configuration cannot be used, where there is one.
    pub bad_config: Option<String>,
    /// An agent answers on the socket.
    pub agent: bool,
    /// net.ipv4.ip_forward
    pub ip_forward: Known<bool>,
    /// Interfaces.
    pub interfaces: Vec<Interface>,
    /// Who listens on the BGP port.
    pub listeners: Vec<Listener>,
    /// Capabilities that the agent, or without one this process, does not have.
    pub missing_capabilities: Known<Vec<&'static str>>,
    /// Routes of others within other nodes' pod CIDRs that packets take first: the route as it
    /// can be given to `ip route del`, and whose pods it hides.
    pub hiding: Vec<(String, String)>,
    /// Whom /etc/iproute2/rt_protos names our protocol number for.
    pub protocol_names: Vec<String>,
    /// Routes of our protocol number at another metric.
    pub odd_routes: Vec<String>,
    /// Chains of nftables that drop forwarded packets: `inet filter forward`.
    pub dropping: Known<Vec<String>>,
    /// The FORWARD policy of iptables-legacy, where that is in use and could be asked.
    pub legacy_drop: Vec<String>,
    /// net.bridge.bridge-nf-call-iptables; `None` without br_netfilter.
    pub bridge_netfilter: Known<bool>,
    /// What shows that kube-proxy works here.
    pub kube_proxy: Option<String>,
    /// What this kernel lacks of what is wanted.
    pub missing_features: Vec<String>,
    /// What TCP dropped.
    pub drops: Known<TcpDrops>,
    /// Sessions of a running agent.
    pub peers: Vec<Peer>,
    /// In the order in which the container runtime looks.
    pub cni: Vec<CniFile>,
    /// What could not be looked at, and why.
    pub unseen: Vec<String>,
}
