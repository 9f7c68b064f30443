//! Kernels that lack what a configuration asks for: the agent does not start, and says so in one
//! line; a reload that asks for it leaves everything standing, and `twill status` says why.

use anyhow::{Context, Result};
use twill_tests::cluster::{Cluster, Plan};
use twill_tests::lab::{Lab, WAIT, wait};
use twill_tests::node::{CONFIG, Node, binary};
use twill_tests::skip_unless;

/// Asks for nothing that a kernel may lack.
const PLAIN: &str = "\
node: node-a
addresses: [10.0.0.1]
podCIDRs: [10.244.1.0/24]
mesh:
  gtsm: none
  nodes:
    - {name: node-b, addresses: [10.0.0.2], podCIDRs: [10.244.2.0/24]}
";

const TOR: &str = "
peers:
  - {name: tor, address: 10.0.0.254, asn: 65000";

/// What the kernel lacks, what is added to the plain configuration (or takes the place of a part
/// of it), and what the line must name.
fn cases() -> Vec<(&'static str, String, &'static [&'static str])> {
    let gtsm = PLAIN.replace("gtsm: none", "gtsm: auto");
    let password = PLAIN.replace("gtsm: none", "gtsm: none\n  password: {env: HOME}");
    let v6 = PLAIN.replace("[10.0.0.1]", "[10.0.0.1, fd00::1]");
    let v6_gtsm = gtsm.replace("[10.0.0.1]", "[10.0.0.1, fd00::1]");
    let with = |more: &str| format!("{PLAIN}{TOR}, {more}}}\n");
    vec![
        ("tcp-md5", password, &["mesh.password", "CONFIG_TCP_MD5SIG", "take the password out"]),
        ("tcp-md5", with("password: {env: HOME}"), &["peers: tor.password", "CONFIG_TCP_MD5SIG"]),
        ("ipv4-ttl", gtsm, &["mesh.gtsm", "IP_MINTTL", "gtsm: none"]),
        ("ipv4-ttl", with("gtsm: 255"), &["peers: tor.gtsm", "IP_MINTTL"]),
        ("ipv6-ttl", v6_gtsm, &["mesh.gtsm", "IPV6_MINHOPCOUNT"]),
        ("ipv6", v6, &["addresses", "no IPv6", "ipv6.disable=1"]),
    ]
}

/// One line, exit code 2, and nothing left behind.
fn refused_at_start(node: &Node, wrapper: &[&str], words: &[&str]) -> Result<()> {
    let answer = node.cli_under(wrapper, &["agent", "--config", CONFIG])?;
    assert_eq!(answer.status, 2, "{answer:?}");
    assert_eq!(answer.stderr.lines().count(), 1, "{answer:?}");
    for word in words {
        assert!(answer.stderr.contains(word), "{word:?} is not in {answer:?}");
    }
    println!("{}", answer.stderr.trim());
    let left = node.host().run(&["sh", "-c", "ls /run/twill; ip -br link"])?;
    assert!(!left.contains("twill.sock") && !left.contains("twill0"), "{left}");
    Ok(())
}

#[test]
fn an_agent_does_not_start_on_a_kernel_without_what_it_needs() -> Result<()> {
    skip_unless!(lab);
    let lab = Lab::new("kernels-start")?;
    let lan = lab.switch("lan")?;
    let host = lab.host("node-a")?;
    lab.plug(&host, "eth0", &lan, &["10.0.0.1/24"])?;
    let node = Node::new(host, PLAIN)?;
    let without = binary("twill-lab-without")?;
    let without = without.to_str().context("the path is no text")?;
    for (feature, config, words) in cases() {
        node.host().write(CONFIG, &config)?;
        refused_at_start(&node, &[without, feature], words)?;
    }
    // What no configuration can do without.
    node.host().write(CONFIG, PLAIN)?;
    refused_at_start(&node, &[without, "strict-dumps"], &["netlink", "Linux 4.20"])?;
    lab.passed()
}

/// A kernel that has IPv6, switched off by the administrator; and one before 6.17, which forwards
/// by the global setting alone.
#[test]
fn an_agent_does_not_start_where_ipv6_is_off() -> Result<()> {
    skip_unless!(lab);
    let lab = Lab::new("kernels-ipv6")?;
    let lan = lab.switch("lan")?;
    let host = lab.host("node-a")?;
    lab.plug(&host, "eth0", &lan, &["10.0.0.1/24"])?;
    let pods = PLAIN
        .replace("[10.244.1.0/24]", "[10.244.1.0/24, 'fd00:244:1::/64']")
        .replace("[10.0.0.1]", "[10.0.0.1, fd00::1]");
    let node = Node::new(host, &pods)?;
    let off = ["sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=1"];
    node.host().run(&[&off[..], &["net.ipv6.conf.default.disable_ipv6=1"]].concat())?;
    refused_at_start(&node, &[], &["addresses", "net.ipv6.conf.all.disable_ipv6=0"])?;
    let on = ["sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=0"];
    node.host().run(&[&on[..], &["net.ipv6.conf.default.disable_ipv6=0"]].concat())?;

    old_kernel(&node)?;
    refused_at_start(
        &node,
        &[],
        &["podCIDRs", "6.17", "sysctl -w net/ipv6/conf/all/forwarding=1"],
    )?;
    // IPv4 alone does not need it.
    node.host().write(CONFIG, PLAIN)?;
    node.start()?;
    node.wait_ready()?;
    node.reload(&pods)?;
    refused_on_reload(&node, &["podCIDRs", "sysctl -w net/ipv6/conf/all/forwarding=1"])?;
    lab.passed()
}

/// The settings of IPv6 as a kernel before 6.17 shows them, the global forwarding off.
fn old_kernel(node: &Node) -> Result<()> {
    let script = "
        cp -r /proc/sys/net/ipv6/conf /run/conf 2>/dev/null
        rm /run/conf/*/force_forwarding
        echo 0 > /run/conf/all/forwarding
        mount --bind /run/conf /proc/sys/net/ipv6/conf";
    node.host().run(&["sh", "-c", script]).map(drop)
}

fn refused_on_reload(node: &Node, words: &[&str]) -> Result<()> {
    let refused = || -> Result<String> {
        let status = node.json(&["status"])?;
        Ok(status["config"]["refused"].as_str().unwrap_or_default().to_owned())
    };
    wait("the refusal to be shown", WAIT, || {
        let refused = refused()?;
        Ok(words.iter().all(|word| refused.contains(word)))
    })?;
    println!("{}", refused()?);
    let status = node.cli(&["status"])?;
    assert_eq!(status.status, 1, "{status:?}");
    let told = status.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("the one before still is"), "{status:?}");
    Ok(())
}

/// Two nodes of IPv4 without GTSM; one of them on a kernel that lacks each thing in turn.
#[test]
fn a_reload_that_asks_for_what_the_kernel_lacks_is_refused() -> Result<()> {
    skip_unless!(lab);
    let cluster = Cluster::build("kernels-reload", Plan { nodes: 2, ..Plan::default() })?;
    let (node, other) = (&cluster.nodes[0], &cluster.nodes[1]);
    let theirs = PLAIN
        .replace("node-", "node-x")
        .replace("node-xa", "node-b")
        .replace("node-xb", "node-a")
        .replace("10.0.0.1", "10.0.0.x")
        .replace("10.0.0.2", "10.0.0.1")
        .replace("10.0.0.x", "10.0.0.2")
        .replace("10.244.1.", "10.244.x.")
        .replace("10.244.2.", "10.244.1.")
        .replace("10.244.x.", "10.244.2.");
    other.host().write(CONFIG, &theirs)?;
    other.start()?;
    let without = binary("twill-lab-without")?;
    let without = without.to_str().context("the path is no text")?;
    for (feature, config, words) in cases() {
        node.host().write(CONFIG, PLAIN)?;
        node.start_under(&[without, feature])?;
        node.wait_route("10.244.2.0/24", "via 10.0.0.2")?;
        let flaps = node.peer("node-b")?["flaps"].clone();
        node.reload(&config)?;
        refused_on_reload(node, words)?;
        let peer = node.peer("node-b")?;
        assert_eq!((&peer["state"], &peer["flaps"]), (&"Established".into(), &flaps), "{peer}");
        assert!(node.has_route("10.244.2.0/24", "via 10.0.0.2")?);
        node.reload(PLAIN)?;
        wait("the refusal to be forgotten", WAIT, || {
            Ok(node.json(&["status"])?["config"]["refused"].is_null())
        })?;
        node.terminate()?;
    }
    cluster.lab.passed()
}
