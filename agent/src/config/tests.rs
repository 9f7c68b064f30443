//! What a file says, and what is said of a wrong one: one row each.

mod page;
mod policy;
mod session;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use proptest::prelude::*;
use twill_bgp::proto::types::{Families, HoldTime};
use twill_bgp::{Secret, Ttl};

use super::*;
use crate::source::{MeshGtsm, MeshMode};

const SMALL: &str = "node: node-a\naddresses: [10.0.0.1, fd00::1]\n";

fn parse_in(directory: &Path, text: &str) -> Result<Config, ConfigError> {
    let environment = Environment {
        variable: &|name| match name {
            "TOR_PASSWORD" => Some("sesame".to_owned()),
            "LONG" => Some("x".repeat(81)),
            "EMPTY" => Some(String::new()),
            _ => None,
        },
        host_name: Some("host-a".to_owned()),
        directory: directory.to_owned(),
    };
    Config::parse(text, Path::new("twill.yaml"), &environment)
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    parse_in(Path::new("/nonexistent"), text)
}

fn refusal(text: &str) -> String {
    match parse(text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.to_string(),
    }
}

fn folder() -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("twill-config-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn write(path: &Path, bytes: &[u8], mode: u32) {
    let mut file = std::fs::File::create(path).unwrap();
    file.write_all(bytes).unwrap();
    file.set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn the_smallest_file_gets_the_documented_defaults() {
    let snapshot = parse("addresses: [10.0.0.1]\n").unwrap().snapshot;
    assert_eq!(snapshot.node.name, "host-a");
    assert_eq!(snapshot.node.asn.get(), 64512);
    assert_eq!(snapshot.router_id.to_string(), "10.0.0.1");
    assert_eq!(snapshot.listen_port, 179);
    assert_eq!(snapshot.mesh.mode, MeshMode::Full);
    assert_eq!(snapshot.mesh.hold_time, HoldTime::DEFAULT);
    assert_eq!(snapshot.mesh.gtsm, MeshGtsm::Auto);
    assert_eq!(snapshot.mesh.restart_time, Duration::from_secs(120));
    assert_eq!(snapshot.mesh.deferral_time, Duration::from_secs(120));
    assert_eq!(snapshot.dataplane.bridge, "twill0");
    assert_eq!(
        (snapshot.dataplane.table, snapshot.dataplane.metric, snapshot.dataplane.protocol),
        (254, 116, 116)
    );
    assert!(snapshot.dataplane.install && snapshot.dataplane.proxy_arp && snapshot.cni.write);
    assert_eq!(snapshot.http.unwrap().to_string(), "127.0.0.1:9179");
    assert_eq!(snapshot.cni.conf_file, Path::new("/etc/cni/net.d/10-twill.conflist"));
}

#[test]
fn everything_that_can_be_written_is_read() {
    let directory = folder();
    write(&directory.join("mesh-password"), b"open sesame\n", 0o600);
    let text = "
node: node-a
asn: 64513
routerId: 10.0.0.99
addresses: [10.0.0.1, fd00::1]
podCIDRs: [10.244.1.0/24, fd00:244:1::/64]
listen: {port: 1179}
mesh:
  mode: reflector
  password: {file: mesh-password}
  holdTime: 9s
  gtsm: none
  restartTime: 30s
  deferralTime: 40s
  transit: [203.0.113.0/24 le 32]
  nodes:
    - {name: node-a, addresses: [10.0.0.1, fd00::1]}
    - {name: node-b, addresses: [10.0.0.2, fd00::2], podCIDRs: [10.244.2.0/24], clientOf: 1.1.1.1}
    - {name: node-c, addresses: [10.0.0.3], podCIDRs: [10.244.3.0/24], reflector: 1.1.1.1}
peers:
  - name: tor-a
    address: 10.0.0.254
    asn: 65000
    port: 1790
    password: {env: TOR_PASSWORD}
    passive: true
    gtsm: 254
    mesh: true
    holdTime: 0s
    families: [ipv4]
    import: {default: reject, prefixes: [0.0.0.0/0, 192.0.2.0/24 le 32], maxPrefixes: 1000}
    export: {default: accept, prefixes: [podCIDRs, 203.0.113.0/24], communities: [64512:100], prepend: 2, med: 50}
announce: [203.0.113.7/32]
dataplane: {install: false, bridge: br9, proxyArp: none, overlay: never, masquerade: false, masqueradeExempt: [172.16.0.0/12], mtu: 1400, table: 100, metric: 20, routeProtocol: 200}
cni: {confFile: /tmp/10-twill.conflist, binDir: /tmp/bin, write: false}
http: '[::1]:9000'
";
    let config = parse_in(&directory, text).unwrap();
    assert_eq!(config.warnings, []);
    assert_eq!(config.secret_files, [directory.join("mesh-password")]);
    let snapshot = config.snapshot;
    assert_eq!(snapshot.router_id.to_string(), "10.0.0.99");
    assert_eq!(snapshot.mesh.mode, MeshMode::Reflector);
    assert_eq!(snapshot.mesh.password, Some(Secret(b"open sesame"[..].into())));
    assert_eq!(snapshot.mesh.gtsm, MeshGtsm::None);
    assert_eq!(snapshot.mesh.restart_time, Duration::from_secs(30));
    assert_eq!(snapshot.mesh.deferral_time, Duration::from_secs(40));
    assert_eq!(snapshot.nodes.keys().collect::<Vec<_>>(), ["node-b", "node-c"]);
    assert_eq!(snapshot.nodes["node-c"].reflector.unwrap().to_string(), "1.1.1.1");
    assert_eq!(snapshot.nodes["node-b"].client_of, snapshot.nodes["node-c"].reflector);
    let peer = &snapshot.peers["tor-a"];
    assert_eq!((peer.port, peer.passive, peer.mesh, peer.ttl), (1790, true, true, Ttl::Gtsm(254)));
    assert_eq!(peer.password, Some(Secret(b"sesame"[..].into())));
    assert_eq!(peer.hold_time, HoldTime::DISABLED);
    assert_eq!(peer.families.iter().count(), 1);
    assert_eq!(peer.import.prefixes.len(), 2);
    assert_eq!(peer.import.max_prefixes.unwrap().limit, 1000);
    assert!(peer.export.accept_by_default && peer.export.pod_cidrs);
    assert_eq!((peer.export.prepend, peer.export.med), (2, Some(50)));
    assert_eq!(snapshot.dataplane.mtu, Some(1400));
    assert_eq!(snapshot.http.unwrap().port(), 9000);
}

/// The node's own entry in the list may carry what the top level leaves out.
#[test]
fn one_list_of_nodes_serves_them_all() {
    let text = "
node: node-b
mesh:
  nodes:
    - {name: node-a, addresses: [10.0.0.1], podCIDRs: [10.244.1.0/24]}
    - {name: node-b, addresses: [10.0.0.2], podCIDRs: [10.244.2.0/24]}
";
    let snapshot = parse(text).unwrap().snapshot;
    assert_eq!(snapshot.node.addresses, ["10.0.0.2".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(snapshot.node.pod_cidrs.len(), 1);
    assert_eq!(snapshot.nodes.len(), 1);

    let told_otherwise = format!("addresses: [10.0.0.9]{text}");
    assert!(refusal(&told_otherwise).contains("told otherwise by `addresses` on line 1"));
}

#[test]
fn defaults_of_outside_peers() {
    let text = format!(
        "{SMALL}peers:\n  - {{name: tor, address: 10.0.0.254, asn: 65000}}\n  - {{name: rr, address: 10.0.0.253, asn: 64512}}\n"
    );
    let config = parse(&text).unwrap();
    let (tor, rr) = (&config.snapshot.peers["tor"], &config.snapshot.peers["rr"]);
    assert_eq!((tor.ttl, rr.ttl), (Ttl::Hops(1), Ttl::Hops(255)));
    assert_eq!(tor.families, Families::ALL);
    assert!(!tor.import.accept_by_default && !tor.export.accept_by_default);
    // RFC 8212 wants it told that nothing flows.
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 4);
    assert!(
        warnings[0].starts_with("4:5: peers[0]: nothing is announced to tor (RFC 8212)"),
        "{warnings:?}"
    );
}

/// Each row: what is appended to a good file, and the line, key and words of the answer.
#[test]
fn each_mistake_is_one_line_with_place_and_remedy() {
    let peer = "peers:\n  - {name: tor, address: 10.0.0.254, asn: 65000, ";
    let rows: Vec<(String, &str)> = vec![
        ("podCIDR: []".into(), "3:1: podCIDR: unknown key: did you mean `podCIDRs`?"),
        ("mesh: {holdtime: 9s}".into(), "3:8: mesh.holdtime: unknown key: did you mean `holdTime`?"),
        ("nodes: []".into(), "3:1: nodes: unknown key: did you mean `node`?"),
        ("kubernetes: {}".into(), "3:1: kubernetes: unknown key: known here are node, asn,"),
        ("asn: 0".into(), "3:6: asn: AS 0 is reserved"),
        ("asn: 23456".into(), "AS_TRANS"),
        ("asn: 4294967296".into(), "asn: expected a number from 0 to 4294967295, found `4294967296`"),
        ("asn: [1]".into(), "asn: expected a number from 0 to 4294967295, found a list"),
        ("routerId: 0.0.0.0".into(), "routerId: `0.0.0.0` is not a router id"),
        ("podCIDRs: [10.244.1.1/24]".into(), "3:12: podCIDRs[0]: `10.244.1.1/24` is not a pod CIDR: host bits are set: did you mean 10.244.1.0/24?"),
        ("podCIDRs: [10.244.1.0/33]".into(), "prefix length 33 is over 32"),
        ("podCIDRs: 10.244.1.0/24".into(), "podCIDRs: expected a list of pod CIDRs; `[]` for none, found `10.244.1.0/24`"),
        ("podCIDRs: [0.0.0.0/0]".into(), "wider than any pod network"),
        ("podCIDRs: [127.1.0.0/16]".into(), "never routed"),
        ("podCIDRs: [10.244.0.0/16, 10.244.1.0/24]".into(), "3:27: podCIDRs[1]: 10.244.1.0/24 overlaps the pod CIDR 10.244.0.0/16 of node-a (line 3)"),
        ("podCIDRs: [10.0.0.0/24]".into(), "2:13: addresses[0]: 10.0.0.1 lies within the pod CIDR 10.0.0.0/24 of node-a (line 3)"),
        ("podCIDRs: [10.244.1.0/24]\nmesh:\n  nodes:\n    - {name: node-b, addresses: [10.0.0.2], podCIDRs: [10.244.0.0/16]}".into(), "6:56: mesh.nodes[0].podCIDRs[0]: 10.244.0.0/16 overlaps the pod CIDR 10.244.1.0/24 of node-a (line 3)"),
        ("mesh:\n  nodes:\n    - {name: node-b, addresses: [10.0.0.2], podCIDRs: [fd00:1::/64]}".into(), "node-b has no ipv6 address"),
        ("mesh:\n  nodes:\n    - {name: node-b}".into(), "5:7: mesh.nodes[0]: node-b has no address"),
        ("mesh:\n  nodes:\n    - {addresses: [10.0.0.2]}".into(), "mesh.nodes[0]: `name` is missing"),
        ("mesh:\n  nodes:\n    - {name: node-b, addresses: [10.0.0.1]}".into(), "10.0.0.1 is already an address of node-a (line 2)"),
        ("mesh:\n  nodes:\n    - {name: b, addresses: [10.0.0.2]}\n    - {name: b, addresses: [10.0.0.3]}".into(), "6:7: mesh.nodes[1]: the name b is taken by mesh.nodes[0] on line 5"),
        ("mesh:\n  nodes:\n    - {name: b, addresses: [fe80::1]}".into(), "link-local addresses are not built yet"),
        ("mesh: {holdTime: 2s}".into(), "3:18: mesh.holdTime: `2s` is not a hold time: RFC 4271 forbids"),
        ("mesh: {holdTime: 90}".into(), "did you mean 90s?"),
        ("mesh: {gtsm: 0}".into(), "mesh.gtsm: expected auto, none or the least TTL accepted"),
        ("mesh: {restartTime: 5000s}".into(), "expected 1s to 4095s"),
        ("mesh: {mode: ring}".into(), "mesh.mode: expected full or reflector or none, found `ring`"),
        ("mesh: {mode: reflector}".into(), "no node of mesh.nodes is a reflector"),
        (
            "mesh: {nodes: [{name: b, addresses: [10.0.0.2], clientOf: 2.2.2.2}]}".into(),
            "mesh.nodes[0].clientOf: no node of mesh.nodes is a reflector of 2.2.2.2",
        ),
        (
            "mesh: {nodes: [{name: b, addresses: [10.0.0.2], reflector: 2.2.2.2, clientOf: 2.2.2.2}]}"
                .into(),
            "b is a reflector of 2.2.2.2 itself",
        ),
        ("mesh: {deferralTime: 0s}".into(), "mesh.deferralTime: expected 1s to 3600s"),
        ("mesh: {transit: [203.0.113.0/24 le 16]}".into(), "no length is at least 24"),
        ("mesh: {password: hunter2}".into(), "mesh.password: a password is not written here"),
        ("mesh: {password: {env: MISSING}}".into(), "mesh.password.env: the environment has no variable `MISSING`"),
        ("mesh: {password: {env: LONG}}".into(), "the password has 81 bytes or more"),
        ("mesh: {password: {env: EMPTY}}".into(), "the password is empty"),
        ("mesh: {password: {env: A, file: b}}".into(), "one of the two"),
        ("mesh: {password: {file: /nonexistent/p}}".into(), "the password file /nonexistent/p cannot be read: No such file"),
        ("mesh: {password: {file: /proc}}".into(), "it is a directory"),
        (format!("{peer}multihop: 2, gtsm: 254}}"), "peers[0].gtsm: gtsm and multihop exclude each other"),
        (format!("{peer}multihop: 0}}"), "peers[0].multihop: expected a number from 1 to 255"),
        (format!("{peer}families: []}}"), "a session needs a family"),
        (format!("{peer}families: [ipv5]}}"), "peers[0].families[0]: expected ipv4 or ipv6, found `ipv5`"),
        (format!("{peer}import: {{maxPrefixes: 0}}}}"), "expected a number from 1 to"),
        (format!("{peer}export: {{communities: [nonsense]}}}}"), "expected AS:VALUE"),
        (format!("{peer}export: {{prefixes: [podcidrs]}}}}"), "is not a prefix range or podCIDRs"),
        (format!("{peer}passive: yes}}"), "expected true or false, found `yes`"),
        (format!("{peer}port: 65536}}"), "expected a number from 1 to 65535"),
        (format!("{peer}}}\n  - {{name: tor, address: 10.0.0.253, asn: 65000}}"), "5:5: peers[1]: the name tor is taken by peers[0] on line 4"),
        (format!("{peer}}}\n  - {{name: tor2, address: 10.0.0.254, asn: 65000}}"), "5:5: peers[1]: 10.0.0.254 is already an address of tor (line 4)"),
        ("peers:\n  - {name: x, address: 10.0.0.1, asn: 65000}".into(), "10.0.0.1 is already an address of node-a"),
        ("peers:\n  - {name: x, address: 10.0.0.254, asn: 0}".into(), "4:41: peers[0].asn: AS 0 is reserved"),
        ("peers:\n  - {name: x, address: 10.0.0.254}".into(), "4:5: peers[0]: `asn` is missing"),
        ("peers:\n  - {name: x, address: 10.0.0.254, asn: 64512, mesh: true}".into(), "this peer is of our own AS"),
        ("announce: [10.9.0.0/24, 10.9.0.0/24]".into(), "10.9.0.0/24 is announced already"),
        ("podCIDRs: [10.244.1.0/24]\nannounce: [10.244.1.0/24]".into(), "overlaps the pod CIDR 10.244.1.0/24 of node-a (line 3)"),
        ("dataplane: {overlay: always}".into(), "3:22: dataplane.overlay: `always` is not built yet in this version: use never"),
        ("dataplane: {proxyArp: lan}".into(), "dataplane.proxyArp: `lan` is not built yet in this version: use pods or none"),
        ("dataplane: {proxyArp: both}".into(), "`both` is not built yet"),
        ("dataplane: {masquerade: perhaps}".into(), "dataplane.masquerade: expected true or false, found `perhaps`"),
        ("dataplane: {masqueradeExempt: [10.0.0.1/8]}".into(), "dataplane.masqueradeExempt[0]: `10.0.0.1/8` is not a prefix: host bits are set: did you mean 10.0.0.0/8?"),
        ("dataplane: {routeProtocol: 186}".into(), "protocol 186 marks the routes of FRR"),
        ("dataplane: {routeProtocol: 256}".into(), "expected a number from 1 to 255"),
        ("dataplane: {table: 255}".into(), "the kernel's own"),
        ("dataplane: {table: side}".into(), "expected main or a table number"),
        ("dataplane: {mtu: 100}".into(), "expected a number from 1280 to 65535"),
        ("dataplane: {mtu: big}".into(), "expected auto or a number of bytes"),
        ("dataplane: {bridge: this-name-is-too-long}".into(), "it must have 1 to 15 characters"),
        ("cni: {confFile: relative.conflist}".into(), "expected an absolute path"),
        ("cni: {confFile: /etc/cni/net.d/x.conf}".into(), "named *.conflist"),
        ("http: 9179".into(), "expected ADDRESS:PORT"),
        ("listen: {port: 0}".into(), "listen.port: expected a number from 1 to 65535"),
        ("listen: 179".into(), "listen: expected a mapping of keys to values, found `179`"),
        ("addresses: []".into(), "3:1: `addresses` is given twice: the first is on line 2"),
        ("mesh: {".into(), "twill.yaml:"),
    ];
    for (added, expected) in rows {
        let error = refusal(&format!("{SMALL}{added}\n"));
        assert!(error.contains(expected), "{added}\n  expected {expected}\n  found    {error}");
        assert_eq!(error.lines().count(), 1, "{added}: {error}");
        assert!(error.starts_with("twill.yaml:"), "{error}");
    }
}

#[test]
fn a_file_without_an_address_or_a_name_is_refused() {
    assert!(refusal("node: a\n").contains("a has no address"));
    assert!(refusal("").contains("host-a has no address"));
    assert!(refusal("- 1\n").contains("expected a mapping of keys to values, found a list"));
    let nameless = Environment { variable: &|_| None, host_name: None, directory: PathBuf::new() };
    let error = Config::parse("addresses: [10.0.0.1]", Path::new("x"), &nameless).unwrap_err();
    assert!(error.to_string().contains("neither NODE_NAME nor the host name will do"), "{error}");
}

#[test]
fn all_that_is_wrong_is_told_at_once_in_the_order_of_the_file() {
    let error = refusal(
        "asn: 0\naddresses: [10.0.0.1/24]\npodCIDRs: [10.244.1.1/24]\nmesh: {holdTime: 1s, mod: full}\nhttp: x\n",
    );
    let lines: Vec<&str> = error.lines().collect();
    let starts = [
        "1:6: asn",
        "2:13: addresses[0]",
        "3:12: podCIDRs[0]",
        "4:18: mesh.holdTime",
        "4:22: mesh.mod",
        "5:7: http",
    ];
    assert_eq!(lines.len(), starts.len(), "{error}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(&format!("twill.yaml:{start}")), "{line}");
    }
}

#[test]
fn a_router_id_without_ipv4_comes_from_the_name_and_must_be_unique() {
    let text = "node: node-a\naddresses: [fd00::1]\n";
    let id = parse(text).unwrap().snapshot.router_id;
    assert_eq!(id, values::router_id_of_name("node-a"));
    let clash = format!("{text}mesh:\n  nodes:\n    - {{name: b, addresses: ['{id}']}}\n");
    assert!(refusal(&clash).contains(&format!("the router id {id} is also that of b")));
    let mended = format!("{clash}routerId: 1.2.3.4\n");
    assert!(parse(&mended).is_ok());
}

#[test]
fn password_files() {
    let directory = folder();
    let password = |name: &str| {
        parse_in(&directory, &format!("{SMALL}mesh: {{password: {{file: {name}}}}}\n"))
    };
    write(&directory.join("crlf"), b"secret\r\n", 0o600);
    write(&directory.join("open"), b"secret", 0o644);
    write(&directory.join("longest"), format!("{}\n", "x".repeat(80)).as_bytes(), 0o600);
    write(&directory.join("too-long"), "x".repeat(5000).as_bytes(), 0o600);
    write(&directory.join("empty"), b"\n", 0o600);

    assert_eq!(
        password("crlf").unwrap().snapshot.mesh.password,
        Some(Secret(b"secret"[..].into()))
    );
    assert!(password("longest").is_ok());
    let open = password("open").unwrap();
    assert!(open.warnings[0].to_string().contains("every user can read"), "{:?}", open.warnings);
    assert!(password("too-long").unwrap_err().to_string().contains("at most 80"));
    assert!(password("empty").unwrap_err().to_string().contains("is empty"));
    nix::unistd::mkfifo(&directory.join("pipe"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert!(password("pipe").unwrap_err().to_string().contains("not a regular file"));
    // Whatever goes wrong, the secret itself is not printed.
    assert!(!format!("{open:?}").contains("secret\""));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn doubts_are_told_but_are_no_errors() {
    let config = parse(&format!(
        "{SMALL}announce: [10.9.0.0/24]\nmesh:\n  nodes:\n    - {{name: b, addresses: [10.0.0.2], reflector: 1.1.1.1}}\n"
    ))
    .unwrap();
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert!(warnings[0].contains("add it to mesh.transit"), "{warnings:?}");
    assert!(warnings[1].contains("takes effect with mesh.mode: reflector"), "{warnings:?}");

    let apart = "addresses: [10.0.0.1]\nmesh:\n  nodes:\n    - {name: b, addresses: [fd00::2]}\n";
    let warnings = parse(apart).unwrap().warnings;
    assert!(warnings[0].to_string().contains("share no address family"), "{warnings:?}");
}

/// A key whose entries were commented out is an empty list or an empty section.
#[test]
fn a_key_with_nothing_behind_it_is_empty() {
    let config =
        parse(&format!("{SMALL}mesh:\n  nodes:\npeers:\nannounce:\ndataplane:\n")).unwrap();
    assert!(config.snapshot.nodes.is_empty() && config.snapshot.peers.is_empty());
}

#[test]
fn files_are_loaded_whole_or_not_at_all() {
    let directory = folder();
    let path = directory.join("twill.yaml");
    assert!(Config::load(&path).unwrap_err().to_string().contains("cannot be read: No such file"));
    write(&path, b"addresses: [10.0.0.1]\nnode: \xff\n", 0o600);
    assert!(Config::load(&path).unwrap_err().to_string().contains("not UTF-8"));
    write(&path, &vec![b'#'; MAX_FILE + 1], 0o600);
    assert!(Config::load(&path).unwrap_err().to_string().contains("larger than"));
    write(&path, SMALL.as_bytes(), 0o600);
    assert!(Config::load(&path).is_ok());
    std::fs::remove_dir_all(directory).unwrap();
}

proptest! {
    /// No text makes the reader panic, and every refusal has at least one problem.
    #[test]
    fn any_text_is_answered(text in "[ -~\n]{0,200}") {
        if let Err(error) = parse(&text) {
            prop_assert!(!error.problems.is_empty());
        }
    }

    /// Overlapping pod CIDRs are found, and disjoint ones pass.
    #[test]
    fn overlaps_are_found(cidrs in proptest::collection::vec((0u8..16, 20u8..28), 1..6)) {
        let prefixes: Vec<Prefix> = cidrs
            .iter()
            .map(|(block, length)| {
                let address = std::net::IpAddr::from([10, 244, *block, 0]);
                Prefix::truncating(address, *length).unwrap()
            })
            .collect();
        let overlap = prefixes.iter().enumerate().any(|(index, prefix)| {
            prefixes.iter().skip(index + 1).any(|other| prefix.overlaps(*other))
        });
        let mut text = format!("{SMALL}mesh:\n  nodes:\n");
        for (index, prefix) in prefixes.iter().enumerate() {
            text += &format!("    - {{name: n{index}, addresses: [10.0.1.{index}], podCIDRs: [{prefix}]}}\n")
                .replace("10.0.1.0]", "10.0.1.100]");
        }
        prop_assert_eq!(parse(&text).is_err(), overlap, "{}", text);
    }
}
