//! Pods that leave the cluster under their node's address.
//!
//! ```text
//! node-a  node-b      AS 64512
//!    └───────┴── net  10.0.0.250, fd00::250; behind it 198.51.100.1 and 2001:db8::1.
//!                     It has no route to any pod, until a test gives it one.
//! ```

use std::rc::Rc;

use anyhow::{Result, ensure};
use twill_tests::cluster::{Cluster, Plan};
use twill_tests::lab::{Host, WAIT, wait};
use twill_tests::pod::Pod;
use twill_tests::skip_unless;

const OUTSIDE: [&str; 2] = ["198.51.100.1", "2001:db8::1"];
const OFF: &str = "dataplane: {masquerade: false}\n";

/// Two nodes whose default routes go by way of `net`.
fn start(name: &str, more: &str) -> Result<(Cluster, Rc<Host>)> {
    let plan = Plan { nodes: 2, pods: 1, more: more.to_owned(), ..Plan::default() };
    let cluster = Cluster::start(name, plan)?;
    let net = cluster.neighbor("net", &["10.0.0.250/24", "fd00::250/64"])?;
    net.batch("addr add 198.51.100.1/32 dev lo\naddr add 2001:db8::1/128 dev lo nodad")?;
    for node in &cluster.nodes {
        node.host().batch("route add default via 10.0.0.250\nroute add default via fd00::250")?;
    }
    Ok((cluster, net))
}

fn reaches(pod: &Pod, address: &str) -> Result<bool> {
    Ok(pod.ping(address.parse()?).is_ok())
}

/// Counts, on the host `at`, the packets that arrive from each of `sources`.
fn count_sources(at: &Host, run: &[&str], sources: &[String]) -> Result<()> {
    let mut text =
        "table inet seen {\nchain seen {\ntype filter hook input priority 0\n".to_owned();
    for source in sources {
        let family = if source.contains(':') { "ip6" } else { "ip" };
        text += &format!("{family} saddr {source} counter comment \"{source}\"\n");
    }
    let command = [run, &["nft", "-f", "-"]].concat();
    at.run_with_input(&command, &(text + "}\n}\n")).map(drop)
}

/// How many packets came from `source`.
fn counted(at: &Host, run: &[&str], source: &str) -> Result<u64> {
    let text = at.run(&[run, &["nft", "list", "table", "inet", "seen"]].concat())?;
    let line = text.lines().find(|line| line.contains(&format!("\"{source}\"")));
    let count =
        line.and_then(|line| line.split("packets ").nth(1)?.split(' ').next()?.parse().ok());
    Ok(count.unwrap_or_default())
}

/// Outside, everybody sees the node; within the cluster, everybody sees the pod.
#[test]
fn outside_sees_the_node_and_pods_see_each_other() -> Result<()> {
    skip_unless!(lab);
    let (cluster, net) = start("masquerade", "")?;
    let [a, b] = [&cluster.pods[0], &cluster.pods[1]];
    let of_a: Vec<String> = a.addresses().iter().map(ToString::to_string).collect();
    let in_b = ["ip", "netns", "exec", b.name()];
    let node = ["10.0.0.1".to_owned(), "fd00::1".to_owned()];
    count_sources(&net, &[], &[&of_a[..], &node].concat())?;
    count_sources(b.host(), &in_b, &[&of_a[..], &node].concat())?;
    for address in OUTSIDE {
        a.ping(address.parse()?)?;
    }
    for address in b.addresses() {
        a.ping(address)?;
    }
    for (pod, node) in of_a.iter().zip(&node) {
        ensure!(counted(&net, &[], pod)? == 0, "net saw {pod}");
        ensure!(counted(&net, &[], node)? > 0, "net did not see {node}");
        ensure!(counted(b.host(), &in_b, pod)? > 0, "pod-b did not see {pod}");
        ensure!(counted(b.host(), &in_b, node)? == 0, "pod-b saw {node}");
    }
    // Node-b is reached under the pod's own address, too: it has a route back.
    count_sources(b.host(), &[], &of_a)?;
    a.ping("10.0.0.2".parse()?)?;
    a.ping("fd00::2".parse()?)?;
    for pod in &of_a {
        ensure!(counted(b.host(), &[], pod)? > 0, "node-b did not see {pod}");
    }
    ensure!(cluster.nodes[0].json(&["status"])?["masquerading"] == true);
    cluster.lab.passed()
}

/// Whoever flushes the ruleset, the table is back; off and exempt take effect live, and an agent
/// that is killed leaves it at work.
#[test]
fn the_table_is_put_back_follows_the_file_and_outlives_the_agent() -> Result<()> {
    skip_unless!(lab);
    let (cluster, _net) = start("masq-live", "")?;
    let (node, pod) = (&cluster.nodes[0], &cluster.pods[0]);
    let becomes = |what: &str, expected: bool| {
        wait(what, WAIT, || {
            Ok(reaches(pod, OUTSIDE[0])? == expected && reaches(pod, OUTSIDE[1])? == expected)
        })
    };
    becomes("the outside", true)?;
    node.host().run(&["nft", "flush", "ruleset"])?;
    becomes("the outside after a flush", true)?;
    node.reload(&(cluster.plan.config(1) + OFF))?;
    becomes("pods with their own addresses outside", false)?;
    let exempt = "dataplane: {masqueradeExempt: [198.51.100.0/24]}\n";
    node.reload(&(cluster.plan.config(1) + exempt))?;
    wait("IPv6 alone", WAIT, || Ok(!reaches(pod, OUTSIDE[0])? && reaches(pod, OUTSIDE[1])?))?;
    node.reload(&cluster.plan.config(1))?;
    becomes("the outside again", true)?;
    node.kill()?;
    becomes("the outside without an agent", true)?;
    node.start()?;
    node.wait_ready()?;
    becomes("the outside with another", true)?;
    cluster.lab.passed()
}
