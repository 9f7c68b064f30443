//! `twill status`.

use std::fmt::Write;
use std::time::SystemTime;

use super::output::{Paint, Screen, View, clean, read, wrap};
use super::{Exit, client, human};
use crate::control::api::Status;
use crate::drain::Drain;

/// Arguments of `twill status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    view: View,
    #[command(flatten)]
    agent: client::Agent,
}

pub(super) fn run(args: &Args) -> Exit {
    read(
        &args.agent,
        &args.view,
        "/v1/status",
        |status, screen| render(status, screen, SystemTime::now()),
        |status: &Status| if status.healthy { Exit::Yes } else { Exit::No },
    )
}

pub(super) fn render(status: &Status, screen: &Screen, now: SystemTime) -> String {
    let (sign, health) = match (status.healthy, status.ready) {
        (true, _) => (Paint::Good, "✓ healthy"),
        (false, true) => (Paint::Doubtful, "! ready, with problems"),
        (false, false) => (Paint::Bad, "✗ not ready"),
    };
    let mut out =
        format!("{}  {}\n", Paint::Title.on(&clean(&status.node), screen), sign.on(health, screen));
    let mut line = |name: &str, value: &str| {
        let name = Paint::Dim.on(&format!("{name:<9}"), screen);
        // Writing to a String does not fail.
        let _: std::fmt::Result = writeln!(out, "  {name} {}", wrap(value, screen.width, 12));
    };
    line("node", &format!("AS {}, router id {}", status.asn, status.router_id));
    line("agent", &agent(status, now));
    let peers = status.peers;
    line("sessions", &format!("{} of {} up", peers.established, peers.configured));
    line("routes", &routes(status));
    let synced = match &status.synced_at {
        Some(at) => {
            let took = human::short(status.sync_seconds);
            format!("compared {} in {took}", human::ago(at, now))
        }
        None => "not compared yet".to_owned(),
    };
    line("kernel", &synced);
    match status.drain {
        None => {}
        Some(Drain::Marked) => {
            line("drain", "~ marked: others move to other paths where they have any");
        }
        Some(Drain::Withdrawn) => line(
            "drain",
            "~ withdrawn: nothing that leads here is announced; `twill drain --undo` ends it",
        ),
    }
    section(&mut out, "Problems", '✗', Paint::Bad, &status.problems, screen);
    section(&mut out, "Sessions down", '!', Paint::Doubtful, &status.sessions_down, screen);
    section(&mut out, "Warnings", '!', Paint::Doubtful, &status.config.warnings, screen);
    let errors: Vec<String> = status
        .last_errors
        .iter()
        .map(|error| format!("{}, {}: {}", error.peer, human::ago(&error.at, now), error.error))
        .collect();
    section(&mut out, "Last errors of sessions", '·', Paint::Dim, &errors, screen);
    let changes: &[String] = if screen.wide { &status.host_changes } else { &[] };
    section(&mut out, "Changed on this host", '·', Paint::Dim, changes, screen);
    out
}

fn agent(status: &Status, now: SystemTime) -> String {
    let mut text =
        format!("twill {}, up {}", status.version, human::duration(status.uptime_seconds));
    if let Some(loaded) = &status.config.loaded_at {
        text.push_str(&format!(", configuration read {}", human::ago(loaded, now)));
    }
    text
}

fn routes(status: &Status) -> String {
    let routes = status.routes;
    let mut text = format!("{} of {} installed", routes.installed, routes.expected);
    for (count, what) in [
        (routes.missing, "missing"),
        (routes.unexpected, "unexpected"),
        (routes.stale, "stale"),
        (routes.shadowed, "behind foreign ones"),
        (usize::try_from(routes.rejected).unwrap_or(usize::MAX), "refused by policy"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}

/// A list under a title; nothing for an empty one.
pub(super) fn section(
    out: &mut String,
    title: &str,
    sign: char,
    paint: Paint,
    lines: &[String],
    screen: &Screen,
) {
    if lines.is_empty() {
        return;
    }
    out.push_str(&format!("\n{}\n", Paint::Title.on(title, screen)));
    for line in lines {
        let sign = paint.on(&sign.to_string(), screen);
        out.push_str(&format!("  {sign} {}\n", wrap(line, screen.width, 4)));
    }
}
