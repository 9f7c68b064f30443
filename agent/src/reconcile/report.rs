//! What the owners tell of themselves: read by the command line, metrics and readiness.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use twill_bgp::proto::types::Prefix;

/// Our routes in the kernel against what should be there. Published on a watch channel, by the
/// owner of the routes, after each pass.
#[derive(Debug, Clone, Default)]
pub struct FibReport {
    /// Should be and is.
    pub installed: Vec<FibRoute>,
    /// Should be and is not.
    pub missing: Vec<FibRoute>,
    /// Is under our protocol number, should not be, and is about to go.
    pub unexpected: Vec<FibRoute>,
    /// Of the run before, kept until the mesh is in sync.
    pub stale: Vec<FibRoute>,
    /// The initial exchange is over and every installable route is in the kernel.
    pub ready: bool,
    /// Why it is not ready, or what clashes; each with its remedy.
    pub problems: Vec<String>,
    /// How long the last full pass took.
    pub last_sync: Duration,
    /// When it ended.
    pub synced_at: Option<SystemTime>,
    /// Failed attempts to change the kernel since start.
    pub errors: u64,
}

/// One route of a [`FibReport`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FibRoute {
    /// Where to.
    pub prefix: Prefix,
    /// By whom; `None`: on link.
    pub next_hop: Option<IpAddr>,
    /// Interface name, where known.
    pub device: Option<String>,
    /// For a missing route: why, and the remedy.
    pub reason: Option<String>,
}

/// Foreign routes that take packets away from ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShadowReport {
    /// The first of them.
    pub shadows: Vec<Shadow>,
    /// How many there are.
    pub count: usize,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow {
    /// Its prefix.
    pub prefix: Prefix,
    /// What it is and does, and the remedy.
    pub words: String,
}

/// Something that happened to the kernel's routes or the host; for `twill monitor`.
#[derive(Debug, Clone)]
pub enum KernelNotice {
    /// We added or replaced a route.
    Installed(FibRoute),
    /// We removed one.
    Removed(FibRoute),
    /// Someone else deleted or changed one of ours, and it was put back.
    Restored(FibRoute),
    /// The kernel refused.
    Failed {
        /// Which.
        route: FibRoute,
        /// The kernel's words.
        error: String,
    },
    /// An interface setting was changed by us.
    Setting {
        /// Which: `twill0/proxy_arp`.
        name: String,
        /// Before.
        old: String,
        /// Now.
        new: String,
    },
}

/// The host's settings as the owner of the host sees them.
#[derive(Debug, Clone, Default)]
pub struct HostReport {
    /// Whether bridge, addresses and settings are as they should be.
    pub ready: bool,
    /// What is not, each with its remedy.
    pub problems: Vec<String>,
    /// What was changed on this host, `name: old -> new`.
    pub changed: Vec<String>,
}

/// The packet filter as the owner of the masquerade table sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MasqueradeReport {
    /// Pods leave the cluster under this node's address.
    pub active: bool,
    /// Why they do not, though they should, and what else in the packet filter stands in the way
    /// of pods; each with its remedy.
    pub problems: Vec<String>,
}

/// The CNI file as its owner sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CniReport {
    /// Whether it is in place. Before this node is ready to route it is not, and with
    /// `cni.write: false` never.
    pub written: bool,
    /// Why it is not, though it should be; with the remedy.
    pub problem: Option<String>,
}

/// How the last configuration was taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigReport {
    /// When the configuration in force was read.
    pub loaded_at: Option<SystemTime>,
    /// Why the newest file was refused, while an older one is in force.
    pub refused: Option<String>,
    /// What is doubtful about the one in force.
    pub warnings: Vec<String>,
    /// What keeps it from being carried out in full, each with its remedy.
    pub problems: Vec<String>,
}
