use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{last_word, program};
use crate::lab::{Host, Process, WAIT, wait};

/// Where its configuration is.
const CONFIG: &str = "/etc/exabgp/lab.conf";
/// Where it writes what happens, by a process that it feeds.
const EVENTS: &str = "/run/exabgp/events";
/// Where it is told what to do, by a process that feeds it.
const COMMANDS: &str = "/run/exabgp/commands";

/// Two processes of its interface: one writes all events to a file, the other hands on commands. No
/// `exec`: the shell keeps the pipe open whose end ExaBGP would take for its death.
const PROCESSES: &str = "\
process lab-events { run /bin/sh -c \"cat >> /run/exabgp/events\"; encoder json; }
process lab-commands { run /bin/sh -c \"cat <> /run/exabgp/commands\"; encoder text; }
";

/// Made first: the pipes of its command line tool and of the lab.
const PIPES: &str = "
mkdir -p /run/exabgp && cd /run/exabgp
rm -f exabgp.in exabgp.out commands events
mkfifo exabgp.in exabgp.out commands
touch events
";

/// A host that runs ExaBGP. `TWILL_EXABGP` names another one; the `exabgpcli` beside it is taken.
///
/// It has no table: what it learned is what its events tell since the session came up.
pub struct Exabgp {
    host: Rc<Host>,
    daemon: Process,
    program: String,
    cli: String,
}

/// A route that it was told of, and still is.
#[derive(Debug, Clone, Default)]
pub struct ExabgpRoute {
    /// By whom.
    pub next_hop: String,
    /// The attributes as its JSON has them.
    pub attributes: Value,
}

fn exabgp() -> Option<PathBuf> {
    program("TWILL_EXABGP", &["/usr/sbin/exabgp", "/usr/bin/exabgp"])
}

impl Exabgp {
    /// Why it cannot be had; `None` where it can.
    pub fn unavailable() -> Option<String> {
        exabgp().is_none().then(|| "ExaBGP is not installed (package exabgp)".to_owned())
    }

    /// Starts it; `neighbor` is what stands in the neighbour's section.
    pub fn start(host: Rc<Host>, peer: &str, neighbor: &str) -> Result<Exabgp> {
        let program = exabgp().context("ExaBGP is not installed (package exabgp)")?;
        let found = program.to_string_lossy().into_owned();
        let cli = program.with_file_name("exabgpcli").to_string_lossy().into_owned();
        let api = "api { processes [ lab-events ]; neighbor-changes; \
                   receive { parsed; update; notification; open; } }\n\
                   api commands { processes [ lab-commands ]; }";
        host.write(CONFIG, &format!("{PROCESSES}neighbor {peer} {{\n{neighbor}{api}\n}}\n"))?;
        host.run(&["sh", "-c", PIPES])?;
        host.add_view(&["tail", "-n", "20", EVENTS]);
        let command = ["env", "exabgp.daemon.user=root", "exabgp.log.short=true", &found, CONFIG];
        let mut daemon = host.spawn("exabgp", &command)?;
        wait("ExaBGP to have read its configuration", WAIT, || {
            anyhow::ensure!(daemon.is_running(), "it ended: {}", daemon.output());
            Ok(daemon.output().contains("loaded new configuration successfully"))
        })?;
        Ok(Exabgp { host, daemon, program: found, cli })
    }

    /// The machine.
    pub fn host(&self) -> &Rc<Host> {
        &self.host
    }

    /// The daemon.
    pub fn daemon(&mut self) -> &mut Process {
        &mut self.daemon
    }

    /// `4.2.21`.
    pub fn version(&self) -> Result<String> {
        let text =
            self.host.run(&["env", "exabgp.daemon.user=root", &self.program, "--version"])?;
        let line = text.lines().find(|line| line.starts_with("ExaBGP"));
        last_word(line.unwrap_or_default())
    }

    /// Gives it commands of its interface, one a line.
    pub fn tell(&self, lines: &str) -> Result<()> {
        self.host.run_with_input(&["sh", "-c", "cat > \"$1\"", "sh", COMMANDS], lines).map(drop)
    }

    /// Runs a command of its command line tool; what it answered.
    pub fn cli(&self, command: &str) -> Result<String> {
        let output = self.host.output(&[self.cli.as_str(), command], "")?;
        let text = [output.stdout, output.stderr].concat();
        Ok(String::from_utf8_lossy(&text).trim().to_owned())
    }

    /// Everything that it has told, in order.
    pub fn events(&self) -> Result<Vec<Value>> {
        let text = self.host.read(EVENTS)?;
        // The last line may still be on its way.
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// Whether its session is up.
    pub fn established(&self) -> Result<bool> {
        let events = self.events()?;
        let last = events.iter().rev().find(|event| event["type"] == "state");
        Ok(last.is_some_and(|event| event["neighbor"]["state"] == "up"))
    }

    /// What it has been told since its session came up, by prefix.
    pub fn table(&self) -> Result<BTreeMap<String, ExabgpRoute>> {
        let mut table = BTreeMap::new();
        for event in self.events()? {
            if event["type"] == "state" {
                table.clear();
            }
            learn(&mut table, &event["neighbor"]["message"]["update"]);
        }
        Ok(table)
    }
}

fn learn(table: &mut BTreeMap<String, ExabgpRoute>, update: &Value) {
    let families = |value: &Value| value.as_object().cloned().unwrap_or_default().into_iter();
    for (_, gone) in families(&update["withdraw"]) {
        for entry in gone.as_array().into_iter().flatten() {
            table.remove(entry["nlri"].as_str().unwrap_or_default());
        }
    }
    for (_, hops) in families(&update["announce"]) {
        for (next_hop, entries) in families(&hops) {
            // The link-local address comes beside the global one.
            if next_hop.starts_with("fe80:") {
                continue;
            }
            for entry in entries.as_array().into_iter().flatten() {
                let attributes = update["attribute"].clone();
                let route = ExabgpRoute { next_hop: next_hop.clone(), attributes };
                table.insert(entry["nlri"].as_str().unwrap_or_default().to_owned(), route);
            }
        }
    }
}
