//! A node that is one of two paths is taken out while packets flow, and brought back.
//!
//! ```text
//!            node-a ──┐
//! node-c ────┤        ├── server  203.0.113.1; both announce 203.0.113.0/24
//!    lan     node-b ──┘   back
//! ```

use std::net::IpAddr;

use anyhow::Result;
use twill_tests::cluster::{Cluster, Plan};
use twill_tests::lab::{WAIT, wait};
use twill_tests::node::{CONFIG, Node};
use twill_tests::skip_unless;
use twill_tests::traffic::{Endpoint, Traffic};

const SHARED: &str = "203.0.113.0/24";

/// Packets that a node has forwarded.
fn forwarded(node: &Node) -> Result<u64> {
    let text = node.host().run(&["nstat", "-asz", "IpForwDatagrams"])?;
    let count = text.lines().find_map(|line| line.strip_prefix("IpForwDatagrams"));
    Ok(count.and_then(|rest| rest.split_whitespace().next()).unwrap_or_default().parse()?)
}

/// In: 200 packets a second each way, of which those to the server go through node-a. While it is
/// drained, after its agent was killed and is back, and when it is undone: nothing is lost. What
/// has no other path, its pod CIDR, is gone from the others once it is withdrawn.
#[test]
fn drain_of_one_of_two_paths_loses_no_packet() -> Result<()> {
    skip_unless!(lab);
    let mesh = format!("transit: [{SHARED}]");
    let cluster = Cluster::build("drain", Plan { pods: 0, mesh, ..Plan::default() })?;
    let back = cluster.lab.switch("back")?;
    let server = cluster.lab.host("server")?;
    cluster.lab.plug(&server, "eth0", &back, &["10.1.0.100/24"])?;
    server.batch("addr add 203.0.113.1/32 dev lo\nroute add 10.0.0.0/24 via 10.1.0.2")?;
    for (node, number) in cluster.nodes.iter().zip(1..=2) {
        cluster.lab.plug(node.host(), "eth1", &back, &[&format!("10.1.0.{number}/24")])?;
        node.host().batch(&format!("route add {SHARED} via 10.1.0.100"))?;
        // The agent sets this for the interfaces that hold its own addresses.
        node.host().run(&["sysctl", "-qw", "net.ipv4.conf.eth1.forwarding=1"])?;
        let config = format!("{}announce: [{SHARED}]\n", cluster.plan.config(number));
        node.host().write(CONFIG, &config)?;
    }
    for node in &cluster.nodes {
        node.start()?;
    }
    cluster.wait_mesh()?;
    let [a, _, c] = cluster.nodes.as_slice() else { unreachable!("three nodes") };
    c.wait_route(SHARED, "via 10.0.0.1")?;

    let near: [IpAddr; 1] = ["10.0.0.3".parse()?];
    let far: [IpAddr; 1] = ["203.0.113.1".parse()?];
    let ends = [Endpoint::Host(c.host(), &near), Endpoint::Host(&server, &far)];
    let mut traffic = Traffic::start(&ends, 200)?;
    wait("packets through node-a", WAIT, || Ok(forwarded(a)? > 100))?;

    let drained = a.cli(&["drain", "--quiet", "1"])?;
    assert_eq!(drained.status, 0, "{drained:?}");
    println!("{}", drained.stdout);
    c.wait_route(SHARED, "via 10.0.0.2")?;
    c.wait_no_route("10.244.1.0/24", WAIT)?;
    let status = a.json(&["status"])?;
    assert_eq!((&status["drain"], &status["healthy"]), (&"withdrawn".into(), &true.into()));
    assert!(a.cli(&["status"])?.stdout.contains("~ withdrawn"));
    // The session stays: this node still learns, and still forwards what comes late.
    assert_eq!(a.peer("node-c")?["state"], "Established");
    assert_eq!(c.peer("node-a")?["prefixesReceived"], 0);

    a.kill()?;
    a.start()?;
    a.wait_ready()?;
    a.wait_peer("node-c", "Established")?;
    assert_eq!(a.json(&["status"])?["drain"], "withdrawn");
    assert!(c.has_route(SHARED, "via 10.0.0.2")? && !c.has_route("10.244.1.0/24", "")?);

    let undone = a.cli(&["drain", "--undo"])?;
    assert_eq!(undone.status, 0, "{undone:?}");
    c.wait_route(SHARED, "via 10.0.0.1")?;
    c.wait_route("10.244.1.0/24", "via 10.0.0.1")?;
    let before = forwarded(a)?;
    wait("packets through node-a again", WAIT, || Ok(forwarded(a)? > before + 100))?;
    assert_eq!(a.json(&["status"])?["drain"], serde_json::Value::Null);
    let now = traffic.report()?.sent();
    wait("a second more", WAIT, || Ok(traffic.report()?.sent() >= now + 400))?;
    let report = traffic.stop()?;
    println!("{report}");
    assert_eq!(report.lost(), 0, "{report}");
    cluster.lab.passed()
}

/// Where there is no other path, traffic does not move: the node stays marked, goes on, and says
/// what to do.
#[test]
fn drain_cuts_nothing_off_that_cannot_move() -> Result<()> {
    skip_unless!(lab);
    let plan = Plan { nodes: 2, pods: 1, ..Plan::default() };
    let cluster = Cluster::start("drain-late", plan)?;
    let mut traffic = Traffic::start(&cluster.endpoints(), 100)?;
    wait("packets", WAIT, || Ok(traffic.report()?.sent() > 100))?;
    let node = &cluster.nodes[0];
    let late = node.cli(&["drain", "--wait", "2", "--quiet", "1"])?;
    assert_eq!(late.status, 1, "{late:?}");
    for words in ["has not moved within 2 s", "packets a second", "--force", "--undo"] {
        assert!(late.stderr.contains(words), "{words}: {late:?}");
    }
    let seen = cluster.nodes[1].json(&["routes", "10.244.1.0/24"])?;
    assert_eq!(seen[0]["localPref"], 0, "{seen}");
    assert_eq!(seen[0]["communities"][0], "graceful-shutdown", "{seen}");
    assert_eq!(node.json(&["status"])?["drain"], "marked");
    assert_eq!(node.cli(&["drain", "--undo"])?.status, 0);
    let report = traffic.stop()?;
    assert_eq!(report.lost(), 0, "{report}");
    cluster.lab.passed()
}
