//! `twill routes [PREFIX]`.

use super::output::{Paint, Screen, View, read};
use super::table::{Cell, Table, number, painted, text};
use super::{Exit, client, human};
use crate::control::api::Route;

/// Arguments of `twill routes`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this prefix; or, for an address, the longest prefix that holds it.
    prefix: Option<String>,
    /// Only what this peer sent; with --advertised, what it is sent.
    #[arg(long, value_name = "NAME")]
    peer: Option<String>,
    /// What peers sent, refused routes included, without our own.
    #[arg(long, conflicts_with_all = ["advertised", "all"])]
    received: bool,
    /// What a peer is sent.
    #[arg(long, requires = "peer", conflicts_with = "all")]
    advertised: bool,
    /// All routes: losers with the reason they lost, refused ones with the rule.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    view: View,
    #[command(flatten)]
    agent: client::Agent,
}

pub(super) fn run(args: &Args) -> Exit {
    let mut uri = "/v1/routes".to_owned();
    if let Some(prefix) = &args.prefix {
        uri.push('/');
        uri.push_str(&client::escape(prefix));
    }
    let view = match args {
        Args { received: true, .. } => "received",
        Args { advertised: true, .. } => "advertised",
        Args { all: true, .. } => "all",
        _ => "best",
    };
    uri.push_str(&format!("?view={view}"));
    if let Some(peer) = &args.peer {
        uri.push_str(&format!("&peer={}", client::escape(peer)));
    }
    read(
        &args.agent,
        &args.view,
        &uri,
        |routes: &Vec<Route>, screen| render(routes, screen),
        // A whole table may be empty; what was asked for by name is there or not.
        |routes| if routes.is_empty() && args.prefix.is_some() { Exit::No } else { Exit::Yes },
    )
}

pub(super) fn render(routes: &[Route], screen: &Screen) -> String {
    if routes.is_empty() {
        return "No route.\n".to_owned();
    }
    let mut table = Table::new([
        text(" "),
        text("PREFIX").cut(18),
        text("NEXT HOP").cut(15),
        text("FROM").cut(8),
        number("PREF").rank(2),
        number("MED").rank(3),
        text("AS PATH").cut(12).rank(1),
        text("ORIGIN").wide(),
        text("COMMUNITIES").wide(),
        text("WHY NOT").cut(20),
    ]);
    for route in routes {
        table.row([
            sign(route),
            (&route.prefix).into(),
            human::next_hop(route.next_hop).into(),
            (&route.from).into(),
            human::optional(route.local_pref).into(),
            human::optional(route.med).into(),
            human::as_path(&route.as_path).into(),
            (&route.origin).into(),
            [&*route.communities, &*route.large_communities].concat().join(" ").into(),
            route.reason.as_deref().or(route.stale.then_some("stale")).unwrap_or_default().into(),
        ]);
    }
    let mut out = table.render(screen);
    if routes.iter().any(|route| !route.best || route.stale) {
        out.push_str(&Paint::Dim.on("✓ best  · other  ~ stale  ✗ refused", screen));
        out.push('\n');
    }
    out
}

fn sign(route: &Route) -> Cell {
    match route {
        Route { valid: false, .. } => painted("✗", Paint::Bad),
        Route { stale: true, .. } => painted("~", Paint::Doubtful),
        Route { best: true, .. } => painted("✓", Paint::Good),
        _ => painted("·", Paint::Dim),
    }
}
