use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{last_word, program};
use crate::lab::{Host, Process, WAIT, wait};

/// Where its configuration is.
const CONFIG: &str = "/etc/openbgpd/lab.conf";
/// Where it is asked.
const SOCKET: &str = "/run/openbgpd/lab.sock";

/// A host that runs OpenBGPD. `TWILL_OPENBGPD` names another `bgpd`; the `bgpctl` beside it is
/// taken.
pub struct Openbgpd {
    host: Rc<Host>,
    daemon: Process,
    cli: String,
}

fn bgpd() -> Option<PathBuf> {
    program("TWILL_OPENBGPD", &["/usr/sbin/bgpd"])
}

impl Openbgpd {
    /// Why it cannot be had; `None` where it can.
    pub fn unavailable() -> Option<String> {
        bgpd().is_none().then(|| "OpenBGPD is not installed (package openbgpd)".to_owned())
    }

    /// Starts it with a whole configuration, to which the socket is added.
    pub fn start(host: Rc<Host>, config: &str) -> Result<Openbgpd> {
        let program = bgpd().context("OpenBGPD is not installed (package openbgpd)")?;
        let cli = program.with_file_name("bgpctl").to_string_lossy().into_owned();
        host.write(CONFIG, &format!("socket \"{SOCKET}\"\n{config}"))?;
        // It takes no file that others may write or read.
        host.run(&["chmod", "600", CONFIG])?;
        host.run(&["mkdir", "-p", "/run/openbgpd"])?;
        host.add_view(&[&cli, "-s", SOCKET, "show", "neighbor"]);
        host.add_view(&[&cli, "-s", SOCKET, "show", "rib"]);
        let daemon =
            host.spawn("openbgpd", &[&*program.to_string_lossy(), "-d", "-v", "-f", CONFIG])?;
        let openbgpd = Openbgpd { host, daemon, cli };
        wait("OpenBGPD to answer", WAIT, || Ok(openbgpd.cli(&["show", "summary"]).is_ok()))?;
        Ok(openbgpd)
    }

    /// The machine.
    pub fn host(&self) -> &Rc<Host> {
        &self.host
    }

    /// The daemon.
    pub fn daemon(&mut self) -> &mut Process {
        &mut self.daemon
    }

    /// `7.7`.
    pub fn version(&self) -> Result<String> {
        let output = self.host.output(&[&self.cli, "-V"], "")?;
        last_word(&String::from_utf8_lossy(&[output.stdout, output.stderr].concat()))
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.daemon.output()
    }

    /// Runs a `bgpctl` command.
    pub fn cli(&self, arguments: &[&str]) -> Result<String> {
        self.cli_with_input(arguments, "")
    }

    /// The same, with text on its standard input.
    pub fn cli_with_input(&self, arguments: &[&str], input: &str) -> Result<String> {
        let words = [&[self.cli.as_str(), "-s", SOCKET], arguments].concat();
        self.host.run_with_input(&words, input)
    }

    /// The same, asking for JSON.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.cli(&[&["-j"], arguments].concat())?;
        serde_json::from_str(&text).with_context(|| format!("OpenBGPD answered no JSON: {text}"))
    }

    /// The state of the session with `peer`, as it calls it.
    pub fn state(&self, peer: &str) -> Result<String> {
        let answer = self.json(&["show", "neighbor", peer])?;
        let state = answer["neighbors"][0]["state"].as_str().context("OpenBGPD shows no state")?;
        Ok(state.to_owned())
    }

    /// Its table: a list of routes, with communities where `detail`.
    pub fn table(&self, detail: bool) -> Result<Vec<Value>> {
        let words: &[&str] =
            if detail { &["show", "rib", "detail"] } else { &["show", "rib", "selected"] };
        Ok(self.json(words)?["rib"].as_array().cloned().unwrap_or_default())
    }
}
