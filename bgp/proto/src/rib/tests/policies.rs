//! Policies replaced while sessions stay up.

use std::sync::Arc;

use super::*;
use crate::rib::LostBecause;
use crate::rib::policy::{Match, PrefixSet, Rule, Set, Then};

const ALL: [&str; 3] = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"];

fn only(texts: &[&str]) -> Policy {
    let set: PrefixSet = texts.iter().map(|text| prefix(text)).collect();
    let listed = Rule {
        name: "listed".into(),
        when: vec![Match::PrefixIn(set)],
        then: Then::Accept(vec![]),
    };
    Policy { rules: vec![listed], ..Policy::reject_all("not listed") }
}

fn with_table() -> (Rib, Listener, RibPeer) {
    let mut rib = rib();
    rib.peer_up(PeerKey(1), peer(1, PeerKind::External));
    let info = peer(2, PeerKind::External);
    let mut listener = up(&mut rib, 2, &info);
    rib.update(PeerKey(1), announce(&route(1, &[65001]), &ALL));
    settle(&mut rib);
    listener.drain(&mut rib, PeerKey(2));
    (rib, listener, info)
}

#[test]
fn a_new_import_policy_judges_what_is_there() {
    let (mut rib, mut listener, info) = with_table();
    rib.set_policies(PeerKey(1), only(&ALL[..1]).into(), info.export.clone());
    assert_eq!(settle(&mut rib).len(), 2);
    listener.drain(&mut rib, PeerKey(2));
    assert_eq!(listener.prefixes(), ALL[..1]);
    let view = rib.received(PeerKey(1)).find(|view| view.prefix == prefix(ALL[1])).unwrap();
    assert_eq!(view.lost, Some(LostBecause::Policy("not listed".into())));
    assert_eq!(rib.take_refusals().len(), 2);
    let counters = rib.counters(PeerKey(1), Family::Ipv4Unicast);
    assert_eq!((counters.received, counters.accepted, counters.rejected()), (3, 1, 2));
    rib.set_policies(PeerKey(1), only(&ALL).into(), info.export);
    assert_eq!(settle(&mut rib).len(), 2, "what was refused is there to be tried again");
    listener.drain(&mut rib, PeerKey(2));
    assert_eq!(listener.prefixes(), ALL);
}

#[test]
fn a_new_export_policy_sends_the_difference_alone() {
    let (mut rib, mut listener, info) = with_table();
    let messages = listener.messages;
    rib.set_policies(PeerKey(2), info.import.clone(), only(&ALL[1..]).into());
    assert!(settle(&mut rib).is_empty(), "the Loc-RIB is the same");
    listener.drain(&mut rib, PeerKey(2));
    assert_eq!(
        (listener.prefixes(), listener.messages - messages),
        (vec![ALL[1].into(), ALL[2].into()], 1)
    );
    rib.set_policies(PeerKey(2), info.import.clone(), only(&ALL[..2]).into());
    settle(&mut rib);
    listener.drain(&mut rib, PeerKey(2));
    assert_eq!(listener.prefixes(), ALL[..2]);
    assert_eq!((listener.messages - messages, listener.needless), (3, 0));
    assert_eq!(rib.counters(PeerKey(2), Family::Ipv4Unicast).advertised, 2);
}

#[test]
fn an_equal_policy_changes_nothing() {
    let (mut rib, mut listener, info) = with_table();
    let messages = listener.messages;
    rib.set_policies(
        PeerKey(2),
        Arc::new((*info.import).clone()),
        Arc::new((*info.export).clone()),
    );
    assert!(rib.is_settled());
    listener.drain(&mut rib, PeerKey(2));
    assert_eq!(listener.messages, messages);
}

#[test]
fn a_changed_attribute_is_a_difference() {
    let (mut rib, mut listener, info) = with_table();
    let mut export = Policy::accept_all();
    export.otherwise.then = Then::Accept(vec![Set::Med(Some(9))]);
    rib.set_policies(PeerKey(2), info.import, export.into());
    settle(&mut rib);
    listener.drain(&mut rib, PeerKey(2));
    assert!(listener.routes.values().all(|route| route.med == Some(9)));
    assert_eq!(listener.routes.len(), 3);
}

/// Every peer of a mesh gets another policy at once: one pass, one difference.
#[test]
fn a_thousand_peers_move_together() {
    let mut rib = rib();
    rib.announce(prefix(ALL[0]), Attributes::originated(NextHop::V4(Ipv4Addr::UNSPECIFIED)));
    settle(&mut rib);
    let info = peer(1, PeerKind::Internal);
    for key in 0..1_000 {
        up(&mut rib, key, &info);
    }
    let export: Arc<Policy> = only(&ALL[1..]).into();
    for key in 0..1_000 {
        rib.set_policies(PeerKey(key), info.import.clone(), export.clone());
    }
    settle(&mut rib);
    assert_eq!(rib.group_statistics().0, 1);
    let mut told = 0;
    for key in 0..1_000 {
        let bytes = rib.poll_transmit(PeerKey(key), 4096).unwrap();
        let mut listener = Listener::new(&info);
        listener.hear(&bytes);
        told += listener.needless;
        assert_eq!(rib.poll_transmit(PeerKey(key), 4096), None);
    }
    assert_eq!(told, 1_000, "each is withdrawn the one route it had");
}
