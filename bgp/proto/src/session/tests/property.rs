//! Any events in any order: nothing panics, and what must always hold does.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{asn, config, epoch, graceful, notifying, open_of};
use crate::session::{
    Action, Direction, Event, Passive, Session, SessionConfig, State, TcpFailure, Timer,
};
use crate::types::{Families, Family, HoldTime};
use crate::wire::{
    Cease, Message, MessageError, Notification, Open, RefreshKind, RouteRefresh, Update,
};

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Timeout,
    Admit,
    Start,
    Stop,
    Reset,
    Leave,
    RestartOver,
    DialNow,
    SendHold(Direction),
    Opened(Direction),
    Closed(Direction),
    Malformed(Direction),
    Receive(Direction, Message),
    /// All that it takes to come up.
    Handshake(Direction, Open),
    Configure(Box<SessionConfig>),
}

fn configs() -> Vec<SessionConfig> {
    vec![
        config(2),
        graceful(2, false),
        graceful(2, true),
        notifying(2, false),
        SessionConfig { passive: Passive::Yes, ..graceful(2, false) },
        SessionConfig { hold_time: HoldTime::DISABLED, ..graceful(2, false) },
        SessionConfig { connect_retry: Duration::ZERO, ..config(2) },
        SessionConfig { connect_retry: Duration::MAX, ..config(2) },
        SessionConfig { families: Families::NONE, ..config(2) },
        SessionConfig { peer_asn: asn(65001), ..config(2) },
    ]
}

fn opens() -> Vec<Open> {
    let mut bare = open_of(&config(1));
    bare.capabilities.clear();
    vec![
        open_of(&config(1)),
        open_of(&graceful(1, false)),
        open_of(&graceful(1, true)),
        open_of(&graceful(3, true)),
        open_of(&notifying(1, false)),
        open_of(&notifying(1, true)),
        open_of(&config(2)),
        open_of(&SessionConfig { local_asn: asn(65001), ..config(1) }),
        bare,
    ]
}

fn direction() -> impl Strategy<Value = Direction> {
    prop::sample::select(Direction::ALL.to_vec())
}

fn message() -> impl Strategy<Value = Message> {
    let family =
        prop::sample::select(vec![None, Some(Family::Ipv4Unicast), Some(Family::Ipv6Unicast)]);
    prop_oneof![
        6 => prop::sample::select(opens()).prop_map(Message::Open),
        6 => Just(Message::Keepalive),
        3 => family.clone().prop_map(|end_of_rib| {
            Message::Update(Update { end_of_rib, ..Update::default() })
        }),
        1 => family.prop_map(|family| {
            Message::RouteRefresh(RouteRefresh { family, kind: RefreshKind::Request })
        }),
        1 => (0_u8..9, 0_u8..12, prop::collection::vec(any::<u8>(), 0..12)).prop_map(
            |(code, subcode, data)| {
                Message::Notification(Notification { code, subcode, data: data.into() })
            }
        ),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u64..20_000).prop_map(Step::Wait),
        1 => (0_u64..2_000_000).prop_map(Step::Wait),
        6 => Just(Step::Timeout),
        3 => Just(Step::Admit),
        3 => Just(Step::Start),
        1 => Just(Step::Stop),
        1 => Just(Step::Reset),
        1 => Just(Step::Leave),
        1 => Just(Step::RestartOver),
        1 => Just(Step::DialNow),
        1 => direction().prop_map(Step::SendHold),
        10 => direction().prop_map(Step::Opened),
        4 => direction().prop_map(Step::Closed),
        1 => direction().prop_map(Step::Malformed),
        25 => (direction(), message()).prop_map(|(direction, message)| {
            Step::Receive(direction, message)
        }),
        3 => (direction(), prop::sample::select(opens())).prop_map(|(direction, open)| {
            Step::Handshake(direction, open)
        }),
        1 => prop::sample::select(configs()).prop_map(|config| Step::Configure(Box::new(config))),
    ]
}

/// What must be true of everything that was said so far.
struct Witness {
    session: Session,
    now: Instant,
    up: bool,
    dialing: bool,
    open: [bool; 3],
    stale: Families,
    told: State,
}

impl Witness {
    fn take(&mut self, step: Step) {
        let event = match step {
            Step::Wait(milliseconds) => {
                self.now += Duration::from_millis(milliseconds);
                return;
            }
            Step::Timeout => {
                self.session.handle_timeout(self.now);
                assert!(self.session.poll_timeout().is_none_or(|deadline| deadline > self.now));
                return self.listen();
            }
            Step::Admit => {
                let admitted = self.session.admit(self.now);
                self.listen();
                let Some(direction) = admitted else {
                    assert_eq!(self.session.state(), State::Idle);
                    return;
                };
                assert!(direction.is_incoming() && !self.open[direction.index()]);
                self.open[direction.index()] = true;
                Event::TcpOpened(direction)
            }
            Step::Opened(direction) => {
                if direction == Direction::Outgoing {
                    self.dialing = false;
                }
                self.open[direction.index()] = true;
                Event::TcpOpened(direction)
            }
            Step::Closed(direction) => {
                if direction == Direction::Outgoing {
                    self.dialing = false;
                }
                self.open[direction.index()] = false;
                Event::TcpClosed(direction, TcpFailure::Closed)
            }
            Step::Malformed(direction) => {
                let error = MessageError::new(Notification::malformed_open(), "malformed");
                Event::Malformed(direction, error)
            }
            Step::Handshake(direction, open) => {
                self.take(Step::Start);
                self.take(Step::Opened(direction));
                self.take(Step::Receive(direction, Message::Open(open)));
                Event::Received(direction, Message::Keepalive)
            }
            Step::Start => Event::Start,
            Step::Stop => Event::Stop(Cease::PeerDeconfigured),
            Step::Reset => Event::Reset(Cease::OutOfResources),
            Step::Leave => Event::Leave,
            Step::RestartOver => Event::RestartOver,
            Step::DialNow => Event::DialNow,
            Step::SendHold(direction) => {
                Event::SendHoldExpired(direction, Duration::from_secs(480))
            }
            Step::Receive(direction, message) => Event::Received(direction, message),
            Step::Configure(config) => Event::Configure(config),
        };
        self.session.handle(event, self.now);
        self.listen();
    }

    fn listen(&mut self) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Connect => {
                    assert!(!self.dialing && !self.open[0], "dialled twice");
                    self.dialing = true;
                }
                Action::Send(direction, _) | Action::SetCodec(direction, _) => {
                    assert!(self.open[direction.index()], "said to nobody");
                }
                Action::Close(direction) => {
                    self.open[direction.index()] = false;
                    self.dialing &= direction != Direction::Outgoing;
                }
                Action::State(state) => self.told = state,
                Action::Up(negotiated) => {
                    assert!(!self.up, "up twice");
                    self.up = true;
                    assert_eq!(negotiated.retained, self.stale);
                    let survivors = self.open.iter().filter(|open| **open).count();
                    assert_eq!(survivors, 1, "up on one of several connections");
                }
                Action::Down(_, retained) => {
                    assert!(self.up, "down while not up");
                    self.up = false;
                    assert_eq!(self.stale, Families::NONE, "stale routes of an earlier loss");
                    self.stale = retained.families;
                }
                Action::Deliver(_) | Action::Refresh(_) => {
                    assert!(self.up, "routes outside Established");
                }
                Action::ForgetStale(families) => {
                    assert!(!families.is_empty());
                    assert_eq!(families.minus(self.stale), Families::NONE);
                    self.stale = self.stale.minus(families);
                }
                Action::AttemptFailed(_) => assert!(self.session.reasons().next().is_some()),
            }
        }
        self.check();
    }

    fn check(&self) {
        let session = &self.session;
        assert_eq!(self.told, session.state());
        assert_eq!(self.up, session.state() == State::Established);
        assert_eq!(self.up, session.established().is_some());
        assert_eq!(self.stale, session.stale());
        let agreed = session
            .slots
            .iter()
            .filter(|(_, connection)| connection.state() >= State::OpenConfirm)
            .count();
        assert!(agreed <= 1, "two connections that both sides believe in");
        let runs = |timer| session.timers(self.now).any(|(other, _)| other == timer);
        assert_eq!(runs(Timer::Restart) || runs(Timer::StalePath), !self.stale.is_empty());
        let refreshing = Family::ALL.into_iter().any(|family| runs(Timer::Refresh(family)));
        assert!(self.up || !refreshing, "a refresh outlives its session");
        if matches!(session.state(), State::Connect | State::Active) {
            let dials = session.config().passive == Passive::No;
            assert_eq!(dials, runs(Timer::ConnectRetry), "nobody would ever dial");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(
        seed in any::<u64>(),
        config in prop::sample::select(configs()),
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut witness = Witness {
            session: Session::new(config, seed),
            now: epoch(),
            up: false,
            dialing: false,
            open: [false; 3],
            stale: Families::NONE,
            told: State::Idle,
        };
        witness.take(Step::Start);
        for step in steps {
            witness.take(step);
        }
    }
}
