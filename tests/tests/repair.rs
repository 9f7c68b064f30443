//! Somebody meddles with the kernel's routes; they come back at once.
//!
//! Three nodes with one pod each, 200 packets a second between every ordered pair of pods, IPv4
//! and IPv6. Times are read from `ip monitor` in the same host, and printed.

use std::time::Duration;

use anyhow::Result;
use twill_tests::cluster::{Cluster, Plan};
use twill_tests::lab::{WAIT, hold, wait};
use twill_tests::routelog::RouteLog;
use twill_tests::skip_unless;
use twill_tests::traffic::Traffic;

/// The promise. The machine that runs the tests may be busy: what is asserted is ten times as long,
/// what was measured is printed.
const PROMISE: Duration = Duration::from_millis(100);

fn start(name: &str) -> Result<(Cluster, RouteLog)> {
    let cluster = Cluster::start(name, Plan { pods: 1, ..Plan::default() })?;
    let log = RouteLog::start(cluster.nodes[0].host())?;
    Ok((cluster, log))
}

/// Waits until `prefix` was removed and is back; prints and checks how long it was away.
fn returned(log: &RouteLog, prefix: &str, within: Duration) -> Result<()> {
    wait(format_args!("{prefix} to be removed and to return"), WAIT, || {
        Ok(log.absence(prefix)?.is_some())
    })?;
    let away = log.absence(prefix)?.unwrap_or_default();
    println!("{prefix}: away for {:.1} ms", away.as_secs_f64() * 1000.0);
    assert!(
        away <= within,
        "{prefix} was away for {away:?}, {within:?} at most: {:?}",
        log.events(prefix)
    );
    Ok(())
}

/// Lets traffic flow for a second more, in which every flow must go on; prints what was lost.
fn told(cluster: &Cluster, mut traffic: Traffic) -> Result<()> {
    let before = traffic.report()?;
    hold("node-a's routes", Duration::from_secs(1), || {
        let node = &cluster.nodes[0];
        Ok(node.has_route("10.244.2.0/24", "via")? && node.has_route("fd00:244:2::/64", "via")?)
    })?;
    let after = traffic.stop()?;
    println!("{after}");
    for (before, after) in before.flows.iter().zip(&after.flows) {
        assert!(after.received >= before.received + 100, "it must go on: {before:?}, {after:?}");
    }
    Ok(())
}

#[test]
fn a_learned_route_deleted_by_hand_returns() -> Result<()> {
    skip_unless!(lab);
    let (cluster, log) = start("route-deleted")?;
    let traffic = Traffic::start(&cluster.endpoints(), 200)?;
    let host = cluster.nodes[0].host();
    host.run(&["ip", "route", "del", "10.244.2.0/24", "proto", "116"])?;
    host.run(&["ip", "-6", "route", "del", "fd00:244:2::/64", "proto", "116"])?;
    returned(&log, "10.244.2.0/24", 10 * PROMISE)?;
    returned(&log, "fd00:244:2::/64", 10 * PROMISE)?;
    told(&cluster, traffic)?;
    cluster.lab.passed()
}

/// A route of ours that is replaced by hand to lead elsewhere leads where it should again.
#[test]
fn a_learned_route_changed_by_hand_is_put_right() -> Result<()> {
    skip_unless!(lab);
    let (cluster, _log) = start("route-changed")?;
    let node = &cluster.nodes[0];
    let change = [
        "ip",
        "route",
        "change",
        "10.244.2.0/24",
        "via",
        "10.0.0.3",
        "proto",
        "116",
        "metric",
        "116",
    ];
    node.host().run(&change)?;
    let took = node.wait_route("10.244.2.0/24", "via 10.0.0.2")?;
    println!("put right within {:.0} ms as polled", took.as_secs_f64() * 1000.0);
    assert!(!node.has_route("10.244.2.0/24", "via 10.0.0.3")?, "the wrong one must be gone");
    cluster.lab.passed()
}

#[test]
fn all_our_routes_flushed_return() -> Result<()> {
    skip_unless!(lab);
    let (cluster, log) = start("routes-flushed")?;
    let traffic = Traffic::start(&cluster.endpoints(), 200)?;
    let host = cluster.nodes[0].host();
    host.run(&["ip", "route", "flush", "proto", "116"])?;
    host.run(&["ip", "-6", "route", "flush", "proto", "116"])?;
    for number in 1..=3 {
        returned(&log, &format!("10.244.{number}.0/24"), 10 * PROMISE)?;
        returned(&log, &format!("fd00:244:{number}::/64"), 10 * PROMISE)?;
    }
    told(&cluster, traffic)?;
    cluster.lab.passed()
}

#[test]
fn the_bridges_routes_flushed_return() -> Result<()> {
    skip_unless!(lab);
    let (cluster, log) = start("bridge-flushed")?;
    let traffic = Traffic::start(&cluster.endpoints(), 200)?;
    let host = cluster.nodes[0].host();
    host.run(&["ip", "route", "flush", "dev", "twill0"])?;
    host.run(&["ip", "-6", "route", "flush", "dev", "twill0"])?;
    returned(&log, "10.244.1.0/24", 10 * PROMISE)?;
    returned(&log, "fd00:244:1::/64", 10 * PROMISE)?;
    wait("every pod to be reached again", WAIT, || {
        Ok(cluster.pods[0].addresses().iter().all(|own| cluster.pods[1].ping(*own).is_ok()))
    })?;
    told(&cluster, traffic)?;
    cluster.lab.passed()
}

/// The switch's end goes down (no carrier), then the node's own end is taken down (the kernel
/// drops routes and, for IPv6, more): each for two seconds, with a hold time of 9 s.
#[test]
fn an_uplink_is_down_for_two_seconds() -> Result<()> {
    skip_unless!(lab);
    let (cluster, _log) = start("uplink")?;
    let node = &cluster.nodes[0];
    let learned = ["10.244.2.0/24", "10.244.3.0/24", "fd00:244:2::/64", "fd00:244:3::/64"];
    let reached = |what: &str| {
        let took = wait(format_args!("all pods to reach each other after {what}"), WAIT, || {
            let ends = || cluster.pods.iter();
            Ok(ends().all(|from| {
                ends()
                    .flat_map(twill_tests::pod::Pod::addresses)
                    .all(|address| from.ping(address).is_ok())
            }))
        })?;
        println!("{what}: all pods reach each other {:.1} s after it ended", took.as_secs_f64());
        for prefix in learned {
            assert!(node.has_route(prefix, "via")?, "{prefix} must be back after {what}");
        }
        anyhow::Ok(())
    };

    let traffic = Traffic::start(&cluster.endpoints(), 200)?;
    cluster.ports[0].down()?;
    hold("the agent", Duration::from_secs(2), || Ok(node.cli(&["status"])?.status != 3))?;
    cluster.ports[0].up()?;
    reached("two seconds without carrier")?;
    println!("{}", traffic.stop()?);

    let traffic = Traffic::start(&cluster.endpoints(), 200)?;
    node.host().run(&["ip", "link", "set", "eth0", "down"])?;
    hold("the agent", Duration::from_secs(2), || Ok(node.cli(&["status"])?.status != 3))?;
    let fib = node.json(&["fib"])?;
    assert_ne!(fib["missing"], serde_json::json!([]), "the loss must be shown: {fib}");
    node.host().run(&["ip", "link", "set", "eth0", "up"])?;
    reached("two seconds of the interface down")?;
    println!("{}", traffic.stop()?);
    cluster.lab.passed()
}

/// A route that is not ours, with our prefix and metric, is left alone, and the clash is shown.
#[test]
fn a_foreign_route_is_never_touched() -> Result<()> {
    skip_unless!(lab);
    let cluster = Cluster::build("foreign", Plan { pods: 0, ..Plan::default() })?;
    let host = cluster.nodes[0].host();
    let foreign = ["10.244.2.0/24", "via", "10.0.0.3", "proto", "static", "metric", "116"];
    host.run(&[&["ip", "route", "add"], &foreign[..]].concat())?;
    for node in &cluster.nodes {
        node.start()?;
    }
    cluster.nodes[1].wait_route("10.244.1.0/24", "via 10.0.0.1")?;
    cluster.nodes[0].wait_route("fd00:244:2::/64", "via fd00::2")?;
    wait("the clash to be shown", WAIT, || {
        let fib = cluster.nodes[0].json(&["fib"])?;
        let missing = fib["missing"].as_array().cloned().unwrap_or_default();
        Ok(missing.iter().any(|route| route["prefix"] == "10.244.2.0/24"))
    })?;
    let routes = host.run(&["ip", "route", "show", "10.244.2.0/24"])?;
    assert_eq!(routes.lines().count(), 1, "{routes}");
    assert!(routes.contains("via 10.0.0.3") && routes.contains("proto static"), "{routes}");
    // With the foreign route gone, ours takes its place.
    host.run(&[&["ip", "route", "del"], &foreign[..]].concat())?;
    cluster.nodes[0].wait_route("10.244.2.0/24", "via 10.0.0.2")?;
    cluster.lab.passed()
}

/// A next hop behind another subnet cannot be routed to directly: the route is shown as missing,
/// with the reason.
#[test]
fn a_next_hop_on_no_connected_subnet_is_explained() -> Result<()> {
    skip_unless!(lab);
    let cluster = Cluster::build("far-next-hop", Plan { nodes: 2, pods: 0, ..Plan::default() })?;
    // node-b announces from an address of its own that is behind its link address.
    let config = |own: &str, other: &str, number: usize, far: bool| {
        let (own, other) = if far { (own, other) } else { (other, own) };
        let peer = 3 - number;
        format!(
            "node: node-{}\naddresses: [{own}]\npodCIDRs: [10.244.{number}.0/24]\n\
             mesh:\n  gtsm: none\n  nodes:\n    - {{name: node-{}, addresses: [{other}], podCIDRs: [10.244.{peer}.0/24]}}\n",
            ["a", "b"][number - 1],
            ["a", "b"][peer - 1],
        )
    };
    let (a, b) = (&cluster.nodes[0], &cluster.nodes[1]);
    b.host().run(&["ip", "addr", "add", "172.16.0.2/32", "dev", "lo"])?;
    a.host().run(&["ip", "route", "add", "172.16.0.2/32", "via", "10.0.0.2"])?;
    a.host().write(twill_tests::node::CONFIG, &config("10.0.0.1", "172.16.0.2", 1, true))?;
    b.host().write(twill_tests::node::CONFIG, &config("10.0.0.1", "172.16.0.2", 2, false))?;
    a.start()?;
    b.start()?;
    wait("the session", WAIT, || Ok(a.peer("node-b")?["state"] == "Established"))?;
    let missing = twill_tests::lab::wait_for("the route to be shown as missing", WAIT, || {
        let fib = a.json(&["fib"])?;
        Ok(fib["missing"].as_array().and_then(|missing| missing.first().cloned()))
    })?;
    let reason = missing["reason"].as_str().unwrap_or_default();
    assert_eq!(missing["prefix"], "10.244.2.0/24");
    assert!(reason.contains("172.16.0.2") && reason.contains("connected"), "{missing}");
    let explain = a.cli(&["explain", "10.244.2.9"])?;
    assert!(explain.stdout.contains("172.16.0.2"), "{explain:?}");
    cluster.lab.passed()
}
