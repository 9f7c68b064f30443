//! A topology as a picture for the terminal.

use std::fmt::Write as _;

use super::topology::{Node, Topology};

/// Every node with its cables, each end with its interface; bridges first, for all hangs on them.
///
/// ```text
/// tor-a  quay.io/frrouting/frr:10.2.1
///  ├─ eth1 ─────── eth1 ─ node-a
///  └─ eth2 ─────── eth1 ─ node-b
/// ```
pub fn picture(topology: &Topology) -> String {
    let mut order: Vec<(&String, &Node)> = topology.nodes.iter().collect();
    let cables = |name: &str| {
        topology.links.iter().flat_map(|link| &link.ends).filter(|(node, _)| node == name).count()
    };
    order.sort_by_key(|(name, node)| {
        (matches!(node, Node::Machine(_)), std::cmp::Reverse(cables(name)))
    });
    let width = |pick: fn(&(String, String)) -> &String| {
        let ends = topology.links.iter().flat_map(|link| &link.ends);
        ends.map(|end| pick(end).chars().count()).max().unwrap_or(0)
    };
    let (name_width, interface_width) = (width(|end| &end.0), width(|end| &end.1));
    let mut text = format!("{}\n", topology.name);
    for (name, node) in order {
        let what = match node {
            Node::Bridge => "bridge",
            Node::Machine(machine) => &machine.image,
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n{name:name_width$}  {what}");
        let ends: Vec<_> = topology
            .links
            .iter()
            .flat_map(|link| [(&link.ends[0], &link.ends[1]), (&link.ends[1], &link.ends[0])])
            .filter(|(near, _)| near.0 == *name)
            .collect();
        for (number, (near, far)) in ends.iter().enumerate() {
            let corner = if number + 1 == ends.len() { '└' } else { '├' };
            let left = "─".repeat(interface_width - near.1.chars().count());
            let right = "─".repeat(interface_width - far.1.chars().count());
            let _ = writeln!(text, " {corner}─ {} {left}──{right} {} ─ {}", near.1, far.1, far.0);
        }
    }
    text
}
