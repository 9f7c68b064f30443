//! The `mesh` section and its nodes.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use twill_bgp::Secret;
use twill_bgp::proto::rib::policy::PrefixRange;
use twill_bgp::proto::types::{ClusterId, HoldTime};

use super::read::{Field, Section, Sited};
use super::{Environment, SitedPrefix, or, secret, values};
use crate::source::{Mesh, MeshGtsm, MeshMode};

/// How long the others keep our routes while we are away, unless configured: what an image pull
/// and a slow disk need.
const DEFAULT_RESTART_TIME: Duration = Duration::from_secs(120);
/// The longest restart time: 12 bits (RFC 4724 section 3).
const MAX_RESTART_TIME: u64 = 4095;
/// How long to wait for the others after a restart, unless configured: as long as they wait for
/// us.
const DEFAULT_DEFERRAL_TIME: Duration = Duration::from_secs(120);
/// The longest wait: nobody wants yesterday's routes.
const MAX_DEFERRAL_TIME: u64 = 3600;

/// The mesh's settings and its nodes, each still with its place.
#[derive(Debug)]
pub(super) struct MeshEntry<'a> {
    pub(super) settings: Mesh,
    /// Where `mode` stands.
    pub(super) mode: Option<Field<'a>>,
    pub(super) nodes: Vec<NodeEntry<'a>>,
}

impl Default for MeshEntry<'_> {
    fn default() -> Self {
        MeshEntry {
            settings: Mesh {
                mode: MeshMode::Full,
                password: None,
                hold_time: HoldTime::DEFAULT,
                gtsm: MeshGtsm::Auto,
                restart_time: DEFAULT_RESTART_TIME,
                deferral_time: DEFAULT_DEFERRAL_TIME,
                transit: Vec::new(),
            },
            mode: None,
            nodes: Vec::new(),
        }
    }
}

/// A node as written.
#[derive(Debug)]
pub(super) struct NodeEntry<'a> {
    pub(super) name: String,
    /// The entry as a whole.
    pub(super) whole: Field<'a>,
    /// Where the key is given.
    pub(super) addresses: Option<Listed<'a, IpAddr>>,
    /// Where the key is given.
    pub(super) pod_cidrs: Option<Listed<'a, twill_bgp::proto::types::Prefix>>,
    pub(super) reflector: Option<ClusterId>,
    pub(super) client_of: Option<Sited<'a, ClusterId>>,
}

/// A list and its place.
pub(super) type Listed<'a, T> = Sited<'a, Vec<Sited<'a, T>>>;

pub(super) fn read<'a>(
    section: &mut Section<'a>,
    environment: &Environment<'_>,
    secret_files: &mut Vec<PathBuf>,
) -> MeshEntry<'a> {
    let (mut settings, mode) = settings(section);
    settings.password = password(section.get("password"), environment, secret_files);
    let nodes = section.get("nodes").map(|field| field.list("nodes")).unwrap_or_default();
    let nodes = nodes.into_iter().filter_map(|field| field.section(node)).collect();
    MeshEntry { settings, mode, nodes }
}

/// All but the password and the nodes, which the API server has elsewhere; and where `mode`
/// stands.
pub(super) fn settings<'a>(section: &mut Section<'a>) -> (Mesh, Option<Field<'a>>) {
    let default = MeshEntry::default().settings;
    let mode = section.get("mode");
    let modes =
        [("full", MeshMode::Full), ("reflector", MeshMode::Reflector), ("none", MeshMode::None)];
    let settings = Mesh {
        mode: or(mode.clone(), default.mode, |field| field.choice(&modes)).unwrap_or(default.mode),
        password: None,
        hold_time: or(section.get("holdTime"), default.hold_time, |field| {
            field.parse("a hold time", values::hold_time)
        })
        .unwrap_or(default.hold_time),
        gtsm: or(section.get("gtsm"), default.gtsm, gtsm).unwrap_or(default.gtsm),
        restart_time: or(section.get("restartTime"), default.restart_time, restart_time)
            .unwrap_or(default.restart_time),
        deferral_time: or(section.get("deferralTime"), default.deferral_time, deferral_time)
            .unwrap_or(default.deferral_time),
        transit: section.get("transit").map(|field| ranges(&field)).unwrap_or_default(),
    };
    (settings, mode)
}

fn password(
    field: Option<Field<'_>>,
    environment: &Environment<'_>,
    files: &mut Vec<PathBuf>,
) -> Option<Secret> {
    field.and_then(|field| secret::read(&field, environment, files))
}

fn gtsm(field: &Field<'_>) -> Option<MeshGtsm> {
    field.accept("auto, none or the least TTL accepted, 1 to 255", |text| match text {
        "auto" => Some(MeshGtsm::Auto),
        "none" => Some(MeshGtsm::None),
        number => number.parse().ok().filter(|least| *least > 0).map(MeshGtsm::Least),
    })
}

fn restart_time(field: &Field<'_>) -> Option<Duration> {
    let time = field.parse("a duration", values::duration)?;
    if !(1..=MAX_RESTART_TIME).contains(&time.as_secs()) {
        field.wrong(format!("expected 1s to {MAX_RESTART_TIME}s (RFC 4724 has 12 bits for it)"));
        return None;
    }
    Some(time)
}

fn deferral_time(field: &Field<'_>) -> Option<Duration> {
    let time = field.parse("a duration", values::duration)?;
    if !(1..=MAX_DEFERRAL_TIME).contains(&time.as_secs()) {
        field.wrong(format!("expected 1s to {MAX_DEFERRAL_TIME}s"));
        return None;
    }
    Some(time)
}

/// A list of prefix ranges.
pub(super) fn ranges(field: &Field<'_>) -> Vec<PrefixRange> {
    let ranges =
        field.list_of("prefix ranges", |item| item.parse("a prefix range", values::prefix_range));
    ranges.into_iter().map(|range| range.value).collect()
}

/// `addresses` of a node.
pub(super) fn addresses(field: Option<Field<'_>>) -> Option<Listed<'_, IpAddr>> {
    let field = field?;
    let value =
        field.list_of("addresses", |item| item.parse("an address of a node", values::host_address));
    Some(Sited { value, field })
}

/// `podCIDRs` of a node.
pub(super) fn pod_cidrs<'a>(field: Option<Field<'a>>) -> Option<Sited<'a, Vec<SitedPrefix<'a>>>> {
    let field = field?;
    let value = field.list_of("pod CIDRs", |item| item.parse("a pod CIDR", values::pod_cidr));
    Some(Sited { value, field })
}

fn node<'a>(section: &mut Section<'a>) -> Option<NodeEntry<'a>> {
    let name = section.need("name", "the node's name");
    let addresses = addresses(section.get("addresses"));
    let pod_cidrs = pod_cidrs(section.get("podCIDRs"));
    let reflector = section.get("reflector").and_then(|field| cluster_id(&field));
    let client_of = section.get("clientOf").and_then(|field| {
        let value = cluster_id(&field)?;
        Some(Sited { value, field })
    });
    let whole = section.field.clone();
    let name = name?.parse("a name", values::name)?;
    Some(NodeEntry { name, whole, addresses, pod_cidrs, reflector, client_of })
}

fn cluster_id(field: &Field<'_>) -> Option<ClusterId> {
    let id = field.parse("a cluster id", |text| {
        text.parse().map_err(|_| "write it in dotted form, as in 1.1.1.1")
    })?;
    Some(ClusterId(id))
}
