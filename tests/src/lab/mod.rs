//! Hosts, switches and cables.

mod host;
mod process;
mod wait;

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result, bail};

pub use host::{Host, Mounts};
pub use process::Process;
pub use wait::{WAIT, hold, wait, wait_for};

/// A network of hosts that ends with this value.
pub struct Lab {
    name: String,
    directory: PathBuf,
    fabric: Rc<Host>,
    hosts: RefCell<Vec<Rc<Host>>>,
    /// Each with the name of the host at its other end.
    ports: RefCell<Vec<(String, String)>>,
    passed: Cell<bool>,
}

/// A switch: a bridge that hosts are plugged into.
#[derive(Clone, Debug)]
pub struct Switch {
    name: String,
}

/// Why no lab can be made here; `None` where it can.
pub fn unavailable() -> Option<String> {
    let tools = [
        ("ip", "iproute2"),
        ("ss", "iproute2"),
        ("nsenter", "util-linux"),
        ("setpriv", "util-linux"),
        ("ping", "iputils-ping"),
    ];
    for (tool, package) in tools {
        let found =
            std::process::Command::new("sh").args(["-c", &format!("command -v {tool}")]).output();
        if !found.is_ok_and(|found| found.status.success()) {
            return Some(format!("`{tool}` is not installed (package {package})"));
        }
    }
    let probe = std::process::Command::new("unshare")
        .args(["--net", "--mount", "--uts", "--pid", "--fork", "--mount-proc", "true"])
        .output();
    match probe {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!(
            "no network namespaces here (run as root, or where user namespaces are allowed): {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Some(format!("unshare (package util-linux) cannot be run: {error}")),
    }
}

impl Lab {
    /// An empty lab. `name` appears in logs and in the directory that holds them.
    pub fn new(name: &str) -> Result<Lab> {
        if let Some(why) = unavailable() {
            bail!("{why}");
        }
        let directory =
            std::env::temp_dir().join(format!("twill-lab-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let fabric = Rc::new(Host::start("fabric", &directory, Mounts::Shared)?);
        Ok(Lab {
            name: name.to_owned(),
            directory,
            fabric,
            hosts: RefCell::default(),
            ports: RefCell::default(),
            passed: Cell::new(false),
        })
    }

    /// Where logs and captures go. Removed with the lab unless the test failed.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The scenario held. A lab that ends without this prints what each side believed, and leaves
    /// its logs.
    pub fn passed(&self) -> Result<()> {
        self.passed.set(true);
        Ok(())
    }

    /// A new switch.
    pub fn switch(&self, name: &str) -> Result<Switch> {
        self.fabric.batch(&format!(
            "link add {name} type bridge forward_delay 0 stp_state 0 mcast_snooping 0\n\
             link set {name} up"
        ))?;
        Ok(Switch { name: name.to_owned() })
    }

    /// A new host, with nothing plugged in.
    pub fn host(&self, name: &str) -> Result<Rc<Host>> {
        let host = Rc::new(Host::start(name, &self.directory, Mounts::Private)?);
        self.hosts.borrow_mut().retain(|other| other.name() != name);
        self.hosts.borrow_mut().push(host.clone());
        Ok(host)
    }

    /// Ends a host at once, as a power failure would: no connection of its says goodbye.
    pub fn power_off(&self, name: &str) -> Result<()> {
        for (host, port) in self.ports.borrow_mut().iter_mut().filter(|(host, _)| host == name) {
            self.fabric.batch(&format!("link set {port} nomaster down"))?;
            host.clear();
        }
        let position = self.hosts.borrow().iter().position(|host| host.name() == name);
        let Some(position) = position else { bail!("no host {name} in the lab") };
        let host = self.hosts.borrow_mut().remove(position);
        host.power_off();
        Ok(())
    }

    /// A cable from a host's new interface to a switch, with addresses (`10.0.0.1/24`).
    pub fn plug(
        &self,
        host: &Host,
        interface: &str,
        switch: &Switch,
        addresses: &[&str],
    ) -> Result<Port> {
        let port = format!("port{}", self.ports.borrow().len() + 1);
        self.ports.borrow_mut().push((host.name().to_owned(), port.clone()));
        self.fabric.batch_between(&format!(
            "link add {port} type veth peer name {interface} netns {}\n\
             link set {port} master {} up",
            host.pid(),
            switch.name
        ))?;
        host.configure(interface, addresses)?;
        Ok(Port { fabric: self.fabric.clone(), name: port })
    }

    /// A cable between two hosts' new interfaces, both up.
    pub fn cable(&self, ends: [(&Host, &str); 2], mtu: u32) -> Result<()> {
        let [(one, at_one), (other, at_other)] = ends;
        self.fabric.batch_between(&format!(
            "link add {at_one} mtu {mtu} netns {} type veth peer name {at_other} mtu {mtu} netns {}",
            one.pid(),
            other.pid()
        ))?;
        one.batch(&format!("link set {at_one} up"))?;
        other.batch(&format!("link set {at_other} up"))
    }

    /// A cable from a host's new interface to a switch's port of that name, both up.
    pub fn patch(
        &self,
        host: &Host,
        interface: &str,
        switch: &Switch,
        port: &str,
        mtu: u32,
    ) -> Result<()> {
        self.fabric.batch_between(&format!(
            "link add {port} mtu {mtu} type veth peer name {interface} mtu {mtu} netns {}\n\
             link set {port} master {} up",
            host.pid(),
            switch.name
        ))?;
        host.batch(&format!("link set {interface} up"))
    }

    /// Looks at every host and prints what it believes.
    pub fn show(&self) {
        eprintln!("\n══ lab {}: what each side believed ══", self.name);
        for host in self.hosts.borrow().iter() {
            host.show();
        }
        eprintln!("══ logs and captures: {} ══\n", self.directory.display());
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let failed = !self.passed.get();
        if failed {
            self.show();
        }
        for host in self.hosts.borrow_mut().drain(..) {
            host.power_off();
        }
        self.fabric.power_off();
        if !failed && std::env::var_os("TWILL_LAB_KEEP_LOGS").is_none() {
            // Nobody reads them any more; a leftover would only take space.
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

/// The switch's end of a cable.
pub struct Port {
    fabric: Rc<Host>,
    name: String,
}

impl Port {
    /// Takes the carrier away from the host's end.
    pub fn down(&self) -> Result<()> {
        self.fabric.batch(&format!("link set {} down", self.name))
    }

    /// Gives it back.
    pub fn up(&self) -> Result<()> {
        self.fabric.batch(&format!("link set {} up", self.name))
    }
}
