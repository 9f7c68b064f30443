//! BGP speakers under load, side by side in one run.
//!
//! ```text
//! player: all peers, in one process ── switch ── the daemon under test, in namespaces of its own
//! ```
//!
//! | scenario | what is played |
//! |---|---|
//! | a | one external peer announces the table, another receives it; then all is withdrawn |
//! | b | ten external peers announce a tenth each and receive what the others announce |
//! | c | a reflector with 200 clients of 4 prefixes each |
//! | d | one prefix in, one out, on an idle speaker |
//! | e | one peer's 200,000 routes into the kernel, and out again |
//! | mesh | a member of a full mesh of 100 nodes, two prefixes each, routes in the kernel |
//! | storm | the same, where all nodes dial at the same moment and announce at once |
//! | slow | ten receivers, one of which does not read for a while in which all prefixes change |
//! | overlap | ten external peers announce the same table each, an eleventh receives |
//!
//! Receivers check each prefix, its AS path and its next hop. Rounds of the daemons alternate, so
//! that what disturbs the machine disturbs each alike; the figure shown is the median round.

mod daemon;
mod index;
mod mrt;
pub(crate) mod player;
mod probe;
mod receiver;
mod report;
mod scenario;
mod session;
mod table;
pub(crate) mod usage;
pub(crate) mod writer;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use daemon::Daemon;
use scenario::Scenario;

#[derive(Args)]
pub(crate) struct Options {
    /// Which scenarios.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Scenario::ALL)]
    scenario: Vec<Scenario>,
    /// Which daemons; those that are not installed are left out.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Daemon::ALL)]
    daemon: Vec<Daemon>,
    /// Prefixes of the table in a, b, slow and overlap; e takes a fifth.
    #[arg(long, default_value_t = 1_000_000)]
    prefixes: usize,
    /// The routes of this file instead of a table that is made up: MRT, or UPDATE messages one
    /// after the other; not compressed. Not in c, mesh and storm.
    #[arg(long)]
    mrt: Option<PathBuf>,
    /// IPv6 prefixes, over IPv6.
    #[arg(long)]
    ipv6: bool,
    /// Clients of the reflector in c.
    #[arg(long, default_value_t = 200)]
    clients: usize,
    /// Nodes of the mesh and the storm.
    #[arg(long, default_value_t = 100)]
    nodes: usize,
    /// Seconds in which the slow receiver does not read.
    #[arg(long, default_value_t = 60)]
    deaf: u64,
    /// Rounds of each daemon.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// A tenth of each table, one round.
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(mut options: Options) -> Result<()> {
    if options.quick {
        options.prefixes = (options.prefixes / 10).max(1);
        options.rounds = 1;
        options.deaf = options.deaf.min(5);
    }
    let mut daemons = Vec::new();
    for daemon in &options.daemon {
        match daemon.unavailable() {
            None => daemons.push(*daemon),
            Some(why) => println!("without {}: {why}", daemon.name()),
        }
    }
    for scenario in &options.scenario {
        report::run(*scenario, &daemons, &options)?;
    }
    Ok(())
}
