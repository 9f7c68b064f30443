//! The package on a machine whose services systemd runs: installed, upgraded under traffic, misused,
//! purged.

use anyhow::{Context, Result};
use twill_tests::booted::Booted;
use twill_tests::cluster::{Cluster, Plan};
use twill_tests::lab::{WAIT, wait};
use twill_tests::node::{CONF_FILE, CONFIG, Node, binary};
use twill_tests::skip_unless;
use twill_tests::traffic::Traffic;

use super::Package;

const UNIT: &str = "twill.service";
/// CAP_NET_BIND_SERVICE, CAP_NET_ADMIN and CAP_NET_RAW, as /proc has them.
const CAPABILITIES: u64 = 1 << 10 | 1 << 12 | 1 << 13;

/// A package of this version from the programs of the test run, and its path in the first host.
fn package(cluster: &Cluster, version: &str) -> Result<String> {
    let programs =
        ["twill", "twill-cni"].map(|program| Ok((program, std::fs::read(binary(program)?)?)));
    let programs = programs.into_iter().collect::<Result<Vec<_>>>()?;
    let folder = cluster.lab.directory();
    let output = folder.join(format!("twill_{version}.deb"));
    Package { version, programs: &programs, compress: false }
        .build(&folder.join("tree"), &output)?;
    let place = format!("/run/twill_{version}.deb");
    cluster.nodes[0].host().run(&["cp", &output.to_string_lossy(), &place])?;
    Ok(place)
}

fn install(booted: &Booted, package: &str) -> Result<String> {
    booted.run(&["dpkg", "--install", package])
}

/// In: two nodes, one of them from the package, under traffic. Out: its unit has three capabilities
/// and no more; it is up when `systemctl` returns; an upgrade replaces it and loses no packet; a
/// reload of a file that does not hold up is refused, and a start with one ends it for good; a purge
/// leaves nothing.
#[test]
fn a_package_is_installed_upgraded_and_purged() -> Result<()> {
    skip_unless!(lab, systemd);
    let mut cluster = Cluster::build("package", Plan { nodes: 2, pods: 1, ..Plan::default() })?;
    let config = cluster.plan.config(1);
    let node = &cluster.nodes[0];
    let host = node.host();
    host.run(&["rm", "-r", "/etc/twill", "/opt/cni/bin"])?;
    let packages = [package(&cluster, "0.1.0")?, package(&cluster, "0.1.1")?];
    let booted = Booted::start(host)?;

    let said = install(&booted, &packages[0])?;
    let files = booted.run(&["dpkg", "--listfiles", "twill"])?;
    for place in ["man/man1/twill-drain.1", "bash-completion/completions/twill"] {
        assert!(files.contains(place), "{place} is not in {files}");
    }
    assert!(said.contains("write /etc/twill/twill.yaml"), "{said}");
    assert!(said.contains("/opt/cni/bin/twill-cni installed"), "{said}");
    host.write(CONFIG, &config)?;
    booted.run(&["systemctl", "enable", "--now", UNIT])?;
    assert_ne!(node.cli(&["status"])?.status, 3, "answers as soon as `systemctl` returns");
    for set in ["CapBnd", "CapEff"] {
        let held = u64::from_str_radix(&booted.status_line(UNIT, set)?, 16)?;
        assert_eq!(held, CAPABILITIES, "{set}");
    }
    assert_eq!(booted.status_line(UNIT, "NoNewPrivs")?, "1");

    cluster.nodes[1].start()?;
    cluster.wait_mesh()?;
    cluster.attach_pods()?;
    upgrade(&cluster, &booted, &packages[1])?;
    misuse(&cluster.nodes[0], &booted, &config)?;
    cluster.pods.clear();
    purge(&cluster.nodes[0], &booted)?;
    cluster.lab.passed()
}

fn upgrade(cluster: &Cluster, booted: &Booted, package: &str) -> Result<()> {
    let healthy = cluster.nodes[0].cli(&["status"])?;
    assert_eq!(healthy.status, 0, "confined, it lacks nothing: {healthy:?}");
    let before = booted.property(UNIT, "MainPID")?;
    let mut traffic = Traffic::start(&cluster.endpoints(), 200)?;
    let said = install(booted, package)?;
    assert!(!said.contains("write /etc/twill/twill.yaml"), "{said}");
    assert_ne!(booted.property(UNIT, "MainPID")?, before, "the new program runs");
    cluster.wait_mesh()?;
    let so_far = traffic.report()?.flows.iter().map(|flow| flow.received).max().unwrap_or_default();
    wait("traffic after the upgrade", WAIT, || {
        Ok(traffic.report()?.flows.iter().all(|flow| flow.received > so_far + 200))
    })?;
    let report = traffic.stop()?;
    println!("upgrade: {report}");
    assert_eq!(report.lost(), 0, "{report}");
    Ok(())
}

fn misuse(node: &Node, booted: &Booted, config: &str) -> Result<()> {
    let host = node.host();
    let broken = config.replace("mesh:", "mush:");
    host.write(CONFIG, &broken)?;
    let reload = booted.output(&["systemctl", "reload", UNIT])?;
    assert!(!reload.status.success(), "{reload:?}");
    assert_eq!(booted.property(UNIT, "ActiveState")?, "active");
    assert_eq!(node.json(&["status"])?["ready"], true);
    let restart = booted.output(&["systemctl", "restart", UNIT])?;
    assert!(!restart.status.success(), "{restart:?}");
    booted.wait_property(UNIT, "ActiveState", "failed")?;
    assert_eq!(booted.property(UNIT, "ExecMainStatus")?, "2");
    let journal = host.run(&["journalctl", "--no-pager", "--unit=twill", "--lines=20"])?;
    assert!(journal.contains("mush"), "{journal}");
    host.write(CONFIG, config)?;
    booted.run(&["systemctl", "start", UNIT])?;
    assert_eq!(booted.property(UNIT, "ActiveState")?, "active");
    Ok(())
}

fn purge(node: &Node, booted: &Booted) -> Result<()> {
    let host = node.host();
    booted.run(&["dpkg", "--remove", "twill"])?;
    booted.wait_property(UNIT, "ActiveState", "inactive")?;
    let routes = || host.run(&["ip", "route", "show", "proto", "116"]);
    assert!(!routes()?.is_empty(), "until the purge pods keep their routes");
    booted.run(&["dpkg", "--purge", "twill"])?;
    assert_eq!(routes()?, "");
    assert_eq!(host.run(&["ip", "-6", "route", "show", "proto", "116"])?, "");
    for left in [CONF_FILE, "/opt/cni/bin/twill-cni", "/usr/bin/twill", "/sys/class/net/twill0"] {
        let found = host.output(&["test", "-e", left], "")?;
        assert!(!found.status.success(), "{left}");
    }
    let tables = host.run(&["nft", "list", "tables"]).context("nft")?;
    assert!(!tables.contains("twill"), "{tables}");
    Ok(())
}

/// What systemd itself says of the unit: nothing that it does not know, and little that is exposed.
#[test]
fn the_unit_is_understood_and_confined() -> Result<()> {
    skip_unless!(systemd);
    let unit = crate::cargo::root().join("deploy/systemd/twill.service");
    let security = std::process::Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=25"])
        .arg(&unit)
        .output()?;
    let said = String::from_utf8_lossy(&security.stdout);
    let errors = String::from_utf8_lossy(&security.stderr);
    assert!(security.status.success(), "{said}{errors}");
    assert_eq!(errors.trim(), "", "a line that systemd does not understand");
    println!("{}", said.lines().last().unwrap_or_default());
    Ok(())
}
