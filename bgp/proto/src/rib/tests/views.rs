//! What an operator sees.

use super::*;
use crate::rib::{LostBecause, RoutesFrom};

fn two_peers() -> Rib {
    let mut rib = rib();
    for number in [1, 2] {
        rib.peer_up(PeerKey(number.into()), peer(number, PeerKind::External));
    }
    rib.update(PeerKey(1), announce(&route(1, &[65001]), &["10.0.0.0/8", "10.1.0.0/16"]));
    rib.update(PeerKey(2), announce(&route(2, &[65002, 7]), &["10.0.0.0/8", "0.0.0.0/0"]));
    settle(&mut rib);
    rib
}

#[test]
fn all_routes_show_the_best_first_and_why_the_others_lost() {
    let rib = two_peers();
    let views = rib.routes(prefix("10.0.0.0/8"));
    let shown: Vec<_> = views.iter().map(|view| (view.from, view.lost.clone())).collect();
    assert_eq!(
        shown,
        [
            (RoutesFrom::Peer(PeerKey(1)), None),
            (RoutesFrom::Peer(PeerKey(2)), Some(LostBecause::AsPathLength)),
        ]
    );
    assert_eq!(rib.all_routes().count(), 4);
    assert!(rib.routes(prefix("10.9.0.0/16")).is_empty());
}

#[test]
fn received_and_advertised_are_of_one_peer() {
    let rib = two_peers();
    let texts = |views: Vec<crate::rib::RouteView>| {
        let mut texts: Vec<String> = views.iter().map(|view| view.prefix.to_string()).collect();
        texts.sort();
        texts
    };
    assert_eq!(texts(rib.received(PeerKey(2)).collect()), ["0.0.0.0/0", "10.0.0.0/8"]);
    // Nothing was judged for the group before a member has walked there.
    assert_eq!(texts(rib.advertised(PeerKey(2)).collect()), [""; 0]);
    let mut rib = rib;
    for key in [1, 2] {
        Listener::new(&peer(key, PeerKind::External)).drain(&mut rib, PeerKey(key.into()));
    }
    assert_eq!(texts(rib.advertised(PeerKey(2)).collect()), ["10.0.0.0/8", "10.1.0.0/16"]);
    assert_eq!(texts(rib.advertised(PeerKey(1)).collect()), ["0.0.0.0/0"]);
    let view = rib.advertised(PeerKey(1)).next().unwrap();
    assert_eq!(view.attributes.as_path.to_string(), "64512 65002 7", "as it is sent");
}

#[test]
fn the_longest_usable_prefix_matches() {
    let mut rib = two_peers();
    let found = |rib: &Rib, address: &str| {
        rib.longest_match(address.parse().unwrap()).map(|prefix| prefix.to_string())
    };
    assert_eq!(found(&rib, "10.1.2.3").as_deref(), Some("10.1.0.0/16"));
    assert_eq!(found(&rib, "10.2.2.3").as_deref(), Some("10.0.0.0/8"));
    assert_eq!(found(&rib, "192.0.2.1").as_deref(), Some("0.0.0.0/0"));
    assert_eq!(found(&rib, "2001:db8::1"), None);
    rib.update(PeerKey(1), withdraw(&["10.1.0.0/16"]));
    assert_eq!(found(&rib, "10.1.2.3").as_deref(), Some("10.0.0.0/8"));
}

/// A listener that starts between an update and its telling is told the same as everyone.
#[test]
fn the_best_routes_are_those_that_were_told() {
    let mut rib = two_peers();
    rib.update(PeerKey(1), withdraw(&["10.0.0.0/8"]));
    rib.update(PeerKey(1), announce(&route(1, &[65001]), &["10.3.0.0/16"]));
    let from = |rib: &Rib, text: &str| {
        rib.best_routes().find(|(found, _)| *found == prefix(text)).map(|(_, route)| route.from)
    };
    assert_eq!(from(&rib, "10.0.0.0/8"), Some(RoutesFrom::Peer(PeerKey(1))));
    assert_eq!(from(&rib, "10.3.0.0/16"), None);
    settle(&mut rib);
    assert_eq!(from(&rib, "10.0.0.0/8"), Some(RoutesFrom::Peer(PeerKey(2))));
    assert_eq!(from(&rib, "10.3.0.0/16"), Some(RoutesFrom::Peer(PeerKey(1))));
}

#[test]
fn a_family_the_session_does_not_carry_is_ignored() {
    let mut rib = rib();
    let mut info = peer(1, PeerKind::External);
    info.families = Families::NONE.with(Family::Ipv4Unicast);
    info.codec.families = info.families;
    rib.peer_up(PeerKey(1), info);
    let v6 = Attributes::originated("2001:db8::1".parse::<IpAddr>().unwrap().into());
    rib.update(PeerKey(1), announce(&v6, &["2001:db8:1::/48"]));
    rib.update(PeerKey(9), announce(&route(9, &[1]), &["10.0.0.0/8"]));
    assert_eq!(rib.all_routes().count(), 0);
}

#[test]
fn refusals_are_bounded() {
    let mut rib = rib();
    let mut info = peer(1, PeerKind::External);
    info.import = Policy::reject_all("no").into();
    rib.peer_up(PeerKey(1), info);
    let texts: Vec<String> =
        (0..2_000).map(|number| format!("10.{}.{}.0/24", number / 256, number % 256)).collect();
    for text in &texts {
        rib.update(PeerKey(1), announce(&route(1, &[65001]), &[text]));
    }
    assert_eq!(rib.take_refusals().len(), 1024);
    assert!(rib.take_refusals().is_empty());
    assert_eq!(rib.counters(PeerKey(1), Family::Ipv4Unicast).rejected(), 2_000);
}
