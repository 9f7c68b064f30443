use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{WAIT, wait, wait_for};

/// A program that runs in a host, its output in a file. It ends with the host, not with this
/// value, so that a failed scenario can still be asked what it believed.
pub struct Process {
    name: String,
    child: Child,
    inner: Pid,
    log: PathBuf,
    /// How long the log was already: an earlier program of the same name wrote that.
    before: usize,
}

impl Process {
    /// `command` enters the host's namespaces and forks: the program is its only child.
    pub(super) fn start(name: &str, mut command: Command, log: PathBuf) -> Result<Process> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let before = std::fs::metadata(&log)?.len().try_into()?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let inner = wait_for(format_args!("{name} to start"), WAIT, || {
            if let Some(status) = child.try_wait()? {
                // Too short-lived to be seen: its log tells what it said.
                return Ok(Some(Err(status)));
            }
            let list = std::fs::read_to_string(&children).unwrap_or_default();
            Ok(list.split_whitespace().next().and_then(|pid| pid.parse().ok()).map(Ok))
        })?;
        let inner = match inner {
            Ok(pid) => Pid::from_raw(pid),
            Err(status) => bail!(
                "{name} ended at once ({status}); it said:\n{}",
                std::fs::read_to_string(&log).unwrap_or_default()
            ),
        };
        Ok(Process { name: name.to_owned(), child, inner, log, before })
    }

    /// The program's process id, as this process sees it.
    pub fn pid(&self) -> Pid {
        self.inner
    }

    /// What it has printed so far, without what an earlier program of the same name has.
    pub fn own_output(&self) -> String {
        self.output().get(self.before..).unwrap_or_default().to_owned()
    }

    /// What it, and earlier programs of the same name, have printed so far.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Where it prints to.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.inner, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// Writes to its standard input.
    pub fn write(&mut self, text: &str) -> Result<()> {
        use std::io::Write;
        let Some(stdin) = self.child.stdin.as_mut() else { bail!("{} reads nothing", self.name) };
        stdin.write_all(text.as_bytes())?;
        Ok(())
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end; the exit code, 128 and the signal's number where a signal ended it.
    pub fn wait(&mut self, within: Duration) -> Result<i32> {
        let mut status = None;
        wait(format_args!("{} to end", self.name), within, || {
            status = self.child.try_wait()?;
            Ok(status.is_some())
        })?;
        let Some(status) = status else { bail!("{} has no exit status", self.name) };
        Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()))
    }

    /// Ends it at once (SIGKILL), and waits for that.
    pub fn kill(&mut self) -> Result<()> {
        if self.is_running() {
            self.signal(Signal::SIGKILL)?;
        }
        self.wait(WAIT).map(drop)
    }
}
