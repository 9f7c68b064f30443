//! Both dial at once (RFC 4271 section 6.8): one connection survives, the same one on both sides,
//! and a session that came up is not lost again.

use std::time::Duration;

use super::world::{Side, World};
use super::{asn, config, graceful};
use crate::session::{Direction, Event, Passive, SessionConfig, State};

fn external(id: u8, local: u32, peer: u32) -> SessionConfig {
    SessionConfig { local_asn: asn(local), peer_asn: asn(peer), ..config(id) }
}

/// Starts both within the time of a few packets, and lets them settle.
fn meet(a: SessionConfig, b: SessionConfig, seed: u64) -> World {
    let mut world = World::new(a, b, seed);
    world.delay = Duration::from_millis(20 + seed % 400);
    let (first, second) =
        if seed.is_multiple_of(2) { (Side::A, Side::B) } else { (Side::B, Side::A) };
    world.handle(first, Event::Start);
    world.run(Duration::from_millis(seed * 7 % 500));
    world.handle(second, Event::Start);
    world.wait_established(Duration::from_secs(15));
    world.run(Duration::from_secs(30));
    world
}

#[test]
fn one_connection_survives_whoever_has_the_higher_id() {
    for seed in 0..400 {
        for (a, b) in [(1, 2), (2, 1)] {
            let world = meet(config(a), config(b), seed);
            world.assert_one_connection();
            assert_eq!((world.a.ups(), world.b.ups()), (1, 1), "seed {seed}, ids {a} {b}");
        }
    }
}

#[test]
fn a_collision_is_not_taken_for_a_restart() {
    for seed in 0..400 {
        for (a, b) in [(1, 2), (2, 1)] {
            for restarted in [false, true] {
                let world = meet(graceful(a, restarted), graceful(b, restarted), seed);
                world.assert_one_connection();
                assert_eq!((world.a.ups(), world.b.ups()), (1, 1), "seed {seed}, ids {a} {b}");
            }
        }
    }
}

#[test]
fn equal_ids_of_two_ases_are_decided_by_the_as() {
    for seed in 0..200 {
        let world = meet(external(1, 65001, 65002), external(1, 65002, 65001), seed);
        world.assert_one_connection();
        assert_eq!((world.a.ups(), world.b.ups()), (1, 1), "seed {seed}");
    }
}

#[test]
fn the_connection_of_the_higher_id_survives() {
    for (a, b, survivor) in [(1, 2, Direction::Incoming), (2, 1, Direction::Outgoing)] {
        let mut world = World::new(config(a), config(b), 1);
        world.steady = true;
        world.start();
        world.wait_established(Duration::from_secs(1));
        world.run(Duration::from_secs(1));
        let (negotiated, _) = world.a.session.established().unwrap();
        assert_eq!(negotiated.direction, survivor);
        world.assert_one_connection();
    }
}

#[test]
fn a_passive_side_is_dialled() {
    let passive = SessionConfig { passive: Passive::Yes, ..config(2) };
    let mut world = World::established(config(1), passive, 3);
    world.run(Duration::from_secs(300));
    assert_eq!(world.b.session.established().unwrap().0.direction, Direction::Incoming);
    assert_eq!((world.a.ups(), world.b.ups()), (1, 1));
}

#[test]
fn two_passive_sides_wait_in_active_without_a_timer() {
    let mut world = World::new(
        SessionConfig { passive: Passive::Yes, ..config(1) },
        SessionConfig { passive: Passive::Yes, ..config(2) },
        4,
    );
    world.start();
    world.run(Duration::from_secs(600));
    assert_eq!(world.a.session.state(), State::Active);
    assert_eq!(world.a.session.poll_timeout(), None);
}
