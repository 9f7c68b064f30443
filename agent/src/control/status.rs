//! `GET /v1/status`: everything in one document. Pure.

use std::time::Duration;

use twill_bgp::PeerStatus;
use twill_bgp::proto::session::State;

use super::{api, timestamp, view};
use crate::reconcile::report::{
    CniReport, ConfigReport, FibReport, HostReport, MasqueradeReport, ShadowReport,
};
use crate::source::Snapshot;

/// Of the errors of sessions, how many are shown.
const NEWEST_ERRORS: usize = 5;

/// Of problems of one kind, how many are shown: a partition takes hundreds of sessions.
const OF_A_KIND: usize = 10;

/// What a status is made of.
pub(super) struct Parts<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) peers: &'a [PeerStatus],
    pub(super) fib: &'a FibReport,
    pub(super) shadows: &'a ShadowReport,
    pub(super) host: &'a HostReport,
    pub(super) config: &'a ConfigReport,
    pub(super) cni: &'a CniReport,
    pub(super) masquerade: &'a MasqueradeReport,
    /// Of control itself: an HTTP address that is taken.
    pub(super) control: Option<String>,
    pub(super) uptime: Duration,
    pub(super) version: &'a str,
}

pub(super) fn status(parts: &Parts<'_>) -> api::Status {
    let Parts { snapshot, peers, fib, host, config, cni, .. } = parts;
    let established = peers.iter().filter(|peer| peer.state == State::Established).count();
    let problems = problems(parts);
    let ready = not_ready(fib, host).is_empty();
    api::Status {
        node: snapshot.node.name.clone(),
        asn: snapshot.node.asn.get(),
        router_id: snapshot.router_id.to_ipv4(),
        ready,
        healthy: ready && problems.is_empty(),
        peers: api::PeerTotals { configured: peers.len(), established },
        routes: api::RouteTotals {
            expected: fib.installed.len().saturating_add(fib.missing.len()),
            installed: fib.installed.len(),
            missing: fib.missing.len(),
            unexpected: fib.unexpected.len(),
            stale: fib.stale.len(),
            shadowed: parts.shadows.count,
            rejected: peers.iter().flat_map(|peer| peer.rejected).map(u64::from).sum(),
        },
        uptime_seconds: parts.uptime.as_secs(),
        version: parts.version.to_owned(),
        config: api::Config {
            loaded_at: config.loaded_at.map(timestamp::format),
            refused: config.refused.clone(),
            warnings: config.warnings.clone(),
        },
        problems,
        sessions_down: sessions_down(parts),
        last_errors: last_errors(peers),
        synced_at: fib.synced_at.map(timestamp::format),
        sync_seconds: fib.last_sync.as_secs_f64(),
        cni_written: cni.written,
        masquerading: parts.masquerade.active,
        host_changes: host.changed.clone(),
        drain: snapshot.drain,
    }
}

/// Why this node is not ready to route; empty where it is.
pub(super) fn not_ready(fib: &FibReport, host: &HostReport) -> Vec<String> {
    let mut reasons = Vec::new();
    if !fib.ready {
        reasons.push("routes: the first exchange is not over, or its routes are not installed");
    }
    if !host.ready {
        reasons.push("host: bridge, addresses or interface settings are not in place");
    }
    reasons.into_iter().map(str::to_owned).collect()
}

/// What is wrong, worst first.
fn problems(parts: &Parts<'_>) -> Vec<String> {
    let Parts { peers, fib, host, config, control, .. } = parts;
    let mut problems = not_ready(fib, host);
    problems.extend(config.refused.as_ref().map(|why| {
        format!("the newest configuration was refused and the one before is in force: {why}")
    }));
    problems.extend(config.problems.iter().cloned());
    problems.extend(control.clone());
    problems.extend(host.problems.iter().cloned());
    problems.extend(parts.masquerade.problems.iter().cloned());
    problems.extend(fib.problems.iter().cloned());
    let told = problems.clone();
    let missing = fib.missing.iter().map(|route| match &route.reason {
        Some(reason) => format!("route {} is missing: {reason}", route.prefix),
        None => format!("route {} is missing; see `twill fib`", route.prefix),
    });
    // A reason that the owner of the routes has told as a problem already is not told twice.
    let tells = |problem: &str, line: &str| {
        let words = problem.split_once(": ").map_or(problem, |(_, words)| words);
        line.ends_with(problem) || line.ends_with(words)
    };
    let untold = missing.filter(|line| !told.iter().any(|problem| tells(problem, line)));
    some(&mut problems, untold, "missing routes: see `twill fib`");
    let unexpected = fib.unexpected.iter().map(|route| {
        format!("route {} should not be in the kernel, and is about to go", route.prefix)
    });
    some(&mut problems, unexpected, "unexpected routes: see `twill fib`");
    let shadows = parts.shadows.shadows.iter();
    problems.extend(shadows.map(|shadow| format!("{}: {}", shadow.prefix, shadow.words)));
    let untold = parts.shadows.count.saturating_sub(parts.shadows.shadows.len());
    if untold > 0 {
        problems.push(format!("{untold} more foreign routes that go before ours"));
    }
    problems.extend(cut_off(parts));
    let routers = peers.iter().filter(|peer| !is_node(parts.snapshot, peer));
    some(&mut problems, down(routers), "sessions that are down: see `twill peers`");
    let near = peers.iter().flat_map(|peer| view::near_limit(peer).into_iter());
    some(&mut problems, near, "peers near their limit: see `twill peers`");
    problems
}

fn is_node(snapshot: &Snapshot, peer: &PeerStatus) -> bool {
    snapshot.nodes.contains_key(&peer.config.name)
}

/// One node that is away is its own trouble, and every other node would tell of it as its own.
/// Where fewer than half of the sessions with nodes are up, it is more likely this one that is.
fn cut_off(parts: &Parts<'_>) -> Option<String> {
    let nodes = parts.peers.iter().filter(|peer| is_node(parts.snapshot, peer));
    let up: Vec<bool> = nodes.map(|peer| peer.state == State::Established).collect();
    let established = up.iter().filter(|up| **up).count();
    (established * 2 < up.len()).then(|| {
        format!(
            "this node may be cut off: {established} of {} sessions with other nodes are up; \
             check its links, and what stands under \"Sessions down\"",
            up.len()
        )
    })
}

/// Sessions with nodes that are down. Those with outside routers are problems of this node.
fn sessions_down(parts: &Parts<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let nodes = parts.peers.iter().filter(|peer| is_node(parts.snapshot, peer));
    some(&mut lines, down(nodes), "sessions that are down: see `twill peers`");
    lines
}

/// Each session of these that is down, and why.
fn down<'a>(peers: impl Iterator<Item = &'a PeerStatus>) -> impl Iterator<Item = String> {
    let mut down: Vec<_> = peers.filter(|peer| is_missed(peer)).collect();
    down.sort_by_key(|peer| &peer.config.name);
    down.into_iter().map(|peer| {
        let why = view::down_because(peer).unwrap_or_default();
        format!("no session with {}: {why}", peer.config.name)
    })
}

/// Down, and not because the configuration says so.
fn is_missed(peer: &PeerStatus) -> bool {
    peer.state != State::Established && peer.config.shutdown.is_none()
}

/// Adds the first few, and how many there are more.
fn some(problems: &mut Vec<String>, mut lines: impl Iterator<Item = String>, more: &str) {
    problems.extend(lines.by_ref().take(OF_A_KIND));
    let left = lines.count();
    if left > 0 {
        problems.push(format!("{left} more {more}"));
    }
}

/// The newest first, each peer's last. What a session met with before it first came up is past,
/// and says nothing of it now.
fn last_errors(peers: &[PeerStatus]) -> Vec<api::PeerError> {
    let mut errors: Vec<_> = peers
        .iter()
        .filter(|peer| peer.state != State::Established || peer.flaps > 0)
        .filter_map(|peer| peer.last_error.as_ref().map(|(at, error)| (at, peer, error)))
        .collect();
    errors.sort_by(|one, other| other.0.cmp(one.0));
    errors
        .into_iter()
        .take(NEWEST_ERRORS)
        .map(|(at, peer, error)| api::PeerError {
            peer: peer.config.name.clone(),
            at: timestamp::format(*at),
            error: view::words(error),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::testing;

    #[test]
    fn what_came_before_the_first_session_is_no_error_of_it() {
        let failed = Some((std::time::SystemTime::UNIX_EPOCH, "Connection refused".to_owned()));
        let down = PeerStatus { last_error: failed.clone(), ..testing::peer("down") };
        let up = PeerStatus { last_error: failed, flaps: 0, ..testing::established("up") };
        let lost_once = PeerStatus { flaps: 1, ..up.clone() };
        let named = |peers: &[PeerStatus]| last_errors(peers).len();
        assert_eq!(named(&[down]), 1);
        assert_eq!(named(&[up]), 0);
        assert_eq!(named(&[lost_once]), 1);
    }

    #[test]
    fn a_limit_that_is_near_is_a_problem_that_names_it() {
        let near = |received| {
            let mut peer = testing::established("tor");
            let config = (*peer.config).clone().max_prefixes(twill_bgp::MaxPrefixes {
                limit: 10,
                warn_at: Some(8),
                restart_after: None,
            });
            peer.config = std::sync::Arc::new(config);
            peer.received = received;
            let shown = view::peer(&peer, &testing::snapshot(), std::time::SystemTime::UNIX_EPOCH);
            (view::near_limit(&peer).len(), shown.near_limit)
        };
        assert_eq!(near([7, 7]), (0, None));
        assert_eq!(near([8, 0]), (1, Some(10)));
        assert_eq!(near([10, 9]), (2, Some(10)));
    }

    #[test]
    fn many_problems_of_a_kind_are_counted() {
        let mut problems = vec!["first".to_owned()];
        some(&mut problems, (0..OF_A_KIND + 3).map(|number| number.to_string()), "of them");
        assert_eq!(problems.len(), 1 + OF_A_KIND + 1);
        assert_eq!(problems.last().unwrap(), "3 more of them");
    }
}
