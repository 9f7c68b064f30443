//! Time since boot. Wall clocks are set back; an address must not rest for a year because of it.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds since this machine booted, suspended time included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uptime(pub u64);

impl Uptime {
    /// Of what never was on a wire, or was so before this boot.
    pub const ZERO: Self = Self(0);

    /// Now. Zero on a kernel without the clock, where nothing rests then.
    pub fn now() -> Self {
        let nanoseconds = clock_gettime(ClockId::CLOCK_BOOTTIME).ok().and_then(|now| {
            let seconds = u64::try_from(now.tv_sec()).ok()?.checked_mul(1_000_000_000)?;
            seconds.checked_add(u64::try_from(now.tv_nsec()).ok()?)
        });
        Self(nanoseconds.unwrap_or(0))
    }

    /// How long ago that was.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
