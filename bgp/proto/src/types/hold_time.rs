use std::fmt;
use std::time::Duration;

/// A hold time: 0 (no keepalives, no timer) or 3 to 65,535 seconds (RFC 4271 section 4.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldTime(u16);

impl HoldTime {
    /// Sessions never time out and send no keepalives.
    pub const DISABLED: HoldTime = HoldTime(0);
    /// The suggestion of RFC 4271 section 10.
    pub const DEFAULT: HoldTime = HoldTime(90);

    /// `None` for 1 and 2 seconds, which RFC 4271 forbids.
    pub const fn from_secs(seconds: u16) -> Option<HoldTime> {
        match seconds {
            1 | 2 => None,
            seconds => Some(HoldTime(seconds)),
        }
    }

    /// In seconds; 0 where disabled.
    pub const fn as_secs(self) -> u16 {
        self.0
    }

    /// How long silence is borne; `None` where disabled.
    pub const fn interval(self) -> Option<Duration> {
        match self.0 {
            0 => None,
            seconds => Some(Duration::from_secs(seconds as u64)),
        }
    }

    /// A third of the hold time (RFC 4271 section 4.4); `None` where disabled.
    pub fn keepalive(self) -> Option<Duration> {
        self.interval().map(|interval| interval / 3)
    }

    /// What both sides agree on: the smaller of the two (RFC 4271 section 4.2).
    pub fn negotiate(self, peer: HoldTime) -> HoldTime {
        self.min(peer)
    }
}

impl fmt::Display for HoldTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0)
    }
}

impl fmt::Debug for HoldTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
