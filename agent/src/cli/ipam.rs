//! `twill ipam`.

use std::time::SystemTime;

use super::output::{Paint, Screen, View, read};
use super::status::section;
use super::table::{Table, number, text};
use super::{Exit, client, human};
use crate::control::api::Ipam;
use crate::control::timestamp;

/// Arguments of `twill ipam`.
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
        "/v1/ipam",
        |ipam, screen| render(ipam, screen, SystemTime::now()),
        |ipam: &Ipam| if ipam.problems.is_empty() { Exit::Yes } else { Exit::No },
    )
}

pub(super) fn render(ipam: &Ipam, screen: &Screen, now: SystemTime) -> String {
    let mut out = ranges(ipam).render(screen);
    if !ipam.leases.is_empty() {
        out.push('\n');
        out.push_str(&leases(ipam, now).render(screen));
    }
    if !ipam.cooling.is_empty() {
        out.push('\n');
        out.push_str(&cooling(ipam, now).render(screen));
    }
    section(&mut out, "Problems", '✗', Paint::Bad, &ipam.problems, screen);
    out.push_str(&format!("{}\n", Paint::Dim.on(&format!("kept in {}", ipam.data_dir), screen)));
    out
}

fn ranges(ipam: &Ipam) -> Table<6> {
    let mut table = Table::new([
        text("RANGE"),
        text("FIRST").rank(2),
        text("LAST").rank(2),
        number("ADDRESSES"),
        number("HELD"),
        number("COOLING").rank(1),
    ]);
    for range in &ipam.ranges {
        let capacity = match range.capacity {
            u64::MAX => "many".to_owned(),
            capacity => capacity.to_string(),
        };
        table.row([
            (&range.subnet).into(),
            range.first.into(),
            range.last.into(),
            capacity.into(),
            range.leased.into(),
            range.cooling.into(),
        ]);
    }
    table
}

fn leases(ipam: &Ipam, now: SystemTime) -> Table<4> {
    let mut table = Table::new([
        text("ADDRESS"),
        text("CONTAINER").cut(13),
        text("INTERFACE"),
        text("HELD SINCE").rank(1),
    ]);
    for lease in &ipam.leases {
        table.row([
            lease.address.into(),
            (&lease.container_id).into(),
            (&lease.interface).into(),
            lease.since.as_ref().map_or_else(String::new, |since| human::ago(since, now)).into(),
        ]);
    }
    table
}

fn cooling(ipam: &Ipam, now: SystemTime) -> Table<2> {
    let mut table = Table::new([text("COOLING"), text("FREE IN")]);
    for cooling in &ipam.cooling {
        let left = timestamp::parse(&cooling.until).map_or_else(
            || cooling.until.clone(),
            |until| human::duration(until.duration_since(now).unwrap_or_default().as_secs()),
        );
        table.row([cooling.address.into(), left.into()]);
    }
    table
}
