//! The owner of the routes against the real kernel, each test in a namespace of its own. Others
//! are played by `ip`; what they see of us, too, is asked of `ip` or of a second watcher.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;
use twill_bgp::proto::types::{Attributes, Ipv4Prefix, Prefix};
use twill_bgp::{BestChange, BestRoute, Readiness};

use super::*;
use crate::desired::fixture;
use crate::kernel::testing::{in_namespace, ip, link};
use crate::kernel::watch::RECEIVE_BUFFER;
use crate::reconcile::report::FibRoute;

const SYNCED: Readiness = Readiness::InSync { by_timer: false };
const CONFIG: &str = "
node: node-a
addresses: [10.0.0.1, fd00::1]
podCIDRs: [10.244.1.0/24, fd00:244:1::/64]
mesh:
  nodes:
    - {name: node-b, addresses: [10.0.0.2, fd00::2], podCIDRs: [10.244.2.0/24]}
";

/// Best paths by a channel.
struct Paths {
    batches: mpsc::Receiver<(Vec<BestChange>, Readiness)>,
    readiness: Readiness,
}

impl BestPaths for Paths {
    async fn next(&mut self) -> Option<Vec<BestChange>> {
        let (batch, readiness) = self.batches.recv().await?;
        self.readiness = readiness;
        Some(batch)
    }

    fn readiness(&self) -> Readiness {
        self.readiness
    }
}

/// An owner at work.
struct Rig {
    paths: mpsc::Sender<(Vec<BestChange>, Readiness)>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    report: watch::Receiver<Arc<FibReport>>,
    notices: broadcast::Receiver<KernelNotice>,
    installed: Arc<AtomicUsize>,
    owner: JoinSet<Result<Ended, KernelError>>,
}

impl Rig {
    fn start() -> Rig {
        Rig::with(CONFIG, RECEIVE_BUFFER)
    }

    fn with(config: &str, receive_buffer: usize) -> Rig {
        let (paths, batches) = mpsc::channel(16);
        let (snapshot, snapshots) = watch::channel(Arc::new(fixture::snapshot(config)));
        let (report_sender, report) = watch::channel(Arc::default());
        let (notice_sender, notices) = broadcast::channel(1 << 16);
        let installed = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&installed);
        let inputs = Inputs {
            snapshot: snapshots,
            best_paths: Paths { batches, readiness: Readiness::Waiting },
        };
        let outputs = Outputs {
            report: report_sender,
            notices: notice_sender,
            installed: Arc::new(move |took| {
                assert!(took < Duration::from_secs(60));
                counter.fetch_add(1, Ordering::Relaxed);
            }),
        };
        let netlink = Netlink::open().unwrap();
        let groups = [Group::Links, Group::Addresses, Group::Routes];
        let watch = Watch::with_buffer(&groups, Some(netlink.port()), receive_buffer).unwrap();
        let mut owner = JoinSet::new();
        owner.spawn(run_with(inputs, outputs, netlink, watch));
        Rig { paths, snapshot, report, notices, installed, owner }
    }

    async fn learn(&self, changes: Vec<BestChange>) {
        self.paths.send((changes, Readiness::Waiting)).await.unwrap();
    }

    async fn sync(&self, changes: Vec<BestChange>) {
        self.paths.send((changes, SYNCED)).await.unwrap();
    }

    async fn until(&mut self, what: &str, holds: impl FnMut(&Arc<FibReport>) -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(10), self.report.wait_for(holds));
        let failed = match waited.await {
            Ok(report) => report.is_err(),
            Err(_) => true,
        };
        assert!(!failed, "never: {what}; now: {:#?}", self.report.borrow());
    }

    async fn settled(&mut self, installed: usize) {
        self.until(&format!("{installed} installed"), |report| {
            report.installed.len() == installed && report.missing.is_empty() && report.ready
        })
        .await;
    }

    async fn notice(&mut self, mut wanted: impl FnMut(&KernelNotice) -> bool) -> KernelNotice {
        loop {
            let notice = self.notices.recv().await.unwrap();
            if wanted(&notice) {
                return notice;
            }
        }
    }
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn to(text: &str, next_hop: &str) -> BestChange {
    change(prefix(text), Some(next_hop))
}

fn change(prefix: Prefix, next_hop: Option<&str>) -> BestChange {
    let route = next_hop.map(|next_hop| {
        let next_hop: IpAddr = next_hop.parse().unwrap();
        BestRoute {
            attributes: Arc::new(Attributes::originated(next_hop.into())),
            peer: Some(Arc::from("node-b")),
            stale: false,
        }
    });
    BestChange { prefix, route, received: Instant::now() }
}

fn many(count: u32, next_hop: &str) -> Vec<BestChange> {
    let next_hop = change(prefix("0.0.0.0/0"), Some(next_hop));
    (0..count)
        .map(|number| {
            let prefix = Ipv4Prefix::truncating(((11 << 24) + (number << 8)).into(), 24).unwrap();
            BestChange { prefix: Prefix::V4(prefix), ..next_hop.clone() }
        })
        .collect()
}

/// An uplink with node addresses, and a bridge.
fn node() {
    link("eth0", &["10.0.0.1/24", "fd00::1/64"]);
    ip("link add twill0 type bridge");
    ip("link set twill0 up");
}

fn ours(family: &str) -> Vec<String> {
    let text = ip(&format!("{family} route show proto 116"));
    let mut lines: Vec<String> =
        text.lines().map(|line| line.replace(" linkdown", "").trim_end().to_owned()).collect();
    lines.sort_unstable();
    lines
}

fn named(routes: &[FibRoute]) -> Vec<String> {
    routes.iter().map(|route| route.prefix.to_string()).collect()
}

fn reason<'a>(report: &'a FibReport, prefix: &str) -> &'a str {
    let route = report.missing.iter().find(|route| route.prefix.to_string() == prefix);
    route.and_then(|route| route.reason.as_deref()).unwrap_or_default()
}

/// Time until a watcher of the kernel's own sees a route to `prefix` come back.
async fn time_until_back(prefix: Prefix, disturb: impl FnOnce()) -> Duration {
    let mut watch = Watch::open(&[Group::Routes], None).unwrap();
    disturb();
    let started = Instant::now();
    let mut events = Vec::new();
    loop {
        watch.wait(&mut events).await.unwrap();
        let back = events.drain(..).any(|event| match event {
            Event::Route(event) => {
                !event.deleted
                    && event.route.prefix == prefix
                    && event.route.via.next_hop == Some(IpAddr::from([10, 0, 0, 2]))
            }
            _ => false,
        });
        if back {
            return started.elapsed();
        }
    }
}

#[test]
fn learned_routes_and_pod_cidrs_are_installed_changed_and_withdrawn() {
    in_namespace(|| async {
        node();
        ip("address add 10.0.1.1/24 dev eth0");
        let mut rig = Rig::start();
        rig.sync(vec![to("10.244.2.0/24", "10.0.0.2"), to("fd00:244:2::/64", "fd00::2")]).await;
        rig.settled(4).await;
        assert_eq!(
            ours("-4"),
            [
                "10.244.1.0/24 dev twill0 scope link src 10.0.0.1 metric 116",
                "10.244.2.0/24 via 10.0.0.2 dev eth0 metric 116",
            ]
        );
        assert_eq!(
            ours("-6"),
            [
                "fd00:244:1::/64 dev twill0 src fd00::1 metric 116 pref medium",
                "fd00:244:2::/64 via fd00::2 dev eth0 metric 116 pref medium",
            ]
        );
        rig.learn(vec![to("10.244.2.0/24", "10.0.1.9"), change(prefix("fd00:244:2::/64"), None)])
            .await;
        rig.settled(3).await;
        assert_eq!(ours("-4")[1], "10.244.2.0/24 via 10.0.1.9 dev eth0 metric 116");
        assert_eq!(ours("-6").len(), 1);
        assert_eq!(rig.installed.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn what_changes_again_while_it_is_on_its_way_ends_as_it_was_told_last() {
    in_namespace(|| async {
        node();
        // Somebody holds the place of one of them.
        ip("route add 11.0.7.0/24 via 10.0.0.9 metric 116 proto static");
        let mut rig = Rig::start();
        rig.sync(many(6000, "10.0.0.2")).await;
        rig.learn(many(4000, "10.0.0.3")).await;
        rig.learn(many(6000, "10.0.0.4").split_off(3000)).await;
        let gone = many(5000, "10.0.0.2").split_off(2000);
        rig.learn(gone.into_iter().map(|one| change(one.prefix, None)).collect()).await;
        rig.until("as told last", |report| {
            let by = |next_hop: &str| {
                let next_hop: IpAddr = next_hop.parse().unwrap();
                report.installed.iter().filter(|one| one.next_hop == Some(next_hop)).count()
            };
            by("10.0.0.2") == 0
                && by("10.0.0.3") == 1999
                && by("10.0.0.4") == 1000
                && report.missing.len() == 1
                && report.unexpected.is_empty()
        })
        .await;
        assert_eq!(ours("-4").len(), 3000, "of them one pod CIDR");
        assert_eq!(ip("route show proto 116 via 10.0.0.3").lines().count(), 1999);
        assert!(reason(&rig.report.borrow(), "11.0.7.0/24").contains("protocol static"));
    });
}

#[test]
fn own_prefixes_and_unreachable_next_hops_are_refused_with_a_remedy() {
    in_namespace(|| async {
        node();
        ip("link add eth1 type veth peer name far1");
        ip("address add 10.7.0.1/24 dev eth1");
        let mut rig = Rig::start();
        rig.sync(vec![
            to("10.1.0.0/24", "10.9.0.1"),
            to("10.2.0.0/24", "10.0.0.1"),
            to("10.3.0.0/24", "10.7.0.2"),
            to("10.244.1.128/25", "10.0.0.2"),
            to("fd00:9::/64", "10.0.0.2"),
            to("10.4.0.0/24", "fd00::2"),
        ])
        .await;
        rig.until("all sorted", |report| report.missing.len() == 5 && report.ready).await;
        let report = Arc::clone(&rig.report.borrow());
        assert_eq!(
            named(&report.installed),
            ["10.4.0.0/24", "10.244.1.0/24", "fd00:244:1::/64"],
            "IPv4 by an IPv6 next hop as well"
        );
        for (prefix, words) in [
            ("10.1.0.0/24", "next hop 10.9.0.1 is not on a connected subnet: "),
            ("10.2.0.0/24", "is an address of this node"),
            ("10.3.0.0/24", "is behind eth1, which is down: `ip link set eth1 up`"),
            ("10.244.1.128/25", "10.244.1.0/24 is this node's own"),
            ("fd00:9::/64", "an IPv6 route cannot go by the IPv4 next hop"),
        ] {
            let reason = reason(&report, prefix);
            assert!(reason.contains(words), "{prefix}: {reason}");
        }
        assert_eq!(ours("-4").len(), 2);
    });
}

#[test]
fn leftovers_are_kept_replaced_or_confirmed_and_then_swept() {
    in_namespace(|| async {
        node();
        for (prefix, next_hop) in
            [("10.1.0.0/24", "10.0.0.2"), ("10.2.0.0/24", "10.0.0.9"), ("10.3.0.0/24", "10.0.0.2")]
        {
            ip(&format!("route add {prefix} via {next_hop} metric 116 proto 116"));
        }
        ip("-6 route add fd00:3::/64 via fd00::2 metric 116 proto 116");
        ip("route add 10.3.0.0/24 via 10.0.0.2 metric 99 proto 116");
        ip("route add blackhole 10.5.0.0/24 metric 116 proto 116");
        ip("route add 10.4.0.0/24 via 10.0.0.2 metric 116 proto static");
        let dataplane = fixture::snapshot(CONFIG).dataplane;
        assert_eq!(kernel::preserved(&dataplane).unwrap(), twill_bgp::proto::types::Families::ALL);
        let mut rig = Rig::start();
        rig.until("adopted", |report| report.stale.len() == 6 && !report.ready).await;
        rig.learn(vec![to("10.1.0.0/24", "10.0.0.2"), to("10.2.0.0/24", "10.0.0.2")]).await;
        rig.until("confirmed and replaced", |report| {
            report.installed.len() == 4 && report.stale.len() == 4
        })
        .await;
        assert!(ours("-4").contains(&"10.2.0.0/24 via 10.0.0.2 dev eth0 metric 116".into()));
        assert!(ours("-4").contains(&"10.3.0.0/24 via 10.0.0.2 dev eth0 metric 116".into()));
        assert!(rig.report.borrow().problems[0].contains("End-of-RIB"));
        rig.sync(Vec::new()).await;
        rig.settled(4).await;
        assert_eq!(ours("-4").len(), 3);
        assert_eq!(ours("-6").len(), 1);
        assert!(ip("route show 10.4.0.0/24").contains("static"), "foreign routes stay");
        // At the end all stays.
        rig.owner.shutdown().await;
        assert_eq!(ours("-4").len(), 3);
    });
}

#[test]
fn a_foreign_route_in_our_place_is_reported_and_never_touched() {
    in_namespace(|| async {
        node();
        ip("route add 10.1.0.0/24 via 10.0.0.9 metric 116 proto static");
        ip("-6 route add fd00:1::/64 via fd00::9 metric 116 proto static");
        let mut rig = Rig::start();
        rig.sync(vec![to("10.1.0.0/24", "10.0.0.2"), to("fd00:1::/64", "fd00::2")]).await;
        rig.until("clashes", |report| report.problems.len() == 2 && report.ready).await;
        let report = Arc::clone(&rig.report.borrow());
        let words = reason(&report, "10.1.0.0/24");
        assert!(words.contains("of protocol static via 10.0.0.9 dev eth0"), "{words}");
        assert!(words.contains("`ip route del 10.1.0.0/24 table 254 metric 116 proto static`"));
        assert!(reason(&report, "fd00:1::/64").contains("`ip -6 route del"));
        assert!(ip("route show 10.1.0.0/24").contains("via 10.0.0.9"));
        // It takes the place as soon as it is free.
        let took = time_until_back(prefix("10.1.0.0/24"), || {
            ip("route del 10.1.0.0/24 proto static");
        })
        .await;
        ip("-6 route del fd00:1::/64 proto static");
        rig.settled(4).await;
        println!("a freed place was taken after {took:?}");
        assert!(took < Duration::from_millis(100), "{took:?}");
        // Somebody puts a route of theirs in the place of ours: theirs now.
        ip("route replace 10.1.0.0/24 via 10.0.0.9 metric 116 proto static");
        rig.until("the clash again", |report| report.missing.len() == 1).await;
        assert!(ip("route show 10.1.0.0/24").contains("via 10.0.0.9"));
    });
}

#[test]
fn a_route_that_others_delete_or_change_is_back_at_once() {
    in_namespace(|| async {
        node();
        let mut rig = Rig::start();
        rig.sync(vec![to("10.1.0.0/24", "10.0.0.2")]).await;
        rig.settled(3).await;
        let target = prefix("10.1.0.0/24");
        let mut times = Vec::new();
        for command in [
            "route del 10.1.0.0/24",
            "route replace 10.1.0.0/24 via 10.0.0.7 metric 116 proto 116",
            "route change blackhole 10.1.0.0/24 metric 116 proto 116",
        ] {
            times.push(time_until_back(target, || drop(ip(command))).await);
            rig.notice(|notice| matches!(notice, KernelNotice::Restored(_))).await;
            assert_eq!(ours("-4")[0], "10.1.0.0/24 via 10.0.0.2 dev eth0 metric 116");
        }
        println!("deleted, changed, made a blackhole: back after {times:?}");
        assert!(times.iter().all(|time| *time < Duration::from_millis(100)), "{times:?}");
        // A route under our protocol that nobody asked for goes.
        ip("route add 10.66.0.0/24 via 10.0.0.2 metric 116 proto 116");
        rig.notice(|notice| matches!(notice, KernelNotice::Removed(_))).await;
        assert_eq!(ours("-4").len(), 2);
    });
}

#[test]
fn a_flushed_table_of_ten_thousand_is_back() {
    in_namespace(|| async {
        node();
        let mut rig = Rig::start();
        let started = Instant::now();
        rig.sync(many(10_000, "10.0.0.2")).await;
        rig.settled(10_002).await;
        println!("10,000 routes installed and reported after {:?}", started.elapsed());
        let last = prefix("11.39.15.0/24");
        let started = Instant::now();
        let took = time_until_back(last, || drop(ip("route flush proto 116"))).await;
        while ours("-4").len() != 10_001 {
            rig.report.changed().await.unwrap();
        }
        println!(
            "10,000 flushed: the last back {took:?} after the flush, all seen after {:?} with the \
             flush itself",
            started.elapsed()
        );
        rig.settled(10_002).await;
    });
}

#[test]
fn lost_hints_lead_to_a_listing() {
    in_namespace(|| async {
        node();
        // Room for a handful of notifications.
        let mut rig = Rig::with(CONFIG, 4096);
        rig.sync(many(2_000, "10.0.0.2")).await;
        rig.settled(2_002).await;
        ip("route flush proto 116");
        while ours("-4").len() != 2_001 {
            rig.report.changed().await.unwrap();
        }
        rig.settled(2_002).await;
    });
}

#[test]
fn a_link_that_goes_down_and_comes_back_brings_its_routes_back() {
    in_namespace(|| async {
        node();
        std::fs::write("/proc/sys/net/ipv6/conf/eth0/keep_addr_on_down", "1").unwrap();
        let mut rig = Rig::start();
        rig.sync(vec![to("10.1.0.0/24", "10.0.0.2"), to("fd00:1::/64", "fd00::2")]).await;
        rig.settled(4).await;
        ip("link set eth0 down");
        rig.until("both are missing", |report| report.missing.len() == 2).await;
        assert!(reason(&rig.report.borrow(), "10.1.0.0/24").contains("eth0, which is down"));
        let took = time_until_back(prefix("10.1.0.0/24"), || drop(ip("link set eth0 up"))).await;
        rig.settled(4).await;
        println!("back {took:?} after the link came up");
        assert_eq!(ours("-4").len() + ours("-6").len(), 4);
        // Down and up at once: the routes are gone, though nothing has changed in the end.
        let took = time_until_back(prefix("10.1.0.0/24"), || {
            ip("link set eth0 down");
            ip("link set eth0 up");
        })
        .await;
        rig.settled(4).await;
        println!("back {took:?} after a bounce");
        assert_eq!(ours("-4").len() + ours("-6").len(), 4);
    });
}

#[test]
fn addresses_may_go_come_and_change() {
    in_namespace(|| async {
        node();
        let mut rig = Rig::start();
        rig.sync(vec![to("10.1.0.0/24", "10.0.0.2"), to("10.2.0.0/24", "10.8.0.2")]).await;
        rig.until("one", |report| report.installed.len() == 3 && report.ready).await;
        ip("address add 10.8.0.1/24 dev eth0");
        rig.settled(4).await;
        ip("address del 10.0.0.1/24 dev eth0");
        rig.until("the subnet has gone", |report| {
            reason(report, "10.1.0.0/24").contains("not on a connected subnet")
        })
        .await;
        // The pod CIDR stays, without the source that is no longer ours.
        assert!(
            ours("-4")
                .iter()
                .any(|line| line.starts_with("10.244.1.0/24 dev twill0 scope link metric"))
        );
        ip("address add 10.0.0.1/16 dev eth0");
        rig.settled(4).await;
        assert!(ours("-4").iter().any(|line| line.contains("src 10.0.0.1")));
    });
}

#[test]
fn what_the_kernel_refuses_is_shown_and_tried_again() {
    in_namespace(|| async {
        node();
        // A subnet without a connected route.
        ip("address add 10.8.0.1/24 dev eth0 noprefixroute");
        let mut rig = Rig::start();
        rig.sync(vec![to("10.1.0.0/24", "10.0.0.2"), to("10.2.0.0/24", "10.8.0.2")]).await;
        rig.until("refused twice", |report| {
            reason(report, "10.2.0.0/24").contains("noprefixroute")
                && !report.ready
                && report.errors > 0
        })
        .await;
        assert_eq!(rig.report.borrow().installed.len(), 3, "the rest of the batch is there");
        rig.notice(|notice| matches!(notice, KernelNotice::Failed { .. })).await;
        ip("route add 10.8.0.0/24 dev eth0 proto kernel scope link");
        rig.settled(4).await;
        assert!(rig.report.borrow().problems.is_empty());
    });
}

#[test]
fn the_bridge_may_be_flushed_and_made_again() {
    in_namespace(|| async {
        ip("link add twill0 type bridge");
        link("eth0", &["10.0.0.1/24", "fd00::1/64"]);
        let mut rig = Rig::start();
        rig.sync(Vec::new()).await;
        rig.until("the bridge is down", |report| {
            reason(report, "10.244.1.0/24").contains("twill0 is down") && !report.ready
        })
        .await;
        ip("link set twill0 up");
        rig.settled(2).await;
        ip("route flush dev twill0");
        ip("-6 route flush dev twill0 proto 116");
        rig.notice(|notice| matches!(notice, KernelNotice::Restored(_))).await;
        rig.notice(|notice| matches!(notice, KernelNotice::Restored(_))).await;
        assert_eq!((ours("-4").len(), ours("-6").len()), (1, 1));
        ip("link del twill0");
        rig.until("missing", |report| {
            reason(report, "fd00:244:1::/64").contains("twill0 is missing")
        })
        .await;
        ip("link add twill0 type bridge");
        ip("link set twill0 up");
        rig.settled(2).await;
        assert_eq!((ours("-4").len(), ours("-6").len()), (1, 1));
    });
}

#[test]
fn marks_change_live_and_nothing_is_touched_where_nothing_is_installed() {
    in_namespace(|| async {
        node();
        let mut rig = Rig::start();
        rig.sync(vec![to("10.1.0.0/24", "10.0.0.2")]).await;
        rig.settled(3).await;
        let set = |rig: &Rig, dataplane: &str| {
            let config = format!("{CONFIG}\ndataplane: {{{dataplane}}}");
            rig.snapshot.send_replace(Arc::new(fixture::snapshot(&config)));
        };
        set(&rig, "metric: 50");
        while ours("-4").iter().any(|line| line.contains("metric 116")) || ours("-4").len() != 2 {
            rig.report.changed().await.unwrap();
        }
        rig.settled(3).await;
        assert_eq!(ours("-4")[0], "10.1.0.0/24 via 10.0.0.2 dev eth0 metric 50");
        set(&rig, "metric: 50, install: false");
        // What is nobody's to mend or remove any more goes; what comes later is not looked at.
        rig.until("off", |report| report.installed.is_empty() && report.ready).await;
        assert_eq!([ours("-4"), ours("-6")], [Vec::<String>::new(), Vec::new()]);
        let ended = rig.owner.join_next().await.unwrap().unwrap();
        assert_eq!(ended.unwrap(), Ended::NotWanted);
        ip("route add 10.9.0.0/24 via 10.0.0.2 metric 50 proto 116");
        let mut rig = Rig::with(&format!("{CONFIG}\ndataplane: {{metric: 50}}"), RECEIVE_BUFFER);
        rig.sync(vec![to("10.1.0.0/24", "10.0.0.2")]).await;
        rig.settled(3).await;
        assert!(!ours("-4").iter().any(|line| line.contains("10.9.0.0")), "it was unexpected");
    });
}

#[test]
fn a_change_on_an_idle_node_is_in_the_kernel_at_once() {
    in_namespace(|| async {
        node();
        let mut rig = Rig::start();
        rig.sync(many(1_000, "10.0.0.2")).await;
        rig.settled(1_002).await;
        let mut watch = Watch::open(&[Group::Routes], None).unwrap();
        let mut times = Vec::new();
        for number in 0..100_u8 {
            let next_hop = if number % 2 == 0 { "10.0.0.3" } else { "10.0.0.2" };
            let change = to("11.0.5.0/24", next_hop);
            let received = change.received;
            rig.learn(vec![change]).await;
            let mut events = Vec::new();
            watch.wait(&mut events).await.unwrap();
            times.push(received.elapsed());
        }
        times.sort_unstable();
        println!("best path to notification: median {:?}, most {:?}", times[50], times[99]);
        assert!(times[50] < Duration::from_millis(20), "{times:?}");
    });
}
