//! A host that runs our agent.

use std::cell::RefCell;
use std::net::IpAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::lab::{Host, Process, WAIT, wait};
use crate::pod::Pod;

/// Where an agent reads its configuration.
pub const CONFIG: &str = "/etc/twill/twill.yaml";
/// Where the plugins are.
pub const BIN_DIR: &str = "/opt/cni/bin";
/// Where the agent writes the conflist.
pub const CONF_FILE: &str = "/etc/cni/net.d/10-twill.conflist";

static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();

/// Names the folder of our programs, for a process that built them itself. The first word counts.
pub fn use_programs(directory: PathBuf) {
    // A second word would be a mistake of the caller's, who then sees the first one's programs.
    let _ = PROGRAMS.set(directory);
}

/// One of our programs, from where [`use_programs`] or `TWILL_BIN_DIR` says, or as cargo built it
/// beside the running one.
pub fn binary(name: &str) -> Result<PathBuf> {
    let mut candidates = Vec::new();
    if let Some(directory) = PROGRAMS.get() {
        candidates.push(directory.clone());
    } else if let Some(directory) = std::env::var_os("TWILL_BIN_DIR") {
        candidates.push(PathBuf::from(directory));
    } else {
        let own = std::env::current_exe().context("cannot find the running program")?;
        candidates.extend(own.ancestors().skip(1).take(2).map(PathBuf::from));
    }
    for directory in &candidates {
        let path = directory.join(name);
        if path.is_file() {
            return Ok(path);
        }
    }
    bail!(
        "no program `{name}` in {candidates:?}: build it first (cargo build --workspace --bins), \
         or set TWILL_BIN_DIR"
    )
}

/// A node: a host with the agent, its plugins and its configuration.
pub struct Node {
    host: Rc<Host>,
    agent: RefCell<Option<Process>>,
    twill: String,
    /// What starts its agent.
    command: Vec<String>,
}

impl Node {
    /// Puts plugins and configuration in place; starts nothing.
    pub fn new(host: Rc<Host>, config: &str) -> Result<Node> {
        host.write(CONFIG, config)?;
        let twill = binary("twill")?.to_string_lossy().into_owned();
        Node::with_command(host, vec![twill, "agent".into(), "--config".into(), CONFIG.into()])
    }

    /// Puts plugins in place; `command` will start the agent.
    pub fn with_command(host: Rc<Host>, command: Vec<String>) -> Result<Node> {
        let twill = binary("twill")?.to_string_lossy().into_owned();
        let plugin = binary("twill-cni")?.to_string_lossy().into_owned();
        host.run(&["mkdir", "-p", BIN_DIR])?;
        host.run(&["install", "-m", "755", &plugin, BIN_DIR])?;
        for view in [&["status"][..], &["peers"], &["routes", "--all"], &["fib"]] {
            host.add_view(&[&[twill.as_str()], view].concat());
        }
        Ok(Node { host, agent: RefCell::default(), twill, command })
    }

    /// The machine.
    pub fn host(&self) -> &Rc<Host> {
        &self.host
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.host.name()
    }

    /// Starts the agent, and waits until its socket answers.
    pub fn start(&self) -> Result<()> {
        self.start_under(&[])
    }

    /// The same, by a program that runs it.
    pub fn start_under(&self, wrapper: &[&str]) -> Result<()> {
        let level = std::env::var("TWILL_LAB_LOG").unwrap_or_else(|_| "info".to_owned());
        let variable = format!("RUST_LOG={level}");
        let mut command = wrapper.to_vec();
        command.extend(["env", variable.as_str(), "NO_COLOR=1"]);
        command.extend(self.command.iter().map(String::as_str));
        let process = self.host.spawn("agent", &command)?;
        *self.agent.borrow_mut() = Some(process);
        wait(format_args!("the agent of {} to answer", self.name()), WAIT, || {
            if let Some(agent) = self.agent.borrow_mut().as_mut()
                && !agent.is_running()
            {
                bail!("it ended; it said:\n{}", agent.output());
            }
            Ok(self.cli(&["status"])?.status != 3)
        })
        .map(drop)
    }

    fn agent(&self, act: impl FnOnce(&mut Process) -> Result<()>) -> Result<()> {
        match self.agent.borrow_mut().as_mut() {
            Some(agent) => act(agent),
            None => bail!("no agent runs on {}", self.name()),
        }
    }

    /// `kill -9`.
    pub fn kill(&self) -> Result<()> {
        self.agent(Process::kill)
    }

    /// SIGTERM, and waits for its end.
    pub fn terminate(&self) -> Result<()> {
        self.agent(|agent| {
            agent.signal(Signal::SIGTERM)?;
            match agent.wait(WAIT)? {
                0 => Ok(()),
                code => bail!("the agent ended with {code} on SIGTERM"),
            }
        })
    }

    /// Writes another configuration and sends SIGHUP.
    pub fn reload(&self, config: &str) -> Result<()> {
        self.host.write(CONFIG, config)?;
        self.agent(|agent| agent.signal(Signal::SIGHUP))
    }

    /// What the agent has logged.
    pub fn log(&self) -> String {
        self.agent.borrow().as_ref().map(Process::output).unwrap_or_default()
    }

    /// The agent's process id, as the test sees it.
    pub fn pid(&self) -> Result<nix::unistd::Pid> {
        self.agent.borrow().as_ref().map(Process::pid).context("no agent runs")
    }

    /// Runs a `twill` command.
    pub fn cli(&self, arguments: &[&str]) -> Result<Answer> {
        self.cli_under(&[], arguments)
    }

    /// The same, by a program that runs it.
    pub fn cli_under(&self, wrapper: &[&str], arguments: &[&str]) -> Result<Answer> {
        let command = [wrapper, &[self.twill.as_str()], arguments].concat();
        let output = self.host.output(&command, "")?;
        Ok(Answer {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs a reading command with `-o json`; its answer.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let answer = self.cli(&[arguments, &["-o", "json"]].concat())?;
        serde_json::from_str(&answer.stdout).with_context(|| {
            format!("twill {} on {}: {answer:?}", arguments.join(" "), self.name())
        })
    }

    /// One peer, as `twill peers -o json` shows it.
    pub fn peer(&self, name: &str) -> Result<Value> {
        let peers = self.json(&["peers"])?;
        let peers = peers.as_array().context("peers is no list")?;
        peers
            .iter()
            .find(|peer| peer["name"] == name)
            .cloned()
            .with_context(|| format!("{} has no peer {name}", self.name()))
    }

    /// Waits until the agent says it is ready to route.
    pub fn wait_ready(&self) -> Result<Duration> {
        wait(format_args!("{} to be ready", self.name()), WAIT, || {
            Ok(self.json(&["status"])?["ready"] == true)
        })
    }

    /// Waits until a session is in a state.
    pub fn wait_peer(&self, peer: &str, state: &str) -> Result<Duration> {
        wait(format_args!("{}: session with {peer} to be {state}", self.name()), WAIT, || {
            Ok(self.peer(peer)?["state"] == state)
        })
    }

    /// Whether the kernel has a route of ours for `prefix`; `via` in the text where given.
    pub fn has_route(&self, prefix: &str, via: &str) -> Result<bool> {
        let family = if prefix.contains(':') { "-6" } else { "-4" };
        let routes = self.host.run(&["ip", family, "route", "show", prefix, "proto", "116"])?;
        Ok(routes.lines().any(|line| line.contains(via)))
    }

    /// Waits until the kernel has a route of ours.
    pub fn wait_route(&self, prefix: &str, via: &str) -> Result<Duration> {
        wait(format_args!("{}: route {prefix} {via}", self.name()), WAIT, || {
            self.has_route(prefix, via)
        })
    }

    /// Waits until the kernel has no route of ours for `prefix`.
    pub fn wait_no_route(&self, prefix: &str, within: Duration) -> Result<Duration> {
        wait(format_args!("{}: no route {prefix}", self.name()), within, || {
            Ok(!self.has_route(prefix, "")?)
        })
    }

    /// Attaches a pod by the conflist that the agent wrote, once it is there.
    pub fn pod(&self, name: &str) -> Result<Pod> {
        wait(format_args!("{} to write its conflist", self.name()), WAIT, || {
            Ok(self.host.read(CONF_FILE).is_ok())
        })?;
        Pod::attach(&self.host, name, CONF_FILE, BIN_DIR)
    }

    /// Pings `address` from the node itself.
    pub fn ping(&self, address: IpAddr) -> Result<()> {
        let address = address.to_string();
        self.host.run(&["ping", "-c", "1", "-W", "2", "-n", "-q", &address]).map(drop)
    }
}

/// What a `twill` command answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Exit code.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}
