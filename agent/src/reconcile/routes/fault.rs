use std::time::{Duration, Instant};

use crate::kernel::Refusal;

/// The first wait after a refusal; doubled with each.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// So many times within [`FIGHT_WINDOW`] a route is put back at once.
const FIGHT_LIMIT: u32 = 20;
const FIGHT_WINDOW: Duration = Duration::from_secs(1);

/// Why a route that should be in the kernel is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A foreign route has its place; in words, with the remedy.
    Clash(String),
    /// The kernel refused.
    Refused(Refusal),
    /// Somebody deletes it as fast as we put it back.
    Fought,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Trouble::Clash(words) => f.write_str(words),
            Trouble::Refused(refusal) => refusal.fmt(f),
            Trouble::Fought => f.write_str(
                "somebody deletes or changes it as fast as it is put back: `ip monitor route` \
                 shows it happen; find the program and keep it off our protocol",
            ),
        }
    }
}

/// Trouble with a route, and when it is tried again.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) trouble: Trouble,
    attempts: u32,
    pub(super) retry_at: Instant,
}

impl Fault {
    /// After what was there before, waits twice as long.
    pub(super) fn after(before: Option<&Fault>, trouble: Trouble, now: Instant) -> Fault {
        let attempts = before.map_or(0, |fault| fault.attempts.saturating_add(1));
        let wait = FIRST_WAIT.saturating_mul(1 << attempts.min(16)).min(LONGEST_WAIT);
        Fault { trouble, attempts, retry_at: now + wait }
    }

    pub(super) fn waits(&self, now: Instant) -> bool {
        now < self.retry_at
    }

    pub(super) fn is_clash(&self) -> bool {
        matches!(self.trouble, Trouble::Clash(_))
    }
}

/// How often a route was put back lately.
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
    fn waits_double_up_to_a_bound_and_fights_are_noticed() {
        let now = Instant::now();
        let mut fault = Fault::after(None, Trouble::Fought, now);
        assert_eq!(fault.retry_at - now, FIRST_WAIT);
        assert!(fault.waits(now) && !fault.waits(now + FIRST_WAIT));
        fault = Fault::after(Some(&fault), Trouble::Fought, now);
        assert_eq!(fault.retry_at - now, FIRST_WAIT * 2);
        for _ in 0..40 {
            fault = Fault::after(Some(&fault), Trouble::Fought, now);
        }
        assert_eq!(fault.retry_at - now, LONGEST_WAIT);

        let mut fight = Fight::new(now);
        assert!((0..FIGHT_LIMIT).all(|_| !fight.again(now)));
        assert!(fight.again(now));
        let later = now + FIGHT_WINDOW * 2;
        assert!(fight.is_over(later) && !fight.again(later));
    }
}
