//! Nodes of one family or of both: each pair carries what both sides have.

use anyhow::Result;
use twill_tests::lab::{Lab, WAIT, hold, wait};
use twill_tests::node::Node;
use twill_tests::pod::Pod;
use twill_tests::skip_unless;
use twill_tests::traffic::{Endpoint, Traffic};

/// Which families a node has.
#[derive(Clone, Copy)]
struct Has {
    v4: bool,
    v6: bool,
}

const ONLY_V4: Has = Has { v4: true, v6: false };
const ONLY_V6: Has = Has { v4: false, v6: true };
const BOTH: Has = Has { v4: true, v6: true };

impl Has {
    fn of(self, v4: String, v6: String) -> Vec<String> {
        let v4 = self.v4.then_some(v4);
        v4.into_iter().chain(self.v6.then_some(v6)).collect()
    }

    /// As lines or as one entry of `mesh.nodes`.
    fn addresses(self, number: usize) -> String {
        self.of(format!("10.0.0.{number}"), format!("'fd00::{number}'")).join(", ")
    }

    fn pod_cidrs(self, number: usize) -> String {
        let v6 = format!("'fd00:244:{number}::/64'");
        self.of(format!("10.244.{number}.0/24"), v6).join(", ")
    }
}

fn config(own: usize, nodes: &[Has]) -> String {
    let mut text = format!("node: node-{own}\nmesh:\n  holdTime: 9s\n  nodes:\n");
    for (index, has) in nodes.iter().enumerate() {
        let number = index + 1;
        let (addresses, pods) = (has.addresses(number), has.pod_cidrs(number));
        if number == own {
            text = format!("addresses: [{addresses}]\npodCIDRs: [{pods}]\n{text}");
        } else {
            text += &format!(
                "    - {{name: node-{number}, addresses: [{addresses}], podCIDRs: [{pods}]}}\n"
            );
        }
    }
    text
}

/// Nodes on one switch with a pod each, once every node is ready.
fn mesh(name: &str, families: &[Has]) -> Result<(Vec<Pod>, Vec<Node>, Lab)> {
    let lab = Lab::new(name)?;
    let lan = lab.switch("lan")?;
    let mut nodes = Vec::new();
    for (index, has) in families.iter().enumerate() {
        let number = index + 1;
        let host = lab.host(&format!("node-{number}"))?;
        let addresses = has.of(format!("10.0.0.{number}/24"), format!("fd00::{number}/64"));
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        lab.plug(&host, "eth0", &lan, &addresses)?;
        if !has.v4 {
            // Nothing may come to depend on IPv4 where there is none.
            host.run(&["ip", "-4", "address", "flush", "dev", "eth0"])?;
        }
        nodes.push(Node::new(host, &config(number, families))?);
    }
    nodes.iter().try_for_each(Node::start)?;
    let mut pods = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        node.wait_ready()?;
        pods.push(node.pod(&format!("pod-{}", index + 1))?);
    }
    Ok((pods, nodes, lab))
}

/// Waits until each node has a route to each other that it shares a family with, in every family
/// they share and in no other.
fn wait_routes(nodes: &[Node], families: &[Has]) -> Result<()> {
    for (at, node) in nodes.iter().enumerate() {
        for (to, has) in families.iter().enumerate().filter(|(to, _)| *to != at) {
            let number = to + 1;
            if has.v4 && families[at].v4 {
                node.wait_route(&format!("10.244.{number}.0/24"), &format!("via 10.0.0.{number}"))?;
            }
            if has.v6 && families[at].v6 {
                node.wait_route(
                    &format!("fd00:244:{number}::/64"),
                    &format!("via fd00::{number}"),
                )?;
            }
        }
    }
    Ok(())
}

fn every_pair_talks(name: &str, families: &[Has], flows: usize) -> Result<()> {
    let (pods, nodes, lab) = mesh(name, families)?;
    wait_routes(&nodes, families)?;
    let ends: Vec<Endpoint<'_>> = pods.iter().map(Endpoint::Pod).collect();
    let traffic = Traffic::start(&ends, 200)?;
    let sent = 200 * flows as u64;
    let mut traffic = traffic;
    wait("a second of packets on every flow", WAIT, || Ok(traffic.report()?.sent() >= sent))?;
    let report = traffic.stop()?;
    println!("{report}");
    assert_eq!((report.flows.len(), report.lost()), (flows, 0));
    for node in &nodes {
        let fib = node.json(&["fib"])?;
        assert_eq!(fib["missing"], serde_json::json!([]), "{fib}");
    }
    lab.passed()
}

#[test]
fn a_mesh_without_ipv4() -> Result<()> {
    skip_unless!(lab);
    every_pair_talks("only-v6", &[ONLY_V6; 3], 6)
}

#[test]
fn a_mesh_without_ipv6() -> Result<()> {
    skip_unless!(lab);
    every_pair_talks("only-v4", &[ONLY_V4; 3], 6)
}

/// The node with both reaches each of the others in its family. Those two share none: each says so,
/// and is ready all the same.
#[test]
fn a_mixed_mesh() -> Result<()> {
    skip_unless!(lab);
    let families = [BOTH, ONLY_V4, ONLY_V6];
    let (pods, nodes, lab) = mesh("mixed", &families)?;
    wait_routes(&nodes, &families)?;
    for pair in [[0, 1], [0, 2]] {
        let ends: Vec<Endpoint<'_>> = pair.iter().map(|at| Endpoint::Pod(&pods[*at])).collect();
        let report = Traffic::start(&ends, 200)?.stop()?;
        println!("{report}");
        assert_eq!((report.flows.len(), report.lost()), (2, 0));
    }
    for (node, other) in [(&nodes[1], "node-3"), (&nodes[2], "node-2")] {
        wait(format_args!("{} to tell of {other}", node.name()), WAIT, || {
            let answer = node.cli(&["status"])?;
            Ok(answer.stdout.contains(other))
        })?;
        hold("no session", std::time::Duration::from_millis(200), || {
            Ok(node.peer(other).map_or(true, |peer| peer["state"] != "Established"))
        })?;
    }
    lab.passed()
}
