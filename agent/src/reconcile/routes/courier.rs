//! Takes large batches to the kernel on another thread, one after the other, while the next are
//! made and all other tasks go on.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use super::apply::Steps;
use crate::kernel::{Failure, KernelError, Sent};

/// Batches on their way at the same time: enough that the kernel never waits for us, where this
/// thread has something else to do for some milliseconds.
const AHEAD: usize = 4;

/// What the kernel said to a batch.
pub(super) type Answer = Result<Vec<Failure>, KernelError>;

/// See the module. When it is dropped, what is on its way still arrives, within milliseconds, and
/// the thread ends.
#[derive(Debug)]
pub(super) struct Courier {
    batches: mpsc::Sender<Sent>,
    answers: mpsc::Receiver<Answer>,
    /// On their way, the oldest first.
    carried: VecDeque<Steps>,
}

impl Courier {
    pub(super) fn new() -> Courier {
        let (batches, mut to_carry) = mpsc::channel::<Sent>(AHEAD);
        let (answer, answers) = mpsc::channel(AHEAD);
        tokio::task::spawn_blocking(move || {
            while let Some(sent) = to_carry.blocking_recv() {
                if answer.blocking_send(sent.finish()).is_err() {
                    return;
                }
            }
        });
        Courier { batches, answers, carried: VecDeque::new() }
    }

    /// Whether nothing is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.carried.is_empty()
    }

    /// Whether an answer should be awaited before another batch is taken along.
    pub(super) fn is_full(&self) -> bool {
        self.carried.len() >= AHEAD
    }

    /// Takes a batch along; only where it is not full.
    pub(super) async fn take(&mut self, sent: Sent, steps: Steps) {
        self.carried.push_back(steps);
        // The thread is there for as long as we are: without it the answer is an error.
        let _ = self.batches.send(sent).await;
    }

    /// The oldest batch with its answer; `None`, where nothing is on its way. Safe to cancel.
    pub(super) async fn answer(&mut self) -> Option<(Steps, Answer)> {
        if self.carried.is_empty() {
            return None;
        }
        let answer = self.answers.recv().await.unwrap_or(Err(KernelError::Lost));
        self.carried.pop_front().map(|steps| (steps, answer))
    }
}

/// Completes when a batch on its way is answered; never, where none is. Safe to cancel.
pub(super) async fn answer(courier: &mut Option<Courier>) -> (Steps, Answer) {
    if let Some(courier) = courier
        && let Some(answer) = courier.answer().await
    {
        return answer;
    }
    std::future::pending().await
}
