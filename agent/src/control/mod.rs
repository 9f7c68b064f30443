//! What the command line, metrics and probes see of the agent.
//!
//! ```text
//!   twill status ──> /run/twill/twill.sock ─┐                 ┌─> speaker (ask)
//!                                           ├─> router ──────>├─> reports, Snapshot (look)
//!   Prometheus, kubelet, browser ──> :9179 ─┘  one document   ├─> kernel (RTM_GETROUTE)
//!                                              or a stream    └─> notices (listen)
//! ```
//!
//! In goes a [`Backend`]: what others own, and control only looks at. Out come JSON documents
//! ([`api`]), lines of events, and metrics. Nothing is cached: each answer is made from the state
//! at that moment, by pure functions (`view`, `status`, `explain`, `announcements`). Announcing,
//! withdrawing, resetting and draining are the only things that change anything, and only the Unix socket
//! (mode 0600) takes them.
//!
//! Every client is bounded: how many there are, how much a request may hold, how long an answer
//! may take, and how far a listener may fall behind.

mod announcements;
mod answer;
pub mod api;
mod backend;
mod drain;
mod explain;
mod health;
mod ipam;
mod lookup;
pub mod metrics;
mod monitor;
mod page;
mod peer_detail;
mod reading;
mod router;
#[cfg(test)]
pub(crate) mod samples;
mod serve;
mod socket;
mod speaker;
mod status;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod timestamp;
mod view;

use std::sync::Arc;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

pub use backend::Backend;
pub use metrics::InstallTimes;
pub(crate) use reading::digest;
pub use socket::{ControlError, ControlSocket, HttpListener};
pub use speaker::{Answer, Speaker};
pub(crate) use view::down_because;

use crate::reconcile::report::ConfigReport;

/// What every request is answered from.
struct Shared {
    backend: Backend,
    counters: metrics::Counters,
    /// Of control itself: why the HTTP address is not served.
    problem: watch::Sender<Option<String>>,
}

/// Serves until it is dropped: the Unix socket, and the HTTP address of the snapshot, which is
/// followed when it changes. Both are bound before, so that a clash ends the start with a clear
/// error; `http` is the listener for the first snapshot's address.
pub async fn run(backend: Backend, socket: ControlSocket, http: Option<HttpListener>) {
    let shared = Arc::new(Shared {
        backend,
        counters: metrics::Counters::default(),
        problem: watch::Sender::new(None),
    });
    let (local, public) = (router::socket(shared.clone()), router::http(shared.clone()));
    tokio::join!(
        serve::socket(&socket, &local),
        serve::http(&shared, http, &public),
        count(&shared),
    );
}

/// Answers while the source has told no world yet, and the agent can only say what it waits for;
/// until dropped.
pub async fn wait(
    socket: &ControlSocket,
    http: Option<&HttpListener>,
    why: watch::Receiver<Arc<ConfigReport>>,
) {
    let router = health::waiting(why);
    tokio::join!(serve::socket(socket, &router), serve::bound(http, &router));
}

/// Counts what the speaker only tells as it happens.
async fn count(shared: &Shared) {
    let mut notices = shared.backend.speaker.notices();
    loop {
        match notices.recv().await {
            Ok(notice) => shared.counters.notice(notice),
            Err(RecvError::Lagged(number)) => shared.counters.lost(number),
            // The speaker has ended; whoever asks is told so until the agent ends.
            Err(RecvError::Closed) => return,
        }
    }
}
