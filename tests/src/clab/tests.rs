use anyhow::{Context, Result};

use super::{Node, Topology, picture};

/// Writes a topology and what it binds; reads it.
fn read(text: &str) -> Result<Topology> {
    let folder = std::env::temp_dir().join(format!(
        "twill-clab-{}-{}",
        std::process::id(),
        std::thread::current().name().unwrap_or("test").replace(':', "-")
    ));
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("frr.conf"), "")?;
    let file = folder.join("lab.clab.yml");
    std::fs::write(&file, text)?;
    let read = Topology::read(&file);
    std::fs::remove_dir_all(&folder)?;
    Ok(read?)
}

/// Levels of a node, as containerlab adds them up.
const LEVELS: &str = r#"
name: levels
prefix: ""
mgmt: {network: some, ipv4-subnet: 172.30.0.0/24}
topology:
  defaults:
    kind: linux
    env: {A: 1, B: two}
    exec: [ip link set lo up]
  kinds:
    linux:
      image: debian:trixie-slim
      sysctls: {net.ipv4.ip_forward: 1}
      binds: ["frr.conf:/etc/frr/frr.conf"]
  nodes:
    lan: {kind: bridge}
    a:
      image: quay.io/frrouting/frr:10.2.1
      binds: ["./frr.conf:/etc/frr/frr.conf:ro"]
      env: {B: true}
      exec: ["vtysh -c 'show version'"]
      labels: {x: y}
      mgmt-ipv4: 172.30.0.9
    b:
  links:
    - endpoints: ["lan:port-a", "a:eth1"]
    - {endpoints: ["a:eth2", "b:eth1"], mtu: 1500}
"#;

#[test]
fn levels_add_up() -> Result<()> {
    let topology = read(LEVELS)?;
    let Some(Node::Machine(a)) = topology.nodes.get("a") else { anyhow::bail!("{topology:?}") };
    assert_eq!(a.role, super::Role::Frr);
    assert_eq!(
        a.exec,
        [vec!["ip", "link", "set", "lo", "up"], vec!["vtysh", "-c", "show version"]]
    );
    let env: Vec<String> = a.env.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(env, ["A=1", "B=true"]);
    assert_eq!(a.binds.len(), 1, "the node's own takes the place of its kind's");
    assert!(a.binds[0].read_only && a.binds[0].from.is_absolute());
    assert_eq!(a.sysctls.get("net/ipv4/ip_forward").map(String::as_str), Some("1"));
    let Some(Node::Machine(b)) = topology.nodes.get("b") else { anyhow::bail!("{topology:?}") };
    assert!(b.command.is_empty() && b.image == "debian:trixie-slim");
    assert_eq!((topology.links[0].mtu, topology.links[1].mtu), (9500, 1500));
    Ok(())
}

#[test]
fn a_picture_shows_both_ends_of_every_cable() -> Result<()> {
    let expected = "\
levels

lan  bridge
 └─ port-a ──── eth1 ─ a

a    quay.io/frrouting/frr:10.2.1
 ├─ eth1 ──── port-a ─ lan
 └─ eth2 ────── eth1 ─ b

b    debian:trixie-slim
 └─ eth1 ────── eth2 ─ a
";
    assert_eq!(picture(&read(LEVELS)?), expected);
    Ok(())
}

/// What is changed of a good file, and what is said of it.
#[test]
fn what_would_mean_something_else_is_refused_with_its_place() -> Result<()> {
    let good = r#"name: t
topology:
  nodes:
    a:
      kind: linux
      image: debian
    b: {kind: linux, image: frr}
  links:
    - endpoints: ["a:eth1", "b:eth1"]
"#;
    read(good)?;
    let cases = [
        ("kind: linux\n", "kind: nokia_srlinux\n", ":5:13: ", "`linux` or `bridge`"),
        ("image: debian\n", "image: nginx\n", ":6:14: ", "say it by `cmd`"),
        ("image: debian\n", "image: debian\n      startup-config: x\n", "7", "by containerlab"),
        ("image: debian\n", "image: debian\n      colour: x\n", "7", "unknown field `colour`"),
        ("image: debian\n", "image: debian\n      binds: [a]\n", ":7:15: ", "HERE:THERE"),
        ("image: debian\n", "image: debian\n      binds: ['n:/etc/n']\n", ":7:15: ", "not there"),
        ("image: debian\n", "image: debian\n      exec: ['a \"b']\n", ":7:14: ", "quotes"),
        ("image: debian\n", "image: debian\n      exec: ['a ${B}']\n", ":7:14: ", "write out"),
        ("image: debian\n", "image: debian\n      sysctls: {kernel.x: 1}\n", ":7:27: ", "`net.`"),
        ("\"b:eth1\"", "\"c:eth1\"", ":9:29: ", "there are a, b"),
        ("\"b:eth1\"", "\"b:eth0\"", ":9:29: ", "begin with `eth1`"),
        ("\"b:eth1\"", "\"a:eth1\"", ":9:29: ", "taken"),
        ("\"b:eth1\"", "\"b\"", ":9:29: ", "NODE:INTERFACE"),
        ("[\"a:eth1\", \"b:eth1\"]", "[\"a:eth1\"]", ":9:18: ", "two ends"),
        ("endpoints:", "type: veth\n      endpoints:", "9", "by containerlab"),
        ("name: t", "name: a/b", ":1:7: ", "letters"),
    ];
    for (from, to, place, remedy) in cases {
        let text = good.replacen(from, to, 1);
        let error = read(&text).err().with_context(|| format!("{to} was taken"))?.to_string();
        assert!(error.contains(place) && error.contains(remedy), "{to}: {error}");
    }
    Ok(())
}
