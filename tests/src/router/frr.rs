use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::program;
use crate::lab::{Host, Process, WAIT, wait};

/// A host that runs FRR's zebra and bgpd. `TWILL_FRR_DIR` names the folder of other binaries.
pub struct Frr {
    host: Rc<Host>,
    directory: PathBuf,
    // Ended in this order: bgpd before the zebra it speaks to.
    bgpd: Option<Process>,
    zebra: Option<Process>,
}

fn directory() -> Option<PathBuf> {
    let bgpd = program("TWILL_FRR_BGPD", &["/usr/lib/frr/bgpd"])?;
    Some(bgpd.parent()?.to_owned())
}

impl Frr {
    /// Why it cannot be had; `None` where it can.
    pub fn unavailable() -> Option<String> {
        directory().is_none().then(|| "FRR is not installed (package frr)".to_owned())
    }

    /// Starts both daemons. `bgp` is the configuration behind `router bgp`, and policies.
    pub fn start(host: Rc<Host>, bgp: &str) -> Result<Frr> {
        let directory = directory().context("FRR is not installed (package frr)")?;
        for key in ["ipv4/conf/all/forwarding", "ipv6/conf/all/forwarding"] {
            host.run(&["sh", "-c", &format!("echo 1 > /proc/sys/net/{key}")])?;
        }
        host.write("/run/frr/zebra.conf", &format!("hostname {}\n", host.name()))?;
        host.write("/etc/frr/vtysh.conf", "no service integrated-vtysh-config\n")?;
        host.run(&["mkdir", "-p", "/run/frr", "/var/tmp/frr"])?;
        host.add_view(&["vtysh", "-c", "show bgp summary", "-c", "show bgp ipv4 unicast"]);
        host.add_view(&["vtysh", "-c", "show bgp ipv6 unicast"]);
        let mut frr = Frr { host, directory, bgpd: None, zebra: None };
        frr.start_zebra()?;
        frr.start_bgpd(bgp)?;
        Ok(frr)
    }

    fn daemon(&self, name: &str, more: &[&str]) -> Result<Process> {
        let program = self.directory.join(name).to_string_lossy().into_owned();
        let config = format!("/run/frr/{name}.conf");
        let pid = format!("/run/frr/{name}.pid");
        let common = ["-f", &config, "-i", &pid, "--vty_socket", "/run/frr", "--log", "stdout"];
        let command = [&[program.as_str()], &common[..], &["-z", "/run/frr/zserv.api"], more];
        self.host.spawn(name, &command.concat())
    }

    /// Both drop to their own user, who must own what they read and write.
    fn give_files(&self) -> Result<()> {
        self.host.run(&["chown", "-R", "frr:frr", "/run/frr", "/var/tmp/frr"]).map(drop)
    }

    fn start_zebra(&mut self) -> Result<()> {
        self.give_files()?;
        // `-P 0`: no telnet; keeps the routes of a run before, as a router's restart does.
        let zebra = self.daemon("zebra", &["-P", "0", "-r"])?;
        wait("zebra to listen", WAIT, || {
            Ok(self.host.output(&["test", "/run/frr/zserv.api"], "")?.status.success())
        })?;
        self.zebra = Some(zebra);
        Ok(())
    }

    /// Starts bgpd, at first or after [`Frr::kill_bgpd`], with another configuration.
    pub fn start_bgpd(&mut self, bgp: &str) -> Result<()> {
        let config = format!("hostname {}\n{bgp}", self.host.name());
        self.host.write("/run/frr/bgpd.conf", &config)?;
        self.give_files()?;
        let bgpd = self.daemon("bgpd", &["-P", "0", "-p", "179"])?;
        wait("bgpd to answer", WAIT, || Ok(self.vtysh("show version").is_ok()))?;
        self.bgpd = Some(bgpd);
        Ok(())
    }

    /// The machine.
    pub fn host(&self) -> &Rc<Host> {
        &self.host
    }

    /// Ends bgpd at once.
    pub fn kill_bgpd(&mut self) -> Result<()> {
        self.bgpd.as_mut().map_or(Ok(()), Process::kill)
    }

    /// Runs a command of its shell.
    pub fn vtysh(&self, command: &str) -> Result<String> {
        self.host.run(&["vtysh", "--vty_socket", "/run/frr", "-d", "bgpd", "-c", command])
    }

    /// Runs configuration commands.
    pub fn configure(&self, lines: &[&str]) -> Result<()> {
        let mut words = vec!["vtysh", "--vty_socket", "/run/frr", "-d", "bgpd"];
        words.extend(["-c", "configure terminal"]);
        for line in lines {
            words.extend(["-c", line]);
        }
        self.host.run(&words).map(drop)
    }

    /// The prefixes of a family in its table: `ipv4` or `ipv6`.
    pub fn prefixes(&self, family: &str) -> Result<Vec<String>> {
        let text = self.vtysh(&format!("show bgp {family} unicast json"))?;
        let table: Value = serde_json::from_str(&text).context("FRR answered no JSON")?;
        let routes = table["routes"].as_object().context("FRR shows no routes")?;
        Ok(routes.keys().cloned().collect())
    }

    /// Waits until its session with `peer` is in a state, as it calls it.
    pub fn wait_peer(&self, peer: &str, state: &str) -> Result<Duration> {
        wait(format_args!("FRR: session with {peer} to be {state}"), WAIT, || {
            let text = self.vtysh(&format!("show bgp neighbors {peer} json"))?;
            let neighbors: Value = serde_json::from_str(&text)?;
            Ok(neighbors[peer]["bgpState"] == state)
        })
    }

    /// Waits until its kernel has a route for `prefix`.
    pub fn wait_route(&self, prefix: &str) -> Result<Duration> {
        let family = if prefix.contains(':') { "-6" } else { "-4" };
        wait(format_args!("FRR: route {prefix} in the kernel"), WAIT, || {
            Ok(!self.host.run(&["ip", family, "route", "show", prefix])?.trim().is_empty())
        })
    }
}
