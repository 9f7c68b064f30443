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
mod man;
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
    #[command(after_help = "Example:\n  twill agent --config ./twill.yaml --log-format json")]
    Agent(agent::Args),
    /// Validates a configuration file: each error with line, key and remedy.
    #[command(
        after_help = "Example:\n  twill check /etc/twill/twill.yaml && systemctl reload twill"
    )]
    Check(check::Args),
    /// One screen: node, health, sessions, routes, last errors. Exit 1 unless all is well.
    #[command(after_help = "Example:\n  twill status -o json | jq -e .ready")]
    Status(status::Args),
    /// The sessions; with a name, everything about one.
    #[command(after_help = "Example:\n  twill peers tor")]
    Peers(peers::Args),
    /// The routes of the RIB: losers with the reason they lost, refused ones with the rule.
    #[command(after_help = "Example:\n  twill routes 10.244.2.7 --all")]
    Routes(routes::Args),
    /// Our routes in the kernel against what should be there. Exit 1 where they differ.
    #[command(after_help = "Example:\n  twill fib -o json | jq .missing")]
    Fib(fib::Args),
    /// How a packet from here to an address goes, and what contradicts it. Exit 1 if it does not.
    #[command(after_help = "Example:\n  twill explain 10.244.2.7 && echo reachable")]
    Explain(explain::Args),
    /// Live events: sessions, routes, kernel changes, refusals.
    #[command(
        after_help = "Example:\n  twill monitor -o json | jq 'select(.event == \"refused\")'"
    )]
    Monitor(monitor::Args),
    /// Ranges, leases and cooling addresses of this node, checked against what exists.
    #[command(after_help = "Example:\n  twill ipam --watch")]
    Ipam(ipam::Args),
    /// Checks this host, with an agent or without: each finding with evidence and remedy. Exit 1 with
    /// a problem.
    #[command(after_help = "Example:\n  twill doctor --config ./twill.yaml")]
    Doctor(doctor::Args),
    /// Announces a prefix until the agent restarts.
    #[command(after_help = "Example:\n  twill announce 203.0.113.0/24 --community 64512:100")]
    Announce(announce::Args),
    /// Takes back what was announced at run time.
    #[command(after_help = "Example:\n  twill withdraw 203.0.113.0/24")]
    Withdraw(announce::WithdrawArgs),
    /// Takes the node out gently: marks what it announces, waits until traffic has moved, withdraws.
    #[command(after_help = "Example:\n  twill drain && systemctl stop twill\n  twill drain --undo")]
    Drain(drain::Args),
    /// Bounces a session, or asks for a route refresh.
    #[command(after_help = "Example:\n  twill reset tor --soft")]
    Reset(reset::Args),
    /// Puts the CNI plugin in place.
    #[command(after_help = "Example:\n  twill install-cni --bin-dir /opt/cni/bin")]
    InstallCni(install_cni::Args),
    /// Prints a completion script for a shell.
    #[command(after_help = "Example:\n  twill completions bash > /etc/bash_completion.d/twill")]
    Completions(completions::Args),
    /// Writes man pages into a folder.
    #[command(after_help = "Example:\n  twill man /usr/local/share/man/man1")]
    Man(man::Args),
    /// Prints the definitions of the custom resources, for `kubectl apply -f -`.
    #[command(after_help = "Example:\n  twill crds | kubectl apply -f -")]
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
        Command::Man(args) => man::run(&args),
        Command::Crds(crds::Args {}) => crds::run(),
    }
}
