//! Attempts that fail: how often they are made, what is said, what is remembered.

use std::time::Duration;

use super::world::{Seen, Side, World};
use super::{asn, config};
use crate::session::{DownReason, Event, REASONS_KEPT, SessionConfig, State, Timer};
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
