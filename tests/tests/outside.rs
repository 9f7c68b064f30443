//! An outside FRR router, in eBGP with the nodes.
//!
//! ```text
//! node-a  node-b  node-c      AS 64512
//!    └───────┼───────┴── tor  AS 65000, 10.0.0.254, fd00::254; announces 192.0.2.0/24 ...
//! ```

use std::rc::Rc;

use anyhow::Result;
use serde_json::Value;
use twill_tests::cluster::{Cluster, Plan};
use twill_tests::lab::{Host, WAIT, wait, wait_for};
use twill_tests::node::{CONFIG, Node};
use twill_tests::router::Frr;
use twill_tests::skip_unless;

/// The router's host, with its own network on the loopback.
fn tor(cluster: &Cluster) -> Result<Rc<Host>> {
    let host = cluster.neighbor("tor", &["10.0.0.254/24", "fd00::254/64"])?;
    for address in ["192.0.2.1/24", "2001:db8::1/64", "198.51.100.1/24"] {
        host.batch(&format!("addr add {address} dev lo"))?;
    }
    Ok(host)
}

/// eBGP with the nodes of `numbers`; announces `networks`.
fn frr_config(numbers: &[usize], networks: &[&str]) -> String {
    let mut text = String::from(
        "router bgp 65000\n bgp router-id 10.0.0.254\n no bgp ebgp-requires-policy\n \
         no bgp network import-check\n neighbor nodes peer-group\n \
         neighbor nodes remote-as 64512\n neighbor nodes timers connect 1\n",
    );
    for number in numbers {
        text += &format!(" neighbor 10.0.0.{number} peer-group nodes\n");
    }
    for family in ["ipv4", "ipv6"] {
        text += &format!(" address-family {family} unicast\n  neighbor nodes activate\n");
        for network in networks.iter().filter(|network| network.contains(':') == (family == "ipv6"))
        {
            text += &format!("  network {network}\n");
        }
        text += " exit-address-family\n";
    }
    text
}

/// Every node peers with the router. In: its two prefixes. Out: every pod CIDR, from the node that
/// owns it; packets both ways.
#[test]
fn frr_learns_every_pod_cidr_and_every_node_its_prefix() -> Result<()> {
    skip_unless!(lab, frr);
    let peers = "\
peers:
  - name: tor
    address: 10.0.0.254
    asn: 65000
    import: {default: reject, prefixes: [192.0.2.0/24, '2001:db8::/64']}
    export: {default: reject, prefixes: [podCIDRs]}
";
    let plan = Plan { pods: 1, more: peers.to_owned(), ..Plan::default() };
    let cluster = Cluster::start("frr-all", plan)?;
    let networks = ["192.0.2.0/24", "2001:db8::/64", "198.51.100.0/24"];
    let frr = Frr::start(tor(&cluster)?, &frr_config(&[1, 2, 3], &networks))?;
    for (index, node) in cluster.nodes.iter().enumerate() {
        node.wait_peer("tor", "Established")?;
        node.wait_route("192.0.2.0/24", "via 10.0.0.254")?;
        node.wait_route("2001:db8::/64", "via fd00::254")?;
        let number = index + 1;
        for prefix in [format!("10.244.{number}.0/24"), format!("fd00:244:{number}::/64")] {
            frr.wait_route(&prefix)?;
        }
        // Not in import.prefixes: refused, kept, and shown with the rule.
        let refused = route(node, "198.51.100.0/24", "tor")?;
        assert_eq!(refused["valid"], false, "{refused}");
        assert!(refused["reason"].as_str().unwrap_or_default().contains("tor"), "{refused}");
        assert!(!node.has_route("198.51.100.0/24", "")?);
    }
    for pod in &cluster.pods {
        pod.ping("192.0.2.1".parse()?)?;
        pod.ping("2001:db8::1".parse()?)?;
        for address in pod.addresses() {
            let from = if address.is_ipv4() { "192.0.2.1" } else { "2001:db8::1" };
            frr.host().run(&["ping", "-c", "1", "-W", "2", "-I", from, &address.to_string()])?;
        }
    }
    cluster.lab.passed()
}

/// Only node-a peers with the router, marked `mesh: true`. In: two prefixes within `mesh.transit`,
/// one outside, one that is node-b's. Out: node-b and node-c reach the first two by way of node-a;
/// the others are refused, and each refusal names its rule.
#[test]
fn one_node_passes_the_routers_prefix_on_into_the_mesh() -> Result<()> {
    skip_unless!(lab, frr);
    let mesh = "transit: [192.0.2.0/24 le 32, '2001:db8::/32 le 64']";
    let plan = Plan { pods: 1, mesh: mesh.to_owned(), ..Plan::default() };
    let mut cluster = Cluster::build("frr-one", plan)?;
    let peers = "\
peers:
  - name: tor
    address: 10.0.0.254
    asn: 65000
    mesh: true
    import: {default: accept}
    export: {default: reject, prefixes: [10.244.0.0/16 le 24, 'fd00:244::/32 le 64']}
";
    let config = cluster.plan.config(1) + peers;
    cluster.nodes[0].host().write(CONFIG, &config)?;
    for node in &cluster.nodes {
        node.start()?;
    }
    cluster.wait_mesh()?;
    cluster.attach_pods()?;
    let networks = ["192.0.2.0/24", "2001:db8::/64", "198.51.100.0/24", "10.244.2.128/25"];
    let frr = Frr::start(tor(&cluster)?, &frr_config(&[1], &networks))?;

    cluster.nodes[0].wait_route("192.0.2.0/24", "via 10.0.0.254")?;
    for node in &cluster.nodes[1..] {
        node.wait_route("192.0.2.0/24", "via 10.0.0.1")?;
        node.wait_route("2001:db8::/64", "via fd00::1")?;
    }
    for number in 1..=3 {
        frr.wait_route(&format!("10.244.{number}.0/24"))?;
        frr.wait_route(&format!("fd00:244:{number}::/64"))?;
    }
    for pod in &cluster.pods {
        pod.ping("192.0.2.1".parse()?)?;
        pod.ping("2001:db8::1".parse()?)?;
    }
    // Part of node-b's pod CIDR, from a router that is trusted with everything else: no.
    let stolen = route(&cluster.nodes[0], "10.244.2.128/25", "tor")?;
    assert_eq!(stolen["valid"], false, "{stolen}");
    assert!(stolen["reason"].as_str().unwrap_or_default().contains("node-b"), "{stolen}");
    // Outside transit: node-a uses it itself, and passes it on to nobody.
    cluster.nodes[0].wait_route("198.51.100.0/24", "via 10.0.0.254")?;
    for node in &cluster.nodes {
        assert!(!node.has_route("10.244.2.128/25", "")?);
    }
    for node in &cluster.nodes[1..] {
        assert!(!node.has_route("198.51.100.0/24", "")?);
    }
    cluster.lab.passed()
}

/// A member of the mesh that announces what is not its own: another node's pod CIDR, a default
/// route, a /32 of another node, a prefix outside transit. (An FRR in a node's place: our own
/// agent does not do such things.) All are refused, and shown with the reason.
#[test]
fn a_member_that_announces_what_is_not_its_own_is_refused() -> Result<()> {
    skip_unless!(lab, frr);
    let plan =
        Plan { pods: 1, mesh: "transit: [192.0.2.0/24]\ngtsm: none".to_owned(), ..Plan::default() };
    let cluster = Cluster::build("thief", plan)?;
    cluster.lab.power_off("node-c")?;
    let host = cluster.lab.host("node-c")?;
    cluster.lab.plug(&host, "eth0", &cluster.lan, &["10.0.0.3/24", "fd00::3/64"])?;
    let stolen = ["10.244.2.0/24", "0.0.0.0/0", "10.244.2.7/32", "198.51.100.0/24", "10.0.0.2/32"];
    let mut text = String::from(
        "router bgp 64512\n bgp router-id 10.0.0.3\n no bgp network import-check\n \
         neighbor 10.0.0.1 remote-as 64512\n neighbor 10.0.0.1 timers connect 1\n \
         address-family ipv4 unicast\n  network 10.244.3.0/24\n",
    );
    for prefix in stolen {
        text += &format!("  network {prefix}\n");
    }
    let _frr = Frr::start(host, &(text + " exit-address-family\n"))?;
    for node in &cluster.nodes[..2] {
        node.start()?;
    }
    let victim = &cluster.nodes[0];
    victim.wait_route("10.244.3.0/24", "via 10.0.0.3")?;
    for prefix in stolen {
        let refused = route(victim, prefix, "node-c")?;
        println!("{prefix}: {}", refused["reason"]);
        assert_eq!(refused["valid"], false, "{refused}");
        assert!(!refused["reason"].as_str().unwrap_or_default().is_empty(), "{refused}");
        assert!(!victim.has_route(prefix, "via 10.0.0.3")?);
    }
    let reason = route(victim, "10.244.2.0/24", "node-c")?["reason"].to_string();
    assert!(reason.contains("node-b"), "the owner is named: {reason}");
    let peer = victim.peer("node-c")?;
    assert_eq!(peer["prefixesRejected"], stolen.len(), "{peer}");
    cluster.lab.passed()
}

/// What `peer` sent for `prefix`, as `twill routes --all` shows it.
fn route(node: &Node, prefix: &str, peer: &str) -> Result<Value> {
    wait_for(format_args!("{}: {prefix} from {peer}", node.name()), WAIT, || {
        let routes = node.json(&["routes", "--all"])?;
        let routes = routes.as_array().cloned().unwrap_or_default();
        Ok(routes.into_iter().find(|route| route["prefix"] == prefix && route["from"] == peer))
    })
}

/// The router's session is bounced by `twill reset`, and asked for its routes again by
/// `reset --soft`; `announce` and `withdraw` work at run time.
#[test]
fn the_operators_verbs_work_on_a_live_router() -> Result<()> {
    skip_unless!(lab, frr);
    let peers = "\
peers:
  - name: tor
    address: 10.0.0.254
    asn: 65000
    import: {default: reject, prefixes: [192.0.2.0/24]}
    export: {default: reject, prefixes: [podCIDRs, 203.0.113.0/24 le 32]}
";
    let plan = Plan { nodes: 1, pods: 0, more: peers.to_owned(), ..Plan::default() };
    let cluster = Cluster::build("verbs", plan)?;
    let node = &cluster.nodes[0];
    node.start()?;
    let frr = Frr::start(tor(&cluster)?, &frr_config(&[1], &["192.0.2.0/24"]))?;
    node.wait_route("192.0.2.0/24", "via 10.0.0.254")?;

    assert_eq!(node.cli(&["announce", "203.0.113.0/25"])?.status, 0);
    frr.wait_route("203.0.113.0/25")?;
    assert_eq!(node.cli(&["withdraw", "203.0.113.0/25"])?.status, 0);
    wait("FRR to forget it", WAIT, || {
        Ok(!frr.prefixes("ipv4")?.contains(&"203.0.113.0/25".to_owned()))
    })?;

    let flaps = node.peer("tor")?["flaps"].as_u64().unwrap_or_default();
    assert_eq!(node.cli(&["reset", "tor", "--soft"])?.status, 0);
    assert_eq!(node.peer("tor")?["state"], "Established");
    assert_eq!(node.cli(&["reset", "tor"])?.status, 0);
    wait("the session to flap and return", WAIT, || {
        let peer = node.peer("tor")?;
        Ok(peer["flaps"].as_u64() > Some(flaps) && peer["state"] == "Established")
    })?;
    assert_eq!(node.cli(&["reset", "nobody"])?.status, 1);
    cluster.lab.passed()
}
