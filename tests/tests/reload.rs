//! What the speaker is born with changes while pods talk: the AS, the router id, the port.

use anyhow::Result;
use twill_tests::cluster::{Cluster, Plan};
use twill_tests::lab::{WAIT, wait};
use twill_tests::node::{CONF_FILE, CONFIG, Node, binary};
use twill_tests::skip_unless;
use twill_tests::traffic::Traffic;

/// The whole mesh moves to another AS, one node after the other, without a process ending and
/// without a packet lost.
#[test]
fn a_mesh_moves_to_another_as_under_traffic() -> Result<()> {
    skip_unless!(lab);
    let cluster = Cluster::start("another-as", Plan { pods: 1, ..Plan::default() })?;
    let traffic = Traffic::start(&cluster.endpoints(), 200)?;
    let pids: Vec<_> = cluster.nodes.iter().map(Node::pid).collect::<Result<_>>()?;
    for (index, node) in cluster.nodes.iter().enumerate() {
        node.reload(&format!("asn: 64999\n{}", cluster.plan.config(index + 1)))?;
    }
    for (node, pid) in cluster.nodes.iter().zip(pids) {
        wait(format_args!("{} to be settled in AS 64999", node.name()), WAIT, || {
            let status = node.json(&["status"])?;
            Ok(status["asn"] == 64999
                && status["peers"]["established"] == 2
                && status["routes"]["stale"] == 0
                && status["ready"] == true)
        })?;
        assert_eq!(node.pid()?, pid);
    }
    cluster.wait_mesh()?;
    let report = traffic.stop()?;
    println!("{report}");
    assert_eq!(report.lost(), 0);
    cluster.lab.passed()
}

/// A port that somebody else has is refused, nothing is touched, and `twill status` says why; the
/// next good file is taken.
#[test]
fn a_port_that_is_taken_leaves_everything_as_it_was() -> Result<()> {
    skip_unless!(lab);
    let cluster = Cluster::start("taken-port", Plan { pods: 0, ..Plan::default() })?;
    let node = &cluster.nodes[0];
    let squatter = "node: squatter\naddresses: [10.0.0.1]\nlisten: {port: 1179}\nhttp: none\n\
                    dataplane: {install: false}\ncni: {write: false}\n";
    node.host().write("/etc/twill/squatter.yaml", squatter)?;
    let twill = binary("twill")?.to_string_lossy().into_owned();
    let command =
        [&twill, "agent", "--config", "/etc/twill/squatter.yaml", "--socket", "/run/squatter.sock"];
    let mut other = node.host().spawn("squatter", &command)?;
    wait("port 1179 to be taken", WAIT, || {
        Ok(node.host().run(&["ss", "-Hltn", "sport = :1179"])?.contains("1179"))
    })?;
    let flaps = node.peer("node-b")?["flaps"].clone();

    node.reload(&format!("listen: {{port: 1179}}\n{}", cluster.plan.config(1)))?;
    wait("the refusal to be shown", WAIT, || {
        let refused = node.json(&["status"])?["config"]["refused"].clone();
        Ok(refused.as_str().is_some_and(|why| why.contains("the port is taken")))
    })?;
    let peer = node.peer("node-b")?;
    assert_eq!((&peer["state"], &peer["flaps"]), (&"Established".into(), &flaps));

    other.kill()?;
    node.reload(&cluster.plan.config(1))?;
    wait("the refusal to be forgotten", WAIT, || {
        Ok(node.json(&["status"])?["config"]["refused"].is_null())
    })?;
    assert_eq!(node.peer("node-b")?["flaps"], flaps);
    assert!(node.host().read(CONFIG)?.contains("node-a"));
    cluster.lab.passed()
}

/// `dataplane.install: false` takes our routes out of the kernel, and `true` puts them back; without
/// pod CIDRs there is no conflist. Sessions see none of it.
#[test]
fn what_is_no_longer_wanted_goes_from_the_host() -> Result<()> {
    skip_unless!(lab);
    let cluster = Cluster::start("unwanted", Plan { nodes: 2, pods: 1, ..Plan::default() })?;
    let node = &cluster.nodes[0];
    let (plain, flaps) = (cluster.plan.config(1), node.peer("node-b")?["flaps"].clone());
    let ours = || -> Result<String> {
        let v4 = node.host().run(&["ip", "-4", "route", "show", "proto", "116"])?;
        Ok(v4 + &node.host().run(&["ip", "-6", "route", "show", "proto", "116"])?)
    };
    node.reload(&format!("{plain}\ndataplane: {{install: false}}\n"))?;
    wait("our routes to go", WAIT, || Ok(ours()?.is_empty()))?;
    node.reload(&plain)?;
    cluster.wait_mesh()?;
    cluster.pods[0].ping(cluster.pods[1].addresses()[0])?;

    assert!(node.host().read(CONF_FILE).is_ok());
    let emptied = plain.replace("[10.244.1.0/24, fd00:244:1::/64]", "[]");
    assert_ne!(emptied, plain);
    node.reload(&emptied)?;
    wait("the conflist to go", WAIT, || Ok(node.host().read(CONF_FILE).is_err()))?;
    cluster.nodes[1].wait_no_route("10.244.1.0/24", WAIT)?;
    assert!(node.has_route("10.244.2.0/24", "via 10.0.0.2")?);
    node.reload(&plain)?;
    cluster.wait_mesh()?;
    wait("the conflist to come back", WAIT, || Ok(node.host().read(CONF_FILE).is_ok()))?;
    cluster.pods[0].ping(cluster.pods[1].addresses()[0])?;
    assert_eq!(node.peer("node-b")?["flaps"], flaps);
    cluster.lab.passed()
}
