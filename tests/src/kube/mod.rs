//! A Kubernetes cluster in the lab: Node objects on an API server, and on each node an agent as
//! the DaemonSet would run it.
//!
//! ```text
//! lan ── node-a 10.0.0.1 ── agent (sandbox) ── kubeconfig ──┐
//!     ── node-b 10.0.0.2 ── agent                           │
//!     ── node-c 10.0.0.3 ── agent                           │
//!     ── api    10.0.0.200 ── stand-in or kube-apiserver <──┴── kubectl
//! ```
//!
//! Node `n` has the pod CIDRs `10.244.n.0/24` and `fd00:244:n::/64`. Nobody plays the kubelet or
//! the controller manager but the test.

mod api;
pub mod real;
pub mod sandbox;

use anyhow::Result;
use serde_json::{Value, json};

pub use self::api::{ADDRESS, Api, NAMESPACE, Server};
use crate::cluster::node_name;
use crate::lab::{Lab, Switch, WAIT, wait};
use crate::node::{Node, binary};
use crate::pod::Pod;
use crate::traffic::Endpoint;

/// The agent's kubeconfig, on its node.
const KUBECONFIG: &str = "/etc/twill/kubeconfig";
/// What belongs to one node alone.
const NODE_CONFIG: &str = "/etc/twill/node.yaml";

/// A cluster, its API server and its agents.
pub struct KubeCluster {
    // Before the lab: pods and nodes end while their hosts still stand.
    /// Two of each node, by number, from 0.
    pub pods: Vec<Pod>,
    /// By number, from 0.
    pub nodes: Vec<Node>,
    /// The API server.
    pub api: Api,
    /// The switch that all are on.
    pub lan: Switch,
    /// What it stands in.
    pub lab: Lab,
}

impl KubeCluster {
    /// The API server with the manifests of `deploy/base`, and hosts for so many nodes. No Node
    /// object is there yet, and no agent runs.
    pub fn build(server: Server, name: &str, nodes: usize) -> Result<KubeCluster> {
        let lab = Lab::new(name)?;
        let lan = lab.switch("lan")?;
        let host = lab.host("api")?;
        lab.plug(&host, "eth0", &lan, &["10.0.0.200/24", "fd00::200/64"])?;
        let api = match server {
            Server::StandIn => Api::stand_in(&lab, host)?,
            Server::Real => Api::real(&lab, host)?,
        };
        api.apply_folder(&sandbox::deploy().join("base"))?;
        let mut cluster = KubeCluster { pods: Vec::new(), nodes: Vec::new(), api, lan, lab };
        for number in 1..=nodes {
            let node = cluster.make_node(number)?;
            cluster.nodes.push(node);
        }
        Ok(cluster)
    }

    fn make_node(&self, number: usize) -> Result<Node> {
        let name = node_name(number);
        let host = self.lab.host(&name)?;
        let addresses = [format!("10.0.0.{number}/24"), format!("fd00::{number:x}/64")];
        self.lab.plug(&host, "eth0", &self.lan, &[&addresses[0], &addresses[1]])?;
        host.write(KUBECONFIG, &self.api.agent_kubeconfig()?)?;
        host.write(NODE_CONFIG, "apiServer: {watchTimeout: 10s}\n")?;
        let twill = binary("twill")?.to_string_lossy().into_owned();
        let variable = format!("NODE_NAME={name}");
        let command =
            sandbox::command(&["env", &variable, &twill, "agent", "--kubeconfig", KUBECONFIG])?;
        Node::with_command(host, command)
    }

    /// Builds it with so many hosts; creates the first `nodes` Nodes, starts their agents, waits
    /// for their mesh, and attaches two pods to each.
    pub fn start(server: Server, name: &str, hosts: usize, nodes: usize) -> Result<KubeCluster> {
        let mut cluster = KubeCluster::build(server, name, hosts)?;
        for number in 1..=nodes {
            cluster.api.apply(&node_object(number))?;
        }
        for node in &cluster.nodes[..nodes] {
            node.start()?;
        }
        cluster.wait_mesh(nodes)?;
        for index in 0..nodes {
            cluster.attach_pods(index, 2)?;
        }
        Ok(cluster)
    }

    /// Attaches so many pods to a node.
    pub fn attach_pods(&mut self, index: usize, count: usize) -> Result<()> {
        let node = &self.nodes[index];
        for pod in 1..=count {
            self.pods.push(node.pod(&format!("pod-{pod}-{}", node.name()))?);
        }
        Ok(())
    }

    /// Waits until each of the first `nodes` is ready, has sessions with the others, and nothing
    /// but their routes in its kernel.
    pub fn wait_mesh(&self, nodes: usize) -> Result<()> {
        wait("the mesh", WAIT, || {
            for (at, node) in self.nodes[..nodes].iter().enumerate() {
                for number in (1..=nodes).filter(|number| *number != at + 1) {
                    if !has_routes(node, number)? {
                        return Ok(false);
                    }
                }
                let status = node.json(&["status"])?;
                let settled = status["ready"] == true
                    && status["peers"]["established"] == nodes - 1
                    && status["routes"]["stale"] == 0
                    && status["routes"]["missing"] == 0;
                if !settled {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .map(drop)
    }

    /// Every pod, for traffic.
    pub fn endpoints(&self) -> Vec<Endpoint<'_>> {
        self.pods.iter().map(Endpoint::Pod).collect()
    }
}

/// Whether a node's kernel has routes to the pods of node `number`.
pub fn has_routes(node: &Node, number: usize) -> Result<bool> {
    Ok(node.has_route(&format!("10.244.{number}.0/24"), "via")?
        && node.has_route(&format!("fd00:244:{number:x}::/64"), "via")?)
}

/// Node `number`, as its kubelet and the controller manager make it.
pub fn node_object(number: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": node_name(number), "labels": {"kubernetes.io/os": "linux"}},
        "spec": {"podCIDR": format!("10.244.{number}.0/24"),
                 "podCIDRs": [format!("10.244.{number}.0/24"), format!("fd00:244:{number:x}::/64")]},
        "status": {"addresses": [
            {"type": "InternalIP", "address": format!("10.0.0.{number}")},
            {"type": "InternalIP", "address": format!("fd00::{number:x}")},
            {"type": "Hostname", "address": node_name(number)}]},
    })
}
