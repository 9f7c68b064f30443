//! The owner of what the API server says of this node: the condition NetworkUnavailable of its
//! Node, its BGPNodeStatus, and Events about what was refused.
//!
//! Everything is written on change only, and no oftener than its own limit: one node that comes
//! or goes changes the counts of all, and thousands of agents must not all write at once. What
//! cannot be written is tried again; nothing of the agent ever waits for it.

mod condition;
mod events;
mod status;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::Instant;
use twill_bgp::Notice;

use self::condition::NodeCondition;
use self::events::Events;
use self::status::NodeStatus;
use crate::control::Backend;
use crate::reconcile::cni::was_ready;
use crate::source::kube::Findings;
use crate::source::kube::client::Connection;

/// How often it looks, whether anything is known to have changed or not.
const LOOK: Duration = Duration::from_secs(30);
/// Wakes that come close together are one.
const SETTLE: Duration = Duration::from_millis(100);

/// What the owner is given.
pub struct Inputs {
    /// The API server.
    pub connection: Connection,
    /// Our Node, and what to tell.
    pub findings: watch::Receiver<Arc<Findings>>,
    /// How the agent does.
    pub backend: Backend,
}

/// Runs until dropped. `readiness_file`: where it is noted that this boot was ready once.
pub async fn run(inputs: Inputs, readiness_file: &Path) {
    let Inputs { connection, mut findings, backend } = inputs;
    let (mut fib, mut host) = (backend.fib.clone(), backend.host.clone());
    let mut notices = backend.speaker.notices();
    let mut condition = NodeCondition::new(was_ready(readiness_file));
    let mut status = NodeStatus::default();
    let mut events = Events::default();
    loop {
        let known = Arc::clone(&findings.borrow_and_update());
        let ready = fib.borrow_and_update().ready && host.borrow_and_update().ready;
        events.note(&known.doubts);
        condition.reconcile(&connection.client, &known, ready).await;
        status.reconcile(&connection.client, &known, &backend, ready).await;
        let node = backend.snapshot.borrow().node.name.clone();
        events.write(&connection.client, &node).await;
        let due = [condition.due(), status.due(), events.due()].into_iter().flatten().min();
        let wake = due.unwrap_or_else(|| Instant::now() + LOOK).min(Instant::now() + LOOK);
        tokio::time::sleep(SETTLE).await;
        tokio::select! {
            changed = findings.changed() => if changed.is_err() { return },
            changed = fib.changed() => {
                if changed.is_err() { return }
                status.touch();
            }
            changed = host.changed() => if changed.is_err() { return },
            notice = notices.recv() => {
                status.touch();
                match notice {
                    Ok(Notice::Refused { peer, prefix, rule }) => {
                        events.refused(&known, &backend.snapshot.borrow(), &peer, prefix, &rule);
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
            () = tokio::time::sleep_until(wake) => {}
        }
        // Refusals come in bursts, and each is only noted.
        while let Ok(notice) = notices.try_recv() {
            status.touch();
            if let Notice::Refused { peer, prefix, rule } = notice {
                events.refused(&known, &backend.snapshot.borrow(), &peer, prefix, &rule);
            }
        }
    }
}

/// How long to wait after an attempt that failed, the `failures`th in a row.
fn pause(failures: u32) -> Duration {
    let longest = Duration::from_secs(60);
    let pause = Duration::from_secs(1).saturating_mul(1 << failures.min(6)).min(longest);
    pause.div_f64(2.0) + pause.mul_f64(crate::source::kube::watching::chance() / 2.0)
}
