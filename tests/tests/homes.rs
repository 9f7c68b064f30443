//! Nodes with two addresses of one family, on two networks.

use std::time::Duration;

use anyhow::Result;
use twill_tests::lab::{Lab, WAIT, wait};
use twill_tests::node::Node;
use twill_tests::pod::Pod;
use twill_tests::skip_unless;
use twill_tests::traffic::{Endpoint, Traffic};

/// Networks 0 and 1 are `10.0.0.0/24` and `10.1.0.0/24`, `fd00::/64` and `fd01::/64`.
fn address(network: usize, number: usize) -> [String; 2] {
    [format!("10.{network}.0.{number}"), format!("fd0{network}::{number}")]
}

/// What the lists say of a node, in this order of networks.
fn listed(number: usize, networks: &[usize]) -> String {
    let all: Vec<String> = networks.iter().flat_map(|network| address(*network, number)).collect();
    format!(
        "addresses: ['{}'], podCIDRs: [10.244.{number}.0/24, 'fd00:244:{number}::/64']",
        all.join("', '")
    )
}

/// The configuration of node `own`; `lists`: of each node, by number from 1.
fn config(own: usize, lists: &[&[usize]]) -> String {
    let mut text = format!("node: node-{own}\nmesh:\n  holdTime: 3s\n  nodes:\n");
    for (index, networks) in lists.iter().enumerate() {
        let number = index + 1;
        text += &format!("    - {{name: node-{number}, {}}}\n", listed(number, networks));
    }
    text
}

/// Nodes that have the interface `eth0` on network 0, and `eth1` on network 1, where `plugged`
/// says so; addresses of other networks are on the loopback interface.
fn nodes(lab: &Lab, plugged: &[&[usize]], lists: &[&[usize]]) -> Result<Vec<Node>> {
    let lans = [lab.switch("lan0")?, lab.switch("lan1")?];
    let mut nodes = Vec::new();
    for (index, networks) in plugged.iter().enumerate() {
        let number = index + 1;
        let host = lab.host(&format!("node-{number}"))?;
        for network in *networks {
            let [v4, v6] = address(*network, number);
            let addresses = [format!("{v4}/24"), format!("{v6}/64")];
            let addresses = [addresses[0].as_str(), addresses[1].as_str()];
            lab.plug(&host, &format!("eth{network}"), &lans[*network], &addresses)?;
        }
        for network in lists[index].iter().filter(|network| !networks.contains(network)) {
            let [v4, v6] = address(*network, number);
            host.configure("lo", &[&format!("{v4}/32"), &format!("{v6}/128")])?;
        }
        nodes.push(Node::new(host, &config(number, lists))?);
    }
    Ok(nodes)
}

fn nothing_is_lost(pods: &[&Pod]) -> Result<()> {
    let ends: Vec<Endpoint<'_>> = pods.iter().map(|pod| Endpoint::Pod(pod)).collect();
    let mut traffic = Traffic::start(&ends, 200)?;
    let flows = (pods.len() * (pods.len() - 1) * 2) as u64;
    wait("a second of packets", WAIT, || Ok(traffic.report()?.sent() >= 200 * flows))?;
    let report = traffic.stop()?;
    println!("{report}");
    assert_eq!((report.flows.len() as u64, report.lost()), (flows, 0));
    Ok(())
}

/// node-1 is on both networks, node-2 and node-3 on one each. node-2 lists an address first that
/// nobody can reach. node-1 talks with each on the network that they share, and every next hop is
/// of that network.
#[test]
fn a_node_on_two_networks_meets_each_other_on_the_shared_one() -> Result<()> {
    skip_unless!(lab);
    let lab = Lab::new("homes")?;
    let nodes = nodes(&lab, &[&[0, 1], &[1], &[0]], &[&[0, 1], &[9, 1], &[0]])?;
    nodes.iter().try_for_each(Node::start)?;
    nodes[0].wait_peer("node-2", "Established")?;
    nodes[0].wait_peer("node-3", "Established")?;
    for (at, prefix, via) in [
        (0, "10.244.2.0/24", "via 10.1.0.2 dev eth1"),
        (0, "fd00:244:2::/64", "via fd01::2 dev eth1"),
        (0, "10.244.3.0/24", "via 10.0.0.3 dev eth0"),
        (0, "fd00:244:3::/64", "via fd00::3 dev eth0"),
        (1, "10.244.1.0/24", "via 10.1.0.1"),
        (1, "fd00:244:1::/64", "via fd01::1"),
        (2, "10.244.1.0/24", "via 10.0.0.1"),
        (2, "fd00:244:1::/64", "via fd00::1"),
    ] {
        nodes[at].wait_route(prefix, via)?;
    }
    let peer = nodes[0].peer("node-2")?;
    assert!(["10.1.0.2", "fd01::2"].map(Into::into).contains(&peer["address"]), "{peer}");
    assert_eq!(nodes[0].json(&["fib"])?["missing"], serde_json::json!([]));
    let pods: Vec<Pod> = nodes
        .iter()
        .map(|node| node.pod(&format!("pod-of-{}", node.name())))
        .collect::<Result<_>>()?;
    nothing_is_lost(&[&pods[0], &pods[1]])?;
    nothing_is_lost(&[&pods[0], &pods[2]])?;
    lab.passed()
}

/// Both nodes are on both networks. The network that the session runs over fails: packets flow
/// again once the hold timer (3 s) has ended the session and the other pair has met.
#[test]
fn a_network_that_fails_is_replaced_by_the_other() -> Result<()> {
    skip_unless!(lab);
    let lab = Lab::new("homes-fail")?;
    let nodes = nodes(&lab, &[&[0, 1], &[0, 1]], &[&[0, 1], &[0, 1]])?;
    nodes.iter().try_for_each(Node::start)?;
    nodes[0].wait_route("10.244.2.0/24", "via 10.0.0.2 dev eth0")?;
    nodes[1].wait_route("10.244.1.0/24", "via 10.0.0.1 dev eth0")?;
    let pods = [nodes[0].pod("pod-1")?, nodes[1].pod("pod-2")?];
    nothing_is_lost(&[&pods[0], &pods[1]])?;

    nodes[0].host().run(&["ip", "link", "set", "eth0", "down"])?;
    let took = nodes[1].wait_route("10.244.1.0/24", "via 10.1.0.1 dev eth1")?;
    nodes[1].wait_route("fd00:244:1::/64", "via fd01::1 dev eth1")?;
    nodes[0].wait_route("10.244.2.0/24", "via 10.1.0.2 dev eth1")?;
    nodes[0].wait_route("fd00:244:2::/64", "via fd01::2 dev eth1")?;
    println!("the routes go by the other network {:.1} s after", took.as_secs_f64());
    assert!(took < Duration::from_secs(15), "{took:?}");
    nothing_is_lost(&[&pods[0], &pods[1]])?;
    lab.passed()
}
