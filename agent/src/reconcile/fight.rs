use std::time::{Duration, Instant};

/// So many times within [`FIGHT_WINDOW`] something is put back at once.
const FIGHT_LIMIT: u32 = 20;
const FIGHT_WINDOW: Duration = Duration::from_secs(1);

/// How often something was put back lately, so that two programs that disagree do not keep both
/// processors busy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fight {
    since: Instant,
    rounds: u32,
}

impl Fight {
    pub(super) fn new(now: Instant) -> Fight {
        Fight { since: now, rounds: 0 }
    }

    /// Counts one more; true: too often, let it rest.
    pub(super) fn again(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) > FIGHT_WINDOW {
            *self = Fight::new(now);
        }
        self.rounds += 1;
        self.rounds > FIGHT_LIMIT
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) > FIGHT_WINDOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fight_is_noticed_and_forgotten() {
        let now = Instant::now();
        let mut fight = Fight::new(now);
        assert!((0..FIGHT_LIMIT).all(|_| !fight.again(now)));
        assert!(fight.again(now));
        let later = now + FIGHT_WINDOW * 2;
        assert!(fight.is_over(later) && !fight.again(later));
    }
}
