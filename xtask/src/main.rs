//! The project's own commands: `cargo xtask demo`, `cargo xtask test`, `cargo xtask sim`,
//! `cargo xtask fuzz`, `cargo xtask bench`, `cargo xtask image`, `cargo xtask deb`,
//! `cargo xtask book`.

mod cargo;
mod deb;
mod demo;
mod fuzz;
mod image;
mod lab;
mod matrix;
mod packages;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Twill's own commands", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Three nodes, an outside router and six pods in network namespaces; every pod pings every
    /// other
    Demo(demo::Options),
    /// Formats, lints, and runs every test, the lab's scenarios included
    Test(test::Options),
    /// Plays many speakers against each other on a fake clock, through faults that a seed draws
    Sim {
        /// What the simulation takes, such as `--seed 1 --topology full --speakers 1000`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Searches for input that breaks the codec or the session machine
    Fuzz(fuzz::Options),
    /// Compares with other daemons, side by side in one run
    Bench {
        /// What the bench program takes, such as `convergence --quick`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Builds the container image, without a container daemon
    Image(image::Options),
    /// Topologies in containerlab's file format, in namespaces: up, down, list, exec, graph
    Lab(lab::Options),
    /// Builds the documentation as a book, and follows every link in it
    Book {
        /// Where to; otherwise target/book
        #[arg(long, value_name = "DIR")]
        output: Option<std::path::PathBuf>,
    },
    /// Builds the Debian package, with a systemd unit
    Deb(deb::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Demo(options) => demo::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Sim { arguments } => cargo::sim(&arguments),
        Command::Bench { arguments } => cargo::bench(&arguments),
        Command::Image(options) => image::run(&options),
        Command::Lab(options) => lab::run(&options),
        Command::Book { output } => cargo::book(output.as_deref()),
        Command::Deb(options) => deb::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
