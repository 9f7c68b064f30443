use std::sync::Arc;

use super::*;
use crate::rib::{Claims, PeerKey, PeerKind};
use crate::types::NextHop;

const EXTERNAL: Learned = Learned::From {
    key: PeerKey(7),
    kind: PeerKind::External,
    address: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)),
};

fn setting() -> Setting {
    Setting { asn: Asn::new(64512).unwrap(), next_hop: Some(address("10.0.0.1").into()) }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn route() -> Attributes {
    let mut route = Attributes::originated(NextHop::from(address("192.0.2.1")));
    route.as_path =
        crate::types::AsPath::sequence([65000, 65001].map(|asn| Asn::new(asn).unwrap()));
    route.communities = Box::new([Community(100), Community(200)]);
    route.large_communities = Box::new([LargeCommunity { global: 1, local1: 2, local2: 3 }]);
    route
}

fn rule(name: &str, when: Vec<Match>, then: Then) -> Rule {
    Rule { name: name.into(), when, then }
}

fn policy(rules: Vec<Rule>) -> Policy {
    Policy { rules, ..Policy::reject_all("nothing matched") }
}

fn prefixes(texts: &[&str]) -> PrefixSet {
    texts.iter().map(|text| text.parse::<Prefix>().unwrap()).collect()
}

/// The name of the refusing rule, or the attributes after it.
fn judged(policy: &Policy, learned: Learned, prefix: &str) -> Result<Attributes, String> {
    let route = route();
    let mut judge = Judge::new(policy, &route, learned, setting());
    match judge.verdict(prefix.parse().unwrap()) {
        Verdict::Accept(applied) => Ok(judge.apply(&applied).0),
        Verdict::Reject(name) => Err(name.to_string()),
    }
}

#[test]
fn every_condition_holds_where_it_should() {
    let is = |texts: &[&str]| Arc::new(texts.iter().map(|text| address(text)).collect());
    let asn = |asn| AsnSet::from(Asn::new(asn).unwrap());
    let asns = |text: &str| -> AsnSet { text.split(' ').map(|one| one.parse().unwrap()).collect() };
    let form = |text: &str| -> Arc<[CommunityPattern]> {
        text.split(' ').map(|one| one.parse().unwrap()).collect()
    };
    let large = |local2| -> Arc<[LargeCommunityPattern]> {
        Arc::new([LargeCommunity { global: 1, local1: 2, local2 }.into()])
    };
    let within = |text: &str, le| {
        let prefix: Prefix = text.parse().unwrap();
        PrefixSet::new([PrefixRange { prefix, ge: prefix.len(), le }])
    };
    let cases = [
        (Match::PrefixIn(prefixes(&["10.1.0.0/16"])), true),
        (Match::PrefixIn(prefixes(&["10.0.0.0/8"])), false),
        (Match::Overlaps(prefixes(&["10.0.0.0/8"])), true),
        (Match::Overlaps(prefixes(&["10.1.2.3/32"])), true),
        (Match::Overlaps(prefixes(&["10.2.0.0/16"])), false),
        (Match::NextHopIn(is(&["192.0.2.1", "192.0.2.2"])), true),
        (Match::NextHopIn(is(&["192.0.2.2"])), false),
        (Match::NeighborAs(asn(65000)), true),
        (Match::NeighborAs(asn(65001)), false),
        (Match::AsPathContains(asn(65001)), true),
        (Match::AsPathContains(asn(65002)), false),
        (Match::AsPathContains(asns("1 65001-65009")), true),
        (Match::AsPathContains(asns("6500 65002-65009")), false),
        (Match::OriginatedBy(asn(65001)), true),
        (Match::OriginatedBy(asn(65000)), false),
        (Match::AsPathEmpty, false),
        (Match::AsPathLength(2..=2), true),
        (Match::AsPathLength(3..=u32::MAX), false),
        (Match::AsPathLength(0..=1), false),
        (Match::Communities(Arc::new([Community(200).into(), Community(100).into()])), true),
        (Match::Communities(Arc::new([Community(100).into(), Community(300).into()])), false),
        (Match::Communities(form("0:*")), true),
        (Match::Communities(form("0:* 1:*")), false),
        (Match::NextHopWithin(within("192.0.2.0/24", 32)), true),
        (Match::NextHopWithin(within("192.0.3.0/24", 32)), false),
        (Match::LargeCommunities(large(3)), true),
        (Match::LargeCommunities(large(4)), false),
        (Match::Origin(Origin::Igp), true),
        (Match::Origin(Origin::Egp), false),
        (Match::Source(Source::External), true),
        (Match::Source(Source::Internal), false),
        (Match::Source(Source::Local), false),
        (Match::Source(Source::Peer(PeerKey(7))), true),
        (Match::Source(Source::Peer(PeerKey(8))), false),
        (Match::FromPeer(is(&["192.0.2.7"])), true),
        (Match::FromPeer(is(&["192.0.2.8"])), false),
        (Match::FromPeerWithin(within("192.0.2.0/24", 32)), true),
        (Match::FromPeerWithin(within("192.0.2.8/29", 32)), false),
    ];
    for (condition, holds) in cases {
        let negated = Match::Not(Box::new(condition.clone()));
        for (condition, holds) in [(condition, holds), (negated, !holds)] {
            let name = format!("{condition:?}");
            let policy = policy(vec![rule("it", vec![condition], Then::Accept(vec![]))]);
            assert_eq!(judged(&policy, EXTERNAL, "10.1.0.0/16").is_ok(), holds, "{name}");
        }
    }
}

#[test]
fn the_source_tells_clients_from_outsiders() {
    let client = Learned::From { key: PeerKey(1), kind: PeerKind::Client, address: address("::1") };
    for (learned, source) in
        [(Learned::Here, Source::Local), (client, Source::Internal), (EXTERNAL, Source::External)]
    {
        let when = vec![Match::Source(source)];
        let policy = policy(vec![rule("it", when, Then::Accept(vec![]))]);
        for other in [Learned::Here, client, EXTERNAL] {
            assert_eq!(judged(&policy, other, "10.0.0.0/8").is_ok(), other == learned);
        }
    }
}

#[test]
fn changes_apply_in_order() {
    let sets = vec![
        Set::LocalPref(300),
        Set::Med(Some(5)),
        Set::RemoveCommunities(Arc::new([CommunityPattern::ANY])),
        Set::AddCommunities(Arc::new([Community(9), Community(3), Community(9)])),
        Set::AddLargeCommunities(Arc::new([LargeCommunity { global: 0, local1: 0, local2: 0 }])),
        Set::Prepend(2),
        Set::NextHopSelf,
    ];
    let policy = policy(vec![rule("it", vec![], Then::Accept(sets))]);
    let after = judged(&policy, EXTERNAL, "10.0.0.0/8").unwrap();
    assert_eq!((after.local_pref, after.med), (Some(300), Some(5)));
    assert_eq!(*after.communities, [Community(3), Community(9)]);
    assert_eq!(after.large_communities.len(), 2);
    assert_eq!(after.as_path.to_string(), "64512 64512 65000 65001");
    assert_eq!(after.next_hop.address(), address("10.0.0.1"));
}

#[test]
fn only_what_is_of_the_form_is_removed() {
    let sets = vec![
        Set::RemoveCommunities(Arc::new([Community(100).into()])),
        Set::RemoveLargeCommunities(Arc::new(["1:*:*".parse().unwrap()])),
    ];
    let policy = policy(vec![rule("it", vec![], Then::Accept(sets))]);
    let after = judged(&policy, EXTERNAL, "10.0.0.0/8").unwrap();
    assert_eq!(*after.communities, [Community(200)]);
    assert!(after.large_communities.is_empty());
}

/// A set at the end of a path does not tell who originated the route.
#[test]
fn a_set_hides_the_originator() {
    let asn = |number| Asn::new(number).unwrap();
    let set = crate::types::Segment {
        kind: crate::types::SegmentKind::Set,
        asns: Box::new([asn(65001), asn(65002)]),
    };
    let mut path = crate::types::AsPath::sequence([asn(65000)]);
    path.segments = path.segments.iter().cloned().chain([set]).collect();
    let mut route = route();
    route.as_path = path;
    for (when, holds) in [
        (Match::OriginatedBy(asn(65002).into()), false),
        (Match::OriginatedBy(asn(65000).into()), false),
        (Match::AsPathContains(asn(65002).into()), true),
        (Match::AsPathLength(2..=2), true),
    ] {
        let policy = policy(vec![rule("it", vec![when.clone()], Then::Accept(vec![]))]);
        let mut judge = Judge::new(&policy, &route, EXTERNAL, setting());
        let verdict = judge.verdict("10.0.0.0/8".parse().unwrap());
        assert_eq!(matches!(verdict, Verdict::Accept(_)), holds, "{when:?}");
    }
}

#[test]
fn a_later_rule_sees_what_an_earlier_one_changed() {
    let mark: Arc<[Community]> = Arc::new([Community(7)]);
    let marked: Arc<[CommunityPattern]> = Arc::new([Community(7).into()]);
    let policy = policy(vec![
        rule(
            "mark",
            vec![Match::PrefixIn(prefixes(&["10.0.0.0/8"]))],
            Then::Continue(vec![Set::AddCommunities(mark)]),
        ),
        rule("marked", vec![Match::Communities(marked)], Then::Accept(vec![Set::LocalPref(7)])),
    ]);
    let route = route();
    let mut judge = Judge::new(&policy, &route, EXTERNAL, setting());
    let marked = judge.verdict("10.0.0.0/8".parse().unwrap());
    assert_eq!(marked, Verdict::Accept(vec![0, 1]));
    let Verdict::Accept(applied) = marked else { panic!() };
    assert_eq!(judge.apply(&applied).0.local_pref, Some(7));
    let other = judge.verdict("11.0.0.0/8".parse().unwrap());
    assert_eq!(other, Verdict::Reject(&Arc::from("nothing matched")));
}

#[test]
fn our_own_routes_can_be_asked_about() {
    let policy = policy(vec![rule(
        "ours",
        vec![Match::Source(Source::Local), Match::PrefixIn(prefixes(&["10.0.0.0/8"]))],
        Then::Accept(vec![Set::NextHopSelf]),
    )]);
    let asked = |prefix: &str| {
        policy.refuses_own(prefix.parse().unwrap(), &route(), Asn::new(64512).unwrap())
    };
    assert_eq!(asked("10.0.0.0/8"), None);
    assert_eq!(asked("10.0.0.0/9").as_deref(), Some("nothing matched"));
}

#[test]
fn a_claim_refuses_in_its_own_words() {
    let claims = Claims::new([("10.244.0.0/16".parse().unwrap(), Arc::from("pod CIDR of node-b"))]);
    let policy = policy(vec![
        rule("claimed", vec![], Then::RejectClaimed(Arc::new(claims))),
        rule("rest", vec![], Then::Accept(vec![])),
    ]);
    assert_eq!(judged(&policy, EXTERNAL, "10.244.9.0/24").unwrap_err(), "pod CIDR of node-b");
    assert!(judged(&policy, EXTERNAL, "10.0.0.0/24").is_ok());
}

#[test]
fn the_end_decides_where_no_rule_did() {
    let mut policy = policy(vec![]);
    assert_eq!(judged(&policy, EXTERNAL, "10.0.0.0/8").unwrap_err(), "nothing matched");
    policy.otherwise.then = Then::Continue(vec![]);
    assert_eq!(judged(&policy, EXTERNAL, "10.0.0.0/8").unwrap_err(), "nothing matched");
    policy.otherwise.then = Then::Accept(vec![Set::LocalPref(1)]);
    assert_eq!(judged(&policy, EXTERNAL, "10.0.0.0/8").unwrap().local_pref, Some(1));
}

#[test]
fn a_verdict_without_a_word_on_the_prefix_is_given_once() {
    let route = route();
    for (when, constant) in [
        (vec![Match::AsPathEmpty], true),
        (vec![Match::PrefixIn(prefixes(&["10.0.0.0/8"]))], false),
        // The attributes already say no, so the prefix is not asked.
        (vec![Match::PrefixIn(prefixes(&["10.0.0.0/8"])), Match::AsPathEmpty], true),
    ] {
        let policy = policy(vec![rule("it", when, Then::Accept(vec![]))]);
        let mut judge = Judge::new(&policy, &route, EXTERNAL, setting());
        judge.verdict("11.0.0.0/8".parse().unwrap());
        assert_eq!(judge.is_constant(), constant);
    }
}

#[test]
fn rules_beyond_what_is_remembered_still_count() {
    let mut rules: Vec<Rule> =
        (0..100).map(|_| rule("never", vec![Match::AsPathEmpty], Then::Reject)).collect();
    rules.push(rule(
        "last",
        vec![Match::NeighborAs(Asn::new(65000).unwrap().into())],
        Then::Accept(vec![]),
    ));
    assert!(judged(&policy(rules), EXTERNAL, "10.0.0.0/8").is_ok());
}
