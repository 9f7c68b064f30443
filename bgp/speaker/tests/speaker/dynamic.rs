//! Peers that nobody lists.

use std::time::Duration;

use crate::common::{DEADLINE, Node, asn, node, prefix, settings, start};
use twill_bgp::DynamicPeers;
use twill_bgp::proto::session::State;

/// Takes in whoever dials from a loopback address, as `other` would be.
fn range(of: &Node, other: &Node) -> DynamicPeers {
    DynamicPeers::new("racks", prefix("127.0.0.0/8"), asn(64512)).template(of.peer(other))
}

async fn names(node: &Node) -> Vec<String> {
    let peers = node.handle.peers().await.unwrap();
    peers.into_iter().map(|peer| peer.config.name.clone()).collect()
}

async fn has_no_peers(node: &Node) {
    let gone = async {
        while !names(node).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, gone).await.expect("all peers are gone");
}

#[tokio::test]
async fn a_peer_comes_with_its_connection_and_goes_with_its_session() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    assert_eq!(b.handle.set_dynamic_peers(vec![range(&b, &a)]).await.unwrap(), [""; 0]);
    a.announce("10.244.1.0/24").await;
    b.announce("10.244.2.0/24").await;
    a.handle.set_peers(vec![a.peer(&b)]).await.unwrap();
    b.table().await.holds(&["10.244.1.0/24", "10.244.2.0/24"]).await;
    a.table().await.holds(&["10.244.1.0/24", "10.244.2.0/24"]).await;
    assert_eq!(names(&b).await, ["racks-127.0.0.1"]);
    b.handle.set_peers(Vec::new()).await.unwrap();
    assert_eq!(names(&b).await, ["racks-127.0.0.1"], "no listed peer, and none of those");
    a.handle.set_peers(Vec::new()).await.unwrap();
    has_no_peers(&b).await;
    b.table().await.holds(&["10.244.2.0/24"]).await;
}

#[tokio::test]
async fn no_more_come_than_are_allowed() {
    let (a, b, c) = (node(1, 64512).await, node(2, 64512).await, node(3, 64512).await);
    b.handle.set_dynamic_peers(vec![range(&b, &a).limit(1)]).await.unwrap();
    a.handle.set_peers(vec![a.peer(&b)]).await.unwrap();
    a.reaches("node-2", State::Established).await;
    let soon = Duration::from_millis(100);
    c.handle.set_peers(vec![c.peer(&b).connect_retry(soon)]).await.unwrap();
    c.shows("node-2", "a refusal", |status| status.last_error.is_some()).await;
    assert!(b.handle.refused_connections() > 0);
    assert_eq!(names(&b).await, ["racks-127.0.0.1"]);
    a.handle.set_peers(Vec::new()).await.unwrap();
    c.reaches("node-2", State::Established).await;
    assert_eq!(names(&b).await, ["racks-127.0.0.3"]);
}

#[tokio::test]
async fn one_that_restarts_is_remembered_for_its_restart_time() {
    let identity = settings(1, 64512, 0).restart_time(Some(Duration::from_secs(2)));
    let (a, b) = (start(identity).await, node(2, 64512).await);
    b.handle.set_dynamic_peers(vec![range(&b, &a)]).await.unwrap();
    a.announce("10.244.1.0/24").await;
    a.handle.set_peers(vec![a.peer(&b)]).await.unwrap();
    let mut table = b.table().await;
    table.holds(&["10.244.1.0/24"]).await;
    b.shows("racks-127.0.0.1", "a session", |status| status.received[0] == 1).await;
    drop(a);
    b.shows("racks-127.0.0.1", "stale routes", |status| status.stale[0] == 1).await;
    has_no_peers(&b).await;
    table.holds(&[]).await;
}

#[tokio::test]
async fn a_range_that_is_gone_takes_its_peers_along_and_a_listed_peer_goes_first() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    b.handle.set_dynamic_peers(vec![range(&b, &a)]).await.unwrap();
    a.handle.set_peers(vec![a.peer(&b)]).await.unwrap();
    a.reaches("node-2", State::Established).await;
    b.handle.set_peers(vec![b.peer(&a)]).await.unwrap();
    b.reaches("node-1", State::Established).await;
    assert_eq!(names(&b).await, ["node-1"]);
    b.handle.set_peers(Vec::new()).await.unwrap();
    a.shows("node-2", "a second session", |status| {
        status.flaps >= 2 && status.state == State::Established
    })
    .await;
    assert_eq!(names(&b).await, ["racks-127.0.0.1"]);
    b.handle.set_dynamic_peers(Vec::new()).await.unwrap();
    assert_eq!(names(&b).await, [""; 0]);
    a.shows("node-2", "the end", |status| status.state != State::Established).await;
    let faults = b.handle.set_dynamic_peers(vec![range(&b, &a).limit(0)]).await.unwrap();
    assert_eq!(faults, ["peers racks (127.0.0.0/8): a limit of 0 admits nobody"]);
}
