//! The reference's `dhcp` under us, with its daemon and a server.
//!
//!      dnsmasq ── twill0 10.5.0.1/24 ─┬─ a/eth0
//!                                     └─ b/eth0

#![allow(clippy::unwrap_used, reason = "a test's helpers are tests")]

mod common;

use std::collections::BTreeSet;
use std::process::{Child, Stdio};

use common::{Host, addresses, can_run, installed};
use serde_json::json;
use twill_tests::lab::{WAIT, wait};

const PACKAGE: &str = "containernetworking-plugins";

/// A DHCP server on the bridge and the reference's `dhcp` under us, as a daemon that talks through
/// the pod's interface: the pod has the server's address, and DEL gives it back.
#[test]
fn dhcp_under_us() {
    const DAEMON: &str = "/usr/lib/cni/dhcp";
    const SOCKET: &str = "/run/cni/dhcp.sock";
    if !can_run() || !installed(DAEMON, PACKAGE) || !installed("dnsmasq", "dnsmasq-base") {
        return;
    }
    let host = Host::new("dhcp");
    host.run(&["ip", "link", "add", "twill0", "type", "bridge"]);
    host.run(&["ip", "addr", "add", "10.5.0.1/24", "dev", "twill0"]);
    host.run(&["ip", "link", "set", "twill0", "up"]);
    host.run(&["mkdir", "-p", "/run/cni"]);
    let leases = host.directory().join("dnsmasq.leases");
    let file = format!("--dhcp-leasefile={}", leases.display());
    let server = [
        "dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--port=0",
        "--user=root",
        "--pid-file=",
        "--no-ping",
        "--bind-interfaces",
        "--interface=twill0",
        &file,
        "--dhcp-authoritative",
        "--dhcp-range=10.5.0.10,10.5.0.20,255.255.255.0,1h",
    ];
    let _server = Service::start(&host, &server);
    let _daemon = Service::start(&host, &[DAEMON, "daemon"]);
    wait("the daemon's socket", WAIT, || Ok(host.output(&["test", "-S", SOCKET]).status.success()))
        .unwrap();
    let mut config = host.config("1.0.0", "bridge", &[]);
    config["ipam"] = json!({"type": "dhcp"});
    for pod in ["a", "b"] {
        host.pod(pod);
        let result = host.call("ADD", pod, &config).ok();
        let mac = result["interfaces"][2]["mac"].as_str().unwrap();
        let leased = std::fs::read_to_string(&leases).unwrap();
        let given = &addresses(&result)[0];
        assert!(leased.contains(&format!("{mac} {given}")), "{leased}");
        host.reaches(Some(pod), "10.5.0.1");
        host.reaches(None, given);
        let routes = host.run_in(pod, &["ip", "route", "show", "default"]);
        assert!(routes.contains("via 10.5.0.1"), "{routes}");
        host.call("CHECK", pod, &common::after(&config, &result)).ok();
    }
    for pod in ["a", "b"] {
        host.call("DEL", pod, &config).ok();
    }
    wait("the leases' end", WAIT, || Ok(std::fs::read_to_string(&leases)?.is_empty())).unwrap();
    assert_eq!(host.left(&["a", "b"]), BTreeSet::new());
}

/// A program of the host. What was started ends with the host, its process ids being the host's.
struct Service(Child);

impl Service {
    fn start(host: &Host, words: &[&str]) -> Self {
        let mut command = host.command(words);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
