//! Graceful restart, each side in each part.
//!
//! In: a partner, then our agent, killed without a word and started again with a route less. Out:
//! what stayed was never away, in our kernel by the kernel's own log, at the partner by its table;
//! what did not come back goes at End-of-RIB.

use std::time::Duration;

use anyhow::{Result, ensure};
use twill_tests::lab::{WAIT, hold, wait};
use twill_tests::routelog::RouteLog;

use crate::matrix::Cell;
use crate::partner::{Start, Terms};
use crate::stage::{OURS, Ours, PEER, Stage, THEIRS};

/// How long a side stays away: long enough to show that nothing was dropped at once.
const AWAY: Duration = Duration::from_millis(1500);
/// What the partner does not announce any more after its restart.
const THEIR_LESS: &str = "198.51.100.0/24";
/// What we do not announce any more after ours.
const OUR_LESS: &str = "203.0.113.0/24";

pub(crate) fn run(name: &str, start: Start) -> Result<()> {
    let mut terms = Terms::external();
    terms.networks.push(THEIR_LESS);
    let ours = Ours { announce: vec![OUR_LESS.to_owned()], ..Ours::default() };
    let mut stage = Stage::begin(name, start, &terms, &ours)?;
    stage.wait_established()?;
    stage.wait_routes()?;
    stage.node.wait_route(THEIR_LESS, "via 10.0.0.2")?;
    end_of_rib(&stage)?;

    let refusal = helper(&mut stage)?;
    stage.fill(Cell::Helper, refusal)?;
    let refusal = restarting(&stage)?;
    stage.fill(Cell::Restarting, refusal)?;
    stage.lab.passed()
}

/// The partner has sent all that it has.
fn end_of_rib(stage: &Stage) -> Result<()> {
    wait("End-of-RIB of both families", WAIT, || {
        let families = stage.peer()?["detail"]["negotiated"]["endOfRib"].clone();
        Ok(families.as_array().is_some_and(|families| families.len() == 2))
    })
    .map(drop)
}

fn helper(stage: &mut Stage) -> Result<Option<String>> {
    let again = Terms { restarted: true, ..Terms::external() };
    if !stage.in_use()?.contains("graceful restart (ipv4, ipv6)") {
        let offer = stage.offered("graceful restart")?;
        // It may say in its first OPEN that it has restarted, and not in the next.
        let offer = offer.map(|offer| offer.replace(", has restarted", ""));
        stage.restart_partner(&again)?;
        stage.wait_established()?;
        stage.wait_routes()?;
        return Ok(Some(format!("it offers `{}`", offer.unwrap_or_else(|| "nothing".to_owned()))));
    }
    let log = RouteLog::start(stage.node.host())?;
    stage.partner.kill()?;
    stage.wait_down()?;
    // Some send ours back, and those are stale as well.
    wait("its routes to be stale", WAIT, || {
        Ok(stage.node.peer(PEER)?["prefixesStale"].as_u64() >= Some(3))
    })?;
    hold("its routes in our kernel while it is away", AWAY, || {
        let mut all = true;
        for prefix in THEIRS.iter().chain([&THEIR_LESS]) {
            all &= stage.node.has_route(prefix, "via")?;
        }
        Ok(all)
    })?;
    stage.partner.restart(&again)?;
    stage.wait_established()?;
    println!("its OPEN after the restart: {:?}", stage.offered("graceful restart")?);
    stage.node.wait_no_route(THEIR_LESS, WAIT)?;
    stage.wait_routes()?;
    end_of_rib(stage)?;
    for prefix in THEIRS {
        ensure!(!log.was_deleted(prefix), "{prefix}: {:?}", log.events(prefix));
    }
    ensure!(stage.node.peer(PEER)?["prefixesStale"] == 0);
    Ok(None)
}

fn restarting(stage: &Stage) -> Result<Option<String>> {
    let all = [OURS[0], OURS[1], OUR_LESS];
    let kept = |prefixes: &[&str]| -> Result<bool> {
        let seen = stage.partner.prefixes()?;
        let mut all = prefixes.iter().all(|prefix| seen.contains(*prefix));
        for prefix in prefixes {
            all &= stage.partner.installed(prefix)?.unwrap_or(true);
        }
        Ok(all)
    };
    wait("all our routes at the partner", WAIT, || kept(&all))?;
    let log = RouteLog::start(stage.node.host())?;
    stage.node.kill()?;
    wait("the partner to notice", WAIT, || Ok(!stage.partner.established()?))?;
    let refusal = stage.partner.forgets()?;
    if refusal.is_none() {
        hold("our routes at the partner while we are away", AWAY, || kept(&all))?;
    }
    stage.configure(&Terms::external(), &Ours::default())?;
    stage.node.start()?;
    if refusal.is_none() {
        let mut always = true;
        wait("the session to be back", WAIT, || {
            always &= kept(&OURS)?;
            stage.partner.established()
        })?;
        ensure!(always, "the partner dropped our routes before they came again");
        wait("the partner to drop what we announce no more", WAIT, || {
            Ok(!stage.partner.prefixes()?.contains(OUR_LESS))
        })?;
    }
    stage.wait_established()?;
    stage.wait_routes()?;
    for prefix in THEIRS {
        ensure!(!log.was_deleted(prefix), "{prefix}: {:?}", log.events(prefix));
    }
    Ok(refusal)
}
