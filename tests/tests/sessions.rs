//! Sessions between nodes: opened at the same moment, with the wrong password, and changed live.

use std::time::Duration;

use anyhow::Result;
use twill_tests::cluster::{Cluster, Plan};
use twill_tests::lab::{WAIT, hold, wait, wait_for};
use twill_tests::node::{CONFIG, Node};
use twill_tests::skip_unless;

/// Neither hears the other until both dial; then both connections open within a moment, and one
/// of them must go (RFC 4271 section 6.8), whichever side has the higher identifier.
fn both_dial_at_once(name: &str, ids: [&str; 2]) -> Result<()> {
    let cluster = Cluster::build(name, Plan { nodes: 2, pods: 0, ..Plan::default() })?;
    let deaf = "table inet deaf { chain in { type filter hook input priority 0; \
                tcp dport 179 drop; tcp sport 179 drop; }; }";
    for (index, node) in cluster.nodes.iter().enumerate() {
        let config = format!("routerId: {}\n{}", ids[index], cluster.plan.config(index + 1));
        node.host().write(CONFIG, &config)?;
        node.host().run_with_input(&["nft", "-f", "-"], deaf)?;
    }
    let other = ["node-b", "node-a"];
    for node in &cluster.nodes {
        node.start()?;
    }
    for (node, other) in cluster.nodes.iter().zip(other) {
        node.wait_peer(other, "Connect")?;
    }
    for node in &cluster.nodes {
        node.host().run(&["nft", "delete", "table", "inet", "deaf"])?;
    }
    for (node, other) in cluster.nodes.iter().zip(other) {
        let took = node.wait_peer(other, "Established")?;
        println!("{}: established {:.1} s after both could hear", node.name(), took.as_secs_f64());
    }
    let connections = || {
        cluster.nodes[0].host().run(&[
            "ss",
            "-Htn",
            "state",
            "established",
            "( dport = :179 or sport = :179 )",
        ])
    };
    wait("one connection to be left", WAIT, || Ok(connections()?.lines().count() == 1))?;
    hold("the session", Duration::from_secs(3), || {
        Ok(cluster.nodes.iter().zip(other).all(|(node, other)| {
            node.peer(other).is_ok_and(|peer| peer["state"] == "Established" && peer["flaps"] == 0)
        }))
    })?;
    cluster.wait_mesh()?;
    cluster.lab.passed()
}

#[test]
fn both_dial_at_once_and_the_first_has_the_lower_id() -> Result<()> {
    skip_unless!(lab);
    both_dial_at_once("collision-lower", ["1.1.1.1", "2.2.2.2"])
}

#[test]
fn both_dial_at_once_and_the_first_has_the_higher_id() -> Result<()> {
    skip_unless!(lab);
    both_dial_at_once("collision-higher", ["2.2.2.2", "1.1.1.1"])
}

/// A firewall lets connections be opened in one direction alone. The pair meets by the connection
/// of the side that can dial, whichever it is, and stays together.
fn one_way(name: &str, shielded: usize) -> Result<()> {
    let cluster = Cluster::build(name, Plan { nodes: 2, pods: 0, ..Plan::default() })?;
    let firewall = "table inet firewall { chain in { type filter hook input priority 0; \
                    tcp dport 179 tcp flags & (syn|ack) == syn counter drop; }; }";
    cluster.nodes[shielded].host().run_with_input(&["nft", "-f", "-"], firewall)?;
    for node in &cluster.nodes {
        node.start()?;
    }
    let other = ["node-b", "node-a"];
    let ways = ["outgoing", "incoming"];
    for (index, node) in cluster.nodes.iter().enumerate() {
        let took = node.wait_peer(other[index], "Established")?;
        let detail = node.json(&["peers", other[index]])?[0]["detail"].clone();
        let way = ways[usize::from(index != shielded)];
        println!("{}: {way} after {:.1} s", node.name(), took.as_secs_f64());
        assert_eq!(detail["negotiated"]["direction"], way, "{detail}");
    }
    let dropped = cluster.nodes[shielded].host().run(&["nft", "list", "table", "inet", "firewall"]);
    assert!(!dropped?.contains("packets 0 "), "the firewall was never asked");
    hold("the session", Duration::from_secs(3), || {
        Ok(cluster.nodes.iter().zip(other).all(|(node, other)| {
            node.peer(other).is_ok_and(|peer| peer["state"] == "Established" && peer["flaps"] == 0)
        }))
    })?;
    cluster.wait_mesh()?;
    cluster.lab.passed()
}

#[test]
fn a_one_way_firewall_at_the_first_node_lets_the_pair_meet() -> Result<()> {
    skip_unless!(lab);
    one_way("one-way-first", 0)
}

#[test]
fn a_one_way_firewall_at_the_second_node_lets_the_pair_meet() -> Result<()> {
    skip_unless!(lab);
    one_way("one-way-second", 1)
}

fn with_password(cluster: &Cluster, number: usize, file: &str) -> String {
    cluster
        .plan
        .config(number)
        .replace("mesh:\n", &format!("mesh:\n  password: {{file: {file}}}\n"))
}

/// Two nodes share a password, the third has another. The two meet; the third stays out, and says
/// so, until its password is put right and reloaded.
#[test]
fn a_wrong_password_keeps_a_node_out() -> Result<()> {
    skip_unless!(lab);
    let cluster = Cluster::build("password", Plan { pods: 0, ..Plan::default() })?;
    for (index, node) in cluster.nodes.iter().enumerate() {
        let secret = if index == 2 { "wrong" } else { "right" };
        node.host().write("/etc/twill/mesh-password", secret)?;
        node.host().run(&["chmod", "600", "/etc/twill/mesh-password"])?;
        node.host()
            .write(CONFIG, &with_password(&cluster, index + 1, "/etc/twill/mesh-password"))?;
        node.start()?;
    }
    cluster.nodes[0].wait_peer("node-b", "Established")?;
    hold("node-c out", Duration::from_secs(3), || {
        Ok(cluster.nodes[0].peer("node-c")?["state"] != "Established")
    })?;
    let error = wait_for("a reason to be shown", WAIT, || {
        let peer = cluster.nodes[0].peer("node-c")?;
        Ok(peer["lastError"].as_str().filter(|error| !error.is_empty()).map(str::to_owned))
    })?;
    println!("node-a on node-c: {error}");
    for node in &cluster.nodes {
        let everything = format!("{}{}", node.log(), node.json(&["peers"])?);
        assert!(
            !everything.contains("wrong\"") && !everything.contains("right\""),
            "a secret was printed"
        );
    }
    let flaps = cluster.nodes[0].peer("node-b")?["flaps"].clone();
    cluster.nodes[2].host().write("/etc/twill/mesh-password", "right")?;
    cluster.nodes[2].reload(&with_password(&cluster, 3, "/etc/twill/mesh-password"))?;
    cluster.nodes[0].wait_peer("node-c", "Established")?;
    assert_eq!(cluster.nodes[0].peer("node-b")?["flaps"], flaps);
    cluster.lab.passed()
}

/// How long, and how often, a session has been up: what a bounce would change.
fn age(node: &Node, peer: &str) -> Result<(u64, u64)> {
    let peer = node.peer(peer)?;
    let number = |key: &str| peer[key].as_u64().unwrap_or_default();
    Ok((number("uptimeSeconds"), number("flaps")))
}

/// node-c is taken out of node-a's file, and put back; the session with node-b does not notice.
#[test]
fn a_reload_removes_and_adds_a_peer_without_touching_others() -> Result<()> {
    skip_unless!(lab);
    let cluster = Cluster::start("reload", Plan { pods: 0, ..Plan::default() })?;
    let node = &cluster.nodes[0];
    hold("the session with node-b", Duration::from_secs(2), || {
        Ok(node.peer("node-b")?["state"] == "Established")
    })?;
    let (uptime, flaps) = age(node, "node-b")?;

    let without: String = cluster
        .plan
        .config(1)
        .lines()
        .filter(|line| !line.contains("name: node-c"))
        .map(|line| format!("{line}\n"))
        .collect();
    node.reload(&without)?;
    wait("node-c to be gone", WAIT, || {
        let peers = node.json(&["peers"])?;
        Ok(!peers.to_string().contains("node-c"))
    })?;
    node.wait_no_route("10.244.3.0/24", WAIT)?;
    let told = wait_for("node-c to be told", WAIT, || {
        let peer = cluster.nodes[2].peer("node-a")?;
        Ok(peer["lastError"].as_str().filter(|error| !error.is_empty()).map(str::to_owned))
    })?;
    println!("node-c on node-a: {told}");

    node.reload(&cluster.plan.config(1))?;
    node.wait_peer("node-c", "Established")?;
    node.wait_route("10.244.3.0/24", "via 10.0.0.3")?;
    let (now, flaps_now) = age(node, "node-b")?;
    assert!(
        now >= uptime && flaps_now == flaps,
        "node-b's session must stand: {now} s, {flaps_now} flaps"
    );
    cluster.lab.passed()
}
