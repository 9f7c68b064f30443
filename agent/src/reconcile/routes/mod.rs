//! The owner of our kernel routes.
//!
//! In go the snapshot, best paths from the speaker and hints from the kernel; out go route
//! changes, a [`FibReport`] and [`KernelNotice`]s.
//!
//! ```text
//! best paths ──┐ dirty prefixes            ┌─> add (EXCL) │ replace │ delete, 256 to a send
//! hints ───────┼────────────────> Table ───┤
//! listing ─────┘ (learned, standing)       └─> report, notices, install latency
//! ```
//!
//! A best path goes straight into the kernel: no delay, no listing. Everything else is by
//! listing: at start, when links or addresses change (a few milliseconds after the first hint of
//! it), when hints were lost, and every minute. Whatever the reason, the step for a prefix
//! follows from the same two facts, what is wanted and what stands there ([`table`]), so no
//! order of events matters.
//!
//! Routes of the run before are adopted as stale: confirmed or replaced when a best path comes
//! for their prefix, swept when the first exchange is over (RFC 4724 section 4.1). At shutdown
//! every route stays.

mod apply;
mod courier;
mod fault;
mod learned;
mod pool;
mod report;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use tokio::sync::{broadcast, watch};
use twill_bgp::proto::types::Prefix;
use twill_bgp::{BestChange, Readiness};

use super::fight::Fight;
use super::report::{FibReport, KernelNotice};
use crate::desired::routes::Desired;
use crate::kernel::routes::{self as kernel_routes, Scope};
use crate::kernel::{self, Event, Group, HostView, KernelError, Netlink, Watch, host};
use crate::source::Snapshot;
use apply::{Left, Steps};
use courier::{Answer, Courier, answer};
use fault::Trouble;
pub use learned::BestPaths;
use report::Publisher;
use table::{Hint, Table};

/// How long after the first hint of a change of links or addresses these are listed: most
/// changes come as a handful of messages.
const SETTLE: Duration = Duration::from_millis(3);
/// How often everything is listed in any case.
const RELIST: Duration = Duration::from_secs(60);
/// After a listing that failed.
const RELIST_AFTER_ERROR: Duration = Duration::from_millis(500);

/// What the owner acts upon.
#[derive(Debug)]
pub struct Inputs<B> {
    /// The snapshot in force.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// Best paths.
    pub best_paths: B,
}

/// Takes the time from the receipt of an UPDATE to the kernel's acknowledgement of its route.
pub type Installed = Arc<dyn Fn(Duration) + Send + Sync>;

/// Where the owner tells of itself.
pub struct Outputs {
    /// After each pass; while much happens, now and then.
    pub report: watch::Sender<Arc<FibReport>>,
    /// As it happens.
    pub notices: broadcast::Sender<KernelNotice>,
    /// Called for each route that a best path brings into the kernel.
    pub installed: Installed,
}

impl fmt::Debug for Outputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outputs").finish_non_exhaustive()
    }
}

/// Why a prefix is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// A best path, received then.
    Learned(Instant),
    /// Somebody else deleted or changed our route.
    Disturbed,
    /// Anything else.
    Review,
}

type Dirty = (Prefix, Cause);

/// What woke the owner.
enum Wake {
    Paths(Option<Vec<BestChange>>),
    /// The kernel has answered a batch that was on its way.
    Answer((Steps, Answer)),
    Hints(Result<(), KernelError>),
    /// Whether there will be more snapshots.
    Snapshot(bool),
    Timer,
    NobodyElse,
}

/// Batches of best paths that are taken before all else is looked at: a whole table is many.
const BATCHES_IN_A_ROW: u32 = 4;

struct Owner {
    netlink: Netlink,
    watch: Watch,
    events: Vec<Event>,
    snapshot: Arc<Snapshot>,
    table: Table,
    /// While large batches are on their way to the kernel.
    courier: Option<Courier>,
    left: Left,
    fights: HashMap<Prefix, Fight>,
    /// What the run before has left was listed.
    adopted: bool,
    relist_at: Option<Instant>,
    last_relist: Instant,
    publisher: Publisher,
    installed: Installed,
}

/// Why the owner ended in good order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// There are no more best paths: the speaker has ended.
    NoMorePaths,
    /// A snapshot wants no routes installed.
    NotWanted,
}

/// Keeps our kernel routes as they should be, until there are no more best paths, or a snapshot
/// wants none installed: then it takes them out first, for nobody would mend or remove them.
///
/// Acts in the network namespace of the thread that first polls it. Dropping it leaves every
/// route in place.
///
/// # Errors
/// Where netlink sockets cannot be opened or break; never for a route.
pub async fn run<B: BestPaths>(inputs: Inputs<B>, outputs: Outputs) -> Result<Ended, KernelError> {
    let groups = [Group::Links, Group::Addresses, Group::Routes];
    let netlink = Netlink::open()?;
    let watch = Watch::open(&groups, Some(netlink.port()))?;
    run_with(inputs, outputs, netlink, watch).await
}

/// What stands in for the owner where no kernel route is ours to touch: only tells when the first
/// exchange is over, and so costs nothing for each route. Until the speaker ends.
pub async fn stand_by(mut readiness: watch::Receiver<Readiness>, outputs: Outputs) {
    loop {
        let now = *readiness.borrow_and_update();
        outputs.report.send_replace(Arc::new(report::without_routes(now)));
        if readiness.changed().await.is_err() {
            return;
        }
    }
}

async fn run_with<B: BestPaths>(
    inputs: Inputs<B>,
    outputs: Outputs,
    netlink: Netlink,
    watch: Watch,
) -> Result<Ended, KernelError> {
    let Inputs { snapshot: mut snapshots, mut best_paths } = inputs;
    let mut owner = Owner::new(snapshots.borrow_and_update().clone(), outputs, netlink, watch);
    let mut snapshots_come = true;
    owner.relist().await;
    owner.publisher.publish(&mut owner.table);
    let mut batches = 0;
    loop {
        let wake_at = owner.wake_at();
        let wake = tokio::select! {
            // Best paths first: the only ones that somebody waits for.
            biased;
            batch = best_paths.next(), if batches < BATCHES_IN_A_ROW => Wake::Paths(batch),
            answer = answer(&mut owner.courier) => Wake::Answer(answer),
            result = owner.watch.wait(&mut owner.events) => Wake::Hints(result),
            changed = snapshots.changed(), if snapshots_come => Wake::Snapshot(changed.is_ok()),
            () = tokio::time::sleep_until(wake_at.into()) => Wake::Timer,
            () = std::future::ready(()), if batches == BATCHES_IN_A_ROW => Wake::NobodyElse,
        };
        batches = if let Wake::Paths(_) = wake { batches + 1 } else { 0 };
        if let Wake::Hints(_) | Wake::Snapshot(_) | Wake::Timer = wake {
            owner.finish().await;
        }
        match wake {
            Wake::Paths(batch) => {
                let Some(batch) = batch else {
                    owner.finish().await;
                    return Ok(Ended::NoMorePaths);
                };
                owner.learn(batch).await;
                if let Readiness::InSync { .. } = best_paths.readiness() {
                    owner.in_sync().await;
                }
            }
            Wake::Answer((steps, answer)) => owner.answered(steps, answer).await,
            Wake::Hints(result) => {
                result?;
                let dirty = owner.take_events();
                owner.apply(dirty).await;
            }
            Wake::Snapshot(true) => {
                let snapshot = snapshots.borrow_and_update().clone();
                owner.set_snapshot(snapshot).await;
                if !owner.enabled() {
                    owner.publisher.publish(&mut owner.table);
                    return Ok(Ended::NotWanted);
                }
            }
            // Without a source, the last snapshot stays in force.
            Wake::Snapshot(false) => snapshots_come = false,
            Wake::Timer => owner.timers().await,
            Wake::NobodyElse => {}
        }
        if owner.publisher.is_due() {
            // Nothing half done is reported.
            owner.finish().await;
            owner.publisher.publish(&mut owner.table);
        }
    }
}

impl Owner {
    fn new(snapshot: Arc<Snapshot>, outputs: Outputs, netlink: Netlink, watch: Watch) -> Owner {
        let Outputs { report, notices, installed } = outputs;
        let enabled = snapshot.dataplane.install;
        let desired = Desired::new(&snapshot, Arc::new(HostView::default()));
        let table = Table::new(desired, kernel::marks(&snapshot.dataplane));
        Owner {
            netlink,
            watch,
            events: Vec::new(),
            snapshot,
            table,
            courier: None,
            left: Left::default(),
            fights: HashMap::new(),
            adopted: false,
            relist_at: None,
            last_relist: Instant::now(),
            publisher: Publisher::new(report, notices, enabled),
            installed,
        }
    }

    fn enabled(&self) -> bool {
        self.snapshot.dataplane.install
    }

    fn wake_at(&self) -> Instant {
        let retry = self.table.faults.values().map(|fault| fault.retry_at).min();
        let relist = self.relist_at.unwrap_or(self.last_relist + RELIST);
        let publish = self.publisher.due_at();
        [retry, publish].into_iter().flatten().fold(relist, Instant::min)
    }

    async fn timers(&mut self) {
        let now = Instant::now();
        if self.relist_at.unwrap_or(self.last_relist + RELIST) <= now {
            self.relist().await;
        }
        let due = self.table.faults.iter().filter(|(_, fault)| !fault.waits(now));
        let due: Vec<Dirty> = due.map(|(prefix, _)| (*prefix, Cause::Review)).collect();
        if !due.is_empty() {
            self.apply(due).await;
        }
    }

    /// Lists soon, and not so often that nothing else is done.
    fn relist_soon(&mut self, settle: Duration) {
        let at = (Instant::now() + settle).max(self.last_relist + self.publisher.last_sync() * 2);
        self.relist_at = Some(self.relist_at.map_or(at, |before| before.min(at)));
    }

    /// Sorts hints: what can be mended at once is returned.
    fn take_events(&mut self) -> Vec<Dirty> {
        let now = Instant::now();
        let mut dirty = Vec::new();
        let mut events = std::mem::take(&mut self.events);
        for event in events.drain(..) {
            match event {
                Event::Lost => self.relist_soon(Duration::ZERO),
                Event::Link(link) | Event::LinkGone(link)
                    if self.table.desired.concerns_link(&link) =>
                {
                    self.relist_soon(SETTLE);
                }
                Event::Address(address) | Event::AddressGone(address)
                    if self.table.desired.concerns_address(&address) =>
                {
                    self.relist_soon(SETTLE);
                }
                Event::Route(event) if self.enabled() => match self.table.hint(event) {
                    Hint::Disturbed(prefix) => {
                        if self.fights.entry(prefix).or_insert_with(|| Fight::new(now)).again(now) {
                            self.table.fault(prefix, Trouble::Fought, now);
                        }
                        dirty.push((prefix, Cause::Disturbed));
                    }
                    Hint::Freed(prefix) => dirty.push((prefix, Cause::Review)),
                    Hint::Nothing => {}
                },
                _ => {}
            }
        }
        self.events = events;
        dirty
    }

    async fn in_sync(&mut self) {
        if std::mem::replace(&mut self.table.in_sync, true) {
            return;
        }
        self.review_all().await;
    }

    async fn review_all(&mut self) {
        let all = self.table.prefixes().into_iter();
        self.apply(all.map(|prefix| (prefix, Cause::Review)).collect()).await;
        self.delete_extras().await;
    }

    async fn set_snapshot(&mut self, snapshot: Arc<Snapshot>) {
        if self.enabled() && !snapshot.dataplane.install {
            self.withdraw().await;
        }
        let marks = kernel::marks(&snapshot.dataplane);
        if marks != self.table.marks {
            self.table.set_marks(marks);
        }
        let view = Arc::new(self.table.desired.view().clone());
        self.table.set_desired(Desired::new(&snapshot, view));
        self.snapshot = snapshot;
        self.publisher.enabled = self.enabled();
        // Listed, too: what stands under new marks is not known yet.
        self.relist().await;
        self.review_all().await;
    }

    /// Lists links, addresses and our routes, and mends what is not as it should be.
    async fn relist(&mut self) {
        let started = Instant::now();
        let result = self.list_and_mend().await;
        self.last_relist = Instant::now();
        self.relist_at = result.is_err().then(|| self.last_relist + RELIST_AFTER_ERROR);
        self.publisher.listed(started.elapsed(), result.err());
    }

    async fn list_and_mend(&mut self) -> Result<(), KernelError> {
        // Hints of what is now listed anyway.
        self.events.clear();
        self.watch.drain(&mut self.events)?;
        self.events.clear();
        let view = host::list(&mut self.netlink)?;
        let view_changed = view != *self.table.desired.view();
        if view_changed {
            self.table.set_desired(Desired::new(&self.snapshot, Arc::new(view)));
            // What was refused may be possible now.
            self.table.faults.clear();
        }
        if !self.enabled() {
            return Ok(());
        }
        let adopt = !self.adopted;
        let mut dirty = self.list_routes(adopt).await?;
        self.adopted = true;
        let now = Instant::now();
        self.fights.retain(|_, fight| !fight.is_over(now));
        if view_changed || adopt {
            let all = self.table.prefixes().into_iter();
            dirty.extend(all.map(|prefix| (prefix, Cause::Review)));
        }
        self.apply(dirty).await;
        self.delete_extras().await;
        Ok(())
    }

    async fn list_routes(&mut self, adopt: bool) -> Result<Vec<Dirty>, KernelError> {
        let Owner { netlink, table, .. } = self;
        let marks = table.marks;
        let cause = if adopt { Cause::Review } else { Cause::Disturbed };
        let mut dirty: Vec<Dirty> = Vec::new();
        table.begin_listing();
        kernel_routes::list(netlink, Scope::Ours(&marks), |route| {
            let prefix = route.prefix;
            if table.listed(route, adopt) {
                dirty.push((prefix, cause));
            }
        })
        .await?;
        dirty.extend(table.end_listing().into_iter().map(|prefix| (prefix, cause)));
        // A hint that was thrown away may have told of these.
        let faults = table.faults.iter().filter(|(_, fault)| fault.is_clash());
        dirty.extend(faults.map(|(prefix, _)| (*prefix, Cause::Review)));
        Ok(dirty)
    }
}
