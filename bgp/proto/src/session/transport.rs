//! Events of TCP connections (RFC 4271 section 8.1.4) and of timers (section 8.1.3).

use std::time::{Duration, Instant};

use super::connection::Connection;
use super::machine::{Damping, Ending, OPEN_HOLD_TIME, Phase, Session};
use super::timer::Timer;
use super::{Action, Direction, DownReason, State, TcpFailure};
use crate::types::HoldTime;
use crate::wire::{Message, Notification, RefreshKind, RouteRefresh};

impl Session {
    /// Events 16 and 17. A connection that nobody waits for is closed.
    pub(super) fn tcp_opened(&mut self, direction: Direction, now: Instant) {
        let expected = match self.slots.get(direction) {
            Connection::Dialing => true,
            Connection::Closed => direction.is_incoming(),
            Connection::OpenSent(_) | Connection::OpenConfirm(_) | Connection::Established(_) => {
                return;
            }
        };
        if self.phase != Phase::Running || !expected {
            self.act(Action::Close(direction));
            return;
        }
        if direction == Direction::Outgoing {
            self.timers.stop(Timer::ConnectRetry);
        }
        self.open(direction, now);
    }

    /// Event 18.
    pub(super) fn tcp_closed(&mut self, direction: Direction, failure: TcpFailure, now: Instant) {
        self.ended(direction, DownReason::Tcp(failure), Damping::Transport, now);
    }

    /// Events 9, 10, 11 and 13, and the timers of RFC 4724.
    pub(super) fn expired(&mut self, timer: Timer, now: Instant) {
        match timer {
            Timer::IdleHold => self.run(now),
            Timer::ConnectRetry => self.connect_retry(now),
            Timer::Hold(direction) => self.hold_expired(direction, now),
            Timer::Keepalive(direction) => self.keepalive(direction, now),
            Timer::Restart | Timer::StalePath => self.forget_stale(self.stale),
            Timer::Refresh(family) => {
                let ended = RouteRefresh { family: Some(family), kind: RefreshKind::End };
                self.act(Action::Refresh(ended));
            }
        }
    }

    /// In Connect: gives the attempt up and begins another. In Active: dials.
    fn connect_retry(&mut self, now: Instant) {
        match self.slots.get(Direction::Outgoing) {
            Connection::Dialing => {
                self.failed_dials = self.failed_dials.saturating_add(1);
                let failure = TcpFailure::Io("the connection did not open in time".to_owned());
                let ending =
                    Ending { reason: DownReason::Tcp(failure), say: None, damping: Damping::None };
                self.end(Direction::Outgoing, ending, now);
                self.dial(now);
            }
            Connection::Closed => self.dial(now),
            Connection::OpenSent(_) | Connection::OpenConfirm(_) | Connection::Established(_) => {}
        }
    }

    fn hold_expired(&mut self, direction: Direction, now: Instant) {
        let hold_time = match self.slots.get(direction) {
            Connection::Closed | Connection::Dialing => return,
            Connection::OpenSent(_) => u16::try_from(OPEN_HOLD_TIME.as_secs())
                .ok()
                .and_then(HoldTime::from_secs)
                .unwrap_or(HoldTime::DEFAULT),
            Connection::OpenConfirm(state) => state.agreed.hold_time,
            Connection::Established(state) => state.agreed.hold_time,
        };
        let ending = Ending {
            reason: DownReason::HoldTimer(hold_time),
            say: Some(Notification::hold_timer_expired()),
            damping: Damping::Fault,
        };
        self.end(direction, ending, now);
    }

    /// Event 29. Nothing is said: it would not be read.
    pub(super) fn send_hold_expired(&mut self, direction: Direction, time: Duration, now: Instant) {
        if let Connection::Established(_) = self.slots.get(direction) {
            let reason = DownReason::SendHoldTimer(time);
            self.end(direction, Ending { reason, say: None, damping: Damping::Fault }, now);
        }
    }

    fn keepalive(&mut self, direction: Direction, now: Instant) {
        let hold_time = match self.slots.get(direction) {
            Connection::OpenConfirm(state) => state.agreed.hold_time,
            Connection::Established(state) => state.agreed.hold_time,
            Connection::Closed | Connection::Dialing | Connection::OpenSent(_) => return,
        };
        self.send(direction, Message::Keepalive);
        self.set_keepalive(direction, hold_time, now);
    }

    /// The peer has been heard.
    pub(super) fn heard(&mut self, direction: Direction, hold_time: HoldTime, now: Instant) {
        match hold_time.interval() {
            Some(interval) => self.timers.set(Timer::Hold(direction), now, interval),
            None => self.timers.stop(Timer::Hold(direction)),
        }
    }

    /// How far the connection has come.
    pub(super) fn state_of(&self, direction: Direction) -> State {
        self.slots.get(direction).state()
    }
}
