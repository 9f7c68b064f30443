//! Routes that import policy refused, until the speaker reports them. Bounded: a peer that
//! sends a million refused routes costs a thousand notices, and its counters tell the rest.

use super::Refusal;

/// Refusals that nobody has taken yet.
#[derive(Default)]
pub(super) struct Refusals(Vec<Refusal>);

impl Refusals {
    /// How many are kept.
    pub(super) const MAXIMUM: usize = 1024;

    pub(super) fn push(&mut self, refusal: impl FnOnce() -> Refusal) {
        if self.0.len() < Self::MAXIMUM {
            self.0.push(refusal());
        }
    }

    pub(super) fn take(&mut self) -> Vec<Refusal> {
        std::mem::take(&mut self.0)
    }
}
