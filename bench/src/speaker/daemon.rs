//! Daemons under test: how each is configured for a scenario, and started. All listen, and accept
//! and announce everything; timers at default.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Result, bail};
use clap::ValueEnum;
use twill_bgp_proto::types::Prefix;
use twill_tests::lab::{Host, Process, WAIT, wait};
use twill_tests::node::{CONFIG, binary};

use super::player::{DAEMON_ASN, address, asn, daemon};

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Daemon {
    Twill,
    Bird,
    Frr,
    Gobgp,
    Openbgpd,
}

/// Has the command line of the example `under_load` of `twill-bgp`, to be measured in place of the
/// agent.
const SPEAKER: &str = "TWILL_SPEAKER";

/// What a scenario asks of a daemon.
pub(super) struct Setup {
    pub(super) peers: usize,
    /// Peers are clients of the daemon, a reflector of their AS.
    pub(super) reflector: bool,
    /// Peers are of the daemon's AS.
    pub(super) ibgp: bool,
    pub(super) ipv6: bool,
    /// Routes go into the kernel.
    pub(super) kernel: bool,
    /// What each peer announces, where a daemon wants to know it beforehand.
    pub(super) owned: Vec<Vec<Prefix>>,
}

impl Setup {
    fn addresses(&self) -> impl Iterator<Item = (usize, IpAddr)> {
        (0..self.peers).map(|peer| (peer, address(peer, self.ipv6)))
    }

    fn family(&self) -> &'static str {
        if self.ipv6 { "ipv6" } else { "ipv4" }
    }
}

impl Daemon {
    pub(super) const ALL: [Daemon; 5] =
        [Daemon::Twill, Daemon::Bird, Daemon::Frr, Daemon::Gobgp, Daemon::Openbgpd];

    pub(super) fn name(self) -> &'static str {
        match self {
            Daemon::Twill => "Twill",
            Daemon::Bird => "BIRD 2",
            Daemon::Frr => "FRR",
            Daemon::Gobgp => "GoBGP",
            Daemon::Openbgpd => "OpenBGPD",
        }
    }

    /// Its program; a variable names another one.
    fn program(self) -> Result<String> {
        let (variable, usual) = match self {
            Daemon::Twill => return Ok(binary("twill")?.to_string_lossy().into_owned()),
            Daemon::Bird => ("TWILL_BIRD", "/usr/sbin/bird"),
            Daemon::Frr => ("TWILL_FRR_BGPD", "/usr/lib/frr/bgpd"),
            Daemon::Gobgp => ("TWILL_GOBGPD", "/usr/bin/gobgpd"),
            Daemon::Openbgpd => ("TWILL_OPENBGPD", "/usr/sbin/bgpd"),
        };
        let program = std::env::var(variable).unwrap_or_else(|_| usual.to_owned());
        if !Path::new(&program).is_file() {
            bail!("{program} is not installed; {variable} names another place");
        }
        Ok(program)
    }

    /// Why it cannot be had; `None` where it can.
    pub(super) fn unavailable(self) -> Option<String> {
        self.program().err().map(|error| error.to_string())
    }

    /// Whether it can write routes into the kernel by itself.
    pub(super) fn has_kernel(self) -> bool {
        matches!(self, Daemon::Twill | Daemon::Bird | Daemon::Frr)
    }

    pub(super) fn start(self, host: &Rc<Host>, setup: &Setup) -> Result<Vec<Process>> {
        let program = self.program()?;
        let processes = match self {
            Daemon::Twill if !setup.kernel && std::env::var_os(SPEAKER).is_some() => {
                start_library(host, setup)
            }
            Daemon::Twill => {
                host.write(CONFIG, &twill(setup)?)?;
                host.spawn("agent", &["env", "NO_COLOR=1", &program, "agent", "--config", CONFIG])
                    .map(|process| vec![process])
            }
            Daemon::Bird => {
                host.write("/etc/bird/load.conf", &bird(setup)?)?;
                host.run(&["mkdir", "-p", "/run/bird"])?;
                host.spawn("bird", &[&program, "-f", "-c", "/etc/bird/load.conf"])
                    .map(|process| vec![process])
            }
            Daemon::Frr => start_frr(host, setup, &program),
            Daemon::Gobgp => {
                host.write("/etc/gobgp.toml", &gobgp(setup)?)?;
                host.spawn("gobgpd", &[&program, "-f", "/etc/gobgp.toml", "-l", "error"])
                    .map(|process| vec![process])
            }
            Daemon::Openbgpd => {
                host.write("/etc/bgpd.conf", &openbgpd(setup)?)?;
                host.run(&["chmod", "600", "/etc/bgpd.conf"])?;
                host.run(&["mkdir", "-p", "/run/openbgpd"])?;
                host.spawn("bgpd", &[&program, "-d", "-f", "/etc/bgpd.conf"])
                    .map(|process| vec![process])
            }
        }?;
        wait("port 179", WAIT, || Ok(host.run(&["ss", "-Hltn"])?.contains(":179")))?;
        Ok(processes)
    }
}

/// The library's example instead of the agent, where no routes go into the kernel.
fn start_library(host: &Host, setup: &Setup) -> Result<Vec<Process>> {
    let mut peers = String::new();
    for (peer, address) in setup.addresses() {
        writeln!(peers, "{address} {}", asn(peer, setup.ibgp)?)?;
    }
    host.write("/run/peers", &peers)?;
    let command = std::env::var(SPEAKER)?;
    let words: Vec<&str> = command.split_whitespace().chain(["/run/peers"]).collect();
    Ok(vec![host.spawn("speaker", &words)?])
}

fn twill(setup: &Setup) -> Result<String> {
    let own = daemon(setup.ipv6);
    let mut text = format!(
        "node: dut\nrouterId: 10.0.0.1\naddresses: [{own}]\ncni: {{write: false}}\n\
         dataplane: {{install: {}}}\n",
        setup.kernel
    );
    if setup.ibgp {
        let (mode, cluster) =
            if setup.reflector { ("reflector", ", reflector: 1.1.1.1") } else { ("full", "") };
        writeln!(text, "mesh:\n  mode: {mode}\n  nodes:")?;
        writeln!(text, "    - {{name: dut, addresses: [{own}]{cluster}}}")?;
        for (peer, address) in setup.addresses() {
            let owned = setup.owned.get(peer).into_iter().flatten();
            let owned: Vec<String> = owned.map(Prefix::to_string).collect();
            let owned = owned.join(", ");
            writeln!(
                text,
                "    - {{name: n{peer}, addresses: ['{address}'], podCIDRs: [{owned}]}}"
            )?;
        }
        return Ok(text);
    }
    text += "mesh: {mode: none}\npeers:\n";
    for (peer, address) in setup.addresses() {
        writeln!(
            text,
            "  - {{name: n{peer}, address: '{address}', asn: {}, passive: true, \
             import: {{default: accept}}, export: {{default: accept}}}}",
            asn(peer, false)?
        )?;
    }
    Ok(text)
}

fn bird(setup: &Setup) -> Result<String> {
    let family = setup.family();
    let mut text = "router id 10.0.0.1;\nprotocol device {}\n".to_owned();
    if setup.kernel {
        writeln!(text, "protocol kernel {{ {family} {{ import none; export all; }}; }}")?;
    }
    let client = if setup.reflector { "rr client; " } else { "" };
    for (peer, address) in setup.addresses() {
        writeln!(
            text,
            "protocol bgp n{peer} {{ local {} as {DAEMON_ASN}; neighbor {address} as {}; direct; \
             passive on; {client}{family} {{ import all; export all; }}; }}",
            daemon(setup.ipv6),
            asn(peer, setup.ibgp)?
        )?;
    }
    Ok(text)
}

fn frr(setup: &Setup) -> Result<String> {
    let family = setup.family();
    let mut text = format!(
        "hostname dut\nrouter bgp {DAEMON_ASN}\n bgp router-id 10.0.0.1\n \
         no bgp ebgp-requires-policy\n no bgp default ipv4-unicast\n"
    );
    for (peer, address) in setup.addresses() {
        writeln!(text, " neighbor {address} remote-as {}", asn(peer, setup.ibgp)?)?;
        writeln!(text, " neighbor {address} passive")?;
    }
    writeln!(text, " address-family {family} unicast")?;
    for (_, address) in setup.addresses() {
        writeln!(text, "  neighbor {address} activate")?;
        if setup.reflector {
            writeln!(text, "  neighbor {address} route-reflector-client")?;
        }
    }
    text += " exit-address-family\n";
    Ok(text)
}

fn start_frr(host: &Host, setup: &Setup, program: &str) -> Result<Vec<Process>> {
    for key in ["ipv4/conf/all/forwarding", "ipv6/conf/all/forwarding"] {
        host.run(&["sh", "-c", &format!("echo 1 > /proc/sys/net/{key}")])?;
    }
    host.write("/run/frr/zebra.conf", "hostname dut\n")?;
    host.write("/run/frr/bgpd.conf", &frr(setup)?)?;
    host.run(&["mkdir", "-p", "/run/frr", "/var/tmp/frr"])?;
    host.run(&["chown", "-R", "frr:frr", "/run/frr", "/var/tmp/frr"])?;
    let zebra_program = Path::new(program).with_file_name("zebra").to_string_lossy().into_owned();
    let common = ["--vty_socket", "/run/frr", "--log", "stdout", "-P", "0"];
    let socket = ["-z", "/run/frr/zserv.api"];
    let command = |name: &str| {
        [
            ["-f", if name == "zebra" { "/run/frr/zebra.conf" } else { "/run/frr/bgpd.conf" }],
            ["-i", if name == "zebra" { "/run/frr/zebra.pid" } else { "/run/frr/bgpd.pid" }],
        ]
        .concat()
    };
    let zebra = [&[zebra_program.as_str()], &command("zebra")[..], &common, &socket].concat();
    let zebra = host.spawn("zebra", &zebra)?;
    wait("zebra to listen", WAIT, || {
        Ok(host.output(&["test", "/run/frr/zserv.api"], "")?.status.success())
    })?;
    // `-n`: what is chosen stays out of zebra and the kernel.
    let more: &[&str] = if setup.kernel { &["-p", "179"] } else { &["-p", "179", "-n"] };
    let bgpd = [&[program], &command("bgpd")[..], &common, &socket, more].concat();
    Ok(vec![host.spawn("bgpd", &bgpd)?, zebra])
}

fn gobgp(setup: &Setup) -> Result<String> {
    let family = setup.family();
    let mut text = format!("[global.config]\n  as = {DAEMON_ASN}\n  router-id = \"10.0.0.1\"\n");
    for (peer, address) in setup.addresses() {
        writeln!(
            text,
            "[[neighbors]]\n  [neighbors.config]\n    neighbor-address = \"{address}\"\n    \
             peer-as = {}\n  [neighbors.transport.config]\n    passive-mode = true\n  \
             [[neighbors.afi-safis]]\n    [neighbors.afi-safis.config]\n      \
             afi-safi-name = \"{family}-unicast\"",
            asn(peer, setup.ibgp)?
        )?;
        if setup.reflector {
            text += "  [neighbors.route-reflector.config]\n    route-reflector-client = true\n    \
                     route-reflector-cluster-id = \"1.1.1.1\"\n";
        }
    }
    Ok(text)
}

fn openbgpd(setup: &Setup) -> Result<String> {
    let family = if setup.ipv6 { "IPv6" } else { "IPv4" };
    let mut text = format!("AS {DAEMON_ASN}\nrouter-id 10.0.0.1\nfib-update no\n");
    for (peer, address) in setup.addresses() {
        let client = if setup.reflector { " route-reflector;" } else { "" };
        writeln!(
            text,
            "neighbor {address} {{\n  remote-as {}\n  passive\n  announce {family} unicast\n \
             {}\n}}",
            asn(peer, setup.ibgp)?,
            client.trim_end_matches(';')
        )?;
    }
    text += "allow from any\nallow to any\n";
    Ok(text)
}
