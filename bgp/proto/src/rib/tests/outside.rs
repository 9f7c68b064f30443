//! Rules towards external peers that hold beside policy: roles (RFC 9234), whose path it is
//! (RFC 4271 section 6.3), graceful shutdown (RFC 8326), a local AS (RFC 7705).

use super::*;
use crate::rib::LostBecause;
use crate::rib::policy::{Rule, Set, Then};
use crate::types::{Community, Role};

const P: &str = "203.0.113.0/24";
/// Of `peer(1, External)`.
const NEIGHBOUR: u32 = 65001;

fn with_rules(number: u8, rules: PeerRules) -> RibPeer {
    RibPeer { rules, ..peer(number, PeerKind::External) }
}

fn with_role(number: u8, role: Role) -> RibPeer {
    with_rules(number, PeerRules { role: Some(role), ..PeerRules::default() })
}

/// The only route to P, after it came from peer 1.
fn taken(from: &RibPeer, attributes: &Attributes) -> (Option<LostBecause>, Attributes) {
    let mut rib = rib();
    rib.peer_up(PeerKey(1), from.clone());
    rib.update(PeerKey(1), announce(attributes, &[P]));
    settle(&mut rib);
    let view = rib.routes(prefix(P)).remove(0);
    (view.lost, (*view.attributes).clone())
}

/// What a reader is sent of a route that a peer without a role announced.
fn given(to: &RibPeer, attributes: &Attributes) -> Option<Attributes> {
    let mut rib = rib();
    rib.peer_up(PeerKey(1), peer(1, PeerKind::External));
    let mut reader = up(&mut rib, 2, to);
    rib.update(PeerKey(1), announce(attributes, &[P]));
    settle(&mut rib);
    reader.drain(&mut rib, PeerKey(2));
    reader.routes.remove(&prefix(P))
}

fn marked(by: Option<u32>) -> Attributes {
    let mut attributes = route(1, &[NEIGHBOUR, 7]);
    attributes.only_to_customer = by.map(asn);
    attributes
}

/// RFC 9234 section 5, the three rules of ingress: our role, the mark that comes, whether it is a
/// leak, and the mark that is kept.
#[test]
fn ingress() {
    use Role::{Customer, Peer, Provider, RouteServer, RouteServerClient};
    let rows = [
        (Provider, None, false, None),
        (Provider, Some(7), true, Some(7)),
        (RouteServer, None, false, None),
        (RouteServer, Some(NEIGHBOUR), true, Some(NEIGHBOUR)),
        (Peer, None, false, Some(NEIGHBOUR)),
        (Peer, Some(NEIGHBOUR), false, Some(NEIGHBOUR)),
        (Peer, Some(7), true, Some(7)),
        (Customer, None, false, Some(NEIGHBOUR)),
        (Customer, Some(7), false, Some(7)),
        (RouteServerClient, None, false, Some(NEIGHBOUR)),
        (RouteServerClient, Some(7), false, Some(7)),
    ];
    for (role, comes, leak, kept) in rows {
        let (lost, attributes) = taken(&with_role(1, role), &marked(comes));
        assert_eq!(lost, leak.then_some(LostBecause::RouteLeak), "{role}, {comes:?}");
        assert_eq!(attributes.only_to_customer, kept.map(asn), "{role}, {comes:?}");
    }
    let (lost, attributes) = taken(&peer(1, PeerKind::External), &marked(Some(7)));
    assert_eq!((lost, attributes.only_to_customer), (None, Some(asn(7))), "no role, no rule");
}

/// RFC 9234 section 5, the two rules of egress: our role, the mark that is there, and the mark
/// that goes out, if the route does.
#[test]
fn egress() {
    use Role::{Customer, Peer, Provider, RouteServer, RouteServerClient};
    let rows = [
        (Provider, None, Some(Some(AS))),
        (Provider, Some(7), Some(Some(7))),
        (RouteServer, None, Some(Some(AS))),
        (RouteServer, Some(7), Some(Some(7))),
        (Peer, None, Some(Some(AS))),
        (Peer, Some(7), None),
        (Customer, None, Some(None)),
        (Customer, Some(7), None),
        (RouteServerClient, None, Some(None)),
        (RouteServerClient, Some(7), None),
    ];
    for (role, there, goes) in rows {
        let sent = given(&with_role(2, role), &marked(there));
        let found = sent.map(|sent| sent.only_to_customer.map(Asn::get));
        assert_eq!(found, goes, "{role}, {there:?}");
    }
    let inside = given(&peer(2, PeerKind::Internal), &marked(Some(7))).unwrap();
    assert_eq!(inside.only_to_customer, Some(asn(7)), "kept within the AS");
}

#[test]
fn a_path_of_another_is_not_used() {
    let rules = PeerRules { own_as_first: true, ..PeerRules::default() };
    for (path, usable) in
        [(&[NEIGHBOUR, 7][..], true), (&[NEIGHBOUR], true), (&[7, NEIGHBOUR], false), (&[], false)]
    {
        let (lost, _) = taken(&with_rules(1, rules), &route(1, path));
        assert_eq!(lost, (!usable).then_some(LostBecause::ForeignPath), "{path:?}");
    }
    let mut inside = peer(1, PeerKind::Internal);
    inside.rules = rules;
    assert_eq!(taken(&inside, &route(1, &[])).0, None, "paths within the AS begin anywhere");
}

/// As RFC 7606 section 2 wants of a treat-as-withdraw: what was there before is not used either.
#[test]
fn a_path_of_another_takes_the_good_one_away() {
    let rules = PeerRules { own_as_first: true, ..PeerRules::default() };
    let mut rib = rib();
    rib.peer_up(PeerKey(1), with_rules(1, rules));
    rib.update(PeerKey(1), announce(&route(1, &[NEIGHBOUR]), &[P]));
    settle(&mut rib);
    rib.update(PeerKey(1), announce(&route(1, &[7]), &[P]));
    let changes = settle(&mut rib);
    assert!(changes[0].old.is_some() && changes[0].new.is_none());
    assert_eq!(rib.counters(PeerKey(1), Family::Ipv4Unicast).rejected(), 1);
}

#[test]
fn a_route_that_is_about_to_go_is_the_last_choice_whatever_policy_says() {
    let preferred = Policy {
        rules: Vec::new(),
        otherwise: Rule {
            name: "preferred".into(),
            when: Vec::new(),
            then: Then::Accept(vec![Set::LocalPref(500)]),
        },
    };
    let mut leaving = route(1, &[NEIGHBOUR]);
    leaving.communities = Box::new([Community::GRACEFUL_SHUTDOWN]);
    for policy in [Policy::accept_all(), preferred] {
        let rules = PeerRules { graceful_shutdown: true, ..PeerRules::default() };
        let mut honoured = with_rules(1, rules);
        honoured.import = Arc::new(policy);
        let mut rib = rib();
        rib.peer_up(PeerKey(1), honoured);
        rib.peer_up(PeerKey(2), peer(2, PeerKind::External));
        rib.update(PeerKey(1), announce(&leaving, &[P]));
        rib.update(PeerKey(2), announce(&route(2, &[65002, 1, 2, 3]), &[P]));
        settle(&mut rib);
        let views = rib.routes(prefix(P));
        assert_eq!(views[0].attributes.as_path.to_string(), "65002 1 2 3");
        assert_eq!(views[1].lost, Some(LostBecause::LocalPref));
        assert_eq!(views[1].attributes.local_pref, Some(0));
        // A policy replaced live is no way round it.
        rib.set_policies(
            PeerKey(1),
            Arc::new(Policy::reject_all("nothing")),
            Arc::new(Policy::accept_all()),
        );
        settle(&mut rib);
        rib.set_policies(
            PeerKey(1),
            Arc::new(Policy::accept_all()),
            Arc::new(Policy::accept_all()),
        );
        settle(&mut rib);
        assert_eq!(rib.routes(prefix(P))[1].attributes.local_pref, Some(0));
    }
    assert_eq!(taken(&peer(1, PeerKind::External), &leaving).1.local_pref, None, "not asked for");
}

#[test]
fn a_local_as_stands_for_ours_in_both_directions() {
    let rules = PeerRules { local_asn: Some(asn(64999)), ..PeerRules::default() };
    let sent = given(&with_rules(2, rules), &route(1, &[NEIGHBOUR])).unwrap();
    assert_eq!(sent.as_path.to_string(), "64999 65001");
    for loops in [64999, AS] {
        let (lost, _) = taken(&with_rules(1, rules), &route(1, &[NEIGHBOUR, loops]));
        assert_eq!(lost, Some(LostBecause::AsLoop), "{loops}");
    }
    let (lost, kept) = taken(&with_rules(1, rules), &route(1, &[NEIGHBOUR]));
    assert_eq!((lost, kept.as_path.to_string()), (None, "65001".to_owned()));
}
