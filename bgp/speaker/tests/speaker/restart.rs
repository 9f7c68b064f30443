//! Restarts: routes kept by the others, swept when the first exchange is complete.
//!
//! A speaker that is dropped is a process that was killed: its connections close without a
//! NOTIFICATION. One that starts with `preserved` found its own routes in the kernel.

use std::time::Duration;

use crate::common::{BOTH, Node, connect, node, prefix, settings, start};
use twill_bgp::proto::session::State;
use twill_bgp::proto::wire::Cease;
use twill_bgp::{Readiness, Settings};

const ONE: &str = "10.244.1.0/24";
const OTHER: &str = "10.245.1.0/24";
const V6: &str = "fd00:244:1::/64";

fn again(of: &Settings) -> Settings {
    of.clone().preserved(BOTH)
}

/// What a node needs to come back as itself.
fn identity(node: &Node) -> Settings {
    settings(node.number, node.asn.get(), node.port)
}

async fn ready(node: &Node) -> Readiness {
    let mut readiness = node.handle.readiness();
    let waiting = readiness.wait_for(|readiness| *readiness != Readiness::Waiting);
    *tokio::time::timeout(crate::common::DEADLINE, waiting).await.unwrap().unwrap()
}

#[tokio::test]
async fn routes_of_a_killed_peer_stay_until_its_end_of_rib() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    for text in [ONE, OTHER, V6] {
        a.announce(text).await;
    }
    b.announce("10.244.2.0/24").await;
    b.handle.set_announcements(Vec::new()).await.unwrap();
    connect(&a, &b).await;
    let mut table = b.table().await;
    table.holds(&[ONE, OTHER, V6, "10.244.2.0/24"]).await;
    table.log.clear();

    let identity = identity(&a);
    a.speaker.abort().await;
    let stale =
        |table: &crate::common::Table| [ONE, OTHER, V6].iter().all(|text| table.route(text).stale);
    table.becomes("stale routes", stale).await;
    assert_eq!(b.status("node-1").await.stale, [2, 1]);

    // It comes back without one of its prefixes.
    let a = start(again(&identity)).await;
    assert_eq!(*a.handle.readiness().borrow(), Readiness::Waiting);
    a.announce(ONE).await;
    a.announce(V6).await;
    a.handle.set_peers(vec![a.peer(&b)]).await.unwrap();
    a.reaches("node-2", State::Established).await;
    let mut of_a = a.table().await;
    assert_eq!(ready(&a).await, Readiness::InSync { by_timer: false });
    of_a.holds(&[ONE, V6, "10.244.2.0/24"]).await;

    table.holds(&[ONE, V6, "10.244.2.0/24"]).await;
    let gone: Vec<_> = table.log.iter().filter(|(_, stale)| stale.is_none()).collect();
    assert_eq!(gone, [&(prefix(OTHER), None)], "withdrawn, and at which point: {:?}", table.log);
    let negotiated = b.status("node-1").await.negotiated.unwrap();
    assert!(negotiated.peer_restarted);
    assert_eq!(negotiated.retained, BOTH);
}

/// The subscriber of the restarted speaker is told that the exchange is complete only with the
/// last route of it.
#[tokio::test]
async fn readiness_comes_after_the_routes() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    for index in 0..200 {
        b.announce(&format!("10.250.{index}.0/24")).await;
    }
    connect(&a, &b).await;
    let identity = identity(&a);
    a.speaker.abort().await;
    let a = start(again(&identity)).await;
    let mut table = a.table().await;
    a.handle.set_peers(vec![a.peer(&b)]).await.unwrap();
    table.becomes("readiness", |table| table.subscription.readiness() != Readiness::Waiting).await;
    assert_eq!(table.best.len(), 200);
}

#[tokio::test]
async fn nodes_that_restart_together_do_not_wait_for_each_other() {
    let (a, b, c) = (node(1, 64512).await, node(2, 64512).await, node(3, 64512).await);
    let all = [identity(&a), identity(&b), identity(&c)];
    for node in [a, b, c] {
        node.speaker.abort().await;
    }
    let [a, b, c] = &all;
    let nodes = [start(again(a)).await, start(again(b)).await, start(again(c)).await];
    for node in &nodes {
        let others = nodes.iter().filter(|other| other.number != node.number);
        node.announce(&format!("10.244.{}.0/24", node.number)).await;
        node.handle.set_peers(others.map(|other| node.peer(other)).collect()).await.unwrap();
    }
    for node in &nodes {
        assert_eq!(ready(node).await, Readiness::InSync { by_timer: false });
        let mut table = node.table().await;
        table.holds(&["10.244.1.0/24", "10.244.2.0/24", "10.244.3.0/24"]).await;
    }
}

#[tokio::test]
async fn a_peer_that_never_returns_costs_the_deferral_and_no_more() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    let identity = identity(&a).deferral(Duration::from_millis(500));
    a.speaker.abort().await;
    let peer_b = b;
    let a = start(again(&identity)).await;
    let config = a.peer(&peer_b);
    peer_b.speaker.abort().await;
    a.handle.set_peers(vec![config]).await.unwrap();
    assert_eq!(ready(&a).await, Readiness::InSync { by_timer: true });
}

#[tokio::test]
async fn routes_of_a_peer_that_stays_away_go_with_its_restart_time() {
    let a = start(settings(1, 64512, 0).restart_time(Some(Duration::from_secs(1)))).await;
    let b = node(2, 64512).await;
    a.announce(ONE).await;
    connect(&a, &b).await;
    let mut table = b.table().await;
    table.holds(&[ONE]).await;
    a.speaker.abort().await;
    table.holds(&[]).await;
    let states: Vec<_> = table.log.iter().map(|(_, stale)| *stale).collect();
    assert_eq!(states, [Some(false), Some(true), None]);
}

#[tokio::test]
async fn leaving_for_a_restart_says_nothing_and_loses_nothing() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    a.announce(ONE).await;
    connect(&a, &b).await;
    let mut table = b.table().await;
    table.holds(&[ONE]).await;
    let handle = a.handle.clone();
    a.speaker.leave().await;
    assert!(handle.peers().await.is_err());
    table.becomes("a stale route", |table| table.route(ONE).stale).await;
    let down = b.status("node-1").await;
    assert_eq!(down.messages_in[2], 0, "a NOTIFICATION");
    let (_, why) = down.last_error.unwrap();
    assert!(why.contains("closed the connection"), "{why}");
}

#[tokio::test]
async fn stopping_says_why_and_takes_the_routes_along() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    a.announce(ONE).await;
    connect(&a, &b).await;
    let mut table = b.table().await;
    table.holds(&[ONE]).await;
    a.speaker.stop(Cease::AdministrativeShutdown("moving house".to_owned())).await;
    table.holds(&[]).await;
    let (_, why) = b.shows("node-1", "the end", |s| s.flaps == 1).await.last_error.unwrap();
    assert!(why.contains("moving house"), "{why}");
    assert!(table.log.iter().all(|(_, stale)| *stale != Some(true)), "{:?}", table.log);
}

/// The peer restarts so quickly that we still believe in the old session: its new connection
/// takes that one's place, and no route is lost.
#[tokio::test]
async fn a_restart_that_only_the_peer_knows_of_replaces_the_session() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    a.announce(ONE).await;
    connect(&a, &b).await;
    let mut table = b.table().await;
    table.holds(&[ONE]).await;
    let identity = identity(&a);
    a.speaker.abort().await;
    let a = start(again(&identity)).await;
    a.announce(ONE).await;
    a.handle.set_peers(vec![a.peer(&b)]).await.unwrap();
    b.shows("node-1", "a new session", |status| {
        status.flaps == 1 && status.state == State::Established
    })
    .await;
    table.holds(&[ONE]).await;
    assert!(table.log.iter().all(|(_, stale)| stale.is_some()), "{:?}", table.log);
}
