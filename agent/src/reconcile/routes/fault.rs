use std::time::{Duration, Instant};

use crate::kernel::Refusal;

/// The first wait after a refusal; doubled with each.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
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
    }
}
