//! Routes of both families in one external session of 4-octet AS numbers: their attributes, many
//! of them, and asking for them again.
//!
//! In: two prefixes with communities, then a thousand. Out: two of ours and one of node-b, which
//! sits behind us in a third AS, then a thousand. We dial; the partner waits.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use twill_tests::lab::{WAIT, wait};
use twill_tests::node::Node;

use crate::matrix::Cell;
use crate::partner::{COMMUNITY, LARGE, Start, Terms};
use crate::stage::{OURS, Ours, PATIENCE, PEER, Stage, THEIRS, route, words};

/// On the thousand, at first.
pub(crate) const ONE: &str = "65000:1001";
/// On the thousand, after they changed.
pub(crate) const OTHER: &str = "65000:1002";

/// The router behind us.
const BEHIND: &str = "  - name: node-b
    address: 10.0.0.3
    asn: 4200000003
    import: {default: accept}
    export: {default: accept}
";

/// Its own configuration. What it sets must come through us to the partner.
const NODE_B: &str = "\
node: node-b
asn: 4200000003
addresses: [10.0.0.3, fd00::3]
podCIDRs: [10.244.3.0/24, 'fd00:244:3::/64']
mesh: {mode: none}
cni: {write: false}
http: none
peers:
  - name: node-a
    address: 10.0.0.1
    asn: 4200000001
    import: {default: accept}
    export: {default: accept, communities: ['64513:300']}
";

pub(crate) fn run(name: &str, start: Start) -> Result<()> {
    let terms = Terms { they_wait: true, ..Terms::external() };
    let ours = Ours { peers: BEHIND, ..Ours::default() };
    let mut stage = Stage::begin(name, start, &terms, &ours)?;
    let behind = node_b(&stage)?;
    stage.wait_established()?;
    stage.wait_routes()?;
    ensure!(stage.peer()?["detail"]["negotiated"]["direction"] == "outgoing");
    stage.yes(Cell::WeOpen)?;
    stage.yes(Cell::BothFamilies)?;

    as_numbers(&stage)?;
    communities(&stage, &behind)?;
    thousand_in(&mut stage)?;
    thousand_out(&stage, &terms, &ours)?;
    extended_messages(&stage)?;
    refresh(&stage)?;
    our_words(&stage)?;
    stage.lab.passed()
}

fn node_b(stage: &Stage) -> Result<Node> {
    let host = stage.lab.host("node-b")?;
    stage.lab.plug(&host, "eth0", &stage.lan, &["10.0.0.3/24", "fd00::3/64"])?;
    let node = Node::new(host, NODE_B)?;
    node.start()?;
    Ok(node)
}

fn as_numbers(stage: &Stage) -> Result<()> {
    ensure!(stage.in_use()?.contains("4-octet AS numbers"));
    let theirs = stage.route(THEIRS[0])?;
    ensure!(theirs["asPath"] == serde_json::json!([4_200_000_002_u32]), "{theirs}");
    let ours = stage.partner.route(OURS[0])?.context("our route is gone")?;
    ensure!(ours.as_path == [4_200_000_001], "{ours:?}");
    stage.yes(Cell::External)
}

fn communities(stage: &Stage, behind: &Node) -> Result<()> {
    for prefix in THEIRS {
        has_communities(&stage.route(prefix)?)?;
        // Two hops on, as they were.
        let passed = route(behind, prefix, "node-a")?;
        has_communities(&passed)?;
        let path = serde_json::json!([4_200_000_001_u32, 4_200_000_002_u32]);
        ensure!(passed["asPath"] == path, "{passed}");
    }
    stage.yes(Cell::CommunitiesIn)?;

    let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let expected: [(&str, BTreeSet<String>); 4] = [
        (OURS[0], set(&["64512:100"])),
        (OURS[1], set(&["64512:100"])),
        ("10.244.3.0/24", set(&["64512:100", "64513:300"])),
        ("fd00:244:3::/64", set(&["64512:100", "64513:300"])),
    ];
    for (prefix, communities) in expected {
        wait(format_args!("{prefix} at the partner with {communities:?}"), WAIT, || {
            let seen = stage.partner.route(prefix)?;
            Ok(seen.context("not there")?.communities == communities)
        })?;
    }
    stage.yes(Cell::CommunitiesOut)
}

fn has_communities(route: &Value) -> Result<()> {
    ensure!(words(&route["communities"]).contains(COMMUNITY), "{route}");
    ensure!(words(&route["largeCommunities"]).contains(LARGE), "{route}");
    Ok(())
}

/// 500 of each family: `172.16.0.0/32`..., `2001:db8:f000::/48`... within `block` of each.
fn thousand(block: u8) -> Vec<String> {
    let v4 = (0..500).map(|n| format!("172.{block}.{}.{}/32", n / 250, n % 250 + 1));
    let v6 = (0..500).map(|n| format!("2001:db8:{block}{:02x}:{:x}::/64", n / 250, n % 250 + 1));
    v4.chain(v6).collect()
}

/// How many of our kernel's routes are of the partner's thousand.
fn installed(stage: &Stage) -> Result<usize> {
    let mut count = 0;
    for (family, start) in [("-4", "172.20."), ("-6", "2001:db8:20")] {
        let routes = stage.node.host().run(&["ip", family, "route", "show", "proto", "116"])?;
        count += routes.lines().filter(|line| line.starts_with(start)).count();
    }
    Ok(count)
}

fn thousand_in(stage: &mut Stage) -> Result<()> {
    let prefixes = thousand(20);
    stage.partner.announce(&prefixes, ONE)?;
    wait("the partner's thousand in our kernel", PATIENCE, || Ok(installed(stage)? == 1000))?;
    wait_community(stage, ONE)?;
    stage.partner.change(&prefixes, OTHER)?;
    wait_community(stage, OTHER)?;
    ensure!(installed(stage)? == 1000, "a change removed routes");
    stage.partner.withdraw(&prefixes)?;
    wait("the partner's thousand to be gone", PATIENCE, || Ok(installed(stage)? == 0))?;
    ensure!(stage.counts()?.0 == 2, "only what it always announces is left");
    stage.yes(Cell::ThousandIn)
}

/// Waits until we show a thousand routes from the partner with a community.
fn wait_community(stage: &Stage, community: &str) -> Result<()> {
    wait(format_args!("the partner's thousand with {community}"), PATIENCE, || {
        let routes = stage.node.json(&["routes", "--peer", PEER])?;
        let routes = routes.as_array().context("no list")?;
        Ok(routes
            .iter()
            .filter(|route| {
                route["communities"]
                    .as_array()
                    .is_some_and(|all| all.iter().any(|c| c == community))
            })
            .count()
            >= 1000)
    })
    .map(drop)
}

fn thousand_out(stage: &Stage, terms: &Terms, ours: &Ours) -> Result<()> {
    let prefixes = thousand(21);
    let (last4, last6) = (&prefixes[499], &prefixes[999]);
    let there = || -> Result<usize> {
        let seen = stage.partner.prefixes()?;
        Ok(prefixes.iter().filter(|prefix| seen.contains(*prefix)).count())
    };
    let more = Ours { announce: prefixes.clone(), ..ours.clone() };
    stage.reload(terms, &more)?;
    wait("our thousand at the partner", PATIENCE, || Ok(there()? == 1000))?;
    stage.reload(terms, &Ours { communities: OTHER, ..more })?;
    for prefix in [last4, last6] {
        wait(format_args!("{prefix} changed at the partner"), PATIENCE, || {
            let seen = stage.partner.route(prefix)?.context("gone")?;
            Ok(seen.communities.contains(OTHER) && !seen.communities.contains("64512:100"))
        })?;
    }
    ensure!(there()? == 1000, "a change removed routes");
    stage.reload(terms, ours)?;
    wait("our thousand to be gone at the partner", PATIENCE, || Ok(there()? == 0))?;
    stage.wait_routes()?;
    stage.yes(Cell::ThousandOut)
}

fn extended_messages(stage: &Stage) -> Result<()> {
    let used = stage.in_use()?.contains("extended messages");
    let refusal = match (used, stage.offered("extended messages")?) {
        (true, _) => None,
        (false, Some(_)) => Some("it offers them, we do not yet".to_owned()),
        (false, None) => Some("not among the capabilities that it offers".to_owned()),
    };
    stage.fill(Cell::ExtendedMessages, refusal)
}

fn refresh(stage: &Stage) -> Result<()> {
    ensure!(stage.peer()?["flaps"] == 0, "the session was lost on the way");
    let (sent, got) = ("messagesSent", "messagesReceived");
    let asked = stage.messages(sent, "routeRefresh")?;
    let updates = stage.messages(got, "update")?;
    ensure!(stage.node.cli(&["reset", PEER, "--soft"])?.status == 0);
    let mut refusal = None;
    // More UPDATEs alone prove nothing: a new session brings them as well.
    wait("the partner's routes again", WAIT, || {
        refusal = stage.partner.refuses_refresh();
        Ok(stage.messages(sent, "routeRefresh")? >= asked + 2
            && (refusal.is_some() || stage.messages(got, "update")? >= updates + 2))
    })?;
    let lost = stage.peer()?["flaps"].clone();
    ensure!(lost == 0 || refusal.is_some(), "the session was lost");
    stage.fill(Cell::WeRefresh, refusal)?;
    stage.wait_established()?;
    stage.wait_routes()?;

    let asked = stage.messages(got, "routeRefresh")?;
    let updates = stage.messages(sent, "update")?;
    let refusal = stage.partner.ask_again()?;
    if refusal.is_none() {
        wait("to be asked, and to send our routes again", WAIT, || {
            Ok(stage.messages(got, "routeRefresh")? >= asked + 2
                && stage.messages(sent, "update")? >= updates + 2)
        })?;
        stage.wait_routes()?;
    }
    ensure!(stage.peer()?["flaps"] == lost, "the session was lost");
    stage.fill(Cell::TheyRefresh, refusal)
}

fn our_words(stage: &Stage) -> Result<()> {
    ensure!(stage.node.cli(&["reset", PEER])?.status == 0);
    let mut heard = String::new();
    wait("the partner to show our reset", WAIT, || {
        heard = stage.partner.heard()?;
        Ok(heard.to_lowercase().contains("reset"))
    })
    .with_context(|| format!("it shows: {heard}"))?;
    println!("it shows: {heard}");
    stage.yes(Cell::OurWords)
}
