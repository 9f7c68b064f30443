//! What a peer's task has to tell the core. When the core is idle everything goes straight
//! through; when it is busy, UPDATEs gather in batches and the task stops reading, so that the
//! peer is slowed down by TCP. The task itself never waits here: its timers go on.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::{SendError, TrySendError};
use twill_bgp_proto::wire::Update;

use super::event::{News, PeerEvent, PeerId};

/// UPDATEs handed over at once.
const BATCH: usize = 64;

/// Prefixes of them, where they are long, to which nothing is added.
const PREFIXES: usize = 2048;

type Permit = Result<mpsc::OwnedPermit<PeerEvent>, SendError<()>>;

/// See the module.
pub(super) struct Outbox {
    id: PeerId,
    events: mpsc::Sender<PeerEvent>,
    waiting: VecDeque<News>,
    /// Prefixes of the UPDATEs that wait last.
    gathered: usize,
    /// Our place in the queue of those who wait for the core. Kept over wake-ups: who asks anew
    /// each time stands at the end each time.
    turn: Option<Pin<Box<dyn Future<Output = Permit> + Send>>>,
}

/// The core is gone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CoreGone;

impl Outbox {
    pub(super) fn new(id: PeerId, events: mpsc::Sender<PeerEvent>) -> Outbox {
        Outbox { id, events, waiting: VecDeque::new(), gathered: 0, turn: None }
    }

    /// Whether the core has taken all.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn push(&mut self, news: News) {
        self.waiting.push_back(news);
    }

    pub(super) fn push_update(&mut self, update: Update, received: Instant) {
        let prefixes = prefixes(&update);
        match self.waiting.back_mut() {
            Some(News::Updates { updates, .. })
                if updates.len() < BATCH && self.gathered < PREFIXES =>
            {
                self.gathered += prefixes;
                updates.push(update);
            }
            _ => {
                self.gathered = prefixes;
                self.waiting.push_back(News::Updates { updates: vec![update], received });
            }
        }
    }

    /// Hands over as much as the core has room for, without waiting. Whether that was anything.
    pub(super) fn flush(&mut self) -> Result<bool, CoreGone> {
        let mut any = false;
        // Who has taken a place in the queue stays in it.
        while self.turn.is_none() && !self.waiting.is_empty() {
            match self.events.try_reserve() {
                Ok(permit) => {
                    if let Some(news) = self.waiting.pop_front() {
                        permit.send(PeerEvent { id: self.id, news });
                        any = true;
                    }
                }
                Err(TrySendError::Full(())) => {
                    self.turn = Some(Box::pin(self.events.clone().reserve_owned()));
                }
                Err(TrySendError::Closed(())) => return Err(CoreGone),
            }
        }
        Ok(any)
    }

    /// Completes when the core has taken one more; never, where it has taken all. Safe to cancel.
    pub(super) async fn taken(&mut self) -> Result<(), CoreGone> {
        let Some(turn) = self.turn.as_mut() else {
            return std::future::pending().await;
        };
        let permit = turn.await;
        self.turn = None;
        let permit = permit.map_err(|_| CoreGone)?;
        if let Some(news) = self.waiting.pop_front() {
            permit.send(PeerEvent { id: self.id, news });
        }
        Ok(())
    }
}

/// How many prefixes an UPDATE speaks of.
fn prefixes(update: &Update) -> usize {
    let announced: usize = update.reach.iter().map(|reach| reach.prefixes.len()).sum();
    update.withdrawn.len() + announced
}

#[cfg(test)]
mod tests {
    use twill_bgp_proto::rib::PeerKey;
    use twill_bgp_proto::session::State;

    use super::*;

    fn outbox(room: usize) -> (Outbox, mpsc::Receiver<PeerEvent>) {
        let (sender, receiver) = mpsc::channel(room);
        (Outbox::new(PeerId { key: PeerKey(1), generation: 7 }, sender), receiver)
    }

    #[tokio::test]
    async fn updates_gather_while_the_core_is_busy() {
        let (mut outbox, mut core) = outbox(1);
        outbox.push(News::State(State::Idle));
        outbox.flush().unwrap();
        assert!(outbox.is_empty());
        for _ in 0..=BATCH {
            outbox.push_update(Update::default(), Instant::now());
            outbox.flush().unwrap();
        }
        assert!(matches!(core.recv().await.unwrap().news, News::State(State::Idle)));
        let mut sizes = Vec::new();
        while !outbox.is_empty() {
            outbox.taken().await.unwrap();
            outbox.flush().unwrap();
            if let News::Updates { updates, .. } = core.recv().await.unwrap().news {
                sizes.push(updates.len());
            }
        }
        assert_eq!(sizes, [BATCH, 1]);
    }

    #[tokio::test]
    async fn the_end_of_the_core_is_noticed() {
        let (mut outbox, core) = outbox(1);
        drop(core);
        outbox.push(News::State(State::Idle));
        assert_eq!(outbox.flush(), Err(CoreGone));
    }
}
