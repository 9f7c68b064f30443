//! Best paths for whoever installs or shows them: first all of them, then each change.
//!
//! The core writes changes into a map keyed by prefix, one map for each subscriber, and hands the
//! map's content over as a batch whenever the subscriber has taken the batch before. So a quick
//! subscriber sees every change at once, and a slow one costs a map that cannot outgrow the
//! table: of several changes of one prefix it sees the last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use twill_bgp_proto::types::{Attributes, Prefix};

use crate::status::Readiness;

/// Changes handed over at once: small enough that the receiver stays responsive.
const BATCH: usize = 4096;

/// The best route of a prefix, as a subscriber sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BestRoute {
    /// After import policy.
    pub attributes: Arc<Attributes>,
    /// The name of the peer it came from; `None` for our own.
    pub peer: Option<Arc<str>>,
    /// That peer is gone and may return (RFC 4724).
    pub stale: bool,
}

/// A new best route of one prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BestChange {
    /// Of which prefix.
    pub prefix: Prefix,
    /// `None` where no route is left.
    pub route: Option<BestRoute>,
    /// When what caused it was received.
    pub received: Instant,
}

/// One batch, and how things stood when it was taken.
#[derive(Debug)]
struct Batch {
    changes: Vec<BestChange>,
    readiness: Readiness,
}

/// A stream of best-path changes that begins with the whole Loc-RIB. Dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    batches: mpsc::Receiver<Batch>,
    readiness: Readiness,
}

impl Subscription {
    /// The next changes, each prefix at most once; `None` when the speaker has ended.
    ///
    /// A batch is empty where only [`Subscription::readiness`] changed, and the first batch is
    /// empty where the Loc-RIB is. Safe to cancel.
    pub async fn next(&mut self) -> Option<Vec<BestChange>> {
        let batch = self.batches.recv().await?;
        self.readiness = batch.readiness;
        Some(batch.changes)
    }

    /// Readiness in order with the changes: `InSync` only once [`Subscription::next`] has
    /// returned every route that was best when the first exchange was complete. Whoever sweeps
    /// old routes goes by this, and not by the watch channel, which may run ahead.
    pub fn readiness(&self) -> Readiness {
        self.readiness
    }
}

/// The core's end of a [`Subscription`].
#[derive(Debug)]
pub(crate) struct Feed {
    batches: mpsc::Sender<Batch>,
    pending: BTreeMap<Prefix, (Option<BestRoute>, Instant)>,
    /// What the subscriber was told last; `None` before its first batch.
    told: Option<Readiness>,
    /// Somebody waits for room already.
    pub(crate) waiting: bool,
}

/// Whether a feed has more to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// All was handed over.
    Everything,
    /// The subscriber has yet to take a batch.
    NoRoom,
    /// Nobody listens any more.
    Closed,
}

/// A feed and its subscription.
pub(crate) fn feed() -> (Feed, Subscription) {
    let (sender, receiver) = mpsc::channel(1);
    let feed = Feed { batches: sender, pending: BTreeMap::new(), told: None, waiting: false };
    (feed, Subscription { batches: receiver, readiness: Readiness::Waiting })
}

impl Feed {
    /// Notes a change; the last of a prefix wins.
    pub(crate) fn push(&mut self, prefix: Prefix, route: Option<BestRoute>, received: Instant) {
        self.pending.insert(prefix, (route, received));
    }

    /// Whether no change waits to be handed over.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Hands over as much as the subscriber has room for. `InSync` goes out with the last batch
    /// of what is pending, never before.
    pub(crate) fn flush(&mut self, readiness: Readiness) -> Flushed {
        while self.told.is_none_or(|told| told != readiness) || !self.pending.is_empty() {
            let permit = match self.batches.try_reserve() {
                Ok(permit) => permit,
                Err(mpsc::error::TrySendError::Full(())) => return Flushed::NoRoom,
                Err(mpsc::error::TrySendError::Closed(())) => return Flushed::Closed,
            };
            let rest = match self.pending.keys().nth(BATCH).copied() {
                Some(first_left) => self.pending.split_off(&first_left),
                None => BTreeMap::new(),
            };
            let batch = std::mem::replace(&mut self.pending, rest);
            let changes = batch
                .into_iter()
                .map(|(prefix, (route, received))| BestChange { prefix, route, received })
                .collect();
            let told = if self.pending.is_empty() {
                readiness
            } else {
                self.told.unwrap_or(Readiness::Waiting)
            };
            self.told = Some(told);
            permit.send(Batch { changes, readiness: told });
        }
        if self.batches.is_closed() { Flushed::Closed } else { Flushed::Everything }
    }

    /// Completes when the subscriber has room again, or is gone.
    pub(crate) fn room(&self) -> impl Future<Output = ()> + Send + use<> {
        let sender = self.batches.clone();
        async move {
            // The permit goes back at once: the next flush takes it, with all that came since.
            drop(sender.reserve_owned().await);
        }
    }
}

#[cfg(test)]
mod tests {
    use twill_bgp_proto::types::Ipv4Prefix;

    use super::*;

    fn prefix(index: u32) -> Prefix {
        Prefix::V4(Ipv4Prefix::truncating((index << 8).into(), 24).unwrap())
    }

    const SYNCED: Readiness = Readiness::InSync { by_timer: false };

    #[tokio::test]
    async fn an_empty_table_is_told_as_well() {
        let (mut feed, mut subscription) = feed();
        assert_eq!(feed.flush(SYNCED), Flushed::Everything);
        assert_eq!(subscription.next().await.unwrap(), []);
        assert_eq!(subscription.readiness(), SYNCED);
        assert_eq!(feed.flush(SYNCED), Flushed::Everything);
        drop(feed);
        assert_eq!(subscription.next().await, None);
    }

    #[tokio::test]
    async fn a_slow_subscriber_sees_the_last_change_of_each_prefix() {
        let (mut feed, mut subscription) = feed();
        let now = Instant::now();
        let route = BestRoute {
            attributes: Arc::new(Attributes::originated(
                std::net::IpAddr::from([192, 0, 2, 1]).into(),
            )),
            peer: None,
            stale: false,
        };
        feed.push(prefix(0), None, now);
        assert_eq!(feed.flush(Readiness::Waiting), Flushed::Everything);
        for round in 0..100_u32 {
            feed.push(prefix(round % 3), (round % 2 == 0).then(|| route.clone()), now);
            assert_eq!(feed.flush(Readiness::Waiting), Flushed::NoRoom);
        }
        assert_eq!(subscription.next().await.unwrap().len(), 1);
        feed.room().await;
        assert_eq!(feed.flush(Readiness::Waiting), Flushed::Everything);
        let changes = subscription.next().await.unwrap();
        let seen: Vec<_> =
            changes.iter().map(|change| (change.prefix, change.route.is_some())).collect();
        assert_eq!(seen, [(prefix(0), false), (prefix(1), false), (prefix(2), true)]);
    }

    #[tokio::test]
    async fn readiness_comes_with_the_last_of_what_was_pending() {
        let (mut feed, mut subscription) = feed();
        let now = Instant::now();
        let count = u32::try_from(BATCH).unwrap() * 2 + 1;
        for index in 0..count {
            feed.push(prefix(index), None, now);
        }
        let mut sizes = Vec::new();
        loop {
            let flushed = feed.flush(SYNCED);
            sizes.push(subscription.next().await.unwrap().len());
            if flushed == Flushed::Everything {
                break;
            }
            assert_eq!(subscription.readiness(), Readiness::Waiting);
            feed.room().await;
        }
        assert_eq!(sizes, [BATCH, BATCH, 1]);
        assert_eq!(subscription.readiness(), SYNCED);
    }

    #[tokio::test]
    async fn a_subscriber_that_left_is_noticed() {
        let (mut feed, subscription) = feed();
        drop(subscription);
        assert_eq!(feed.flush(SYNCED), Flushed::Closed);
    }
}
