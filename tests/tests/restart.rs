//! Agents come and go; packets do not notice.
//!
//! Three nodes with two pods each, 200 packets a second between every ordered pair of pods, IPv4
//! and IPv6. Mesh hold time 9 s.

use std::time::{Duration, Instant};

use anyhow::Result;
use twill_tests::cluster::Plan;
use twill_tests::lab::{WAIT, hold, wait};
use twill_tests::scene::Scene;
use twill_tests::skip_unless;

/// How long a killed agent stays away.
const AWAY: Duration = Duration::from_secs(10);

/// Three nodes of two pods.
fn start(name: &str) -> Result<Scene> {
    Scene::start(name, Plan::default(), 200)
}

#[test]
fn one_agent_is_killed_and_stays_down_ten_seconds() -> Result<()> {
    skip_unless!(lab);
    let scene = start("kill-one")?;
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
    let scene = start("kill-all")?;
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
    let scene = start("kill-two")?;
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
    let scene = start("rolling")?;
    for node in &scene.cluster.nodes {
        node.terminate()?;
        node.start()?;
        scene.wait_settled()?;
    }
    scene.end()
}

/// All three agents are killed; two return, the third never does, though its host goes on
/// forwarding. (Restart time 30 s, deferral 15 s.) The two wait for it, and all packets, also to
/// the third's pods, arrive meanwhile; then they call themselves ready and sweep its routes, and
/// theirs to each other stay. When it returns after all, all is as before.
#[test]
fn one_of_three_agents_never_returns() -> Result<()> {
    const DEFERRAL: Duration = Duration::from_secs(15);
    skip_unless!(lab);
    let mesh = "restartTime: 30s\ndeferralTime: 15s".to_owned();
    let mut scene = Scene::start("never-returns", Plan { mesh, ..Plan::default() }, 100)?;
    for node in &scene.cluster.nodes {
        node.kill()?;
    }
    hold("every route in every kernel", Duration::from_secs(3), || scene.routes_stand())?;
    let begin = Instant::now();
    for index in [0, 1] {
        scene.node(index).start()?;
    }
    for (index, other) in [(0, "node-b"), (1, "node-a")] {
        scene.node(index).wait_peer(other, "Established")?;
        let status = scene.node(index).json(&["status"])?;
        assert_eq!(status["ready"], false, "it waits for node-c: {status}");
        assert_eq!(status["routes"]["stale"], 2, "node-c's: {status}");
    }
    let early = (DEFERRAL - Duration::from_secs(5)).saturating_sub(begin.elapsed());
    hold("every route in every kernel", early, || scene.routes_stand())?;
    scene.lost_nothing()?;
    assert!(begin.elapsed() < DEFERRAL, "the machine is too slow for this test");

    // What is left for the traffic: the pods of the two.
    let of_the_third = scene.cluster.pods.split_off(4);
    scene.flow(&[])?;
    for index in [0, 1] {
        let node = scene.node(index);
        for prefix in ["10.244.3.0/24", "fd00:244:3::/64"] {
            node.wait_no_route(prefix, WAIT)?;
        }
        println!("{}: swept {:.1?} after the start", node.name(), begin.elapsed());
        assert!(begin.elapsed() >= DEFERRAL, "swept before the deferral was over");
        node.wait_ready()?;
    }
    hold("the routes of the two", Duration::from_secs(2), || {
        Ok(scene.has_routes(0, [2])? && scene.has_routes(1, [1])?)
    })?;
    scene.never_removed(1..=2)?;
    scene.lost_nothing()?;

    scene.node(2).start()?;
    scene.wait_settled()?;
    scene.cluster.pods.extend(of_the_third);
    scene.flow(&[])?;
    scene.lost_nothing()?;
    scene.cluster.lab.passed()
}
