use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{broadcast, watch};
use tracing::warn;
use twill_bgp::Readiness;
use twill_bgp::proto::types::Prefix;

use super::fault::Trouble;
use super::table::{Table, Wanted};
use crate::desired::Via;
use crate::kernel::KernelError;
use crate::reconcile::report::{FibReport, FibRoute, KernelNotice};

/// A report takes at most one part in this many of the owner's time.
const SHARE: u32 = 20;
/// Reports are at least so far apart: one after each of many single changes would take more of
/// the processor, and of its caches, than the changes do.
const SELDOM: Duration = Duration::from_millis(50);
/// After the first change, so many times what a report costs is waited for more: what changes many
/// routes mostly has not changed them all yet.
const MORE_MAY_COME: u32 = 4;
/// Clashes and refusals named one by one; the rest is counted.
const NAMED: usize = 20;

/// The problem before the first exchange is over.
const WAITING: &str = "waiting for the first exchange of routes with all peers: it ends with \
     their End-of-RIB, at the latest after 120 s, or 10 s at a first start; `twill peers` shows \
     who is missing";

/// Publishes reports and notices, without standing in the way of routes.
#[derive(Debug)]
pub(super) struct Publisher {
    report: watch::Sender<Arc<FibReport>>,
    notices: broadcast::Sender<KernelNotice>,
    /// Whether kernel routes are ours to touch.
    pub(super) enabled: bool,
    /// Failed attempts since start.
    pub(super) errors: u64,
    last_sync: Duration,
    synced_at: Option<SystemTime>,
    list_error: Option<String>,
    /// When something first changed that is not told yet.
    changed: Option<Instant>,
    published_at: Instant,
    cost: Duration,
}

impl Publisher {
    pub(super) fn new(
        report: watch::Sender<Arc<FibReport>>,
        notices: broadcast::Sender<KernelNotice>,
        enabled: bool,
    ) -> Publisher {
        Publisher {
            report,
            notices,
            enabled,
            errors: 0,
            last_sync: Duration::ZERO,
            synced_at: None,
            list_error: None,
            changed: None,
            published_at: Instant::now(),
            cost: Duration::ZERO,
        }
    }

    /// Something may have changed.
    pub(super) fn touch(&mut self) {
        self.changed.get_or_insert_with(Instant::now);
    }

    /// Notes the end of a full pass.
    pub(super) fn listed(&mut self, took: Duration, error: Option<KernelError>) {
        self.touch();
        match error {
            None => {
                self.last_sync = took;
                self.synced_at = Some(SystemTime::now());
                self.list_error = None;
            }
            Some(error) => {
                warn!(%error, "the kernel cannot be listed: trying again");
                self.errors += 1;
                self.list_error = Some(error.to_string());
            }
        }
    }

    pub(super) fn last_sync(&self) -> Duration {
        self.last_sync
    }

    /// Tells listeners, if there are any.
    pub(super) fn notice(&self, notice: impl FnOnce() -> KernelNotice) {
        if self.notices.receiver_count() > 0 {
            // The last listener may have just left.
            let _ = self.notices.send(notice());
        }
    }

    /// When a report is due.
    pub(super) fn due_at(&self) -> Option<Instant> {
        let seldom = self.published_at + SELDOM.max(self.cost * SHARE);
        self.changed.map(|at| seldom.max(at + self.cost * MORE_MAY_COME))
    }

    pub(super) fn is_due(&self) -> bool {
        self.due_at().is_some_and(|at| at <= Instant::now())
    }

    pub(super) fn publish(&mut self, table: &mut Table) {
        let started = Instant::now();
        let report = self.build(table);
        self.report.send_replace(Arc::new(report));
        self.changed = None;
        self.published_at = Instant::now();
        self.cost = self.published_at - started;
    }

    fn build(&self, table: &mut Table) -> FibReport {
        let mut report = FibReport {
            last_sync: self.last_sync,
            synced_at: self.synced_at,
            errors: self.errors,
            problems: self.list_error.iter().cloned().collect(),
            ..FibReport::default()
        };
        if !self.enabled {
            report.ready = table.in_sync;
        } else {
            let awaited = fill(&mut report, table);
            report.ready = table.in_sync && awaited == 0 && self.list_error.is_none();
        }
        if !table.in_sync {
            report.problems.push(WAITING.into());
        }
        report
    }
}

/// What is told of an agent that touches no routes.
pub(super) fn without_routes(readiness: Readiness) -> FibReport {
    let ready = matches!(readiness, Readiness::InSync { .. });
    let problems = if ready { vec![] } else { vec![WAITING.into()] };
    FibReport { ready, problems, ..FibReport::default() }
}

/// Sorts every prefix into the report; how many installable routes are not in the kernel.
fn fill(report: &mut FibReport, table: &mut Table) -> usize {
    let mut prefixes: Vec<Prefix> = table.prefixes().into_iter().collect();
    prefixes.sort_unstable();
    let mut awaited = 0;
    let mut troubles: BTreeMap<String, Vec<Prefix>> = BTreeMap::new();
    for prefix in prefixes {
        let standing = table.standing(prefix);
        match table.wanted(prefix) {
            Wanted::Route(via) if standing.as_ref().is_some_and(|s| s.plain && s.via == via) => {
                report.installed.push(fib_route(table, prefix, &via));
            }
            Wanted::Route(via) => {
                let trouble = table.faults.get(&prefix).map(|fault| &fault.trouble);
                // Nothing that we or time could mend: a clash is shown and holds nobody up.
                if !matches!(trouble, Some(Trouble::Clash(_))) {
                    awaited += 1;
                }
                let reason = trouble.map(ToString::to_string);
                troubles.entry(reason.clone().unwrap_or_default()).or_default().push(prefix);
                report.missing.push(FibRoute { reason, ..fib_route(table, prefix, &via) });
            }
            Wanted::Unroutable(reason) => {
                if table.is_local(prefix) {
                    awaited += 1;
                }
                report.missing.push(FibRoute {
                    prefix,
                    next_hop: table.next_hop(prefix),
                    device: None,
                    reason: Some(reason.to_string()),
                });
                stale_or_unexpected(report, table, prefix);
            }
            Wanted::Nothing => stale_or_unexpected(report, table, prefix),
        }
    }
    for listed in table.extras() {
        let route = fib_route(table, listed.prefix, &listed.via);
        if table.in_sync {
            report.unexpected.push(route);
        } else {
            report.stale.push(route);
        }
    }
    troubles.remove("");
    report.problems.extend(troubles.iter().take(NAMED).map(|(words, prefixes)| {
        match prefixes.as_slice() {
            [prefix] => format!("{prefix}: {words}"),
            [prefix, rest @ ..] => format!("{prefix} and {} more: {words}", rest.len()),
            [] => words.clone(),
        }
    }));
    if troubles.len() > NAMED {
        report.problems.push(format!("{} more kinds of trouble", troubles.len() - NAMED));
    }
    awaited
}

fn stale_or_unexpected(report: &mut FibReport, table: &Table, prefix: Prefix) {
    let Some(listed) = table.standing(prefix) else { return };
    let route = fib_route(table, prefix, &listed.via);
    if table.is_stale(prefix) && !table.in_sync {
        report.stale.push(route);
    } else {
        report.unexpected.push(route);
    }
}

/// A route as reports and notices show it.
pub(super) fn fib_route(table: &Table, prefix: Prefix, via: &Via) -> FibRoute {
    let device = table.desired.view().links.get(&via.device).map(|link| link.name.to_string());
    FibRoute { prefix, next_hop: via.next_hop, device, reason: None }
}
