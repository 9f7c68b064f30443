use std::cell::RefCell;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context, Result, bail};

use super::{Process, WAIT, wait};

/// Whether a host has `/etc`, `/var`, `/opt` and `/run` of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mounts {
    /// Those of the machine: for a host that runs nothing.
    Shared,
    /// Its own: a copy on write of the machine's, `/run` empty.
    Private,
}

/// What a host's first process does before it waits for its end. The overlays keep the machine's
/// programs and configuration in view and take every write. In a user namespace only the top of an
/// overlay belongs to us, not the machine's folders in it: hence one for `/var/lib`.
const PRIVATE_MOUNTS: &str = "
mount -t tmpfs tmpfs /run
for d in etc var var/lib opt; do
  o=/run/.overlay/$(echo $d | tr / -)
  mkdir -p $o/upper $o/work
  mount -t overlay overlay -o lowerdir=/$d,upperdir=$o/upper,workdir=$o/work /$d
done
for d in /etc/cni /opt/cni /var/lib/cni; do
  if [ -d $d ]; then mount -t tmpfs tmpfs $d; else mkdir $d; fi
done
mkdir -p /run/netns /run/lock /var/log
";

/// Duplicate address detection delays every address by a second or two; the lab has no duplicates.
/// `keep_addr_on_down` stands in for the network manager that a real host has, and the global
/// forwarding of IPv6 for the administrator of a kernel before 6.17.
const SETTINGS: &str = "
mount -t sysfs sysfs /sys 2>/dev/null || true
for c in all default; do
  echo 0 > /proc/sys/net/ipv6/conf/$c/accept_dad
  echo 0 > /proc/sys/net/ipv6/conf/$c/dad_transmits
  echo 0 > /proc/sys/net/ipv6/conf/$c/router_solicitations
  echo 1 > /proc/sys/net/ipv6/conf/$c/keep_addr_on_down
done
if [ -d /proc/sys/net/ipv6 ] && [ ! -e /proc/sys/net/ipv6/conf/all/force_forwarding ]; then
  echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
fi
ip link set lo up
hostname $HOST
touch $READY
exec sleep infinity
";

/// How much of a log is printed when a scenario fails; all of it stays in its file.
const LOG_LINES: usize = 40;
const LOG_COLUMNS: usize = 300;

/// Commands whose output tells what a host believes.
type Views = RefCell<Vec<Vec<String>>>;

/// A machine of the lab.
pub struct Host {
    name: String,
    directory: PathBuf,
    holder: RefCell<Child>,
    pid: u32,
    views: Views,
    logs: RefCell<Vec<PathBuf>>,
}

impl Host {
    pub(super) fn start(name: &str, directory: &Path, mounts: Mounts) -> Result<Host> {
        let ready = directory.join(format!("{name}.ready"));
        let _ = std::fs::remove_file(&ready);
        let script = match mounts {
            Mounts::Shared => format!("set -e\n{SETTINGS}"),
            Mounts::Private => format!("set -e\n{PRIVATE_MOUNTS}{SETTINGS}"),
        };
        // The chain ends from the top: this process's death kills `unshare`, whose death kills the
        // first process of the PID namespace, whose death kills all others in it.
        let mut holder = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "unshare", "--net", "--mount", "--uts", "--pid"])
            .args(["--fork", "--kill-child=KILL", "--mount-proc", "--", "sh", "-c", &script])
            .env("READY", &ready)
            .env("HOST", name)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(directory.join(format!("{name}.boot.log")))?)
            .spawn()
            .context("cannot run setpriv and unshare (package util-linux)")?;
        let children = format!("/proc/{0}/task/{0}/children", holder.id());
        wait(format_args!("host {name} to boot"), WAIT, || {
            if let Some(status) = holder.try_wait()? {
                bail!("its first process ended: {status}, see {name}.boot.log");
            }
            Ok(ready.exists())
        })?;
        let pid = std::fs::read_to_string(children)?
            .split_whitespace()
            .next()
            .and_then(|pid| pid.parse().ok())
            .context("the host has no first process")?;
        let host = Host {
            name: name.to_owned(),
            directory: directory.to_owned(),
            holder: RefCell::new(holder),
            pid,
            views: RefCell::default(),
            logs: RefCell::default(),
        };
        for view in [&["ip", "-4", "route"], &["ip", "-6", "route"], &["ip", "-br", "addr"]] {
            host.add_view(view);
        }
        Ok(host)
    }

    /// As the lab calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first process in its namespaces, as this process sees it.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// A command whose output is printed when a scenario fails.
    pub fn add_view(&self, command: &[&str]) {
        self.views.borrow_mut().push(command.iter().map(|word| (*word).to_owned()).collect());
    }

    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--mount", "--uts", "--pid", "-t", &self.pid.to_string(), "--"]);
        command
    }

    /// Runs a command to its end, at most 30 s; its standard output. An error has what it said.
    pub fn run(&self, command: &[&str]) -> Result<String> {
        self.run_with_input(command, "")
    }

    /// The same, with text on its standard input.
    pub fn run_with_input(&self, command: &[&str], input: &str) -> Result<String> {
        let output = self.output(command, input)?;
        if !output.status.success() {
            bail!(
                "{}: `{}` failed ({}): {}{}",
                self.name,
                command.join(" "),
                output.status,
                String::from_utf8_lossy(&output.stderr),
                String::from_utf8_lossy(&output.stdout),
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The same, whatever the exit status.
    pub fn output(&self, command: &[&str], input: &str) -> Result<Output> {
        let mut child = self
            .enter()
            .args(["timeout", "--kill-after=1", "30"])
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run nsenter (package util-linux)")?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that does not read its input is none of our business.
            let _ = stdin.write_all(input.as_bytes());
        }
        Ok(child.wait_with_output()?)
    }

    /// Lines for `ip -batch`.
    pub fn batch(&self, lines: &str) -> Result<()> {
        self.run_with_input(&["ip", "-batch", "-"], lines).map(drop)
    }

    /// Lines for `ip -batch` that name other hosts' namespaces by process id, as this process sees
    /// them: enters the network alone.
    pub(super) fn batch_between(&self, lines: &str) -> Result<()> {
        let net = format!("--net=/proc/{}/ns/net", self.pid);
        let mut child = Command::new("nsenter")
            .args([&net, "--", "ip", "-batch", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run nsenter (package util-linux)")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(lines.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("{lines}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Starts a program that goes on running; its output goes to a file of the lab's directory,
    /// whose end is shown when a scenario fails.
    pub fn spawn(&self, name: &str, command: &[&str]) -> Result<Process> {
        let log = self.log(name);
        if !self.logs.borrow().contains(&log) {
            self.logs.borrow_mut().push(log);
        }
        self.spawn_quietly(name, command)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{}.{name}.log", self.name))
    }

    /// The same for a program whose output is for the test alone.
    pub fn spawn_quietly(&self, name: &str, command: &[&str]) -> Result<Process> {
        let mut enter = self.enter();
        enter.args(command);
        Process::start(name, enter, self.log(name))
    }

    /// Writes a file as the host sees it, folders included.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        let script = "mkdir -p \"$(dirname \"$1\")\" && cat > \"$1.new\" && mv \"$1.new\" \"$1\"";
        self.run_with_input(&["sh", "-c", script, "sh", path], text).map(drop)
    }

    /// Reads a file as the host sees it.
    pub fn read(&self, path: &str) -> Result<String> {
        self.run(&["cat", path])
    }

    /// Addresses an interface and takes it up.
    pub fn configure(&self, interface: &str, addresses: &[&str]) -> Result<()> {
        let mut lines = String::new();
        for address in addresses {
            let nodad = if address.contains(':') { " nodad" } else { "" };
            lines += &format!("addr add {address} dev {interface}{nodad}\n");
        }
        lines += &format!("link set {interface} up\n");
        self.batch(&lines)
    }

    /// Records the packets of an interface into a file, until the returned process ends.
    pub fn capture(&self, interface: &str, filter: &str) -> Result<Process> {
        let file = self.directory.join(format!("{}.{interface}.pcap", self.name));
        let file = file.to_string_lossy();
        self.spawn(
            &format!("capture-{interface}"),
            &["tcpdump", "-Z", "root", "-U", "-n", "-i", interface, "-w", &file, filter],
        )
    }

    /// Prints what it believes, and the ends of its programs' logs.
    pub(super) fn show(&self) {
        eprintln!("── {} ──", self.name);
        for view in self.views.borrow().iter() {
            let words: Vec<&str> = view.iter().map(String::as_str).collect();
            eprintln!("$ {}", words.join(" "));
            match self.output(&words, "") {
                Ok(output) => eprintln!(
                    "{}{}",
                    String::from_utf8_lossy(&output.stdout),
                    String::from_utf8_lossy(&output.stderr)
                ),
                Err(error) => eprintln!("{error:#}"),
            }
        }
        for log in self.logs.borrow().iter() {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let tail = lines.len().saturating_sub(LOG_LINES);
            eprintln!("$ tail {}", log.display());
            for line in &lines[tail..] {
                eprintln!("{}", line.chars().take(LOG_COLUMNS).collect::<String>());
            }
        }
    }

    /// Ends it, and all that runs in it, at once.
    pub(super) fn power_off(&self) {
        let mut holder = self.holder.borrow_mut();
        let _ = holder.kill();
        let _ = holder.wait();
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
