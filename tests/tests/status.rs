//! What `twill status` and `twill peers` make of trouble: whose it is, and what it was at first.

use anyhow::{Context, Result};
use twill_tests::cluster::{Cluster, Plan};
use twill_tests::lab::{WAIT, wait, wait_for};
use twill_tests::skip_unless;

/// The output on one line, however wide the terminal.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// One node that dies is shown by the others, whose status stays 0; where all others are gone,
/// the one that is left may be cut off, and says so. Why a session was lost stays readable while
/// attempts at the next one fail.
#[test]
fn a_dead_node_is_not_everybodys_trouble() -> Result<()> {
    skip_unless!(lab);
    let plan = Plan { pods: 0, hold_time: 3, ..Plan::default() };
    let cluster = Cluster::start("dead-node", plan)?;
    let node = &cluster.nodes[0];
    wait("a healthy node", WAIT, || Ok(node.cli(&["status"])?.status == 0))?;

    cluster.lab.power_off("node-c")?;
    let reasons = wait_for("failed attempts after the loss", WAIT, || {
        let peer = node.peer("node-c")?;
        let reasons = peer["reasons"].as_array().cloned().unwrap_or_default();
        Ok((peer["state"] != "Established" && reasons[0]["what"] == "attempt").then_some(reasons))
    })?;
    let lost = reasons.iter().find(|reason| reason["what"] == "lost").context("no loss is kept")?;
    assert!(lost["error"].as_str().is_some_and(|why| why.contains("hold timer")), "{reasons:?}");
    let peer = node.peer("node-c")?;
    assert_eq!(peer["lastError"], lost["error"], "{peer}");
    let detail = unwrapped(&node.cli(&["peers", "node-c"])?.stdout);
    for words in ["last error hold timer expired", "What came to an end", "attempt", "session"] {
        assert!(detail.contains(words), "{words:?} is not in {detail}");
    }
    let status = node.cli(&["status"])?;
    assert_eq!(status.status, 0, "{status:?}");
    assert!(unwrapped(&status.stdout).contains("Sessions down ! no session with node-c"));

    cluster.lab.power_off("node-b")?;
    wait("the last node to think itself cut off", WAIT, || {
        let status = node.cli(&["status"])?;
        Ok(status.status == 1
            && unwrapped(&status.stdout).contains("this node may be cut off: 0 of 2"))
    })?;
    cluster.lab.passed()
}

/// A static route over another node's pod CIDR takes the packets, though ours is in place. The
/// status says so, names the command that removes it, and is content once it has run.
#[test]
fn a_foreign_route_that_goes_before_ours_is_shown() -> Result<()> {
    skip_unless!(lab);
    let cluster = Cluster::start("shadow", Plan { nodes: 2, pods: 1, ..Plan::default() })?;
    let node = &cluster.nodes[0];
    let far = cluster.pods[1].addresses();
    for (family, route) in [
        ("-4", "10.244.2.0/25 via 10.0.0.77 proto static metric 500"),
        ("-6", "fd00:244:2::/64 via fd00::77 proto static metric 10"),
    ] {
        let add = [&["ip", family, "route", "add"][..], &route.split(' ').collect::<Vec<_>>()];
        node.host().run(&add.concat())?;
        let prefix = route.split(' ').next().unwrap_or_default();
        let told = wait_for(format_args!("{route} to be told"), WAIT, || {
            let status = node.json(&["status"])?;
            let problems = status["problems"].as_array().cloned().unwrap_or_default();
            let mut told = problems.iter().filter_map(|problem| problem.as_str());
            Ok(told.find(|problem| problem.starts_with(prefix)).map(str::to_owned))
        })?;
        println!("{told}");
        assert_eq!(node.json(&["status"])?["routes"]["shadowed"], 1);
        assert_eq!(node.cli(&["status"])?.status, 1);
        assert!(node.has_route("10.244.2.0/24", "via 10.0.0.2")?, "ours stands");
        let hidden = far.iter().find(|address| address.is_ipv6() == (family == "-6"));
        let hidden = *hidden.context("a pod of both families")?;
        assert!(cluster.pods[0].ping(hidden).is_err(), "the packets go elsewhere");

        let (_, remedy) = told.split_once("(`").context("no remedy")?;
        let (remedy, _) = remedy.split_once("`)").context("no remedy")?;
        node.host().run(&remedy.split(' ').collect::<Vec<_>>())?;
        wait("a healthy node", WAIT, || Ok(node.cli(&["status"])?.status == 0))?;
        cluster.pods[0].ping(hidden)?;
    }
    cluster.lab.passed()
}
