//! What a host does to an agent: links that come late, addresses that change, a bridge that is
//! deleted under its pods, settings that cannot be written, a second agent.

use std::time::Duration;

use anyhow::Result;
use twill_tests::cluster::{Cluster, Plan};
use twill_tests::lab::{WAIT, hold, wait};
use twill_tests::node::{CONFIG, binary};
use twill_tests::skip_unless;

/// The kernel sets the ports of a bridge free when it is deleted. The agent makes the bridge again,
/// with the same hardware address, and puts its pods back: they never learn of it.
#[test]
fn a_deleted_bridge_comes_back_with_its_pods() -> Result<()> {
    skip_unless!(lab);
    let cluster = Cluster::start("bridge-deleted", Plan { nodes: 2, ..Plan::default() })?;
    let node = &cluster.nodes[0];
    node.host().run(&["ip", "link", "del", "twill0"])?;
    let took = wait("all pods to reach each other", WAIT, || {
        Ok(cluster.pods.iter().all(|from| {
            let to = cluster.pods.iter().flat_map(twill_tests::pod::Pod::addresses);
            to.into_iter().all(|address| from.ping(address).is_ok())
        }))
    })?;
    println!("all pods reach each other {:.0} ms after", took.as_secs_f64() * 1000.0);
    for pod in &cluster.pods {
        pod.check()?;
    }
    let ports = node.host().run(&["bridge", "-d", "link", "show"])?;
    assert_eq!(ports.matches("hairpin on").count(), 2, "{ports}");
    node.wait_ready()?;

    // Also where the agent was away, and a new pod made the bridge.
    node.kill()?;
    node.host().run(&["ip", "link", "del", "twill0"])?;
    let new = node.pod("pod-new")?;
    node.start()?;
    wait("old pods and the new one to reach each other", WAIT, || {
        let addresses = cluster.pods.iter().flat_map(twill_tests::pod::Pod::addresses);
        Ok(addresses.into_iter().all(|address| new.ping(address).is_ok()))
    })?;
    cluster.lab.passed()
}

/// The agent starts before the network does.
#[test]
fn an_uplink_that_comes_later_is_used() -> Result<()> {
    skip_unless!(lab);
    let cluster = Cluster::build("late-uplink", Plan { nodes: 2, pods: 1, ..Plan::default() })?;
    let node = &cluster.nodes[0];
    node.host().run(&["ip", "link", "set", "eth0", "down"])?;
    node.host().run(&["ip", "address", "flush", "dev", "eth0"])?;
    for node in &cluster.nodes {
        node.start()?;
    }
    wait("the missing address to be told", WAIT, || {
        Ok(node.cli(&["status"])?.stdout.contains("10.0.0.1"))
    })?;
    hold("not ready without an address", Duration::from_millis(500), || {
        Ok(node.json(&["status"])?["ready"] == false)
    })?;
    node.host().configure("eth0", &["10.0.0.1/24", "fd00::1/64"])?;
    println!("mesh {:.1} s after the uplink came", cluster.wait_mesh()?.as_secs_f64());
    cluster.lab.passed()
}

/// A node moves to another address while it runs: the others' configuration follows, and so do the
/// routes; nobody restarts.
#[test]
fn a_node_moves_to_another_address() -> Result<()> {
    skip_unless!(lab);
    let cluster = Cluster::start("moves", Plan { nodes: 3, pods: 1, ..Plan::default() })?;
    let moved = |number: usize| {
        let text = cluster.plan.config(number);
        text.replace("10.0.0.1,", "10.0.0.77,").replace("fd00::1]", "fd00::77]")
    };
    let settled = cluster.nodes[1].peer("node-c")?["flaps"].clone();
    let host = cluster.nodes[0].host();
    // Or the kernel takes the second address of a subnet away with the first.
    host.run(&["sysctl", "-q", "-w", "net.ipv4.conf.eth0.promote_secondaries=1"])?;
    host.run(&["ip", "address", "add", "10.0.0.77/24", "dev", "eth0"])?;
    host.run(&["ip", "address", "add", "fd00::77/64", "dev", "eth0", "nodad"])?;
    for (index, node) in cluster.nodes.iter().enumerate() {
        node.reload(&moved(index + 1))?;
    }
    host.run(&["ip", "address", "del", "10.0.0.1/24", "dev", "eth0"])?;
    host.run(&["ip", "address", "del", "fd00::1/64", "dev", "eth0"])?;
    for node in &cluster.nodes[1..] {
        node.wait_route("10.244.1.0/24", "via 10.0.0.77")?;
        node.wait_route("fd00:244:1::/64", "via fd00::77")?;
    }
    cluster.wait_mesh()?;
    for from in &cluster.pods {
        for address in cluster.pods.iter().flat_map(twill_tests::pod::Pod::addresses) {
            from.ping(address)?;
        }
    }
    assert_eq!(cluster.nodes[1].peer("node-c")?["flaps"], settled, "the others must not notice");
    cluster.lab.passed()
}

/// As in a container: /proc/sys cannot be written. What IPv4 needs goes by netlink; what only a
/// file can set is named with the remedy.
#[test]
fn settings_are_made_where_proc_sys_is_read_only() -> Result<()> {
    skip_unless!(lab);
    let cluster = Cluster::build("read-only", Plan { nodes: 2, pods: 1, ..Plan::default() })?;
    let v4 = |number: usize| {
        let other = 3 - number;
        format!(
            "node: {}\naddresses: [10.0.0.{number}]\npodCIDRs: [10.244.{number}.0/24]\nmesh:\n  \
             nodes:\n    - {{name: {}, addresses: [10.0.0.{other}], podCIDRs: \
             [10.244.{other}.0/24]}}\n",
            twill_tests::cluster::node_name(number),
            twill_tests::cluster::node_name(other),
        )
    };
    for (index, node) in cluster.nodes.iter().enumerate() {
        let host = node.host();
        host.write(CONFIG, &v4(index + 1))?;
        host.run(&["sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/eth0/rp_filter"])?;
        host.run(&["mount", "--bind", "/proc/sys", "/proc/sys"])?;
        host.run(&["mount", "-o", "remount,ro,bind", "/proc/sys"])?;
        host.run(&["sh", "-c", "! echo 1 > /proc/sys/net/ipv4/conf/eth0/proxy_arp"])?;
        node.start()?;
    }
    let mut pods = Vec::new();
    for (index, node) in cluster.nodes.iter().enumerate() {
        node.wait_ready()?;
        pods.push(node.pod(&format!("pod-{}", index + 1))?);
        for (file, value) in [
            ("conf/eth0/forwarding", "1"),
            ("conf/eth0/rp_filter", "2"),
            ("conf/twill0/forwarding", "1"),
            ("conf/twill0/proxy_arp", "1"),
            ("neigh/twill0/proxy_delay", "0"),
        ] {
            let found = node.host().read(&format!("/proc/sys/net/ipv4/{file}"))?;
            assert_eq!(found.trim(), value, "{file}");
        }
    }
    wait("the pods to reach each other", WAIT, || {
        Ok(pods[0].ping(pods[1].addresses()[0]).is_ok())
    })?;
    // With IPv6 there is no other way than the file.
    cluster.nodes[0].reload(&cluster.plan.config(1))?;
    wait("the setting that cannot be made to be named", WAIT, || {
        let status = cluster.nodes[0].cli(&["status"])?.stdout;
        Ok(status.contains("sysctl -w net/ipv6/conf/"))
    })?;
    cluster.lab.passed()
}

/// Two agents on one host would undo each other's work: the second one is refused in one line, and
/// the first does not notice.
#[test]
fn a_second_agent_is_refused() -> Result<()> {
    skip_unless!(lab);
    let cluster = Cluster::start("second", Plan { nodes: 2, pods: 0, ..Plan::default() })?;
    let node = &cluster.nodes[0];
    let twill = binary("twill")?.to_string_lossy().into_owned();
    for (socket, what) in [
        ("/run/twill/twill.sock", "another agent answers on /run/twill/twill.sock"),
        ("/run/other.sock", "http"),
    ] {
        let command = [&twill, "agent", "--config", CONFIG, "--socket", socket];
        let output = node.host().output(&command, "")?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(what), "{said}");
    }
    assert_eq!(node.peer("node-b")?["state"], "Established");
    assert_eq!(node.cli(&["status"])?.status, 0);
    cluster.lab.passed()
}
