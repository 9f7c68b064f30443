//! Rules of a policy: what is wrong with them, and what is only doubtful.

use super::*;

const PEER: &str = "peers:\n  - name: tor\n    address: 10.0.0.254\n    asn: 65000\n";

/// A file whose peer has these rules, one a line from line 10 on.
fn with(way: &str, rules: &str) -> String {
    let other = if way == "import" { "export" } else { "import" };
    format!(
        "{SMALL}{PEER}    {other}: {{default: accept}}\n    {way}:\n      rules:\n        - {}\n",
        rules.replace('\n', "\n        - ")
    )
}

/// Each row: import or export, the rules, and what is said of them with its place and key.
const MISTAKES: &[(&str, &str, &str)] = &[
    (
        "import",
        "{name: a}",
        "10:11: peers[0].import.rules[0]: `action` is missing: expected accept, reject, or continue",
    ),
    (
        "import",
        "{action: accept}",
        "10:11: peers[0].import.rules[0]: `name` is missing: expected what is shown",
    ),
    ("import", "{name: a b, action: accept}", "rules[0].name: `a b` is not a name"),
    (
        "import",
        "{name: a, action: drop}",
        "rules[0].action: expected accept or reject or continue, found `drop`",
    ),
    (
        "import",
        "{name: a, actoin: accept, action: accept}",
        "10:21: peers[0].import.rules[0].actoin: unknown key: did you mean `action`?",
    ),
    (
        "import",
        "{name: a, match: {prefix: []}, action: accept}",
        "match.prefix: unknown key: did you mean `prefixes`?",
    ),
    (
        "import",
        "{name: a, match: {asPath: {contain: 1}}, action: accept}",
        "match.asPath.contain: unknown key: did you mean `contains`?",
    ),
    (
        "import",
        "{name: a, set: {localpref: 1}, action: accept}",
        "set.localpref: unknown key: did you mean `localPref`?",
    ),
    (
        "import",
        "{name: a, match: {origin: egp}, action: reject}\n{name: a, action: accept}",
        "11:11: peers[0].import.rules[1]: the name a is taken by the rule on line 10",
    ),
    (
        "import",
        "{name: a, match: {prefixes: []}, action: reject}",
        "match.prefixes: an empty list matches nothing: remove the key",
    ),
    (
        "import",
        "{name: a, match: {communities: }, action: reject}",
        "match.communities: an empty list matches nothing",
    ),
    (
        "import",
        "{name: a, match: {prefixes: [podCIDRs]}, action: accept}",
        "match.prefixes[0]: this node's pod CIDRs are never taken from outside",
    ),
    (
        "import",
        "{name: a, match: {prefixes: [10.0.0.1/8]}, action: accept}",
        "did you mean 10.0.0.0/8?",
    ),
    (
        "import",
        "{name: a, match: {neighbor: nobody}, action: accept}",
        "10:39: peers[0].import.rules[0].match.neighbor: no other node and no peer is called nobody",
    ),
    (
        "import",
        "{name: a, match: {neighbor: [tor, node-a]}, action: accept}",
        "match.neighbor[1]: no other node and no peer is called node-a",
    ),
    (
        "import",
        "{name: a, match: {asPath: {contains: AS65001}}, action: accept}",
        "match.asPath.contains: `AS65001` is not one of these AS numbers: expected an AS number",
    ),
    (
        "import",
        "{name: a, match: {asPath: {contains: 9-5}}, action: accept}",
        "the range ends before it begins",
    ),
    (
        "import",
        "{name: a, match: {asPath: {minLength: 3, maxLength: 2}}, action: accept}",
        "match.asPath: no path has at least 3 hops and at most 2",
    ),
    (
        "import",
        "{name: a, match: {communities: [1]}, action: accept}",
        "match.communities[0]: `1` is not one of these communities: expected AS:VALUE",
    ),
    (
        "import",
        "{name: a, match: {largeCommunities: ['1:2']}, action: accept}",
        "expected AS:VALUE:VALUE",
    ),
    (
        "import",
        "{name: a, match: {origin: ebgp}, action: accept}",
        "match.origin: expected igp or egp or incomplete, found `ebgp`",
    ),
    (
        "import",
        "{name: a, match: {source: mesh}, action: accept}",
        "match.source: expected local or internal or external",
    ),
    (
        "import",
        "{name: a, match: {nextHop: tor}, action: accept}",
        "match.nextHop: `tor` is not one of these addresses",
    ),
    (
        "import",
        "{name: a, set: {nextHopSelf: true}, action: accept}",
        "set.nextHopSelf: our own address as the next hop of what we learn",
    ),
    (
        "import",
        "{name: a, set: {localPref: -1}, action: accept}",
        "set.localPref: expected a number from 0 to 4294967295",
    ),
    (
        "import",
        "{name: a, set: {communities: {add: ['65000:*']}}, action: accept}",
        "set.communities.add[0]: `65000:*` is not one of these communities",
    ),
    (
        "import",
        "{name: a, set: {communities: [65000:1]}, action: accept}",
        "set.communities: expected a mapping of keys to values, found a list",
    ),
    (
        "import",
        "{name: a, set: {med: 1}, action: reject}",
        "rules[0].set: a refused route is not changed: remove `set`",
    ),
    (
        "export",
        "{name: a, set: {localPref: 1}, action: accept}",
        "set.localPref: a router of another AS is sent no local preference",
    ),
    (
        "export",
        "{name: a, set: {nextHopSelf: false}, action: accept}",
        "set.nextHopSelf: a router of another AS is always sent our own address",
    ),
    (
        "export",
        "{name: a, set: {prepend: 256}, action: accept}",
        "set.prepend: expected a number from 0 to 255",
    ),
];

#[test]
fn each_mistake_in_a_rule_is_told_with_place_and_remedy() {
    for (way, rules, expected) in MISTAKES {
        let error = refusal(&with(way, rules));
        assert!(error.contains(expected), "{rules}\n  expected {expected}\n  found    {error}");
        assert_eq!(error.lines().count(), 1, "{rules}: {error}");
    }
}

/// In a path that an internal peer is sent, our own AS is a loop.
#[test]
fn a_router_of_our_own_as_is_not_sent_our_own_as() {
    for (way, policy) in [
        ("export", "{default: accept, prepend: 2}"),
        ("export", "{rules: [{name: a, set: {prepend: 1}, action: accept}]}"),
        ("import", "{rules: [{name: a, set: {prepend: 1}, action: accept}]}"),
    ] {
        let peer = PEER.replace("65000", "64512");
        let error = refusal(&format!("{SMALL}{peer}    {way}: {policy}\n"));
        assert!(error.contains("prepend: this peer is of our own AS"), "{error}");
        let error = parse(&format!("{SMALL}{PEER}    {way}: {policy}\n"));
        assert!(error.is_ok(), "{error:?}");
    }
}

#[test]
fn doubtful_rules_are_told() {
    let doubts = |rules: &str| -> Vec<String> {
        let warnings = parse(&with("import", rules)).unwrap().warnings;
        warnings.iter().map(ToString::to_string).collect()
    };
    assert_eq!(doubts("{name: a, match: {origin: igp}, action: accept}"), Vec::<String>::new());
    let never = doubts("{name: a, action: reject}\n{name: b, action: accept}");
    assert!(
        never[0].starts_with("11:11: peers[0].import.rules[1]: never asked: a on line 10"),
        "{never:?}"
    );
    let idle = doubts("{name: a, action: continue}\n{name: b, action: accept}");
    assert!(idle[0].contains("it changes nothing and decides nothing"), "{idle:?}");
    // RFC 8212: a rule that takes something is a policy, one that only refuses lets nothing in.
    let nothing = doubts("{name: a, match: {origin: igp}, action: reject}");
    assert!(nothing[0].contains("nothing is taken from tor (RFC 8212)"), "{nothing:?}");
}
