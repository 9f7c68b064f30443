//! A host of the lab whose services systemd runs, as on a real machine: for units and packages.

use std::process::{Command, Output};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::lab::{Host, Process, WAIT, wait};

const SYSTEMD: &str = "/usr/lib/systemd/systemd";

/// `/usr` becomes a copy on write, so that packages can be installed, and loses what would start the
/// machine's own services; the journal alone stays. A control group of its own keeps two such hosts
/// apart, and is the root of what systemd sees.
const BOOT: &str = "
set -e
mkdir -p /run/.overlay/usr/upper /run/.overlay/usr/work
mount -t overlay overlay \
  -o lowerdir=/usr,upperdir=/run/.overlay/usr/upper,workdir=/run/.overlay/usr/work /usr
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /var/tmp
rm -rf /etc/systemd/system/*.wants
for target in sysinit basic multi-user timers local-fs; do
  rm -rf /usr/lib/systemd/system/$target.target.wants
done
mkdir -p /run/cgroup
if grep -q ':name=systemd:' /proc/self/cgroup; then
  mount -t cgroup -o none,name=systemd cgroup /run/cgroup
else
  mount -t cgroup2 cgroup2 /run/cgroup
fi
mkdir -p /run/cgroup/$GROUP
";

/// Becomes the first process of a PID namespace, which systemd insists on being.
const INIT: &str = "
echo 0 > /run/cgroup/$GROUP/cgroup.procs
exec unshare --pid --fork --kill-child=KILL --mount-proc --cgroup -- \
  env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /usr/lib/systemd/systemd --system --unit=basic.target --log-target=console
";

/// Why it cannot be had here; `None` where it can.
pub fn unavailable() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("only root may give systemd a control group".to_owned());
    }
    let programs = [(SYSTEMD, "systemd"), ("/usr/bin/dpkg", "dpkg")];
    let missing = programs.iter().find(|(path, _)| !std::path::Path::new(path).is_file())?;
    Some(format!("`{}` is not installed (package {})", missing.0, missing.1))
}

/// systemd in a host; ends with this value.
pub struct Booted {
    host: Rc<Host>,
    group: String,
    init: Process,
}

impl Booted {
    /// Starts systemd, and waits until it takes orders.
    pub fn start(host: &Rc<Host>) -> Result<Booted> {
        let group = format!("twill-lab-{}", host.pid());
        let environment = ["env", &format!("GROUP={group}"), "sh", "-c"];
        host.run(&[&environment[..], &[BOOT]].concat())?;
        let init = host.spawn("systemd", &[&environment[..], &[INIT]].concat())?;
        let booted = Booted { host: host.clone(), group, init };
        wait(format_args!("systemd of {} to boot", host.name()), WAIT, || {
            let Ok(state) = booted.output(&["systemctl", "is-system-running"]) else {
                return Ok(false);
            };
            Ok(matches!(state.stdout.trim_ascii(), b"running" | b"degraded"))
        })?;
        host.add_view(&["journalctl", "--no-pager", "--unit=twill", "--lines=40"]);
        Ok(booted)
    }

    /// systemd's process id, as the test sees it.
    fn pid(&self) -> Result<String> {
        let children =
            std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.init.pid()))?;
        let pid = children.split_whitespace().next();
        pid.map(str::to_owned).context("systemd is gone")
    }

    /// Runs a command to its end, at most 60 s, whatever its exit status. It runs among systemd's
    /// processes: systemd takes orders only from those that it can see.
    pub fn output(&self, command: &[&str]) -> Result<Output> {
        Command::new("nsenter")
            .args(["--net", "--mount", "--pid", "-t", &self.pid()?, "--"])
            .args(["timeout", "--kill-after=1", "60"])
            .args(command)
            .output()
            .context("cannot run nsenter (package util-linux)")
    }

    /// The same; its standard output. An error has what it said.
    pub fn run(&self, command: &[&str]) -> Result<String> {
        let output = self.output(command)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            bail!("`{}` failed ({}): {said}{errors}", command.join(" "), output.status);
        }
        Ok(said)
    }

    /// A property of a unit, as `systemctl show` has it.
    pub fn property(&self, unit: &str, name: &str) -> Result<String> {
        let show = ["systemctl", "show", "--value", "--property", name, unit];
        Ok(self.run(&show)?.trim().to_owned())
    }

    /// Waits until a property has a value.
    pub fn wait_property(&self, unit: &str, name: &str, value: &str) -> Result<Duration> {
        wait(format_args!("{name} of {unit} to be {value}"), WAIT, || {
            Ok(self.property(unit, name)? == value)
        })
    }

    /// A line of `/proc/PID/status` of a unit's main process.
    pub fn status_line(&self, unit: &str, key: &str) -> Result<String> {
        let pid = self.property(unit, "MainPID")?;
        let status = self.run(&["cat", &format!("/proc/{pid}/status")])?;
        match status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')) {
            Some(value) => Ok(value.trim().to_owned()),
            None => bail!("{unit} has no {key}"),
        }
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        // What fails here has been said by the scenario, or is left to the end of the host.
        let _ = self.init.kill();
        let remove = format!("find /run/cgroup/{} -depth -type d -exec rmdir {{}} +", self.group);
        let _ = wait("its control group to be empty", WAIT, || {
            Ok(self.host.output(&["sh", "-c", &remove], "")?.status.success())
        });
    }
}
