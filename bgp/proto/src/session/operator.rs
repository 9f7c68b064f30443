//! Events from our own side: administrative ones (RFC 4271 section 8.1.2) and a new
//! configuration.

use std::time::{Duration, Instant};

use super::machine::{Phase, STABLE_AFTER, Session};
use super::refusal::Refused;
use super::timer::Timer;
use super::{Direction, DownReason, Passive, SessionConfig, State};
use crate::wire::{Cease, Notification};

impl SessionConfig {
    /// What of `new` a session of this configuration cannot take over while it is up, in words;
    /// `None` where nothing has to bounce. Who dials, the back-off, and the R and F bits of
    /// OPENs to come change without a bounce.
    pub fn bounces(&self, new: &SessionConfig) -> Option<String> {
        let restart = |config: &SessionConfig| {
            config.graceful_restart.map(|side| (side.restart_time, side.notification))
        };
        let differences = [
            ("local AS", self.local_asn != new.local_asn),
            ("peer AS", self.peer_asn != new.peer_asn),
            ("router id", self.router_id != new.router_id),
            ("hold time", self.hold_time != new.hold_time),
            ("families", self.families != new.families),
            ("role", self.role != new.role),
            ("extended next hop", self.extended_next_hop != new.extended_next_hop),
            ("graceful restart", restart(self) != restart(new)),
        ];
        let changed: Vec<&str> =
            differences.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect();
        if changed.is_empty() { None } else { Some(changed.join(", ")) }
    }
}

impl Session {
    /// Events 1, 3, 4, 5. Ignored unless Idle; ends the damping of [`Phase::Held`].
    pub(super) fn start(&mut self, now: Instant) {
        if self.phase == Phase::Stopped {
            self.forget_failures();
            self.refused = Refused::default();
        }
        if self.phase != Phase::Running {
            self.dial_from = None;
            self.run(now);
        }
    }

    /// Dials now what would be dialled later. An attempt that is under way is begun anew: its
    /// next SYN may be seconds away.
    pub(super) fn dial_now(&mut self, now: Instant) {
        if self.phase != Phase::Running
            || self.config.passive == Passive::Yes
            || self.slots.furthest() >= State::OpenSent
        {
            return;
        }
        self.failed_dials = 0;
        self.give_way(Direction::Outgoing, now);
        self.dial(now);
    }

    /// Event 2.
    pub(super) fn stop(&mut self, cease: Cease, now: Instant) {
        let notification = Notification::cease(&cease);
        self.phase = Phase::Stopped;
        self.close_all(&DownReason::Local(cease), Some(&notification), now);
        self.forget_stale(self.stale);
        self.forget_failures();
    }

    /// Event 8.
    pub(super) fn reset(&mut self, cease: Cease, now: Instant) {
        if self.phase == Phase::Stopped {
            return;
        }
        match self.slots.established() {
            Some((_, lost)) => {
                if now.saturating_duration_since(lost.since) >= STABLE_AFTER {
                    self.failures = 0;
                }
                self.failures = self.failures.saturating_add(1);
            }
            None => self.forget_failures(),
        }
        let notification = Notification::cease(&cease);
        self.close_all(&DownReason::Local(cease), Some(&notification), now);
        self.hold(Duration::MAX, now);
    }

    /// RFC 4724 section 4.1: TCP ends, and the peer keeps our routes.
    pub(super) fn leave(&mut self, now: Instant) {
        self.close_all(&DownReason::Leaving, None, now);
        self.forget_failures();
        self.phase = Phase::Stopped;
    }

    fn forget_failures(&mut self) {
        self.failures = 0;
        self.failed_dials = 0;
    }

    /// Takes over what it can; what it cannot ends the connections that were opened under the old
    /// configuration, and those alone.
    pub(super) fn configure(&mut self, new: SessionConfig, now: Instant) {
        let bounced = self.config.bounces(&new);
        self.config = new;
        if let Some(what) = bounced {
            self.bounce(what, now);
        }
        if self.phase != Phase::Running || self.slots.furthest() >= State::OpenConfirm {
            return;
        }
        let outgoing = self.slots.get(Direction::Outgoing).state();
        match self.config.passive {
            Passive::Yes => {
                if outgoing == State::Connect {
                    self.give_way(Direction::Outgoing, now);
                }
                self.timers.stop(Timer::ConnectRetry);
            }
            Passive::No => {
                if outgoing == State::Idle && self.timers.deadline(Timer::ConnectRetry).is_none() {
                    self.dial(now);
                }
            }
        }
    }

    fn bounce(&mut self, what: String, now: Instant) {
        self.forget_failures();
        self.refused = Refused::default();
        match self.phase {
            Phase::Stopped => {}
            Phase::Held => {
                self.dial_from = None;
                self.run(now);
            }
            Phase::Running if self.slots.furthest() >= State::OpenSent => {
                let notification = Notification::cease(&Cease::OtherConfigurationChange);
                self.close_all(&DownReason::Reconfigured(what), Some(&notification), now);
                self.dial_after(1, now);
            }
            Phase::Running => {}
        }
        self.forget_stale(self.stale);
    }
}
