//! One scrape: a registry filled from the state, written out, and forgotten.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family as Metrics;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use twill_bgp::PeerStatus;
use twill_bgp::proto::session::State;
use twill_bgp::proto::types::Family;

use super::{Counters, InstallTimes};
use crate::reconcile::report::FibReport;

/// What a scrape is made of.
pub(in crate::control) struct Parts<'a> {
    pub(in crate::control) peers: &'a [PeerStatus],
    pub(in crate::control) fib: &'a FibReport,
    /// Foreign routes that go before ours.
    pub(in crate::control) shadowed: usize,
    pub(in crate::control) installs: &'a InstallTimes,
    pub(in crate::control) counters: &'a Counters,
    pub(in crate::control) watch_restarts: u64,
    pub(in crate::control) version: &'a str,
}

type Label = std::borrow::Cow<'static, str>;

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Peer {
    peer: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Message {
    direction: Label,
    r#type: Label,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Prefixes {
    peer: String,
    family: String,
    kind: Label,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Refused {
    peer: String,
    reason: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FibState {
    state: Label,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Build {
    version: String,
}

/// The whole answer.
pub(in crate::control) fn encode(parts: &Parts<'_>) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("twill");
    sessions(&mut registry, parts);
    routes(&mut registry, parts);
    registry.register(
        "build",
        "Version of the agent",
        Info::new(Build { version: parts.version.to_owned() }),
    );
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

fn counter(value: u64) -> Counter {
    let counter = Counter::default();
    counter.inc_by(value);
    counter
}

fn sessions(registry: &mut Registry, parts: &Parts<'_>) {
    let up = Metrics::<Peer, Gauge>::default();
    let flaps = Metrics::<Peer, Counter>::default();
    let prefixes = Metrics::<Prefixes, Gauge>::default();
    for status in parts.peers {
        let peer = Peer { peer: status.config.name.clone() };
        up.get_or_create(&peer).set(i64::from(status.state == State::Established));
        flaps.get_or_create(&peer).inc_by(u64::from(status.flaps));
        for (kind, counts) in [
            ("received", status.received),
            ("accepted", status.accepted),
            ("rejected", status.rejected),
            ("stale", status.stale),
            ("advertised", status.advertised),
        ] {
            for (family, count) in Family::ALL.into_iter().zip(counts) {
                let labels = Prefixes {
                    peer: status.config.name.clone(),
                    family: family.to_string(),
                    kind: kind.into(),
                };
                prefixes.get_or_create(&labels).set(i64::from(count));
            }
        }
    }
    registry.register("bgp_peer_up", "Whether the session is established", up);
    registry.register("bgp_peer_flaps", "How often an established session was lost", flaps);
    registry.register(
        "bgp_prefixes",
        "Prefixes of a peer: received (refused ones included), accepted and rejected by policy, \
         stale (kept while it is away), advertised (sent to it)",
        prefixes,
    );
    let counts = parts.counters.look(parts.peers);
    let messages = Metrics::<Message, Counter>::default();
    let types = ["open", "update", "notification", "keepalive", "route-refresh"];
    for (direction, totals) in [("in", counts.messages_in), ("out", counts.messages_out)] {
        for (kind, total) in types.into_iter().zip(totals) {
            let labels = Message { direction: direction.into(), r#type: kind.into() };
            messages.get_or_create(&labels).inc_by(total);
        }
    }
    registry.register("bgp_messages", "BGP messages, of all peers", messages);
    let refused = Metrics::<Refused, Counter>::default();
    for ((peer, reason), count) in counts.refused {
        refused.get_or_create(&Refused { peer, reason }).inc_by(count);
    }
    registry.register(
        "bgp_routes_rejected",
        "Routes refused by import policy, by the rule that refused them",
        refused,
    );
    registry.register(
        "notices_lost",
        "Notices that came faster than they could be counted: refusals may be among them",
        counter(counts.lost),
    );
}

fn routes(registry: &mut Registry, parts: &Parts<'_>) {
    let fib = parts.fib;
    let states = Metrics::<FibState, Gauge>::default();
    for (state, routes) in [
        ("installed", fib.installed.len()),
        ("missing", fib.missing.len()),
        ("unexpected", fib.unexpected.len()),
        ("stale", fib.stale.len()),
        ("shadowed", parts.shadowed),
    ] {
        let labels = FibState { state: state.into() };
        states.get_or_create(&labels).set(i64::try_from(routes).unwrap_or(i64::MAX));
    }
    registry.register(
        "fib_routes",
        "Routes in the kernel against what should be there: installed, missing, unexpected, \
         stale (of the run before), shadowed (foreign ones that go before ours)",
        states,
    );
    registry.register(
        "fib_sync_seconds",
        "How long the last full comparison with the kernel took",
        ConstGauge::new(fib.last_sync.as_secs_f64()),
    );
    registry.register(
        "route_install_seconds",
        "From an UPDATE's arrival to the kernel's acknowledgement of its route",
        parts.installs.0.clone(),
    );
    registry.register(
        "reconcile_errors",
        "Changes that the kernel refused since the agent started",
        counter(fib.errors),
    );
    registry.register(
        "kube_watch_restarts",
        "Watches of the API server that had to be begun again; none where the source is a file",
        counter(parts.watch_restarts),
    );
}
