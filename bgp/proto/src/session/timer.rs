//! Timers are an enum and an array; a deadline is data that the caller waits for.

use std::time::{Duration, Instant};

use super::Direction;
use crate::types::Family;

/// What a session may be waiting for (RFC 4271 section 8.1.3, RFC 4724 section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// IdleHoldTimer: Idle until it ends (DampPeerOscillations).
    IdleHold,
    /// ConnectRetryTimer: in Connect the limit of the attempt, in Active the wait for the next.
    ConnectRetry,
    /// HoldTimer of one connection.
    Hold(Direction),
    /// KeepaliveTimer of one connection.
    Keepalive(Direction),
    /// A restarting peer must be back by then.
    Restart,
    /// A returned peer must have sent its End-of-RIB by then.
    StalePath,
    /// A peer that has begun to send a family again must have ended by then (RFC 7313 section 4).
    Refresh(Family),
}

impl Timer {
    /// All of them.
    pub const ALL: [Timer; 12] = [
        Timer::IdleHold,
        Timer::ConnectRetry,
        Timer::Hold(Direction::Outgoing),
        Timer::Hold(Direction::Incoming),
        Timer::Hold(Direction::IncomingAgain),
        Timer::Keepalive(Direction::Outgoing),
        Timer::Keepalive(Direction::Incoming),
        Timer::Keepalive(Direction::IncomingAgain),
        Timer::Restart,
        Timer::StalePath,
        Timer::Refresh(Family::Ipv4Unicast),
        Timer::Refresh(Family::Ipv6Unicast),
    ];

    const fn index(self) -> usize {
        match self {
            Timer::IdleHold => 0,
            Timer::ConnectRetry => 1,
            Timer::Hold(direction) => 2 + direction.index(),
            Timer::Keepalive(direction) => 5 + direction.index(),
            Timer::Restart => 8,
            Timer::StalePath => 9,
            Timer::Refresh(Family::Ipv4Unicast) => 10,
            Timer::Refresh(Family::Ipv6Unicast) => 11,
        }
    }
}

/// The deadlines of one session.
#[derive(Debug, Default)]
pub(super) struct Timers([Option<Instant>; Timer::ALL.len()]);

impl Timers {
    /// Runs out after `delay`; never, where the clock cannot count that far.
    pub(super) fn set(&mut self, timer: Timer, now: Instant, delay: Duration) {
        self.0[timer.index()] = now.checked_add(delay);
    }

    /// Stops it.
    pub(super) fn stop(&mut self, timer: Timer) {
        self.0[timer.index()] = None;
    }

    /// When it runs out; `None` where it is not running.
    pub(super) fn deadline(&self, timer: Timer) -> Option<Instant> {
        self.0[timer.index()]
    }

    /// The nearest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }

    /// Stops all but `timer`, so that a test sees it expire alone.
    #[cfg(test)]
    pub(super) fn only(&mut self, timer: Timer) {
        for other in Timer::ALL.into_iter().filter(|other| *other != timer) {
            self.stop(other);
        }
    }

    /// Takes the timer that ran out first, if one has by `now`.
    pub(super) fn take_expired(&mut self, now: Instant) -> Option<Timer> {
        let (deadline, timer) = Timer::ALL
            .into_iter()
            .filter_map(|timer| Some((self.deadline(timer)?, timer)))
            .min()?;
        if deadline > now {
            return None;
        }
        self.stop(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::epoch;

    #[test]
    fn each_timer_has_its_own_place() {
        for (index, timer) in Timer::ALL.into_iter().enumerate() {
            assert_eq!(timer.index(), index, "{timer:?}");
        }
    }

    #[test]
    fn expired_timers_come_in_the_order_of_their_deadlines() {
        let now = epoch();
        let mut timers = Timers::default();
        timers.set(Timer::Restart, now, Duration::from_secs(1));
        timers.set(Timer::IdleHold, now, Duration::from_secs(2));
        timers.set(Timer::StalePath, now, Duration::from_secs(3));
        assert_eq!(timers.next(), Some(now + Duration::from_secs(1)));
        let later = now + Duration::from_secs(2);
        assert_eq!(timers.take_expired(later), Some(Timer::Restart));
        assert_eq!(timers.take_expired(later), Some(Timer::IdleHold));
        assert_eq!(timers.take_expired(later), None);
        timers.stop(Timer::StalePath);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_delay_beyond_the_clock_never_ends() {
        let mut timers = Timers::default();
        timers.set(Timer::Restart, epoch(), Duration::MAX);
        assert_eq!(timers.deadline(Timer::Restart), None);
    }
}
