//! `twill explain ADDRESS`.

use std::net::IpAddr;

use super::output::{Paint, Screen, View, clean, read, wrap};
use super::status::section;
use super::{Exit, client, human};
use crate::control::api::{Announcer, DesiredRoute, Explanation, FibState, KernelRoute, Route};

/// Arguments of `twill explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where a packet from this host would go.
    address: IpAddr,
    #[command(flatten)]
    view: View,
    #[command(flatten)]
    agent: client::Agent,
}

pub(super) fn run(args: &Args) -> Exit {
    read(
        &args.agent,
        &args.view,
        &format!("/v1/explain/{}", args.address),
        render,
        |answer: &Explanation| if answer.reachable { Exit::Yes } else { Exit::No },
    )
}

pub(super) fn render(answer: &Explanation, screen: &Screen) -> String {
    let (sign, paint) = if answer.reachable { ('✓', Paint::Good) } else { ('✗', Paint::Bad) };
    let mut out = format!(
        "{} {}\n\n",
        paint.on(&sign.to_string(), screen),
        wrap(&answer.summary, screen.width, 2)
    );
    let mut line = |name: &str, value: String| {
        let name = Paint::Dim.on(&format!("{name:<9}"), screen);
        out.push_str(&format!("  {name} {}\n", wrap(&value, screen.width, 12)));
    };
    line("route", answer.route.as_ref().map_or("none in the RIB".to_owned(), route));
    if let Some(by) = &answer.announced_by {
        line("from", announcer(by));
    }
    if let Some(desired) = &answer.desired {
        line("wanted", wanted(desired));
    }
    line(
        "kernel",
        match (&answer.kernel, &answer.kernel_error) {
            (Some(kernel), _) => entry(kernel),
            (None, Some(words)) => clean(words),
            (None, None) => "no answer".to_owned(),
        },
    );
    section(&mut out, "Contradictions", '✗', Paint::Bad, &answer.contradictions, screen);
    out
}

fn route(route: &Route) -> String {
    let mut text = format!("{} via {}", route.prefix, human::next_hop(route.next_hop));
    let path = human::as_path(&route.as_path);
    if !path.is_empty() {
        text.push_str(&format!(", AS path {path}"));
    }
    if route.stale {
        text.push_str(", stale");
    }
    text
}

fn announcer(by: &Announcer) -> String {
    match (by.state, by.uptime_seconds) {
        (Some(state), Some(up)) => {
            format!("{}, session {state:?} for {}", by.name, human::duration(up))
        }
        (Some(state), None) => format!("{}, session {state:?}", by.name),
        (None, _) if by.name == "local" => "this node itself".to_owned(),
        (None, _) => format!("{}, which is no peer any more", by.name),
    }
}

fn wanted(desired: &DesiredRoute) -> String {
    let route = &desired.route;
    let hop = route.next_hop.map_or("on link".to_owned(), |hop| format!("via {hop}"));
    let device = route.device.as_ref().map_or(String::new(), |device| format!(" dev {device}"));
    let state = match desired.state {
        FibState::Installed => "installed",
        FibState::Missing => "missing",
        FibState::Unexpected => "should not be there",
        FibState::Stale => "left from the run before",
    };
    format!("{} {hop}{device}: {state}", route.prefix)
}

fn entry(kernel: &KernelRoute) -> String {
    let mut text = kernel.prefix.clone();
    if kernel.kind != "unicast" {
        text = format!("{} {text}", kernel.kind);
    }
    for hop in &kernel.next_hops {
        text.push_str(&format!(" via {hop}"));
    }
    for device in &kernel.devices {
        text.push_str(&format!(" dev {device}"));
    }
    if let Some(source) = kernel.source {
        text.push_str(&format!(" src {source}"));
    }
    format!("{text}, made by {}, metric {}", kernel.protocol, kernel.metric)
}
