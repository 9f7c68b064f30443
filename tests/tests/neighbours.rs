//! Neighbours beyond the usual ones: routers that nobody lists, another AS towards a router, a
//! router that is shut down with words.
//!
//! ```text
//! node-a  AS 64512, 10.0.0.1
//!    ├── r1  10.0.0.101   AS 65001
//!    ├── r2  10.0.0.102   AS 65001
//!    └── r3  10.0.0.103   AS 65001
//! ```

use anyhow::{Context, Result};
use serde_json::Value;
use twill_tests::cluster::{Cluster, Plan};
use twill_tests::lab::{WAIT, wait};
use twill_tests::node::Node;
use twill_tests::router::{Bird, Frr};
use twill_tests::skip_unless;

fn one_node(name: &str, peers: &str) -> Result<Cluster> {
    let plan = Plan { nodes: 1, pods: 0, more: peers.to_owned(), ..Plan::default() };
    let cluster = Cluster::build(name, plan)?;
    cluster.nodes[0].start()?;
    Ok(cluster)
}

fn bird(cluster: &Cluster, number: usize, remote: u32) -> Result<Bird> {
    let address = format!("10.0.0.10{number}");
    let host = cluster.neighbor(&format!("r{number}"), &[&format!("{address}/24")])?;
    let config = format!(
        "router id {address};
protocol device {{ }}
protocol static {{ ipv4; route 192.0.2.{number}/32 blackhole; }}
protocol bgp node {{
  local {address} as 65001;
  neighbor 10.0.0.1 as {remote};
  connect retry time 1; connect delay time 1; error wait time 1, 2;
  ipv4 {{ import all; export all; }};
}}
"
    );
    Bird::start(host, &config)
}

fn names(node: &Node) -> Result<Vec<String>> {
    let peers = node.json(&["peers"])?;
    let peers = peers.as_array().context("peers is no list")?;
    Ok(peers.iter().filter_map(|peer| peer["name"].as_str().map(str::to_owned)).collect())
}

/// Two routers of a prefix become peers by dialling, the third is one too many until another is
/// gone; a reload that changes what they may send touches no session, and one that takes the
/// prefix away ends them all.
#[test]
fn routers_of_a_prefix_come_and_go() -> Result<()> {
    skip_unless!(lab, bird);
    let peers = |import: &str| {
        format!(
            "peers:
  - name: racks
    prefix: 10.0.0.96/27
    limit: 2
    asn: 65001
    import: {import}
    export: {{prefixes: [podCIDRs]}}
"
        )
    };
    let cluster = one_node("dynamic", &peers("{prefixes: [192.0.2.0/24 le 32]}"))?;
    let node = &cluster.nodes[0];
    assert!(names(node)?.is_empty());
    let mut first = bird(&cluster, 1, 64512)?;
    node.wait_route("192.0.2.1/32", "via 10.0.0.101")?;
    let second = bird(&cluster, 2, 64512)?;
    node.wait_route("192.0.2.2/32", "via 10.0.0.102")?;
    assert_eq!(names(node)?, ["racks-10.0.0.101", "racks-10.0.0.102"]);
    let table = second.birdc("show route 10.244.1.0/24 all")?;
    assert!(table.contains("BGP.as_path: 64512"), "{table}");

    let _third = bird(&cluster, 3, 64512)?;
    wait("the third to be one too many", WAIT, || Ok(node.log().contains("one peer too many")))?;
    assert_eq!(names(node)?, ["racks-10.0.0.101", "racks-10.0.0.102"]);

    let rules = "{default: accept, rules: [{name: no-twos, match: {prefixes: [192.0.2.2/32]}, action: reject}]}";
    node.reload(&(Plan { more: peers(rules), ..cluster.plan.clone() }).config(1))?;
    node.wait_no_route("192.0.2.2/32", WAIT)?;
    for name in ["racks-10.0.0.101", "racks-10.0.0.102"] {
        let peer = node.peer(name)?;
        assert_eq!((&peer["state"], &peer["flaps"]), (&"Established".into(), &0.into()), "{peer}");
    }

    first.daemon().kill()?;
    node.wait_route("192.0.2.3/32", "via 10.0.0.103")?;
    node.wait_no_route("192.0.2.1/32", WAIT)?;
    assert_eq!(names(node)?, ["racks-10.0.0.102", "racks-10.0.0.103"]);

    node.reload(&(Plan { more: String::new(), ..cluster.plan.clone() }).config(1))?;
    wait("all of them to be gone", WAIT, || Ok(names(node)?.is_empty()))?;
    node.wait_no_route("192.0.2.3/32", WAIT)?;
    cluster.lab.passed()
}

/// FRR knows the node as AS 64999, and never sees 64512.
#[test]
fn a_router_sees_another_as() -> Result<()> {
    skip_unless!(lab, frr);
    let peers = "peers:
  - name: tor
    address: 10.0.0.101
    asn: 65001
    localAsn: 64999
    role: customer
    import: {default: accept}
    export: {prefixes: [podCIDRs]}
";
    let cluster = one_node("local-as", peers)?;
    let node = &cluster.nodes[0];
    let host = cluster.neighbor("tor", &["10.0.0.101/24"])?;
    let frr = Frr::start(
        host,
        "router bgp 65001
 bgp router-id 10.0.0.101
 no bgp ebgp-requires-policy
 no bgp network import-check
 neighbor 10.0.0.1 remote-as 64999
 neighbor 10.0.0.1 timers connect 1
 address-family ipv4 unicast
  network 192.0.2.0/24
 exit-address-family
",
    )?;
    node.wait_route("192.0.2.0/24", "via 10.0.0.101")?;
    wait("FRR to have the pod CIDR", WAIT, || {
        let text = frr.vtysh("show bgp ipv4 unicast 10.244.1.0/24 json")?;
        let table: Value = serde_json::from_str(&text)?;
        Ok(table["paths"][0]["aspath"]["string"] == "64999")
    })?;
    let routes = node.json(&["routes", "192.0.2.0/24"])?;
    assert_eq!(routes[0]["asPath"], serde_json::json!([65001]), "{routes}");
    let detail = node.json(&["peers", "tor"])?[0]["detail"].clone();
    assert_eq!((&detail["localAsn"], &detail["role"]), (&64999.into(), &"customer".into()));
    cluster.lab.passed()
}

/// What the operator says reaches the other side, by `reset --message` and by `shutdown`, as FRR
/// shows it; and what FRR's operator says reaches us.
#[test]
fn operators_tell_each_other_why() -> Result<()> {
    skip_unless!(lab, frr);
    let peers = |more: &str| {
        format!(
            "peers:
  - name: tor
    address: 10.0.0.101
    asn: 65001
    import: {{default: accept}}
    export: {{prefixes: [podCIDRs]}}
{more}"
        )
    };
    let cluster = one_node("words", &peers(""))?;
    let node = &cluster.nodes[0];
    let host = cluster.neighbor("tor", &["10.0.0.101/24"])?;
    let frr = Frr::start(
        host,
        "router bgp 65001
 bgp router-id 10.0.0.101
 no bgp ebgp-requires-policy
 neighbor 10.0.0.1 remote-as 64512
 neighbor 10.0.0.1 timers connect 1
",
    )?;
    let heard = |words: &str| -> Result<bool> {
        let text = frr.vtysh("show bgp neighbors 10.0.0.1 json")?;
        Ok(text.contains(words))
    };
    node.wait_peer("tor", "Established")?;
    assert_eq!(node.cli(&["reset", "tor", "--message", "new cable, 5 min"])?.status, 0);
    wait("FRR to show the words of the reset", WAIT, || heard("new cable, 5 min"))?;
    node.wait_peer("tor", "Established")?;

    let shut = peers("    shutdown: rack move\n");
    node.reload(&(Plan { more: shut, ..cluster.plan.clone() }).config(1))?;
    wait("FRR to show the words of the shutdown", WAIT, || heard("rack move"))?;
    let peer = node.peer("tor")?;
    assert_eq!(peer["state"], "Idle");
    assert_eq!(peer["downBecause"], "shut down by its configuration: rack move");
    assert_eq!(node.cli(&["reset", "tor"])?.status, 1);
    assert_eq!(node.json(&["status"])?["healthy"], true);

    node.reload(&cluster.plan.config(1))?;
    node.wait_peer("tor", "Established")?;
    frr.configure(&["router bgp 65001", "neighbor 10.0.0.1 shutdown message tor goes home"])?;
    wait("the words of FRR's operator", WAIT, || {
        Ok(node.cli(&["peers", "tor"])?.stdout.contains("tor goes home"))
    })?;
    cluster.lab.passed()
}
