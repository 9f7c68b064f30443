//! The BGPNodeStatus of this node, by server-side apply: made with its Node as owner, so that it
//! goes when the Node goes.

use std::time::{Duration, SystemTime};

use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::Instant;
use twill_bgp::PeerStatus;
use twill_bgp::proto::session::State;

use super::condition::seconds;
use super::pause;
use crate::control::{self, Backend, down_because};
use crate::source::Snapshot;
use crate::source::kube::Findings;
use crate::source::kube::crd::{
    BGPNodeStatus, BGPNodeStatusStatus, Condition, RouteCounts, Session, SessionCounts,
};
use crate::source::kube::doubt::About;
use crate::source::kube::watching::chance;

/// Who applies.
const MANAGER: &str = "twill";
/// Between two writes, and the same for each node of the cluster: a node that comes or goes
/// changes what all agents have to say, and the API server must not have more than fifty of
/// these writes a second.
const LEAST: Duration = Duration::from_secs(10);
const PER_NODE: Duration = Duration::from_millis(20);
/// After a change of readiness, which people and rollouts wait for.
const READINESS: Duration = Duration::from_secs(1);
/// Sessions that are listed.
const SESSIONS: usize = 100;
/// Problems that are listed, and how long each may be.
const PROBLEMS: usize = 10;
const PROBLEM: usize = 400;

/// Keeps it as it should be.
#[derive(Debug, Default)]
pub(super) struct NodeStatus {
    written: Option<BGPNodeStatusStatus>,
    /// The object that the status belongs to is there.
    made_for: Option<About>,
    ready: Option<bool>,
    changed: bool,
    failures: u32,
    not_before: Option<Instant>,
    hurried: Option<Instant>,
}

impl NodeStatus {
    /// Something may have changed.
    pub(super) fn touch(&mut self) {
        self.changed = true;
    }

    /// When there is something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.not_before.filter(|_| self.changed)
    }

    pub(super) async fn reconcile(
        &mut self,
        client: &Client,
        known: &Findings,
        backend: &Backend,
        ready: bool,
    ) {
        let now = Instant::now();
        if self.ready.replace(ready) != Some(ready) {
            self.changed = true;
            // Once, and then no sooner than usual.
            if self.failures == 0 && self.hurried.is_none_or(|at| at + LEAST <= now) {
                self.hurried = Some(now);
                self.not_before = self.not_before.map(|at| at.min(now + READINESS));
            }
        }
        let first = self.written.is_none() && self.failures == 0;
        if !first && !self.changed || self.not_before.is_some_and(|at| at > now) {
            return;
        }
        let Some(own) = known.own.clone() else { return };
        let Ok(peers) = backend.speaker.peers().await else { return };
        let snapshot = backend.snapshot.borrow().clone();
        let status = digest(backend, &snapshot, &peers, self.written.as_ref());
        self.changed = false;
        if self.written.as_ref() == Some(&status) && self.made_for.as_ref() == Some(&own) {
            return;
        }
        let cluster = u32::try_from(snapshot.nodes.len()).unwrap_or(u32::MAX);
        match self.write(client, &own, &status).await {
            Ok(()) => {
                self.failures = 0;
                self.written = Some(status);
                let least = LEAST.max(PER_NODE.saturating_mul(cluster));
                self.not_before = Some(Instant::now() + least.mul_f64(0.75 + chance() / 2.0));
            }
            Err(error) => {
                if self.failures == 0 {
                    tracing::warn!("the BGPNodeStatus cannot be written: {error}");
                }
                self.changed = true;
                self.made_for = None;
                self.failures = self.failures.saturating_add(1);
                self.not_before = Some(Instant::now() + pause(self.failures));
            }
        }
    }

    async fn write(
        &mut self,
        client: &Client,
        own: &About,
        status: &BGPNodeStatusStatus,
    ) -> Result<(), kube::Error> {
        let api: Api<BGPNodeStatus> = Api::all(client.clone());
        let by_us = PatchParams::apply(MANAGER).force();
        let head = |metadata| {
            json!({
                "apiVersion": "twill.dev/v1alpha1", "kind": "BGPNodeStatus", "metadata": metadata,
            })
        };
        if self.made_for.as_ref() != Some(own) {
            let mut object = head(json!({
                "name": own.name,
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Node", "name": own.name, "uid": own.uid},
                ],
            }));
            object["spec"] = json!({});
            api.patch(&own.name, &by_us, &Patch::Apply(object)).await?;
            self.made_for = Some(own.clone());
        }
        let mut object = head(json!({"name": own.name}));
        object["status"] = json!(status);
        api.patch_status(&own.name, &by_us, &Patch::Apply(object)).await?;
        Ok(())
    }
}

/// What there is to say. Conditions keep the time of their last change from `before`.
fn digest(
    backend: &Backend,
    snapshot: &Snapshot,
    peers: &[PeerStatus],
    before: Option<&BGPNodeStatusStatus>,
) -> BGPNodeStatusStatus {
    let status = control::digest(backend, peers, None);
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let routes = RouteCounts {
        expected: count(status.routes.expected),
        installed: count(status.routes.installed),
        missing: count(status.routes.missing),
        unexpected: count(status.routes.unexpected),
        stale: count(status.routes.stale),
        rejected: u32::try_from(status.routes.rejected).unwrap_or(u32::MAX),
    };
    let totals = SessionCounts {
        configured: count(status.peers.configured),
        established: count(status.peers.established),
    };
    let conditions = vec![
        condition("Ready", status.ready, "RoutesInstalled", "WaitingForRoutes", || {
            "the routes of the first exchange are in the kernel, and the host is set up".to_owned()
        }),
        condition(
            "SessionsEstablished",
            totals.configured == totals.established,
            "AllEstablished",
            "SomeDown",
            || format!("{} of {}", totals.established, totals.configured),
        ),
        condition(
            "RoutesInstalled",
            routes.missing == 0 && routes.unexpected == 0,
            "AsExpected",
            "Different",
            || format!("{} missing, {} unexpected", routes.missing, routes.unexpected),
        ),
    ];
    BGPNodeStatusStatus {
        asn: status.asn,
        router_id: status.router_id.to_string(),
        version: status.version,
        peers: totals,
        sessions: sessions(snapshot, peers),
        routes,
        problems: status.problems.iter().take(PROBLEMS).map(|text| cut(text, PROBLEM)).collect(),
        conditions: conditions.into_iter().map(|new| dated(new, before)).collect(),
    }
}

fn condition(
    kind: &str,
    is: bool,
    good: &str,
    bad: &str,
    message: impl FnOnce() -> String,
) -> Condition {
    Condition {
        kind: kind.to_owned(),
        status: if is { "True" } else { "False" }.to_owned(),
        reason: if is { good } else { bad }.to_owned(),
        message: message(),
        last_transition_time: String::new(),
    }
}

fn dated(new: Condition, before: Option<&BGPNodeStatusStatus>) -> Condition {
    let mut known = before.iter().flat_map(|before| &before.conditions);
    let same = known.find(|old| old.kind == new.kind && old.status == new.status);
    let last_transition_time = match same {
        Some(old) => old.last_transition_time.clone(),
        None => seconds(SystemTime::now()),
    };
    Condition { last_transition_time, ..new }
}

/// Those with outside routers, and those that are down.
fn sessions(snapshot: &Snapshot, peers: &[PeerStatus]) -> Vec<Session> {
    let mesh = |peer: &PeerStatus| snapshot.nodes.contains_key(&peer.config.name);
    let mut shown: Vec<&PeerStatus> =
        peers.iter().filter(|peer| !mesh(peer) || peer.state != State::Established).collect();
    shown.sort_by_key(|peer| (mesh(peer), &peer.config.name));
    shown
        .into_iter()
        .take(SESSIONS)
        .map(|peer| Session {
            name: peer.config.name.clone(),
            address: peer.config.address.to_string(),
            asn: peer.config.asn.get(),
            kind: if mesh(peer) { "mesh" } else { "external" }.to_owned(),
            state: format!("{:?}", control::api::State::from(peer.state)),
            reason: down_because(peer).map(|reason| cut(&reason, PROBLEM)),
        })
        .collect()
}

/// At most so many bytes, on the boundary of a character.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..most.saturating_sub(2)).rev().find(|end| text.is_char_boundary(*end));
    format!("{}...", text.get(..end.unwrap_or(0)).unwrap_or_default())
}
