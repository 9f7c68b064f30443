//! Who opens: the partner alone, or both at once, in an internal session (that we alone open is
//! seen in `routes`).
//!
//! For both at once, both hosts drop what arrives for BGP until each has a SYN on its way; then
//! only what carries data is dropped, so that both connections can stand before an OPEN is read;
//! then nothing. Out: one session, with either side the one of the higher BGP Identifier.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use twill_tests::lab::{Host, WAIT, hold, wait};

use crate::matrix::Cell;
use crate::partner::{Start, Terms};
use crate::stage::{OURS, Ours, PATIENCE, PEER, Stage, THEIRS};

/// Nothing of BGP is heard.
const DEAF: &str = "tcp dport 179 drop; tcp sport 179 drop;";
/// Connections stand, and nothing is said on them.
const MUTE: &str = "tcp dport 179 tcp flags & psh == psh drop; \
                    tcp sport 179 tcp flags & psh == psh drop;";

pub(crate) fn run(name: &str, start: Start) -> Result<()> {
    let terms = Terms { we_wait: true, ..Terms::internal() };
    let mut stage = Stage::begin(name, start, &terms, &Ours::default())?;
    stage.wait_established()?;
    stage.wait_routes()?;
    ensure!(stage.peer()?["detail"]["negotiated"]["direction"] == "incoming");
    stage.yes(Cell::TheyOpen)?;
    internal(&stage)?;

    for router_id in ["10.0.0.1", "10.0.0.9"] {
        both(&mut stage, router_id)?;
    }
    stage.yes(Cell::BothOpen)?;

    let text = "moved to the other rack until noon";
    let refusal = stage.partner.shut_down(text)?;
    if refusal.is_none() {
        wait("its operator's text in `twill peers`", WAIT, || {
            Ok(stage.peer()?["lastError"].as_str().is_some_and(|error| error.contains(text)))
        })?;
    }
    stage.fill(Cell::TheirWords, refusal)?;
    stage.lab.passed()
}

fn internal(stage: &Stage) -> Result<()> {
    ensure!(stage.peer()?["ibgp"] == true);
    for prefix in THEIRS {
        let theirs = stage.route(prefix)?;
        ensure!(theirs["asPath"].as_array().is_some_and(Vec::is_empty), "{theirs}");
        ensure!(theirs["localPref"] == 100, "{theirs}");
    }
    for prefix in OURS {
        let ours = stage.partner.route(prefix)?.context("our route is gone")?;
        ensure!(ours.as_path.is_empty() && ours.local_pref == Some(100), "{ours:?}");
    }
    stage.yes(Cell::Internal)
}

/// Replaces what a host drops; nothing for an empty rule.
fn filter(host: &Host, rules: &str) -> Result<()> {
    let table = format!(
        "table inet lab {{}}\ndelete table inet lab\n\
         table inet lab {{ chain in {{ type filter hook input priority 0; {rules} }}; }}"
    );
    host.run_with_input(&["nft", "-f", "-"], &table).map(drop)
}

/// Connections of BGP in a state of TCP.
fn connections(host: &Host, state: &str) -> Result<usize> {
    let ports = "( dport = :179 or sport = :179 )";
    Ok(host.run(&["ss", "-Htn", "state", state, ports])?.lines().count())
}

fn both(stage: &mut Stage, router_id: &'static str) -> Result<()> {
    let terms = Terms::internal();
    stage.partner.kill()?;
    stage.wait_down()?;
    let hosts = [stage.node.host().clone(), stage.partner.host().clone()];
    let all = |rules: &str| hosts.iter().try_for_each(|host| filter(host, rules));
    all(DEAF)?;
    stage.reload(&terms, &Ours { router_id, ..Ours::default() })?;
    stage.partner.restart(&terms)?;
    for host in &hosts {
        let what = format!("{} to dial", host.name());
        wait(what, PATIENCE, || Ok(connections(host, "syn-sent")? > 0))?;
    }
    all(MUTE)?;
    wait("both to be through", WAIT, || {
        Ok(connections(&hosts[0], "syn-sent")? + connections(&hosts[1], "syn-sent")? == 0)
    })?;
    println!("{} connections when they may speak", connections(&hosts[0], "established")?);
    all("")?;
    stage.wait_established()?;
    stage.wait_routes()?;
    wait("one connection to be left", WAIT, || Ok(connections(&hosts[0], "established")? == 1))?;
    let since = stage.peer()?["flaps"].clone();
    hold("the session", Duration::from_secs(2), || {
        let peer = stage.node.peer(PEER)?;
        Ok(peer["state"] == "Established" && peer["flaps"] == since)
    })
}
