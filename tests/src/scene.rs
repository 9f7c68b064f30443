//! A cluster under traffic, each kernel watched: what must hold while agents come and go.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::cluster::{Cluster, Plan};
use crate::lab::{WAIT, hold, wait};
use crate::node::Node;
use crate::routelog::RouteLog;
use crate::traffic::{Endpoint, Traffic};

/// A mesh under traffic.
pub struct Scene {
    /// The nodes.
    pub cluster: Cluster,
    traffic: Option<Traffic>,
    logs: Vec<RouteLog>,
    rate: u32,
}

impl Scene {
    /// A cluster that is up, with traffic between all of its pods: `rate` packets a second between
    /// each ordered pair in each family.
    pub fn start(name: &str, plan: Plan, rate: u32) -> Result<Scene> {
        Scene::of(Cluster::start(name, plan)?, rate)
    }

    /// The same with a cluster that was made otherwise.
    pub fn of(cluster: Cluster, rate: u32) -> Result<Scene> {
        let logs =
            cluster.nodes.iter().map(|node| RouteLog::start(node.host())).collect::<Result<_>>()?;
        let mut scene = Scene { cluster, traffic: None, logs, rate };
        scene.flow(&[])?;
        Ok(scene)
    }

    /// Traffic begins between all pods, and `others` with them.
    pub fn flow(&mut self, others: &[Endpoint<'_>]) -> Result<()> {
        let mut ends = self.cluster.endpoints();
        ends.extend_from_slice(others);
        self.traffic = Some(Traffic::start(&ends, self.rate)?);
        Ok(())
    }

    /// Traffic ends. Not one packet was lost.
    pub fn lost_nothing(&mut self) -> Result<()> {
        let Some(traffic) = self.traffic.take() else { return Ok(()) };
        let report = traffic.stop()?;
        println!("{report}");
        ensure!(report.lost() == 0, "packets were lost: {report}");
        Ok(())
    }

    /// A node by its index, from 0.
    pub fn node(&self, index: usize) -> &Node {
        &self.cluster.nodes[index]
    }

    /// Everyone's routes to everyone stand in every kernel, whatever the agents do.
    pub fn routes_stand(&self) -> Result<bool> {
        for at in 0..self.cluster.nodes.len() {
            let others = (1..=self.cluster.plan.nodes).filter(|other| *other != at + 1);
            if !self.has_routes(at, others)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the kernel of the node of index `at` has the routes to the nodes of these numbers.
    pub fn has_routes(&self, at: usize, to: impl IntoIterator<Item = usize>) -> Result<bool> {
        let all = self.node(at).host().run(&["ip", "route", "show", "proto", "116"])?;
        Ok(to.into_iter().all(|number| all.contains(&format!("10.244.{number}.0/24 via"))))
    }

    /// All sessions up, no stale route anywhere.
    pub fn wait_settled(&self) -> Result<()> {
        self.cluster.wait_mesh()?;
        for node in &self.cluster.nodes {
            wait(format_args!("{} to hold nothing stale", node.name()), WAIT, || {
                let status = node.json(&["status"])?;
                let routes = &status["routes"];
                let peers = &status["peers"];
                Ok(routes["stale"] == 0
                    && routes["missing"] == 0
                    && peers["established"] == peers["configured"])
            })?;
        }
        Ok(())
    }

    /// No kernel ever removed a route to a pod of the nodes of these numbers.
    pub fn never_removed(&self, of: impl IntoIterator<Item = usize>) -> Result<()> {
        for number in of {
            for (log, node) in self.logs.iter().zip(&self.cluster.nodes) {
                for prefix in [format!("10.244.{number}.0/24"), format!("fd00:244:{number:x}::/64")]
                {
                    ensure!(
                        !log.was_deleted(&prefix),
                        "{} removed {prefix}: {:?}",
                        node.name(),
                        log.events(&prefix)
                    );
                }
            }
        }
        Ok(())
    }

    /// The end: not one packet lost, and no kernel ever removed a route to a pod.
    pub fn end(mut self) -> Result<()> {
        // What a restart set in motion would show in the seconds after it.
        hold("every route in every kernel", Duration::from_secs(3), || self.routes_stand())?;
        self.lost_nothing()?;
        self.never_removed(1..=self.cluster.plan.nodes)?;
        self.cluster.lab.passed()
    }
}
