use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result, bail};

use super::image::Role;
use super::topology::{Bind, Machine, Node, Topology};
use crate::lab::{Host, Lab, WAIT, wait};
use crate::node::binary;

/// Where a node finds our programs; first in its `PATH`.
const PROGRAMS: &str = "/opt/twill/bin";
/// What the lab's image has beside our programs.
const SCRIPTS: [(&str, &str); 2] = [
    ("twill-node", include_str!("../../../deploy/lab/twill-node")),
    ("twill-pod", include_str!("../../../deploy/lab/twill-pod")),
];
/// Folders that are a node's own: elsewhere a new file would be made on this machine.
const PRIVATE: [&str; 4] = ["/etc/", "/opt/", "/run/", "/var/"];

const BIND: &str = "
set -e
if [ -d \"$1\" ]; then mkdir -p \"$2\"
elif [ ! -e \"$2\" ]; then mkdir -p \"$(dirname \"$2\")\"; : > \"$2\"
fi
mount --bind \"$1\" \"$2\"
[ \"$3\" != ro ] || mount -o remount,bind,ro \"$2\"
";

/// A topology that stands; it ends with this value.
pub struct Clab {
    topology: Topology,
    hosts: BTreeMap<String, Rc<Host>>,
    lab: Lab,
}

impl Clab {
    /// Why this topology cannot stand here; `None` where it can.
    pub fn unavailable(topology: &Topology) -> Option<String> {
        if !nix::unistd::geteuid().is_root() {
            return Some("only root can make the topology's namespaces".to_owned());
        }
        crate::lab::unavailable()
            .or_else(|| topology.machines().find_map(|(_, machine)| machine.role.unavailable()))
    }

    /// Machines, their programs, cables, and `exec`, in containerlab's order.
    pub fn up(topology: Topology) -> Result<Clab> {
        if let Some(why) = Clab::unavailable(&topology) {
            bail!("{why}");
        }
        let lab = Lab::new(&topology.name)?;
        let mut hosts = BTreeMap::new();
        for (name, machine) in topology.machines() {
            let host = lab.host(name)?;
            prepare(&host, machine).with_context(|| format!("node {name}"))?;
            hosts.insert(name.to_owned(), host);
        }
        let clab = Clab { topology, hosts, lab };
        clab.cable()?;
        for (name, machine) in clab.topology.machines() {
            for command in &machine.exec {
                let words: Vec<&str> = command.iter().map(String::as_str).collect();
                clab.run(name, &words).context("`exec` of the topology")?;
            }
        }
        Ok(clab)
    }

    fn cable(&self) -> Result<()> {
        let mut switches = BTreeMap::new();
        for (name, node) in &self.topology.nodes {
            if matches!(node, Node::Bridge) {
                switches.insert(name, self.lab.switch(name)?);
            }
        }
        for link in &self.topology.links {
            let [(one, at_one), (other, at_other)] = &link.ends;
            match (switches.get(one), switches.get(other)) {
                (None, None) => {
                    let one = (&**self.host(one)?, at_one.as_str());
                    let other = (&**self.host(other)?, at_other.as_str());
                    self.lab.cable([one, other], link.mtu)?;
                }
                (Some(switch), None) => {
                    self.lab.patch(self.host(other)?, at_other, switch, at_one, link.mtu)?;
                }
                (None, Some(switch)) => {
                    self.lab.patch(self.host(one)?, at_one, switch, at_other, link.mtu)?;
                }
                (Some(_), Some(_)) => bail!("{one} and {other} are bridges: put a node between"),
            }
        }
        Ok(())
    }

    /// As read.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// What it stands in.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// A node of kind `linux`.
    pub fn host(&self, name: &str) -> Result<&Rc<Host>> {
        self.hosts.get(name).with_context(|| format!("no node {name} in {}", self.topology.name))
    }

    /// Runs a command in a node as containerlab's `exec` would, at most 30 s; what it printed.
    pub fn run(&self, name: &str, command: &[&str]) -> Result<String> {
        let Some(Node::Machine(machine)) = self.topology.nodes.get(name) else {
            bail!("{name} is no node of kind linux");
        };
        let env = environment(machine);
        let mut words: Vec<&str> = env.iter().map(String::as_str).collect();
        words.extend(command);
        self.host(name)?.run(&words)
    }
}

/// `env NAME=VALUE...`: what stands before every command of a node.
fn environment(machine: &Machine) -> Vec<String> {
    let mut words = vec![
        "env".to_owned(),
        format!("PATH={PROGRAMS}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ];
    words.extend(machine.env.iter().map(|(key, value)| format!("{key}={value}")));
    words
}

impl Machine {
    /// What stands before every command that is run in it.
    pub fn environment(&self) -> Vec<String> {
        environment(self)
    }
}

/// Files, settings, and the program.
fn prepare(host: &Host, machine: &Machine) -> Result<()> {
    host.run(&["mkdir", "-p", PROGRAMS])?;
    for program in ["twill", "twill-cni"] {
        let path = binary(program)?.to_string_lossy().into_owned();
        host.run(&["ln", "-s", &path, PROGRAMS])?;
    }
    for (name, text) in SCRIPTS {
        let path = format!("{PROGRAMS}/{name}");
        host.write(&path, text)?;
        host.run(&["chmod", "755", &path])?;
    }
    for bind in &machine.binds {
        put(host, bind)?;
    }
    for (path, value) in &machine.sysctls {
        host.run(&["sh", "-c", "echo \"$2\" > \"/proc/sys/$1\"", "sh", path, value])?;
    }
    if machine.command.is_empty() {
        return Ok(());
    }
    let mut words = environment(machine);
    words.extend(machine.command.iter().cloned());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match machine.role {
        Role::Frr => look(host, &[&["vtysh", "-c", "show bgp summary"]]),
        Role::Bird => {
            host.run(&["mkdir", "-p", "/run/bird"])?;
            look(host, &[&["birdc", "show", "protocols", "all"]]);
        }
        Role::Twill => {
            let twill = format!("{PROGRAMS}/twill");
            look(host, &[&[&twill, "status"], &[&twill, "routes", "--all"], &[&twill, "fib"]]);
        }
        Role::Plain => {}
    }
    // It ends with the host.
    host.spawn("program", &words)?;
    match machine.role {
        // What follows may ask the router's shell.
        Role::Frr => {
            wait("FRR to answer", WAIT, || Ok(host.run(&["vtysh", "-c", "show version"]).is_ok()))
                .map(drop)
        }
        Role::Bird => {
            wait("BIRD to answer", WAIT, || Ok(host.run(&["birdc", "show", "status"]).is_ok()))
                .map(drop)
        }
        Role::Twill | Role::Plain => Ok(()),
    }
}

fn look(host: &Host, views: &[&[&str]]) {
    for view in views {
        host.add_view(view);
    }
}

fn put(host: &Host, bind: &Bind) -> Result<()> {
    let to = bind.to.to_string_lossy();
    let private = PRIVATE.iter().any(|private| to.starts_with(private));
    if !private && !Path::new(&*to).exists() {
        bail!("a bind to {to}: what is not there yet can be below /etc, /opt, /run and /var alone");
    }
    let options = if bind.read_only { "ro" } else { "rw" };
    host.run(&["sh", "-c", BIND, "sh", &bind.from.to_string_lossy(), &to, options]).map(drop)
}
