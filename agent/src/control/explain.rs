//! `GET /v1/explain/ADDRESS`: what the RIB, the sessions, the owner of the routes and the kernel
//! each believe about one address, side by side, and where they differ. Pure.

use std::net::IpAddr;
use std::time::SystemTime;

use twill_bgp::proto::session::State;
use twill_bgp::proto::types::Prefix;
use twill_bgp::{PeerStatus, RouteEntry};

use super::{api, view};
use crate::reconcile::report::{FibReport, FibRoute};
use crate::source::{NodeView, Snapshot};

/// What an explanation is made of.
pub(super) struct Parts<'a> {
    pub(super) address: IpAddr,
    /// The best route by longest match.
    pub(super) route: Option<&'a RouteEntry>,
    pub(super) peers: &'a [PeerStatus],
    pub(super) fib: &'a FibReport,
    /// The kernel's answer, or its words where it has none.
    pub(super) kernel: Result<api::KernelRoute, String>,
    pub(super) snapshot: &'a Snapshot,
    pub(super) now: SystemTime,
}

pub(super) fn explain(parts: Parts<'_>) -> api::Explanation {
    let desired = desired(parts.fib, parts.route.map(|entry| entry.view.prefix), parts.address);
    let mut contradictions = Vec::new();
    contradictions.extend(unannounced(&parts));
    contradictions.extend(session(&parts));
    contradictions.extend(not_installed(&parts, desired));
    contradictions.extend(kernel_differs(&parts, desired));
    let forwards = |route: &api::KernelRoute| {
        matches!(route.kind.as_str(), "unicast" | "local" | "multicast" | "anycast" | "broadcast")
    };
    let reachable = parts.kernel.as_ref().is_ok_and(forwards) && contradictions.is_empty();
    api::Explanation {
        address: parts.address,
        reachable,
        summary: summary(&parts),
        route: parts.route.map(view::route),
        announced_by: parts.route.map(|entry| announcer(entry, parts.peers, parts.now)),
        desired: desired
            .map(|(route, state)| api::DesiredRoute { route: view::fib_route(route), state }),
        kernel_error: parts.kernel.as_ref().err().cloned(),
        kernel: parts.kernel.ok(),
        contradictions,
    }
}

/// The route that the owner of the routes has for the RIB's prefix; without one, the longest
/// that holds the address, which may be a leftover.
fn desired(
    fib: &FibReport,
    prefix: Option<Prefix>,
    address: IpAddr,
) -> Option<(&FibRoute, api::FibState)> {
    let lists = [
        (&fib.missing, api::FibState::Missing),
        (&fib.installed, api::FibState::Installed),
        (&fib.stale, api::FibState::Stale),
        (&fib.unexpected, api::FibState::Unexpected),
    ];
    let all = || lists.iter().flat_map(|(routes, state)| routes.iter().map(|one| (one, *state)));
    match prefix {
        Some(prefix) => all().find(|(route, _)| route.prefix == prefix),
        None => all()
            .filter(|(route, _)| route.prefix.contains(address))
            .max_by_key(|(route, _)| route.prefix.len()),
    }
}

fn announcer(entry: &RouteEntry, peers: &[PeerStatus], now: SystemTime) -> api::Announcer {
    let status = entry
        .peer
        .as_ref()
        .and_then(|name| peers.iter().find(|status| *status.config.name == **name));
    api::Announcer {
        name: view::source(entry.peer.as_ref()),
        state: status.map(|status| status.state.into()),
        uptime_seconds: status.and_then(|status| view::uptime(status, now)),
    }
}

fn summary(parts: &Parts<'_>) -> String {
    let Parts { address, .. } = parts;
    match &parts.kernel {
        Err(words) => format!("the kernel has no way to {address}: {words}"),
        Ok(kernel) => {
            let device = kernel.devices.first().map(String::as_str).unwrap_or_default();
            match (kernel.kind.as_str(), kernel.next_hops.first()) {
                ("local", _) => format!("{address} is an address of this host"),
                ("unicast" | "anycast", Some(next_hop)) => {
                    format!("packets to {address} go to {next_hop} on {device}")
                }
                ("unicast" | "anycast", None) => {
                    format!("{address} is on the link of {device}")
                }
                (kind, _) => format!("the kernel's route to {address} is of kind {kind}"),
            }
        }
    }
}

fn owner(snapshot: &Snapshot, address: IpAddr) -> Option<&NodeView> {
    snapshot.nodes.values().find(|node| node.pod_cidrs.iter().any(|cidr| cidr.contains(address)))
}

/// A pod's address for which nobody announces a route.
fn unannounced(parts: &Parts<'_>) -> Option<String> {
    let node = owner(parts.snapshot, parts.address)?;
    if parts.route.is_some_and(|entry| entry.peer.as_deref() == Some(&node.name)) {
        return None;
    }
    let who = match parts.route {
        Some(entry) => format!("the best route is from {}", view::source(entry.peer.as_ref())),
        None => "there is no route".to_owned(),
    };
    let name = &node.name;
    let session = parts.peers.iter().find(|peer| peer.config.name == *name);
    let why = match session {
        None => format!("{name} is not a peer of this node"),
        Some(peer) => match view::down_because(peer) {
            Some(why) => format!("its session is {:?}: {why}", peer.state),
            None => format!(
                "its session is up, but it does not announce the pod CIDR, or policy refused it: \
                 see `twill routes --all --peer {name}`"
            ),
        },
    };
    Some(format!("{} lies in a pod CIDR of node {name}, but {who}; {why}", parts.address))
}

/// A route whose session is not there.
fn session(parts: &Parts<'_>) -> Option<String> {
    let entry = parts.route?;
    let name = entry.peer.as_ref()?;
    let status = parts.peers.iter().find(|peer| *peer.config.name == **name);
    match status {
        Some(status) if status.state == State::Established && !entry.view.stale => None,
        Some(status) if status.state == State::Established => Some(format!(
            "the route is stale: {name} has come back and has not announced it again yet"
        )),
        Some(status) => Some(format!(
            "the route is kept while {name} is away ({}), and goes when its restart time is over",
            view::down_because(status).unwrap_or_default()
        )),
        None => Some(format!("{name}, who announced the route, is no peer any more")),
    }
}

/// A route that should be in the kernel and is not.
fn not_installed(parts: &Parts<'_>, desired: Option<(&FibRoute, api::FibState)>) -> Option<String> {
    match desired {
        Some((route, api::FibState::Missing)) => Some(format!(
            "{} is not in the kernel: {}",
            route.prefix,
            route.reason.as_deref().unwrap_or("it is about to be installed, or see `twill fib`")
        )),
        Some((route, api::FibState::Stale)) if parts.route.is_none() => Some(format!(
            "{} is left from the run before and nobody has announced it yet; it goes when the \
             mesh is in sync",
            route.prefix
        )),
        Some((route, api::FibState::Unexpected)) => Some(format!(
            "{} is in the kernel under our protocol number and should not be; it is about to go",
            route.prefix
        )),
        None if !parts.snapshot.dataplane.install && parts.route.is_some() => {
            Some("this agent installs no routes (dataplane.install: false)".to_owned())
        }
        _ => None,
    }
}

/// The kernel goes another way than the route says.
fn kernel_differs(
    parts: &Parts<'_>,
    desired: Option<(&FibRoute, api::FibState)>,
) -> Option<String> {
    let (route, state) = desired?;
    if state != api::FibState::Installed && state != api::FibState::Stale {
        return None;
    }
    let kernel = match &parts.kernel {
        Ok(kernel) => kernel,
        Err(words) => {
            return Some(format!(
                "{} is listed as {}, and yet the kernel answers: {words}; a rule (`ip rule`) may \
                 forbid it, or the route has just gone",
                route.prefix,
                if state == api::FibState::Installed { "installed" } else { "stale" },
            ));
        }
    };
    if kernel.kind == "local" {
        return None;
    }
    let by = |kernel: &api::KernelRoute| {
        format!("made by {}, metric {}, table {}", kernel.protocol, kernel.metric, kernel.table)
    };
    let matched = kernel.prefix.parse::<Prefix>().ok();
    if let Some(matched) = matched.filter(|matched| matched.len() > route.prefix.len()) {
        // Connected subnets and static routes within a default route are as they should be;
        // within another node's pods nobody else has a route.
        let pods = owner(parts.snapshot, parts.address).is_some();
        let usual = kernel.protocol == "kernel" || route.prefix.len() == 0;
        if kernel.protocol == "twill" || (usual && !pods) {
            return None;
        }
        return Some(format!(
            "the kernel prefers {matched} ({}) because it is more specific than {}; remove it if \
             it should not be there",
            by(kernel),
            route.prefix
        ));
    }
    if matched.is_some_and(|matched| matched.len() < route.prefix.len()) {
        return Some(format!(
            "the kernel uses {} ({}) instead of {}; a rule (`ip rule`) may lead to another table",
            kernel.prefix,
            by(kernel),
            route.prefix
        ));
    }
    let same_hop = match route.next_hop {
        Some(next_hop) => kernel.next_hops.contains(&next_hop),
        None => kernel.next_hops.is_empty(),
    };
    let same_device =
        route.device.as_ref().is_none_or(|device| kernel.devices.iter().any(|one| one == device));
    (!same_hop || !same_device).then(|| {
        format!(
            "another route to {} goes before ours: {} ({}); remove it, or give it a metric \
             above {}",
            route.prefix,
            way(kernel),
            by(kernel),
            parts.snapshot.dataplane.metric
        )
    })
}

fn way(kernel: &api::KernelRoute) -> String {
    let hops: Vec<String> = kernel.next_hops.iter().map(|hop| format!("via {hop}")).collect();
    let devices: Vec<String> = kernel.devices.iter().map(|name| format!("dev {name}")).collect();
    [hops, devices].concat().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::testing::{address, entry, established, fib, fib_route, peer, snapshot};

    fn kernel(prefix: &str, hop: Option<&str>, device: &str, protocol: &str) -> api::KernelRoute {
        api::KernelRoute {
            prefix: prefix.to_owned(),
            kind: "unicast".to_owned(),
            next_hops: hop.into_iter().map(address).collect(),
            devices: vec![device.to_owned()],
            source: None,
            protocol: protocol.to_owned(),
            metric: 116,
            table: 254,
        }
    }

    /// What is asked, and what everybody believes; a case changes what it is about.
    struct Case {
        address: &'static str,
        route: Option<RouteEntry>,
        peers: Vec<PeerStatus>,
        fib: FibReport,
        kernel: Result<api::KernelRoute, String>,
        snapshot: Snapshot,
    }

    impl Default for Case {
        fn default() -> Case {
            Case {
                address: "10.244.2.9",
                route: Some(entry("10.244.2.0/24", "10.0.0.2", Some("node-b"))),
                peers: vec![established("node-b"), peer("node-c")],
                fib: fib(),
                kernel: Ok(kernel("10.244.2.0/24", Some("10.0.0.2"), "eth0", "twill")),
                snapshot: snapshot(),
            }
        }
    }

    /// The explanation must be reachable where no words are expected, and say each of them in a
    /// contradiction of its own where some are.
    fn check(case: Case, words: &[&str]) {
        let answer = explain(Parts {
            address: address(case.address),
            route: case.route.as_ref(),
            peers: &case.peers,
            fib: &case.fib,
            kernel: case.kernel,
            snapshot: &case.snapshot,
            now: SystemTime::now(),
        });
        assert_eq!(answer.contradictions.len(), words.len(), "{answer:#?}");
        for (contradiction, words) in answer.contradictions.iter().zip(words) {
            assert!(contradiction.contains(words), "{words:?} is not in {contradiction:?}");
        }
        let forwards = matches!(
            answer.kernel.as_ref().map(|kernel| kernel.kind.as_str()),
            Some("unicast" | "local")
        );
        assert_eq!(answer.reachable, words.is_empty() && forwards, "{answer:#?}");
    }

    fn without(mut fib: FibReport, prefix: &str) -> FibReport {
        fib.installed.retain(|route| route.prefix.to_string() != prefix);
        fib
    }

    #[test]
    fn what_agrees_is_not_contradicted() {
        check(Case::default(), &[]);
        // A pod of this node, on the bridge.
        check(
            Case {
                address: "10.244.1.5",
                route: Some(entry("10.244.1.0/24", "0.0.0.0", None)),
                kernel: Ok(kernel("10.244.1.0/24", None, "twill0", "twill")),
                ..Case::default()
            },
            &[],
        );
        // The host itself, and a neighbour of which BGP says nothing.
        let local = api::KernelRoute {
            kind: "local".to_owned(),
            ..kernel("10.0.0.1/32", None, "lo", "kernel")
        };
        check(Case { address: "10.0.0.1", route: None, kernel: Ok(local), ..Case::default() }, &[]);
        let link = kernel("10.0.0.0/24", None, "eth0", "kernel");
        check(Case { address: "10.0.0.2", route: None, kernel: Ok(link), ..Case::default() }, &[]);
        let default = || Some(entry("0.0.0.0/0", "10.0.0.254", Some("tor")));
        for kernel in [
            kernel("10.0.0.0/24", None, "eth0", "kernel"),
            kernel("10.0.0.2/32", Some("10.0.0.7"), "eth0", "static"),
        ] {
            let peers = vec![established("tor")];
            let (address, route, kernel) = ("10.0.0.2", default(), Ok(kernel));
            check(Case { address, route, peers, kernel, ..Case::default() }, &[]);
        }
        // Nowhere, and nobody said otherwise: no contradiction, and no way either.
        let nowhere = Err("network is unreachable".to_owned());
        check(
            Case {
                address: "192.0.2.1",
                route: None,
                fib: without(fib(), "0.0.0.0/0"),
                kernel: nowhere,
                ..Case::default()
            },
            &[],
        );
    }

    #[test]
    fn sessions_contradict() {
        let away = |stale, peers| {
            let mut route = entry("10.244.2.0/24", "10.0.0.2", Some("node-b"));
            route.view.stale = stale;
            Case { route: Some(route), peers, ..Case::default() }
        };
        check(away(true, vec![peer("node-b")]), &["kept while node-b is away"]);
        check(away(true, vec![established("node-b")]), &["has not announced it again yet"]);
        check(away(false, vec![]), &["is no peer any more"]);
        let nobody = |peers| Case {
            route: None,
            peers,
            fib: without(without(fib(), "10.244.2.0/24"), "0.0.0.0/0"),
            kernel: Err("network is unreachable".to_owned()),
            ..Case::default()
        };
        check(nobody(vec![]), &["node-b is not a peer of this node"]);
        check(nobody(vec![peer("node-b")]), &["its session is Idle"]);
        check(nobody(vec![established("node-b")]), &["`twill routes --all --peer node-b`"]);
    }

    #[test]
    fn the_owner_of_the_routes_contradicts() {
        let listed = |change: fn(&mut FibReport)| {
            let mut fib = without(fib(), "10.244.2.0/24");
            change(&mut fib);
            Case { fib, kernel: Err("network is unreachable".to_owned()), ..Case::default() }
        };
        let route = || fib_route("10.244.2.0/24", Some("10.0.0.2"), "eth0");
        check(
            listed(|fib| {
                let mut route = fib_route("10.244.2.0/24", Some("10.0.0.2"), "eth0");
                route.reason = Some("no connected subnet".to_owned());
                fib.missing.push(route);
            }),
            &["10.244.2.0/24 is not in the kernel: no connected subnet"],
        );
        let left = |unexpected: bool| {
            let mut fib = without(fib(), "10.244.2.0/24");
            if unexpected { &mut fib.unexpected } else { &mut fib.stale }.push(route());
            Case { route: None, fib, ..Case::default() }
        };
        check(left(false), &["there is no route", "left from the run before"]);
        check(left(true), &["there is no route", "should not be; it is about to go"]);
        let mut speaks_only = Case { fib: FibReport::default(), ..Case::default() };
        speaks_only.snapshot.dataplane.install = false;
        check(speaks_only, &["dataplane.install: false"]);
    }

    #[test]
    fn the_kernel_contradicts() {
        let answers = |kernel| Case { kernel, ..Case::default() };
        let ours = || kernel("10.244.2.0/24", Some("10.0.0.2"), "eth0", "twill");
        for (answer, words) in [
            (kernel("10.244.2.0/25", Some("10.0.0.7"), "eth0", "static"), "more specific than"),
            (kernel("10.244.2.0/25", None, "docker0", "kernel"), "more specific than"),
            (kernel("10.244.0.0/16", Some("10.0.0.7"), "eth0", "static"), "another table"),
            (kernel("10.244.2.0/24", Some("10.0.0.7"), "eth0", "static"), "goes before ours"),
            (kernel("10.244.2.0/24", Some("10.0.0.2"), "eth1", "static"), "goes before ours"),
            (
                api::KernelRoute { kind: "blackhole".to_owned(), next_hops: vec![], ..ours() },
                "goes before ours",
            ),
        ] {
            check(answers(Ok(answer)), &[words]);
        }
        check(answers(Err("permission denied".to_owned())), &["listed as installed, and yet"]);
    }
}
