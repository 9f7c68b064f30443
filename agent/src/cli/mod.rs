//! The command line: one file per command, each with its `Args` and a `run` that ends in an
//! [`Exit`]. Commands that ask a running agent are clients of its socket; the others work alone.

mod agent;
mod announce;
mod check;
pub mod client;
mod completions;
mod crds;
mod doctor;
mod drain;
mod explain;
mod fib;
pub(crate) mod human;
mod install_cni;
mod ipam;
mod monitor;
mod output;
mod peers;
mod reset;
mod routes;
mod status;
mod table;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// BGP route exchange for Kubernetes nodes and bare hosts.
#[derive(Debug, Parser)]
#[command(name = "twill", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the node agent in the foreground.
    Agent(agent::Args),
    /// Validates a configuration file: each error with line, key and remedy.
    Check(check::Args),
    /// One screen: node, health, sessions, routes, last errors. Exit 1 unless all is well.
    Status(status::Args),
    /// The sessions; with a name, everything about one.
    Peers(peers::Args),
    /// The routes of the RIB: losers with the reason they lost, refused ones with the rule.
    Routes(routes::Args),
    /// Our routes in the kernel against what should be there. Exit 1 where they differ.
    Fib(fib::Args),
    /// How a packet from here to an address goes, and what contradicts it. Exit 1 if it does not.
    Explain(explain::Args),
    /// Live events: sessions, routes, kernel changes, refusals.
    Monitor(monitor::Args),
    /// Ranges, leases and cooling addresses of this node, checked against what exists.
    Ipam(ipam::Args),
    /// Checks this host, with an agent or without: each finding with evidence and remedy. Exit 1 with
    /// a problem.
    Doctor(doctor::Args),
    /// Announces a prefix until the agent restarts.
    Announce(announce::Args),
    /// Takes back what was announced at run time.
    Withdraw(announce::WithdrawArgs),
    /// Takes the node out gently: marks what it announces, waits until traffic has moved, withdraws.
    Drain(drain::Args),
    /// Bounces a session, or asks for a route refresh.
    Reset(reset::Args),
    /// Puts the CNI plugin in place.
    InstallCni(install_cni::Args),
    /// Prints a completion script for a shell.
    Completions(completions::Args),
    /// Prints the definitions of the custom resources, for `kubectl apply -f -`.
    Crds(crds::Args),
}

/// How a command ends; scripts rely on the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: yes, or done.
    Yes,
    /// 1: no, unhealthy or refused.
    No,
    /// 2: usage, or a bad configuration.
    Usage,
    /// 3: the agent cannot be reached.
    Unreachable,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Yes => 0,
            Exit::No => 1,
            Exit::Usage => 2,
            Exit::Unreachable => 3,
        })
    }
}

/// Parses the arguments of this process and runs the command.
pub fn run() -> ExitCode {
    // clap itself ends the process with 2 on wrong usage.
    execute(Cli::parse().command).into()
}

fn execute(command: Command) -> Exit {
    match command {
        Command::Agent(args) => agent::run(args),
        Command::Check(args) => check::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Peers(args) => peers::run(&args),
        Command::Routes(args) => routes::run(&args),
        Command::Fib(args) => fib::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Monitor(args) => monitor::run(&args),
        Command::Ipam(args) => ipam::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Announce(args) => announce::run(&args),
        Command::Withdraw(args) => announce::withdraw(&args),
        Command::Drain(args) => drain::run(&args),
        Command::Reset(args) => reset::run(&args),
        Command::InstallCni(args) => install_cni::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Crds(crds::Args {}) => crds::run(),
    }
}
