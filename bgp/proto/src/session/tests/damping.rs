//! Attempts that fail: how often they are made, what is said, what is remembered.

use std::time::Duration;

use super::world::{Seen, Side, World};
use super::{asn, config};
use crate::session::{
    DownReason, Event, MAX_REFUSAL, Passive, REASONS_KEPT, SessionConfig, State, Timer,
};
use crate::types::{Families, Family, HoldTime, Prefix};
use crate::wire::Update;

const SECOND: Duration = Duration::from_secs(1);

/// When A's attempts failed, in whole seconds apart.
fn gaps(world: &World) -> Vec<u64> {
    let failed: Vec<_> = world
        .a
        .seen
        .iter()
        .filter(|(_, seen)| matches!(seen, Seen::Failed(_)))
        .map(|(at, _)| *at)
        .collect();
    failed.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect()
}

#[test]
fn a_peer_that_is_not_there_is_dialled_ever_more_slowly() {
    let mut world = World::new(config(1), config(2), 9);
    world.power_off(Side::B);
    world.handle(Side::A, Event::Start);
    world.run(600 * SECOND);
    assert_eq!(world.a.session.state(), State::Active);
    let gaps = gaps(&world);
    assert!(gaps[0] == 0, "the second attempt comes within a second: {gaps:?}");
    for (gap, base) in gaps.iter().skip(1).zip([5, 10, 20, 40, 80, 120, 120]) {
        assert!((base * 3 / 4..=base).contains(gap), "{gaps:?}");
    }
    assert!(gaps.len() > 7);
}

#[test]
fn a_peer_that_does_not_answer_is_dialled_anew() {
    let mut world = World::new(config(1), config(2), 9);
    world.cut();
    world.start();
    world.run(60 * SECOND);
    assert_eq!(world.a.session.state(), State::Connect);
    let text = world.a.session.reasons().next().unwrap().1.to_string();
    assert_eq!(text, "the connection did not open in time");
    world.mend();
    world.wait_established(40 * SECOND);
}

#[test]
fn two_that_disagree_about_the_as_do_so_slowly_and_say_why() {
    let wrong = SessionConfig { peer_asn: asn(65001), ..config(1) };
    let mut world = World::new(wrong.clone(), config(2), 7);
    world.start();
    world.run(3600 * SECOND);
    assert_eq!((world.a.ups(), world.b.ups()), (0, 0));
    let attempts = world.a.seen.len();
    assert!((10..150).contains(&attempts), "{attempts} in an hour");
    let reasons: Vec<String> =
        world.a.session.reasons().map(|(_, reason)| reason.to_string()).collect();
    assert!((2..=REASONS_KEPT).contains(&reasons.len()), "{reasons:#?}");
    assert!(
        reasons.iter().any(|reason| reason
            == "the peer is of AS 64512, configured is AS 65001 \
                (we said: OPEN Message Error, Bad Peer AS)"),
        "{reasons:#?}"
    );
    assert!(
        world.b.session.reasons().any(|(_, reason)| matches!(reason, DownReason::Received(_))),
        "B knows what A said"
    );
    world.handle(Side::A, Event::Configure(Box::new(config(1))));
    world.wait_established(150 * SECOND);
}

#[test]
fn an_internal_peer_with_our_own_id_is_refused() {
    let mut world = World::new(config(1), config(1), 7);
    world.start();
    world.run(5 * SECOND);
    let mut reasons = world.a.session.reasons().map(|(_, reason)| reason.to_string());
    assert!(reasons.any(|reason| reason.contains("Bad BGP Identifier")));
    assert_eq!(world.a.ups(), 0);
}

#[test]
fn no_family_in_common_is_said_with_the_families_wanted() {
    let only = |id, family| SessionConfig { families: Families::NONE.with(family), ..config(id) };
    let mut world = World::new(only(1, Family::Ipv4Unicast), only(2, Family::Ipv6Unicast), 7);
    world.start();
    world.run(5 * SECOND);
    let reasons: Vec<_> = world.a.session.reasons().chain(world.b.session.reasons()).collect();
    let (notification, what) = reasons
        .iter()
        .find_map(|(_, reason)| match reason {
            DownReason::Sent { notification, what } if what.contains("we offer ipv4") => {
                Some((notification, what))
            }
            _ => None,
        })
        .unwrap();
    assert_eq!((notification.code, notification.subcode), (2, 7));
    assert_eq!(&notification.data[..], [1, 4, 0, 1, 0, 1]);
    assert_eq!(what, "no address family in common: we offer ipv4, the peer ipv6");
}

#[test]
fn families_in_common_are_enough() {
    let narrow = SessionConfig { families: Families::NONE.with(Family::Ipv6Unicast), ..config(2) };
    let world = World::established(config(1), narrow, 7);
    let negotiated = world.a.session.established().unwrap().0;
    assert_eq!(negotiated.codec.families, Families::NONE.with(Family::Ipv6Unicast));
    assert!(negotiated.codec.four_octet_asn && negotiated.codec.ibgp && negotiated.route_refresh);
}

#[test]
fn the_smaller_hold_time_holds_and_keepalives_follow_it() {
    let short = SessionConfig { hold_time: HoldTime::from_secs(3).unwrap(), ..config(2) };
    let mut world = World::established(config(1), short, 7);
    let sent = world.a.sent.len();
    world.run(60 * SECOND);
    assert_eq!(world.a.ups(), 1);
    assert!(world.a.downs().is_empty());
    let keepalives = world.a.sent.len() - sent;
    assert!((55..=60).contains(&keepalives), "{keepalives}: never more than one a second");
}

#[test]
fn a_hold_time_of_zero_needs_no_keepalives() {
    let none = SessionConfig { hold_time: HoldTime::DISABLED, ..config(2) };
    let mut world = World::established(config(1), none, 7);
    world.run(10 * SECOND);
    assert_eq!(world.a.session.timers(world.now).count(), 0);
    world.cut();
    world.run(3600 * SECOND);
    assert_eq!(world.a.session.state(), State::Established);
}

#[test]
fn a_change_bounces_only_where_it_must() {
    let mut world = World::established(config(1), config(2), 7);
    let quiet = SessionConfig { connect_retry: 30 * SECOND, ..config(1) };
    assert_eq!(config(1).bounces(&quiet), None);
    world.handle(Side::A, Event::Configure(Box::new(quiet)));
    world.run(60 * SECOND);
    assert_eq!((world.a.ups(), world.a.downs().len()), (1, 0));

    let loud = SessionConfig {
        hold_time: HoldTime::from_secs(30).unwrap(),
        families: Families::NONE.with(Family::Ipv4Unicast),
        ..config(1)
    };
    world.handle(Side::A, Event::Configure(Box::new(loud)));
    assert_eq!(world.a.downs(), [&DownReason::Reconfigured("hold time, families".to_owned())]);
    world.wait_established(2 * SECOND);
    assert!(matches!(world.b.downs()[..], [DownReason::Received(reason)] if reason.subcode == 6));
}

#[test]
fn timers_can_be_read() {
    let world = World::established(config(1), config(2), 7);
    let direction = world.a.session.established().unwrap().0.direction;
    let timers: Vec<_> = world.a.session.timers(world.now).collect();
    assert_eq!(timers.len(), 2, "{timers:?}");
    assert!(timers.iter().any(|(timer, left)| {
        *timer == Timer::Hold(direction) && *left <= 90 * SECOND && *left > 89 * SECOND
    }));
}

/// RFC 8654, both ways: an UPDATE that the old limit would have refused.
#[test]
fn long_messages_pass_where_both_sides_offer_them() {
    let mut world = World::established(config(1), config(2), 7);
    let prefixes = (0..10_000u32)
        .map(|number| Prefix::host(std::net::IpAddr::V4((0x0a00_0000 + number).into())));
    let update = Update { withdrawn: prefixes.collect(), ..Update::default() };
    for side in Side::BOTH {
        world.announce(side, update.clone());
    }
    world.run(SECOND);
    for router in [&world.a, &world.b] {
        assert_eq!(router.session.established().unwrap().0.codec.max_message_len(), 65_535);
        assert_eq!(router.seen.last().unwrap().1, Seen::Delivered(update.clone()));
        assert!(router.downs().is_empty());
    }
}

/// A network that was cut for much longer than the hold time, and is whole again.
#[test]
fn a_bounded_back_off_brings_a_healed_mesh_back_within_its_bound() {
    let impatient =
        |id| SessionConfig { connect_retry: SECOND, connect_retry_max: 2 * SECOND, ..config(id) };
    for seed in 0..30 {
        let mut world = World::established(impatient(1), impatient(2), seed);
        world.run(30 * SECOND);
        world.cut();
        world.run(900 * SECOND + Duration::from_millis(137 * seed));
        assert!(world.a.session.state() < State::OpenSent);
        world.mend();
        world.wait_established(2 * SECOND + Duration::from_millis(100));
    }
}

#[test]
fn who_is_told_to_dial_now_does_not_wait() {
    let mut world = World::new(config(1), config(2), 9);
    world.power_off(Side::B);
    world.handle(Side::A, Event::Start);
    world.run(600 * SECOND);
    assert_eq!(world.a.session.state(), State::Active);
    world.boot(Side::B, SessionConfig { passive: Passive::Yes, ..config(2) });
    world.handle(Side::A, Event::DialNow);
    world.wait_established(SECOND / 5);
    world.handle(Side::A, Event::DialNow);
    world.run(10 * SECOND);
    assert_eq!((world.a.ups(), world.a.downs().len()), (1, 0), "a session is not touched");
}

#[test]
fn an_attempt_under_way_is_begun_anew_when_told_to_dial_now() {
    let mut world = World::new(config(1), SessionConfig { passive: Passive::Yes, ..config(2) }, 9);
    world.cut();
    world.start();
    world.run(SECOND);
    assert_eq!(world.a.session.state(), State::Connect);
    world.mend();
    world.handle(Side::A, Event::DialNow);
    world.wait_established(SECOND / 5);
}

/// A's fault is mended at A after the two have disagreed for an hour. B's back-off is long by
/// then, but it listens.
#[test]
fn a_peer_that_was_put_right_is_not_refused_for_long() {
    let wrong = SessionConfig { peer_asn: asn(65001), ..config(1) };
    for seed in 0..20 {
        let mut world = World::new(wrong.clone(), config(2), seed);
        world.start();
        world.run(3600 * SECOND + Duration::from_millis(731 * seed));
        world.kill(Side::A);
        world.boot(Side::A, config(1));
        world.wait_established(2 * MAX_REFUSAL + SECOND);
    }
}

/// RFC 9687: nothing is said to who does not read, and the session ends as by a fault.
#[test]
fn a_peer_that_reads_nothing_is_dropped_without_a_word() {
    let mut world = World::established(config(1), config(2), 7);
    let direction = world.a.session.established().unwrap().0.direction;
    let sent = world.a.sent.len();
    world.handle(Side::A, Event::SendHoldExpired(direction, Duration::from_secs(480)));
    let [reason] = &world.a.downs()[..] else { panic!("{:?}", world.a.seen) };
    assert_eq!(reason.to_string(), "send hold timer expired: the peer read nothing for 480 s");
    assert_eq!(world.a.sent.len(), sent);
    assert_eq!(world.a.session.state(), State::Idle);
    world.wait_established(10 * SECOND);
}

#[test]
fn the_send_hold_time_follows_the_hold_time() {
    let with =
        |seconds| SessionConfig { hold_time: HoldTime::from_secs(seconds).unwrap(), ..config(2) };
    let long = SessionConfig { hold_time: HoldTime::from_secs(600).unwrap(), ..config(1) };
    for (seconds, configured, expected) in [
        (90, None, Some(480)),
        (240, None, Some(480)),
        (300, None, Some(600)),
        (0, None, None),
        (90, Some(91), Some(91)),
        (90, Some(90), Some(480)),
        (0, Some(60), Some(60)),
    ] {
        let world = World::established(long.clone(), with(seconds), 7);
        let configured = configured.map(Duration::from_secs);
        let time = world.a.session.established().unwrap().0.send_hold_time(configured);
        assert_eq!(time, expected.map(Duration::from_secs));
    }
}
