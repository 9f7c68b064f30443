//! How long to wait before trying again: doubled with each failure, bounded, with jitter
//! (RFC 4271 sections 8.1.1 and 10).

use std::time::Duration;

/// No wait between attempts grows beyond this, unless the configured base is itself longer.
pub const MAX_BACKOFF: Duration = Duration::from_secs(120);
/// The first retry waits no longer than this, so that a restarted peer is back at once.
pub const FIRST_RETRY: Duration = Duration::from_secs(1);
/// A configured base is brought between these: no busy loop, and no overflow when doubled.
const BASE_LIMITS: (Duration, Duration) =
    (Duration::from_millis(10), Duration::from_secs(24 * 60 * 60));

/// The wait after the `failures`-th failure in a row, counted from 1, without jitter.
pub(super) fn backoff(base: Duration, failures: u32) -> Duration {
    let base = base.clamp(BASE_LIMITS.0, BASE_LIMITS.1);
    match failures {
        0 | 1 => base.min(FIRST_RETRY),
        failures => {
            let doublings = (failures - 2).min(30);
            base.saturating_mul(1 << doublings).min(MAX_BACKOFF.max(base))
        }
    }
}

/// A small deterministic source of jitter, so that any run can be replayed from its seed.
/// The generator is SplitMix64: every seed, 0 included, gives a full-period sequence.
#[derive(Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) const fn new(seed: u64) -> Jitter {
        Jitter(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^ (value >> 31)
    }

    /// `duration` times a factor from 0.75 to 1.0 (RFC 4271 section 10).
    pub(super) fn apply(&mut self, duration: Duration) -> Duration {
        let thousandths = 750 + u32::try_from(self.next() % 251).unwrap_or(0);
        duration / 1000 * thousandths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound() {
        let base = Duration::from_secs(5);
        let waits: Vec<u64> = (1..=8).map(|failures| backoff(base, failures).as_secs()).collect();
        assert_eq!(waits, [1, 5, 10, 20, 40, 80, 120, 120]);
        assert_eq!(backoff(base, u32::MAX), MAX_BACKOFF);
    }

    #[test]
    fn a_base_out_of_bounds_is_brought_within() {
        assert_eq!(backoff(Duration::ZERO, 1), Duration::from_millis(10));
        assert_eq!(backoff(Duration::from_secs(300), 2), Duration::from_secs(300));
        assert_eq!(backoff(Duration::from_secs(300), 9), Duration::from_secs(300));
        assert_eq!(backoff(Duration::MAX, 40), Duration::from_secs(24 * 60 * 60));
    }

    #[test]
    fn jitter_stays_within_a_quarter_and_replays() {
        let wait = Duration::from_secs(100);
        let mut jitter = Jitter::new(0);
        let waits: Vec<Duration> = (0..1000).map(|_| jitter.apply(wait)).collect();
        assert!(waits.iter().all(|jittered| (wait * 3 / 4..=wait).contains(jittered)));
        assert!(waits.iter().any(|jittered| *jittered < wait * 77 / 100));
        assert!(waits.iter().any(|jittered| *jittered > wait * 98 / 100));
        let mut again = Jitter::new(0);
        assert!(waits.iter().all(|jittered| again.apply(wait) == *jittered));
    }
}
