//! `cargo xtask lab`: topologies in containerlab's file format, in namespaces of this machine.
//!
//! A topology that is up belongs to a process of its own, the keeper, which outlives the command.
//! All else hangs on it: when it ends, for whatever reason, the kernel ends every namespace.

mod keeper;
mod state;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use twill_tests::clab::{Topology, picture};

use self::state::{Running, State};

#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Brings a topology up, and leaves it up
    Up {
        /// A topology file, such as tests/topologies/three-nodes.clab.yml
        file: PathBuf,
    },
    /// Takes topologies down, and removes what they left; without a name, all of them
    Down {
        /// The topology's name, or its file
        name: Option<String>,
    },
    /// What is up, with every node
    List,
    /// Runs a command in a node: `lab exec node-a twill status`
    Exec {
        /// The topology, where several that are up have a node of this name
        #[arg(long)]
        lab: Option<String>,
        /// The node
        node: String,
        /// The command; a shell where there is none
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Draws a topology: nodes, and cables with the names of their interfaces
    Graph {
        /// The topology file
        file: PathBuf,
    },
    /// What keeps a topology up
    #[command(hide = true)]
    Keep { file: PathBuf, programs: PathBuf },
}

pub(crate) fn run(options: &Options) -> Result<()> {
    match &options.verb {
        Verb::Up { file } => keeper::up(file),
        Verb::Keep { file, programs } => keeper::keep(file, programs),
        Verb::Down { name } => down(name.as_deref()),
        Verb::List => list(),
        Verb::Exec { lab, node, command } => exec(lab.as_deref(), node, command),
        Verb::Graph { file } => {
            print!("{}", picture(&Topology::read(file)?));
            Ok(())
        }
    }
}

fn down(name: Option<&str>) -> Result<()> {
    // A file stands for the topology that it holds.
    let name = match name {
        Some(file) if Path::new(file).is_file() => Some(Topology::read(Path::new(file))?.name),
        other => other.map(str::to_owned),
    };
    let all = state::all()?;
    let chosen: Vec<&Running> =
        all.iter().filter(|lab| name.as_ref().is_none_or(|name| *name == lab.state.name)).collect();
    if let (Some(name), true) = (&name, chosen.is_empty()) {
        bail!("no topology {name} is up: `cargo xtask lab list` shows which are");
    }
    for lab in chosen {
        lab.end()?;
        println!("{}: down", lab.state.name);
    }
    Ok(())
}

fn list() -> Result<()> {
    let all = state::all()?;
    if all.is_empty() {
        println!("No topology is up.");
    }
    for lab in &all {
        let State { name, file, directory, nodes, .. } = &lab.state;
        let how = if lab.is_up() { "up" } else { "its keeper was killed: take it down" };
        println!("{name}  {how}  {}  logs: {}", file.display(), directory.display());
        for node in nodes {
            println!("  {:16} {:8} {}", node.name, node.pid, node.image);
        }
    }
    Ok(())
}

fn exec(lab: Option<&str>, node: &str, command: &[String]) -> Result<()> {
    let all = state::all()?;
    let mut found = Vec::new();
    for running in all.iter().filter(|running| running.is_up()) {
        let chosen = lab.is_none_or(|lab| lab == running.state.name);
        let nodes = running.state.nodes.iter().filter(|other| chosen && other.name == node);
        found.extend(nodes.map(|node| (&running.state.name, node)));
    }
    let node = match found[..] {
        [(_, node)] => node,
        [] => bail!("no node {node} is up: `cargo xtask lab list` shows which are"),
        [(one, _), (other, _), ..] => {
            bail!("{one} and {other} both have a node {node}: say which by --lab")
        }
    };
    let shell = ["bash".to_owned()];
    let command = if command.is_empty() { &shell } else { command };
    let error = Command::new("nsenter")
        .args(["--net", "--mount", "--uts", "--pid", "-t", &node.pid.to_string(), "--"])
        .args(&node.environment)
        .args(command)
        .exec();
    Err(error).context("cannot run nsenter (package util-linux)")
}
