//! Route reflection: nodes learn each other's routes from reflectors alone (RFC 4456), packets go
//! from node to node all the same, and a reflector that is lost takes nothing with it but its own
//! pods.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use twill_tests::cluster::{Cluster, Plan};
use twill_tests::lab::{Host, WAIT, hold, wait, wait_for};
use twill_tests::node::Node;
use twill_tests::router::{Bird, Frr};
use twill_tests::scene::Scene;
use twill_tests::skip_unless;
use twill_tests::traffic::Endpoint;

/// `prefix` as `from` sent it, as `twill routes --all` shows it.
fn route(node: &Node, prefix: &str, from: &str) -> Result<Value> {
    wait_for(format_args!("{}: {prefix} from {from}", node.name()), WAIT, || {
        let routes = node.json(&["routes", "--all"])?;
        let routes = routes.as_array().cloned().unwrap_or_default();
        Ok(routes.into_iter().find(|route| route["prefix"] == prefix && route["from"] == from))
    })
}

/// The names of a node's peers.
fn peers(node: &Node) -> Result<Vec<String>> {
    let peers = node.json(&["peers"])?;
    let names = peers.as_array().into_iter().flatten();
    Ok(names.filter_map(|peer| Some(peer["name"].as_str()?.to_owned())).collect())
}

/// ```text
/// cluster 1.1.1.1                    cluster 2.2.2.2
///   reflectors  node-a ── node-b ───── node-c  reflector
///                 │ ╲    ╱ │   (and a ── c)  │
///   clients    node-d    node-e           node-f  client
/// ```
/// All on one switch, a pod on each. In: the agent of reflector b is killed and comes back, then
/// its host loses its power and another takes its place. Out: no packet between the pods of the
/// others is lost at any time, and of their routes no kernel removes one.
#[test]
fn two_reflectors_in_one_cluster_and_one_in_another() -> Result<()> {
    skip_unless!(lab);
    let marks = BTreeMap::from([
        (1, "reflector: 1.1.1.1"),
        (2, "reflector: 1.1.1.1"),
        (3, "reflector: 2.2.2.2"),
        (4, "clientOf: 1.1.1.1"),
        (5, "clientOf: 1.1.1.1"),
        (6, "clientOf: 2.2.2.2"),
    ]);
    let plan = Plan { nodes: 6, pods: 1, marks, ..Plan::default() };
    let mut scene = Scene::start("reflection", plan, 100)?;
    who_speaks_with_whom(&scene)?;
    what_is_reflected(&scene)?;

    scene.node(1).kill()?;
    for other in [0, 2, 3, 4] {
        wait("the others to see the session drop", WAIT, || {
            Ok(scene.node(other).peer("node-b")?["state"] != "Established")
        })?;
    }
    hold("every route in every kernel", Duration::from_secs(3), || scene.routes_stand())?;
    scene.node(1).start()?;
    scene.wait_settled()?;
    hold("every route in every kernel", Duration::from_secs(2), || scene.routes_stand())?;
    scene.lost_nothing()?;
    scene.never_removed(1..=6)?;

    let lost = scene.cluster.pods.remove(1);
    scene.flow(&[])?;
    scene.cluster.lab.power_off("node-b")?;
    drop(lost);
    for at in [0, 2, 3, 4, 5] {
        for prefix in ["10.244.2.0/24", "fd00:244:2::/64"] {
            scene.node(at).wait_no_route(prefix, WAIT)?;
        }
    }
    assert!(scene.has_routes(3, [1, 3, 5, 6])?, "by the reflector that is left");
    scene.cluster.revive(1)?;
    scene.wait_settled()?;
    scene.lost_nothing()?;
    scene.never_removed([1, 3, 4, 5, 6])?;

    let pod = scene.node(1).pod("pod-b2")?;
    scene.cluster.pods.insert(1, pod);
    scene.flow(&[])?;
    what_is_reflected(&scene)?;
    scene.lost_nothing()?;
    scene.cluster.lab.passed()
}

fn who_speaks_with_whom(scene: &Scene) -> Result<()> {
    let expected = [
        vec!["node-b", "node-c", "node-d", "node-e"],
        vec!["node-a", "node-c", "node-d", "node-e"],
        vec!["node-a", "node-b", "node-f"],
        vec!["node-a", "node-b"],
        vec!["node-a", "node-b"],
        vec!["node-c"],
    ];
    for (index, expected) in expected.iter().enumerate() {
        assert_eq!(&peers(scene.node(index))?, expected, "peers of {}", scene.node(index).name());
    }
    Ok(())
}

/// Client to client, client to non-client and on to another cluster's client; and back to nobody.
fn what_is_reflected(scene: &Scene) -> Result<()> {
    let d = "10.244.4.0/24";
    for (at, from, clusters) in [
        (4, "node-a", json!(["1.1.1.1"])),
        (4, "node-b", json!(["1.1.1.1"])),
        (2, "node-a", json!(["1.1.1.1"])),
        (2, "node-b", json!(["1.1.1.1"])),
        (5, "node-c", json!(["2.2.2.2", "1.1.1.1"])),
    ] {
        let seen = route(scene.node(at), d, from)?;
        assert_eq!(seen["clusterList"], clusters, "{} from {from}: {seen}", scene.node(at).name());
        assert_eq!(seen["originatorId"], "10.0.0.4", "{seen}");
        assert_eq!(seen["nextHop"], "10.0.0.4", "{seen}");
    }
    // The reflectors of one cluster see each other's reflections, and use none (section 8).
    let looped = route(scene.node(0), d, "node-b")?;
    assert_eq!(looped["valid"], false, "{looped}");
    assert_eq!(looped["reason"], "it was reflected back to us", "{looped}");
    // No client is sent its own route again; nor a non-client what a non-client sent.
    for (at, prefix, from) in [(3, d, "node-a"), (0, "10.244.3.0/24", "node-b")] {
        let routes = scene.node(at).json(&["routes", "--all"])?;
        let mut routes = routes.as_array().into_iter().flatten();
        let echo = routes.find(|route| route["prefix"] == prefix && route["from"] == from);
        assert_eq!(echo, None, "{}", scene.node(at).name());
    }
    Ok(())
}

/// FRR in the place of node 4: a reflector of our own reflector's cluster, with clients 2, 3 and 5.
fn frr_reflector() -> String {
    let mut text = String::from(
        "router bgp 64512\n bgp router-id 10.0.0.4\n bgp cluster-id 1.1.1.1\n \
         no bgp network import-check\n no bgp default ipv4-unicast\n",
    );
    for number in [1, 2, 3, 5] {
        let _ = writeln!(text, " neighbor 10.0.0.{number} remote-as 64512");
        let _ = writeln!(text, " neighbor 10.0.0.{number} timers connect 1");
        let _ = writeln!(text, " neighbor 10.0.0.{number} timers 3 9");
    }
    for (family, network) in [("ipv4", "10.244.4.0/24"), ("ipv6", "fd00:244:4::/64")] {
        let _ = writeln!(text, " address-family {family} unicast\n  network {network}");
        for number in [1, 2, 3, 5] {
            let _ = writeln!(text, "  neighbor 10.0.0.{number} activate");
        }
        for number in [2, 3, 5] {
            let _ = writeln!(text, "  neighbor 10.0.0.{number} route-reflector-client");
        }
        let _ = writeln!(text, " exit-address-family");
    }
    text
}

/// BIRD in the place of node 5: a client of both reflectors. `more` are prefixes that it announces
/// beside its own, and prefers to everyone else's.
fn bird_client(more: &[&str]) -> String {
    let mut text = String::from("router id 10.0.0.5;\nprotocol device {}\n");
    for (family, own) in [("ipv4", "10.244.5.0/24"), ("ipv6", "fd00:244:5::/64")] {
        let _ =
            writeln!(text, "protocol kernel {{ {family} {{ export where source = RTS_BGP; }}; }}");
        let _ = writeln!(text, "protocol static {{ {family}; route {own} blackhole;");
        for prefix in more.iter().filter(|prefix| prefix.contains(':') == (family == "ipv6")) {
            let _ = writeln!(text, "route {prefix} blackhole {{ bgp_local_pref = 200; }};");
        }
        text += "}\n";
    }
    for number in [1, 4] {
        let _ = writeln!(
            text,
            "protocol bgp r{number} {{ local 10.0.0.5 as 64512; neighbor 10.0.0.{number} as 64512;\n\
             direct; hold time 9; connect delay time 1; connect retry time 1; error wait time 1, 2;\n\
             ipv4 {{ import all; export where source = RTS_STATIC; }};\n\
             ipv6 {{ import all; export where source = RTS_STATIC; next hop address fd00::5; }};\n}}"
        );
    }
    text
}

/// The host of foreign node `number`, with an address of its pod CIDRs on its loopback.
fn foreign(cluster: &Cluster, number: usize) -> Result<(Rc<Host>, [IpAddr; 2])> {
    let addresses = [format!("10.0.0.{number}/24"), format!("fd00::{number}/64")];
    let host = cluster.neighbor(&format!("foreign-{number}"), &[&addresses[0], &addresses[1]])?;
    let own = [format!("10.244.{number}.1"), format!("fd00:244:{number}::1")];
    host.batch(&format!("addr add {}/32 dev lo\naddr add {}/128 dev lo", own[0], own[1]))?;
    Ok((host, [own[0].parse()?, own[1].parse()?]))
}

/// ```text
/// reflectors of 1.1.1.1   node-a (ours) ── foreign-4 (FRR)
///                            │  ╲╱  each with each  │
/// clients        node-b (ours)   node-c (ours)   foreign-5 (BIRD)
/// ```
/// In: FRR's bgpd is killed and returns; our reflector's agent is killed and returns; BIRD, which
/// FRR believes everything, announces node-b's pod CIDR and a default route as the best of all.
/// Out: no packet between our pods is lost, nor to and from BIRD's while it is honest; whoever is
/// offered the stolen prefixes, by FRR's reflection as well, refuses them and says why.
#[test]
fn frr_reflects_beside_us_and_bird_is_a_client() -> Result<()> {
    skip_unless!(lab, frr, bird);
    let marks = BTreeMap::from([(1, "reflector: 1.1.1.1"), (4, "reflector: 1.1.1.1")]);
    let mesh = "gtsm: none".to_owned();
    let plan = Plan { nodes: 5, foreign: 2, pods: 1, mesh, marks, ..Plan::default() };
    let mut cluster = Cluster::build("foreign-reflector", plan)?;
    let (frr, _) = foreign(&cluster, 4)?;
    let (bird, of_bird) = foreign(&cluster, 5)?;
    let mut frr = Frr::start(frr, &frr_reflector())?;
    bird.run(&["sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding"])?;
    let bird = Bird::start(bird, &bird_client(&[]))?;
    for node in &cluster.nodes {
        node.start()?;
    }
    cluster.wait_mesh()?;
    cluster.attach_pods()?;
    let both = |node: &Node| -> Result<()> {
        for from in ["node-a", "node-d"] {
            for (prefix, next_hop) in
                [("10.244.5.0/24", "10.0.0.5"), ("fd00:244:5::/64", "fd00::5")]
            {
                let seen = route(node, prefix, from)?;
                assert_eq!(seen["nextHop"], next_hop, "{} from {from}: {seen}", node.name());
                assert_eq!(seen["clusterList"], json!(["1.1.1.1"]), "{seen}");
                assert_eq!(seen["originatorId"], "10.0.0.5", "{seen}");
            }
        }
        Ok(())
    };
    cluster.nodes[1..].iter().try_for_each(both)?;
    assert_eq!(route(&cluster.nodes[0], "10.244.5.0/24", "node-d")?["valid"], false);

    let mut scene = Scene::of(cluster, 100)?;
    scene.lost_nothing()?;
    let others = [Endpoint::Host(bird.host(), &of_bird)];
    scene.flow(&others)?;
    frr.kill_bgpd()?;
    wait("our client to see the session drop", WAIT, || {
        Ok(scene.node(1).peer("node-d")?["state"] != "Established")
    })?;
    frr.start_bgpd(&frr_reflector())?;
    scene.wait_settled()?;
    scene.cluster.nodes[1..].iter().try_for_each(both)?;
    scene.lost_nothing()?;

    scene.flow(&others)?;
    scene.node(0).kill()?;
    hold("BIRD's route", Duration::from_secs(3), || scene.has_routes(1, [1, 3, 4, 5]))?;
    scene.node(0).start()?;
    scene.wait_settled()?;
    scene.cluster.nodes[1..].iter().try_for_each(both)?;
    scene.lost_nothing()?;

    // The thief believes itself: its own packets to node-b are lost.
    scene.flow(&[])?;
    bird.configure(&bird_client(&["10.244.2.0/24", "0.0.0.0/0", "10.244.3.9/32"]))?;
    stolen_is_refused(&scene)?;
    scene.lost_nothing()?;
    scene.never_removed([1, 2, 3, 5])?;
    scene.cluster.lab.passed()
}

/// What BIRD has stolen, from itself and by way of FRR.
fn stolen_is_refused(scene: &Scene) -> Result<()> {
    for (at, prefix, from, why) in [
        (0, "10.244.2.0/24", "node-e", "overlaps the pod CIDR 10.244.2.0/24 of node-b"),
        (0, "10.244.2.0/24", "node-d", "it was reflected back to us"),
        (1, "10.244.2.0/24", "node-d", "overlaps the pod CIDR 10.244.2.0/24 of node-b"),
        (2, "10.244.2.0/24", "node-d", "overlaps the pod CIDR 10.244.2.0/24 of node-b"),
        (2, "10.244.3.9/32", "node-d", "overlaps the pod CIDR 10.244.3.0/24 of node-c"),
        (1, "0.0.0.0/0", "node-d", "not a pod CIDR"),
    ] {
        let node = scene.node(at);
        // At first FRR may still reflect the good one.
        wait(format_args!("{}: {prefix} from {from}: {why}", node.name()), WAIT, || {
            let refused = route(node, prefix, from)?;
            let reason = refused["reason"].as_str().unwrap_or_default();
            Ok(refused["valid"] == false && reason.contains(why))
        })?;
    }
    assert!(scene.node(2).has_route("10.244.2.0/24", "via 10.0.0.2")?);
    assert!(!scene.node(2).has_route("0.0.0.0/0", "")?);
    Ok(())
}
