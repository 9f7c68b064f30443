//! Every bad request: the specification's code, JSON on stdout, a message that names the place, and
//! nothing left behind.

#![allow(clippy::unwrap_used, reason = "a test's helpers are tests")]

mod common;

use std::collections::BTreeSet;

use common::{Host, PLUGIN, can_run};
use serde_json::{Value, json};

/// A change to a good ADD, the code and the words of its refusal.
type Case = (&'static str, Value, u64, &'static str);

#[test]
fn environment() {
    if !can_run() {
        return;
    }
    let host = Host::new("bad-env");
    host.pod("a");
    let stdin = host.config("1.0.0", "link-local", &["10.0.0.0/24"]).to_string();
    let file = host.directory().join("file");
    std::fs::write(&file, "").unwrap();
    let file = file.to_str().unwrap();
    let long = "sixteen-bytes-16";
    for (verb, name, value, code, words) in [
        ("ADD", "CNI_COMMAND", "", 4, "CNI_COMMAND"),
        ("ADD", "CNI_COMMAND", "ATTACH", 4, "CNI_COMMAND"),
        ("ADD", "CNI_CONTAINERID", "", 4, "CNI_CONTAINERID"),
        ("ADD", "CNI_CONTAINERID", "../../../tmp/x", 4, "CNI_CONTAINERID"),
        ("DEL", "CNI_CONTAINERID", "../../../tmp/x", 4, "CNI_CONTAINERID"),
        ("ADD", "CNI_NETNS", "", 4, "CNI_NETNS"),
        ("CHECK", "CNI_NETNS", "", 4, "CNI_NETNS"),
        ("ADD", "CNI_NETNS", "/run/netns/none", 3, "/run/netns/none does not exist"),
        ("ADD", "CNI_NETNS", file, 4, "no network namespace"),
        ("ADD", "CNI_NETNS", "/proc/self/ns/net", 4, "host's own"),
        ("ADD", "CNI_NETNS", "/proc/self/ns/mnt", 4, "no network namespace"),
        ("ADD", "CNI_IFNAME", "", 4, "CNI_IFNAME"),
        ("DEL", "CNI_IFNAME", "", 4, "CNI_IFNAME"),
        ("ADD", "CNI_IFNAME", long, 4, "CNI_IFNAME"),
        ("ADD", "CNI_IFNAME", "a/b", 4, "CNI_IFNAME"),
        ("ADD", "CNI_IFNAME", "..", 4, "CNI_IFNAME"),
        ("ADD", "CNI_ARGS", "IP=10.0.0.300", 4, "CNI_ARGS"),
        ("ADD", "CNI_ARGS", "FOO=BAR", 4, "CNI_ARGS"),
    ] {
        let mut variables = Host::variables(verb, "a");
        variables.push((name.into(), value.into()));
        let answer = host.call_with(&[PLUGIN], &variables, stdin.as_bytes());
        answer.refused(code, words);
        assert_eq!(host.left(&["a"]), BTreeSet::new(), "{name}={value}");
    }
}

#[test]
fn configuration() {
    if !can_run() {
        return;
    }
    let host = Host::new("bad-conf");
    host.pod("a");
    let good = host.config("1.0.0", "link-local", &["10.0.0.0/24", "fd00::/64"]);
    let ranges = |value: Value| json!({"ranges": value});
    let subnet = |text: &str| json!({"ranges": [[{"subnet": text}]]});
    let cases: Vec<Case> = vec![
        ("cniVersion", json!("0.2.0"), 1, "0.2.0"),
        ("cniVersion", json!("2.0.0"), 1, "supported are 0.3.0"),
        ("cniVersion", Value::Null, 1, "none (0.1.0)"),
        ("cniVersion", json!(1), 6, "cniVersion"),
        ("name", json!(""), 7, "name"),
        ("name", json!("../x"), 7, "name"),
        ("name", Value::Null, 7, "name"),
        ("bridge", json!("a bridge"), 7, "bridge"),
        ("bridge", json!(5), 7, "bridge: expected a string, found 5"),
        ("gateway", json!("nearest"), 7, "\"link-local\" or \"bridge\""),
        ("mtu", json!("big"), 7, "mtu"),
        ("mtu", json!(67), 7, "mtu"),
        ("mtu", json!(70000), 7, "mtu"),
        ("mtu", json!(1279), 7, "1280"),
        ("hairpinMode", json!("yes"), 7, "hairpinMode"),
        ("vlan", json!(5), 2, "vlan: 5"),
        ("macspoofchk", json!(true), 2, "macspoofchk: true"),
        ("onLink", json!(["10.0.0.0"]), 7, "onLink[0]"),
        ("hostRoutes", json!({"protocol": 2}), 7, "hostRoutes.protocol"),
        ("ipam", Value::Null, 7, "ipam"),
        ("ipam", json!({"cooldown": "1s"}), 7, "ipam.ranges"),
        ("disableContainerInterface", json!(true), 7, "because the network gives out addresses"),
        ("disableContainerInterface", json!("yes"), 7, "true or false"),
        ("ipam", json!({"type": "../../bin/sh"}), 7, "ipam.type"),
        ("ipam", json!({"type": "no-such-plugin"}), 4, "CNI_PATH"),
        ("ipam", ranges(json!([])), 7, "ipam.ranges"),
        ("ipam", ranges(json!([[]])), 7, "ipam.ranges[0]"),
        ("ipam", ranges(json!([[{}]])), 7, "ipam.ranges[0][0].subnet"),
        ("ipam", subnet("10.0.0.0"), 7, "ipam.ranges[0][0].subnet"),
        ("ipam", subnet("10.0.0.1/24"), 7, "10.0.0.0/24"),
        ("ipam", subnet("10.0.0.0/33"), 7, "ipam.ranges[0][0].subnet"),
        (
            "ipam",
            ranges(json!([[{"subnet": "10.0.0.0/24"}, {"subnet": "fd00::/64"}]])),
            7,
            "one address family",
        ),
        (
            "ipam",
            ranges(json!([[{"subnet": "10.0.0.0/24"}], [{"subnet": "10.0.0.128/25"}]])),
            7,
            "overlaps",
        ),
        (
            "ipam",
            ranges(json!([[{"subnet": "10.0.0.0/24", "rangeStart": "10.0.1.1"}]])),
            7,
            "rangeStart",
        ),
        (
            "ipam",
            ranges(
                json!([[{"subnet": "10.0.0.0/24", "rangeStart": "10.0.0.9", "rangeEnd": "10.0.0.8"}]]),
            ),
            7,
            "rangeEnd",
        ),
        (
            "ipam",
            ranges(json!([[{"subnet": "10.0.0.0/32", "gateway": "10.0.0.0"}]])),
            7,
            "besides the gateway",
        ),
        (
            "ipam",
            json!({"ranges": [[{"subnet": "10.0.0.0/24"}]], "cooldown": "soon"}),
            7,
            "ipam.cooldown",
        ),
        (
            "ipam",
            json!({"ranges": [[{"subnet": "10.0.0.0/24"}]], "routes": [{"dst": "all"}]}),
            7,
            "ipam.routes[0].dst",
        ),
        ("runtimeConfig", json!({"ips": ["10.9.9.9"]}), 7, "10.9.9.9"),
        ("runtimeConfig", json!({"mac": "no"}), 7, "runtimeConfig.mac"),
        ("prevResult", json!({"ips": 1}), 6, "ips"),
    ];
    for (key, value, code, words) in cases {
        let mut config = good.clone();
        config[key] = value.clone();
        if let Some(ipam) = config["ipam"].as_object_mut() {
            ipam.insert("dataDir".into(), json!(host.data()));
        }
        eprintln!("{key}: {value}");
        host.call("ADD", "a", &config).refused(code, words);
        assert_eq!(host.left(&["a"]), BTreeSet::new(), "{key}: {value}");
        assert_eq!(host.run(&["ip", "-br", "link", "show", "type", "bridge"]), "");
    }
}

#[test]
fn stdin() {
    if !can_run() {
        return;
    }
    let host = Host::new("bad-stdin");
    host.pod("a");
    for text in [&b""[..], b"{", b"[]", b"\xff\xfe", b"{\"cniVersion\": \"1.0.0\"} trailing"] {
        let answer = host.call_with(&[PLUGIN], &Host::variables("ADD", "a"), text);
        answer.refused(6, "stdin");
    }
    assert_eq!(host.left(&["a"]), BTreeSet::new());
    let nested = "[".repeat(100_000);
    host.call_with(&[PLUGIN], &Host::variables("ADD", "a"), nested.as_bytes()).refused(6, "stdin");
}

#[test]
fn versions() {
    if !can_run() {
        return;
    }
    let host = Host::new("versions");
    let all = json!(["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]);
    let variables = [("CNI_COMMAND".to_owned(), "VERSION".to_owned())];
    for (stdin, version) in [("{\"cniVersion\":\"0.4.0\"}", "0.4.0"), ("", "1.1.0"), ("x", "1.1.0")]
    {
        let answer = host.call_with(&[PLUGIN], &variables, stdin.as_bytes()).ok();
        assert_eq!(answer, json!({"cniVersion": version, "supportedVersions": all}));
    }
    for (verb, version) in [("CHECK", "0.3.1"), ("GC", "1.0.0"), ("STATUS", "1.0.0")] {
        let config = host.config(version, "link-local", &["10.0.0.0/24"]);
        host.call(verb, "a", &config).refused(1, "cniVersion");
    }
}

/// An interface of that name, whoever made it, stays as it is; so does a pod that is attached.
#[test]
fn an_interface_that_exists() {
    if !can_run() {
        return;
    }
    let host = Host::new("bad-exists");
    let config = host.config("1.0.0", "link-local", &["10.0.0.0/24"]);
    host.pod("a");
    host.run_in("a", &["ip", "link", "add", "eth0", "type", "bridge"]);
    host.call("ADD", "a", &config).refused(4, "eth0 exists");
    assert_eq!(host.left(&["a"]), BTreeSet::from(["eth0".to_owned()]));

    host.pod("b");
    let result = host.call("ADD", "b", &config).ok();
    let before = host.left(&["b"]);
    host.call("ADD", "b", &config).refused(4, "eth0 exists");
    let mut elsewhere = Host::variables("ADD", "b");
    host.pod("c");
    elsewhere.push(("CNI_NETNS".into(), "/run/netns/c".into()));
    let answer = host.call_with(&[PLUGIN], &elsewhere, config.to_string().as_bytes());
    answer.refused(4, "attached already");
    assert_eq!(host.left(&["b"]), before);
    host.call("CHECK", "b", &common::after(&config, &result)).ok();
}

/// /30: two addresses. The third pod is told how many are held, and how long released ones rest.
#[test]
fn an_exhausted_range() {
    if !can_run() {
        return;
    }
    let host = Host::new("bad-full");
    let mut config = host.config("1.0.0", "link-local", &["10.0.0.0/30", "fd00::/64"]);
    for pod in ["a", "b", "c"] {
        host.pod(pod);
    }
    host.call("ADD", "a", &config).ok();
    host.call("ADD", "b", &config).ok();
    let before = host.left(&["a", "b", "c"]);
    let answer = host.call("ADD", "c", &config);
    assert_eq!(answer.json["details"], "held by: a eth0 (10.0.0.1), b eth0 (10.0.0.2)");
    answer.refused(11, "10.0.0.0/30 has 2 addresses, 2 held, 0 resting");
    assert_eq!(host.left(&["a", "b", "c"]), before);
    host.call("DEL", "a", &config).ok();
    let answer = host.call("ADD", "c", &config);
    let details = answer.json["details"].as_str().unwrap();
    assert!(
        details.starts_with("held by: b eth0 (10.0.0.2); resting: 10.0.0.1 until "),
        "{details}"
    );
    answer.refused(11, "1 held, 1 resting, the first for");
    let request = json!({"ips": ["10.0.0.2"]});
    config["runtimeConfig"] = request;
    host.call("ADD", "c", &config).refused(11, "held by b eth0");
    config["runtimeConfig"] = Value::Null;
    config["ipam"]["cooldown"] = "0s".into();
    let result = host.call("ADD", "c", &config).ok();
    assert_eq!(common::addresses(&result), ["10.0.0.1", "fd00::3"]);
}

/// What fails half way is undone: the addresses, the pair, the address of the other family.
#[test]
fn an_add_that_fails_half_way() {
    if !can_run() {
        return;
    }
    let host = Host::new("bad-half");
    host.pod("a");
    let good = host.config("1.0.0", "link-local", &["10.0.0.0/24", "fd00::/64"]);
    // The kernel refuses the last message of the last batch.
    let mut config = good.clone();
    config["ipam"]["routes"] = json!([{"dst": "2001:db8::/32", "gw": "2001:db8::1"}]);
    host.call("ADD", "a", &config).refused(100, "add route 2001:db8::/32 on eth0");
    assert_eq!(host.left(&["a"]), BTreeSet::new());
    // The bridge's name is that of something else.
    let mut config = good.clone();
    config["bridge"] = "lo".into();
    host.call("ADD", "a", &config).refused(100, "lo exists and is a device, not a bridge");
    assert_eq!(host.left(&["a"]), BTreeSet::new());
    // What was given back was on no wire: it does not rest, and is there for the next.
    config["gateway"] = "bridge".into();
    config["bridge"] = "twill0".into();
    config["ipam"]["ranges"] = json!([[{"subnet": "10.0.0.0/30"}]]);
    config["ipam"]["routes"] = Value::Null;
    config["promiscMode"] = true.into();
    host.call("ADD", "a", &config).ok();
    assert!(host.run(&["ip", "link", "show", "twill0"]).contains("PROMISC"));
    host.call("DEL", "a", &config).ok();
    // Another address on the bridge.
    config["ipam"]["ranges"] = json!([[{"subnet": "10.7.0.0/24"}]]);
    host.call("ADD", "a", &config).refused(100, "10.0.0.1/30, while 10.7.0.1/24 is configured");
    assert_eq!(host.left(&["a"]), BTreeSet::new());
    config["forceAddress"] = true.into();
    host.call("ADD", "a", &config).ok();
}

#[test]
fn a_data_directory_that_cannot_be_used() {
    if !can_run() {
        return;
    }
    let host = Host::new("bad-data");
    host.pod("a");
    let mut config = host.config("1.0.0", "link-local", &["10.0.0.0/24"]);
    config["ipam"]["dataDir"] = "/proc/self".into();
    host.call("ADD", "a", &config).refused(5, "/proc/self/net");
    std::fs::write(host.directory().join("file"), "").unwrap();
    config["ipam"]["dataDir"] = json!(host.directory().join("file"));
    host.call("ADD", "a", &config).refused(5, "file/net");
    assert_eq!(host.left(&["a"]), BTreeSet::new());
    // Damage: an empty lease, a state and records of nonsense.
    config["ipam"]["dataDir"] = json!(host.data());
    let own = host.data().join("net/.twill");
    host.call("ADD", "a", &config).ok();
    host.call("DEL", "a", &config).ok();
    for name in ["state", "released.4"] {
        std::fs::write(own.join(name), "nonsense").unwrap();
    }
    std::fs::write(host.data().join("net/10.0.0.2"), "").unwrap();
    let result = host.call("ADD", "a", &config).ok();
    assert_eq!(common::addresses(&result), ["10.0.0.2"]);
}

/// A route of a family that the pod has no address of.
#[test]
fn a_family_without_an_address() {
    if !can_run() {
        return;
    }
    let host = Host::new("bad-family");
    host.pod("a");
    let mut config = host.config("1.0.0", "link-local", &["10.0.0.0/24"]);
    config["onLink"] = json!(["fd00::/8"]);
    host.call("ADD", "a", &config).refused(7, "route to fd00::/8");
    assert_eq!(host.left(&["a"]), BTreeSet::new());
}

/// A runtime that closed standard streams, or reads no answer, gets no lease with our output in it,
/// and what was done is undone by DEL as ever.
#[test]
fn standard_streams_that_are_closed() {
    if !can_run() {
        return;
    }
    let host = Host::new("bad-streams");
    host.pod("a");
    let config = host.config("1.0.0", "link-local", &["10.0.0.0/24"]);
    let file = host.directory().join("config");
    std::fs::write(&file, config.to_string()).unwrap();
    let config_file = file.to_str().unwrap();
    for (how, code) in [
        ("exec \"$0\" < \"$1\" >&- 2>&-", 0),
        ("exec \"$0\" <&- >&-", 1),
        ("exec \"$0\" < \"$1\"", 1),
    ] {
        let (reader, nobody_reads) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = host.command(&["sh", "-c", how, PLUGIN, config_file]);
        let status = command.envs(Host::variables("ADD", "a")).stdout(nobody_reads).status();
        assert_eq!(status.unwrap().code(), Some(code), "{how}");
        for address in host.leases() {
            let lease = std::fs::read(host.data().join("net").join(address)).unwrap();
            assert_eq!(lease, b"a\r\neth0", "{how}");
        }
        host.call("DEL", "a", &config).ok();
        assert_eq!(host.left(&["a"]), BTreeSet::new(), "{how}");
    }
}
