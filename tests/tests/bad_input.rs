//! Bad configuration and bad surroundings: one clear line with place and remedy, and nothing that
//! already works is lost.

use anyhow::Result;
use twill_tests::cluster::{Cluster, Plan};
use twill_tests::lab::{Lab, WAIT, wait};
use twill_tests::node::{Answer, CONFIG, Node};
use twill_tests::skip_unless;

const GOOD: &str = "\
node: node-a
addresses: [10.0.0.1, fd00::1]
podCIDRs: [10.244.1.0/24]
mesh:
  nodes:
    - {name: node-b, addresses: [10.0.0.2], podCIDRs: [10.244.2.0/24]}
";

/// What is wrong, the file, and what the error must name.
const BAD: [(&str, &str, &[&str]); 12] = [
    ("an unknown key", "adresses: []\naddresses: [10.0.0.1]\n", &["1", "adresses", "addresses"]),
    (
        "host bits",
        "addresses: [10.0.0.1]\npodCIDRs: [10.244.1.1/24]\n",
        &["2", "podCIDRs", "10.244.1.0/24"],
    ),
    (
        "overlapping pod CIDRs",
        "addresses: [10.0.0.1]\npodCIDRs: [10.244.0.0/16]\nmesh:\n  nodes:\n    - {name: b, addresses: [10.0.0.2], podCIDRs: [10.244.2.0/24]}\n",
        &["5", "10.244.2.0/24", "10.244.0.0/16"],
    ),
    ("no address", "podCIDRs: [10.244.1.0/24]\n", &["addresses"]),
    ("AS 0", "asn: 0\naddresses: [10.0.0.1]\n", &["1", "asn", "reserved"]),
    (
        "a peer listed twice",
        "addresses: [10.0.0.1]\npeers:\n  - {name: t, address: 10.0.0.9, asn: 65000}\n  - {name: t, address: 10.0.0.8, asn: 65000}\n",
        &["4", "t"],
    ),
    (
        "an overlay",
        "addresses: [10.0.0.1]\ndataplane: {overlay: always}\n",
        &["2", "overlay", "never"],
    ),
    (
        "proxy ARP on the LAN",
        "addresses: [10.0.0.1]\ndataplane: {proxyArp: lan}\n",
        &["2", "proxyArp", "pods"],
    ),
    (
        "a hold time of 2 s",
        "addresses: [10.0.0.1]\nmesh: {holdTime: 2s}\n",
        &["2", "holdTime", "3"],
    ),
    (
        "multihop beside gtsm",
        "addresses: [10.0.0.1]\npeers:\n  - {name: t, address: 10.0.0.9, asn: 65000, multihop: 2, gtsm: 254}\n",
        &["3", "multihop", "gtsm"],
    ),
    ("no YAML", "addresses: [10.0.0.1\n", &["1"]),
    (
        "a password file that is not there",
        "addresses: [10.0.0.1]\nmesh: {password: {file: /nowhere/secret}}\n",
        &["2", "/nowhere/secret"],
    ),
];

/// `twill check` names each fault and exits with 1; `twill agent` exits with 2.
#[test]
fn each_bad_configuration_is_refused_with_place_and_remedy() -> Result<()> {
    skip_unless!(lab);
    let lab = Lab::new("bad-config")?;
    let node = Node::new(lab.host("node-a")?, GOOD)?;
    let check = node.cli(&["check", CONFIG])?;
    assert_eq!(check.status, 0, "{check:?}");
    for (what, text, words) in BAD {
        node.host().write(CONFIG, text)?;
        let check = node.cli(&["check", CONFIG])?;
        let said = format!("{}{}", check.stdout, check.stderr);
        assert_eq!(check.status, 1, "{what}: {said}");
        for word in words {
            assert!(said.contains(word), "{what}: the error must name {word:?}: {said}");
        }
        let agent = node.cli(&["agent", "--config", CONFIG])?;
        refused_at_start(what, &agent, words);
        println!("{what}: {}", said.trim());
    }
    lab.passed()
}

/// Exit code 2 and one line on standard error, with these words.
fn refused_at_start(what: &str, answer: &Answer, words: &[&str]) {
    assert_eq!(answer.status, 2, "{what}: {answer:?}");
    let lines: Vec<&str> = answer.stderr.lines().filter(|line| !line.contains(" INFO ")).collect();
    assert_eq!(lines.len(), 1, "{what}: {answer:?}");
    for (line, word) in lines.iter().flat_map(|line| words.iter().map(move |word| (line, word))) {
        assert!(line.contains(word), "{what}: {word:?} is not in {line}");
    }
}

/// The file is replaced by each bad one and reloaded: sessions and routes stand, `twill status` says
/// why the new one was refused; a good one heals it.
#[test]
fn a_bad_reload_leaves_everything_standing() -> Result<()> {
    skip_unless!(lab);
    let cluster = Cluster::start("bad-reload", Plan { nodes: 2, pods: 1, ..Plan::default() })?;
    let node = &cluster.nodes[0];
    let good = cluster.plan.config(1);
    for (what, text, words) in BAD {
        node.reload(text)?;
        wait(format_args!("{what} to be refused"), WAIT, || {
            let status = node.json(&["status"])?;
            let refused = status["config"]["refused"].as_str().unwrap_or_default();
            Ok(words.iter().all(|word| refused.contains(word)))
        })?;
        assert_eq!(node.cli(&["status"])?.status, 1, "{what}");
    }
    node.reload(&good.replace("holdTime: 9s", "holdTime: 2s"))?;
    wait("the refusal to be shown", WAIT, || {
        Ok(node.cli(&["status"])?.stdout.contains("holdTime"))
    })?;
    let peer = node.peer("node-b")?;
    assert_eq!((&peer["state"], &peer["flaps"]), (&"Established".into(), &0.into()), "{peer}");
    assert!(node.has_route("10.244.2.0/24", "via 10.0.0.2")?);
    node.reload(&good)?;
    wait("the refusal to be gone", WAIT, || {
        Ok(!node.cli(&["status"])?.stdout.contains("holdTime"))
    })?;
    assert_eq!(node.peer("node-b")?["flaps"], 0);
    cluster.lab.passed()
}

/// Port 179 is taken; the socket's path is taken by something else; a capability is missing.
#[test]
fn surroundings_that_do_not_fit_are_named() -> Result<()> {
    skip_unless!(lab);
    let lab = Lab::new("surroundings")?;
    let lan = lab.switch("lan")?;
    let host = lab.host("node-a")?;
    lab.plug(&host, "eth0", &lan, &["10.0.0.1/24", "fd00::1/64"])?;
    let node = Node::new(host, GOOD)?;
    node.start()?;

    // The socket answers: another agent runs here.
    let second = node.cli(&["agent", "--config", CONFIG])?;
    refused_at_start("a second agent", &second, &["/run/twill/twill.sock"]);
    // With another socket and page, the BGP port is what is left to clash.
    node.host().write("/etc/twill/second.yaml", &format!("http: 127.0.0.1:9180\n{GOOD}"))?;
    let second =
        node.cli(&["agent", "--config", "/etc/twill/second.yaml", "--socket", "/run/second.sock"])?;
    refused_at_start("port 179", &second, &["179", "ss -ltnp"]);
    node.terminate()?;

    node.host().write("/run/twill/twill.sock.d/file", "")?;
    node.host().write("/run/no-socket", "precious")?;
    let occupied = node.cli(&["agent", "--config", CONFIG, "--socket", "/run/no-socket"])?;
    refused_at_start("a socket path that exists", &occupied, &["/run/no-socket"]);
    assert_eq!(node.host().read("/run/no-socket")?, "precious");

    let drop = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"];
    let without = node.cli_under(&drop, &["agent", "--config", CONFIG])?;
    refused_at_start("no CAP_NET_ADMIN", &without, &["CAP_NET_ADMIN", "dataplane.install: false"]);

    // Without it, an agent that speaks BGP only runs; a reload that asks for routes is refused.
    let speaks = format!("{GOOD}dataplane: {{install: false}}\n");
    // What the first agent has left is not its to touch.
    node.host().run(&["ip", "route", "flush", "proto", "116"])?;
    node.host().write(CONFIG, &speaks)?;
    node.start_under(&drop)?;
    node.reload(GOOD)?;
    wait("the refusal to be shown", WAIT, || {
        let status = node.json(&["status"])?;
        let refused = status["config"]["refused"].as_str().unwrap_or_default();
        Ok(refused.contains("CAP_NET_ADMIN"))
    })?;
    assert_eq!(node.host().run(&["ip", "route", "show", "proto", "116"])?, "");
    node.reload(&speaks)?;
    wait("the refusal to be forgotten", WAIT, || {
        Ok(node.json(&["status"])?["config"]["refused"].is_null())
    })?;
    lab.passed()
}

/// No agent: exit code 3, and the line names the socket.
#[test]
fn a_command_without_an_agent_says_where_it_looked() -> Result<()> {
    skip_unless!(lab);
    let lab = Lab::new("no-agent")?;
    let node = Node::new(lab.host("node-a")?, GOOD)?;
    for command in ["status", "peers", "routes", "fib"] {
        let answer = node.cli(&[command])?;
        assert_eq!(answer.status, 3, "{answer:?}");
        assert!(answer.stderr.contains("/run/twill/twill.sock"), "{answer:?}");
    }
    lab.passed()
}

/// A router that sends more than its limit is shut off with Cease, and the reason is shown.
#[test]
fn a_peer_over_its_prefix_limit_is_shut_off() -> Result<()> {
    skip_unless!(lab, frr);
    let peers = "\
peers:
  - name: tor
    address: 10.0.0.254
    asn: 65000
    import: {default: accept, maxPrefixes: 3}
    export: {default: reject}
";
    let plan = Plan { nodes: 1, pods: 0, more: peers.to_owned(), ..Plan::default() };
    let cluster = Cluster::build("limit", plan)?;
    let host = cluster.neighbor("tor", &["10.0.0.254/24"])?;
    let mut frr = String::from(
        "router bgp 65000\n no bgp ebgp-requires-policy\n no bgp network import-check\n \
         neighbor 10.0.0.1 remote-as 64512\n neighbor 10.0.0.1 timers connect 1\n \
         address-family ipv4 unicast\n",
    );
    for number in 0..4 {
        frr += &format!("  network 192.0.2.{}/26\n", number * 64);
    }
    let frr = twill_tests::router::Frr::start(host, &(frr + " exit-address-family\n"))?;
    let node = &cluster.nodes[0];
    node.start()?;
    wait("the session to be shut off", WAIT, || {
        let peer = node.peer("tor")?;
        let error = peer["lastError"].as_str().unwrap_or_default().to_lowercase();
        Ok(peer["state"] != "Established" && error.contains("prefix"))
    })?;
    println!("{}", node.peer("tor")?["lastError"]);
    assert!(!node.has_route("192.0.2.0/26", "")?, "nothing of it may stay in the kernel");
    let neighbor = frr.vtysh("show bgp neighbors 10.0.0.1")?;
    assert!(neighbor.contains("Cease"), "FRR was told why: {neighbor}");
    cluster.lab.passed()
}
