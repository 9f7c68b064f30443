//! The decision process by its numbered steps: the table of `rib/decision.rs`.

use std::sync::Arc;

use super::*;
use crate::rib::LostBecause::{
    self, AsLoop, AsPathLength, ClusterList, Internal, LocalPref, Med, NotLocal, OwnNextHop,
    PeerAddress, ReflectionLoop, Stale,
};
use crate::rib::policy::{Set, Then};
use crate::rib::{RouteView, RoutesFrom};
use crate::types::{ClusterId, Origin};

const P: &str = "203.0.113.0/24";

/// A change that makes a route worse, or better, than another.
type Edit = fn(&mut Attributes);

fn views(rib: &Rib) -> Vec<RouteView> {
    rib.routes(prefix(P))
}

/// Why the route of `key` lost; `None` where it is the best.
fn lost(rib: &Rib, key: u32) -> Option<LostBecause> {
    let from = RoutesFrom::Peer(PeerKey(key));
    views(rib).into_iter().find(|view| view.from == from).unwrap().lost
}

/// Peer 1 sends a plain route, peer 2 one with `edit`; both in both orders.
fn loses(kind: PeerKind, edit: Edit) -> Option<LostBecause> {
    let mut reasons = Vec::new();
    for order in [[1u8, 2], [2, 1]] {
        let mut rib = rib();
        for number in order {
            let mut info = peer(number, kind);
            // Of one AS, so that MED is compared; the router id is for the worse to win by.
            info.asn = asn(if kind == PeerKind::External { 65000 } else { AS });
            info.router_id = router_id(10 - number);
            info.address = format!("192.0.2.{}", 10 - number).parse().unwrap();
            let mut attributes = route(number, &[65000, 65001]);
            if number == 2 {
                edit(&mut attributes);
            }
            rib.peer_up(PeerKey(number.into()), info);
            rib.update(PeerKey(number.into()), announce(&attributes, &[P]));
        }
        let best = views(&rib).first().map(|view| (view.from, view.lost.clone()));
        assert_eq!(best.unwrap().1, None, "the best stands first");
        reasons.push(lost(&rib, 2));
    }
    assert_eq!(reasons[0], reasons[1], "the order of arrival decided");
    reasons.remove(0)
}

/// Steps 0, 1, 3, 4, 5, 8 and 9, where attributes decide. Without the edit, peer 2 wins by
/// step 8.
#[test]
fn attributes_decide_in_order() {
    let external: [(Edit, Option<LostBecause>); 6] = [
        (|_| (), None),
        (|route| route.as_path = route.as_path.prepend(asn(AS), 1), Some(AsLoop)),
        (|route| route.next_hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 254)), Some(OwnNextHop)),
        (|route| route.as_path = route.as_path.prepend(asn(65000), 1), Some(AsPathLength)),
        (|route| route.origin = Origin::Incomplete, Some(LostBecause::Origin)),
        (|route| route.med = Some(1), Some(Med)),
    ];
    for (edit, reason) in external {
        assert_eq!(loses(PeerKind::External, edit), reason);
    }
    let internal: [(Edit, Option<LostBecause>); 5] = [
        (|route| route.local_pref = Some(99), Some(LocalPref)),
        (|route| route.originator_id = Some(router_id(1)), Some(ReflectionLoop)),
        (
            |route| route.cluster_list = Box::new([ClusterId(Ipv4Addr::new(10, 0, 0, 1))]),
            Some(ReflectionLoop),
        ),
        (|route| route.originator_id = Some(router_id(200)), Some(LostBecause::RouterId)),
        (
            |route| {
                // As the router id of peer 1, so that the next step decides.
                route.originator_id = Some(router_id(9));
                route.cluster_list = Box::new([ClusterId(Ipv4Addr::new(10, 9, 9, 9))]);
            },
            Some(ClusterList),
        ),
    ];
    for (edit, reason) in internal {
        assert_eq!(loses(PeerKind::Internal, edit), reason);
    }
}

/// An earlier step is not overruled by a later one.
#[test]
fn earlier_steps_decide_first() {
    let better_later: [(Edit, LostBecause); 3] = [
        (
            |route| {
                route.local_pref = Some(50);
                route.as_path = AsPath::default();
            },
            LocalPref,
        ),
        (
            |route| {
                route.as_path = route.as_path.prepend(asn(65000), 1);
                route.med = Some(0);
                route.local_pref = Some(100);
            },
            AsPathLength,
        ),
        (
            |route| {
                route.origin = Origin::Egp;
                route.originator_id = Some(RouterId::new(Ipv4Addr::new(0, 0, 0, 1)).unwrap());
            },
            LostBecause::Origin,
        ),
    ];
    for (edit, reason) in better_later {
        assert_eq!(loses(PeerKind::Internal, edit), Some(reason));
    }
}

/// Step 0: the name of the rule is the reason.
#[test]
fn step_0_policy_names_its_rule() {
    let mut rib = rib();
    let mut info = peer(1, PeerKind::External);
    info.import = Arc::new(Policy::reject_all("not on the list"));
    rib.peer_up(PeerKey(1), info);
    rib.update(PeerKey(1), announce(&route(1, &[65001]), &[P]));
    assert_eq!(lost(&rib, 1), Some(LostBecause::Policy("not on the list".into())));
    assert_eq!(rib.longest_match("203.0.113.1".parse().unwrap()), None);
    let refusals = rib.take_refusals();
    assert_eq!(refusals.len(), 1);
    assert_eq!((&*refusals[0].rule, refusals[0].prefix), ("not on the list", prefix(P)));
    rib.update(PeerKey(1), announce(&route(1, &[65001, 7]), &[P]));
    assert!(rib.take_refusals().is_empty(), "told once");
}

/// Step 2, though the learned path is as short.
#[test]
fn step_2_our_own_wins() {
    let mut rib = rib();
    rib.peer_up(PeerKey(1), peer(1, PeerKind::Internal));
    rib.update(PeerKey(1), announce(&route(1, &[]), &[P]));
    rib.announce(prefix(P), route(0, &[]));
    assert_eq!(lost(&rib, 1), Some(NotLocal));
    assert_eq!(views(&rib)[0].from, RoutesFrom::Local);
}

/// Step 1 comes before step 2.
#[test]
fn step_1_a_preferred_route_beats_our_own() {
    let mut rib = rib();
    let mut info = peer(1, PeerKind::External);
    let mut import = Policy::accept_all();
    import.otherwise.then = Then::Accept(vec![Set::LocalPref(101)]);
    info.import = Arc::new(import);
    rib.peer_up(PeerKey(1), info);
    rib.announce(prefix(P), route(0, &[]));
    rib.update(PeerKey(1), announce(&route(1, &[65001]), &[P]));
    assert_eq!(lost(&rib, 1), None);
}

/// Step 6, against router id and address.
#[test]
fn step_6_external_beats_internal() {
    let mut rib = rib();
    rib.peer_up(PeerKey(1), peer(1, PeerKind::Internal));
    rib.peer_up(PeerKey(2), peer(2, PeerKind::External));
    rib.update(PeerKey(1), announce(&route(1, &[65002]), &[P]));
    rib.update(PeerKey(2), announce(&route(2, &[65002]), &[P]));
    assert_eq!(lost(&rib, 2), None);
    assert_eq!(lost(&rib, 1), Some(Internal));
}

/// Step 7: a stale route loses only against an equal one, and is the best where it is better.
#[test]
fn step_7_fresh_beats_stale() {
    let mut rib = rib();
    for (number, path) in [(1, vec![65000, 1]), (2, vec![65000, 2])] {
        rib.peer_up(PeerKey(number.into()), peer(number, PeerKind::External));
        rib.update(PeerKey(number.into()), announce(&route(number, &path), &[P]));
    }
    assert_eq!(lost(&rib, 2), Some(LostBecause::RouterId));
    rib.peer_down(PeerKey(1), Families::ALL);
    assert_eq!(lost(&rib, 1), Some(Stale));
    rib.update(PeerKey(2), announce(&route(2, &[65000, 2, 2]), &[P]));
    assert_eq!(lost(&rib, 2), Some(AsPathLength));
    let best = &views(&rib)[0];
    assert!(best.stale && best.lost.is_none());
}

/// Step 10.
#[test]
fn step_10_the_lowest_address() {
    let mut rib = rib();
    for number in [2, 1] {
        let mut info = peer(number, PeerKind::External);
        info.router_id = router_id(50);
        rib.peer_up(PeerKey(number.into()), info);
        rib.update(PeerKey(number.into()), announce(&route(number, &[65000]), &[P]));
    }
    assert_eq!(lost(&rib, 1), None);
    assert_eq!(lost(&rib, 2), Some(PeerAddress));
}

/// Step 5. A beats B by MED, B beats C by router id, C beats A by router id: folding pairs gives
/// a winner that depends on the order of arrival. Grouped, B never takes part, and C wins.
#[test]
fn step_5_med_is_compared_in_groups() {
    let routes = [(1, 65000, Some(1), 3), (2, 65000, Some(2), 1), (3, 65009, None, 2)];
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for order in orders {
        let mut rib = rib();
        for (number, neighbor, med, id) in order.map(|index| routes[index]) {
            let mut info = peer(number, PeerKind::External);
            info.router_id = router_id(10 + id);
            let mut attributes = route(number, &[neighbor]);
            attributes.med = med;
            rib.peer_up(PeerKey(number.into()), info);
            rib.update(PeerKey(number.into()), announce(&attributes, &[P]));
        }
        assert_eq!(lost(&rib, 3), None, "{order:?}");
        assert_eq!(lost(&rib, 2), Some(Med), "{order:?}");
        assert_eq!(lost(&rib, 1), Some(LostBecause::RouterId), "{order:?}");
        // Without A, B is the best of its group, and of all.
        rib.update(PeerKey(1), withdraw(&[P]));
        assert_eq!(lost(&rib, 2), None, "{order:?}");
    }
}

/// Step 5: none given is 0, the best.
#[test]
fn step_5_a_missing_med_is_the_lowest() {
    assert_eq!(loses(PeerKind::External, |route| route.med = Some(0)), None);
}
