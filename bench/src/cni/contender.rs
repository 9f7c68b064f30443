//! One way to attach a pod, called as a runtime calls it: fork, exec, wait.

use std::fs::File;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};

/// A network namespace that lives as long as this.
pub(super) struct Pod {
    number: u16,
    netns: File,
}

impl Pod {
    pub(super) fn new(number: u16) -> Result<Self> {
        // A thread of its own: this one stays where it is.
        let made = std::thread::spawn(|| -> Result<File> {
            unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")?;
            Ok(File::open("/proc/thread-self/ns/net")?)
        });
        match made.join() {
            Ok(netns) => Ok(Self { number, netns: netns? }),
            Err(_) => bail!("the thread that makes a namespace ended"),
        }
    }

    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.netns.as_raw_fd())
    }
}

/// A plugin, or the floor.
pub(super) struct Contender {
    pub(super) name: &'static str,
    program: PathBuf,
    kind: Kind,
}

enum Kind {
    Plugin(Value),
    Floor { bridge: u32 },
}

impl Contender {
    pub(super) fn twill(program: &Path, data: &Path) -> Self {
        let config = json!({"cniVersion": "1.0.0", "name": "twill", "type": "twill-cni",
            "bridge": "twill0", "hairpinMode": true, "gateway": "link-local",
            "ipam": {"ranges": [[{"subnet": "10.90.0.0/16"}]], "dataDir": data}});
        Self { name: "twill-cni", program: program.to_owned(), kind: Kind::Plugin(config) }
    }

    pub(super) fn reference(program: &Path, data: &Path) -> Self {
        let config = json!({"cniVersion": "1.0.0", "name": "reference", "type": "bridge",
            "bridge": "ref0", "hairpinMode": true, "isDefaultGateway": true,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.91.0.0/16"}]], "dataDir": data}});
        Self { name: "reference", program: program.to_owned(), kind: Kind::Plugin(config) }
    }

    pub(super) fn floor(program: &Path, bridge: u32) -> Self {
        Self { name: "floor", program: program.to_owned(), kind: Kind::Floor { bridge } }
    }

    /// The command of a verb and what it reads; `wrapper` is put before it.
    fn command(
        &self,
        wrapper: &[&str],
        verb: &str,
        pod: &Pod,
        previous: &Value,
    ) -> (Command, String) {
        let program = self.program.display().to_string();
        let words: Vec<&str> = wrapper.iter().copied().chain([program.as_str()]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env_clear();
        match &self.kind {
            Kind::Plugin(config) => {
                let mut config = config.clone();
                if !previous.is_null() {
                    config["prevResult"] = previous.clone();
                }
                let directory = self.program.parent().unwrap_or(Path::new("/"));
                command
                    .env("CNI_COMMAND", verb)
                    .env("CNI_CONTAINERID", format!("bench-{}", pod.number))
                    .env("CNI_NETNS", pod.path())
                    .env("CNI_IFNAME", "eth0")
                    .env("CNI_PATH", directory);
                (command, config.to_string())
            }
            Kind::Floor { bridge } => {
                let address = Ipv4Addr::from_bits(0x0a5c_0000 + u32::from(pod.number));
                command
                    .arg(verb.to_lowercase())
                    .arg(pod.path())
                    .arg(format!("flr{}", pod.number))
                    .args([bridge.to_string(), address.to_string()]);
                (command, String::new())
            }
        }
    }

    /// Runs a verb: how long, from before the fork to after the wait, and what it answered.
    pub(super) fn call(
        &self,
        verb: &str,
        pod: &Pod,
        previous: &Value,
    ) -> Result<(Duration, Value)> {
        let (mut command, config) = self.command(&[], verb, pod, previous);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let start = Instant::now();
        let mut child =
            command.spawn().with_context(|| format!("cannot run {}", self.program.display()))?;
        if let Some(mut stdin) = child.stdin.take() {
            // The floor reads nothing and may be gone already.
            drop(stdin.write_all(config.as_bytes()));
        }
        let mut answer = String::new();
        if let Some(mut stdout) = child.stdout.take() {
            stdout.read_to_string(&mut answer)?;
        }
        let status = child.wait()?;
        let took = start.elapsed();
        if !status.success() {
            bail!("{} {verb} failed: {status}: {answer}", self.name);
        }
        Ok((took, serde_json::from_str(&answer).unwrap_or_default()))
    }

    /// Runs a verb under a program that reports on it, and what that wrote to stderr.
    pub(super) fn call_under(
        &self,
        wrapper: &[&str],
        verb: &str,
        pod: &Pod,
        previous: &Value,
    ) -> Result<(Value, String)> {
        let (mut command, config) = self.command(wrapper, verb, pod, previous);
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env("PATH", path);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot run {wrapper:?}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            drop(stdin.write_all(config.as_bytes()));
        }
        let output = child.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            bail!("{} {verb} failed under {wrapper:?}: {text}", self.name);
        }
        Ok((serde_json::from_slice(&output.stdout).unwrap_or_default(), text))
    }
}
