//! Peers added, changed and removed while others run; limits; passwords; strangers.

use std::time::Duration;

use crate::common::{DEADLINE, address, connect, next_hop, node, prefix};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use twill_bgp::proto::rib::policy::{Match, Policy, PrefixRange, PrefixSet, Rule, Then};
use twill_bgp::proto::session::State;
use twill_bgp::proto::types::HoldTime;
use twill_bgp::{
    Ended, Endpoint, MaxPrefixes, Notice, Outcome, Reset, RouteQuery, RouteSelection, Secret, Ttl,
};

fn outcomes(changes: &[twill_bgp::PeerChange]) -> Vec<(&str, &Outcome)> {
    changes.iter().map(|change| (change.name.as_str(), &change.outcome)).collect()
}

#[tokio::test]
async fn peers_come_and_go_without_touching_the_others() {
    let (a, b, c) = (node(1, 64512).await, node(2, 64512).await, node(3, 64512).await);
    c.announce("10.244.3.0/24").await;
    connect(&a, &b).await;
    let since = a.status("node-2").await.since;

    let changes = a.handle.set_peers(vec![a.peer(&b), a.peer(&c)]).await.unwrap();
    assert_eq!(outcomes(&changes), [("node-2", &Outcome::Unchanged), ("node-3", &Outcome::Added)]);
    c.handle.set_peers(vec![c.peer(&a)]).await.unwrap();
    a.reaches("node-3", State::Established).await;
    let mut table = a.table().await;
    table.holds(&["10.244.3.0/24"]).await;

    let changes = a.handle.set_peers(vec![a.peer(&b)]).await.unwrap();
    assert_eq!(
        outcomes(&changes),
        [("node-3", &Outcome::Removed), ("node-2", &Outcome::Unchanged)]
    );
    table.holds(&[]).await;
    let on_c = c.shows("node-1", "a lost session", |status| status.flaps == 1).await;
    let (_, why) = on_c.last_error.unwrap();
    assert!(why.contains("Peer De-configured"), "{why}");
    let untouched = a.status("node-2").await;
    assert_eq!((untouched.since, untouched.flaps), (since, 0));
}

#[tokio::test]
async fn a_live_change_bounces_only_what_it_must() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    connect(&a, &b).await;
    let live = a.peer(&b).ttl(Ttl::Gtsm(1)).max_prefixes(MaxPrefixes {
        limit: 10,
        warn_at: None,
        restart_after: None,
    });
    let renamed = twill_bgp::PeerConfig { name: "tor".to_owned(), ..live.clone() };
    let changes = a.handle.set_peers(vec![renamed.clone()]).await.unwrap();
    assert_eq!(
        outcomes(&changes),
        [("tor", &Outcome::Updated(vec!["name", "ttl", "maxPrefixes"]))]
    );
    assert_eq!(a.status("tor").await.state, State::Established);

    let mut notices = a.handle.notices();
    let slower = renamed.hold_time(HoldTime::from_secs(30).unwrap());
    let changes = a.handle.set_peers(vec![slower]).await.unwrap();
    assert_eq!(outcomes(&changes), [("tor", &Outcome::Bounced(vec!["holdTime"]))]);
    let back = a
        .shows("tor", "a new session", |status| {
            status.flaps == 1 && status.state == State::Established
        })
        .await;
    assert_eq!(back.negotiated.unwrap().hold_time, HoldTime::from_secs(30).unwrap());
    let mut reasons = Vec::new();
    while let Ok(notice) = notices.try_recv() {
        if let Notice::Peer { reason: Some(reason), .. } = notice {
            reasons.push(reason);
        }
    }
    assert_eq!(reasons, ["configuration changed: holdTime"]);
}

#[tokio::test]
async fn a_new_next_hop_bounces_and_is_announced() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    a.announce("10.244.1.0/24").await;
    connect(&a, &b).await;
    let mut table = b.table().await;
    table.holds(&["10.244.1.0/24"]).await;
    let mut peer = a.peer(&b);
    peer.next_hops = vec![next_hop(9)];
    let changes = a.handle.set_peers(vec![peer]).await.unwrap();
    assert_eq!(outcomes(&changes), [("node-2", &Outcome::Bounced(vec!["nextHops"]))]);
    let wanted = prefix("10.244.1.0/24");
    table
        .becomes("the new next hop", |table| {
            let route = table.best.get(&wanted);
            route.is_some_and(|route| route.attributes.next_hop.address() == next_hop(9))
        })
        .await;
}

#[tokio::test]
async fn policy_changes_without_a_bounce() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    a.announce("10.244.1.0/24").await;
    a.announce("192.0.2.0/24").await;
    connect(&a, &b).await;
    let mut table = b.table().await;
    table.holds(&["10.244.1.0/24", "192.0.2.0/24"]).await;
    let mut notices = b.handle.notices();

    let pods = PrefixSet::new([PrefixRange::exact(prefix("10.244.1.0/24"))]);
    let rule = Rule {
        name: "its pods".into(),
        when: vec![Match::PrefixIn(pods)],
        then: Then::Accept(Vec::new()),
    };
    let otherwise =
        Rule { name: "not a pod CIDR of node-1".into(), when: Vec::new(), then: Then::Reject };
    let policy = Policy { rules: vec![rule], otherwise };
    b.handle.set_peers(vec![b.peer(&a).import(policy.clone())]).await.unwrap();
    table.holds(&["10.244.1.0/24"]).await;
    let refused = async {
        loop {
            if let Notice::Refused { peer, prefix, rule } = notices.recv().await.unwrap() {
                return format!("{prefix} of {peer}: {rule}");
            }
        }
    };
    let refused = tokio::time::timeout(DEADLINE, refused).await.unwrap();
    assert_eq!(refused, "192.0.2.0/24 of node-1: not a pod CIDR of node-1");
    let status = b.status("node-1").await;
    assert_eq!((status.received[0], status.accepted[0], status.rejected[0]), (2, 1, 1));
    let all = RouteQuery { view: RouteSelection::Received, ..RouteQuery::default() };
    assert_eq!(b.handle.routes(all).await.unwrap().len(), 2);

    // And out: a is told to keep everything to itself.
    b.handle.set_peers(vec![b.peer(&a)]).await.unwrap();
    table.holds(&["10.244.1.0/24", "192.0.2.0/24"]).await;
    a.handle.set_peers(vec![a.peer(&b).export(policy)]).await.unwrap();
    table.holds(&["10.244.1.0/24"]).await;
    assert_eq!(a.status("node-2").await.advertised[0], 1);
    assert_eq!((a.status("node-2").await.flaps, b.status("node-1").await.flaps), (0, 0));
}

#[tokio::test]
async fn too_many_prefixes_end_the_session_until_it_is_reset() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    a.handle.set_peers(vec![a.peer(&b)]).await.unwrap();
    let limit = MaxPrefixes { limit: 2, warn_at: None, restart_after: None };
    b.handle.set_peers(vec![b.peer(&a).max_prefixes(limit)]).await.unwrap();
    b.reaches("node-1", State::Established).await;
    for index in 1..=3 {
        a.announce(&format!("10.244.{index}.0/24")).await;
    }
    let down = b.shows("node-1", "the end", |status| status.flaps == 1).await;
    let (_, why) = down.last_error.unwrap();
    assert!(why.starts_with("it sent 3 ipv4 prefixes, its limit is 2;"), "{why}");
    let on_a = a.shows("node-2", "the end", |status| status.flaps == 1).await;
    let (_, why) = on_a.last_error.unwrap();
    assert!(why.contains("Maximum Number of Prefixes Reached"), "{why}");
    b.table().await.holds(&[]).await;

    // It stays down although the peer dials again and again.
    let refused = a
        .shows("node-2", "refused attempts", |status| {
            status.reasons.first().is_some_and(|reason| reason.ended == Ended::Attempt)
        })
        .await;
    // The attempts do not hide why the session was lost.
    let (_, why) = refused.last_error.unwrap();
    assert!(why.contains("Maximum Number of Prefixes Reached"), "{why}");
    assert_eq!(b.status("node-1").await.state, State::Idle);
    assert!(a.handle.withdraw(prefix("10.244.3.0/24")).await.unwrap());
    assert!(b.handle.reset("node-1", Reset::Hard(String::new())).await.unwrap());
    b.reaches("node-1", State::Established).await;
    b.table().await.holds(&["10.244.1.0/24", "10.244.2.0/24"]).await;
}

#[tokio::test]
async fn after_too_many_prefixes_a_higher_limit_or_the_time_brings_it_back() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    a.announce("10.244.1.0/24").await;
    a.announce("10.244.2.0/24").await;
    a.handle.set_peers(vec![a.peer(&b)]).await.unwrap();
    let limit = |limit, restart_after| MaxPrefixes { limit, warn_at: None, restart_after };
    let again = Some(Duration::from_millis(300));
    b.handle.set_peers(vec![b.peer(&a).max_prefixes(limit(1, again))]).await.unwrap();
    b.shows("node-1", "a second try", |status| status.flaps == 2).await;
    b.handle.set_peers(vec![b.peer(&a).max_prefixes(limit(1, None))]).await.unwrap();
    b.shows("node-1", "a third try", |status| status.flaps == 3).await;
    b.handle.set_peers(vec![b.peer(&a).max_prefixes(limit(2, None))]).await.unwrap();
    b.table().await.holds(&["10.244.1.0/24", "10.244.2.0/24"]).await;
}

/// Told once when the warning level is reached, and again after there have been fewer.
#[tokio::test]
async fn a_limit_that_is_near_is_told() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    a.handle.set_peers(vec![a.peer(&b)]).await.unwrap();
    let limit = MaxPrefixes { limit: 5, warn_at: Some(2), restart_after: None };
    let mut notices = b.handle.notices();
    b.handle.set_peers(vec![b.peer(&a).max_prefixes(limit)]).await.unwrap();
    b.reaches("node-1", State::Established).await;
    let mut table = b.table().await;
    let pods = ["10.244.1.0/24", "10.244.2.0/24", "10.244.3.0/24"];
    for held in [&pods[..1], &pods[..2], &pods, &pods[..1], &pods[..2]] {
        let announced = table.best.keys().map(ToString::to_string).collect::<Vec<_>>();
        for pod in pods {
            match (announced.iter().any(|known| known == pod), held.contains(&pod)) {
                (false, true) => a.announce(pod).await,
                (true, false) => assert!(a.handle.withdraw(prefix(pod)).await.unwrap()),
                _ => {}
            }
        }
        table.holds(held).await;
    }
    let mut told = Vec::new();
    while let Ok(notice) = notices.try_recv() {
        if let Notice::NearLimit { peer, family, received, limit } = notice {
            told.push(format!("{peer} {family} {received} of {limit}"));
        }
    }
    assert_eq!(told, ["node-1 ipv4 2 of 5"; 2]);
    assert_eq!(b.status("node-1").await.flaps, 0);
}

/// A peer that is shut down says why to the other side, stays down whatever dials, and is back
/// once the key is gone.
#[tokio::test]
async fn a_peer_that_is_shut_down_stays_down_and_says_why() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    connect(&a, &b).await;
    let changes = a.handle.set_peers(vec![a.peer(&b).shutdown("new disks, back at 5")]).await;
    assert_eq!(outcomes(&changes.unwrap()), [("node-2", &Outcome::Bounced(vec!["shutdown"]))]);
    let words = "new disks, back at 5";
    let down = a.shows("node-2", "the end", |status| status.flaps == 1).await;
    assert!(down.last_error.unwrap().1.contains(words));
    let on_b = b.shows("node-1", "the end", |status| status.flaps == 1).await;
    let (_, why) = on_b.last_error.unwrap();
    assert!(why.contains("Administrative Shutdown") && why.contains(words), "{why}");

    b.shows("node-1", "refused attempts", |status| {
        status.reasons.first().is_some_and(|reason| reason.ended == Ended::Attempt)
    })
    .await;
    assert!(!a.handle.reset("node-2", Reset::Hard(String::new())).await.unwrap());
    a.handle.retry_now(None).await.unwrap();
    let slower = a.peer(&b).hold_time(HoldTime::from_secs(30).unwrap());
    a.handle.set_peers(vec![slower.shutdown("")]).await.unwrap();
    assert_eq!(a.status("node-2").await.state, State::Idle);

    a.handle.set_peers(vec![a.peer(&b)]).await.unwrap();
    a.reaches("node-2", State::Established).await;
}

#[tokio::test]
async fn only_the_right_password_opens_a_session() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    let with = |peer: twill_bgp::PeerConfig, secret: &str| peer.password(Secret::new(secret));
    a.handle.set_peers(vec![with(a.peer(&b), "right")]).await.unwrap();
    b.handle.set_peers(vec![with(b.peer(&a), "wrong")]).await.unwrap();
    let failed = a.shows("node-2", "an error", |status| status.last_error.is_some()).await;
    let (_, why) = failed.last_error.unwrap();
    if why.contains("no TCP MD5") {
        return twill_tests::skip::left_out("md5", &why);
    }
    assert_eq!(failed.flaps, 0);
    assert_ne!(b.status("node-1").await.state, State::Established);

    let changes = b.handle.set_peers(vec![with(b.peer(&a), "right")]).await.unwrap();
    assert_eq!(outcomes(&changes), [("node-1", &Outcome::Bounced(vec!["password"]))]);
    a.reaches("node-2", State::Established).await;
    b.reaches("node-1", State::Established).await;

    // A new password on one side ends the session, on both sides it is back.
    b.handle.set_peers(vec![with(b.peer(&a), "newer")]).await.unwrap();
    b.shows("node-1", "the end", |status| status.flaps == 1).await;
    a.handle.set_peers(vec![with(a.peer(&b), "newer")]).await.unwrap();
    a.reaches("node-2", State::Established).await;
    b.reaches("node-1", State::Established).await;
}

#[tokio::test]
async fn a_stranger_is_closed_before_a_byte_is_read() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    connect(&a, &b).await;
    let mut stranger = TcpStream::connect((address(1), a.port)).await.unwrap();
    let mut bytes = [0; 64];
    let read = stranger.read(&mut bytes);
    let end = tokio::time::timeout(DEADLINE, read).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    assert_eq!(a.handle.refused_connections(), 1);
    assert_eq!(a.status("node-2").await.flaps, 0);
}

#[tokio::test]
async fn a_refused_peer_leaves_the_set_as_it_was() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    connect(&a, &b).await;
    let changes = a.handle.set_peers(vec![a.peer(&b).ttl(Ttl::Hops(0))]).await.unwrap();
    assert!(matches!(&changes[0].outcome, Outcome::Refused(why) if why.contains("TTL")));
    assert_eq!(a.status("node-2").await.state, State::Established);
}

fn endpoint(number: u8, local: u8, dialled: bool) -> Endpoint {
    let (address, local) = (address(number), Some(address(local)));
    Endpoint { address, local, ttl: Ttl::Hops(1), dialled }
}

/// The first address of a peer answers nobody, the second does: it is dialled there, and its
/// connections from there are its own, though the other side knows only the first.
#[tokio::test]
async fn a_peer_of_several_addresses_is_met_at_any_of_them() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    a.announce("10.244.1.0/24").await;
    let several = |dialled| vec![endpoint(99, 1, dialled), endpoint(2, 1, dialled)];
    let known_as_99 = |dialled| {
        let peer = a.peer(&b).endpoints(several(dialled));
        twill_bgp::PeerConfig { address: address(99), ..peer }
    };
    b.handle.set_peers(vec![b.peer(&a).passive()]).await.unwrap();
    a.handle.set_peers(vec![known_as_99(true)]).await.unwrap();
    let up = a.reaches("node-2", State::Established).await;
    assert_eq!(up.remote.unwrap().ip(), address(2));

    // It is passive here now, and is called from the second address.
    a.handle.set_peers(vec![known_as_99(true).passive()]).await.unwrap();
    b.handle.set_peers(vec![b.peer(&a)]).await.unwrap();
    b.handle.reset("node-1", Reset::Hard(String::new())).await.unwrap();
    let up = a
        .shows("node-2", "the session from the second address", |status| {
            status.flaps == 1 && status.state == State::Established
        })
        .await;
    assert_eq!(up.remote.unwrap().ip(), address(2));

    // Its session's address is listed no more: it ends, and nobody else's does.
    let mut gone = known_as_99(true);
    gone.endpoints.truncate(1);
    let changes = a.handle.set_peers(vec![gone]).await.unwrap();
    let [(_, Outcome::Bounced(keys))] = &outcomes(&changes)[..] else { panic!("{changes:?}") };
    assert!(keys.contains(&"endpoints"), "{keys:?}");
    a.shows("node-2", "the lost session", |status| status.flaps == 2).await;
    let refused = a.handle.refused_connections();
    b.handle.retry_now(None).await.unwrap();
    let dialled_in_vain = async {
        while a.handle.refused_connections() == refused {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, dialled_in_vain).await.unwrap();
}

/// With a password, each address needs its key on the listening sockets.
#[tokio::test]
async fn every_address_of_a_peer_has_its_key() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    let secret = || Secret::new("correct horse");
    let config = a.peer(&b).endpoints(vec![endpoint(98, 1, false), endpoint(2, 1, false)]);
    let config = twill_bgp::PeerConfig { address: address(98), ..config }.passive();
    a.handle.set_peers(vec![config.clone().password(secret())]).await.unwrap();
    b.handle.set_peers(vec![b.peer(&a).password(secret())]).await.unwrap();
    let status = a.status("node-2").await;
    if status.last_error.is_some_and(|(_, why)| why.contains("CONFIG_TCP_MD5SIG")) {
        println!("SKIPPED: this kernel has no TCP MD5");
        return;
    }
    a.reaches("node-2", State::Established).await;
    // Without it on both sides they meet again: no key has stayed at either address.
    a.handle.set_peers(vec![config]).await.unwrap();
    b.handle.set_peers(vec![b.peer(&a)]).await.unwrap();
    a.shows("node-2", "the session without a password", |status| {
        status.flaps > 0 && status.state == State::Established
    })
    .await;
}
