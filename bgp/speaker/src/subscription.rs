//! Best paths for whoever installs or shows them: first all of them, then each change.
//!
//! The core notes changes in batches, for each subscriber its own, and hands the oldest over
//! whenever the subscriber has taken the one before. Of several changes of one prefix that wait
//! there, only the last is kept. So a quick subscriber sees every change at once, and a slow one
//! costs notes that cannot outgrow the table.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
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
    pending: Pending,
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
    let feed = Feed { batches: sender, pending: Pending::default(), told: None, waiting: false };
    (feed, Subscription { batches: receiver, readiness: Readiness::Waiting })
}

impl Feed {
    /// Notes a change; the last of a prefix wins.
    pub(crate) fn push(&mut self, prefix: Prefix, route: Option<BestRoute>, received: Instant) {
        self.pending.note(BestChange { prefix, route, received });
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
            let changes = self.pending.take();
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

/// Changes that wait, each prefix at most once, in batches of at most [`BATCH`].
#[derive(Debug, Default)]
struct Pending {
    batches: VecDeque<Vec<BestChange>>,
    /// The number of the first of them; they are numbered as they come.
    first: usize,
    /// The number of the batch that speaks of a prefix, and where in it.
    places: HashMap<Prefix, (usize, usize)>,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    fn note(&mut self, change: BestChange) {
        match self.places.entry(change.prefix) {
            Entry::Occupied(known) => {
                let (batch, at) = *known.get();
                let batch = self.batches.get_mut(batch.wrapping_sub(self.first));
                if let Some(before) = batch.and_then(|batch| batch.get_mut(at)) {
                    *before = change;
                }
            }
            Entry::Vacant(new) => {
                if self.batches.back().is_none_or(|last| last.len() >= BATCH) {
                    self.batches.push_back(Vec::new());
                }
                let number = self.first.wrapping_add(self.batches.len() - 1);
                if let Some(last) = self.batches.back_mut() {
                    new.insert((number, last.len()));
                    last.push(change);
                }
            }
        }
    }

    /// The oldest batch; an empty one, where nothing waits.
    fn take(&mut self) -> Vec<BestChange> {
        let Some(batch) = self.batches.pop_front() else { return Vec::new() };
        self.first = self.first.wrapping_add(1);
        for change in &batch {
            self.places.remove(&change.prefix);
        }
        if self.batches.is_empty() && self.places.capacity() > 2 * BATCH {
            // A whole table may have waited; the next one seldom does.
            self.places.shrink_to(BATCH);
        }
        batch
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

    #[test]
    fn what_waits_keeps_its_place_and_the_last_that_was_said() {
        let mut pending = Pending::default();
        let now = Instant::now();
        let later = now + std::time::Duration::from_secs(1);
        let count = u32::try_from(BATCH).unwrap() + 2;
        let note = |pending: &mut Pending, index, received| {
            pending.note(BestChange { prefix: prefix(index), route: None, received });
        };
        (0..count).for_each(|index| note(&mut pending, index, now));
        for index in [0, count - 1] {
            note(&mut pending, index, later);
        }
        let first = pending.take();
        assert_eq!((first.len(), first[0].prefix, first[0].received), (BATCH, prefix(0), later));
        // What was taken may come again, behind what waits.
        note(&mut pending, 0, later);
        let seen: Vec<_> = pending.take().iter().map(|one| (one.prefix, one.received)).collect();
        let (next, last) = (prefix(count - 2), prefix(count - 1));
        assert_eq!(seen, [(next, now), (last, later), (prefix(0), later)]);
        assert!(pending.is_empty() && pending.places.is_empty());
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
