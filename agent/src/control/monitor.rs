//! `GET /v1/monitor`: events as they happen, until the listener leaves or the agent ends.
//!
//! Nothing is kept for a listener: where it reads too slowly, the channels drop their oldest and
//! the stream says how many are missing; of several changes of one route it then sees the last.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use twill_bgp::{BestChange, Notice, Stopped};

use super::api::{Event, EventKind, KernelAction};
use super::{Backend, Speaker, timestamp, view};
use crate::reconcile::report::{FibRoute, KernelNotice};

struct Monitor {
    speaker: Arc<dyn Speaker>,
    notices: broadcast::Receiver<Notice>,
    kernel: broadcast::Receiver<KernelNotice>,
    changes: BoxStream<'static, Vec<BestChange>>,
    /// The table as it stood before is no event.
    since: Instant,
    /// The rest of a batch of changes.
    pending: VecDeque<EventKind>,
}

/// Events from now on.
pub(super) async fn events(
    backend: &Backend,
) -> Result<impl Stream<Item = Event> + Send + use<>, Stopped> {
    let monitor = Monitor {
        speaker: backend.speaker.clone(),
        notices: backend.speaker.notices(),
        kernel: backend.kernel.subscribe(),
        changes: backend.speaker.changes().await?,
        since: Instant::now(),
        pending: VecDeque::new(),
    };
    Ok(stream::unfold(monitor, async |mut monitor| {
        let what = monitor.next().await?;
        Some((Event { time: timestamp::format(SystemTime::now()), what }, monitor))
    }))
}

impl Monitor {
    /// `None` once the speaker has ended.
    async fn next(&mut self) -> Option<EventKind> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            tokio::select! {
                notice = self.notices.recv() => return heard(notice, session),
                notice = self.kernel.recv() => return heard(notice, kernel),
                changes = self.changes.next() => match changes {
                    Some(changes) => {
                        let news = changes.into_iter().filter_map(|one| change(one, self.since));
                        self.pending.extend(news);
                    }
                    // Another speaker may have taken the place of the one that ended.
                    None => self.changes = self.speaker.changes().await.ok()?,
                }
            }
        }
    }
}

fn heard<T>(notice: Result<T, RecvError>, event: impl FnOnce(T) -> EventKind) -> Option<EventKind> {
    match notice {
        Ok(notice) => Some(event(notice)),
        Err(RecvError::Lagged(lost)) => Some(EventKind::Lag { lost }),
        Err(RecvError::Closed) => None,
    }
}

fn session(notice: Notice) -> EventKind {
    match notice {
        Notice::Peer { name, state, reason } => {
            EventKind::Session { peer: name, state: state.into(), reason }
        }
        Notice::Refused { peer, prefix, rule } => {
            EventKind::Refused { peer, prefix: prefix.to_string(), rule: rule.to_string() }
        }
        Notice::NearLimit { peer, family, received, limit } => {
            EventKind::NearLimit { peer, family: family.to_string(), received, limit }
        }
        Notice::Fault { peer, what } => EventKind::Fault { peer, what },
    }
}

fn kernel(notice: KernelNotice) -> EventKind {
    let event = |action, route: &FibRoute, error| EventKind::Kernel {
        action,
        route: view::fib_route(route),
        error,
    };
    match notice {
        KernelNotice::Installed(route) => event(KernelAction::Installed, &route, None),
        KernelNotice::Removed(route) => event(KernelAction::Removed, &route, None),
        KernelNotice::Restored(route) => event(KernelAction::Restored, &route, None),
        KernelNotice::Failed { route, error } => event(KernelAction::Failed, &route, Some(error)),
        KernelNotice::Setting { name, old, new } => EventKind::Setting { name, old, new },
    }
}

/// `None` for a route that was there before the listener came. A loss is always news: the table
/// as it stood held none.
fn change(change: BestChange, since: Instant) -> Option<EventKind> {
    let prefix = change.prefix.to_string();
    match change.route {
        None => Some(EventKind::Route { prefix, next_hop: None, from: None, stale: false }),
        Some(_) if change.received <= since => None,
        Some(route) => Some(EventKind::Route {
            prefix,
            next_hop: Some(route.attributes.next_hop.address()),
            from: Some(view::source(route.peer.as_ref())),
            stale: route.stale,
        }),
    }
}
