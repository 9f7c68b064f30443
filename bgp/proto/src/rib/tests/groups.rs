//! Update groups: encoded once, followed at each member's pace.

use super::*;

fn many(count: u32) -> Vec<String> {
    (0..count).map(|number| format!("10.{}.{}.0/24", number / 256, number % 256)).collect()
}

fn borrowed(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// Ten peers alike, the first of which announces.
fn ten(rib: &mut Rib) -> Vec<Listener> {
    (0..10).map(|key| up(rib, key, &peer(key as u8, PeerKind::External))).collect()
}

fn drain_all(rib: &mut Rib, listeners: &mut [Listener]) {
    for (key, listener) in (0..).zip(listeners) {
        listener.drain(rib, PeerKey(key));
    }
}

#[test]
fn peers_alike_share_what_is_encoded() {
    let mut rib = rib();
    let mut listeners = ten(&mut rib);
    let texts = many(100);
    rib.update(PeerKey(0), announce(&route(0, &[65000]), &borrowed(&texts)));
    settle(&mut rib);
    assert_eq!(rib.group_statistics(), (1, 1), "one attribute set, encoded once");
    let shared: Vec<_> =
        (1..10).map(|key| rib.poll_transmit(PeerKey(key), 1 << 20).unwrap()).collect();
    assert!(shared.iter().all(|bytes| bytes.as_ptr() == shared[0].as_ptr()));
    assert_eq!(rib.poll_transmit(PeerKey(0), 1 << 20), None, "not back to where it came from");
    listeners[1].hear(&shared[0]);
    assert_eq!(listeners[1].routes.len(), 100);
    let codec = listeners[1].codec;
    assert_eq!(codec.max_message_len(), 4096);
    assert_eq!(rib.counters(PeerKey(0), Family::Ipv4Unicast).advertised, 0);
    assert_eq!(rib.counters(PeerKey(9), Family::Ipv4Unicast).advertised, 100);
}

#[test]
fn what_is_of_the_only_reader_is_encoded_for_nobody() {
    let mut rib = rib();
    let mut alone = up(&mut rib, 0, &peer(0, PeerKind::External));
    rib.update(PeerKey(0), announce(&route(0, &[65000]), &["10.0.0.0/24", "10.0.1.0/24"]));
    rib.update(PeerKey(0), withdraw(&["10.0.1.0/24"]));
    settle(&mut rib);
    assert!(!rib.wants_transmit(PeerKey(0)));
    assert_eq!(rib.group_statistics(), (1, 0));
    // Another of its group is sent all the same, and what is not its own reaches it.
    let mut late = up(&mut rib, 1, &peer(1, PeerKind::External));
    assert_eq!(late.prefixes(), ["10.0.0.0/24"]);
    rib.update(PeerKey(1), announce(&route(1, &[65001]), &["10.0.1.0/24"]));
    rib.update(PeerKey(0), withdraw(&["10.0.0.0/24"]));
    settle(&mut rib);
    alone.drain(&mut rib, PeerKey(0));
    late.drain(&mut rib, PeerKey(1));
    assert_eq!((alone.prefixes(), late.prefixes()), (vec!["10.0.1.0/24".to_owned()], vec![]));
}

#[test]
fn what_comes_scattered_leaves_packed() {
    let mut rib = rib();
    let mut listeners = ten(&mut rib);
    let before = listeners[1].messages;
    for text in many(50) {
        rib.update(PeerKey(0), announce(&route(0, &[65000]), &[&text]));
    }
    settle(&mut rib);
    drain_all(&mut rib, &mut listeners);
    assert_eq!((listeners[1].routes.len(), listeners[1].messages - before), (50, 1));
    for text in many(50) {
        rib.update(PeerKey(0), withdraw(&[&text]));
    }
    settle(&mut rib);
    drain_all(&mut rib, &mut listeners);
    assert_eq!((listeners[1].routes.len(), listeners[1].messages - before), (0, 2));
}

#[test]
fn who_differs_has_a_group_of_its_own() {
    let mut rib = rib();
    let plain = peer(1, PeerKind::External);
    let mut narrow = plain.clone();
    narrow.codec.four_octet_asn = false;
    let mut elsewhere = plain.clone();
    elsewhere.local_ipv4 = Some(Ipv4Addr::new(198, 51, 100, 1));
    let mut guarded = plain.clone();
    guarded.export = Policy::reject_all("nothing").into();
    let internal = peer(1, PeerKind::Internal);
    for (key, info) in (0..).zip([&plain, &plain, &narrow, &elsewhere, &guarded, &internal]) {
        rib.peer_up(PeerKey(key), info.clone());
    }
    assert_eq!(rib.group_statistics().0, 5);
    rib.peer_down(PeerKey(5), Families::NONE);
    rib.peer_down(PeerKey(0), Families::NONE);
    assert_eq!(rib.group_statistics().0, 4, "a group goes with its last member");
}

#[test]
fn a_peer_whose_own_path_becomes_best_loses_what_it_had() {
    let mut rib = rib();
    let mut listeners = ten(&mut rib);
    rib.update(PeerKey(0), announce(&route(0, &[65000, 1]), &["203.0.113.0/24"]));
    settle(&mut rib);
    drain_all(&mut rib, &mut listeners);
    assert_eq!(listeners[1].prefixes(), ["203.0.113.0/24"]);
    rib.update(PeerKey(1), announce(&route(1, &[65001]), &["203.0.113.0/24"]));
    settle(&mut rib);
    drain_all(&mut rib, &mut listeners);
    assert!(listeners[1].routes.is_empty(), "its own is not sent back, the other is withdrawn");
    assert_eq!(listeners[0].routes[&prefix("203.0.113.0/24")].as_path.to_string(), "64512 65001");
    rib.update(PeerKey(1), withdraw(&["203.0.113.0/24"]));
    settle(&mut rib);
    drain_all(&mut rib, &mut listeners);
    assert!(listeners[0].routes.is_empty());
    assert_eq!(listeners[1].prefixes(), ["203.0.113.0/24"]);
    assert!(listeners.iter().all(|listener| listener.needless == 0));
}

/// One peer sleeps while a table changes again and again: it costs a map, then hears only how
/// it ended; the others read along.
#[test]
fn a_sleeper_costs_a_map_and_catches_up() {
    let mut rib = rib();
    rib.out.log_limit = Some(10_000);
    let mut listeners = ten(&mut rib);
    let texts = many(2_000);
    for round in 0..20u32 {
        for part in texts.chunks(100) {
            let path = [65000, 1 + round];
            rib.update(PeerKey(0), announce(&route(0, &path), &borrowed(part)));
            settle(&mut rib);
            drain_all(&mut rib, &mut listeners[..9]);
        }
    }
    rib.update(PeerKey(0), withdraw(&borrowed(&texts[..500])));
    settle(&mut rib);
    let awake = listeners[8].octets;
    drain_all(&mut rib, &mut listeners);
    assert_eq!(listeners[9].routes, listeners[8].routes);
    assert_eq!(listeners[9].routes.len(), 1_500);
    assert!(listeners[9].octets < awake / 10, "{} of {awake}", listeners[9].octets);
    assert_eq!(listeners[9].needless, 0, "it was never told of what is gone");
    // And it follows the log again.
    let encoded = rib.group_statistics().1;
    rib.update(PeerKey(0), announce(&route(0, &[65000]), &["192.0.2.0/24"]));
    settle(&mut rib);
    drain_all(&mut rib, &mut listeners);
    assert_eq!(rib.group_statistics().1, encoded + 1);
    assert_eq!(listeners[9].routes, listeners[8].routes);
}

#[test]
fn a_new_peer_walks_the_table_in_bounded_steps_while_it_changes() {
    let mut rib = rib();
    rib.peer_up(PeerKey(0), peer(0, PeerKind::External));
    let texts = many(3_000);
    rib.update(PeerKey(0), announce(&route(0, &[65000]), &borrowed(&texts)));
    settle(&mut rib);
    let info = peer(1, PeerKind::External);
    rib.peer_up(PeerKey(1), info.clone());
    let mut listener = Listener::new(&info);
    let mut steps = 0;
    while let Some(bytes) = rib.poll_transmit(PeerKey(1), 1024) {
        assert!(bytes.len() <= 4096, "a step of {} octets", bytes.len());
        listener.hear(&bytes);
        steps += 1;
        if steps == 10 {
            assert!(listener.ended.is_empty());
            rib.update(PeerKey(0), withdraw(&[&texts[0], &texts[2_999]]));
            rib.update(PeerKey(0), announce(&route(0, &[65000, 9]), &[&texts[1], &texts[2_998]]));
            settle(&mut rib);
        }
    }
    assert!(steps > 40, "{steps} steps");
    assert_eq!((listener.routes.len(), listener.needless), (2_998, 0));
    assert_eq!(listener.routes[&prefix(&texts[1])].as_path.hops(), 3);
    assert_eq!(listener.routes[&prefix(&texts[2_998])].as_path.hops(), 3);
    assert_eq!(listener.ended, Families::ALL);
}

#[test]
fn a_refresh_sends_a_family_again() {
    let mut rib = rib();
    let mut listeners = ten(&mut rib);
    rib.update(PeerKey(0), announce(&route(0, &[65000]), &borrowed(&many(10))));
    settle(&mut rib);
    drain_all(&mut rib, &mut listeners);
    listeners[3].routes.clear();
    rib.refresh(PeerKey(3), Family::Ipv6Unicast);
    listeners[3].drain(&mut rib, PeerKey(3));
    assert!(listeners[3].routes.is_empty());
    rib.refresh(PeerKey(3), Family::Ipv4Unicast);
    assert!(rib.writers().eq([PeerKey(3)]));
    listeners[3].drain(&mut rib, PeerKey(3));
    assert_eq!(listeners[3].routes.len(), 10);
    assert_eq!(rib.writers().count(), 0);
}
