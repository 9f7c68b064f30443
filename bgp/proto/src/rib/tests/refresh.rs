//! Whole tables sent again, in brackets (RFC 7313).

use super::*;

const V4: Family = Family::Ipv4Unicast;
const V6: Family = Family::Ipv6Unicast;

fn enhanced(number: u8) -> RibPeer {
    let rules = PeerRules { enhanced_refresh: true, ..PeerRules::default() };
    RibPeer { rules, ..peer(number, PeerKind::External) }
}

fn texts(count: u32) -> Vec<String> {
    (0..count).map(|number| format!("10.{}.{}.0/24", number / 256, number % 256)).collect()
}

/// A RIB with `count` routes of peer 1, and what peer 2 was sent of them.
fn with_reader(count: u32, reader: &RibPeer) -> (Rib, Listener) {
    let mut rib = rib();
    rib.peer_up(PeerKey(1), peer(1, PeerKind::External));
    let texts = texts(count);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    rib.update(PeerKey(1), announce(&route(1, &[65001]), &texts));
    settle(&mut rib);
    let listener = up(&mut rib, 2, reader);
    assert_eq!(listener.ended, Families::ALL);
    (rib, listener)
}

#[test]
fn everything_stands_between_begin_and_end() {
    let (mut rib, mut reader) = with_reader(5000, &enhanced(2));
    let before = reader.messages;
    reader.routes.clear();
    rib.refresh(PeerKey(2), V4);
    reader.drain(&mut rib, PeerKey(2));
    assert_eq!(reader.routes.len(), 5000);
    assert_eq!(
        reader.brackets,
        [(V4, RefreshKind::Begin, before), (V4, RefreshKind::End, reader.messages)]
    );
}

#[test]
fn an_empty_family_is_bracketed_too() {
    let (mut rib, mut reader) = with_reader(1, &enhanced(2));
    rib.refresh(PeerKey(2), V6);
    reader.drain(&mut rib, PeerKey(2));
    let kinds: Vec<_> = reader.brackets.iter().map(|(family, kind, _)| (*family, *kind)).collect();
    assert_eq!(kinds, [(V6, RefreshKind::Begin), (V6, RefreshKind::End)]);
}

#[test]
fn what_changes_meanwhile_is_told_before_the_end() {
    let (mut rib, mut reader) = with_reader(5000, &enhanced(2));
    rib.refresh(PeerKey(2), V4);
    let first = rib.poll_transmit(PeerKey(2), 4096).unwrap();
    reader.hear(&first);
    assert_eq!(reader.brackets.len(), 1);
    rib.update(PeerKey(1), withdraw(&["10.0.0.0/24"]));
    rib.update(PeerKey(1), announce(&route(1, &[65001, 7]), &["10.0.1.0/24"]));
    settle(&mut rib);
    reader.drain(&mut rib, PeerKey(2));
    assert!(!reader.routes.contains_key(&prefix("10.0.0.0/24")));
    assert_eq!(reader.routes[&prefix("10.0.1.0/24")].as_path.to_string(), "64512 65001 7");
    assert_eq!(reader.brackets.last(), Some(&(V4, RefreshKind::End, reader.messages)));
}

#[test]
fn asked_again_in_the_middle_it_begins_again() {
    let (mut rib, mut reader) = with_reader(5000, &enhanced(2));
    rib.refresh(PeerKey(2), V4);
    let first = rib.poll_transmit(PeerKey(2), 4096).unwrap();
    reader.hear(&first);
    rib.refresh(PeerKey(2), V4);
    reader.drain(&mut rib, PeerKey(2));
    let kinds: Vec<_> = reader.brackets.iter().map(|(_, kind, _)| *kind).collect();
    assert_eq!(kinds, [RefreshKind::Begin, RefreshKind::Begin, RefreshKind::End]);
}

#[test]
fn a_peer_that_does_not_know_brackets_gets_none() {
    let (mut rib, mut reader) = with_reader(10, &peer(2, PeerKind::External));
    reader.routes.clear();
    rib.refresh(PeerKey(2), V4);
    reader.drain(&mut rib, PeerKey(2));
    assert_eq!((reader.routes.len(), reader.brackets.len()), (10, 0));
}

#[test]
fn before_end_of_rib_nothing_is_bracketed() {
    let mut rib = rib();
    rib.hold_end_of_rib();
    let mut reader = up(&mut rib, 2, &enhanced(2));
    rib.announce(prefix("203.0.113.0/24"), route(9, &[]));
    settle(&mut rib);
    reader.drain(&mut rib, PeerKey(2));
    rib.refresh(PeerKey(2), V4);
    reader.drain(&mut rib, PeerKey(2));
    assert_eq!((reader.routes.len(), reader.brackets.len()), (1, 0));
    rib.release_end_of_rib();
    reader.drain(&mut rib, PeerKey(2));
    rib.refresh(PeerKey(2), V4);
    reader.drain(&mut rib, PeerKey(2));
    assert_eq!((reader.ended, reader.brackets.len()), (Families::ALL, 2));
}
