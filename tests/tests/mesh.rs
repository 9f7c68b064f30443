//! Pods of three nodes reach each other.
//!
//! ```text
//! pod-a1 pod-a2    pod-b1 pod-b2    pod-c1 pod-c2
//!      node-a           node-b           node-c        10.244.{1,2,3}.0/24, fd00:244:{1,2,3}::/64
//!        └────────────────┴────────────────┘           10.0.0.0/24, fd00::/64
//! ```

use anyhow::Result;
use serde_json::json;
use std::time::Duration;
use twill_tests::cluster::{Cluster, Plan};
use twill_tests::lab::{WAIT, hold, wait};
use twill_tests::node::{BIN_DIR, CONF_FILE};
use twill_tests::pod::Pod;
use twill_tests::skip_unless;
use twill_tests::traffic::{Endpoint, Report, Traffic};

/// 200 packets a second from every end to every other, until each flow has brought `packets`: all
/// that were sent arrive.
fn lose_nothing(ends: &[Endpoint<'_>], packets: u64) -> Result<Report> {
    let mut traffic = Traffic::start(ends, 200)?;
    wait(format_args!("{packets} packets of each flow"), WAIT, || {
        Ok(traffic.report()?.flows.iter().all(|flow| flow.received >= packets))
    })?;
    let report = traffic.stop()?;
    println!("{report}");
    assert_eq!(report.lost(), 0, "{report}");
    Ok(report)
}

/// In: 200 packets a second from every pod to every other, IPv4 and IPv6, for two seconds.
/// Out: all of them arrive; CHECK finds every pod as ADD left it; DEL frees every address.
#[test]
fn all_pods_reach_all_pods() -> Result<()> {
    skip_unless!(lab);
    let mut cluster = Cluster::start("all-pods", Plan::default())?;
    let report = lose_nothing(&cluster.endpoints(), 400)?;
    assert_eq!(report.flows.len(), 6 * 5 * 2, "every ordered pair, both families");

    // The nodes themselves reach every pod, their own and others'.
    for node in &cluster.nodes {
        for address in cluster.pods.iter().flat_map(Pod::addresses) {
            node.ping(address)?;
        }
    }
    for pod in &cluster.pods {
        pod.check()?;
    }
    let ipam = cluster.nodes[0].json(&["ipam"])?;
    assert!(ipam.to_string().contains("lab-pod-a1"), "{ipam}");
    for pod in cluster.pods.drain(..) {
        pod.detach()?;
    }
    let ipam = cluster.nodes[0].json(&["ipam"])?;
    assert!(!ipam.to_string().contains("lab-pod-a1"), "{ipam}");
    cluster.lab.passed()
}

/// Pods that believe the whole cluster to be on their link (`10.244.0.0/16`) ask for remote pods
/// by ARP; the node answers in their stead, without delay.
#[test]
fn pods_with_a_wide_mask_reach_remote_pods_by_proxy_arp() -> Result<()> {
    skip_unless!(lab);
    let mut cluster = Cluster::start("wide-mask", Plan { pods: 1, ..Plan::default() })?;
    let mut wide = Vec::new();
    for (index, node) in cluster.nodes.iter().enumerate() {
        let mut conflist: serde_json::Value = serde_json::from_str(&node.host().read(CONF_FILE)?)?;
        conflist["plugins"][0]["onLink"] = json!(["10.244.0.0/16"]);
        wide.push(Pod::attach_with(node.host(), &format!("wide-{index}"), conflist, BIN_DIR)?);
    }
    for pod in &wide {
        let route = pod.run(&["ip", "route", "get", "10.244.9.9"])?;
        assert!(!route.contains("via"), "the cluster must be on-link for the pod: {route}");
    }
    let ends: Vec<Endpoint<'_>> = wide.iter().chain(&cluster.pods).map(Endpoint::Pod).collect();
    lose_nothing(&ends, 200)?;
    let neighbors = wide[0].run(&["ip", "neigh"])?;
    assert!(neighbors.contains("10.244.2."), "a remote pod must be a neighbour: {neighbors}");
    wide.clear();
    cluster.pods.clear();
    cluster.lab.passed()
}

/// In `bridge` mode pods share their node's subnet, with its first address as gateway.
#[test]
fn pods_in_bridge_mode_reach_all_pods() -> Result<()> {
    skip_unless!(lab);
    let cluster = Cluster::start("bridge-mode", Plan { pods: 0, ..Plan::default() })?;
    let mut bridged = Vec::new();
    for (index, node) in cluster.nodes.iter().enumerate() {
        let mut conflist: serde_json::Value = serde_json::from_str(&node.host().read(CONF_FILE)?)?;
        conflist["plugins"][0]["gateway"] = json!("bridge");
        for number in [1, 2] {
            let name = format!("bridged-{index}{number}");
            bridged.push(Pod::attach_with(node.host(), &name, conflist.clone(), BIN_DIR)?);
        }
    }
    let ends: Vec<Endpoint<'_>> = bridged.iter().map(Endpoint::Pod).collect();
    lose_nothing(&ends, 200)?;
    cluster.lab.passed()
}

/// Pods of both gateway modes on every node, in one range: all reach all, and the bridge's address
/// is no pod's. Where a pod has it, bridge mode is refused, and nobody notices.
#[test]
fn both_gateway_modes_on_one_node() -> Result<()> {
    skip_unless!(lab);
    let cluster = Cluster::start("both-modes", Plan { pods: 0, ..Plan::default() })?;
    let mut pods = Vec::new();
    for (index, node) in cluster.nodes.iter().enumerate() {
        let plain: serde_json::Value = serde_json::from_str(&node.host().read(CONF_FILE)?)?;
        let mut bridged = plain.clone();
        bridged["plugins"][0]["gateway"] = json!("bridge");
        // On node-c a pod of link-local mode is first, and gets what would be the gateway's.
        let order = if index == 2 {
            [("plain", &plain), ("plain2", &plain)]
        } else {
            [("bridged", &bridged), ("plain", &plain)]
        };
        for (name, conflist) in order {
            let name = format!("{name}-{index}");
            pods.push(Pod::attach_with(node.host(), &name, conflist.clone(), BIN_DIR)?);
        }
        if index == 2 {
            let refused = Pod::attach_with(node.host(), "refused", bridged, BIN_DIR);
            let error = refused.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains("the pods' gateway 10.244.3.1 is held by"), "{error}");
        }
    }
    let ends: Vec<Endpoint<'_>> = pods.iter().map(Endpoint::Pod).collect();
    lose_nothing(&ends, 200)?;
    cluster.lab.passed()
}

/// A node that loses its power is noticed by the hold timer: its routes go, nobody else loses a
/// packet. A new machine of its name joins, and its pods are reached again.
#[test]
fn a_node_leaves_for_good_and_another_takes_its_place() -> Result<()> {
    skip_unless!(lab);
    let mut cluster = Cluster::start("node-leaves", Plan { pods: 1, ..Plan::default() })?;
    let lost = cluster.pods.pop();
    let traffic = Traffic::start(&cluster.endpoints(), 200)?;
    cluster.lab.power_off("node-c")?;
    drop(lost);
    for prefix in ["10.244.3.0/24", "fd00:244:3::/64"] {
        for node in &cluster.nodes[..2] {
            let took = node.wait_no_route(prefix, Duration::from_secs(20))?;
            println!("{}: {prefix} gone after {took:.1?} (hold time 9 s)", node.name());
        }
    }
    let report = traffic.stop()?;
    println!("{report}");
    assert_eq!(report.lost(), 0, "{report}");

    cluster.revive(2)?;
    cluster.wait_mesh()?;
    cluster.pods.push(cluster.nodes[2].pod("pod-c2")?);
    let traffic = Traffic::start(&cluster.endpoints(), 200)?;
    hold("the returned node's routes", Duration::from_secs(1), || {
        cluster.nodes[0].has_route("10.244.3.0/24", "10.0.0.3")
    })?;
    let report = traffic.stop()?;
    assert_eq!(report.lost(), 0, "{report}");
    cluster.lab.passed()
}
