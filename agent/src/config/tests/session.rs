//! The keys of a peer's session, and peers that nobody lists.

use twill_bgp::MaxPrefixes;
use twill_bgp::proto::types::Role;

use super::*;

/// A file with one peer of another AS that has these keys besides.
fn with(keys: &str) -> String {
    format!("{SMALL}peers:\n  - {{name: tor, address: 10.0.0.254, asn: 65000, {keys}}}\n")
}

fn range(keys: &str) -> String {
    format!("{SMALL}peers:\n  - {{name: racks, prefix: 10.1.0.0/24, asn: 65000, {keys}}}\n")
}

#[test]
fn every_key_of_a_session_is_read() {
    let keys = "localAsn: 65100, localAddress: 10.0.0.1, role: customer, roleStrict: true, \
                connectRetry: 2s, connectRetryMax: 1m, sendHoldTime: 5m, extendedNextHop: true, \
                gracefulNotification: true, enforceFirstAs: false, honorGracefulShutdown: false, \
                shutdown: new disks";
    let session = parse(&with(keys)).unwrap().snapshot.peers["tor"].session.clone();
    assert_eq!(session.local_asn.unwrap().get(), 65100);
    assert_eq!(session.local_address.unwrap().to_string(), "10.0.0.1");
    let role = session.role.unwrap();
    assert_eq!((role.role, role.required), (Role::Customer, true));
    let seconds = |time: Option<Duration>| time.unwrap().as_secs();
    assert_eq!((seconds(session.connect_retry), seconds(session.connect_retry_max)), (2, 60));
    assert_eq!(seconds(session.send_hold_time), 300);
    assert!(session.extended_next_hop && session.graceful_notification);
    assert!(!session.enforce_first_as && !session.honor_graceful_shutdown);
    assert_eq!(session.shutdown.as_deref(), Some("new disks"));

    let plain = parse(&with("")).unwrap().snapshot.peers["tor"].session.clone();
    assert_eq!(plain, Default::default());
    let silent = parse(&with("shutdown: ''")).unwrap();
    assert_eq!(silent.snapshot.peers["tor"].session.shutdown.as_deref(), Some(""));
}

#[test]
fn limits_have_a_warning_level_and_a_time() {
    let read = |keys: &str| {
        let text = with(&format!("import: {{default: accept, {keys}}}"));
        parse(&text).unwrap().snapshot.peers["tor"].import.max_prefixes
    };
    let limit = |limit, warn_at, restart: Option<u64>| {
        Some(MaxPrefixes { limit, warn_at, restart_after: restart.map(Duration::from_secs) })
    };
    assert_eq!(read("maxPrefixes: 1000"), limit(1000, None, None));
    assert_eq!(read("maxPrefixes: 1000, maxPrefixesWarning: 80"), limit(1000, Some(800), None));
    assert_eq!(
        read("maxPrefixes: 3, maxPrefixesWarning: 80%, maxPrefixesRestart: 5m"),
        limit(3, Some(3), Some(300))
    );
    assert_eq!(
        read("maxPrefixes: 4294967295, maxPrefixesWarning: 100"),
        limit(u32::MAX, Some(u32::MAX), None)
    );
}

#[test]
fn a_prefix_of_peers_is_read() {
    let text = range("limit: 20, mesh: true, import: {prefixes: [192.0.2.0/24]}, gtsm: 255");
    let snapshot = parse(&text).unwrap().snapshot;
    assert!(snapshot.peers.is_empty());
    let racks = &snapshot.ranges["racks"];
    assert_eq!((racks.prefix.to_string().as_str(), racks.limit), ("10.1.0.0/24", 20));
    assert_eq!(racks.template.asn.get(), 65000);
    assert!(racks.template.mesh);
    assert_eq!(parse(&range("")).unwrap().snapshot.ranges["racks"].limit, 100);
    for (name, address) in [
        ("racks-10.1.0.7", Some("10.1.0.7")),
        ("racks-10.2.0.7", None),
        ("racks-x", None),
        ("racks10.1.0.7", None),
        ("tor-10.1.0.7", None),
    ] {
        assert_eq!(racks.address_of(name), address.map(|text| text.parse().unwrap()), "{name}");
    }
}

const MISTAKES: &[(&str, &str)] = &[
    ("localAsn: 0", "4:60: peers[0].localAsn: AS 0 is reserved"),
    ("localAsn: 65000", "peers[0].localAsn: it is the peer's own AS"),
    ("localAddress: fd00::1", "peers[0].localAddress: 10.0.0.254 cannot be dialled from fd00::1"),
    ("localAddress: any", "peers[0].localAddress: `any` is not an address of this node"),
    ("role: friend", "peers[0].role: `friend` is not a role: expected provider, customer, peer"),
    ("roleStrict: true", "peers[0].roleStrict: without a role there is nothing to insist on"),
    ("connectRetry: 0s", "peers[0].connectRetry: expected 1s to 24h"),
    ("connectRetry: 5", "did you mean 5s?"),
    ("connectRetry: 9s, connectRetryMax: 3s", "connectRetryMax: it is less than connectRetry, 9s"),
    ("sendHoldTime: 90s", "peers[0].sendHoldTime: it must be longer than the hold time, 90s"),
    ("holdTime: 0s, sendHoldTime: 0s", "peers[0].sendHoldTime: it must be longer"),
    ("families: [ipv6], extendedNextHop: true", "extendedNextHop: it is about IPv4 routes"),
    ("shutdown: true", "peers[0].shutdown: write words for the peer, or '' for none"),
    ("shutdown:", "peers[0].shutdown: expected words for the peer, or '' for none, found nothing"),
    (
        "enforceFirstAS: true",
        "peers[0].enforceFirstAS: unknown key: did you mean `enforceFirstAs`?",
    ),
    ("import: {maxPrefixesWarning: 80}", "maxPrefixesWarning: without a limit"),
    ("import: {maxPrefixes: 9, maxPrefixesWarning: 0}", "expected a percentage from 1 to 100"),
    ("import: {maxPrefixes: 9, maxPrefixesWarning: 101%}", "expected a percentage from 1 to 100"),
    ("import: {maxPrefixes: 9, maxPrefixesRestart: 0s}", "expected 1s or more"),
    ("limit: 5", "peers[0].limit: it limits those that come from a prefix"),
    ("prefix: 10.1.0.0/24", "peers[0].prefix: a peer has an address or comes from a prefix"),
];

#[test]
fn each_mistake_in_a_session_is_told_with_place_and_remedy() {
    for (keys, expected) in MISTAKES {
        let error = refusal(&with(keys));
        assert!(error.contains(expected), "{keys}\n  expected {expected}\n  found    {error}");
        assert_eq!(error.lines().count(), 1, "{keys}: {error}");
    }
    let words = "x".repeat(256);
    assert!(refusal(&with(&format!("shutdown: {words}"))).contains("the words have 256 bytes"));
    assert!(parse(&with(&format!("shutdown: {}", "ß".repeat(127)))).is_ok());
}

/// What is between ASes has no place within one.
#[test]
fn a_router_of_our_own_as_has_no_keys_of_others() {
    for (keys, expected) in [
        ("localAsn: 65100", "to peers of other ASes only (RFC 7705)"),
        ("role: peer", "roles are between ASes (RFC 9234)"),
        ("enforceFirstAs: false", "it is for peers of another AS"),
        ("honorGracefulShutdown: true", "it is for peers of another AS"),
    ] {
        let error = refusal(&with(keys).replace("65000", "64512"));
        assert!(error.contains(expected), "{keys}: {error}");
    }
}

#[test]
fn each_mistake_in_a_prefix_of_peers_is_told() {
    let two = "limit: 1}\n  - {name: more, prefix: 10.1.0.0/25, asn: 65000";
    let pods = "limit: 1}\npodCIDRs: [10.1.0.0/26]\ncni: {write: false";
    for (keys, expected) in [
        ("limit: 0", "4:59: peers[0].limit: expected a number from 1 to"),
        ("port: 1179", "peers[0].port: it has no meaning for a prefix"),
        ("passive: true", "peers[0].passive: it has no meaning for a prefix"),
        ("password: {env: TOR_PASSWORD}", "peers[0].password: it has no meaning for a prefix"),
        ("connectRetry: 5s", "peers[0].connectRetry: it has no meaning for a prefix"),
        ("shutdown: ''", "peers[0].shutdown: it has no meaning for a prefix"),
        (two, "5:5: peers[1]: 10.1.0.0/25 overlaps 10.1.0.0/24 of racks (line 4)"),
        (pods, "4:5: peers[0]: 10.1.0.0/24 overlaps the pod CIDR 10.1.0.0/26 of node-a (line 5)"),
    ] {
        let error = refusal(&range(keys));
        assert!(error.contains(expected), "{keys}\n  expected {expected}\n  found    {error}");
        assert_eq!(error.lines().count(), 1, "{keys}: {error}");
    }
    let neither = format!("{SMALL}peers:\n  - {{name: tor, asn: 65000}}\n");
    assert!(
        refusal(&neither)
            .contains("peers[0]: `address` is missing: expected the peer's address, or `prefix`")
    );
    let bad = range("").replace("10.1.0.0/24", "10.1.0.1/24");
    assert!(refusal(&bad).contains("did you mean 10.1.0.0/24?"));
}
