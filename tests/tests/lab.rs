//! The lab itself: what it builds works, what it counts is right, and nothing of it stays behind.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;
use twill_tests::lab::{Lab, WAIT, wait};
use twill_tests::router::{Bird, Frr};
use twill_tests::skip_unless;
use twill_tests::traffic::{Endpoint, Traffic};

#[test]
fn two_hosts_on_a_switch_reach_each_other() -> Result<()> {
    skip_unless!(lab);
    let lab = Lab::new("two-hosts")?;
    let lan = lab.switch("lan")?;
    for (name, v4, v6) in [("a", "10.0.0.1/24", "fd00::1/64"), ("b", "10.0.0.2/24", "fd00::2/64")] {
        let host = lab.host(name)?;
        lab.plug(&host, "eth0", &lan, &[v4, v6])?;
        host.add_view(&["ip", "neigh"]);
    }
    let c = lab.host("c")?;
    let port = lab.plug(&c, "eth0", &lan, &["10.0.0.3/24", "fd00::3/64"])?;
    for address in ["10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"] {
        c.run(&["ping", "-c", "1", "-W", "2", address])?;
    }
    port.down()?;
    let carrier = || Ok(c.run(&["cat", "/sys/class/net/eth0/carrier"])?.trim() == "0");
    wait("the carrier to be lost", WAIT, carrier)?;
    assert!(c.run(&["ping", "-c", "1", "-W", "1", "10.0.0.1"]).is_err());
    lab.passed()
}

#[test]
fn a_host_writes_only_to_itself() -> Result<()> {
    skip_unless!(lab);
    let lab = Lab::new("private")?;
    let (a, b) = (lab.host("a")?, lab.host("b")?);
    a.write("/etc/twill-lab-private/file", "text")?;
    assert_eq!(a.read("/etc/twill-lab-private/file")?, "text");
    assert!(b.read("/etc/twill-lab-private/file").is_err());
    assert!(!std::path::Path::new("/etc/twill-lab-private").exists());
    lab.passed()
}

#[test]
fn traffic_counts_what_is_lost() -> Result<()> {
    skip_unless!(lab);
    let lab = Lab::new("traffic")?;
    let lan = lab.switch("lan")?;
    let (a, b) = (lab.host("a")?, lab.host("b")?);
    lab.plug(&a, "eth0", &lan, &["10.0.0.1/24", "fd00::1/64"])?;
    lab.plug(&b, "eth0", &lan, &["10.0.0.2/24", "fd00::2/64"])?;
    let addresses =
        [["10.0.0.1".parse()?, "fd00::1".parse()?], ["10.0.0.2".parse()?, "fd00::2".parse()?]];
    let ends = [Endpoint::Host(&a, &addresses[0]), Endpoint::Host(&b, &addresses[1])];

    let mut traffic = Traffic::start(&ends, 200)?;
    wait("a hundred packets of each flow", WAIT, || {
        Ok(traffic.report()?.flows.iter().all(|flow| flow.received >= 100))
    })?;
    let report = traffic.stop()?;
    assert_eq!(report.flows.len(), 4, "both ways, both families");
    assert_eq!(report.lost(), 0, "{report}");

    // Every fourth packet that b receives over IPv4 is dropped.
    let rule = "table ip loss { chain in { type filter hook input priority 0; \
                udp dport 7000 numgen inc mod 4 0 drop; }; }";
    b.run_with_input(&["nft", "-f", "-"], rule)?;
    let mut traffic = Traffic::start(&ends, 200)?;
    wait("a hundred packets of each flow", WAIT, || {
        Ok(traffic.report()?.flows.iter().all(|flow| flow.received >= 100))
    })?;
    let report = traffic.stop()?;
    for flow in &report.flows {
        let expected = if flow.to == "b" && !flow.v6 { flow.sent / 4 } else { 0 };
        assert!(flow.lost().abs_diff(expected) <= 1, "{flow:?}, {expected} expected");
    }
    lab.passed()
}

/// Not a test of its own: the lab that the next one starts, and kills.
#[test]
fn a_lab_that_waits_to_be_killed() -> Result<()> {
    skip_unless!(lab);
    let Some(file) = std::env::var_os("TWILL_LAB_TO_BE_KILLED") else { return Ok(()) };
    let lab = Lab::new("killed")?;
    let host = lab.host("a")?;
    let sleeper = host.spawn("sleep", &["sleep", "infinity"])?;
    std::fs::write(&file, format!("{} {}", host.pid(), sleeper.pid()))?;
    wait("a killer", Duration::from_secs(60), || Ok(false)).map(drop)
}

#[test]
fn a_killed_lab_leaves_nothing_behind() -> Result<()> {
    skip_unless!(lab);
    let file = std::env::temp_dir().join(format!("twill-lab-killed-{}", std::process::id()));
    let mut test = Command::new(std::env::current_exe()?)
        .args(["--exact", "a_lab_that_waits_to_be_killed"])
        .env("TWILL_LAB_TO_BE_KILLED", &file)
        .stdout(Stdio::null())
        .spawn()?;
    wait("the other lab", WAIT, || Ok(file.exists() && !std::fs::read(&file)?.is_empty()))?;
    let text = std::fs::read_to_string(&file)?;
    test.kill()?;
    test.wait()?;
    wait("its processes to end", WAIT, || {
        Ok(text.split(' ').all(|pid| !std::path::Path::new("/proc").join(pid).exists()))
    })?;
    std::fs::remove_file(&file)?;
    let logs = std::env::temp_dir().join(format!("twill-lab-{}-killed", test.id()));
    std::fs::remove_dir_all(logs)?;
    Ok(())
}

#[test]
fn a_state_that_does_not_come_is_named() -> Result<()> {
    let error = wait("the moon", Duration::from_millis(30), || Ok(false)).unwrap_err();
    assert!(error.to_string().starts_with("the moon: not within"), "{error}");
    Ok(())
}

/// ```text
/// FRR AS 65001 ── 10.0.0.0/24 ── BIRD AS 65002
/// ```
/// FRR announces 192.0.2.0/24, BIRD 198.51.100.0/24; each learns the other's.
#[test]
fn the_outside_routers_speak_to_each_other() -> Result<()> {
    skip_unless!(lab, frr, bird);
    let lab = Lab::new("frr-bird")?;
    let lan = lab.switch("lan")?;
    let (f, b) = (lab.host("frr")?, lab.host("bird")?);
    lab.plug(&f, "eth0", &lan, &["10.0.0.1/24"])?;
    lab.plug(&b, "eth0", &lan, &["10.0.0.2/24"])?;
    let frr = Frr::start(
        f,
        "router bgp 65001\n no bgp ebgp-requires-policy\n no bgp network import-check\n \
         neighbor 10.0.0.2 remote-as 65002\n neighbor 10.0.0.2 timers connect 1\n \
         address-family ipv4 unicast\n  network 192.0.2.0/24\n exit-address-family\n",
    )?;
    let bird = Bird::start(
        b,
        "router id 10.0.0.2;\nprotocol device {}\n\
         protocol static { ipv4; route 198.51.100.0/24 blackhole; }\n\
         protocol bgp frr { local as 65002; neighbor 10.0.0.1 as 65001; connect delay time 1;\n\
         ipv4 { import all; export all; }; }\n",
    )?;
    frr.wait_peer("10.0.0.2", "Established")?;
    wait("FRR to have BIRD's prefix", WAIT, || {
        Ok(frr.prefixes("ipv4")?.contains(&"198.51.100.0/24".to_owned()))
    })?;
    wait("BIRD to have FRR's prefix", WAIT, || {
        Ok(bird.birdc("show route")?.contains("192.0.2.0/24"))
    })?;
    lab.passed()
}
