//! The topologies of `topologies/`, as they are for containerlab, in namespaces: everything comes
//! up as the file says, and every pod, node and router reaches every pod.

use std::path::Path;

use anyhow::{Context, Result};
use twill_tests::clab::{Clab, Topology};
use twill_tests::lab::{WAIT, wait, wait_for};
use twill_tests::skip::left_out;
use twill_tests::skip_unless;

/// Who pings, where, and from which address where it is not its own choice.
struct Station {
    node: String,
    pod: Option<String>,
    addresses: Vec<String>,
}

/// Brings a topology up; `None` where this machine has not all that it needs.
fn up(file: &str) -> Result<Option<Clab>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("topologies").join(file);
    let topology = Topology::read(&path)?;
    if let Some(why) = Clab::unavailable(&topology) {
        left_out("lab", &why);
        return Ok(None);
    }
    Clab::up(topology).map(Some)
}

/// The pods that the file names, once they are attached.
fn pods(clab: &Clab) -> Result<Vec<Station>> {
    let mut stations = Vec::new();
    for (name, machine) in clab.topology().machines() {
        let Some(names) = machine.env.get("PODS") else { continue };
        for pod in names.split_whitespace() {
            let addresses = wait_for(format_args!("{pod} on {name}"), WAIT, || {
                let list = clab.run(name, &["twill-pod", "list"])?;
                let line = list.lines().find_map(|line| line.strip_prefix(&format!("{pod} ")));
                Ok(line.map(|words| words.split_whitespace().map(str::to_owned).collect()))
            })?;
            stations.push(Station { node: name.to_owned(), pod: Some(pod.to_owned()), addresses });
        }
    }
    Ok(stations)
}

fn ping(clab: &Clab, from: &Station, to: &str) -> Result<()> {
    let mut words = match &from.pod {
        Some(pod) => vec!["twill-pod", "exec", pod],
        None => Vec::new(),
    };
    words.extend(["ping", "-c", "1", "-W", "1", "-n", "-q"]);
    if let Some(own) = from.addresses.iter().find(|own| own.contains(':') == to.contains(':')) {
        words.extend(["-I", own]);
    }
    words.push(to);
    clab.run(&from.node, &words).map(drop)
}

/// Everyone pings every pod, and the pods every address of the others. The first answer is waited
/// for, since routes arrive one by one.
fn all_ping(clab: &Clab, pods: &[Station], others: &[Station]) -> Result<()> {
    let mut count = 0;
    for from in pods.iter().chain(others) {
        let to = if from.pod.is_some() { [pods, others] } else { [pods, &[]] };
        for address in to.into_iter().flatten().flat_map(|station| &station.addresses) {
            // A router pings from an address that the others know, or not at all.
            if !from.addresses.iter().any(|own| own.contains(':') == address.contains(':')) {
                continue;
            }
            let who = from.pod.as_ref().unwrap_or(&from.node);
            wait(format_args!("{who} to reach {address}"), WAIT, || {
                ping(clab, from, address).map(|()| true)
            })?;
            count += 1;
        }
    }
    println!("{count} ways, all answered");
    Ok(())
}

fn router(node: &str, addresses: &[&str]) -> Station {
    let addresses = addresses.iter().map(|address| (*address).to_owned()).collect();
    Station { node: node.to_owned(), pod: None, addresses }
}

/// The addresses of pods of both families.
fn both_families(pods: &[Station], count: usize) {
    assert_eq!(pods.len(), count);
    for pod in pods {
        assert_eq!(pod.addresses.len(), 2, "{:?} has {:?}", pod.pod, pod.addresses);
    }
}

/// In: three nodes, FRR as the router to the outside. Out: four pods, the nodes and the network
/// behind the router reach each other.
#[test]
fn three_nodes_and_one_frr() -> Result<()> {
    skip_unless!(lab, frr);
    let Some(clab) = up("three-nodes.clab.yml")? else { return Ok(()) };
    let pods = pods(&clab)?;
    both_families(&pods, 4);
    let others = [
        router("tor", &["192.0.2.1", "2001:db8::1"]),
        router("node-a", &["10.0.0.1", "fd00::1"]),
        router("node-c", &["10.0.0.3", "fd00::3"]),
    ];
    all_ping(&clab, &pods, &others)?;
    // The file serves whoever looks around as well.
    assert!(clab.run("tor", &["vtysh", "-c", "show bgp summary"])?.contains("10.0.0.3"));
    let status = clab.run("node-b", &["twill", "status"])?;
    assert!(status.contains("3 of 3 up"), "{status}");
    clab.lab().passed()
}

/// In: two nodes with a cable to each of two ToRs; then one ToR's BGP ends. Out: pods reach each
/// other by either, and by the one that is left.
#[test]
fn two_tors_and_dual_homed_nodes() -> Result<()> {
    skip_unless!(lab, frr);
    let Some(clab) = up("two-tors.clab.yml")? else { return Ok(()) };
    let pods = pods(&clab)?;
    both_families(&pods, 2);
    let tors = [router("tor-1", &["192.0.2.1"]), router("tor-2", &["192.0.2.2"])];
    all_ping(&clab, &pods, &tors)?;

    let way = |needle: &str| -> Result<bool> {
        let v4 = clab.run("node-a", &["ip", "route", "show", "10.244.2.0/24"])?;
        let v6 = clab.run("node-a", &["ip", "-6", "route", "show", "fd00:244:2::/64"])?;
        Ok(v4.contains(needle) && !v6.is_empty())
    };
    let tor = if way("10.1.1.254")? {
        ("tor-1", "eth1", "10.2.1.254")
    } else {
        ("tor-2", "eth1", "10.1.1.254")
    };
    clab.run(tor.0, &["ip", "link", "set", tor.1, "down"])?;
    wait("the way by the other ToR", WAIT, || way(tor.2))?;
    all_ping(&clab, &pods, &[])?;
    clab.lab().passed()
}

/// In: two clusters of reflectors. Out: pods of all nodes reach each other, though clients speak
/// with the reflectors of their cluster alone.
#[test]
fn two_clusters_of_reflectors() -> Result<()> {
    skip_unless!(lab);
    let Some(clab) = up("reflectors.clab.yml")? else { return Ok(()) };
    let pods = pods(&clab)?;
    both_families(&pods, 5);
    all_ping(&clab, &pods, &[])?;
    let peers = clab.run("node-e", &["twill", "peers", "-o", "json"])?;
    let peers: serde_json::Value = serde_json::from_str(&peers)?;
    let names: Vec<&str> = peers
        .as_array()
        .context("no list")?
        .iter()
        .filter_map(|peer| peer["name"].as_str())
        .collect();
    assert_eq!(names, ["node-d"]);
    clab.lab().passed()
}

/// In: an AS for every rack, FRR above one and BIRD above the other. Out: pods of both racks reach
/// each other and both routers.
#[test]
fn an_as_per_rack_with_frr_and_bird() -> Result<()> {
    skip_unless!(lab, frr, bird);
    let Some(clab) = up("racks.clab.yml")? else { return Ok(()) };
    let pods = pods(&clab)?;
    both_families(&pods, 4);
    let tors = [
        router("tor-1", &["192.0.2.1", "2001:db8::1"]),
        router("tor-2", &["192.0.2.2", "2001:db8::2"]),
    ];
    all_ping(&clab, &pods, &tors)?;
    let routes = clab.run("node-a", &["twill", "routes", "10.244.4.0/24"])?;
    assert!(routes.contains("65001 65002 64602"), "{routes}");
    clab.lab().passed()
}
