//! How much of one peer's faults the log takes: a peer can send a hundred thousand a second.

use std::time::{Duration, Instant};

/// So many are told in each [`WINDOW`]; the rest is counted.
const TOLD: u32 = 10;
const WINDOW: Duration = Duration::from_secs(1);

/// What was told of late.
#[derive(Debug, Default)]
pub(super) struct Restraint {
    since: Option<Instant>,
    told: u32,
    untold: u64,
}

impl Restraint {
    /// `Some` where one more may be told, with how many were not since the last that was.
    pub(super) fn ask(&mut self, now: Instant) -> Option<u64> {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= WINDOW) {
            self.since = Some(now);
            self.told = 0;
        }
        if self.told == TOLD {
            self.untold += 1;
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_told_of_later() {
        let now = Instant::now();
        let mut restraint = Restraint::default();
        let told = (0..1000).filter(|_| restraint.ask(now).is_some()).count();
        assert_eq!(told, 10);
        assert_eq!(restraint.ask(now + WINDOW), Some(990));
        assert_eq!(restraint.ask(now + WINDOW), Some(0));
    }
}
