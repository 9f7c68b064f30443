//! Gateway modes side by side on one node, and pods without addresses.
//!
//!      host ── twill0 ─┬─ bridged/eth0      10.244.1.N/24, by 10.244.1.1
//!                      └─ plain/eth0        10.244.1.M/32, by 169.254.1.1

#![allow(clippy::unwrap_used, reason = "a test's helpers are tests")]

mod common;

use std::collections::BTreeSet;

use common::{Host, addresses, after, can_run};
use serde_json::json;

const V4: &str = "10.244.1.0/24";
const V6: &str = "fd00:244:1::/64";

/// A pod of link-local mode holds what would be the bridge's: the bridge must not get it, of
/// neither family, and the pod stays reached. Once it is gone, bridge mode works.
#[test]
fn a_gateway_that_a_pod_holds_is_refused() {
    if !can_run() {
        return;
    }
    let host = Host::new("gw-held");
    let plain = host.config("1.0.0", "link-local", &[V4, V6]);
    let bridged = host.config("1.0.0", "bridge", &[V4, V6]);
    for pod in ["a", "b"] {
        host.pod(pod);
    }
    let result = host.call("ADD", "a", &plain).ok();
    assert_eq!(addresses(&result), ["10.244.1.1", "fd00:244:1::1"]);
    let before = host.left(&["a", "b"]);
    let words = "the pods' gateway 10.244.1.1 is held by a eth0";
    host.call("ADD", "b", &bridged).refused(11, words);
    let only_v6 = host.config("1.0.0", "bridge", &[V6]);
    host.call("ADD", "b", &only_v6).refused(11, "gateway fd00:244:1::1 is held by a eth0");
    assert_eq!(host.left(&["a", "b"]), before);
    let bridge = host.run(&["ip", "addr", "show", "twill0"]);
    assert!(!bridge.contains("10.244.1.1") && !bridge.contains("fd00:244:1::1"), "{bridge}");
    for address in addresses(&result) {
        host.reaches(None, &address);
    }
    host.call("DEL", "a", &plain).ok();
    host.call("ADD", "b", &bridged).ok();
    host.reaches(Some("b"), "10.244.1.1");
}

/// Both modes in one range, turn by turn: the bridge's address is given to no pod, also not by
/// name, and all pods reach each other.
#[test]
fn both_modes_share_a_range() {
    if !can_run() {
        return;
    }
    let host = Host::new("gw-both");
    let mut given = BTreeSet::new();
    let mut pods = Vec::new();
    for (pod, mode) in [("a", "bridge"), ("b", "link-local"), ("c", "bridge"), ("d", "link-local")]
    {
        host.pod(pod);
        let config = host.config("1.0.0", mode, &[V4, V6]);
        let result = host.call("ADD", pod, &config).ok();
        given.extend(addresses(&result));
        pods.push((pod, config, result));
    }
    assert_eq!(given.len(), 8);
    assert!(!given.contains("10.244.1.1") && !given.contains("fd00:244:1::1"), "{given:?}");
    host.run(&["sysctl", "-qw", "net.ipv6.conf.all.forwarding=1"]);
    for (from, _, own) in &pods {
        let others = given.iter().filter(|to| !addresses(own).contains(to));
        others.for_each(|to| host.reaches(Some(from), to));
    }
    host.pod("e");
    let mut config = host.config("1.0.0", "link-local", &[V4]);
    config["runtimeConfig"] = json!({"ips": ["10.244.1.1"]});
    host.call("ADD", "e", &config).refused(11, "10.244.1.1 is held by the host itself");
    for (pod, config, result) in &pods {
        host.call("CHECK", pod, &after(config, result)).ok();
        host.call("DEL", pod, config).ok();
    }
    assert_eq!(host.left(&["a", "b", "c", "d"]), BTreeSet::new());
}

/// As many pods of each mode at once as the range has addresses but the gateway's, on a node that
/// has no bridge yet: whichever is first, nobody gets an address twice.
#[test]
fn both_modes_at_once() {
    if !can_run() {
        return;
    }
    let host = Host::new("gw-race");
    for round in 0..5 {
        let pods = ["a", "b", "c", "d"].map(|pod| format!("{pod}{round}"));
        pods.iter().for_each(|pod| host.pod(pod));
        let answers: Vec<_> = std::thread::scope(|scope| {
            let calls: Vec<_> = pods
                .iter()
                .zip(["bridge", "link-local"].iter().cycle())
                .map(|(pod, mode)| {
                    let host = &host;
                    scope.spawn(move || {
                        host.call("ADD", pod, &host.config("1.0.0", mode, &["10.0.0.0/24"]))
                    })
                })
                .collect();
            calls.into_iter().map(|call| call.join().unwrap()).collect()
        });
        let bridge = host.run(&["ip", "-4", "addr", "show", "twill0"]);
        let leased = host.leases().contains(&"10.0.0.1".to_owned());
        assert_ne!(leased, bridge.contains("10.0.0.1/24"), "one of them has it: {bridge}");
        for answer in answers {
            if !answer.success {
                assert!(leased, "{}", answer.json);
                answer.refused(11, "the pods' gateway 10.0.0.1 is held by");
            }
        }
        for pod in &pods {
            host.call("DEL", pod, &host.config("1.0.0", "link-local", &["10.0.0.0/24"])).ok();
        }
        host.run(&["ip", "link", "del", "twill0"]);
        std::fs::remove_dir_all(host.data()).unwrap();
    }
}

/// `"ipam": {}`: ports of the bridge without addresses, up or, as asked, down.
#[test]
fn pods_without_addresses() {
    if !can_run() {
        return;
    }
    let host = Host::new("layer2");
    let mut config = host.config("1.1.0", "link-local", &[]);
    config["ipam"] = json!({});
    for (pod, down) in [("a", false), ("b", false), ("c", true)] {
        host.pod(pod);
        config["disableContainerInterface"] = down.into();
        let result = host.call("ADD", pod, &config).ok();
        assert_eq!((&result["ips"], result["routes"].as_array()), (&json!([]), None));
        let link = host.run_in(pod, &["ip", "-br", "link", "show", "eth0"]);
        assert_eq!(link.contains("LOWER_UP"), !down, "{link}");
        host.call("CHECK", pod, &after(&config, &result)).ok();
        host.call("ADD", pod, &config).refused(4, "eth0 exists");
        config["disableContainerInterface"] = (!down).into();
        let words = if down { "is down in the pod" } else { "in spite of disable" };
        host.call("CHECK", pod, &after(&config, &result)).refused(101, words);
    }
    host.run_in("a", &["ip", "addr", "add", "192.0.2.1/24", "dev", "eth0"]);
    host.run_in("b", &["ip", "addr", "add", "192.0.2.2/24", "dev", "eth0"]);
    host.reaches(Some("a"), "192.0.2.2");
    for pod in ["a", "b", "c"] {
        host.call("DEL", pod, &config).ok();
        host.call("DEL", pod, &config).ok();
    }
    assert_eq!(host.left(&["a", "b", "c"]), BTreeSet::new());
}

/// `isGateway: false`: the gateway is a router on the bridge, here a pod. The bridge has no address,
/// and the pods reach each other and, by that router, what is behind it.
#[test]
fn a_gateway_that_is_not_the_bridge() {
    if !can_run() {
        return;
    }
    let host = Host::new("no-gw");
    let mut config = host.config("1.0.0", "bridge", &[V4]);
    config["isGateway"] = false.into();
    let mut results = Vec::new();
    for pod in ["router", "a", "b"] {
        host.pod(pod);
        results.push(host.call("ADD", pod, &config).ok());
    }
    host.run_in("router", &["ip", "addr", "add", "10.244.1.1/24", "dev", "eth0"]);
    host.run_in("router", &["ip", "addr", "add", "192.0.2.1/32", "dev", "lo"]);
    assert_eq!(host.run(&["ip", "-4", "addr", "show", "twill0"]), "");
    assert_eq!(host.run(&["ip", "route", "show", "proto", "116"]), "");
    host.reaches(Some("a"), &addresses(&results[2])[0]);
    host.reaches(Some("a"), "10.244.1.1");
    host.reaches(Some("a"), "192.0.2.1");
    host.call("CHECK", "a", &after(&config, &results[1])).ok();
    config["gateway"] = "link-local".into();
    host.pod("c");
    host.call("ADD", "c", &config).refused(2, "isGateway: false");
}

/// `portIsolation`: pods reach the bridge, and not each other.
#[test]
fn isolated_ports() {
    if !can_run() {
        return;
    }
    let host = Host::new("isolated");
    let mut config = host.config("1.0.0", "bridge", &[V4]);
    config["portIsolation"] = true.into();
    for pod in ["a", "b"] {
        host.pod(pod);
        host.call("ADD", pod, &config).ok();
    }
    host.reaches(Some("a"), "10.244.1.1");
    host.reaches(Some("b"), "10.244.1.1");
    let ping = ["ip", "netns", "exec", "a", "ping", "-n", "-c", "2", "-W", "1", "10.244.1.3"];
    assert!(!host.output(&ping).status.success());
}

/// `enabledad`: addresses are looked for on the link before they are used; otherwise they are not.
#[test]
fn duplicate_addresses_are_looked_for_where_asked() {
    if !can_run() {
        return;
    }
    let host = Host::new("dad");
    let mut config = host.config("1.0.0", "link-local", &[V6]);
    for (pod, asked) in [("a", true), ("b", false)] {
        host.pod(pod);
        config["enabledad"] = asked.into();
        let result = host.call("ADD", pod, &config).ok();
        let own = host.run_in(pod, &["ip", "-6", "addr", "show", "dev", "eth0"]);
        let address = &addresses(&result)[0];
        let line = own.lines().find(|line| line.contains(address.as_str())).unwrap();
        assert_eq!(line.contains("nodad"), !asked, "{own}");
        host.reaches(None, address);
    }
}

/// `ipMasq` is understood and changes nothing here: pods' addresses are translated by the agent or
/// by nobody.
#[test]
fn masquerading_is_left_to_the_agent() {
    if !can_run() || !common::installed("nft", "nftables") {
        return;
    }
    let host = Host::new("masq");
    let mut config = host.config("1.0.0", "link-local", &[V4]);
    config["ipMasq"] = true.into();
    host.pod("a");
    host.call("ADD", "a", &config).ok();
    assert_eq!(host.run(&["nft", "list", "ruleset"]), "");
    config["ipMasq"] = "yes".into();
    host.pod("b");
    host.call("ADD", "b", &config).refused(7, "ipMasq: expected true or false");
}
