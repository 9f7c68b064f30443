//! Sessions lost and found again: graceful restart (RFC 4724) in the helper's and in the
//! restarting role, partitions, restarts without warning.

use std::time::Duration;

use super::world::{Seen, Side, World};
use super::{config, graceful};
use crate::session::{
    DownReason, Event, Passive, RestartingSide, STALE_PATH_TIME, SessionConfig, State, TcpFailure,
};
use crate::types::{Families, Family};
use crate::wire::{Cease, Message};

const V4: Families = Families::NONE.with(Family::Ipv4Unicast);
const SECOND: Duration = Duration::from_secs(1);

/// What A saw, without the times.
fn seen(world: &World) -> Vec<Seen> {
    world.a.seen.iter().map(|(_, seen)| seen.clone()).collect()
}

fn forgotten(world: &World) -> Families {
    seen(world)
        .into_iter()
        .filter_map(|seen| if let Seen::Forgot(families) = seen { Some(families) } else { None })
        .flat_map(|families| families.iter().collect::<Vec<_>>())
        .collect()
}

/// A established with B, then B killed and back after `away`, configured as `b`.
fn after_restart(b: SessionConfig, away: Duration) -> World {
    let mut world = World::established(graceful(1, false), graceful(2, false), 5);
    world.run(SECOND);
    world.kill(Side::B);
    world.run(away);
    world.boot(Side::B, b);
    world
}

#[test]
fn a_peer_that_is_killed_and_returns_keeps_its_routes_until_its_end_of_rib() {
    let mut world = after_restart(graceful(2, true), 10 * SECOND);
    assert_eq!(world.a.session.stale(), Families::ALL);
    world.wait_established(SECOND);
    let [Seen::Up(_), Seen::Down(DownReason::Tcp(TcpFailure::Closed), Families::ALL), ..] =
        &seen(&world)[..]
    else {
        panic!("{:?}", world.a.seen);
    };
    let Some((_, Seen::Up(negotiated))) = world.a.seen.last() else {
        panic!("{:?}", world.a.seen);
    };
    assert_eq!(negotiated.retained, Families::ALL);
    assert!(negotiated.peer_restarted);
    assert_eq!(forgotten(&world), Families::NONE);

    world.end_of_rib(Side::B, Family::Ipv4Unicast);
    world.run(SECOND);
    assert_eq!(forgotten(&world), V4);
    assert_eq!(world.a.session.stale(), Families::ALL.minus(V4));
    world.end_of_rib(Side::B, Family::Ipv6Unicast);
    world.run(SECOND);
    assert_eq!(forgotten(&world), Families::ALL);
    let before = world.a.seen.len();
    world.run(2 * STALE_PATH_TIME);
    assert_eq!(world.a.seen.len(), before, "nothing is left to forget");
}

#[test]
fn a_peer_restarted_at_once_is_back_within_a_second() {
    for seed in 0..50 {
        let mut world = World::established(graceful(1, false), graceful(2, false), seed);
        world.run(60 * SECOND);
        world.kill(Side::B);
        world.run(Duration::from_millis(20 * seed));
        world.boot(Side::B, graceful(2, true));
        world.wait_established(SECOND + Duration::from_millis(100));
    }
}

#[test]
fn a_passive_peer_restarted_at_once_is_dialled_within_a_second() {
    let passive = |restarted| SessionConfig { passive: Passive::Yes, ..graceful(2, restarted) };
    let mut world = World::established(graceful(1, false), passive(false), 1);
    world.run(60 * SECOND);
    world.kill(Side::B);
    world.run(Duration::from_millis(100));
    world.boot(Side::B, passive(true));
    world.wait_established(SECOND);
}

#[test]
fn a_peer_that_stays_away_is_forgotten_after_its_restart_time() {
    let mut world = World::established(graceful(1, false), graceful(2, false), 5);
    world.kill(Side::B);
    world.run(119 * SECOND);
    assert_eq!(forgotten(&world), Families::NONE);
    world.run(2 * SECOND);
    assert_eq!(forgotten(&world), Families::ALL);
    assert_eq!(world.a.session.stale(), Families::NONE);
}

#[test]
fn a_family_that_returns_without_its_forwarding_state_is_forgotten_at_once() {
    let side = RestartingSide {
        restart_time: 120 * SECOND,
        restarted: true,
        forwarding: V4,
        notification: false,
    };
    let b = SessionConfig { graceful_restart: Some(side), ..graceful(2, true) };
    let mut world = after_restart(b, 3 * SECOND);
    world.wait_established(SECOND);
    let last = seen(&world).split_off(world.a.seen.len() - 2);
    let [Seen::Forgot(families), Seen::Up(negotiated)] = &last[..] else { panic!("{last:?}") };
    assert_eq!(*families, Families::ALL.minus(V4));
    assert_eq!(negotiated.retained, V4);
}

#[test]
fn a_peer_that_returns_without_the_capability_is_forgotten_at_once() {
    let mut world = after_restart(config(2), 3 * SECOND);
    world.wait_established(SECOND);
    assert_eq!(forgotten(&world), Families::ALL);
}

#[test]
fn a_peer_that_never_ends_its_rib_is_forgotten_after_the_stale_path_time() {
    let mut world = after_restart(graceful(2, true), 3 * SECOND);
    world.wait_established(SECOND);
    world.run(STALE_PATH_TIME - SECOND);
    assert_eq!(forgotten(&world), Families::NONE);
    world.run(2 * SECOND);
    assert_eq!(forgotten(&world), Families::ALL);
    assert_eq!(world.a.session.state(), State::Established);
}

#[test]
fn what_is_stale_from_one_restart_does_not_outlive_the_next() {
    let mut world = after_restart(graceful(2, true), 3 * SECOND);
    world.wait_established(SECOND);
    world.end_of_rib(Side::B, Family::Ipv4Unicast);
    world.run(SECOND);
    world.kill(Side::B);
    world.run(SECOND / 2);
    let last = seen(&world).split_off(world.a.seen.len() - 2);
    let [Seen::Forgot(families), Seen::Down(_, Families::ALL)] = &last[..] else {
        panic!("{last:?}");
    };
    assert_eq!(*families, Families::ALL.minus(V4), "ipv4 had been refreshed");
    world.boot(Side::B, graceful(2, true));
    world.wait_established(2 * SECOND);
}

#[test]
fn a_connection_that_breaks_without_a_restart_costs_no_route() {
    let mut world = World::established(graceful(1, false), graceful(2, false), 5);
    world.run(60 * SECOND);
    let direction = world.a.session.established().unwrap().0.direction;
    for side in Side::BOTH {
        let direction = world.router(side).session.established().unwrap().0.direction;
        world.lose_socket(side, direction);
    }
    world.handle(Side::A, Event::TcpClosed(direction, TcpFailure::Io("broken pipe".to_owned())));
    let direction = world.b.session.established().unwrap().0.direction;
    world.handle(Side::B, Event::TcpClosed(direction, TcpFailure::Io("broken pipe".to_owned())));
    world.wait_established(2 * SECOND);
    let Some((_, Seen::Up(negotiated))) = world.a.seen.last() else {
        panic!("{:?}", world.a.seen);
    };
    assert!(!negotiated.peer_restarted);
    assert_eq!(negotiated.retained, Families::ALL, "nothing was restarted, so all was preserved");
    assert_eq!(forgotten(&world), Families::NONE);
}

#[test]
fn a_peer_that_restarted_unnoticed_replaces_its_old_session() {
    for (a, b) in [(1, 2), (2, 1)] {
        let mut world = World::established(graceful(a, false), graceful(b, false), 5);
        world.run(10 * SECOND);
        world.power_off(Side::B);
        world.run(5 * SECOND);
        assert_eq!(world.a.session.state(), State::Established);
        world.boot(Side::B, graceful(b, true));
        world.wait_established(SECOND);
        assert_eq!(world.a.downs(), [&DownReason::Replaced]);
        assert_eq!(world.a.ups(), 2);
        assert!(matches!(seen(&world)[1], Seen::Down(_, Families::ALL)));
        world.run(60 * SECOND);
        world.assert_one_connection();
        assert_eq!(world.a.ups(), 2);
    }
}

#[test]
fn without_graceful_restart_a_newcomer_waits_until_the_old_session_dies() {
    let mut world = World::established(config(1), config(2), 5);
    world.run(10 * SECOND);
    world.power_off(Side::B);
    world.run(SECOND);
    world.boot(Side::B, config(2));
    world.run(8 * SECOND);
    assert_eq!(world.a.ups(), 1);
    assert!(world.a.downs().is_empty());
    assert!(world.b.seen.iter().all(|(_, seen)| match seen {
        Seen::Failed(DownReason::Received(notification)) => notification.subcode == 7,
        _ => false,
    }));
    // The next KEEPALIVE of A finds a kernel that does not know the connection.
    world.wait_established(30 * SECOND);
    assert!(matches!(world.a.downs()[..], [DownReason::Tcp(TcpFailure::Io(_))]));
}

#[test]
fn a_partition_within_the_hold_time_costs_nothing() {
    let mut world = World::established(graceful(1, false), graceful(2, false), 5);
    world.cut();
    world.run(50 * SECOND);
    world.mend();
    world.run(300 * SECOND);
    assert_eq!((world.a.ups(), world.b.ups()), (1, 1));
    assert_eq!(world.a.session.state(), State::Established);
}

#[test]
fn a_partition_beyond_the_hold_time_ends_forwarding_and_heals_soon() {
    let mut world = World::established(graceful(1, false), graceful(2, false), 5);
    world.cut();
    world.run(100 * SECOND);
    assert!(matches!(seen(&world)[1], Seen::Down(DownReason::HoldTimer(_), Families::NONE)));
    world.mend();
    world.wait_established(10 * SECOND);
}

#[test]
fn leaving_says_nothing_and_the_peer_keeps_all() {
    let mut world = World::established(graceful(1, false), graceful(2, false), 5);
    world.handle(Side::B, Event::Leave);
    world.run(SECOND / 2);
    assert!(!world.b.sent.iter().any(|(_, message)| matches!(message, Message::Notification(_))));
    assert!(matches!(
        world.b.seen.last(),
        Some((_, Seen::Down(DownReason::Leaving, Families::ALL)))
    ));
    assert_eq!(world.b.session.state(), State::Idle);
    assert_eq!(world.a.session.stale(), Families::ALL);
    assert_eq!(world.a.downs(), [&DownReason::Tcp(TcpFailure::Closed)]);
}

#[test]
fn a_stop_is_told_and_ends_forwarding() {
    let mut world = World::established(graceful(1, false), graceful(2, false), 5);
    let cease = Cease::AdministrativeShutdown("rack move".to_owned());
    world.handle(Side::B, Event::Stop(cease));
    world.run(SECOND / 2);
    let Some((_, Seen::Down(reason, Families::NONE))) = world.a.seen.get(1) else {
        panic!("{:?}", world.a.seen);
    };
    assert!(reason.to_string().contains("rack move"), "{reason}");
    world.run(300 * SECOND);
    assert_eq!(world.b.session.state(), State::Idle);
    assert_eq!(world.b.session.poll_timeout(), None);
    world.handle(Side::B, Event::Start);
    world.wait_established(SECOND);
}

#[test]
fn a_reset_comes_back_by_itself() {
    let mut world = World::established(graceful(1, false), graceful(2, false), 5);
    world.run(60 * SECOND);
    world.handle(Side::B, Event::Reset(Cease::AdministrativeReset(String::new())));
    world.wait_established(3 * SECOND);
    assert!(matches!(world.b.downs()[..], [DownReason::Local(_)]));
    assert!(matches!(world.a.downs()[..], [DownReason::Received(_)]));
}

#[test]
fn when_the_deferral_is_over_opens_carry_no_r_bit() {
    let mut world = World::established(graceful(1, true), graceful(2, true), 5);
    assert!(world.a.session.established().unwrap().0.peer_restarted);
    world.handle(Side::B, Event::RestartOver);
    world.run(60 * SECOND);
    world.handle(Side::A, Event::Reset(Cease::AdministrativeReset(String::new())));
    world.wait_established(3 * SECOND);
    assert!(!world.a.session.established().unwrap().0.peer_restarted);
    assert!(world.b.session.established().unwrap().0.peer_restarted, "A is still deferring");
}

#[test]
fn both_restarted_at_once_find_each_other() {
    for seed in 0..50 {
        let mut world = World::established(graceful(1, false), graceful(2, false), seed);
        world.run(30 * SECOND);
        world.kill(Side::A);
        world.run(Duration::from_millis(seed * 60));
        world.kill(Side::B);
        world.run(10 * SECOND);
        world.boot(Side::A, graceful(1, true));
        world.run(Duration::from_millis(seed * 30));
        world.boot(Side::B, graceful(2, true));
        world.wait_established(2 * SECOND);
        world.run(30 * SECOND);
        world.assert_one_connection();
        assert_eq!((world.a.ups(), world.b.ups()), (1, 1), "seed {seed}");
    }
}
