use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context, Result};

use super::program;
use crate::lab::{Host, Process, WAIT, wait};

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
        let program = bird().context("BIRD is not installed (package bird2)")?;
        host.write("/etc/bird/lab.conf", config)?;
        host.run(&["mkdir", "-p", "/run/bird"])?;
        host.add_view(&["birdc", "-s", "/run/bird/lab.ctl", "show protocols all"]);
        host.add_view(&["birdc", "-s", "/run/bird/lab.ctl", "show route all"]);
        let daemon = host.spawn(
            "bird",
            &[
                &program.to_string_lossy(),
                "-f",
                "-c",
                "/etc/bird/lab.conf",
                "-s",
                "/run/bird/lab.ctl",
            ],
        )?;
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
        self.host.run(&["birdc", "-s", "/run/bird/lab.ctl", command])
    }
}
