//! Two speakers over real TCP: routes of both families in one session, collisions, refresh.

use std::time::Duration;

use crate::common::{address6, asn, connect, named, next_hop, node, prefix};
use twill_bgp::proto::session::State;
use twill_bgp::{Readiness, Reset, RouteQuery, RouteSelection};

#[tokio::test]
async fn both_families_travel_in_one_internal_session() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    a.announce("10.244.1.0/24").await;
    a.announce("fd00:244:1::/64").await;
    connect(&a, &b).await;
    let mut table = b.table().await;
    table.holds(&["10.244.1.0/24", "fd00:244:1::/64"]).await;
    let v4 = table.route("10.244.1.0/24");
    assert_eq!(v4.peer, named("node-1"));
    assert_eq!(v4.attributes.next_hop.address(), next_hop(1));
    assert_eq!(v4.attributes.local_pref, Some(100));
    let v6 = table.route("fd00:244:1::/64");
    assert_eq!(v6.attributes.next_hop.address(), address6(1));

    b.announce("10.244.2.0/24").await;
    a.table().await.holds(&["10.244.1.0/24", "fd00:244:1::/64", "10.244.2.0/24"]).await;
    assert!(a.handle.withdraw(prefix("fd00:244:1::/64")).await.unwrap());
    table.holds(&["10.244.1.0/24", "10.244.2.0/24"]).await;
    assert!(!a.handle.withdraw(prefix("fd00:244:1::/64")).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_external_session_prepends_the_as() {
    let (a, b) = (node(1, 65001).await, node(2, 65002).await);
    a.announce("192.0.2.0/24").await;
    a.announce("2001:db8::/32").await;
    connect(&a, &b).await;
    let mut table = b.table().await;
    table.holds(&["192.0.2.0/24", "2001:db8::/32"]).await;
    let route = table.route("192.0.2.0/24");
    assert_eq!(route.attributes.as_path.first(), Some(asn(65001)));
    assert_eq!(route.attributes.as_path.hops(), 1);
    assert_eq!(table.route("2001:db8::/32").attributes.next_hop.address(), address6(1));
}

#[tokio::test]
async fn end_of_rib_comes_for_every_family_even_with_nothing_to_send() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    connect(&a, &b).await;
    let all = |status: &twill_bgp::PeerStatus| status.end_of_rib == crate::common::BOTH;
    a.shows("node-2", "End-of-RIB of both families", all).await;
    b.shows("node-1", "End-of-RIB of both families", all).await;
    let readiness = *a.handle.readiness().borrow();
    assert_eq!(readiness, Readiness::InSync { by_timer: false });
}

/// Both dial at the same moment, over and over; one connection survives, whoever has the higher
/// identifier, and both sides agree on which.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simultaneous_opens_end_in_one_session() {
    for (low, high) in [(1, 2), (2, 1)] {
        for _ in 0..5 {
            let (a, b) = (node(low, 64512).await, node(high, 64512).await);
            let (of_a, of_b) = (vec![a.peer(&b)], vec![b.peer(&a)]);
            let (set_a, set_b) = tokio::join!(a.handle.set_peers(of_a), b.handle.set_peers(of_b));
            set_a.unwrap();
            set_b.unwrap();
            let on_a = a.reaches(&b.name(), State::Established).await;
            let on_b = b.reaches(&a.name(), State::Established).await;
            assert_eq!((on_a.local, on_a.remote), (on_b.remote, on_b.local));
            a.announce("10.244.1.0/24").await;
            b.table().await.holds(&["10.244.1.0/24"]).await;
            assert_eq!(a.status(&b.name()).await.flaps, 0);
            assert_eq!(b.status(&a.name()).await.flaps, 0);
        }
    }
}

#[tokio::test]
async fn a_soft_reset_asks_for_the_routes_again() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    a.announce("10.244.1.0/24").await;
    connect(&a, &b).await;
    b.table().await.holds(&["10.244.1.0/24"]).await;
    let all = |status: &twill_bgp::PeerStatus| status.end_of_rib == crate::common::BOTH;
    let before = b.shows("node-1", "End-of-RIB of both families", all).await.messages_in;
    assert!(b.handle.reset("node-1", Reset::Soft).await.unwrap());
    b.shows("node-1", "the routes again", |now| now.messages_in[1] > before[1]).await;
    // For each family a request, and a pair of brackets around what b sends again itself.
    let told = |status: &twill_bgp::PeerStatus| status.messages_in[4] == 6;
    let asked = a.shows("node-2", "two requests and two pairs of brackets", told).await;
    assert_eq!(asked.flaps, 0);
    assert!(!b.handle.reset("nobody", Reset::Soft).await.unwrap());
    assert!(!b.handle.reset("nobody", Reset::Hard(String::new())).await.unwrap());
}

#[tokio::test]
async fn a_hard_reset_bounces_and_comes_back() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    connect(&a, &b).await;
    assert!(b.handle.reset("node-1", Reset::Hard("rack move".to_owned())).await.unwrap());
    let back =
        |status: &twill_bgp::PeerStatus| status.flaps == 1 && status.state == State::Established;
    a.shows("node-2", "the reason", |status| {
        status
            .last_error
            .as_ref()
            .is_some_and(|(_, why)| why.contains("Administrative Reset: \"rack move\""))
    })
    .await;
    a.shows("node-2", "a new session", back).await;
    b.shows("node-1", "a new session", back).await;
}

/// A dial at once would overtake the NOTIFICATION, and a peer that helps restarts would take the
/// new connection for one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hard_reset_lets_the_peer_hear_why_before_it_dials_again() {
    let (a, b) = (node(1, 64512).await, node(2, 64513).await);
    let patient = a.peer(&b).connect_retry(Duration::from_secs(5));
    a.handle.set_peers(vec![patient]).await.unwrap();
    b.handle.set_peers(vec![b.peer(&a).passive()]).await.unwrap();
    a.reaches("node-2", State::Established).await;
    b.reaches("node-1", State::Established).await;

    assert!(a.handle.reset("node-2", Reset::Hard(String::new())).await.unwrap());
    a.reaches("node-2", State::Idle).await;
    b.shows("node-1", "our words", |status| {
        status.last_error.as_ref().is_some_and(|(_, error)| error.contains("Administrative Reset"))
    })
    .await;
    a.reaches("node-2", State::Established).await;
}

#[tokio::test]
async fn routes_are_shown_by_prefix_address_peer_and_direction() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    a.announce("10.244.0.0/16").await;
    a.announce("10.244.1.0/24").await;
    b.announce("10.244.2.0/24").await;
    connect(&a, &b).await;
    let mut table = b.table().await;
    table.holds(&["10.244.0.0/16", "10.244.1.0/24", "10.244.2.0/24"]).await;
    let shown = async |query: RouteQuery| -> Vec<String> {
        let entries = b.handle.routes(query).await.unwrap();
        entries
            .iter()
            .map(|entry| {
                format!("{} from {}", entry.view.prefix, entry.peer.as_deref().unwrap_or("us"))
            })
            .collect()
    };
    let best = shown(RouteQuery::default()).await;
    let expected =
        ["10.244.0.0/16 from node-1", "10.244.1.0/24 from node-1", "10.244.2.0/24 from us"];
    assert_eq!(best, expected);
    let address = RouteQuery { address: "10.244.1.7".parse().ok(), ..RouteQuery::default() };
    assert_eq!(shown(address).await, ["10.244.1.0/24 from node-1"]);
    let only = RouteQuery { prefix: Some(prefix("10.244.0.0/16")), ..RouteQuery::default() };
    assert_eq!(shown(only).await, ["10.244.0.0/16 from node-1"]);
    let received = RouteQuery { view: RouteSelection::Received, ..RouteQuery::default() };
    assert_eq!(shown(received).await.len(), 2);
    let of = |peer: &str, view| RouteQuery {
        peer: Some(peer.to_owned()),
        view,
        ..RouteQuery::default()
    };
    let advertised = shown(of("node-1", RouteSelection::Advertised)).await;
    assert_eq!(advertised, ["10.244.2.0/24 from us"]);
    assert_eq!(shown(of("nobody", RouteSelection::All)).await, [""; 0]);
}
