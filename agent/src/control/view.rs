//! From what the speaker and the owners tell of themselves to what the JSON says. Pure.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use twill_bgp::proto::rib::{LostBecause, PeerKind, RouteView};
use twill_bgp::proto::session::{Passive, State};
use twill_bgp::proto::types::{AsPath, Families, Family, Origin, RouterId, Segment, SegmentKind};
use twill_bgp::{Ended, PeerConfig, PeerStatus, Reason, RouteEntry, Ttl};

use super::{api, peer_detail, timestamp};
use crate::reconcile::report::{FibReport, FibRoute};
use crate::source::Snapshot;

/// The source of a route that this node announces itself.
pub(super) const LOCAL: &str = "local";

impl From<State> for api::State {
    fn from(state: State) -> api::State {
        match state {
            State::Idle => api::State::Idle,
            State::Connect => api::State::Connect,
            State::Active => api::State::Active,
            State::OpenSent => api::State::OpenSent,
            State::OpenConfirm => api::State::OpenConfirm,
            State::Established => api::State::Established,
        }
    }
}

/// `ipv4`, `ipv6`.
pub(super) fn families(families: Families) -> Vec<String> {
    families.iter().map(|family| family.to_string()).collect()
}

/// Whole seconds since then; a clock that was set back counts as no time.
pub(super) fn seconds_since(then: SystemTime, now: SystemTime) -> u64 {
    now.duration_since(then).unwrap_or_default().as_secs()
}

/// Where a peer is met: at the session's own address, or else at the first that is dialled.
pub(super) fn address(status: &PeerStatus) -> IpAddr {
    let dialled = status.config.endpoints.iter().find(|endpoint| endpoint.dialled);
    let first = dialled.map_or(status.config.address, |endpoint| endpoint.address);
    status.remote.map_or(first, |remote| remote.ip())
}

/// A peer, without its detail.
pub(super) fn peer(status: &PeerStatus, snapshot: &Snapshot, now: SystemTime) -> api::Peer {
    let config = &status.config;
    let in_mesh = snapshot.nodes.contains_key(&config.name)
        || !(snapshot.peers.contains_key(&config.name)
            || snapshot.ranges.values().any(|range| range.address_of(&config.name).is_some())
            || config.kind == PeerKind::External);
    let sum = |counts: [u32; 2]| counts.into_iter().map(u64::from).sum();
    let offered = status.negotiated.as_ref().map(|agreed| agreed.codec.families);
    api::Peer {
        name: config.name.clone(),
        address: address(status),
        asn: config.asn.get(),
        kind: if in_mesh { api::PeerKind::Mesh } else { api::PeerKind::External },
        ibgp: config.kind != PeerKind::External,
        state: status.state.into(),
        uptime_seconds: uptime(status, now),
        families: families(offered.unwrap_or(config.families)),
        prefixes_received: sum(status.received),
        prefixes_accepted: sum(status.accepted),
        prefixes_rejected: sum(status.rejected),
        prefixes_stale: sum(status.stale),
        prefixes_advertised: sum(status.advertised),
        near_limit: config
            .max_prefixes
            .map(|maximum| maximum.limit)
            .filter(|_| status.state == State::Established && !near_limit(status).is_empty()),
        flaps: status.flaps,
        last_error: status.last_error.as_ref().map(|(_, error)| words(error)),
        reasons: status.reasons.iter().map(ended).collect(),
        last_error_at: status.last_error.as_ref().map(|(at, _)| timestamp::format(*at)),
        down_because: down_because(status),
        detail: None,
    }
}

/// A peer with everything that is known of it.
pub(super) fn peer_whole(status: &PeerStatus, snapshot: &Snapshot, now: SystemTime) -> api::Peer {
    api::Peer { detail: Some(Box::new(peer_detail::detail(status))), ..peer(status, snapshot, now) }
}

/// How long a session has been up; `None` while it is down.
pub(super) fn uptime(status: &PeerStatus, now: SystemTime) -> Option<u64> {
    let up = status.state == State::Established;
    status.since.filter(|_| up).map(|since| seconds_since(since, now))
}

/// Why a session is not up, and what to do; `None` while it is up.
pub(crate) fn down_because(status: &PeerStatus) -> Option<String> {
    let config = &status.config;
    if status.state == State::Established {
        return None;
    }
    if let Some(words) = &config.shutdown {
        let colon = if words.is_empty() { "" } else { ": " };
        return Some(format!("shut down by its configuration{colon}{words}"));
    }
    let doing = match (status.state, config.passive) {
        (State::Established | State::Idle, _) => "idle until the next attempt".to_owned(),
        (State::Active, Passive::Yes) => {
            format!("waiting for {} to connect (passive)", config.address)
        }
        (State::Active, Passive::No) => "waiting to be called, or to dial again".to_owned(),
        (State::Connect, _) => format!("dialling {} port {}", config.address, config.port),
        (State::OpenSent, _) => "connected, waiting for the peer's OPEN".to_owned(),
        (State::OpenConfirm, _) => "OPENs exchanged, waiting for the peer's KEEPALIVE".to_owned(),
    };
    let newest = status.reasons.first().map(|reason| &reason.words);
    let lost = status.last_error.as_ref().map(|(_, error)| words(error));
    let Some(error) = newest.map(|error| words(error)).or_else(|| lost.clone()) else {
        return Some(doing);
    };
    let mut because = format!("{error}; {doing}");
    if let Some(remedy) = remedy(&error, config) {
        because.push_str("; ");
        because.push_str(remedy);
    }
    if let Some(lost) = lost.filter(|lost| *lost != error) {
        because.push_str(&format!("; the session was lost because: {lost}"));
    }
    Some(because)
}

/// Why a session was lost, or an attempt failed.
pub(super) fn ended(reason: &Reason) -> api::Reason {
    api::Reason {
        what: match reason.ended {
            Ended::Session => api::Ended::Lost,
            Ended::Attempt => api::Ended::Attempt,
        },
        error: words(&reason.words),
        since: timestamp::format(reason.since),
        at: timestamp::format(reason.at),
        times: reason.times,
    }
}

/// Of which families it has nearly sent as many prefixes as it may, each with the remedy.
pub(super) fn near_limit(status: &PeerStatus) -> Vec<String> {
    let Some((maximum, warn_at)) =
        status.config.max_prefixes.and_then(|maximum| Some((maximum, maximum.warn_at?)))
    else {
        return Vec::new();
    };
    let near = Family::ALL.into_iter().zip(status.received).filter(|(_, sent)| *sent >= warn_at);
    let words = |(family, sent): (Family, u32)| {
        format!(
            "{} has sent {sent} of at most {} {family} prefixes: raise maxPrefixes, or ask its \
             operator",
            status.config.name, maximum.limit
        )
    };
    near.map(words).collect()
}

/// An error without the numbers that Rust puts behind the operating system's words.
pub(super) fn words(error: &str) -> String {
    let mut out = String::with_capacity(error.len());
    let mut rest = error;
    while let Some((before, after)) = rest.split_once(" (os error ") {
        out.push_str(before);
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out
}

/// What usually helps against an error of the transport, whose words are the kernel's.
fn remedy(error: &str, config: &PeerConfig) -> Option<&'static str> {
    let error = error.to_ascii_lowercase();
    // The kernel's words, and the session's own, whose patience ends before.
    let silent = error.contains("timed out") || error.contains("did not open in time");
    if error.contains("connection refused") {
        Some("is a BGP speaker running there, and is this node one of its peers?")
    } else if silent && config.password.is_some() {
        Some(
            "no speaker there, a firewall, or a password that differs: TCP MD5 drops what is \
             signed otherwise, and what refuses unsigned",
        )
    } else if silent && matches!(config.ttl, Ttl::Gtsm(_)) {
        Some(
            "no speaker there (GTSM drops the refusal too), a firewall, a peer that expects a \
             password, or one that does not send TTL 255",
        )
    } else if silent {
        Some("a firewall, a host that is down, or a peer that expects a password or GTSM")
    } else if error.contains("no route to host") || error.contains("network is unreachable") {
        Some("check `ip route get` for its address, and the link")
    } else {
        None
    }
}

/// A route of the RIB.
pub(super) fn route(entry: &RouteEntry) -> api::Route {
    let RouteView { prefix, attributes, stale, lost, .. } = &entry.view;
    api::Route {
        prefix: prefix.to_string(),
        next_hop: attributes.next_hop.address(),
        from: source(entry.peer.as_ref()),
        as_path: as_path(&attributes.as_path),
        origin: match attributes.origin {
            Origin::Igp => "igp",
            Origin::Egp => "egp",
            Origin::Incomplete => "incomplete",
        }
        .to_owned(),
        local_pref: attributes.local_pref,
        med: attributes.med,
        communities: attributes.communities.iter().map(ToString::to_string).collect(),
        large_communities: attributes.large_communities.iter().map(ToString::to_string).collect(),
        originator_id: attributes.originator_id.map(RouterId::to_ipv4),
        cluster_list: attributes.cluster_list.iter().map(|cluster| cluster.0).collect(),
        best: lost.is_none(),
        valid: !matches!(
            lost,
            Some(
                LostBecause::Policy(_)
                    | LostBecause::AsLoop
                    | LostBecause::ReflectionLoop
                    | LostBecause::OwnNextHop
                    | LostBecause::RouteLeak
                    | LostBecause::ForeignPath
            )
        ),
        stale: *stale,
        reason: lost.as_ref().map(reason),
    }
}

/// Who a route is from.
pub(super) fn source(peer: Option<&Arc<str>>) -> String {
    peer.map_or(LOCAL, |name| &**name).to_owned()
}

fn as_path(path: &AsPath) -> Vec<api::PathElement> {
    let elements = |segment: &Segment| -> Vec<api::PathElement> {
        let asns = segment.asns.iter().map(|asn| asn.get());
        match segment.kind {
            SegmentKind::Sequence => asns.map(api::PathElement::As).collect(),
            SegmentKind::Set => vec![api::PathElement::Set(asns.collect())],
        }
    };
    path.segments.iter().flat_map(elements).collect()
}

/// Why a route is not the best, in the words of the decision process (RFC 4271 section 9.1.2).
fn reason(lost: &LostBecause) -> String {
    match lost {
        LostBecause::Policy(rule) => return format!("refused: {rule}"),
        LostBecause::AsLoop => "our own AS is in its path",
        LostBecause::ReflectionLoop => "it was reflected back to us",
        LostBecause::OwnNextHop => "its next hop is this node itself",
        LostBecause::RouteLeak => "a route leak: it is for customers only (RFC 9234)",
        LostBecause::ForeignPath => "its path does not begin with the peer's AS",
        LostBecause::LocalPref => "lower local preference",
        LostBecause::NotLocal => "this node announces the prefix itself",
        LostBecause::AsPathLength => "longer AS path",
        LostBecause::Origin => "worse origin",
        LostBecause::Med => "higher MED from the same neighbouring AS",
        LostBecause::Internal => "internal, and an external one exists",
        LostBecause::Stale => "stale, and a fresh one exists",
        LostBecause::RouterId => "higher router id",
        LostBecause::ClusterList => "reflected through more clusters",
        LostBecause::PeerAddress => "higher peer address",
    }
    .to_owned()
}

/// The kernel's routes.
pub(super) fn fib(report: &FibReport) -> api::Fib {
    let routes = |routes: &[FibRoute]| routes.iter().map(fib_route).collect();
    api::Fib {
        installed: routes(&report.installed),
        missing: routes(&report.missing),
        unexpected: routes(&report.unexpected),
        stale: routes(&report.stale),
        ready: report.ready,
        problems: report.problems.clone(),
        synced_at: report.synced_at.map(timestamp::format),
        sync_seconds: report.last_sync.as_secs_f64(),
        errors: report.errors,
    }
}

/// One of the kernel's routes.
pub(super) fn fib_route(route: &FibRoute) -> api::FibRoute {
    api::FibRoute {
        prefix: route.prefix.to_string(),
        next_hop: route.next_hop,
        device: route.device.clone(),
        reason: route.reason.clone(),
    }
}
