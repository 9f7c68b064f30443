//! The owner of the host against the real kernel, each test in a namespace of its own.

use tokio::task::JoinSet;

use super::*;
use crate::desired::fixture::{THREE, snapshot};
use crate::kernel::testing::{in_namespace, ip, link};

struct Rig {
    report: watch::Receiver<Arc<HostReport>>,
    notices: broadcast::Receiver<KernelNotice>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    _owner: JoinSet<Result<(), KernelError>>,
}

impl Rig {
    fn start() -> Rig {
        let (snapshot, snapshots) = watch::channel(Arc::new(snapshot(THREE)));
        let (report_sender, report) = watch::channel(Arc::default());
        let (notice_sender, notices) = broadcast::channel(1024);
        let inputs = Inputs { snapshot: snapshots, settings: Settings::default() };
        let outputs = Outputs { report: report_sender, notices: notice_sender };
        let mut owner = JoinSet::new();
        owner.spawn(run(inputs, outputs));
        Rig { report, notices, snapshot, _owner: owner }
    }

    async fn until(&mut self, what: &str, holds: impl FnMut(&Arc<HostReport>) -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(10), self.report.wait_for(holds));
        let failed = match waited.await {
            Ok(report) => report.is_err(),
            Err(_) => true,
        };
        assert!(!failed, "never: {what}; now: {:#?}", self.report.borrow());
    }

    /// Until the last change is this one.
    async fn changed(&mut self, change: &str) {
        self.until(change, |report| {
            report.ready && report.changed.last().is_some_and(|last| last == change)
        })
        .await;
    }
}

fn sysctl(path: &str) -> String {
    std::fs::read_to_string(format!("/proc/sys/net/{path}")).unwrap().trim().to_owned()
}

fn set(path: &str, value: &str) {
    std::fs::write(format!("/proc/sys/net/{path}"), value).unwrap();
}

#[test]
fn the_bridge_is_made_and_only_our_interfaces_are_set() {
    in_namespace(|| async {
        link("eth0", &["10.0.0.1/24", "fd00::1/64"]);
        link("eth1", &["192.0.2.1/24"]);
        ip("link set eth0 mtu 1450");
        let mut rig = Rig::start();
        rig.until("ready", |report| report.ready).await;
        let bridge = ip("address show dev twill0");
        for part in ["mtu 1450", "169.254.1.1/32", "fe80::1/64", ",UP"] {
            assert!(bridge.contains(part), "{part}: {bridge}");
        }
        for (path, value) in [
            ("ipv4/conf/twill0/forwarding", "1"),
            ("ipv4/conf/twill0/proxy_arp", "1"),
            ("ipv4/neigh/twill0/proxy_delay", "0"),
            ("ipv4/conf/twill0/send_redirects", "0"),
            ("ipv6/conf/twill0/forwarding", "1"),
            ("ipv6/conf/twill0/force_forwarding", "1"),
            ("ipv6/conf/twill0/proxy_ndp", "1"),
            ("ipv6/conf/twill0/accept_ra", "0"),
            ("ipv6/neigh/twill0/proxy_delay", "0"),
            ("ipv4/conf/eth0/forwarding", "1"),
            ("ipv6/conf/eth0/force_forwarding", "1"),
            ("ipv6/conf/eth0/keep_addr_on_down", "1"),
            // How router advertisements are taken is not changed.
            ("ipv6/conf/eth0/forwarding", "0"),
            ("ipv4/conf/eth1/forwarding", "0"),
            ("ipv4/ip_forward", "0"),
            ("ipv6/conf/all/forwarding", "0"),
            ("ipv4/conf/all/proxy_arp", "0"),
        ] {
            assert_eq!(sysctl(path), value, "{path}");
        }
        let report = Arc::clone(&rig.report.borrow());
        assert_eq!(report.changed[0], "twill0: created");
        assert!(report.changed.contains(&"net/ipv4/conf/eth0/forwarding: 0 -> 1".into()));
        assert!(!report.changed.iter().any(|change| change.contains("eth1")));
        let KernelNotice::Setting { name, old, new } = rig.notices.recv().await.unwrap() else {
            panic!("a notice of another kind");
        };
        assert_eq!((&*name, &*old, &*new), ("net/ipv4/conf/eth0/forwarding", "0", "1"));
    });
}

#[test]
fn what_others_undo_is_done_again() {
    in_namespace(|| async {
        link("eth0", &["10.0.0.1/24", "fd00::1/64"]);
        let mut rig = Rig::start();
        rig.until("ready", |report| report.ready).await;
        set("ipv4/conf/eth0/forwarding", "0");
        rig.changed("net/ipv4/conf/eth0/forwarding: 0 -> 1").await;
        // The global switch, thrown and thrown back, resets every interface.
        set("ipv6/conf/all/forwarding", "1");
        set("ipv6/conf/all/forwarding", "0");
        rig.until("forced again", |report| {
            report.ready && sysctl("ipv6/conf/eth0/force_forwarding") == "1"
        })
        .await;
        ip("address flush dev twill0");
        rig.changed("twill0: address fe80::1/64").await;
        ip("link set twill0 down");
        rig.until("up", |report| report.ready && ip("link show twill0").contains(",UP")).await;
        let created = |report: &HostReport| {
            report.changed.iter().filter(|change| *change == "twill0: created").count()
        };
        ip("link del twill0");
        rig.until("made again", |report| report.ready && created(report) == 2).await;
        assert_eq!(sysctl("ipv4/conf/twill0/proxy_arp"), "1");
        // Live: another bridge, another MTU.
        let config = format!("{THREE}\ndataplane: {{bridge: twill9, mtu: 1300, proxyArp: none}}");
        rig.snapshot.send_replace(Arc::new(snapshot(&config)));
        rig.until("another", |report| {
            report.ready && report.changed.contains(&"twill9: created".into())
        })
        .await;
        assert!(ip("link show twill9").contains("mtu 1300"));
        assert_eq!(sysctl("ipv4/conf/twill9/proxy_arp"), "0");
    });
}

#[test]
fn addresses_that_all_interfaces_keep_are_not_kept_twice() {
    in_namespace(|| async {
        link("eth0", &["10.0.0.1/24", "fd00::1/64"]);
        set("ipv6/conf/all/keep_addr_on_down", "1");
        let mut rig = Rig::start();
        rig.until("ready", |report| report.ready).await;
        assert_eq!(sysctl("ipv6/conf/eth0/keep_addr_on_down"), "0");
        ip("link set eth0 down");
        ip("link set eth0 up");
        assert!(ip("address show dev eth0").contains("fd00::1/64"));
    });
}

#[test]
fn strict_reverse_path_filters_are_loosened_where_packets_come_in() {
    in_namespace(|| async {
        link("eth0", &["10.0.0.1/24", "fd00::1/64"]);
        link("eth1", &["192.0.2.1/24"]);
        set("ipv4/conf/all/rp_filter", "1");
        let mut rig = Rig::start();
        rig.until("ready", |report| report.ready).await;
        assert_eq!(sysctl("ipv4/conf/eth0/rp_filter"), "2");
        assert_eq!(sysctl("ipv4/conf/eth1/rp_filter"), "0");
        assert_eq!(sysctl("ipv4/conf/all/rp_filter"), "1");
    });
}

#[test]
fn what_cannot_be_done_is_said_with_a_remedy() {
    in_namespace(|| async {
        link("twill0", &[]);
        let mut rig = Rig::start();
        rig.until("problems", |report| !report.ready && report.problems.len() == 2).await;
        let problems = rig.report.borrow().problems.clone();
        assert!(problems[0].contains("10.0.0.1, fd00::1"), "{problems:?}");
        assert!(problems[1].starts_with("the bridge twill0 cannot be made: "), "{problems:?}");
        ip("link del twill0");
        link("eth0", &["10.0.0.1/24", "fd00::1/64"]);
        rig.until("mended", |report| report.ready).await;
    });
}
