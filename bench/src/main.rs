//! Comparisons with other daemons, side by side in one run.
//!
//! What is measured is a ratio: absolute times belong to the machine. Each comparison starts the
//! daemons itself, in network namespaces of its own.

mod cluster;
mod cni;
mod convergence;
mod sender;
mod speaker;
mod stats;
mod watcher;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask bench", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Single changes on an idle node: from the packet with the UPDATE to the kernel's route,
    /// beside BIRD
    Convergence(convergence::Options),
    /// Attaching pods: latency, throughput, memory and system calls, beside the reference plugins and
    /// the least that a program can do
    Cni(cni::Options),
    /// One agent of a large Kubernetes cluster: start, memory, CPU, requests to the API server
    Cluster(cluster::Options),
    /// Whole tables, many peers, single changes and the kernel, beside other BGP speakers
    Speaker(speaker::Options),
    /// Part of `speaker`: plays all peers of a daemon
    #[command(hide = true)]
    Player(speaker::player::Options),
    /// Part of `speaker`: writes routes into the kernel and removes them, with nothing else to do
    #[command(hide = true)]
    Writer(speaker::writer::Options),
    /// Part of `convergence`: a BGP speaker that announces one prefix at a time
    #[command(hide = true)]
    Sender(sender::Options),
    /// Part of `convergence`: records packets with UPDATEs and the kernel's route notifications
    #[command(hide = true)]
    Watcher(watcher::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Convergence(options) => convergence::run(&options),
        Command::Cluster(options) => cluster::run(&options),
        Command::Cni(options) => cni::run(&options),
        Command::Speaker(options) => speaker::run(options),
        Command::Player(options) => speaker::player::run(options),
        Command::Writer(options) => speaker::writer::run(&options),
        Command::Sender(options) => sender::run(&options),
        Command::Watcher(options) => watcher::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
