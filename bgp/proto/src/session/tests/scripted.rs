//! A peer played by hand: what it may refuse, send out of turn, or never send at all.

use std::time::Duration;

use bytes::Bytes;

use super::{asn, config, epoch, graceful, open_of};
use crate::session::{
    Action, Direction, DownReason, Event, Passive, REFRESH_TIME, Session, SessionConfig, State,
    TcpFailure, Timer,
};
use crate::types::{Families, Family, HoldTime};
use crate::wire::{
    Capability, Cease, Message, MessageError, Notification, Open, RefreshKind, RouteRefresh, Update,
};

const SECOND: Duration = Duration::from_secs(1);
const OUT: Direction = Direction::Outgoing;
const IN: Direction = Direction::Incoming;
const AGAIN: Direction = Direction::IncomingAgain;

fn actions(session: &mut Session) -> Vec<Action> {
    std::iter::from_fn(|| session.poll_action()).collect()
}

/// The OPEN among the actions.
fn open_sent(actions: &[Action]) -> Open {
    actions
        .iter()
        .find_map(|action| match action {
            Action::Send(_, Message::Open(open)) => Some(open.clone()),
            _ => None,
        })
        .unwrap()
}

fn notifications(actions: &[Action]) -> Vec<(Direction, u8, u8)> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Send(direction, Message::Notification(said)) => {
                Some((*direction, said.code, said.subcode))
            }
            _ => None,
        })
        .collect()
}

/// A session to a peer that dials us.
fn passive(config: &SessionConfig) -> Session {
    let config = SessionConfig { passive: Passive::Yes, ..config.clone() };
    let mut session = Session::new(config, 1);
    session.handle(Event::Start, epoch());
    session
}

fn receive(session: &mut Session, direction: Direction, message: Message) {
    session.handle(Event::Received(direction, message), epoch());
}

/// Established in the slot `Incoming`, its actions forgotten.
fn established(ours: &SessionConfig, theirs: &SessionConfig) -> Session {
    let mut session = passive(ours);
    session.handle(Event::TcpOpened(IN), epoch());
    receive(&mut session, IN, Message::Open(open_of(theirs)));
    receive(&mut session, IN, Message::Keepalive);
    assert_eq!(session.state(), State::Established);
    actions(&mut session);
    session
}

fn refuse(session: &mut Session, notification: Notification) -> Open {
    session.handle(Event::TcpOpened(IN), epoch());
    actions(session);
    receive(session, IN, Message::Notification(notification));
    assert_eq!(session.state(), State::Idle);
    let until = session.poll_timeout().unwrap();
    assert!(until - epoch() <= SECOND, "retried soon");
    session.handle_timeout(until);
    session.handle(Event::TcpOpened(IN), until);
    open_sent(&actions(session))
}

#[test]
fn a_peer_that_knows_no_capabilities_is_offered_none() {
    let mut session = passive(&graceful(1, false));
    let open = refuse(&mut session, Notification::unsupported_optional_parameter());
    assert_eq!(open.capabilities, []);
    assert_eq!(session.refused_capabilities().len(), 7);
    let mut theirs = open_of(&config(2));
    theirs.capabilities.clear();
    receive(&mut session, IN, Message::Open(theirs));
    receive(&mut session, IN, Message::Keepalive);
    let negotiated = session.established().unwrap().0;
    assert_eq!(negotiated.codec.families, Families::NONE.with(Family::Ipv4Unicast));
    assert!(!negotiated.codec.four_octet_asn && !negotiated.route_refresh);
    assert_eq!(negotiated.end_of_rib, Families::NONE);
    assert_eq!(negotiated.refused.len(), 7, "told to whoever asks why they are not in use");
}

#[test]
fn a_capability_that_the_peer_names_is_dropped_alone() {
    let mut session = passive(&graceful(1, false));
    let refused = Notification { code: 2, subcode: 7, data: Bytes::from_static(&[64, 0]) };
    let open = refuse(&mut session, refused);
    assert!(!open.capabilities.iter().any(|capability| capability.code() == 64));
    assert_eq!(open.capabilities.len(), 6);
    assert!(matches!(session.refused_capabilities(), [Capability::GracefulRestart { .. }]));
}

#[test]
fn a_family_that_the_peer_names_is_dropped_alone() {
    let mut session = passive(&config(1));
    let named = [Capability::Multiprotocol(Family::Ipv6Unicast)];
    let open = refuse(&mut session, Notification::unsupported_capability(&named));
    assert!(!open.capabilities.contains(&named[0]));
    assert!(open.capabilities.contains(&Capability::Multiprotocol(Family::Ipv4Unicast)));
}

#[test]
fn what_the_peer_wants_and_we_did_not_offer_cannot_be_dropped() {
    let mut session = passive(&config(1));
    let wanted = Notification::unsupported_capability(&[Capability::Role(3)]);
    refuse(&mut session, wanted);
    assert_eq!(session.refused_capabilities(), []);
    assert_eq!(session.failures(), 1);
}

#[test]
fn what_we_cannot_do_without_is_not_dropped() {
    let wide = asn(4_200_000_000);
    let wide = SessionConfig { local_asn: wide, peer_asn: wide, ..config(1) };
    let mut session = passive(&wide);
    let open = refuse(&mut session, Notification::unsupported_optional_parameter());
    assert_eq!(open.capabilities, [Capability::FourOctetAsn(4_200_000_000)]);
    assert_eq!(open.asn, 23456);

    let six = SessionConfig { families: Families::NONE.with(Family::Ipv6Unicast), ..config(1) };
    let mut session = passive(&six);
    refuse(&mut session, Notification::unsupported_optional_parameter());
    assert_eq!(session.refused_capabilities(), [], "without a capability there is no IPv6");
}

#[test]
fn an_end_of_rib_may_come_from_a_peer_that_lists_no_family() {
    let mut session = passive(&graceful(1, false));
    session.handle(Event::TcpOpened(IN), epoch());
    let mut theirs = open_of(&config(2));
    theirs.capabilities.push(Capability::GracefulRestart {
        restarted: false,
        notification: false,
        restart_time: 120 * SECOND,
        families: Vec::new(),
    });
    receive(&mut session, IN, Message::Open(theirs));
    receive(&mut session, IN, Message::Keepalive);
    let negotiated = session.established().unwrap().0;
    assert_eq!(negotiated.graceful_restart, Families::NONE);
    assert_eq!(negotiated.end_of_rib, Families::ALL);
    session.handle(Event::TcpClosed(IN, TcpFailure::Closed), epoch());
    assert_eq!(session.stale(), Families::NONE);
}

#[test]
fn a_restart_time_of_zero_keeps_nothing() {
    let mut session = passive(&graceful(1, false));
    session.handle(Event::TcpOpened(IN), epoch());
    let mut theirs = graceful(2, false);
    theirs.graceful_restart.as_mut().unwrap().restart_time = Duration::ZERO;
    receive(&mut session, IN, Message::Open(open_of(&theirs)));
    receive(&mut session, IN, Message::Keepalive);
    session.handle(Event::TcpClosed(IN, TcpFailure::Closed), epoch());
    assert_eq!(session.stale(), Families::NONE);
}

#[test]
fn a_mute_newcomer_hurts_nobody() {
    let mut session = established(&graceful(1, false), &graceful(2, false));
    assert_eq!(session.admit(epoch()), Some(AGAIN));
    session.handle(Event::TcpOpened(AGAIN), epoch());
    // KEEPALIVEs on the old session, nothing on the new.
    let mut now = epoch();
    for _ in 0..30 {
        now += 10 * SECOND;
        session.handle(Event::Received(IN, Message::Keepalive), now);
        session.handle_timeout(now);
    }
    assert_eq!(session.state(), State::Established);
    let done = actions(&mut session);
    assert!(!done.iter().any(|action| matches!(action, Action::Down(..) | Action::Close(IN))));
    assert_eq!(notifications(&done), [(AGAIN, 4, 0)], "its own hold timer ended it");
}

#[test]
fn a_newcomer_with_a_bad_open_hurts_nobody() {
    let stranger = SessionConfig { local_asn: asn(65009), ..config(3) };
    let mut session = established(&graceful(1, false), &graceful(2, false));
    for _ in 0..5 {
        assert_eq!(session.admit(epoch()), Some(AGAIN));
        session.handle(Event::TcpOpened(AGAIN), epoch());
        receive(&mut session, AGAIN, Message::Open(open_of(&stranger)));
        assert_eq!(notifications(&actions(&mut session)), [(AGAIN, 2, 2)]);
        assert_eq!(session.state(), State::Established);
    }
    let update = Update { end_of_rib: Some(Family::Ipv4Unicast), ..Update::default() };
    receive(&mut session, IN, Message::Update(update));
    assert!(matches!(actions(&mut session)[..], [Action::Deliver(_)]));
}

#[test]
fn a_second_newcomer_takes_the_place_of_the_first() {
    let mut session = established(&graceful(1, false), &graceful(2, false));
    assert_eq!(session.admit(epoch()), Some(AGAIN));
    session.handle(Event::TcpOpened(AGAIN), epoch());
    actions(&mut session);
    assert_eq!(session.admit(epoch()), Some(AGAIN));
    let done = actions(&mut session);
    assert_eq!(notifications(&done), [(AGAIN, 6, 7)]);
    assert!(matches!(done[..], [_, Action::Close(AGAIN)]));
    session.handle(Event::TcpOpened(AGAIN), epoch());
    assert_eq!(session.state(), State::Established);
}

#[test]
fn a_newcomer_replaces_an_incoming_session_even_when_young() {
    let mut session = established(&graceful(1, false), &graceful(2, false));
    session.handle(Event::TcpOpened(AGAIN), epoch());
    actions(&mut session);
    receive(&mut session, AGAIN, Message::Open(open_of(&graceful(2, true))));
    let done = actions(&mut session);
    assert!(matches!(done[0], Action::Down(DownReason::Replaced, _)), "{done:?}");
    assert!(matches!(done[1], Action::Close(IN)), "closed without a NOTIFICATION: {done:?}");
    assert_eq!(session.state(), State::OpenConfirm);
    // The next one finds the other name free.
    assert_eq!(session.admit(epoch()), Some(IN));
}

#[test]
fn of_two_that_the_peer_dialled_the_later_is_meant() {
    for (first, second) in [(IN, AGAIN), (AGAIN, IN)] {
        let mut session = passive(&config(1));
        session.handle(Event::TcpOpened(first), epoch());
        session.handle(Event::TcpOpened(second), epoch());
        receive(&mut session, second, Message::Open(open_of(&config(2))));
        receive(&mut session, first, Message::Open(open_of(&config(2))));
        assert_eq!(notifications(&actions(&mut session)), [(first, 6, 7)]);

        let mut session = passive(&config(1));
        session.handle(Event::TcpOpened(first), epoch());
        session.handle(Event::TcpOpened(second), epoch());
        receive(&mut session, first, Message::Open(open_of(&config(2))));
        receive(&mut session, second, Message::Open(open_of(&config(2))));
        assert_eq!(notifications(&actions(&mut session)), [(first, 6, 7)]);
        receive(&mut session, second, Message::Keepalive);
        assert_eq!(session.state(), State::Established);
    }
}

#[test]
fn a_stopped_or_damped_session_admits_nobody() {
    let mut session = Session::new(config(1), 1);
    assert_eq!(session.admit(epoch()), None);
    session.handle(Event::Start, epoch());
    assert_eq!(session.admit(epoch()), Some(IN));
    session.handle(Event::TcpOpened(OUT), epoch());
    let error = MessageError::new(Notification::malformed_open(), "malformed");
    session.handle(Event::Malformed(OUT, error), epoch());
    assert_eq!(session.state(), State::Idle);
    assert_eq!(session.admit(epoch()), None);
    actions(&mut session);
    session.handle(Event::TcpOpened(IN), epoch());
    assert!(matches!(actions(&mut session)[..], [Action::Close(IN)]));
}

#[test]
fn a_refresh_reaches_the_rib_only_for_a_family_of_the_session() {
    let six = SessionConfig { families: Families::NONE.with(Family::Ipv6Unicast), ..config(2) };
    let mut session = established(&config(1), &six);
    let refresh = |family, kind| Message::RouteRefresh(RouteRefresh { family, kind });
    for ignored in [
        refresh(None, RefreshKind::Request),
        refresh(Some(Family::Ipv4Unicast), RefreshKind::Request),
        refresh(Some(Family::Ipv4Unicast), RefreshKind::Begin),
        refresh(Some(Family::Ipv6Unicast), RefreshKind::Unknown(9)),
    ] {
        receive(&mut session, IN, ignored);
        assert!(actions(&mut session).is_empty());
    }
    for kind in [RefreshKind::Request, RefreshKind::Begin, RefreshKind::End] {
        receive(&mut session, IN, refresh(Some(Family::Ipv6Unicast), kind));
        assert!(matches!(actions(&mut session)[..], [Action::Refresh(_)]), "{kind:?}");
    }
}

#[test]
fn brackets_mean_nothing_where_they_were_not_agreed_on() {
    let mut session = passive(&config(1));
    session.handle(Event::TcpOpened(IN), epoch());
    let mut theirs = open_of(&config(2));
    theirs.capabilities.retain(|capability| *capability != Capability::EnhancedRouteRefresh);
    receive(&mut session, IN, Message::Open(theirs));
    receive(&mut session, IN, Message::Keepalive);
    actions(&mut session);
    for kind in [RefreshKind::Begin, RefreshKind::End] {
        let family = Some(Family::Ipv4Unicast);
        receive(&mut session, IN, Message::RouteRefresh(RouteRefresh { family, kind }));
        assert!(actions(&mut session).is_empty());
    }
}

#[test]
fn a_lost_collision_is_no_failure() {
    let mut session = Session::new(config(1), 1);
    session.handle(Event::Start, epoch());
    session.handle(Event::TcpOpened(OUT), epoch());
    session.handle(Event::TcpOpened(IN), epoch());
    actions(&mut session);
    let cease = Notification::cease(&Cease::ConnectionCollision);
    receive(&mut session, OUT, Message::Notification(cease));
    assert!(matches!(actions(&mut session)[..], [Action::Close(OUT)]));
    assert_eq!(session.state(), State::OpenSent);
    assert_eq!(session.failures(), 0);
}

#[test]
fn a_session_that_keeps_failing_young_is_damped() {
    let mut session = passive(&config(1));
    let mut now = epoch();
    let mut waits = Vec::new();
    for _ in 0..6 {
        session.handle(Event::TcpOpened(IN), now);
        session.handle(Event::Received(IN, Message::Open(open_of(&config(2)))), now);
        session.handle(Event::Received(IN, Message::Keepalive), now);
        let error = MessageError::new(Notification::malformed_open(), "malformed");
        session.handle(Event::Malformed(IN, error), now);
        let until = session.poll_timeout().unwrap();
        waits.push((until - now).as_secs_f64());
        now = until;
        session.handle_timeout(now);
    }
    for (wait, most) in waits.iter().zip([1.0, 5.0, 10.0, 20.0, 40.0, 80.0]) {
        assert!((most * 0.75..=most).contains(wait), "{waits:?}");
    }
    // One that lasts makes the next loss a first one.
    session.handle(Event::TcpOpened(IN), now);
    session.handle(Event::Received(IN, Message::Open(open_of(&config(2)))), now);
    session.handle(Event::Received(IN, Message::Keepalive), now);
    now += 40 * SECOND;
    session.handle(Event::Reset(Cease::OutOfResources), now);
    assert!(session.poll_timeout().unwrap() - now <= SECOND);
}

/// A peer that begins to send a family again and never ends: after a time it is taken to have
/// ended, and only in the session that it began in.
#[test]
fn a_refresh_that_never_ends_is_ended() {
    let begin = |family| {
        Message::RouteRefresh(RouteRefresh { family: Some(family), kind: RefreshKind::Begin })
    };
    let due = |session: &Session| -> Vec<Family> {
        let running = |family: &Family| {
            session.timers(epoch()).any(|(timer, _)| timer == Timer::Refresh(*family))
        };
        Family::ALL.into_iter().filter(running).collect()
    };
    let ours = SessionConfig { hold_time: HoldTime::DISABLED, ..config(1) };
    let mut session = established(&ours, &config(2));
    for family in Family::ALL {
        receive(&mut session, IN, begin(family));
    }
    let end = RouteRefresh { family: Some(Family::Ipv6Unicast), kind: RefreshKind::End };
    receive(&mut session, IN, Message::RouteRefresh(end));
    assert_eq!(due(&session), [Family::Ipv4Unicast]);
    actions(&mut session);
    session.handle_timeout(epoch() + REFRESH_TIME);
    let ended = RouteRefresh { family: Some(Family::Ipv4Unicast), kind: RefreshKind::End };
    let done = actions(&mut session);
    assert!(matches!(&done[..], [Action::Refresh(refresh)] if *refresh == ended), "{done:?}");
    assert_eq!(due(&session), []);

    receive(&mut session, IN, begin(Family::Ipv4Unicast));
    session.handle(Event::TcpClosed(IN, TcpFailure::Closed), epoch());
    assert_eq!(due(&session), []);
}
