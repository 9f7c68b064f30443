//! Foreign routes that take packets away from ours. Looked for, told with the remedy, and never
//! touched.
//!
//! In go the snapshot and the report of the owner of the routes; out goes a [`ShadowReport`]. The
//! kernel takes the longest prefix, and of one prefix the lowest metric, whoever made it: a
//! foreign route of the prefix of an installed one at a lower metric goes before it, and so does
//! whatever lies within another node's pod CIDR. Our table alone is looked at; what `ip rule`
//! sends to others is not.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::net::if_::if_indextoname;
use tokio::sync::watch;
use twill_bgp::proto::types::Prefix;

use super::report::{FibReport, FibRoute, Shadow, ShadowReport};
use crate::kernel::routes::{self, Listed, Marks, Scope, protocol_name};
use crate::kernel::{self, KernelError, Netlink};
use crate::source::Snapshot;

/// How often it is looked for.
const LOOK: Duration = Duration::from_secs(5);
/// Looking takes at most one part in this many of the time: a table may hold a million routes.
const SHARE: u32 = 100;
/// So many are told one by one.
const NAMED: usize = 20;

/// Looks for shadows until the snapshot's source has ended.
///
/// # Errors
/// Where the kernel's routes cannot be listed.
pub async fn run(
    mut snapshot: watch::Receiver<Arc<Snapshot>>,
    fib: watch::Receiver<Arc<FibReport>>,
    report: watch::Sender<Arc<ShadowReport>>,
) -> Result<(), KernelError> {
    let mut netlink = Netlink::open()?;
    loop {
        let started = Instant::now();
        let now = Arc::clone(&snapshot.borrow_and_update());
        let installed = Arc::clone(&fib.borrow());
        let found = look(&mut netlink, &now, &installed).await?;
        report.send_if_modified(|current| {
            let differs = **current != found;
            if differs {
                for shadow in found.shadows.iter().filter(|one| !current.shadows.contains(one)) {
                    tracing::warn!("{}: {}", shadow.prefix, shadow.words);
                }
                *current = Arc::new(found);
            }
            differs
        });
        let rest = LOOK.max(started.elapsed() * SHARE);
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            changed = snapshot.changed() => if changed.is_err() { return Ok(()) },
        }
    }
}

async fn look(
    netlink: &mut Netlink,
    snapshot: &Snapshot,
    fib: &FibReport,
) -> Result<ShadowReport, KernelError> {
    let mut report = ShadowReport::default();
    if !snapshot.dataplane.install {
        return Ok(report);
    }
    let marks = kernel::marks(&snapshot.dataplane);
    let judge = Judge { marks, installed: &fib.installed, pods: Pods::new(snapshot) };
    let mut seen = BTreeSet::new();
    routes::list(netlink, Scope::Table(marks.table), |route| {
        if let Some(words) = judge.shadow(&route)
            && seen.insert((route.prefix, words.clone()))
        {
            report.count += 1;
            if report.shadows.len() < NAMED {
                report.shadows.push(Shadow { prefix: route.prefix, words });
            }
        }
    })
    .await?;
    Ok(report)
}

/// What other nodes' pods live in.
struct Pods {
    owners: BTreeMap<Prefix, String>,
    lengths: BTreeSet<u8>,
}

impl Pods {
    fn new(snapshot: &Snapshot) -> Pods {
        let owned = |(name, cidrs): (&String, &Vec<Prefix>)| {
            cidrs.iter().map(|cidr| (*cidr, name.clone())).collect::<Vec<_>>()
        };
        let nodes = snapshot.nodes.values();
        let owners: BTreeMap<Prefix, String> =
            nodes.flat_map(|node| owned((&node.name, &node.pod_cidrs))).collect();
        let lengths = owners.keys().map(|cidr| cidr.len()).collect();
        Pods { owners, lengths }
    }

    /// The pod CIDR that `prefix` is a part of, and whose it is.
    fn around(&self, prefix: Prefix) -> Option<(Prefix, &str)> {
        let shorter = self.lengths.iter().filter(|length| **length < prefix.len());
        shorter
            .filter_map(|length| Prefix::truncating(prefix.address(), *length).ok())
            .find_map(|wider| self.owners.get_key_value(&wider))
            .map(|(cidr, owner)| (*cidr, owner.as_str()))
    }
}

struct Judge<'a> {
    marks: Marks,
    /// Sorted by prefix.
    installed: &'a [FibRoute],
    pods: Pods,
}

impl Judge<'_> {
    fn installed(&self, prefix: Prefix) -> Option<&FibRoute> {
        let found = self.installed.binary_search_by_key(&prefix, |route| route.prefix);
        found.ok().and_then(|index| self.installed.get(index))
    }

    /// Why a route of the kernel's shadows one of ours, and the remedy.
    fn shadow(&self, route: &Listed) -> Option<String> {
        if route.is_ours(&self.marks) || route.tos != 0 {
            return None;
        }
        if let Some(ours) = self.installed(route.prefix) {
            let before = route.metric < self.marks.metric && !same_way(ours, route);
            return before.then(|| {
                format!(
                    "{} goes before ours (metric {}), and packets do not take our way: {}, or \
                     give ours a lower dataplane.metric",
                    described(route),
                    self.marks.metric,
                    removal(route)
                )
            });
        }
        let (cidr, owner) = self.pods.around(route.prefix)?;
        let ours = self.installed(cidr)?;
        (!same_way(ours, route)).then(|| {
            format!(
                "{} lies in the pod CIDR {cidr} of {owner} and takes a part of its packets: {}",
                described(route),
                removal(route)
            )
        })
    }
}

fn same_way(ours: &FibRoute, route: &Listed) -> bool {
    route.plain && route.via.next_hop == ours.next_hop && device(route) == ours.device
}

fn device(route: &Listed) -> Option<String> {
    let name = if_indextoname(route.via.device).ok()?;
    Some(name.to_string_lossy().into_owned())
}

fn described(route: &Listed) -> String {
    let by = |next_hop: IpAddr| format!(" via {next_hop}");
    format!(
        "a route of protocol {}{}{}, metric {},",
        protocol_name(route.protocol),
        route.via.next_hop.map(by).unwrap_or_default(),
        device(route).map(|name| format!(" dev {name}")).unwrap_or_default(),
        route.metric,
    )
}

fn removal(route: &Listed) -> String {
    let family = if route.prefix.address().is_ipv6() { "ip -6" } else { "ip" };
    let Listed { prefix, table, metric, .. } = route;
    let protocol = protocol_name(route.protocol);
    format!(
        "remove it (`{family} route del {prefix} table {table} metric {metric} proto {protocol}`)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::fixture::{THREE, snapshot};
    use crate::kernel::testing::{in_namespace, ip, link};

    fn installed(prefix: &str, next_hop: Option<&str>, device: &str) -> FibRoute {
        FibRoute {
            prefix: prefix.parse().unwrap(),
            next_hop: next_hop.map(|hop| hop.parse().unwrap()),
            device: Some(device.to_owned()),
            reason: None,
        }
    }

    /// What `ip` makes beside our routes, and what the shadow is said to be, if it is one.
    #[test]
    fn what_takes_packets_away_is_found_and_nothing_else() {
        in_namespace(|| async {
            link("eth0", &["10.0.0.1/24", "fd00::1/64"]);
            link("twill0", &[]);
            let mut routes = vec![
                installed("10.244.1.0/24", None, "twill0"),
                installed("10.244.2.0/24", Some("10.0.0.2"), "eth0"),
                installed("203.0.113.0/24", Some("10.0.0.254"), "eth0"),
                installed("fd00:244:2::/64", Some("fd00::2"), "eth0"),
            ];
            routes.sort_by_key(|route| route.prefix);
            let fib = FibReport { installed: routes, ..FibReport::default() };
            let mut netlink = Netlink::open().unwrap();
            let snapshot = snapshot(THREE);
            let rows: [(&str, Option<&str>); 11] = [
                ("10.244.2.0/24 via 10.0.0.7 proto static", Some("metric 0, goes before ours")),
                ("blackhole 10.244.2.0/24", Some("goes before ours")),
                ("10.244.2.0/24 via 10.0.0.7 metric 500", None),
                ("10.244.2.0/24 via 10.0.0.2 proto static", None),
                ("10.244.2.128/25 via 10.0.0.7", Some("pod CIDR 10.244.2.0/24 of node-b")),
                ("203.0.113.128/25 via 10.0.0.7", None),
                ("203.0.113.0/24 via 10.0.0.7", Some("ip route del 203.0.113.0/24 table 254")),
                ("10.244.0.0/16 via 10.0.0.7", None),
                // A pod of ours that another plugin has attached.
                ("10.244.1.9/32 dev eth0", None),
                ("10.244.1.0/24 dev eth0", Some("dev eth0")),
                ("fd00:244:2::/64 via fd00::7 metric 10", Some("ip -6 route del fd00:244:2::/64")),
            ];
            for (route, expected) in rows {
                let family = if route.contains("fd00:") { "-6" } else { "-4" };
                ip(&format!("{family} route add {route}"));
                let found = look(&mut netlink, &snapshot, &fib).await.unwrap();
                match expected {
                    None => assert_eq!(found, ShadowReport::default(), "{route}"),
                    Some(words) => {
                        assert_eq!(found.count, 1, "{route}: {found:?}");
                        let told = &found.shadows[0].words;
                        assert!(told.contains(words), "{route}: {told}");
                    }
                }
                // As the remedy says.
                let remedy = found.shadows.first().and_then(|shadow| {
                    let (_, rest) = shadow.words.split_once("(`ip ")?;
                    rest.split_once("`)").map(|(command, _)| command.to_owned())
                });
                ip(&remedy.unwrap_or_else(|| format!("{family} route del {route}")));
                let left = look(&mut netlink, &snapshot, &fib).await.unwrap();
                assert_eq!(left, ShadowReport::default(), "{route}");
            }
        });
    }
}
