use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context, Result, ensure};

use super::program;
use crate::lab::{Host, Process, WAIT, wait};

/// Where its configuration is.
const CONFIG: &str = "/etc/bird/lab.conf";
/// Where it is asked.
const SOCKET: &str = "/run/bird/lab.ctl";

/// A host that runs BIRD 2. `TWILL_BIRD` names another binary.
pub struct Bird {
    host: Rc<Host>,
    daemon: Process,
}

fn bird() -> Option<PathBuf> {
    program("TWILL_BIRD", &["/usr/sbin/bird"])
}

impl Bird {
    /// Why it cannot be had; `None` where it can.
    pub fn unavailable() -> Option<String> {
        bird().is_none().then(|| "BIRD is not installed (package bird2)".to_owned())
    }

    /// Starts it with a whole configuration.
    pub fn start(host: Rc<Host>, config: &str) -> Result<Bird> {
        Bird::start_with(host, config, &[])
    }

    /// The same, with options of its command line.
    pub fn start_with(host: Rc<Host>, config: &str, options: &[&str]) -> Result<Bird> {
        let program = bird().context("BIRD is not installed (package bird2)")?;
        host.write(CONFIG, config)?;
        host.run(&["mkdir", "-p", "/run/bird"])?;
        host.add_view(&["birdc", "-s", SOCKET, "show protocols all"]);
        host.add_view(&["birdc", "-s", SOCKET, "show route all"]);
        let program = program.to_string_lossy();
        let fixed = [&*program, "-f", "-c", CONFIG, "-s", SOCKET];
        let daemon = host.spawn("bird", &[&fixed[..], options].concat())?;
        let bird = Bird { host, daemon };
        wait("BIRD to answer", WAIT, || Ok(bird.birdc("show status").is_ok()))?;
        Ok(bird)
    }

    /// The machine.
    pub fn host(&self) -> &Rc<Host> {
        &self.host
    }

    /// The daemon.
    pub fn daemon(&mut self) -> &mut Process {
        &mut self.daemon
    }

    /// Runs a command of its shell.
    pub fn birdc(&self, command: &str) -> Result<String> {
        self.host.run(&["birdc", "-s", SOCKET, command])
    }

    /// Puts another configuration in force.
    pub fn configure(&self, config: &str) -> Result<()> {
        self.host.write(CONFIG, config)?;
        let answer = self.birdc("configure")?;
        ensure!(answer.contains("Reconfigur"), "BIRD: {answer}");
        Ok(())
    }
}
