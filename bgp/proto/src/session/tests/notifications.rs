//! NOTIFICATION and hold timer as graceful restarts (RFC 8538), and the Hard Reset that is none.

use std::time::Duration;

use super::world::{Seen, Side, World};
use super::{graceful, notifying};
use crate::session::{DownReason, Event, SessionConfig};
use crate::types::Families;
use crate::wire::{Cease, Message, MessageError, Notification};

const SECOND: Duration = Duration::from_secs(1);

fn up(a: SessionConfig, b: SessionConfig) -> World {
    let mut world = World::established(a, b, 5);
    world.run(60 * SECOND);
    world
}

/// What a router kept of the session that it lost last.
fn kept(world: &World, side: Side) -> Families {
    let router = if side == Side::A { &world.a } else { &world.b };
    let lost = router.seen.iter().rev().find_map(|(_, seen)| match seen {
        Seen::Down(_, families) => Some(*families),
        _ => None,
    });
    lost.expect("a session was lost")
}

/// B's complaint about what A sent.
fn complain(world: &mut World) {
    let direction = world.b.session.established().unwrap().0.direction;
    let error = MessageError::new(Notification::bad_message_type(9), "type 9");
    world.handle(Side::B, Event::Malformed(direction, error));
}

#[test]
fn both_sides_must_have_offered_it() {
    let table = [
        (graceful(1, false), graceful(2, false), false),
        (notifying(1, false), graceful(2, false), false),
        (graceful(1, false), notifying(2, false), false),
        (notifying(1, false), notifying(2, false), true),
    ];
    for (a, b, agreed) in table {
        let mut world = up(a, b);
        assert_eq!(world.a.session.established().unwrap().0.graceful_notification, agreed);
        complain(&mut world);
        world.run(SECOND / 10);
        let expected = if agreed { Families::ALL } else { Families::NONE };
        assert_eq!((kept(&world, Side::A), kept(&world, Side::B)), (expected, expected));
    }
}

#[test]
fn a_fault_costs_a_session_and_no_route() {
    let mut world = up(notifying(1, false), notifying(2, false));
    complain(&mut world);
    world.wait_established(3 * SECOND);
    let Some((_, Seen::Up(again))) = world.a.seen.last() else { panic!("{:?}", world.a.seen) };
    assert_eq!(again.retained, Families::ALL, "nothing restarted, so F is set");
    assert!(!again.peer_restarted);
}

#[test]
fn a_partition_beyond_the_hold_time_keeps_the_routes() {
    let mut world = up(notifying(1, false), notifying(2, false));
    world.cut();
    world.run(100 * SECOND);
    assert!(matches!(world.a.downs()[..], [DownReason::HoldTimer(_)]));
    assert_eq!(world.a.session.stale(), Families::ALL);
    world.mend();
    world.wait_established(10 * SECOND);
    assert_eq!(world.a.session.stale(), Families::ALL, "until the End-of-RIB");
}

#[test]
fn a_dead_peer_is_forgotten_when_hold_time_and_restart_time_are_over() {
    let mut world = up(notifying(1, false), notifying(2, false));
    world.power_off(Side::B);
    world.run((90 + 120) * SECOND);
    assert_eq!(world.a.session.stale(), Families::NONE);
    assert!(world.a.seen.iter().any(|(_, seen)| *seen == Seen::Forgot(Families::ALL)));
}

#[test]
fn who_stays_down_says_hard_reset_and_why() {
    let mut world = up(notifying(1, false), notifying(2, false));
    world.handle(Side::B, Event::Stop(Cease::AdministrativeShutdown("rack move".to_owned())));
    world.run(SECOND / 10);
    let said = world.b.sent.iter().rev().find_map(|(_, message)| match message {
        Message::Notification(said) => Some(said.clone()),
        _ => None,
    });
    let said = said.unwrap();
    assert!(said.is_hard_reset());
    assert_eq!(said.encapsulated().unwrap().communication(), Some("rack move"));
    assert_eq!((kept(&world, Side::A), kept(&world, Side::B)), (Families::NONE, Families::NONE));
    assert!(world.a.downs()[0].to_string().contains("rack move"), "{}", world.a.downs()[0]);
}

#[test]
fn who_stays_down_says_it_plainly_to_a_peer_without_the_bit() {
    let mut world = up(notifying(1, false), graceful(2, false));
    world.handle(Side::A, Event::Stop(Cease::PeerDeconfigured));
    world.run(SECOND / 10);
    assert!(matches!(world.b.downs()[..], [DownReason::Received(said)] if said.subcode == 3));
}

#[test]
fn a_reset_is_graceful_unless_it_is_a_hard_one() {
    for (cease, expected) in [
        (Cease::AdministrativeReset(String::new()), Families::ALL),
        (Cease::OtherConfigurationChange, Families::ALL),
        (Cease::HardReset, Families::NONE),
    ] {
        let mut world = up(notifying(1, false), notifying(2, false));
        world.handle(Side::B, Event::Reset(cease));
        world.run(SECOND / 10);
        assert_eq!((kept(&world, Side::A), kept(&world, Side::B)), (expected, expected));
        world.wait_established(3 * SECOND);
    }
}

#[test]
fn turning_it_on_bounces_the_session() {
    assert_eq!(
        graceful(1, false).bounces(&notifying(1, false)).as_deref(),
        Some("graceful restart")
    );
}
