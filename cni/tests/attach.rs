//! Pods attached by the binary, as a container runtime does it, and reached by real packets.
//!
//!      host ── twill0 ─┬─ a/eth0
//!                      └─ b/eth0

#![allow(clippy::unwrap_used, reason = "a test's helpers are tests")]

mod common;

use common::{Host, addresses, after, can_run};
use serde_json::{Value, json};

const V4: &str = "10.244.1.0/24";
const V6: &str = "fd00:244:1::/64";

/// Two pods: each reaches the other and the host reaches both; CHECK is content; DEL leaves
/// nothing, and again.
fn two_pods(name: &str, version: &str, gateway: &str, subnets: &[&str]) {
    if !can_run() {
        return;
    }
    let host = Host::new(name);
    let config = host.config(version, gateway, subnets);
    let mut results = Vec::new();
    for pod in ["a", "b"] {
        host.pod(pod);
        results.push(host.call("ADD", pod, &config).ok());
    }
    host.run(&["sysctl", "-qw", "net.ipv6.conf.all.forwarding=1"]);
    assert_eq!(addresses(&results[0]).len(), subnets.len());
    for address in addresses(&results[1]) {
        host.reaches(Some("a"), &address);
        host.reaches(None, &address);
    }
    if gateway == "link-local" && subnets.contains(&V6) {
        host.reaches(Some("a"), "fe80::1%eth0");
    }
    let interfaces = results[0]["interfaces"].as_array().unwrap();
    assert_eq!(interfaces[0]["name"], "twill0");
    assert_eq!(interfaces[2]["sandbox"], "/run/netns/a");
    let mac = host.run_in("a", &["cat", "/sys/class/net/eth0/address"]);
    // `ip netns exec` mounts the pod's sysfs.
    assert_eq!(interfaces[2]["mac"], mac.trim());
    assert_eq!(results[0]["ips"][0]["interface"], 2);

    for (pod, result) in ["a", "b"].into_iter().zip(&results) {
        let config = after(&config, result);
        if version >= "0.4.0" {
            assert_eq!(host.call("CHECK", pod, &config).ok(), Value::Null);
        }
        assert_eq!(host.call("DEL", pod, &config).ok(), Value::Null);
        assert_eq!(host.call("DEL", pod, &config).ok(), Value::Null);
    }
    assert!(host.left(&["a", "b"]).is_empty(), "{:?}", host.left(&["a", "b"]));
}

#[test]
fn link_local_ipv4() {
    two_pods("ll4", "0.3.1", "link-local", &[V4]);
}

#[test]
fn link_local_ipv6() {
    two_pods("ll6", "1.0.0", "link-local", &[V6]);
}

#[test]
fn link_local_both() {
    two_pods("ll46", "1.1.0", "link-local", &[V4, V6]);
}

#[test]
fn bridge_ipv4() {
    two_pods("br4", "0.4.0", "bridge", &[V4]);
}

#[test]
fn bridge_ipv6() {
    two_pods("br6", "1.1.0", "bridge", &[V6]);
}

#[test]
fn bridge_both() {
    two_pods("br46", "1.0.0", "bridge", &[V4, V6]);
}

/// What a pod looks like, word for word.
#[test]
fn a_pod_is_as_promised() {
    if !can_run() {
        return;
    }
    let host = Host::new("shape");
    host.pod("a");
    let mut config = host.config("1.1.0", "link-local", &[V4, V6]);
    config["mtu"] = 1400.into();
    config["onLink"] = json!(["10.244.0.0/16"]);
    let result = host.call("ADD", "a", &config).ok();
    assert_eq!(addresses(&result), ["10.244.1.1", "fd00:244:1::1"]);
    assert_eq!(result["ips"][0]["address"], "10.244.1.1/32");
    assert_eq!(result["ips"][1]["address"], "fd00:244:1::1/128");
    assert_eq!(result["interfaces"][2]["mtu"], 1400);

    let routes = host.run_in("a", &["ip", "-4", "route"]);
    let lines: Vec<&str> = routes.lines().map(str::trim).collect();
    assert_eq!(
        lines,
        [
            "default via 169.254.1.1 dev eth0",
            "10.244.0.0/16 dev eth0 scope link",
            "169.254.1.1 dev eth0 scope link",
        ]
    );
    let routes = host.run_in("a", &["ip", "-6", "route", "show", "default"]);
    assert!(routes.contains("default via fe80::1 dev eth0"), "{routes}");
    let tentative = host.run_in("a", &["ip", "-6", "addr", "show", "tentative"]);
    assert_eq!(tentative, "", "no address has to settle");
    let link = host.run_in("a", &["ip", "link", "show", "eth0"]);
    assert!(link.contains("mtu 1400"), "{link}");

    let bridge = host.run(&["ip", "addr", "show", "twill0"]);
    assert!(bridge.contains("inet 169.254.1.1/32 scope link"), "{bridge}");
    assert!(bridge.contains("inet6 fe80::1/64 scope link nodad"), "{bridge}");
    assert_eq!(bridge.matches("inet6").count(), 1, "{bridge}");
    let routes = host.run(&["ip", "route", "show", "proto", "116"]);
    assert_eq!(routes.trim(), "10.244.1.0/24 dev twill0 scope link metric 116");
    let routes = host.run(&["ip", "-6", "route", "show", "proto", "116"]);
    assert!(routes.starts_with("fd00:244:1::/64 dev twill0 metric 116"), "{routes}");
    let port = result["interfaces"][1]["name"].as_str().unwrap();
    let port = host.run(&["ip", "-d", "link", "show", port]);
    assert!(port.contains("hairpin on") && port.contains("state forwarding"), "{port}");
}

/// A pod that believes the whole cluster to be on link reaches a pod of another bridge, though
/// nobody but the plugin set anything up: the bridge it made answers ARP and forwards.
#[test]
fn on_link_prefixes_are_answered_by_proxy_arp() {
    if !can_run() {
        return;
    }
    let host = Host::new("proxyarp");
    let mut near = host.config("1.0.0", "link-local", &["10.244.1.0/24"]);
    near["onLink"] = json!(["10.244.0.0/16"]);
    let mut far = host.config("1.0.0", "link-local", &["10.244.2.0/24"]);
    far["bridge"] = "twill1".into();
    far["name"] = "far".into();
    for (pod, config) in [("a", &near), ("b", &far)] {
        host.pod(pod);
        host.call("ADD", pod, config).ok();
    }
    host.reaches(Some("a"), "10.244.2.1");
    host.reaches(Some("b"), "10.244.1.1");
    let neighbour = host.run_in("a", &["ip", "neigh", "show", "10.244.2.1"]);
    assert!(neighbour.contains("lladdr"), "{neighbour}");
}

#[test]
fn options_of_a_call_are_honoured() {
    if !can_run() {
        return;
    }
    let host = Host::new("options");
    let mut config = host.config("1.0.0", "link-local", &[V4]);
    config["runtimeConfig"] =
        json!({"ips": ["10.244.1.77/24"], "mac": "02:11:22:33:44:55", "other": 1});
    config["ipam"]["routes"] =
        json!([{"dst": "192.0.2.0/24"}, {"dst": "198.51.100.0/24", "gw": "10.244.1.9"}]);
    config["dns"] = json!({"nameservers": ["10.96.0.10"]});
    config["portIsolation"] = true.into();
    config["isDefaultGateway"] = false.into();
    host.pod("a");
    let result = host.call("ADD", "a", &config).ok();
    assert_eq!(addresses(&result), ["10.244.1.77"]);
    assert_eq!(result["interfaces"][2]["mac"], "02:11:22:33:44:55");
    assert_eq!(result["dns"], config["dns"]);
    let routes = host.run_in("a", &["ip", "route"]);
    assert!(!routes.contains("default"), "{routes}");
    assert!(routes.contains("192.0.2.0/24 via 169.254.1.1"), "{routes}");
    assert!(routes.contains("198.51.100.0/24 via 10.244.1.9"), "{routes}");
    let port = result["interfaces"][1]["name"].as_str().unwrap();
    assert!(host.run(&["ip", "-d", "link", "show", port]).contains("isolated on"));

    host.pod("b");
    let mut variables = Host::variables("ADD", "b");
    let args = "IgnoreUnknown=1;K8S_POD_NAME=b;IP=10.244.1.78;MAC=02:11:22:33:44:66";
    variables.push(("CNI_ARGS".into(), args.into()));
    let config = host.config("1.0.0", "link-local", &[V4]);
    let plugin = [common::PLUGIN];
    let result = host.call_with(&plugin, &variables, config.to_string().as_bytes()).ok();
    assert_eq!(addresses(&result), ["10.244.1.78"]);
    assert_eq!(result["interfaces"][2]["mac"], "02:11:22:33:44:66");
}

/// A second interface of the same pod, and what came before in a chain.
#[test]
fn a_pod_may_have_two_interfaces() {
    if !can_run() {
        return;
    }
    let host = Host::new("second");
    let config = host.config("1.0.0", "link-local", &[V4]);
    host.pod("a");
    let first = host.call("ADD", "a", &config).ok();
    let mut second = after(&config, &first);
    second["isDefaultGateway"] = false.into();
    second["gateway"] = "bridge".into();
    second["bridge"] = "twill1".into();
    second["ipam"]["ranges"] = json!([[{"subnet": "10.9.0.0/24"}]]);
    second["name"] = "other".into();
    let mut variables = Host::variables("ADD", "a");
    variables.push(("CNI_IFNAME".into(), "net1".into()));
    let call = |variables: &[(String, String)], config: &Value| {
        host.call_with(&[common::PLUGIN], variables, config.to_string().as_bytes())
    };
    let both = call(&variables, &second).ok();
    assert_eq!(addresses(&both), ["10.244.1.1", "10.9.0.2"]);
    assert_eq!(both["ips"][1]["interface"], 5);
    host.reaches(Some("a"), "10.9.0.1");
    variables[0].1 = "DEL".into();
    call(&variables, &second).ok();
    assert!(host.run_in("a", &["ip", "-br", "link"]).contains("eth0"));
    host.call("CHECK", "a", &after(&config, &first)).ok();
}

/// The runtime's namespace is gone, or was never told: the addresses are freed all the same.
#[test]
fn del_needs_nothing_but_two_names() {
    if !can_run() {
        return;
    }
    let host = Host::new("del");
    let config = host.config("1.0.0", "link-local", &[V4, V6]);
    for pod in ["a", "b", "c"] {
        host.pod(pod);
        host.call("ADD", pod, &config).ok();
    }
    host.run(&["ip", "netns", "del", "a"]);
    host.call("DEL", "a", &config).ok();
    let without: Vec<_> =
        Host::variables("DEL", "b").into_iter().filter(|(name, _)| name != "CNI_NETNS").collect();
    host.call_with(&[common::PLUGIN], &without, config.to_string().as_bytes()).ok();
    // All that is ours alone is lost: the leases themselves say whose they are.
    std::fs::remove_dir_all(host.data().join("net/.twill")).unwrap();
    host.call("DEL", "c", &config).ok();
    assert!(host.left(&["b", "c"]).is_empty(), "{:?}", host.left(&["b", "c"]));
}

/// CHECK sees what is missing.
#[test]
fn check_finds_what_is_broken() {
    if !can_run() {
        return;
    }
    let host = Host::new("check");
    let config = host.config("1.0.0", "link-local", &[V4, V6]);
    let breaks: [(&[&str], &str); 5] = [
        (
            &["ip", "netns", "exec", "P", "ip", "route", "del", "default"],
            "lacks the route to 0.0.0.0/0",
        ),
        (&["ip", "netns", "exec", "P", "ip", "addr", "flush", "dev", "eth0"], "lacks address"),
        (&["ip", "netns", "exec", "P", "ip", "link", "set", "eth0", "down"], "is down in the pod"),
        (&["ip", "link", "set", "PORT", "nomaster"], "is no port of twill0"),
        (&["ip", "link", "del", "PORT"], "is missing on the host"),
    ];
    for (number, (command, words)) in breaks.into_iter().enumerate() {
        let pod = format!("p{number}");
        host.pod(&pod);
        let result = host.call("ADD", &pod, &config).ok();
        let config = after(&config, &result);
        host.call("CHECK", &pod, &config).ok();
        let port = result["interfaces"][1]["name"].as_str().unwrap();
        let fill = |word: &&str| match *word {
            "P" => pod.clone(),
            "PORT" => port.to_owned(),
            word => word.to_owned(),
        };
        let command: Vec<String> = command.iter().map(fill).collect();
        host.run(&command.iter().map(String::as_str).collect::<Vec<_>>());
        host.call("CHECK", &pod, &config).refused(101, words);
        host.call("DEL", &pod, &config).ok();
    }
    host.pod("q");
    let result = host.call("ADD", "q", &config).ok();
    std::fs::remove_file(host.data().join("net").join(&addresses(&result)[0])).unwrap();
    host.call("CHECK", "q", &after(&config, &result)).refused(101, "is not leased to q eth0");
    host.call("CHECK", "q", &config).refused(7, "prevResult");
}

/// The bridge is deleted between two ADDs, or stripped of its address and route.
#[test]
fn add_mends_the_bridge() {
    if !can_run() {
        return;
    }
    let host = Host::new("mend");
    let config = host.config("1.0.0", "link-local", &[V4]);
    for (pod, harm) in [
        ("a", &["true"][..]),
        ("b", &["ip", "link", "del", "twill0"]),
        ("c", &["ip", "addr", "flush", "dev", "twill0"]),
        ("d", &["ip", "route", "flush", "proto", "116"]),
        ("e", &["ip", "link", "set", "twill0", "down"]),
    ] {
        host.run(harm);
        host.pod(pod);
        let result = host.call("ADD", pod, &config).ok();
        host.reaches(None, &addresses(&result)[0]);
        host.reaches(Some(pod), "169.254.1.1");
    }
}

#[test]
fn loopback_is_brought_up() {
    if !can_run() {
        return;
    }
    let host = Host::new("loopback");
    let config = json!({"cniVersion": "0.3.1", "name": "cni-loopback", "type": "loopback"});
    host.pod("a");
    let result = host.call("ADD", "a", &config).ok();
    assert_eq!(result["interfaces"][0]["name"], "lo");
    assert_eq!(addresses(&result), ["127.0.0.1", "::1"]);
    host.reaches(Some("a"), "127.0.0.1");
    let check = json!({"cniVersion": "1.0.0", "name": "cni-loopback", "type": "loopback"});
    host.call("CHECK", "a", &check).ok();
    host.call("DEL", "a", &config).ok();
}

#[test]
fn gc_frees_what_is_in_no_attachment() {
    if !can_run() {
        return;
    }
    let host = Host::new("gc");
    let mut config = host.config("1.1.0", "link-local", &[V4]);
    for pod in ["a", "b", "c"] {
        host.pod(pod);
        host.call("ADD", pod, &config).ok();
    }
    host.call("GC", "x", &config).refused(7, "cni.dev/valid-attachments");
    config["cni.dev/valid-attachments"] = json!([{"containerID": "b", "ifname": "eth0"}]);
    host.call("GC", "x", &config).ok();
    assert_eq!(host.leases(), ["10.244.1.2"]);
    assert_eq!(host.run(&["ip", "-br", "link", "show", "type", "veth"]).lines().count(), 1);
    host.reaches(None, "10.244.1.2");
}

/// Leases that cannot be removed stop nothing: the others are freed, and the error is told.
#[test]
fn gc_goes_on_past_errors() {
    if !can_run() {
        return;
    }
    let host = Host::new("gc-errors");
    let mut config = host.config("1.1.0", "link-local", &[V4]);
    for pod in ["a", "b", "c"] {
        host.pod(pod);
        host.call("ADD", pod, &config).ok();
    }
    for address in ["10.244.1.100", "10.244.1.101", "10.244.1.102"] {
        std::fs::create_dir(host.data().join("net").join(address)).unwrap();
    }
    config["cni.dev/valid-attachments"] = json!([{"containerID": "b", "ifname": "eth0"}]);
    host.call("GC", "x", &config).refused(5, "10.244.1.10");
    let mut left = host.leases();
    left.sort();
    assert_eq!(left, ["10.244.1.100", "10.244.1.101", "10.244.1.102", "10.244.1.2"]);
    assert_eq!(host.run(&["ip", "-br", "link", "show", "type", "veth"]).lines().count(), 1);
}

/// All that 1.1.0 says of a route reaches the kernel and the result.
#[test]
fn routes_have_all_their_fields() {
    if !can_run() {
        return;
    }
    let host = Host::new("routes");
    host.pod("a");
    let mut config = host.config("1.1.0", "link-local", &[V4]);
    config["ipam"]["routes"] = json!([
        {"dst": "192.0.2.0/24", "priority": 50, "mtu": 1300, "advmss": 1200},
        {"dst": "198.51.100.0/24", "table": 100},
        {"dst": "203.0.113.0/24", "scope": 253},
    ]);
    let result = host.call("ADD", "a", &config).ok();
    let routes = host.run_in("a", &["ip", "route"]);
    let first = "192.0.2.0/24 via 169.254.1.1 dev eth0 metric 50 mtu 1300 advmss 1200";
    assert!(routes.contains(first), "{routes}");
    assert!(routes.contains("203.0.113.0/24 dev eth0 scope link"), "{routes}");
    let table = host.run_in("a", &["ip", "route", "show", "table", "100"]);
    assert_eq!(table.trim(), "198.51.100.0/24 via 169.254.1.1 dev eth0");
    let told = result["routes"].as_array().unwrap();
    let gateway = "169.254.1.1";
    for route in [
        json!({"dst": "192.0.2.0/24", "gw": gateway, "priority": 50, "mtu": 1300, "advmss": 1200}),
        json!({"dst": "198.51.100.0/24", "gw": gateway, "table": 100}),
        json!({"dst": "203.0.113.0/24", "scope": 253}),
    ] {
        assert!(told.contains(&route), "{route} is not in {told:?}");
    }
    host.call("CHECK", "a", &after(&config, &result)).ok();
}

#[test]
fn status_waits_for_the_first_readiness_only() {
    if !can_run() {
        return;
    }
    let host = Host::new("status");
    let mut config = host.config("1.1.0", "link-local", &[V4]);
    host.call("STATUS", "x", &config).ok();
    let file = host.directory().join("ready");
    config["readinessFile"] = json!(file);
    host.call("STATUS", "x", &config).refused(50, "not ready to route since it booted");
    std::fs::write(&file, "").unwrap();
    host.call("STATUS", "x", &config).ok();
}

/// A pod's namespace made with IPv6 disabled, in a network that has an IPv6 range.
#[test]
fn a_pod_without_ipv6_gets_it() {
    if !can_run() {
        return;
    }
    let host = Host::new("noipv6");
    let config = host.config("1.0.0", "link-local", &[V4, V6]);
    host.pod("a");
    host.run_in("a", &["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"]);
    host.run_in("a", &["sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1"]);
    let result = host.call("ADD", "a", &config).ok();
    for address in addresses(&result) {
        host.reaches(None, &address);
    }
    host.reaches(Some("a"), "fe80::1%eth0");
    host.call("CHECK", "a", &after(&config, &result)).ok();
}

/// Where redirects are sent, a pod does not believe them: all its packets pass the host.
#[test]
fn redirects_are_not_believed() {
    if !can_run() {
        return;
    }
    let host = Host::new("redirect");
    let config = host.config("1.0.0", "link-local", &[V4]);
    for pod in ["a", "b"] {
        host.pod(pod);
        host.call("ADD", pod, &config).ok();
    }
    host.reaches(Some("a"), "10.244.1.2");
    let ping = ["ping", "-n", "-c", "5", "-i", "0.01", "10.244.1.2"];
    let output = host.run_in("a", &ping);
    assert!(output.contains("ttl=63") && !output.contains("ttl=64"), "{output}");
}
