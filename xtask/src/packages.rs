//! Debian packages that the tests need.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::cargo::run;

/// A package, and a file that tells that it is there.
const PACKAGES: [(&str, &str); 18] = [
    ("iproute2", "/usr/sbin/ip"),
    ("util-linux", "/usr/bin/nsenter"),
    ("procps", "/usr/sbin/sysctl"),
    ("iputils-ping", "/usr/bin/ping"),
    ("nftables", "/usr/sbin/nft"),
    ("systemd", "/usr/lib/systemd/systemd"),
    ("tcpdump", "/usr/bin/tcpdump"),
    ("frr", "/usr/lib/frr/bgpd"),
    ("bird2", "/usr/sbin/bird"),
    ("gobgpd", "/usr/bin/gobgpd"),
    ("openbgpd", "/usr/sbin/bgpd"),
    ("exabgp", "/usr/sbin/exabgp"),
    ("containernetworking-plugins", "/usr/lib/cni/host-local"),
    ("dnsmasq-base", "/usr/sbin/dnsmasq"),
    ("strace", "/usr/bin/strace"),
    ("kubernetes-client", "/usr/bin/kubectl"),
    ("jq", "/usr/bin/jq"),
    ("gcc", "/usr/bin/gcc"),
];

const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Keeps packages from starting services on this host while it lives.
struct NoServices;

impl NoServices {
    /// `None` where the host has such a rule of its own.
    fn new() -> Result<Option<NoServices>> {
        if Path::new(POLICY).exists() {
            return Ok(None);
        }
        std::fs::write(POLICY, "#!/bin/sh\nexit 101\n")?;
        run("chmod", Command::new("chmod").args(["755", POLICY]))?;
        Ok(Some(NoServices))
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        // It was ours; one that cannot be removed is named in the next apt-get run.
        let _ = std::fs::remove_file(POLICY);
    }
}

/// Installs what is missing, after saying so. Without root or apt-get, says what to install.
pub(crate) fn install() -> Result<()> {
    let missing: Vec<&str> = PACKAGES
        .iter()
        .filter(|(_, file)| !Path::new(file).exists())
        .map(|(package, _)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let apt = Path::new("/usr/bin/apt-get").exists();
    if !apt || !nix::unistd::geteuid().is_root() {
        println!(
            "These packages are missing, and only root on Debian can install them here: {}.\n\
             Scenarios that need them will be skipped.",
            missing.join(" ")
        );
        return Ok(());
    }
    println!("Installing Debian packages that the tests need: {}", missing.join(" "));
    println!("No service of theirs will be started on this host.");
    let policy = NoServices::new().context("cannot keep services from starting")?;
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
        run(&format!("apt-get {}", arguments[0]), &mut command)
    };
    apt_get(&["update", "-qq"])?;
    let install = ["install", "-y", "-qq", "--no-install-recommends"];
    let installed = apt_get(&[&install, missing.as_slice()].concat());
    drop(policy);
    installed
}
