//! Plugins of the reference after us in a chain, other allocators under us, and a meta plugin that
//! calls us twice for one pod.

#![allow(clippy::unwrap_used, reason = "a test's helpers are tests")]

mod common;

use std::collections::BTreeSet;

use common::{Host, PLUGIN, addresses, can_run, installed};
use serde_json::{Value, json};

const BIN_DIR: &str = "/usr/lib/cni";
const PACKAGE: &str = "containernetworking-plugins";

const SUBNETS: [&str; 2] = ["10.244.1.0/24", "fd00:244:1::/64"];

/// A conflist as a runtime carries it out.
struct Chain {
    host: Host,
    plugins: Vec<Value>,
    result: Value,
}

impl Chain {
    /// Us, then these. `None`, and says so, where they are not installed.
    fn new(name: &str, version: &str, after: &[Value]) -> Option<Self> {
        let kind = |plugin: &Value| plugin["type"].as_str().unwrap().to_owned();
        let there = |plugin| installed(&format!("{BIN_DIR}/{}", kind(plugin)), PACKAGE);
        if !can_run() || !after.iter().all(there) {
            return None;
        }
        let host = Host::new(name);
        let mut plugins = vec![host.config(version, "link-local", &SUBNETS)];
        for plugin in after {
            let mut plugin = plugin.clone();
            plugin["cniVersion"] = version.into();
            plugin["name"] = "net".into();
            plugins.push(plugin);
        }
        host.pod("a");
        Some(Self { host, plugins, result: Value::Null })
    }

    fn call(&mut self, verb: &str) {
        let mut plugins = self.plugins.clone();
        if verb == "DEL" {
            plugins.reverse();
        }
        let mut previous = self.result.clone();
        for mut plugin in plugins {
            if !previous.is_null() {
                plugin["prevResult"] = previous.clone();
            }
            let kind = plugin["type"].as_str().unwrap().to_owned();
            let program =
                if kind == "twill-cni" { PLUGIN.to_owned() } else { format!("{BIN_DIR}/{kind}") };
            let stdin = plugin.to_string();
            let variables = Host::variables(verb, "a");
            let answer = self.host.call_with(&[&program], &variables, stdin.as_bytes()).ok();
            if verb == "ADD" {
                previous = answer;
            }
        }
        self.result = previous;
    }

    fn host_end(&self) -> &str {
        self.result["interfaces"][1]["name"].as_str().unwrap()
    }

    fn end(mut self) {
        self.call("DEL");
        self.call("DEL");
        assert_eq!(self.host.left(&["a"]), BTreeSet::new());
    }
}

#[test]
fn portmap_after_us() {
    let portmap = json!({"type": "portmap", "capabilities": {"portMappings": true}, "runtimeConfig":
        {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}});
    let Some(mut chain) = Chain::new("portmap", "1.0.0", &[portmap]) else { return };
    chain.call("ADD");
    let rules = chain.host.run(&["iptables-save", "-t", "nat"]);
    assert!(rules.contains("--to-destination 10.244.1.1:80"), "{rules}");
    // Its own CHECK fails in 1.1.1, whoever is before it: it looks for IPv4's rules in IPv6's table.
    let ours = common::after(&chain.plugins[0], &chain.result);
    chain.host.call("CHECK", "a", &ours).ok();
    chain.call("DEL");
    let rules = chain.host.run(&["iptables-save", "-t", "nat"]);
    assert!(!rules.contains("10.244.1.1"), "{rules}");
    chain.end();
}

#[test]
fn tuning_after_us() {
    let tuning = json!({"type": "tuning", "mac": "02:00:00:00:00:42",
        "sysctl": {"net.ipv4.conf.eth0.arp_filter": "1"}});
    let Some(mut chain) = Chain::new("tuning", "1.0.0", &[tuning]) else { return };
    chain.call("ADD");
    let read = ["cat", "/proc/sys/net/ipv4/conf/eth0/arp_filter"];
    assert_eq!(chain.host.run_in("a", &read), "1\n");
    assert_eq!(chain.result["interfaces"][2]["mac"], "02:00:00:00:00:42");
    chain.host.reaches(None, "10.244.1.1");
    chain.call("CHECK");
    chain.end();
}

#[test]
fn bandwidth_after_us() {
    let bandwidth = json!({"type": "bandwidth", "ingressRate": 1_000_000, "ingressBurst": 1_000_000,
        "egressRate": 1_000_000, "egressBurst": 1_000_000});
    let Some(mut chain) = Chain::new("bandwidth", "1.0.0", &[bandwidth]) else { return };
    chain.call("ADD");
    let shaped = chain.host.run(&["tc", "qdisc", "show", "dev", chain.host_end()]);
    assert!(shaped.contains("tbf"), "{shaped}");
    chain.host.reaches(None, "10.244.1.1");
    chain.call("CHECK");
    chain.end();
}

#[test]
fn firewall_after_us() {
    let firewall = json!({"type": "firewall", "backend": "iptables"});
    let Some(mut chain) = Chain::new("firewall", "1.0.0", &[firewall]) else { return };
    chain.call("ADD");
    let rules = chain.host.run(&["iptables-save", "-t", "filter"]);
    assert!(rules.contains("-s 10.244.1.1/32"), "{rules}");
    chain.call("CHECK");
    chain.call("DEL");
    let rules = chain.host.run(&["iptables-save", "-t", "filter"]);
    assert!(!rules.contains("10.244.1.1"), "{rules}");
    chain.end();
}

/// As long a chain as users have.
#[test]
fn all_of_them_after_us() {
    let plugins = [
        json!({"type": "portmap", "capabilities": {"portMappings": true}}),
        json!({"type": "tuning", "sysctl": {"net.ipv4.conf.eth0.arp_filter": "1"}}),
        json!({"type": "bandwidth", "ingressRate": 1_000_000, "ingressBurst": 1_000_000}),
        json!({"type": "firewall", "backend": "iptables"}),
    ];
    let Some(mut chain) = Chain::new("all", "0.4.0", &plugins) else { return };
    for _ in 0..2 {
        chain.call("ADD");
        chain.call("CHECK");
        chain.call("DEL");
        chain.result = Value::Null;
    }
    chain.end();
}

/// The address that the configuration names, by the reference's `static`.
#[test]
fn static_addresses_under_us() {
    if !can_run() || !installed("/usr/lib/cni/static", PACKAGE) {
        return;
    }
    let host = Host::new("static");
    let mut config = host.config("1.0.0", "bridge", &[]);
    config["ipam"] = json!({"type": "static", "addresses": [{"address": "192.0.2.9/24", "gateway": "192.0.2.1"}],
        "routes": [{"dst": "198.51.100.0/24"}], "dns": {"nameservers": ["192.0.2.53"]}});
    host.pod("a");
    let result = host.call("ADD", "a", &config).ok();
    assert_eq!(result["dns"]["nameservers"][0], "192.0.2.53");
    host.reaches(Some("a"), "192.0.2.1");
    let routes = host.run_in("a", &["ip", "route"]);
    assert!(routes.contains("198.51.100.0/24 via 192.0.2.1"), "{routes}");
    host.call("CHECK", "a", &common::after(&config, &result)).ok();
    host.call("DEL", "a", &config).ok();
    assert_eq!(host.left(&["a"]), BTreeSet::new());
}

/// An allocator of three lines, that writes down how it is called and fails where told to.
fn scripted(host: &Host, fails: &str) -> (Value, Vec<(String, String)>) {
    let directory = host.directory().join("bin");
    std::fs::create_dir_all(&directory).unwrap();
    let script = format!(
        "#!/bin/sh\necho \"$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME\" >> {0}/calls\n\
         cat >> {0}/configurations\n\
         [ \"$CNI_COMMAND\" = \"{fails}\" ] && {{ echo '{{\"code\": 77, \"msg\": \"no\"}}'; exit 1; }}\n\
         [ $CNI_COMMAND = ADD ] && echo '{{\"ips\": [{{\"address\": \"192.0.2.7/24\"}}]}}'\nexit 0\n",
        directory.display()
    );
    let program = directory.join("scripted");
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let mut config = host.config("1.1.0", "link-local", &[]);
    config["ipam"] = json!({"type": "scripted", "colour": "blue"});
    config["cni.dev/valid-attachments"] = json!([]);
    (config, vec![("CNI_PATH".into(), format!("/nonexistent:{}", directory.display()))])
}

fn call_scripted(
    host: &Host,
    verb: &str,
    config: &Value,
    path: &[(String, String)],
) -> common::Answer {
    let variables = [Host::variables(verb, "a"), path.to_vec()].concat();
    host.call_with(&[PLUGIN], &variables, config.to_string().as_bytes())
}

/// Found in CNI_PATH, called for every verb, told everything.
#[test]
fn verbs_reach_a_delegate() {
    if !can_run() {
        return;
    }
    let host = Host::new("verbs");
    host.pod("a");
    let (mut config, path) = scripted(&host, "");
    let result = call_scripted(&host, "ADD", &config, &path).ok();
    assert_eq!(addresses(&result), ["192.0.2.7"]);
    config["prevResult"] = result;
    for verb in ["CHECK", "STATUS", "GC", "DEL"] {
        call_scripted(&host, verb, &config, &path).ok();
    }
    let calls = std::fs::read_to_string(host.directory().join("bin/calls")).unwrap();
    let verbs: Vec<&str> = calls.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(verbs, ["ADD", "CHECK", "STATUS", "GC", "DEL"]);
    assert!(calls.starts_with("ADD a eth0\n"), "{calls}");
    let told = std::fs::read_to_string(host.directory().join("bin/configurations")).unwrap();
    assert_eq!(told.matches("\"colour\":\"blue\"").count(), 5, "{told}");
    for verb in ["CHECK", "STATUS", "GC", "DEL"] {
        let (config, path) = scripted(&host, verb);
        let config = if verb == "CHECK" {
            common::after(&config, &json!({"ips": [{"address": "192.0.2.7/32"}]}))
        } else {
            config
        };
        call_scripted(&host, verb, &config, &path).refused(77, "scripted: no");
    }
}

#[test]
fn a_delegate_that_fails_is_told_to_undo() {
    if !can_run() {
        return;
    }
    let host = Host::new("undo");
    host.pod("a");
    let (config, path) = scripted(&host, "ADD");
    call_scripted(&host, "ADD", &config, &path).refused(77, "scripted: no");
    let calls = std::fs::read_to_string(host.directory().join("bin/calls")).unwrap();
    assert_eq!(calls, "ADD a eth0\nDEL a eth0\n");
    assert_eq!(host.left(&["a"]), BTreeSet::new());
}

/// What Multus does: the default network first, then a secondary one, each call without the
/// other's result, one container id, two interfaces; each is deleted by itself. Both in one range,
/// and the secondary one also on a bridge of its own.
#[test]
fn twice_for_one_pod() {
    if !can_run() {
        return;
    }
    let host = Host::new("multus");
    let default = host.config("1.0.0", "link-local", &["10.244.1.0/24"]);
    let mut same = default.clone();
    same["isDefaultGateway"] = false.into();
    let mut other = same.clone();
    other["name"] = "storage".into();
    other["bridge"] = "storage0".into();
    other["gateway"] = "bridge".into();
    other["ipam"]["ranges"] = json!([[{"subnet": "10.9.0.0/24"}]]);
    let call = |verb: &str, pod: &str, interface: &str, config: &Value| {
        let mut variables = Host::variables(verb, pod);
        variables.push(("CNI_IFNAME".into(), interface.into()));
        host.call_with(&[PLUGIN], &variables, config.to_string().as_bytes())
    };
    let attachments = [("eth0", &default), ("net1", &same), ("net2", &other)];
    let mut results = Vec::new();
    for pod in ["a", "b"] {
        host.pod(pod);
        for (interface, config) in attachments {
            results.push((pod, interface, config, call("ADD", pod, interface, config).ok()));
        }
    }
    let given: BTreeSet<String> = results.iter().flat_map(|result| addresses(&result.3)).collect();
    assert_eq!(given.len(), 6);
    let routes = host.run_in("a", &["ip", "route", "show", "default"]);
    assert_eq!(routes.trim(), "default via 169.254.1.1 dev eth0");
    host.reaches(Some("a"), "10.9.0.3");
    host.reaches(Some("a"), &addresses(&results[3].3)[0]);
    for (pod, interface, config, result) in &results {
        call("CHECK", pod, interface, &common::after(config, result)).ok();
    }
    // The secondary ones go, the default one stays.
    for (interface, config) in attachments.into_iter().skip(1) {
        call("DEL", "a", interface, config).ok();
        call("DEL", "a", interface, config).ok();
    }
    let (.., result) = &results[0];
    call("CHECK", "a", "eth0", &common::after(&default, result)).ok();
    host.reaches(None, &addresses(result)[0]);
    for (pod, interface, config, _) in &results {
        call("DEL", pod, interface, config).ok();
    }
    assert_eq!(host.left(&["a", "b"]), BTreeSet::new());
    assert_eq!(std::fs::read_dir(host.data().join("storage/.twill/keys")).unwrap().count(), 0);
}
