//! The session itself: what it holds, and the steps that several events share.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::backoff::{Jitter, backoff};
use super::connection::{Connection, Established, OpenSent, Slots};
use super::graceful_restart::{is_graceful, kept_after_loss};
use super::negotiation::our_open;
use super::refusal::Refused;
use super::timer::{Timer, Timers};
use super::{
    Action, Direction, DownReason, Event, Negotiated, Passive, Retained, SessionConfig, State,
};
use crate::types::{Families, Family, HoldTime};
use crate::wire::{Capability, Cease, Message, Notification};

/// The HoldTimer while we wait for an OPEN (RFC 4271 section 8.2.2).
pub const OPEN_HOLD_TIME: Duration = Duration::from_secs(4 * 60);
/// The least that a dial attempt is given before it is begun anew, unless
/// [`SessionConfig::connect_retry_max`] is less.
pub const DIAL_LIMIT: Duration = Duration::from_secs(5);
/// The longest that a peer's connections are refused after an attempt that failed by a fault,
/// whatever the back-off: a peer that was put right finds us listening, while we dial slowly.
pub const MAX_REFUSAL: Duration = Duration::from_secs(5);
/// A session that lasted this long was no oscillation: its loss is a first failure.
pub const STABLE_AFTER: Duration = Duration::from_secs(30);
/// How long routes are kept when we leave and have no restart time of our own configured.
pub const DEFAULT_RESTART_TIME: Duration = Duration::from_secs(120);
/// How many reasons for being down are remembered.
pub const REASONS_KEPT: usize = 8;

/// Whether connections may exist at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Idle until [`Event::Start`].
    Stopped,
    /// Idle until the IdleHoldTimer ends; refuses connections (DampPeerOscillations).
    Held,
    /// Dialling, listening, or talking.
    Running,
}

/// What an ended connection does to the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damping {
    /// Nothing: another connection goes on, or the peer will dial again.
    None,
    /// TCP failed: go on listening, dial again after the back-off.
    Transport,
    /// The peer or we found fault: Idle for the back-off.
    Fault,
    /// As `Fault`, but no failure: the next attempt will be another one.
    Retry,
}

/// How a connection is ended.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) reason: DownReason,
    /// What the peer is told before we close.
    pub(super) say: Option<Notification>,
    pub(super) damping: Damping,
}

/// One peer's state machine. Feed it with [`Session::handle`] and [`Session::handle_timeout`],
/// and carry out what [`Session::poll_action`] yields, in order, before the next event.
#[derive(Debug)]
pub struct Session {
    pub(super) config: SessionConfig,
    pub(super) phase: Phase,
    pub(super) slots: Slots,
    pub(super) timers: Timers,
    pub(super) refused: Refused,
    /// Families of the lost session that the RIB holds as stale.
    pub(super) stale: Families,
    /// Families that an earlier session of this process carried.
    pub(super) carried: Families,
    /// The back-off of a fault is longer than connections are refused for it: we dial no earlier.
    pub(super) dial_from: Option<Instant>,
    /// [`Event::RestartOver`] came.
    pub(super) restart_over: bool,
    /// ConnectRetryCounter: dial attempts that failed since the last session.
    pub(super) failed_dials: u32,
    /// Sessions and attempts in a row that ended early or by a fault (DampPeerOscillations).
    pub(super) failures: u32,
    jitter: Jitter,
    opened: u64,
    reported: State,
    reasons: VecDeque<(Instant, DownReason)>,
    actions: VecDeque<Action>,
}

impl Session {
    /// A stopped session: Idle until [`Event::Start`]. The seed decides all jitter, so that a run
    /// can be replayed.
    pub fn new(config: SessionConfig, seed: u64) -> Session {
        Session {
            config,
            phase: Phase::Stopped,
            slots: Slots::default(),
            timers: Timers::default(),
            refused: Refused::default(),
            stale: Families::NONE,
            carried: Families::NONE,
            dial_from: None,
            restart_over: false,
            failed_dials: 0,
            failures: 0,
            jitter: Jitter::new(seed),
            opened: 0,
            reported: State::Idle,
            reasons: VecDeque::new(),
            actions: VecDeque::new(),
        }
    }

    /// Takes an event. `now` must not run backwards.
    pub fn handle(&mut self, event: Event, now: Instant) {
        match event {
            Event::Start => self.start(now),
            Event::Stop(cease) => self.stop(cease, now),
            Event::Reset(cease) => self.reset(cease, now),
            Event::Leave => self.leave(now),
            Event::TcpOpened(direction) => self.tcp_opened(direction, now),
            Event::TcpClosed(direction, failure) => self.tcp_closed(direction, failure, now),
            Event::Received(direction, message) => self.received(direction, message, now),
            Event::Malformed(direction, error) => self.malformed(direction, error, now),
            Event::Configure(config) => self.configure(*config, now),
            Event::SendHoldExpired(direction, time) => {
                self.send_hold_expired(direction, time, now);
            }
            Event::DialNow => self.dial_now(now),
            Event::RestartOver => self.restart_over = true,
        }
        self.settle(now);
    }

    /// Runs what is due by `now`. Afterwards [`Session::poll_timeout`] lies in the future.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.take_expired(now) {
            self.expired(timer, now);
            self.settle(now);
        }
    }

    /// What is to be done next; `None` when nothing is left.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Session::handle_timeout`] wants to be called, if ever.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The peer has dialled: which name its connection gets. Carry out the actions that this may
    /// have caused, then report [`Event::TcpOpened`] with the name. `None`: close it at once;
    /// the session is Idle.
    pub fn admit(&mut self, now: Instant) -> Option<Direction> {
        if self.phase != Phase::Running {
            return None;
        }
        let names = [Direction::Incoming, Direction::IncomingAgain];
        if let Some(free) = names.into_iter().find(|name| self.slots.get(*name).is_closed()) {
            return Some(free);
        }
        // Both taken: the peer dials anew, so it has given up the older one that is less far.
        let older = names.into_iter().min_by_key(|name| {
            let connection = self.slots.get(*name);
            (connection.state(), connection.order())
        })?;
        self.give_way(older, now);
        self.settle(now);
        Some(older)
    }

    /// The state that the session as a whole is in.
    pub fn state(&self) -> State {
        match (self.phase, self.slots.furthest()) {
            (Phase::Stopped | Phase::Held, _) => State::Idle,
            (Phase::Running, State::Idle) => State::Active,
            (Phase::Running, furthest) => furthest,
        }
    }

    /// The configuration in force.
    pub fn config(&self) -> &SessionConfig {
        &self.config
    }

    /// What was agreed on, and since when; `None` while not Established.
    pub fn established(&self) -> Option<(&Negotiated, Instant)> {
        self.slots.established().map(|(_, established)| (&*established.agreed, established.since))
    }

    /// The timers that run, and how long they have left.
    pub fn timers(&self, now: Instant) -> impl Iterator<Item = (Timer, Duration)> {
        Timer::ALL.into_iter().filter_map(move |timer| {
            Some((timer, self.timers.deadline(timer)?.saturating_duration_since(now)))
        })
    }

    /// Families whose routes are held as stale.
    pub fn stale(&self) -> Families {
        self.stale
    }

    /// What the peer has refused of our OPEN, and is not offered any more.
    pub fn refused_capabilities(&self) -> &[Capability] {
        self.refused.capabilities()
    }

    /// Failures in a row: what the back-off grows by.
    pub fn failures(&self) -> u32 {
        self.failures.max(self.failed_dials)
    }

    /// Why the session was lost or did not come up, the latest first, each with its last time; at
    /// most [`REASONS_KEPT`] different ones.
    pub fn reasons(&self) -> impl Iterator<Item = (Instant, &DownReason)> {
        self.reasons.iter().map(|(at, reason)| (*at, reason))
    }

    pub(super) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(super) fn send(&mut self, direction: Direction, message: Message) {
        self.act(Action::Send(direction, message));
    }

    fn remember(&mut self, reason: DownReason, now: Instant) {
        self.reasons.retain(|(_, known)| *known != reason);
        self.reasons.truncate(REASONS_KEPT - 1);
        self.reasons.push_front((now, reason));
    }

    pub(super) fn attempt_failed(&mut self, reason: DownReason, now: Instant) {
        self.remember(reason.clone(), now);
        self.act(Action::AttemptFailed(reason));
    }

    fn jittered(&mut self, delay: Duration) -> Duration {
        self.jitter.apply(delay)
    }

    /// Sets `timer` to `delay`, shortened by jitter.
    pub(super) fn set_jittered(&mut self, timer: Timer, now: Instant, delay: Duration) {
        let delay = self.jittered(delay);
        self.timers.set(timer, now, delay);
    }

    /// KEEPALIVEs go out at a third of the hold time, and never more than one a second
    /// (RFC 4271 section 4.4).
    pub(super) fn set_keepalive(&mut self, direction: Direction, hold: HoldTime, now: Instant) {
        if let Some(interval) = hold.keepalive() {
            let interval = self.jitter.apply(interval).max(Duration::from_secs(1));
            self.timers.set(Timer::Keepalive(direction), now, interval);
        }
    }

    /// Begins to dial. In Connect the ConnectRetryTimer bounds the attempt.
    pub(super) fn dial(&mut self, now: Instant) {
        self.slots.put(Direction::Outgoing, Connection::Dialing);
        let most = self.config.connect_retry_max;
        let limit = self.backoff_after(self.failed_dials).max(DIAL_LIMIT).min(most);
        self.set_jittered(Timer::ConnectRetry, now, limit);
        self.act(Action::Connect);
    }

    /// Goes on listening, and dials after the back-off, unless the peer is to dial.
    pub(super) fn dial_after(&mut self, failures: u32, now: Instant) {
        if self.config.passive == Passive::No {
            let wait = self.backoff_after(failures).min(self.config.connect_retry_max);
            self.set_jittered(Timer::ConnectRetry, now, wait);
        }
    }

    pub(super) fn backoff_after(&self, failures: u32) -> Duration {
        backoff(self.config.connect_retry, failures)
    }

    /// Leaves Idle.
    pub(super) fn run(&mut self, now: Instant) {
        self.phase = Phase::Running;
        self.timers.stop(Timer::IdleHold);
        if self.config.passive == Passive::No {
            match self.dial_from.take().filter(|from| *from > now) {
                Some(from) => self.timers.set(Timer::ConnectRetry, now, from - now),
                None => self.dial(now),
            }
        }
    }

    /// Sends our OPEN on a connection whose TCP is up.
    pub(super) fn open(&mut self, direction: Direction, now: Instant) {
        let mut config = self.config.clone();
        if let Some(side) = &mut config.graceful_restart {
            side.restarted &= !self.restart_over;
        }
        let sent = our_open(&config, self.carried, &self.refused);
        self.send(direction, Message::Open(sent.clone()));
        self.timers.set(Timer::Hold(direction), now, OPEN_HOLD_TIME);
        self.opened += 1;
        let state = OpenSent { opened: now, order: self.opened, sent };
        self.slots.put(direction, Connection::OpenSent(state));
    }

    /// Empties a slot and stops its timers; TCP is left to the caller.
    pub(super) fn clear(&mut self, direction: Direction) -> Connection {
        self.timers.stop(Timer::Hold(direction));
        self.timers.stop(Timer::Keepalive(direction));
        self.slots.take(direction)
    }

    /// Closes one of two connections in favour of the other (RFC 4271 section 6.8); a dial that
    /// is under way is given up.
    pub(super) fn give_way(&mut self, direction: Direction, now: Instant) {
        match self.clear(direction) {
            Connection::Closed => return,
            Connection::Dialing => self.timers.stop(Timer::ConnectRetry),
            Connection::OpenSent(_) | Connection::OpenConfirm(_) => {
                let cease = Notification::cease(&Cease::ConnectionCollision);
                self.send(direction, Message::Notification(cease));
            }
            Connection::Established(lost) => self.lost(&lost, DownReason::Replaced, now),
        }
        self.act(Action::Close(direction));
    }

    /// Ends a connection of our own accord or because of a fault: says so, closes it, and
    /// arranges the next attempt.
    pub(super) fn end(&mut self, direction: Direction, ending: Ending, now: Instant) {
        if let Some(notification) = ending.say {
            self.send(direction, Message::Notification(notification));
        }
        self.act(Action::Close(direction));
        self.ended(direction, ending.reason, ending.damping, now);
    }

    /// The rest of [`Session::end`], for a connection that is closed already.
    pub(super) fn ended(
        &mut self,
        direction: Direction,
        reason: DownReason,
        damping: Damping,
        now: Instant,
    ) {
        let connection = self.clear(direction);
        let was_established = matches!(connection, Connection::Established(_));
        match connection {
            Connection::Closed => return,
            Connection::Established(lost) => {
                if now.saturating_duration_since(lost.since) >= STABLE_AFTER {
                    self.failures = 0;
                }
                self.lost(&lost, reason, now);
            }
            Connection::Dialing | Connection::OpenSent(_) | Connection::OpenConfirm(_) => {
                self.attempt_failed(reason, now);
            }
        }
        match damping {
            Damping::None => {}
            Damping::Transport if was_established => {
                self.failures = self.failures.saturating_add(1);
                self.dial_after(self.failures, now);
            }
            Damping::Transport => {
                if direction == Direction::Outgoing {
                    self.failed_dials = self.failed_dials.saturating_add(1);
                    self.dial_after(self.failed_dials, now);
                }
            }
            Damping::Fault => {
                self.failures = self.failures.saturating_add(1);
                // A session that comes and goes costs everyone: it is damped in full.
                self.hold(if was_established { Duration::MAX } else { MAX_REFUSAL }, now);
            }
            Damping::Retry => self.hold(MAX_REFUSAL, now),
        }
    }

    /// Goes to Idle for the back-off, at most for `refusal`, and dials after the back-off; unless
    /// another connection is open.
    pub(super) fn hold(&mut self, refusal: Duration, now: Instant) {
        if self.slots.furthest() >= State::OpenSent {
            return;
        }
        self.give_way(Direction::Outgoing, now);
        self.timers.stop(Timer::ConnectRetry);
        self.phase = Phase::Held;
        let wait = self.jittered(self.backoff_after(self.failures));
        self.dial_from = now.checked_add(wait);
        self.timers.set(Timer::IdleHold, now, wait.min(refusal));
    }

    /// Established is over. What ended it gracefully leaves the peer's routes as stale; so does our
    /// own leaving, since we go on forwarding.
    pub(super) fn lost(&mut self, lost: &Established, reason: DownReason, now: Instant) {
        self.forget_stale(self.stale);
        for family in Family::ALL {
            self.timers.stop(Timer::Refresh(family));
        }
        let (kept, time) = match &reason {
            DownReason::Leaving => (lost.agreed.codec.families, self.own_restart_time()),
            reason if is_graceful(reason, &lost.agreed, self.phase == Phase::Stopped) => {
                kept_after_loss(&lost.agreed)
            }
            _ => (Families::NONE, Duration::ZERO),
        };
        if !kept.is_empty() {
            self.stale = kept;
            self.timers.set(Timer::Restart, now, time);
        }
        self.remember(reason.clone(), now);
        self.act(Action::Down(reason, Retained { families: kept }));
    }

    /// What the peer is told where we stay down: it would keep our routes otherwise (RFC 8538
    /// section 3).
    fn hardened(&self, connection: &Connection, notification: &Notification) -> Notification {
        match connection {
            Connection::Established(state)
                if state.agreed.graceful_notification
                    && self.phase == Phase::Stopped
                    && !notification.is_hard_reset() =>
            {
                Notification::hard_reset(notification)
            }
            _ => notification.clone(),
        }
    }

    fn own_restart_time(&self) -> Duration {
        let configured = self.config.graceful_restart.map(|side| side.restart_time);
        configured.filter(|time| !time.is_zero()).unwrap_or(DEFAULT_RESTART_TIME)
    }

    /// Tells the RIB to forget what is stale of `families`.
    pub(super) fn forget_stale(&mut self, families: Families) {
        let families = families.and(self.stale);
        if families.is_empty() {
            return;
        }
        self.stale = self.stale.minus(families);
        if self.stale.is_empty() {
            self.timers.stop(Timer::Restart);
            self.timers.stop(Timer::StalePath);
        }
        self.act(Action::ForgetStale(families));
    }

    /// Closes every connection. `say`: what the peer is told.
    pub(super) fn close_all(
        &mut self,
        reason: &DownReason,
        say: Option<&Notification>,
        now: Instant,
    ) {
        let established = self.slots.established().is_some();
        let attempted = self.slots.furthest() > State::Idle;
        for direction in Direction::ALL {
            let connection = self.clear(direction);
            if connection.is_closed() {
                continue;
            }
            if let Some(notification) = say.filter(|_| connection.is_open()) {
                let said = self.hardened(&connection, notification);
                self.send(direction, Message::Notification(said));
            }
            self.act(Action::Close(direction));
            if let Connection::Established(lost) = connection {
                self.lost(&lost, reason.clone(), now);
            }
        }
        if attempted && !established {
            self.attempt_failed(reason.clone(), now);
        }
        self.timers.stop(Timer::ConnectRetry);
        self.timers.stop(Timer::IdleHold);
    }

    /// After every event: someone must be about to dial, and a new state is told.
    fn settle(&mut self, now: Instant) {
        if self.slots.furthest() >= State::OpenConfirm {
            self.timers.stop(Timer::ConnectRetry);
        } else if self.phase == Phase::Running
            && self.timers.deadline(Timer::ConnectRetry).is_none()
            && self.slots.get(Direction::Outgoing).is_closed()
        {
            self.dial_after(self.failed_dials, now);
        }
        let state = self.state();
        if state != self.reported {
            self.reported = state;
            self.act(Action::State(state));
        }
    }
}
