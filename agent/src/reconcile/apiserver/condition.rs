//! `NetworkUnavailable` of our Node: what keeps the scheduler from sending pods here before the
//! routes of this boot are in the kernel (law 7).
//!
//! It is cleared once, when the node is ready, and again where somebody else sets it. A later
//! fault does not bring it back. What an earlier boot cleared is set again until this one is
//! ready; an agent that starts again within a boot that was ready leaves it alone.

use std::time::{Duration, SystemTime};

use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::Instant;

use super::pause;
use crate::control::timestamp;
use crate::source::kube::Findings;
use crate::source::kube::node::{NETWORK, Network};
use crate::source::kube::object::Node;

/// Between two writes, where somebody keeps setting it.
const LEAST: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct NodeCondition {
    ready_once: bool,
    failures: u32,
    not_before: Option<Instant>,
    waits: bool,
}

impl NodeCondition {
    pub(super) fn new(ready_once: bool) -> NodeCondition {
        NodeCondition { ready_once, failures: 0, not_before: None, waits: false }
    }

    /// When there is something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.not_before.filter(|_| self.waits)
    }

    pub(super) async fn reconcile(&mut self, client: &Client, known: &Findings, ready: bool) {
        self.ready_once |= ready;
        self.waits = false;
        let (Some(own), Some(unavailable)) =
            (&known.own, wanted(self.ready_once, known.network.as_ref()))
        else {
            return;
        };
        if self.not_before.is_some_and(|at| at > Instant::now()) {
            self.waits = true;
            return;
        }
        let api: Api<Node> = Api::all(client.clone());
        let patch = Patch::Strategic(patch(unavailable, SystemTime::now()));
        let name = &own.name;
        match api.patch_status(name, &PatchParams::default(), &patch).await {
            Ok(_) => {
                let is = if unavailable { "set" } else { "cleared" };
                tracing::info!("{NETWORK} of Node {name} is {is}");
                self.failures = 0;
                self.not_before = Some(Instant::now() + LEAST);
            }
            Err(error) => {
                if self.failures == 0 {
                    tracing::warn!("{NETWORK} of Node {name} cannot be written: {error}");
                }
                self.failures = self.failures.saturating_add(1);
                self.not_before = Some(Instant::now() + pause(self.failures));
                self.waits = true;
            }
        }
    }
}

/// What to write; `None`: nothing.
pub(super) fn wanted(ready_once: bool, is: Option<&Network>) -> Option<bool> {
    match (ready_once, is) {
        (true, Some(network)) if !network.unavailable => None,
        (true, _) => Some(false),
        // An earlier boot's word, and ours to take back.
        (false, Some(network)) if network.ours && !network.unavailable => Some(true),
        (false, _) => None,
    }
}

fn patch(unavailable: bool, now: SystemTime) -> serde_json::Value {
    let now = seconds(now);
    let (status, reason, message) = if unavailable {
        ("True", "TwillIsStarting", "the routes of this boot are not in the kernel yet")
    } else {
        ("False", "TwillIsUp", "the routes of this boot are in the kernel")
    };
    json!({"status": {"conditions": [{
        "type": NETWORK, "status": status, "reason": reason, "message": message,
        "lastHeartbeatTime": now, "lastTransitionTime": now,
    }]}})
}

/// RFC 3339 without fractions, as the API server writes times.
pub(super) fn seconds(time: SystemTime) -> String {
    let text = timestamp::format(time);
    match text.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => text,
    }
}
