//! Facts in, findings out; and what is read of the kernel's texts.

use super::gather::{cni_file, drops_in, names_in};
use super::*;

fn healthy() -> Facts {
    let uplink = Interface {
        name: "eth0".into(),
        mtu: 1500,
        uplink: true,
        ours: true,
        forwarding4: Some(true),
        forwarding6: Some(true),
        rp_filter: Some(0),
    };
    let bridge = Interface { name: "twill0".into(), uplink: false, ours: false, ..uplink.clone() };
    Facts {
        want: Want {
            install: true,
            ipv4: true,
            ipv6: true,
            bridge: "twill0".into(),
            mtu: None,
            port: 179,
            protocol: 116,
            metric: 116,
            addresses: Vec::new(),
            pod_cidrs: Vec::new(),
            cni_file: "10-twill.conflist".into(),
            signed: vec![("tor".into(), true), ("node-b".into(), false)],
        },
        bad_config: None,
        agent: true,
        ip_forward: Some(true),
        interfaces: vec![uplink, bridge],
        listeners: vec![listener("twill")],
        missing_capabilities: Some(Vec::new()),
        hiding: Vec::new(),
        protocol_names: Vec::new(),
        odd_routes: Vec::new(),
        dropping: Some(Vec::new()),
        legacy_drop: Vec::new(),
        bridge_netfilter: None,
        kube_proxy: None,
        missing_features: Vec::new(),
        drops: Some(TcpDrops::default()),
        peers: vec![peer_named("tor", true, true), peer_named("node-b", true, false)],
        cni: vec![file("10-twill.conflist", "link-local")],
        unseen: Vec::new(),
    }
}

fn listener(name: &str) -> Listener {
    Listener { at: "0.0.0.0:179".into(), process: Some((7, name.into())) }
}

fn peer_named(name: &str, up: bool, signed: bool) -> Peer {
    let gtsm = Some("GTSM, 255 and up".into());
    Peer { name: name.into(), address: [10, 0, 0, 9].into(), up, signed, gtsm }
}

fn file(name: &str, gateway: &str) -> CniFile {
    CniFile { name: name.into(), types: vec!["x".into()], gateway: Some(gateway.into()) }
}

fn second_uplink(facts: &mut Facts) {
    let second = Interface { name: "eth1".into(), ..facts.interfaces[0].clone() };
    facts.interfaces.push(second);
}

fn down(facts: &mut Facts, drops: TcpDrops) {
    for peer in &mut facts.peers {
        peer.up = false;
    }
    facts.drops = Some(drops);
}

use Severity::{Doubt, Problem};

type Change = fn(&mut Facts);

/// What each change to a healthy host makes of it: how bad, which check, and words of the finding.
const ROWS: &[(Change, Severity, &str, &str)] = &[
    (|f| f.bad_config = Some("line 3".into()), Problem, "configuration", "line 3"),
    (|f| f.interfaces[0].forwarding4 = Some(false), Problem, "forwarding", "ip_forward=1"),
    (|f| f.interfaces[1].forwarding6 = Some(false), Problem, "forwarding", "ipv6.conf.all"),
    (
        |f| {
            f.agent = false;
            f.listeners.clear();
            f.interfaces[0].forwarding4 = Some(false);
        },
        Doubt,
        "forwarding",
        "the agent sets it",
    ),
    (
        |f| {
            second_uplink(f);
            f.interfaces[2].rp_filter = Some(1);
        },
        Doubt,
        "rp-filter",
        "eth1/rp_filter=2",
    ),
    (|f| f.interfaces[0].mtu = 1450, Problem, "mtu", "pods have MTU 1500 (twill0), eth0 has 1450"),
    (|f| f.want.mtu = Some(9000), Problem, "mtu", "dataplane.mtu"),
    (|f| f.listeners = vec![listener("bird")], Problem, "port", "stop bird"),
    (|f| f.agent = false, Problem, "port", "--socket"),
    (|f| f.listeners.clear(), Problem, "port", "nobody listens"),
    (|f| f.missing_capabilities = Some(vec!["CAP_NET_ADMIN"]), Problem, "capabilities", "no route"),
    (
        |f| f.hiding = vec![("10.244.2.0/25 dev eth0".into(), "node-b".into())],
        Problem,
        "routes",
        "ip route del 10.244.2.0/25 dev eth0",
    ),
    (|f| f.protocol_names = vec!["other".into()], Doubt, "protocol", "other"),
    (|f| f.odd_routes = vec!["10.9.0.0/16".into()], Problem, "protocol", "routeProtocol"),
    (
        |f| f.dropping = Some(vec!["inet filter forward".into()]),
        Problem,
        "firewall",
        "nft insert rule inet filter forward iifname twill0 accept",
    ),
    (|f| f.legacy_drop = vec!["iptables-legacy".into()], Problem, "firewall", "-i twill0"),
    (
        |f| {
            f.cni[0].gateway = Some("bridge".into());
            f.kube_proxy = Some("kube-proxy runs".into());
        },
        Problem,
        "bridge-netfilter",
        "modprobe br_netfilter",
    ),
    (|f| f.cni[0].gateway = Some("bridge".into()), Doubt, "bridge-netfilter", "not found"),
    (|f| f.missing_features = vec!["no bridge".into()], Problem, "kernel", "no bridge"),
    (
        |f| down(f, TcpDrops { md5_missing: 3, ..TcpDrops::default() }),
        Doubt,
        "sessions",
        "TCPMD5NotFound is 3 since this host began; it may be tor",
    ),
    (
        |f| down(f, TcpDrops { md5_unexpected: 3, ..TcpDrops::default() }),
        Doubt,
        "sessions",
        "it may be node-b",
    ),
    (
        |f| down(f, TcpDrops { md5_wrong: 1, ..TcpDrops::default() }),
        Doubt,
        "sessions",
        "another password",
    ),
    (|f| down(f, TcpDrops { ttl: 1, ..TcpDrops::default() }), Doubt, "sessions", "TTL 255"),
    (|f| f.cni.insert(0, file("05-old.conf", "")), Problem, "cni", "before ours"),
    (|f| f.cni.push(file("87-podman.conflist", "")), Doubt, "cni", "if ours were gone"),
];

#[test]
fn each_fact_has_its_finding_and_nothing_else_changes() {
    assert_eq!(findings(&healthy()), []);
    for (row, (change, severity, check, words)) in ROWS.iter().enumerate() {
        let mut facts = healthy();
        change(&mut facts);
        let found = findings(&facts);
        let [finding] = found.as_slice() else { panic!("row {row}: {found:#?}") };
        assert_eq!((finding.severity, finding.check), (*severity, *check), "row {row}");
        assert!(CHECKS.contains(check));
        let all = format!("{} {} {}", finding.what, finding.evidence, finding.remedy);
        assert!(all.contains(words), "row {row}: {words:?} is not in {all:?}");
        assert!(
            ![&finding.what, &finding.evidence, &finding.remedy].iter().any(|text| text.is_empty())
        );
    }
    let untested = CHECKS.iter().filter(|check| !ROWS.iter().any(|row| row.2 == **check));
    assert_eq!(untested.collect::<Vec<_>>(), Vec::<&&str>::new());
}

/// What is no fault: counters of the past while all sessions are up; a strict filter with one
/// uplink; a host that makes no routes.
#[test]
fn what_is_no_fault_is_not_told() {
    let mut facts = healthy();
    facts.drops = Some(TcpDrops { md5_missing: 9, md5_unexpected: 9, md5_wrong: 9, ttl: 9 });
    facts.interfaces[0].rp_filter = Some(1);
    assert_eq!(findings(&facts), []);
    let mut facts = healthy();
    facts.want.install = false;
    facts.interfaces[0].forwarding4 = Some(false);
    facts.dropping = Some(vec!["ip filter FORWARD".into()]);
    assert_eq!(findings(&facts), []);
}

#[test]
fn texts_are_read_by_name() {
    let text = "TcpExt: SyncookiesSent TCPMD5NotFound TCPMD5Failure TCPMinTTLDrop\n\
                TcpExt: 1 2 3 4\nIpExt: InNoRoutes\nIpExt: 0\n";
    let drops = TcpDrops { md5_missing: 2, md5_unexpected: 0, md5_wrong: 3, ttl: 4 };
    assert_eq!(drops_in(text), Some(drops));
    assert_eq!(drops_in("TcpExt: A\n"), None);
    let protocols = "# 116 no\n116 other # why\n0x74 hex\n116\ttwill\n11 x\n";
    assert_eq!(names_in(protocols, 116), ["other", "hex"]);
    let ours = r#"{"plugins": [{"type": "twill-cni", "gateway": "bridge"}, {"type": "portmap"}]}"#;
    let parsed = cni_file("10.conflist", ours).unwrap();
    assert_eq!((parsed.types.len(), parsed.gateway.as_deref()), (2, Some("bridge")));
    assert_eq!(cni_file("a.conf", r#"{"type": "bridge"}"#).unwrap().types, ["bridge"]);
    assert_eq!(cni_file("a.conf", "half"), None);
}
