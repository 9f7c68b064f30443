//! The pages that a newcomer starts with, carried out as they stand: the files they show, the
//! commands they show, and the answers they show.

mod runbook;

use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use runbook::Runbook;
use twill_book::markdown::blocks;
use twill_tests::lab::{Host, Lab, Switch, WAIT, wait};
use twill_tests::node::binary;
use twill_tests::router::{Bird, Frr};
use twill_tests::skip_unless;

/// A page of `docs/`.
fn page(name: &str) -> Result<String> {
    let path = twill_book::root().join("docs").join(name);
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// The text of the block of a page whose info string is `info`.
fn marked(page: &str, info: &str) -> Result<String> {
    let found = blocks(page).into_iter().find(|block| block.info == info);
    Ok(found.with_context(|| format!("no block is marked `{info}`"))?.text)
}

/// Three hosts on a switch, as the page on plain hosts draws them.
fn hosts(lab: &Lab, lan: &Switch) -> Result<Vec<Rc<Host>>> {
    let mut hosts = Vec::new();
    for (number, name) in [(1, "node-a"), (2, "node-b"), (3, "node-c")] {
        let host = lab.host(name)?;
        let addresses = [format!("10.0.0.{number}/24"), format!("fd00::{number}/64")];
        lab.plug(&host, "eth0", lan, &[&addresses[0], &addresses[1]])?;
        hosts.push(host);
    }
    Ok(hosts)
}

/// The router's host, with the networks that the pages name behind it.
fn tor(lab: &Lab, lan: &Switch, name: &str) -> Result<Rc<Host>> {
    let host = lab.host(name)?;
    lab.plug(&host, "eth0", lan, &["10.0.0.254/24", "fd00::254/64"])?;
    for address in ["192.0.2.1/24", "2001:db8::1/64"] {
        host.batch(&format!("addr add {address} dev lo"))?;
    }
    Ok(host)
}

/// Each host's pod reaches the router's networks, and the router each pod, in both families.
fn router_and_pods_meet(hosts: &[Rc<Host>], router: &Host) -> Result<()> {
    for (host, number) in hosts.iter().zip(1..) {
        let pods = [format!("10.244.{number}.1"), format!("fd00:244:{number}::1")];
        for (outside, pod) in ["192.0.2.1", "2001:db8::1"].iter().zip(&pods) {
            let ping = ["ping", "-c", "1", "-W", "1", "-n", "-q"];
            let there = [&["ip", "netns", "exec", "pod-a"], &ping[..], &[*outside]].concat();
            let back = [&ping[..], &["-I", *outside, pod.as_str()]].concat();
            wait(format_args!("{}: {pod} and {outside} to meet", host.name()), WAIT, || {
                host.run(&there)?;
                router.run(&back)?;
                Ok(true)
            })?;
        }
    }
    Ok(())
}

/// Plain hosts, from the first block to the last, beside the router of the page on peering: as FRR,
/// then as BIRD, each with the configuration shown there.
#[test]
fn plain_hosts_and_their_router_are_as_the_pages_show() -> Result<()> {
    skip_unless!(lab, frr, bird, jq);
    let peering = page("guide/peering.md")?;
    let lab = Lab::new("pages")?;
    let lan = lab.switch("lan")?;
    let hosts = hosts(&lab, &lan)?;
    let programs = binary("twill")?.parent().context("no folder")?.to_string_lossy().into_owned();
    let mut frr = Frr::start(tor(&lab, &lan, "frr")?, &marked(&peering, "text frr")?)?;
    let book = Runbook::new(hosts.clone(), programs);
    let carried_out = book.follow(&page("guide/plain-hosts.md")?)?;
    ensure!(carried_out >= 9, "only {carried_out} blocks were carried out");

    router_and_pods_meet(&hosts, frr.host())?;
    // Its connections end with it; a power failure would be noticed by the hold timer only.
    frr.kill_bgpd()?;
    drop(frr);
    lab.power_off("frr")?;
    let successor = tor(&lab, &lan, "bird")?;
    // As network managers do, it tells its neighbours who has the address now.
    for number in 1..=3 {
        let ping = ["ping", "-c", "1", "-W", "2", "-I", "fd00::254"];
        successor.run(&[&ping[..], &[&format!("fd00::{number}")]].concat())?;
    }
    let bird = Bird::start(successor, &marked(&peering, "text bird")?)?;
    router_and_pods_meet(&hosts, bird.host())?;
    drop((bird, book));
    lab.passed()
}
