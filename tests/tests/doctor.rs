//! `twill doctor` on hosts that are made ill, one fault at a time in the kernel itself.

use anyhow::Result;
use serde_json::Value;
use twill_tests::cluster::{Cluster, Plan};
use twill_tests::lab::{WAIT, wait};
use twill_tests::node::{CONFIG, Node};
use twill_tests::skip_unless;

/// What it finds by one check.
fn found(node: &Node, check: &str) -> Result<Vec<Value>> {
    let report = node.json(&["doctor"])?;
    let findings = report["findings"].as_array().cloned().unwrap_or_default();
    Ok(findings.into_iter().filter(|finding| finding["check"] == check).collect())
}

/// The one finding of a check, with the words in it.
fn finds(node: &Node, severity: &str, check: &str, words: &str) -> Result<()> {
    let found = found(node, check)?;
    println!("{found:#?}");
    let text = format!("{found:?}");
    assert!(!found.is_empty(), "{check} finds nothing");
    assert!(text.contains(words), "{check}: {words:?} is not in {text}");
    assert!(found.iter().any(|finding| finding["severity"] == severity), "{check}: {text}");
    Ok(())
}

/// A host without an agent: each fault is found, and gone when it is mended.
#[test]
fn doctor_finds_what_ails_a_host() -> Result<()> {
    skip_unless!(lab);
    let cluster = Cluster::build("doctor", Plan { nodes: 2, pods: 0, ..Plan::default() })?;
    let second = cluster.lab.switch("second")?;
    let node = &cluster.nodes[0];
    let host = node.host();
    cluster.lab.plug(host, "eth1", &second, &["10.1.0.1/24"])?;
    host.run(&["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"])?;
    let healthy = node.cli(&["doctor"])?;
    assert_eq!(healthy.status, 0, "{healthy:?}");
    assert!(healthy.stdout.contains("no agent answers"), "{healthy:?}");

    let rows: [(&str, &str, &str, &str, &str, &str); 7] = [
        (
            "sysctl -qw net.ipv4.conf.eth0.forwarding=0",
            "sysctl -qw net.ipv4.conf.eth0.forwarding=1",
            "doubt",
            "forwarding",
            "IPv4 packets that come in by eth0",
            "0",
        ),
        (
            "sysctl -qw net.ipv4.conf.eth1.rp_filter=1",
            "sysctl -qw net.ipv4.conf.eth1.rp_filter=0",
            "doubt",
            "rp-filter",
            "eth1",
            "0",
        ),
        (
            "ip link add twill0 mtu 9000 type bridge",
            "ip link del twill0",
            "problem",
            "mtu",
            "pods have MTU 9000 (twill0), eth0 has 1500",
            "1",
        ),
        (
            "ip route add 10.244.2.0/25 via 10.0.0.77",
            "ip route del 10.244.2.0/25",
            "problem",
            "routes",
            "ip route del 10.244.2.0/25 via 10.0.0.77 dev eth0",
            "1",
        ),
        (
            "ip route add 10.99.0.0/24 via 10.0.0.77 proto 116 metric 7",
            "ip route del 10.99.0.0/24",
            "problem",
            "protocol",
            "10.99.0.0/24",
            "1",
        ),
        (
            "nft add table inet f; nft 'add chain inet f passing { type filter hook forward priority 0; \
             policy drop; }'",
            "nft delete table inet f",
            "problem",
            "firewall",
            "nft insert rule inet f passing iifname twill0 accept",
            "1",
        ),
        (
            "mkdir -p /etc/cni/net.d; echo '{\"type\": \"flannel\"}' > /etc/cni/net.d/05-old.conf; \
             echo '{\"plugins\": [{\"type\": \"twill-cni\", \"gateway\": \"bridge\"}]}' \
             > /etc/cni/net.d/10-twill.conflist",
            "rm /etc/cni/net.d/05-old.conf",
            "problem",
            "cni",
            "names flannel",
            "1",
        ),
    ];
    for (ill, mend, severity, check, words, status) in rows {
        host.run(&["sh", "-c", ill])?;
        finds(node, severity, check, words)?;
        assert_eq!(node.cli(&["doctor"])?.status.to_string(), status, "{check}");
        host.run(&["sh", "-c", mend])?;
        assert!(found(node, check)?.is_empty(), "{check} is mended");
    }
    let _ = host.run(&["sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0"]);
    assert_eq!(found(node, "bridge-netfilter")?.len(), 1);
    let weak = node.cli_under(&["setpriv", "--bounding-set=-net_admin"], &["doctor"])?;
    assert!(weak.status == 1 && weak.stdout.contains("without CAP_NET_ADMIN"), "{weak:?}");
    cluster.lab.passed()
}

/// With an agent: a session that cannot come up because one side signs, and an agent that answers
/// on another socket than the one that is asked.
#[test]
fn doctor_sees_a_password_on_one_side_only() -> Result<()> {
    skip_unless!(lab);
    let cluster = Cluster::build("doctor-md5", Plan { nodes: 2, pods: 0, ..Plan::default() })?;
    let [a, b] = cluster.nodes.as_slice() else { unreachable!("two nodes") };
    a.host().write("/etc/twill/secret", "sesame")?;
    let config = cluster.plan.config(1);
    let config = config.replace("mesh:\n", "mesh:\n  password: {file: /etc/twill/secret}\n");
    a.host().write(CONFIG, &config)?;
    a.start()?;
    b.start()?;
    wait("segments to be dropped on both sides", WAIT, || {
        Ok(!found(a, "sessions")?.is_empty() && !found(b, "sessions")?.is_empty())
    })?;
    finds(a, "doubt", "sessions", "TCPMD5NotFound")?;
    finds(a, "doubt", "sessions", "it may be node-b (10.0.0.2)")?;
    finds(b, "doubt", "sessions", "TCPMD5Unexpected")?;
    assert!(found(a, "port")?.is_empty(), "the listener is the agent");
    let lost = a.cli(&["doctor", "--socket", "/run/nobody.sock"])?;
    assert!(lost.status == 1 && lost.stdout.contains("name it with --socket"), "{lost:?}");
    cluster.lab.passed()
}
