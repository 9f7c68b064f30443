//! From objects to snapshots.

mod live;

use serde_json::json;

use super::testing::{metadata, node};
use super::world::{Compiled, World};
use super::*;
use crate::config::Environment;
use crate::source::MeshMode;

fn local() -> Local {
    let environment = Environment {
        variable: &|_| None,
        host_name: Some("a".to_owned()),
        directory: PathBuf::new(),
    };
    Local::parse("", std::path::Path::new("node.yaml"), &environment).unwrap()
}

fn three() -> World {
    let mut world = World::default();
    world.node(&node("a", &["10.0.0.1", "fd00::1"], &["10.244.1.0/24", "fd00:244:1::/64"]));
    world.node(&node("b", &["10.0.0.2", "fd00::2"], &["10.244.2.0/24"]));
    world.node(&node("c", &["10.0.0.3"], &["10.244.3.0/24"]));
    world
}

fn configure(world: &mut World, spec: serde_json::Value) {
    world.configuration(&object::Configuration { metadata: metadata("default"), spec });
}

fn peer(world: &mut World, name: &str, spec: serde_json::Value) {
    world.peer(&object::Peer { metadata: metadata(name), spec });
}

fn annotate(world: &mut World, name: &str, pairs: &[(&str, &str)]) {
    let number = match name {
        "a" => 1,
        "b" => 2,
        _ => 3,
    };
    let mut object =
        node(name, &[&format!("10.0.0.{number}")], &[&format!("10.244.{number}.0/24")]);
    let annotations = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    object.metadata.annotations = Some(annotations.collect());
    object.metadata.labels = Some([("rack".to_owned(), name.to_owned())].into());
    world.node(&object);
}

fn notes(compiled: &Compiled) -> Vec<String> {
    compiled.doubts.iter().map(ToString::to_string).collect()
}

#[test]
fn nodes_alone_make_a_mesh() {
    let compiled = three().compile(&local());
    assert_eq!(notes(&compiled), [""; 0]);
    let snapshot = compiled.snapshot.unwrap();
    assert_eq!(snapshot.node.name, "a");
    assert_eq!(snapshot.nodes.keys().collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!(snapshot.router_id.to_string(), "10.0.0.1");
    assert_eq!(snapshot.mesh.mode, MeshMode::Full);
    assert_eq!(snapshot.nodes["b"].pod_cidrs[0].to_string(), "10.244.2.0/24");
}

/// The same Nodes written as a file give the same snapshot, whole.
#[test]
fn the_file_says_the_same() {
    let file = "
node: a
addresses: [10.0.0.1, fd00::1]
podCIDRs: [10.244.1.0/24, fd00:244:1::/64]
mesh:
  nodes:
    - {name: b, addresses: [10.0.0.2, fd00::2], podCIDRs: [10.244.2.0/24]}
    - {name: c, addresses: [10.0.0.3], podCIDRs: [10.244.3.0/24]}
";
    let snapshot = three().compile(&local()).snapshot.unwrap();
    assert_eq!(snapshot, crate::desired::fixture::snapshot(file));
}

#[test]
fn a_node_that_is_not_there_yet_is_waited_for() {
    let mut world = World::default();
    let waiting = |world: &mut World| world.compile(&local()).snapshot.unwrap_err();
    assert!(waiting(&mut world).contains("has no Node a"));
    world.node(&node("a", &[], &[]));
    assert!(waiting(&mut world).contains("no address"));
    world.node(&node("a", &["10.0.0.1"], &[]));
    assert!(world.compile(&local()).snapshot.is_ok());
}

#[test]
fn an_invalid_change_leaves_the_old_state_standing() {
    let mut world = three();
    world.node(&node("b", &["10.0.0.22"], &["10.244.2.0/24", "nonsense"]));
    let snapshot = world.compile(&local()).snapshot.unwrap();
    let b = &snapshot.nodes["b"];
    assert_eq!(b.addresses[0].to_string(), "10.0.0.22", "what is valid is taken");
    assert_eq!(b.pod_cidrs[0].to_string(), "10.244.2.0/24");

    configure(&mut world, json!({"asn": 64600, "mesh": {"holdTime": "9s"}}));
    assert_eq!(world.compile(&local()).snapshot.unwrap().node.asn.get(), 64600);
    configure(&mut world, json!({"asn": 64601, "mesh": {"holdTime": "1s"}}));
    let compiled = world.compile(&local());
    let stands = compiled.snapshot.as_ref().unwrap();
    assert_eq!((stands.node.asn.get(), stands.mesh.hold_time.as_secs()), (64600, 9));
    assert!(notes(&compiled)[0].contains("mesh.holdTime"), "{:?}", notes(&compiled));

    peer(&mut world, "tor", json!({"address": "10.0.0.254", "asn": 65000}));
    peer(&mut world, "tor", json!({"address": "10.0.0.2500", "asn": 65000}));
    // Compiled only now: the first was never in force, and so does not stand.
    assert!(world.compile(&local()).snapshot.unwrap().peers.is_empty());
    peer(&mut world, "tor", json!({"address": "10.0.0.254", "asn": 65000}));
    assert_eq!(world.compile(&local()).snapshot.unwrap().peers.len(), 1);
    peer(&mut world, "tor", json!({"address": "10.0.0.3", "asn": 65000}));
    let compiled = world.compile(&local());
    let standing = &compiled.snapshot.as_ref().unwrap().peers["tor"];
    assert_eq!(standing.address.to_string(), "10.0.0.254");
    let told = notes(&compiled).join("\n");
    assert!(told.contains("an address of Node c; what it was before stands"), "{told}");
}

#[test]
fn peers_are_chosen_by_label_and_the_resource_wins() {
    let mut world = three();
    annotate(
        &mut world,
        "a",
        &[
            ("kube-router.io/peer.ips", "10.0.0.254,10.0.0.253"),
            ("kube-router.io/peer.asns", "65000,65000"),
        ],
    );
    let select = |rack: &str| json!({"address": "10.0.0.254", "asn": 65001, "nodeSelector": {"matchLabels": {"rack": rack}}});
    peer(&mut world, "tor", select("b"));
    let names = |compiled: &Compiled| -> Vec<String> {
        compiled.snapshot.as_ref().unwrap().peers.keys().cloned().collect()
    };
    let elsewhere = world.compile(&local());
    assert_eq!(names(&elsewhere), ["router-10.0.0.253", "router-10.0.0.254"]);
    peer(&mut world, "tor", select("a"));
    let here = world.compile(&local());
    assert_eq!(names(&here), ["router-10.0.0.253", "tor"]);
    let told = notes(&here).join("\n");
    assert!(told.contains("the peer 10.0.0.254 of its annotation is passed over"), "{told}");
}

#[test]
fn reflectors_by_annotation_and_by_resource() {
    let mut world = three();
    annotate(&mut world, "b", &[("kube-router.io/rr.server", "42")]);
    annotate(&mut world, "a", &[("kube-router.io/rr.client", "42")]);
    let snapshot = world.compile(&local()).snapshot.unwrap();
    assert_eq!(snapshot.mesh.mode, MeshMode::Reflector);
    assert_eq!(snapshot.nodes["b"].reflector.unwrap().0.to_string(), "0.0.0.42");

    configure(&mut world, json!({"mesh": {"mode": "full"}}));
    assert_eq!(world.compile(&local()).snapshot.unwrap().mesh.mode, MeshMode::Full);

    annotate(&mut world, "c", &[]);
    configure(
        &mut world,
        json!({"mesh": {"mode": "reflector", "reflectors": [
        {"nodeSelector": {"matchLabels": {"rack": "c"}}, "clusterId": "1.1.1.1"}]}}),
    );
    let compiled = world.compile(&local());
    let snapshot = compiled.snapshot.as_ref().unwrap();
    assert_eq!(snapshot.mesh.mode, MeshMode::Reflector);
    assert_eq!(snapshot.nodes["c"].reflector.unwrap().0.to_string(), "1.1.1.1");
    assert_eq!(snapshot.nodes["b"].reflector, None);
    assert!(notes(&compiled)[0].contains("rr.server is passed over"), "{:?}", notes(&compiled));
}

#[test]
fn a_mesh_of_reflectors_without_one_is_a_full_mesh() {
    let mut world = three();
    configure(&mut world, json!({"mesh": {"mode": "reflector"}}));
    let compiled = world.compile(&local());
    assert_eq!(compiled.snapshot.as_ref().unwrap().mesh.mode, MeshMode::Full);
    assert!(notes(&compiled)[0].contains("no Node of AS 64512 is one"));
}

/// Each AS has a mesh of its own.
#[test]
fn several_ases() {
    let mut world = three();
    annotate(&mut world, "b", &[("kube-router.io/node.asn", "64513")]);
    let snapshot = world.compile(&local()).snapshot.unwrap();
    assert_eq!(snapshot.nodes["b"].asn.get(), 64513);
    let peers = crate::desired::speaker::peers(&snapshot, &BTreeSet::new());
    let names: Vec<&str> = peers.configs.iter().map(|peer| peer.name.as_str()).collect();
    assert_eq!(names, ["c"]);
}

#[test]
fn passwords_come_from_the_secrets_that_are_named() {
    let mut world = three();
    configure(&mut world, json!({"mesh": {"passwordSecretRef": {"name": "mesh", "key": "md5"}}}));
    peer(
        &mut world,
        "tor",
        json!({"address": "10.0.0.254", "asn": 65000,
        "passwordSecretRef": {"name": "tor"}}),
    );
    let compiled = world.compile(&local());
    assert!(compiled.snapshot.is_err(), "the mesh is not without its password");
    assert!(compiled.secrets.contains("mesh"));

    let data = |key: &str, value: &str| {
        Some(BTreeMap::from([(key.to_owned(), twill_bgp::Secret::new(value))]))
    };
    world.secret("mesh", data("md5", "one"));
    let compiled = world.compile(&local());
    assert_eq!(compiled.untold, ["tor"]);
    world.secret("tor", None);
    let compiled = world.compile(&local());
    let snapshot = compiled.snapshot.as_ref().unwrap();
    assert_eq!(snapshot.mesh.password, Some(twill_bgp::Secret::new("one")));
    assert!(snapshot.peers.is_empty(), "no session without the password that it should have");
    assert!(notes(&compiled).join("\n").contains("there is no Secret tor"));

    world.secret("tor", data("password", "two"));
    let snapshot = world.compile(&local()).snapshot.unwrap();
    assert_eq!(snapshot.peers["tor"].password, Some(twill_bgp::Secret::new("two")));
    // What is taken away, or becomes unusable, leaves the sessions as they are.
    world.secret("tor", data("other", "three"));
    world.secret("mesh", None);
    let compiled = world.compile(&local());
    let snapshot = compiled.snapshot.as_ref().unwrap();
    assert_eq!(snapshot.peers["tor"].password, Some(twill_bgp::Secret::new("two")));
    assert_eq!(snapshot.mesh.password, Some(twill_bgp::Secret::new("one")));
    let missing = compiled.doubts.iter().filter(|doubt| doubt.reason == doubt::Reason::Missing);
    assert_eq!(missing.count(), 2);
    world.secret("mesh", data("md5", "four"));
    let snapshot = world.compile(&local()).snapshot.unwrap();
    assert_eq!(snapshot.mesh.password, Some(twill_bgp::Secret::new("four")));
}

/// A password that is asked for and is not there changes nothing of a mesh that runs.
#[test]
fn a_mesh_that_runs_waits_for_its_first_password_as_it_is() {
    let mut world = three();
    assert_eq!(world.compile(&local()).snapshot.unwrap().mesh.password, None);
    configure(&mut world, json!({"mesh": {"passwordSecretRef": {"name": "mesh"}}}));
    world.secret_refused("mesh");
    let compiled = world.compile(&local());
    assert_eq!(compiled.snapshot.as_ref().unwrap().mesh.password, None);
    assert!(notes(&compiled).join("\n").contains("there is no Secret mesh"));
}
