use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};
use tracing::{debug, warn};
use twill_bgp::BestChange;
use twill_bgp::proto::types::Prefix;

use super::courier::{Answer, Courier};
use super::fault::Trouble;
use super::report::fib_route;
use super::table::{Step, TOGETHER};
use super::{Cause, Dirty, Owner, SETTLE};
use crate::desired::KernelRoute;
use crate::kernel::routes::{self, Listed, Scope, protocol_name};
use crate::kernel::{Errno, Failure, Refusal};
use crate::reconcile::report::{FibRoute, KernelNotice};

/// Requests to one send. From sixteen on more of them gain nothing (docs/decisions/0050); fewer
/// let other tasks run sooner: this many take about a millisecond.
const BATCH: usize = 256;
/// Requests to one send where there are more than [`BATCH`]: on another thread, which no task
/// waits for.
const LARGE_BATCH: usize = 1024;
/// How often in a row a prefix is looked at again because the kernel was not as we believed.
const ROUNDS: usize = 3;

/// Prefixes with the step that was taken for each.
pub(super) type Steps = Vec<(Dirty, Step)>;

/// What batches left to be done.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// A route stands where ours was to be added.
    occupied: Vec<Dirty>,
    /// Ours was not where it was to be replaced.
    unmatched: Vec<Dirty>,
    /// Changed again while a step was on its way.
    waiting: Vec<Dirty>,
}

impl Left {
    fn is_empty(&self) -> bool {
        self.occupied.is_empty() && self.unmatched.is_empty() && self.waiting.is_empty()
    }
}

impl Owner {
    /// Takes best paths in, and to the kernel as far as [`Owner::apply_ahead`] goes.
    pub(super) async fn learn(&mut self, changes: Vec<BestChange>) {
        // What is learned is still near when its step is worked out.
        for chunk in changes.chunks(LARGE_BATCH) {
            self.table.learn(chunk);
            let dirty = |change: &BestChange| (change.prefix, Cause::Learned(change.received));
            self.apply_ahead(chunk.iter().map(dirty).collect()).await;
        }
    }

    /// Takes the next step for each prefix. Until the kernel agrees, or says why not.
    pub(super) async fn apply(&mut self, dirty: Vec<Dirty>) {
        self.dispatch(dirty).await;
        self.finish().await;
    }

    /// The same, but what is much may still be on its way when this returns: then
    /// [`Owner::answered`] or [`Owner::finish`] goes on with it. Before anything but another call
    /// of this may be done with the table or the kernel, [`Owner::finish`] is due.
    pub(super) async fn apply_ahead(&mut self, dirty: Vec<Dirty>) {
        self.dispatch(dirty).await;
        if !self.left.is_empty() {
            self.finish().await;
        }
    }

    async fn dispatch(&mut self, dirty: Vec<Dirty>) {
        if !self.enabled() || dirty.is_empty() {
            return;
        }
        self.publisher.touch();
        if dirty.len() <= BATCH && self.courier.is_none() {
            let steps = self.collect(&dirty);
            let failures = self.netlink.commit();
            self.settle(&steps, failures);
            return;
        }
        for chunk in dirty.chunks(LARGE_BATCH) {
            let steps = self.collect(chunk);
            if steps.is_empty() {
                continue;
            }
            for ((prefix, _), _) in &steps {
                self.table.sent(*prefix);
            }
            let sent = self.netlink.take();
            let mut courier = self.courier.take().unwrap_or_else(Courier::new);
            while courier.is_full() {
                if let Some((steps, answer)) = courier.answer().await {
                    self.settle(&steps, answer);
                }
            }
            courier.take(sent, steps).await;
            self.courier = Some(courier);
        }
    }

    /// Goes on with what the kernel answered to a batch.
    pub(super) async fn answered(&mut self, steps: Steps, answer: Answer) {
        self.settle(&steps, answer);
        if self.courier.as_ref().is_some_and(Courier::is_idle) {
            self.finish().await;
        }
    }

    /// Waits for what is on its way, and takes what it left in hand, until the kernel agrees or
    /// says why not.
    pub(super) async fn finish(&mut self) {
        for _ in 0..ROUNDS {
            while let Some(mut courier) = self.courier.take() {
                if let Some((steps, answer)) = courier.answer().await {
                    self.settle(&steps, answer);
                    self.courier = Some(courier);
                }
            }
            if self.left.is_empty() {
                return;
            }
            let Left { occupied, mut unmatched, mut waiting } = std::mem::take(&mut self.left);
            self.clear_unmatched(&unmatched);
            self.look_at_occupied(&occupied).await;
            let mut dirty = occupied;
            dirty.append(&mut unmatched);
            dirty.append(&mut waiting);
            self.dispatch(dirty).await;
        }
        debug!("routes change faster than they can be listed");
        self.relist_soon(SETTLE);
    }

    /// Collects the requests for the next step of each prefix.
    fn collect(&mut self, chunk: &[Dirty]) -> Steps {
        let now = Instant::now();
        let marks = self.table.marks;
        let mut steps = Vec::with_capacity(chunk.len());
        for dirty in chunk {
            let step = self.table.step(dirty.0, now);
            match &step {
                Step::Nothing => continue,
                Step::Wait => {
                    self.left.waiting.push(*dirty);
                    continue;
                }
                Step::Add(via) => routes::add(&mut self.netlink, &marks, dirty.0, via),
                Step::Replace(via) => routes::replace(&mut self.netlink, &marks, dirty.0, via),
                Step::Delete(listed) => routes::delete(&mut self.netlink, listed),
            }
            steps.push((*dirty, step));
        }
        steps
    }

    /// Notes what the kernel did.
    fn settle(&mut self, steps: &[(Dirty, Step)], answer: Answer) {
        let failures = match answer {
            Ok(failures) => failures,
            Err(error) => {
                warn!(%error, "a batch of routes has no known result: listing again");
                steps.iter().for_each(|((prefix, _), _)| self.table.arrived(*prefix));
                self.publisher.errors += 1;
                self.relist_soon(SETTLE);
                return;
            }
        };
        let acknowledged = Instant::now();
        let mut failures = failures.into_iter().peekable();
        for (index, (dirty, step)) in steps.iter().enumerate() {
            if index % TOGETHER == 0 {
                let next = steps.iter().skip(index).take(TOGETHER);
                std::hint::black_box(self.table.bring_near(next.map(|((prefix, _), _)| *prefix)));
            }
            match failures.next_if(|failure| failure.index == index) {
                Some(Failure { refusal, .. }) => self.refused(*dirty, step, refusal),
                None => self.accepted(*dirty, step, acknowledged),
            }
        }
    }

    fn accepted(&mut self, (prefix, cause): Dirty, step: &Step, at: Instant) {
        let installs = matches!(step, Step::Add(_) | Step::Replace(_));
        if let (true, Cause::Learned(received)) = (installs, cause) {
            (self.installed)(at.saturating_duration_since(received));
        }
        self.table.done(prefix, step);
        self.notice(prefix, step, |route| match (installs, cause) {
            (false, _) => KernelNotice::Removed(route),
            (true, Cause::Disturbed) => KernelNotice::Restored(route),
            (true, _) => KernelNotice::Installed(route),
        });
    }

    fn notice(&self, prefix: Prefix, step: &Step, of: impl FnOnce(FibRoute) -> KernelNotice) {
        if let Some(via) = step.via() {
            self.publisher.notice(|| of(fib_route(&self.table, prefix, via)));
        }
    }

    fn refused(&mut self, dirty: Dirty, step: &Step, refusal: Refusal) {
        let prefix = dirty.0;
        self.table.arrived(prefix);
        match (step, refusal.errno) {
            (Step::Add(_), Errno::EEXIST) => self.left.occupied.push(dirty),
            (Step::Replace(_), Errno::ENOENT | Errno::ESRCH) => self.left.unmatched.push(dirty),
            (Step::Delete(_), Errno::ESRCH | Errno::ENODEV) => self.table.done(prefix, step),
            _ => {
                let passing = matches!(
                    refusal.errno,
                    Errno::ENETDOWN | Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::ENODEV
                );
                let first = !self.table.faults.contains_key(&prefix);
                let error = refusal.to_string();
                self.table.fault(prefix, Trouble::Refused(refusal), Instant::now());
                if passing && first {
                    // The host has most likely changed, and the hint is on its way.
                    self.relist_soon(SETTLE);
                    return;
                }
                if first {
                    warn!(%prefix, %error, "the kernel refuses a route");
                }
                self.publisher.errors += 1;
                self.notice(prefix, step, |route| KernelNotice::Failed { route, error });
            }
        }
    }

    /// Where a replacement found nothing to replace: our route has gone, or is of a kind that
    /// the kernel does not replace by the new one (IPv6: on link by next hop). It is deleted, if
    /// there, and the next round adds.
    fn clear_unmatched(&mut self, unmatched: &[Dirty]) {
        for (prefix, _) in unmatched {
            if let Some(listed) = self.table.standing(*prefix) {
                routes::delete(&mut self.netlink, &listed);
            }
            self.table.absent(*prefix);
        }
        // Refusals only say that it had gone; lost answers show in the next round.
        if let Err(error) = self.netlink.commit() {
            debug!(%error, "clearing the way for routes");
        }
    }

    /// Finds out who stands where our routes were to be added.
    async fn look_at_occupied(&mut self, occupied: &[Dirty]) {
        if occupied.is_empty() {
            return;
        }
        let wanted: HashSet<Prefix> = occupied.iter().map(|(prefix, _)| *prefix).collect();
        let marks = self.table.marks;
        let mut found: HashMap<Prefix, Listed> = HashMap::new();
        let result = routes::list(&mut self.netlink, Scope::Table(marks.table), |route| {
            if wanted.contains(&route.prefix) && route.has_our_place(&marks) {
                found.insert(route.prefix, route);
            }
        })
        .await;
        if let Err(error) = result {
            warn!(%error, "a clash of routes cannot be looked at");
            self.publisher.errors += 1;
        }
        let now = Instant::now();
        for (prefix, route) in found {
            if route.is_ours(&marks) {
                self.table.take(route);
                continue;
            }
            let words =
                clash(&KernelRoute::new(prefix, route.via), &route, self.table.desired.view());
            let first = self.table.fault(prefix, Trouble::Clash(words.clone()), now);
            if first {
                warn!(%prefix, "{words}");
                self.publisher.errors += 1;
                let table = &self.table;
                self.publisher.notice(|| KernelNotice::Failed {
                    route: fib_route(table, prefix, &route.via),
                    error: words,
                });
            }
        }
    }

    /// Deletes routes of ours that nothing accounts for, where that can be done now.
    pub(super) async fn delete_extras(&mut self) {
        if !self.enabled() {
            return;
        }
        let extras = self.table.take_extras(Instant::now());
        self.delete_all(&extras).await;
    }

    /// Takes every route of ours out of the kernel.
    pub(super) async fn withdraw(&mut self) {
        let all = self.table.take_all();
        tracing::info!("dataplane.install is false now: taking out {} routes", all.len());
        self.delete_all(&all).await;
    }

    async fn delete_all(&mut self, superfluous: &[Listed]) {
        for chunk in superfluous.chunks(BATCH) {
            for listed in chunk {
                routes::delete(&mut self.netlink, listed);
            }
            let failures = match self.netlink.commit() {
                Ok(failures) => failures,
                Err(error) => {
                    warn!(%error, "superfluous routes may still stand");
                    self.relist_soon(Duration::from_secs(1));
                    return;
                }
            };
            for (index, listed) in chunk.iter().enumerate() {
                match failures.iter().find(|failure| failure.index == index) {
                    Some(failure) if failure.refusal.errno != Errno::ESRCH => {
                        self.publisher.errors += 1;
                        warn!(prefix = %listed.prefix, error = %failure.refusal,
                            "a superfluous route cannot be deleted");
                    }
                    _ => {
                        let table = &self.table;
                        self.publisher.notice(|| {
                            KernelNotice::Removed(fib_route(table, listed.prefix, &listed.via))
                        });
                    }
                }
            }
            tokio::task::yield_now().await;
        }
        self.publisher.touch();
    }
}

/// Who has our place, and what to do about it.
fn clash(route: &KernelRoute, listed: &Listed, view: &crate::kernel::HostView) -> String {
    use std::fmt::Write as _;
    let protocol = protocol_name(listed.protocol);
    let mut way = String::new();
    if let Some(next_hop) = route.next_hop {
        let _ = write!(way, " via {next_hop}");
    }
    if let Some(link) = view.links.get(&route.device) {
        let _ = write!(way, " dev {}", link.name);
    }
    let family = if route.prefix.address().is_ipv6() { "ip -6" } else { "ip" };
    format!(
        "a route of protocol {protocol}{way} has the same prefix and metric {metric} in table \
         {table}: remove it (`{family} route del {prefix} table {table} metric {metric} proto \
         {protocol}`), or give ours another dataplane.metric",
        metric = listed.metric,
        table = listed.table,
        prefix = listed.prefix,
    )
}
