//! Routes of peers that are away, and peers that send everything again.

use super::*;
use crate::rib::{Route, RoutesFrom};

const V4: Families = Families::NONE.with(Family::Ipv4Unicast);
const BOTH: [&str; 2] = ["203.0.113.0/24", "2001:db8:1::/48"];

fn v6_route() -> Attributes {
    Attributes::originated("2001:db8::1".parse::<IpAddr>().unwrap().into())
}

/// A RIB with one internal peer that announces a prefix of each family.
fn with_routes() -> Rib {
    let mut rib = rib();
    rib.peer_up(PeerKey(1), peer(1, PeerKind::Internal));
    rib.update(PeerKey(1), announce(&route(1, &[]), &BOTH[..1]));
    rib.update(PeerKey(1), announce(&v6_route(), &BOTH[1..]));
    settle(&mut rib);
    rib
}

fn best(rib: &Rib) -> BTreeMap<String, Route> {
    rib.best_routes().map(|(prefix, route)| (prefix.to_string(), route)).collect()
}

#[test]
fn what_is_retained_stays_and_is_stale() {
    let mut rib = with_routes();
    rib.peer_down(PeerKey(1), V4);
    let changes = settle(&mut rib);
    assert_eq!(changes.len(), 2);
    let best = best(&rib);
    assert_eq!(best.keys().collect::<Vec<_>>(), [BOTH[0]]);
    assert!(best[BOTH[0]].stale);
    assert_eq!(rib.counters(PeerKey(1), Family::Ipv4Unicast).stale, 1);
    assert_eq!(rib.counters(PeerKey(1), Family::Ipv6Unicast).received, 0);
}

#[test]
fn a_fresh_route_takes_its_place_without_a_word_to_others() {
    let mut rib = with_routes();
    let mut other = up(&mut rib, 2, &peer(2, PeerKind::External));
    let messages = other.messages;
    rib.peer_down(PeerKey(1), Families::ALL);
    settle(&mut rib);
    rib.peer_up(PeerKey(1), peer(1, PeerKind::Internal));
    rib.update(PeerKey(1), announce(&route(1, &[]), &BOTH[..1]));
    let changes = settle(&mut rib);
    assert_eq!(changes.len(), 1);
    assert!(!changes[0].new.as_ref().unwrap().stale);
    other.drain(&mut rib, PeerKey(2));
    assert_eq!(other.messages, messages, "others are not told what is stale");
}

#[test]
fn end_of_rib_sweeps_its_family_alone() {
    let mut rib = with_routes();
    rib.peer_down(PeerKey(1), Families::ALL);
    rib.peer_up(PeerKey(1), peer(1, PeerKind::Internal));
    rib.update(PeerKey(1), end_of_rib(Family::Ipv4Unicast));
    settle(&mut rib);
    assert_eq!(best(&rib).keys().collect::<Vec<_>>(), [BOTH[1]]);
    rib.forget_stale(PeerKey(1), Families::ALL);
    settle(&mut rib);
    assert!(best(&rib).is_empty());
}

#[test]
fn routes_stale_twice_go() {
    let mut rib = with_routes();
    rib.peer_down(PeerKey(1), Families::ALL);
    rib.peer_up(PeerKey(1), peer(1, PeerKind::Internal));
    rib.update(PeerKey(1), announce(&v6_route(), &BOTH[1..]));
    rib.peer_down(PeerKey(1), Families::ALL);
    settle(&mut rib);
    assert_eq!(best(&rib).keys().collect::<Vec<_>>(), [BOTH[1]]);
}

#[test]
fn a_peer_that_returns_as_another_finds_nothing() {
    let mut rib = with_routes();
    rib.peer_down(PeerKey(1), Families::ALL);
    rib.peer_up(PeerKey(1), RibPeer { router_id: router_id(99), ..peer(1, PeerKind::Internal) });
    settle(&mut rib);
    assert!(best(&rib).is_empty());
}

#[test]
fn a_policy_replaced_while_away_is_applied() {
    let mut rib = with_routes();
    rib.peer_down(PeerKey(1), Families::ALL);
    let info = peer(1, PeerKind::Internal);
    rib.set_policies(PeerKey(1), Policy::reject_all("no more").into(), info.export);
    settle(&mut rib);
    assert!(best(&rib).is_empty());
    let counters = rib.counters(PeerKey(1), Family::Ipv4Unicast);
    assert_eq!((counters.received, counters.rejected(), counters.stale), (1, 1, 1));
}

#[test]
fn refresh_ends_with_what_was_not_sent_again_gone() {
    let mut rib = with_routes();
    rib.update(PeerKey(1), announce(&route(1, &[7]), &["10.0.0.0/8"]));
    settle(&mut rib);
    rib.begin_refresh(PeerKey(1), Family::Ipv4Unicast);
    rib.update(PeerKey(1), announce(&route(1, &[7]), &["10.0.0.0/8"]));
    assert!(settle(&mut rib).is_empty(), "nothing is visible until the end");
    rib.end_refresh(PeerKey(1), Family::Ipv4Unicast);
    settle(&mut rib);
    assert_eq!(best(&rib).keys().collect::<Vec<_>>(), ["10.0.0.0/8", BOTH[1]]);
}

#[test]
fn end_of_rib_waits_while_it_is_held_and_follows_what_came_before() {
    let mut rib = rib();
    rib.hold_end_of_rib();
    let mut listener = up(&mut rib, 1, &peer(1, PeerKind::External));
    rib.announce(prefix(BOTH[0]), Attributes::originated(NextHop::V4(Ipv4Addr::UNSPECIFIED)));
    settle(&mut rib);
    listener.drain(&mut rib, PeerKey(1));
    assert_eq!((listener.prefixes(), listener.ended), (vec![BOTH[0].to_string()], Families::NONE));
    // Learned before the release, so it goes before End-of-RIB.
    rib.announce(prefix(BOTH[1]), Attributes::originated(IpAddr::from([0u16; 8]).into()));
    rib.release_end_of_rib();
    listener.drain(&mut rib, PeerKey(1));
    assert!(listener.ended.is_empty(), "what is not told yet comes first");
    settle(&mut rib);
    let first = rib.poll_transmit(PeerKey(1), 4096).unwrap();
    listener.hear(&first);
    assert_eq!((listener.routes.len(), listener.ended), (2, Families::NONE));
    listener.drain(&mut rib, PeerKey(1));
    assert_eq!(listener.ended, Families::ALL);
}

#[test]
fn end_of_rib_follows_where_the_rest_of_the_log_is_of_the_reader_itself() {
    let mut rib = rib();
    rib.hold_end_of_rib();
    let mut listener = up(&mut rib, 1, &peer(1, PeerKind::External));
    listener.drain(&mut rib, PeerKey(1));
    rib.update(PeerKey(1), announce(&route(1, &[7]), &BOTH[..1]));
    rib.release_end_of_rib();
    settle(&mut rib);
    listener.drain(&mut rib, PeerKey(1));
    assert_eq!((listener.routes.len(), listener.ended), (0, Families::ALL));
}

#[test]
fn a_family_with_nothing_to_send_is_ended_too() {
    let mut rib = rib();
    let listener = up(&mut rib, 1, &peer(1, PeerKind::External));
    assert_eq!((listener.ended, listener.messages), (Families::ALL, 2));
}

#[test]
fn what_came_back_to_what_it_was_is_not_told() {
    let mut rib = with_routes();
    rib.update(PeerKey(1), withdraw(&BOTH[..1]));
    rib.update(PeerKey(1), announce(&route(1, &[]), &BOTH[..1]));
    assert!(settle(&mut rib).is_empty());
    assert_eq!(best(&rib)[BOTH[0]].from, RoutesFrom::Peer(PeerKey(1)));
}
