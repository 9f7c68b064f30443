//! Ordered rules, the whole way: from the text of a file to what becomes of a route, in and out.

use std::fmt::Write as _;

use twill_bgp::proto::types::{LargeCommunity, Origin};

use super::*;

/// A route that tor-a sends.
#[derive(Clone)]
struct Sent {
    prefix: &'static str,
    next_hop: &'static str,
    path: &'static [u32],
    communities: &'static [&'static str],
    large: &'static [&'static str],
    origin: Origin,
}

const SENT: Sent = Sent {
    prefix: "192.0.2.0/24",
    next_hop: "10.0.0.254",
    path: &[65000, 65010],
    communities: &["65000:1", "65000:2"],
    large: &["65000:1:7"],
    origin: Origin::Igp,
};

impl Sent {
    fn attributes(&self) -> Attributes {
        let next_hop: std::net::IpAddr = self.next_hop.parse().unwrap();
        let mut route = Attributes::originated(NextHop::from(next_hop));
        route.as_path = AsPath::sequence(self.path.iter().map(|asn| Asn::new(*asn).unwrap()));
        route.communities = self.communities.iter().map(|text| text.parse().unwrap()).collect();
        route.large_communities = self.large.iter().map(|text| text.parse().unwrap()).collect();
        route.origin = self.origin;
        route
    }
}

/// What policies may change, of a route.
fn told(route: &Attributes) -> String {
    let mut text = format!("via {} path [{}]", route.next_hop, route.as_path);
    let mut add = |name: &str, value: Option<u32>| {
        if let Some(value) = value {
            write!(text, " {name} {value}").unwrap();
        }
    };
    add("pref", route.local_pref);
    add("med", route.med);
    for community in &route.communities {
        text += &format!(" {community}");
    }
    for LargeCommunity { global, local1, local2 } in &route.large_communities {
        text += &format!(" {global}:{local1}:{local2}");
    }
    text
}

/// Three nodes and tor-a, whose `import` or `export` is this.
fn with(key: &str, policy: &str) -> Snapshot {
    let line = THREE.lines().find(|line| line.trim().starts_with(&format!("{key}:"))).unwrap();
    snapshot(&THREE.replace(line, &format!("    {key}:\n{policy}")))
}

/// What becomes of a route from tor-a: its attributes as they are used, or the rule that refused.
fn imported(bench: &mut Bench, sent: &Sent) -> String {
    let prefix: Prefix = sent.prefix.parse().unwrap();
    let key = bench.key("tor-a");
    let reach = Reach { attributes: Arc::new(sent.attributes()), prefixes: vec![prefix] };
    let update = Update { withdrawn: vec![], reach: vec![reach], end_of_rib: None, faults: vec![] };
    bench.rib.update(key, update);
    bench.rib.settle(usize::MAX, None);
    verdict(bench, prefix)
}

fn verdict(bench: &Bench, prefix: Prefix) -> String {
    let view = bench.rib.received(bench.key("tor-a")).find(|view| view.prefix == prefix).unwrap();
    match view.lost {
        Some(LostBecause::Policy(rule)) => rule.to_string(),
        _ => told(&view.attributes),
    }
}

/// Each row: the conditions of a rule that accepts, whether it takes the route, and the route
/// where it is not the usual one.
#[test]
fn conditions() {
    let rows: &[(&str, bool, Sent)] = &[
        ("{prefixes: [192.0.2.0/24]}", true, SENT),
        ("{prefixes: 192.0.2.0/24}", true, SENT),
        ("{prefixes: [10.0.0.0/8, 192.0.0.0/8 le 24]}", true, SENT),
        ("{prefixes: [192.0.2.0/24 ge 25]}", false, SENT),
        ("{prefixes: [192.0.0.0/16 ge 17 le 23]}", false, SENT),
        ("{neighbor: tor-a}", true, SENT),
        ("{neighbor: [node-b, node-c]}", false, SENT),
        ("{source: external}", true, SENT),
        ("{source: internal}", false, SENT),
        ("{source: local}", false, SENT),
        ("{asPath: {contains: 65010}}", true, SENT),
        ("{asPath: {contains: 6501}}", false, SENT),
        ("{asPath: {contains: [1, 65005-65020]}}", true, SENT),
        ("{asPath: {beginsWith: 65000}}", true, SENT),
        ("{asPath: {beginsWith: 65010}}", false, SENT),
        ("{asPath: {originatesFrom: 65010}}", true, SENT),
        ("{asPath: {originatesFrom: 65000}}", false, SENT),
        ("{asPath: {empty: true}}", false, SENT),
        ("{asPath: {empty: false}}", true, SENT),
        ("{asPath: {maxLength: 2}}", true, SENT),
        ("{asPath: {maxLength: 1}}", false, SENT),
        ("{asPath: {minLength: 3}}", false, SENT),
        ("{asPath: {minLength: 2, maxLength: 2}}", true, SENT),
        ("{asPath: {beginsWith: 65000, originatesFrom: 65011}}", false, SENT),
        ("{asPath: {maxLength: 2}}", false, Sent { path: &[65000, 65000, 65010], ..SENT }),
        ("{communities: 65000:1}", true, SENT),
        ("{communities: [65000:1, 65000:2]}", true, SENT),
        ("{communities: [65000:1, 65000:3]}", false, SENT),
        ("{communities: ['65000:*']}", true, SENT),
        ("{communities: ['*:9']}", false, SENT),
        ("{communities: [no-export]}", true, Sent { communities: &["no-export"], ..SENT }),
        ("{largeCommunities: ['65000:1:7']}", true, SENT),
        ("{largeCommunities: ['65000:1:8']}", false, SENT),
        ("{largeCommunities: ['65000:*:*']}", true, SENT),
        ("{origin: igp}", true, SENT),
        ("{origin: [egp, incomplete]}", false, SENT),
        ("{origin: [egp, incomplete]}", true, Sent { origin: Origin::Incomplete, ..SENT }),
        ("{nextHop: 10.0.0.254}", true, SENT),
        ("{nextHop: [10.0.0.0/24]}", true, SENT),
        ("{nextHop: [10.0.1.0/24]}", false, SENT),
        ("{prefixes: [192.0.2.0/24], origin: egp}", false, SENT),
        ("{}", true, SENT),
    ];
    for (when, takes, sent) in rows {
        let rule = format!("      rules: [{{name: it, match: {when}, action: accept}}]");
        let mut bench = Bench::new(&with("import", &rule));
        let verdict = imported(&mut bench, sent);
        assert_eq!(verdict.starts_with("via"), *takes, "{when}: {verdict}");
    }
}

/// Each row: what a rule sets, and the route after it.
#[test]
fn changes_on_the_way_in() {
    for (set, expected) in [
        ("{}", "path [65000 65010] 65000:1 65000:2 65000:1:7"),
        ("{localPref: 200, med: 7}", "path [65000 65010] pref 200 med 7 65000:1 65000:2 65000:1:7"),
        ("{communities: {add: 64512:9}}", "path [65000 65010] 64512:9 65000:1 65000:2 65000:1:7"),
        ("{communities: {remove: 65000:1}}", "path [65000 65010] 65000:2 65000:1:7"),
        (
            "{communities: {add: [65000:3, 64512:9], remove: ['65000:*']}}",
            "path [65000 65010] 64512:9 65000:3 65000:1:7",
        ),
        (
            "{largeCommunities: {add: '64512:1:1', remove: ['*:*:*']}}",
            "path [65000 65010] 65000:1 65000:2 64512:1:1",
        ),
        // The peer's AS: ours would make every other node refuse the route.
        ("{prepend: 2}", "path [65000 65000 65000 65010] 65000:1 65000:2 65000:1:7"),
    ] {
        let rule = format!("      rules: [{{name: it, set: {set}, action: accept}}]");
        let mut bench = Bench::new(&with("import", &rule));
        assert_eq!(imported(&mut bench, &SENT), format!("via 10.0.0.254 {expected}"), "{set}");
    }
}

const ORDERED: &str = "
      default: accept
      prefixes: [198.51.100.0/24]
      rules:
        - {name: mark, match: {asPath: {originatesFrom: 65010}}, set: {communities: {add: 64512:1}}, action: continue}
        - {name: bogons, match: {prefixes: [192.168.0.0/16 le 32]}, action: reject}
        - {name: marked, match: {communities: 64512:1}, set: {localPref: 50}, action: accept}
        - {name: customers, match: {prefixes: [203.0.113.0/24 le 32]}, set: {localPref: 300}, action: accept}
        - {name: pods, match: {prefixes: [10.0.0.0/8 le 32]}, action: accept}
        - {name: lan, match: {prefixes: [10.1.0.0/16]}, action: reject}";

/// The first rule that decides counts, a later one sees what an earlier one set, the short form
/// comes last, and what belongs to a node is refused before any rule is asked.
#[test]
fn order() {
    let snapshot = with("import", ORDERED);
    for (prefix, path, expected) in [
        ("192.168.1.0/24", &[65000][..], "rule bogons of tor-a"),
        ("192.168.1.0/24", &[65000, 65010], "rule bogons of tor-a"),
        ("192.0.2.0/24", &[65000, 65010], "path [65000 65010] pref 50 64512:1"),
        ("203.0.113.9/32", &[65000, 65010], "path [65000 65010] pref 50 64512:1"),
        ("203.0.113.9/32", &[65000], "path [65000] pref 300"),
        ("10.1.0.0/16", &[65000], "path [65000]"),
        ("198.51.100.0/24", &[65000], "path [65000]"),
        ("192.0.2.0/24", &[65000], "path [65000]"),
        ("10.244.2.0/24", &[65000], "overlaps the pod CIDR 10.244.2.0/24 of node-b"),
        ("10.244.1.128/25", &[65000], "overlaps the pod CIDR 10.244.1.0/24 of node-a"),
        ("10.0.0.3/32", &[65000], "overlaps the address 10.0.0.3 of node-c"),
    ] {
        let mut bench = Bench::new(&snapshot);
        let sent = Sent { prefix, path, communities: &[], large: &[], ..SENT };
        let found = imported(&mut bench, &sent);
        assert_eq!(found.trim_start_matches("via 10.0.0.254 "), expected, "{prefix} {path:?}");
    }
}

#[test]
fn without_a_default_what_no_rule_takes_is_refused() {
    let rules = "      rules: [{name: it, match: {origin: egp}, action: accept}]";
    let mut bench = Bench::new(&with("import", rules));
    let refused = imported(&mut bench, &SENT);
    assert_eq!(refused, "not in import.prefixes of tor-a (RFC 8212)");
}

/// A new file judges what is there: no route is asked for again.
#[test]
fn a_changed_rule_judges_what_was_received() {
    let mut bench = Bench::new(&with("import", "      default: accept"));
    let before = imported(&mut bench, &SENT);
    let rule = "      rules: [{name: closed, match: {asPath: {contains: 65010}}, action: reject}]\n      default: accept";
    for (snapshot, expected) in [
        (with("import", rule), "rule closed of tor-a"),
        (with("import", "      default: accept"), &*before),
    ] {
        let peers = peers(&snapshot, &BTreeSet::new()).configs;
        let key = bench.key("tor-a");
        let peer = &peers[key.0 as usize];
        bench.rib.set_policies(key, Arc::clone(&peer.import), Arc::clone(&peer.export));
        bench.rib.settle(usize::MAX, None);
        assert_eq!(verdict(&bench, SENT.prefix.parse().unwrap()), expected);
    }
}

const EXPORT: &str = "
      default: reject
      prefixes: [podCIDRs]
      communities: [64512:100]
      rules:
        - {name: inner, match: {communities: no-export}, action: reject}
        - {name: from-c, match: {neighbor: node-c}, set: {prepend: 1, med: 9, communities: {add: 64512:3}}, action: accept}
        - {name: v6, match: {prefixes: [podCIDRs], source: local, nextHop: '::/0'}, action: reject}
        - {name: of-the-mesh, match: {source: internal, asPath: {empty: true}, prefixes: [10.244.0.0/16 le 24]}, action: accept}";

/// Rules by where a route came from, before the short form, whose changes they do not share.
#[test]
fn the_way_out() {
    let mut bench = Bench::new(&with("export", EXPORT));
    for cidr in ["10.244.1.0/24", "fd00:244:1::/64", "172.16.0.0/24"] {
        let prefix: Prefix = cidr.parse().unwrap();
        let unspecified: std::net::IpAddr =
            if cidr.contains(':') { "::" } else { "0.0.0.0" }.parse().unwrap();
        bench.rib.announce(prefix, Attributes::originated(NextHop::from(unspecified)));
    }
    bench.send("node-b", "10.244.2.0/24".parse().unwrap(), "10.0.0.2");
    bench.send("node-c", "10.244.3.0/24".parse().unwrap(), "10.0.0.3");
    assert_eq!(
        sent(&mut bench, "tor-a"),
        [
            "10.244.1.0/24 via 10.0.0.1 64512:100 path [64512]",
            "10.244.2.0/24 via 10.0.0.1 path [64512]",
            "10.244.3.0/24 via 10.0.0.1 64512:3 med 9 path [64512 64512]",
        ]
    );
}

/// A router of our own AS is sent our own address as next hop, unless a rule leaves the route's.
#[test]
fn next_hops_towards_a_router_of_our_as() {
    for (set, next_hop) in [
        ("{}", "10.0.0.1"),
        ("{nextHopSelf: true}", "10.0.0.1"),
        ("{nextHopSelf: false}", "10.0.0.254"),
    ] {
        let text = format!(
            "{THREE}  - name: rr\n    address: 10.0.0.253\n    asn: 64512\n    export: {{rules: [{{name: all, set: {set}, action: accept}}]}}\n"
        );
        let mut bench = Bench::new(&snapshot(&text));
        bench.send("tor-a", "203.0.113.0/24".parse().unwrap(), "10.0.0.254");
        let expected = format!("203.0.113.0/24 via {next_hop} path [65000]");
        assert_eq!(sent(&mut bench, "rr"), [expected], "{set}");
    }
}

/// A range beside listed routers of the same network: who is listed is not of the range, whatever
/// its address.
#[test]
fn ranges_and_who_is_listed() {
    let text = format!(
        "{THREE}  - {{name: racks, prefix: 10.1.0.0/24, asn: 65001, mesh: true, import: {{default: accept}}}}
  - {{name: rack-9, address: 10.1.0.9, asn: 65001, import: {{default: accept}}}}
  - name: far
    address: 10.9.0.1
    asn: 65009
    export:
      rules:
        - {{name: of-racks, match: {{neighbor: [racks, tor-a]}}, set: {{med: 1}}, action: accept}}
        - {{name: of-rack-9, match: {{neighbor: rack-9}}, set: {{med: 9}}, action: accept}}
"
    );
    let snapshot = snapshot(&text);
    let range = peers(&snapshot, &BTreeSet::new()).ranges.remove(0);
    let dialled = PeerConfig {
        name: "racks-10.1.0.7".to_owned(),
        address: "10.1.0.7".parse().unwrap(),
        ..range.template
    };
    for (from, to_far, to_mesh) in [
        ("racks-10.1.0.7", Some("med 1 path [64512 65001]"), true),
        ("rack-9", Some("med 9 path [64512 65001]"), false),
        ("tor-a", Some("med 1 path [64512 65000]"), true),
        ("node-c", None, false),
    ] {
        let mut bench = Bench::new(&snapshot);
        bench.join(&snapshot, dialled.clone());
        let next_hop = bench.peers[bench.key(from).0 as usize].address.to_string();
        bench.send(from, "203.0.113.0/24".parse().unwrap(), &next_hop);
        let expected: Vec<String> =
            to_far.iter().map(|told| format!("203.0.113.0/24 via 10.0.0.1 {told}")).collect();
        assert_eq!(sent(&mut bench, "far"), expected, "{from}");
        assert_eq!(sent(&mut bench, "node-b").len(), usize::from(to_mesh), "{from}");
    }
}
