//! Agents come and go; packets do not notice.
//!
//! Three nodes with two pods each, 200 packets a second between every ordered pair of pods, IPv4
//! and IPv6. Mesh hold time 9 s.

use std::time::Duration;

use anyhow::Result;
use twill_tests::cluster::{Cluster, Plan};
use twill_tests::lab::{WAIT, hold, wait};
use twill_tests::node::Node;
use twill_tests::routelog::RouteLog;
use twill_tests::skip_unless;
use twill_tests::traffic::Traffic;

/// How long a killed agent stays away.
const AWAY: Duration = Duration::from_secs(10);

/// A mesh under traffic, each node's kernel watched.
struct Scene {
    cluster: Cluster,
    traffic: Traffic,
    logs: Vec<RouteLog>,
}

impl Scene {
    fn start(name: &str) -> Result<Scene> {
        let cluster = Cluster::start(name, Plan::default())?;
        let logs =
            cluster.nodes.iter().map(|node| RouteLog::start(node.host())).collect::<Result<_>>()?;
        let traffic = Traffic::start(&cluster.endpoints(), 200)?;
        Ok(Scene { cluster, traffic, logs })
    }

    fn node(&self, index: usize) -> &Node {
        &self.cluster.nodes[index]
    }

    /// Everyone's routes to everyone stand in every kernel, whatever the agents do.
    fn routes_stand(&self) -> Result<bool> {
        for (at, node) in self.cluster.nodes.iter().enumerate() {
            let all = node.host().run(&["ip", "route", "show", "proto", "116"])?;
            let others = (0..self.cluster.nodes.len()).filter(|other| *other != at);
            for other in others {
                if !all.contains(&format!("10.244.{}.0/24 via", other + 1)) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// All sessions up, no stale route anywhere.
    fn wait_settled(&self) -> Result<()> {
        self.cluster.wait_mesh()?;
        for node in &self.cluster.nodes {
            wait(format_args!("{} to hold nothing stale", node.name()), WAIT, || {
                let status = node.json(&["status"])?;
                let routes = &status["routes"];
                Ok(routes["stale"] == 0
                    && routes["missing"] == 0
                    && status["peers"]["established"] == 2)
            })?;
        }
        Ok(())
    }

    /// Not one packet lost, and no kernel ever removed a route to a pod.
    fn end(self) -> Result<()> {
        // What a restart set in motion would show in the seconds after it.
        hold("every route in every kernel", Duration::from_secs(3), || self.routes_stand())?;
        let report = self.traffic.stop()?;
        println!("{report}");
        for (index, log) in self.logs.iter().enumerate() {
            for other in 1..=self.cluster.nodes.len() {
                for prefix in [format!("10.244.{other}.0/24"), format!("fd00:244:{other:x}::/64")] {
                    assert!(
                        !log.was_deleted(&prefix),
                        "{} removed {prefix}: {:?}",
                        self.cluster.nodes[index].name(),
                        log.events(&prefix)
                    );
                }
            }
        }
        assert_eq!(report.lost(), 0, "{report}");
        self.cluster.lab.passed()
    }
}

#[test]
fn one_agent_is_killed_and_stays_down_ten_seconds() -> Result<()> {
    skip_unless!(lab);
    let scene = Scene::start("kill-one")?;
    scene.node(0).kill()?;
    for peer in [1, 2] {
        wait("the others to see the session drop", WAIT, || {
            Ok(scene.node(peer).peer("node-a")?["state"] != "Established")
        })?;
    }
    hold("every route in every kernel", AWAY, || scene.routes_stand())?;
    scene.node(0).start()?;
    scene.wait_settled()?;
    assert_eq!(scene.node(1).peer("node-a")?["flaps"], 1);
    scene.end()
}

#[test]
fn all_agents_are_killed_at_once() -> Result<()> {
    skip_unless!(lab);
    let scene = Scene::start("kill-all")?;
    for node in &scene.cluster.nodes {
        node.kill()?;
    }
    hold("every route in every kernel", AWAY, || scene.routes_stand())?;
    for node in &scene.cluster.nodes {
        node.start()?;
    }
    scene.wait_settled()?;
    scene.end()
}

#[test]
fn two_agents_are_killed_three_seconds_apart() -> Result<()> {
    skip_unless!(lab);
    let scene = Scene::start("kill-two")?;
    scene.node(0).kill()?;
    hold("every route in every kernel", Duration::from_secs(3), || scene.routes_stand())?;
    scene.node(1).kill()?;
    hold("every route in every kernel", AWAY - Duration::from_secs(3), || scene.routes_stand())?;
    scene.node(0).start()?;
    hold("every route in every kernel", Duration::from_secs(3), || scene.routes_stand())?;
    scene.node(1).start()?;
    scene.wait_settled()?;
    scene.end()
}

/// As a rolling update does: SIGTERM, start again, wait until ready, then the next.
#[test]
fn agents_are_restarted_politely_one_after_the_other() -> Result<()> {
    skip_unless!(lab);
    let scene = Scene::start("rolling")?;
    for node in &scene.cluster.nodes {
        node.terminate()?;
        node.start()?;
        scene.wait_settled()?;
    }
    scene.end()
}
