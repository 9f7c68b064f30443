//! A cluster of our nodes on one switch, the shape that most scenarios begin with.
//!
//! Node `n` is `10.0.0.n`, `fd00::n`, with the pod CIDRs `10.244.n.0/24` and `fd00:244:n::/64`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;

use crate::lab::{Host, Lab, Port, Switch, WAIT, wait};
use crate::node::Node;
use crate::pod::Pod;
use crate::traffic::Endpoint;

/// What a cluster is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many nodes.
    pub nodes: usize,
    /// How many of them, the last ones, run another router instead of our agent; the test makes
    /// them.
    pub foreign: usize,
    /// How many pods on each.
    pub pods: usize,
    /// Hold time of the mesh, seconds.
    pub hold_time: u32,
    /// Lines of the configuration file under `mesh:`, without indentation.
    pub mesh: String,
    /// What stands beside a node's name in the list of nodes, such as `reflector: 1.1.1.1`, by
    /// number. With any, the mesh's mode is `reflector`.
    pub marks: BTreeMap<usize, &'static str>,
    /// Further lines of the configuration file, such as `peers:`.
    pub more: String,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            nodes: 3,
            foreign: 0,
            pods: 2,
            hold_time: 9,
            mesh: String::new(),
            marks: BTreeMap::new(),
            more: String::new(),
        }
    }
}

impl Plan {
    /// The configuration of node `number`, which peers with the others.
    pub fn config(&self, number: usize) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "node: {}", node_name(number));
        let _ = writeln!(text, "addresses: [10.0.0.{number}, fd00::{number:x}]");
        let _ = writeln!(text, "podCIDRs: [10.244.{number}.0/24, fd00:244:{number:x}::/64]");
        let mode = if self.marks.is_empty() { "full" } else { "reflector" };
        let _ = writeln!(text, "mesh:\n  mode: {mode}\n  holdTime: {}s", self.hold_time);
        for line in self.mesh.lines() {
            let _ = writeln!(text, "  {line}");
        }
        if self.nodes > 1 {
            let _ = writeln!(text, "  nodes:");
        }
        for other in 1..=self.nodes {
            let mark = self.marks.get(&other).map(|mark| format!(", {mark}")).unwrap_or_default();
            if other == number {
                // Only so is it told what it is itself.
                if !mark.is_empty() {
                    let _ = writeln!(text, "    - {{name: {}{mark}}}", node_name(other));
                }
                continue;
            }
            let _ = writeln!(
                text,
                "    - {{name: {}, addresses: [10.0.0.{other}, fd00::{other:x}], \
                 podCIDRs: [10.244.{other}.0/24, 'fd00:244:{other:x}::/64']{mark}}}",
                node_name(other)
            );
        }
        text + &self.more
    }
}

/// `node-a` for 1.
pub fn node_name(number: usize) -> String {
    let letter = u8::try_from(number).ok().and_then(|number| number.checked_add(b'a' - 1));
    format!("node-{}", char::from(letter.unwrap_or(b'?')))
}

/// Nodes on a switch, and their pods.
pub struct Cluster {
    // Before the lab: pods and nodes end while their hosts still stand.
    /// By number, from 0.
    pub pods: Vec<Pod>,
    /// By number, from 0.
    pub nodes: Vec<Node>,
    /// The switch's ends of the nodes' cables, by number, from 0.
    pub ports: Vec<Port>,
    /// The switch that all nodes are on.
    pub lan: Switch,
    /// As asked for.
    pub plan: Plan,
    /// What it stands in.
    pub lab: Lab,
}

impl Cluster {
    /// Hosts, cables and configurations; no agent runs yet.
    pub fn build(name: &str, plan: Plan) -> Result<Cluster> {
        let lab = Lab::new(name)?;
        let lan = lab.switch("lan")?;
        let mut cluster =
            Cluster { pods: Vec::new(), nodes: Vec::new(), ports: Vec::new(), lan, plan, lab };
        for number in 1..=cluster.plan.nodes - cluster.plan.foreign {
            let (node, port) = cluster.make_node(number)?;
            cluster.nodes.push(node);
            cluster.ports.push(port);
        }
        Ok(cluster)
    }

    fn make_node(&self, number: usize) -> Result<(Node, Port)> {
        let host = self.lab.host(&node_name(number))?;
        let addresses = [format!("10.0.0.{number}/24"), format!("fd00::{number:x}/64")];
        let port = self.lab.plug(&host, "eth0", &self.lan, &[&addresses[0], &addresses[1]])?;
        Ok((Node::new(host, &self.plan.config(number))?, port))
    }

    /// Builds it, starts all agents, waits until every node has every other's routes, and attaches
    /// the pods.
    pub fn start(name: &str, plan: Plan) -> Result<Cluster> {
        let mut cluster = Cluster::build(name, plan)?;
        for node in &cluster.nodes {
            node.start()?;
        }
        cluster.wait_mesh()?;
        cluster.attach_pods()?;
        Ok(cluster)
    }

    /// Attaches the plan's pods to every node.
    pub fn attach_pods(&mut self) -> Result<()> {
        for (index, node) in self.nodes.iter().enumerate() {
            for pod in 1..=self.plan.pods {
                self.pods.push(node.pod(&format!("pod-{}{pod}", letter(index)))?);
            }
        }
        Ok(())
    }

    /// Replaces a node that was powered off by a new one of the same name; its agent runs.
    pub fn revive(&mut self, index: usize) -> Result<()> {
        let (node, port) = self.make_node(index + 1)?;
        // As network managers do, it tells its neighbours who has the address now; else they could
        // send to the machine that is gone for as long as they believed it reachable (30 s in the
        // mean, RFC 4861 section 7.3.3).
        for other in (1..=self.plan.nodes).filter(|other| *other != index + 1) {
            // One that is away itself need not know.
            let _ = node.ping(format!("fd00::{other:x}").parse()?);
        }
        node.start()?;
        self.nodes[index] = node;
        self.ports[index] = port;
        Ok(())
    }

    /// Waits until every node of ours is ready and has routes to all others in the kernel.
    pub fn wait_mesh(&self) -> Result<Duration> {
        wait("the mesh", WAIT, || {
            for (at, node) in self.nodes.iter().enumerate() {
                for number in (1..=self.plan.nodes).filter(|number| *number != at + 1) {
                    let v4 = node.has_route(&format!("10.244.{number}.0/24"), "via")?;
                    let v6 = node.has_route(&format!("fd00:244:{number:x}::/64"), "via")?;
                    if !(v4 && v6) {
                        return Ok(false);
                    }
                }
                if node.json(&["status"])?["ready"] != true {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// Every pod, for traffic.
    pub fn endpoints(&self) -> Vec<Endpoint<'_>> {
        self.pods.iter().map(Endpoint::Pod).collect()
    }

    /// A further host on the switch, such as an outside router.
    pub fn neighbor(&self, name: &str, addresses: &[&str]) -> Result<Rc<Host>> {
        let host = self.lab.host(name)?;
        self.lab.plug(&host, "eth0", &self.lan, addresses)?;
        Ok(host)
    }
}

/// `a` for index 0.
fn letter(index: usize) -> char {
    node_name(index + 1).chars().last().unwrap_or('?')
}
