//! The owner of the table against the real kernel, each test in a namespace of its own.

use tokio::task::JoinSet;

use super::*;
use crate::desired::fixture::{THREE, snapshot};
use crate::kernel::testing::{in_namespace, nft};
use crate::reconcile::report::FibRoute;

struct Rig {
    snapshot: watch::Sender<Arc<Snapshot>>,
    fib: watch::Sender<Arc<FibReport>>,
    report: watch::Receiver<Arc<MasqueradeReport>>,
    _owner: JoinSet<Result<(), KernelError>>,
}

impl Rig {
    fn start() -> Rig {
        let snapshot = watch::Sender::new(Arc::new(snapshot(THREE)));
        let fib = watch::Sender::new(Arc::<FibReport>::default());
        let (reports, report) = watch::channel(Arc::default());
        let inputs = Inputs { snapshot: snapshot.subscribe(), fib: fib.subscribe() };
        let mut owner = JoinSet::new();
        owner.spawn(run(inputs, reports));
        Rig { snapshot, fib, report, _owner: owner }
    }

    fn configure(&self, more: &str) {
        self.snapshot.send_replace(Arc::new(snapshot(&format!("{THREE}{more}"))));
    }

    async fn until(&mut self, what: &str, holds: impl FnMut(&Arc<MasqueradeReport>) -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(10), self.report.wait_for(holds));
        let failed = waited.await.map_or(true, |report| report.is_err());
        assert!(!failed, "never: {what}; now: {:#?}", self.report.borrow());
    }
}

/// Until nft shows this, or shows it no more.
async fn shows(part: &str, expected: bool) {
    let begin = Instant::now();
    while nft("list ruleset").contains(part) != expected {
        assert!(begin.elapsed() < Duration::from_secs(10), "{part}:\n{}", nft("list ruleset"));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn the_table_follows_the_configuration_and_what_is_learned() {
    in_namespace(|| async {
        let mut rig = Rig::start();
        rig.until("active", |report| report.active && report.problems.is_empty()).await;
        shows("fully-random", true).await;
        let route = FibRoute {
            prefix: "198.51.100.0/24".parse().unwrap(),
            next_hop: None,
            device: None,
            reason: None,
        };
        let learned = FibReport { installed: vec![route], ..FibReport::default() };
        rig.fib.send_replace(Arc::new(learned));
        shows("198.51.100.0/24", true).await;
        rig.configure("dataplane: {masqueradeExempt: [172.16.0.0/12]}");
        shows("172.16.0.0/12", true).await;
        rig.configure("dataplane: {masquerade: false}");
        shows("twill", false).await;
        rig.until("off", |report| !report.active).await;
        rig.configure("");
        shows("198.51.100.0/24", true).await;
    });
}

#[test]
fn what_others_change_is_put_back_and_theirs_is_left_alone() {
    in_namespace(|| async {
        nft("add table ip theirs");
        let mut rig = Rig::start();
        rig.until("active", |report| report.active).await;
        for change in [
            "flush ruleset",
            "delete element inet twill pods4 { 10.244.1.0/24 }",
            "flush chain inet twill postrouting",
            "delete table inet twill",
        ] {
            nft(change);
            shows("10.244.1.0/24", true).await;
            shows("ip daddr != @exempt4 masquerade", true).await;
        }
        nft("add table ip theirs");
        nft("add element inet twill exempt4 { 192.0.2.0/24 }");
        shows("192.0.2.0/24", false).await;
        shows("table ip theirs", true).await;
    });
}

#[test]
fn a_table_of_an_earlier_run_goes_where_masquerade_is_off() {
    in_namespace(|| async {
        let mut filter = Filter::open().unwrap();
        filter.replace(&Masquerade::new(&snapshot(THREE), []).unwrap()).unwrap();
        let rig = Rig::start();
        rig.configure("dataplane: {masquerade: false}");
        shows("twill", false).await;
    });
}

#[test]
fn a_firewall_that_drops_pods_is_told_of_with_the_remedy_that_helps() {
    in_namespace(|| async {
        let mut rig = Rig::start();
        rig.until("active", |report| report.active).await;
        nft("add table ip filter");
        nft("add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }");
        rig.until("told", |report| report.problems.len() == 1).await;
        let problem = rig.report.borrow().problems[0].clone();
        let remedy = problem.split('`').nth(1).unwrap();
        nft(remedy.strip_prefix("nft ").unwrap());
        // Rules alone are no hint, so that a busy firewall wakes nobody; a chain is.
        nft("add chain ip filter other { type filter hook forward priority 1; }");
        rig.until("gone", |report| report.problems.is_empty()).await;
    });
}
