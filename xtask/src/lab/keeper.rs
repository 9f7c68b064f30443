//! Bringing up what goes on without us.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{SigSet, Signal};
use twill_tests::clab::{Clab, Topology};
use twill_tests::lab::wait_for;
use twill_tests::node::use_programs;

use super::state::{self, NodeState, State};
use crate::cargo::build_programs;

/// Longer than any topology takes to come up.
const PATIENCE: Duration = Duration::from_secs(180);

/// Starts a keeper, and waits until it says that all is up.
pub(super) fn up(file: &Path) -> Result<()> {
    let topology = Topology::read(file)?;
    if let Some(why) = Clab::unavailable(&topology) {
        bail!("{why}");
    }
    let name = &topology.name;
    if let Some(old) = state::all()?.into_iter().find(|lab| lab.state.name == *name) {
        if old.is_up() {
            bail!("{name} is up already: `cargo xtask lab down {name}` takes it down");
        }
        old.end()?;
    }
    let programs = build_programs()?;
    let begin = Instant::now();
    let folder = state::folder(name);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}: root alone can", folder.display()))?;
    let log = folder.join("keeper.log");
    let output = File::create(&log)?;
    let mut keeper = Command::new(std::env::current_exe()?)
        .args(["lab", "keep"])
        .arg(std::fs::canonicalize(file)?)
        .arg(programs)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        // Ctrl-C at the terminal is not for it.
        .process_group(0)
        .spawn()?;
    let lab = wait_for(format_args!("{name} to be up"), PATIENCE, || {
        if keeper.try_wait()?.is_some() {
            return Ok(Some(None));
        }
        Ok(state::all()?.into_iter().find(|lab| lab.state.name == *name).map(Some))
    })?;
    let Some(lab) = lab else {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        std::fs::remove_dir_all(&folder)?;
        bail!("{name} did not come up: {said}");
    };
    println!("{name}: up, {:.1} s", begin.elapsed().as_secs_f64());
    for node in &lab.state.nodes {
        println!("  {:16} {}", node.name, node.image);
    }
    if let Some(node) = lab.state.nodes.first() {
        println!("  cargo xtask lab exec {} ip route", node.name);
    }
    println!("  cargo xtask lab down {name}");
    Ok(())
}

/// Brings a topology up, says so in its folder, and stays until it is told to end.
pub(super) fn keep(file: &Path, programs: &Path) -> Result<()> {
    // Before there is any thread that could take them.
    let mut ends = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        ends.add(signal);
    }
    ends.thread_block()?;
    use_programs(programs.to_owned());
    let topology = Topology::read(file)?;
    let name = topology.name.clone();
    let Some(_lock) = state::lock(&name)? else { bail!("{name} is up already") };
    let clab = Clab::up(topology)?;
    let mut nodes = Vec::new();
    for (node, machine) in clab.topology().machines() {
        nodes.push(NodeState {
            name: node.to_owned(),
            image: machine.image.clone(),
            pid: clab.host(node)?.pid(),
            environment: machine.environment(),
        });
    }
    let state = State {
        name,
        file: file.to_owned(),
        keeper: nix::unistd::getpid().as_raw(),
        directory: clab.lab().directory().to_owned(),
        nodes,
    };
    state.write()?;
    ends.wait()?;
    clab.lab().passed()
}
