//! `twill fib`.

use std::time::SystemTime;

use super::output::{Paint, Screen, View, read};
use super::status::section;
use super::table::{Table, painted, text};
use super::{Exit, client, human};
use crate::control::api::Fib;

/// Arguments of `twill fib`.
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
        "/v1/fib",
        |fib, screen| render(fib, screen, SystemTime::now()),
        |fib: &Fib| {
            let right = fib.missing.is_empty() && fib.unexpected.is_empty();
            if right { Exit::Yes } else { Exit::No }
        },
    )
}

pub(super) fn render(fib: &Fib, screen: &Screen, now: SystemTime) -> String {
    let mut table = Table::new([
        text("STATE"),
        text("PREFIX").cut(18),
        text("NEXT HOP").cut(15),
        text("DEVICE").cut(8),
    ]);
    let mut out = String::new();
    let lists = [
        ("✗ missing", Paint::Bad, &fib.missing),
        ("✗ unexpected", Paint::Bad, &fib.unexpected),
        ("~ stale", Paint::Doubtful, &fib.stale),
        ("✓ installed", Paint::Good, &fib.installed),
    ];
    for (state, paint, routes) in lists {
        for route in routes {
            let hop = route.next_hop.map_or("on link".to_owned(), |hop| hop.to_string());
            table.row([
                painted(state, paint),
                (&route.prefix).into(),
                hop.into(),
                route.device.as_deref().unwrap_or("-").into(),
            ]);
        }
    }
    if lists.iter().all(|(_, _, routes)| routes.is_empty()) {
        out.push_str("No route of ours is in the kernel, and none should be.\n");
    } else {
        out.push_str(&table.render(screen));
    }
    let why: Vec<String> = fib
        .missing
        .iter()
        .filter_map(|route| Some(format!("{}: {}", route.prefix, route.reason.as_ref()?)))
        .collect();
    section(&mut out, "Why missing", '✗', Paint::Bad, &why, screen);
    section(&mut out, "Problems", '✗', Paint::Bad, &fib.problems, screen);
    let synced = match &fib.synced_at {
        Some(at) => {
            let took = human::short(fib.sync_seconds);
            format!("compared with the kernel {} in {took}", human::ago(at, now))
        }
        None => "not compared with the kernel yet".to_owned(),
    };
    let errors = match usize::try_from(fib.errors).unwrap_or(usize::MAX) {
        0 => String::new(),
        errors => format!(", {} failed", human::count(errors, "change", "changes")),
    };
    out.push_str(&format!("{}\n", Paint::Dim.on(&format!("{synced}{errors}"), screen)));
    out
}
