//! Events that messages bring (RFC 4271 section 8.1.5).

use std::time::{Duration, Instant};

use super::collision::{Candidate, Verdict, ours_prevail};
use super::connection::{Connection, Established, OpenConfirm, OpenSent};
use super::fault::{self, Fault};
use super::graceful_restart::{STALE_PATH_TIME, kept_after_return};
use super::machine::{Damping, Ending, Session};
use super::negotiation::negotiate;
use super::timer::Timer;
use super::{Action, Direction, DownReason, State};
use crate::types::Families;
use crate::wire::{Message, MessageError, Notification, Open, RefreshKind, RouteRefresh, Update};

/// How long a peer may take to send a family again, once it has begun (RFC 7313 section 4).
pub const REFRESH_TIME: Duration = STALE_PATH_TIME;

impl Session {
    /// Events 19 and 24 to 27. What arrives on a connection that is not open is ignored.
    pub(super) fn received(&mut self, direction: Direction, message: Message, now: Instant) {
        match (self.state_of(direction), message) {
            (State::Idle | State::Connect | State::Active, _) => {}
            (_, Message::Notification(notification)) => {
                self.notified(direction, notification, now);
            }
            (State::OpenSent, Message::Open(open)) => self.opened(direction, open, now),
            (State::OpenConfirm, Message::Keepalive) => self.establish(direction, now),
            (State::Established, Message::Keepalive) => self.alive(direction, now),
            (State::Established, Message::Update(update)) => {
                self.alive(direction, now);
                self.deliver(update);
            }
            (State::Established, Message::RouteRefresh(refresh)) => {
                self.alive(direction, now);
                self.refresh(refresh, now);
            }
            (state, message) => {
                self.fault(direction, fault::unexpected(state, &message), now);
            }
        }
    }

    /// Events 21, 22 and 28.
    pub(super) fn malformed(&mut self, direction: Direction, error: MessageError, now: Instant) {
        let fault = Fault { notification: error.notification, what: error.what };
        self.fault(direction, fault, now);
    }

    /// Says what is wrong and ends the connection. Nothing is said on one that is not open.
    fn fault(&mut self, direction: Direction, fault: Fault, now: Instant) {
        if self.slots.get(direction).is_open() {
            let say = Some(fault.notification.clone());
            let ending = Ending { reason: fault.into(), say, damping: Damping::Fault };
            self.end(direction, ending, now);
        }
    }

    /// Event 19, in OpenSent: judges the OPEN, then which of several connections survives.
    fn opened(&mut self, direction: Direction, open: Open, now: Instant) {
        let Connection::OpenSent(OpenSent { order, sent, .. }) = self.slots.get(direction) else {
            return;
        };
        let refused = self.refused.capabilities().to_vec();
        let agreed = match negotiate(&self.config, direction, sent, open) {
            Ok(agreed) => Box::new(super::Negotiated { refused, ..agreed }),
            Err(fault) => return self.fault(direction, fault, now),
        };
        let ours_prevail = ours_prevail(&self.config, &agreed.open);
        let candidate = Candidate { direction, order: *order, ours_prevail };
        let others: Vec<(Direction, Verdict)> = self
            .slots
            .iter()
            .filter(|(other, _)| *other != direction)
            .map(|(other, connection)| (other, candidate.against(other, connection, now)))
            .collect();
        if others.iter().any(|(_, verdict)| *verdict == Verdict::Other) {
            return self.give_way(direction, now);
        }
        for (other, _) in others.iter().filter(|(_, verdict)| *verdict == Verdict::Candidate) {
            self.give_way(*other, now);
        }
        self.confirm(direction, agreed, now);
    }

    /// OpenSent becomes OpenConfirm.
    fn confirm(&mut self, direction: Direction, agreed: Box<super::Negotiated>, now: Instant) {
        let Connection::OpenSent(OpenSent { order, sent, .. }) = self.slots.take(direction) else {
            return;
        };
        let (codec, hold_time) = (agreed.codec, agreed.hold_time);
        self.slots.put(direction, Connection::OpenConfirm(OpenConfirm { order, sent, agreed }));
        self.act(Action::SetCodec(direction, codec));
        self.send(direction, Message::Keepalive);
        self.heard(direction, hold_time, now);
        self.set_keepalive(direction, hold_time, now);
    }

    /// Event 26, in OpenConfirm: the session is up, and every other connection is one too many.
    fn establish(&mut self, direction: Direction, now: Instant) {
        let Connection::OpenConfirm(OpenConfirm { mut agreed, .. }) = self.slots.take(direction)
        else {
            return;
        };
        for other in Direction::ALL.into_iter().filter(|other| *other != direction) {
            self.give_way(other, now);
        }
        let kept = kept_after_return(self.stale, &agreed);
        self.forget_stale(self.stale.minus(kept));
        if !kept.is_empty() {
            self.timers.stop(Timer::Restart);
            self.timers.set(Timer::StalePath, now, STALE_PATH_TIME);
        }
        agreed.retained = kept;
        let families = agreed.codec.families;
        self.carried = families.iter().fold(self.carried, Families::with);
        self.failed_dials = 0;
        self.heard(direction, agreed.hold_time, now);
        self.act(Action::Up(agreed.clone()));
        self.slots.put(direction, Connection::Established(Established { since: now, agreed }));
    }

    fn alive(&mut self, direction: Direction, now: Instant) {
        if let Connection::Established(state) = self.slots.get(direction) {
            let hold_time = state.agreed.hold_time;
            self.heard(direction, hold_time, now);
        }
    }

    /// Event 27. The End-of-RIB of a family also ends its stale routes (RFC 4724 section 4.2).
    fn deliver(&mut self, update: Update) {
        let ended = update.end_of_rib;
        self.act(Action::Deliver(update));
        if let Some(family) = ended {
            self.forget_stale(Families::NONE.with(family));
        }
    }

    /// RFC 2918 section 4: a refresh of a family that is not of the session is ignored. A subtype
    /// that brackets routes means something only where both sides offered it, an unknown one
    /// nothing at all (RFC 7313 section 5). An end that does not come is taken as come after
    /// [`REFRESH_TIME`]: what was not sent again by then is not to be had any more.
    fn refresh(&mut self, refresh: RouteRefresh, now: Instant) {
        let Some((_, Established { agreed, .. })) = self.slots.established() else { return };
        let Some(family) = refresh.family.filter(|of| agreed.codec.families.contains(*of)) else {
            return;
        };
        let meant = match refresh.kind {
            RefreshKind::Request => true,
            RefreshKind::Begin | RefreshKind::End => agreed.enhanced_refresh,
            RefreshKind::Unknown(_) => false,
        };
        if !meant {
            return;
        }
        match refresh.kind {
            RefreshKind::Begin => self.timers.set(Timer::Refresh(family), now, REFRESH_TIME),
            RefreshKind::End => self.timers.stop(Timer::Refresh(family)),
            RefreshKind::Request | RefreshKind::Unknown(_) => {}
        }
        self.act(Action::Refresh(refresh));
    }

    /// Events 24 and 25. The peer has closed, or is about to.
    fn notified(&mut self, direction: Direction, notification: Notification, now: Instant) {
        let sent = match self.slots.get(direction) {
            Connection::OpenSent(state) => Some(&state.sent),
            Connection::OpenConfirm(state) => Some(&state.sent),
            _ => None,
        };
        let dropped =
            sent.is_some_and(|sent| self.refused.learn(&self.config, sent, &notification));
        let collision = fault::is_collision(&notification);
        let others =
            self.slots.iter().any(|(other, connection)| other != direction && connection.is_open());
        if collision && others && self.state_of(direction) < State::Established {
            self.clear(direction);
            self.act(Action::Close(direction));
            return;
        }
        let damping = if collision {
            Damping::Transport
        } else if dropped || fault::is_version(&notification) {
            Damping::Retry
        } else {
            Damping::Fault
        };
        let ending = Ending { reason: DownReason::Received(notification), say: None, damping };
        self.end(direction, ending, now);
    }
}
