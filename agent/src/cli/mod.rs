//! The command line: one file per command, each with its `Args` and a `run` that ends in an
//! [`Exit`]. Commands that ask a running agent are clients of its socket; the others work alone.

mod agent;
mod check;
mod completions;
pub(crate) mod human;

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
    /// Prints a completion script for a shell.
    Completions(completions::Args),
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
    let exit = match Cli::parse().command {
        Command::Agent(args) => agent::run(args),
        Command::Check(args) => check::run(&args),
        Command::Completions(args) => completions::run(&args),
    };
    exit.into()
}
