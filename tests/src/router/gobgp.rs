use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{last_word, program};
use crate::lab::{Host, Process, WAIT, wait};

/// Where its configuration is.
const CONFIG: &str = "/etc/gobgpd/lab.toml";

/// A host that runs GoBGP. `TWILL_GOBGPD` names another daemon; the `gobgp` beside it is taken.
pub struct Gobgp {
    host: Rc<Host>,
    daemon: Process,
    program: String,
    cli: String,
}

fn gobgpd() -> Option<PathBuf> {
    program("TWILL_GOBGPD", &["/usr/bin/gobgpd", "/usr/sbin/gobgpd"])
}

impl Gobgp {
    /// Why it cannot be had; `None` where it can.
    pub fn unavailable() -> Option<String> {
        gobgpd().is_none().then(|| "GoBGP is not installed (package gobgpd)".to_owned())
    }

    /// Starts it with a whole configuration (TOML). `options` are of its command line.
    pub fn start(host: Rc<Host>, config: &str, options: &[&str]) -> Result<Gobgp> {
        let program = gobgpd().context("GoBGP is not installed (package gobgpd)")?;
        let cli = program.with_file_name("gobgp").to_string_lossy().into_owned();
        host.write(CONFIG, config)?;
        host.add_view(&[&cli, "neighbor"]);
        host.add_view(&[&cli, "global", "rib"]);
        let program = program.to_string_lossy().into_owned();
        let fixed = [program.as_str(), "-f", CONFIG, "-p", "--pprof-disable"];
        let api = ["--api-hosts", "127.0.0.1:50051"];
        let daemon = host.spawn("gobgpd", &[&fixed[..], &api, options].concat())?;
        let gobgp = Gobgp { host, daemon, program, cli };
        wait("GoBGP to answer", WAIT, || {
            Ok(!gobgp.json(&["neighbor"])?.as_array().is_none_or(Vec::is_empty))
        })?;
        Ok(gobgp)
    }

    /// The machine.
    pub fn host(&self) -> &Rc<Host> {
        &self.host
    }

    /// The daemon.
    pub fn daemon(&mut self) -> &mut Process {
        &mut self.daemon
    }

    /// `3.10.0`.
    pub fn version(&self) -> Result<String> {
        last_word(&self.host.run(&[&self.program, "--version"])?)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.daemon.output()
    }

    /// Runs a `gobgp` command.
    pub fn cli(&self, arguments: &[&str]) -> Result<String> {
        self.host.run(&[&[self.cli.as_str()], arguments].concat())
    }

    /// Runs a `gobgp` command for each line, the words of the line being its arguments.
    pub fn batch(&self, lines: &str) -> Result<()> {
        let script = format!("set -e; while read -r line; do {} $line; done", self.cli);
        let lines: Vec<&str> = lines.lines().collect();
        // Pieces that end in time on a busy machine.
        for piece in lines.chunks(200) {
            self.host.run_with_input(&["sh", "-c", &script], &format!("{}\n", piece.join("\n")))?;
        }
        Ok(())
    }

    /// The same, asking for JSON.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.cli(&[&["-j"], arguments].concat())?;
        serde_json::from_str(&text).with_context(|| format!("GoBGP answered no JSON: {text}"))
    }

    /// Whether the session with `peer` is Established (its number 6).
    pub fn established(&self, peer: &str) -> Result<bool> {
        Ok(self.json(&["neighbor", peer])?["state"]["session_state"] == 6)
    }

    /// Its table of a family, `ipv4` or `ipv6`: prefixes, each with its paths.
    pub fn table(&self, family: &str) -> Result<Value> {
        self.json(&["global", "rib", "-a", family])
    }

    /// The prefixes of a family in its table.
    pub fn prefixes(&self, family: &str) -> Result<Vec<String>> {
        let table = self.table(family)?;
        Ok(table.as_object().map(|table| table.keys().cloned().collect()).unwrap_or_default())
    }
}
