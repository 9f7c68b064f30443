//! Answers as an agent gives them, for tests of what people and scripts see.

use std::time::{Duration, SystemTime};

use twill_bgp::proto::session::State;
use twill_bgp::proto::types::Families;

use super::testing::{
    address, entry, established, fib as healthy_fib, fib_route, moment, peer, snapshot, table,
};
use super::{api, explain, status, timestamp, view};
use crate::reconcile::report::{
    CniReport, ConfigReport, FibReport, HostReport, MasqueradeReport, ShadowReport,
};

/// Three hours and five minutes after everything came up.
fn now() -> SystemTime {
    moment() + Duration::from_secs(11_100)
}

fn status_of(
    peers: &[twill_bgp::PeerStatus],
    fib: &FibReport,
    host: &HostReport,
    config: &ConfigReport,
) -> api::Status {
    status::status(&status::Parts {
        snapshot: &snapshot(),
        peers,
        fib,
        shadows: &ShadowReport::default(),
        host,
        config,
        cni: &CniReport { written: host.ready, problem: None },
        masquerade: &MasqueradeReport { active: host.ready, problems: Vec::new() },
        control: None,
        uptime: Duration::from_secs(11_105),
        version: "0.1.0",
    })
}

fn down() -> twill_bgp::PeerStatus {
    let mut down = peer("node-c");
    down.state = State::Connect;
    down.flaps = 1;
    down.last_error = Some((
        moment() + Duration::from_secs(11_000),
        "Connection refused (os error 111)".to_owned(),
    ));
    down
}

pub(crate) fn status() -> api::Status {
    let host = HostReport {
        ready: true,
        changed: vec!["all/forwarding: 0 -> 1".to_owned()],
        ..HostReport::default()
    };
    let config = ConfigReport { loaded_at: Some(moment()), ..ConfigReport::default() };
    status_of(&[established("node-b"), established("tor")], &healthy_fib(), &host, &config)
}

pub(crate) fn status_bad() -> api::Status {
    let host = HostReport {
        problems: vec![
            "twill0 cannot be made: Operation not permitted; give the agent CAP_NET_ADMIN"
                .to_owned(),
        ],
        ..HostReport::default()
    };
    let config = ConfigReport {
        loaded_at: Some(moment()),
        refused: Some(
            "/etc/twill/twill.yaml:7:13: holdTime: expected 0 or 3s to 65535s, found 1s".to_owned(),
        ),
        warnings: vec!["mesh.password: the file can be read by everybody".to_owned()],
        ..ConfigReport::default()
    };
    let mut fib = fib_report();
    fib.ready = false;
    status_of(&[established("node-b"), down(), established("tor")], &fib, &host, &config)
}

fn fib_report() -> FibReport {
    let mut fib = healthy_fib();
    fib.installed.truncate(2);
    let mut missing = fib_route("10.244.3.0/24", Some("172.16.0.3"), "eth0");
    missing.device = None;
    missing.reason = Some(
        "next hop 172.16.0.3 is on no connected subnet; put node-c on a common link, or wait for \
         overlay to be built"
            .to_owned(),
    );
    fib.missing.push(missing);
    fib.unexpected.push(fib_route("10.244.9.0/24", Some("10.0.0.9"), "eth0"));
    fib.stale.push(fib_route("fd00:244:2::/64", Some("fd00::2"), "eth0"));
    fib.errors = 2;
    fib
}

pub(crate) fn peers() -> Vec<api::Peer> {
    let world = snapshot();
    let all = [established("node-b"), down(), established("tor")];
    all.iter().map(|peer| view::peer(peer, &world, now())).collect()
}

pub(crate) fn peer_up() -> api::Peer {
    view::peer_whole(&established("node-b"), &snapshot(), now())
}

pub(crate) fn peer_down() -> api::Peer {
    let mut peer = down();
    peer.messages_in = [1, 2, 1, 30, 0];
    peer.end_of_rib = Families::NONE;
    view::peer_whole(&peer, &snapshot(), now())
}

pub(crate) fn routes() -> Vec<api::Route> {
    let mut table = table();
    let mut stale = entry("fd00:244:2::/64", "fd00::2", Some("node-b"));
    stale.view.stale = true;
    table.push(stale);
    table.iter().map(view::route).collect()
}

pub(crate) fn fib() -> api::Fib {
    view::fib(&fib_report())
}

fn kernel() -> api::KernelRoute {
    api::KernelRoute {
        prefix: "10.244.2.0/24".to_owned(),
        kind: "unicast".to_owned(),
        next_hops: vec![address("10.0.0.2")],
        devices: vec!["eth0".to_owned()],
        source: None,
        protocol: "twill".to_owned(),
        metric: 116,
        table: 254,
    }
}

fn explain_with(
    fib: &FibReport,
    peers: &[twill_bgp::PeerStatus],
    kernel: Result<api::KernelRoute, String>,
) -> api::Explanation {
    let route = entry("10.244.2.0/24", "10.0.0.2", Some("node-b"));
    explain::explain(explain::Parts {
        address: address("10.244.2.9"),
        route: Some(&route),
        peers,
        fib,
        kernel,
        snapshot: &snapshot(),
        now: now(),
    })
}

pub(crate) fn explanation() -> api::Explanation {
    explain_with(&healthy_fib(), &[established("node-b")], Ok(kernel()))
}

pub(crate) fn explanation_bad() -> api::Explanation {
    let foreign = api::KernelRoute {
        next_hops: vec![address("10.0.0.77")],
        protocol: "static".to_owned(),
        metric: 0,
        ..kernel()
    };
    let mut peer = established("node-b");
    peer.state = State::Active;
    peer.last_error = Some((moment(), "hold timer expired: nothing heard for 90s".to_owned()));
    explain_with(&healthy_fib(), &[peer], Ok(foreign))
}

pub(crate) fn ipam() -> api::Ipam {
    let at = |seconds| timestamp::format(now() + Duration::from_secs(seconds));
    api::Ipam {
        data_dir: "/var/lib/cni/networks/twill".to_owned(),
        ranges: vec![
            api::IpamRange {
                subnet: "10.244.1.0/24".to_owned(),
                first: address("10.244.1.1"),
                last: address("10.244.1.254"),
                capacity: 254,
                leased: 1,
                cooling: 1,
            },
            api::IpamRange {
                subnet: "fd00:244:1::/64".to_owned(),
                first: address("fd00:244:1::1"),
                last: address("fd00:244:1::ffff:ffff:ffff:ffff"),
                capacity: u64::MAX,
                leased: 0,
                cooling: 0,
            },
        ],
        leases: vec![api::Lease {
            address: address("10.244.1.2"),
            container_id: "5bd7f0a3c2f64a1e9d0c7b1e2f3a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c"
                .to_owned(),
            interface: "eth0".to_owned(),
            since: Some(timestamp::format(moment())),
        }],
        cooling: vec![api::Cooling { address: address("10.244.1.3"), until: at(42) }],
        problems: vec![
            "10.244.1.2 is held by 5bd7f0a3c2f6 eth0, but there is no interface twpx of such a \
             pod: CNI DEL for it, or GC, frees the address"
                .to_owned(),
        ],
    }
}

pub(crate) fn events() -> Vec<api::Event> {
    use api::{EventKind as Kind, KernelAction as Action};
    let kernel = |action, error: Option<&str>| Kind::Kernel {
        action,
        route: view::fib_route(&fib_route("10.244.2.0/24", Some("10.0.0.2"), "eth0")),
        error: error.map(str::to_owned),
    };
    let route = |next_hop: Option<&str>, stale| Kind::Route {
        prefix: "10.244.2.0/24".to_owned(),
        next_hop: next_hop.map(address),
        from: next_hop.map(|_| "node-b".to_owned()),
        stale,
    };
    let session = |state, reason: Option<&str>| Kind::Session {
        peer: "node-b".to_owned(),
        state,
        reason: reason.map(str::to_owned),
    };
    let events = [
        session(api::State::OpenSent, None),
        session(api::State::Established, None),
        session(api::State::Idle, Some("the peer closed the connection")),
        route(Some("10.0.0.2"), false),
        route(Some("10.0.0.2"), true),
        route(None, false),
        Kind::Refused {
            peer: "node-c".to_owned(),
            prefix: "10.244.2.128/25".to_owned(),
            rule: "the pod CIDR of node-b".to_owned(),
        },
        Kind::Fault { peer: "tor".to_owned(), what: "ORIGIN: bad value 7".to_owned() },
        kernel(Action::Installed, None),
        kernel(Action::Removed, None),
        kernel(Action::Restored, None),
        kernel(Action::Failed, Some("Network is unreachable")),
        Kind::Setting {
            name: "twill0/proxy_arp".to_owned(),
            old: "0".to_owned(),
            new: "1".to_owned(),
        },
        Kind::Lag { lost: 1 },
        Kind::Lag { lost: 250 },
    ];
    let time = |number: u64| timestamp::format(moment() + Duration::from_millis(number * 137));
    (0..).zip(events).map(|(number, what)| api::Event { time: time(number), what }).collect()
}
