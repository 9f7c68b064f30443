//! The owner of the masquerade table.
//!
//! In go the snapshot, the routes that stand in the kernel and hints of the packet filter; out go
//! transactions and a [`MasqueradeReport`]. A changed set costs a change of that set; whatever
//! else differs, as after somebody flushed the ruleset, has the whole table put in place anew in
//! one transaction. At the end the table stays: packets go on without the agent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep_until;
use tracing::{info, warn};

use super::fight::Fight;
use super::report::{FibReport, MasqueradeReport};
use crate::desired::masquerade::Masquerade;
use crate::kernel::KernelError;
use crate::kernel::nft::{DroppingChain, Filter, FilterEvent, FilterWatch, Print, TABLE};
use crate::source::Snapshot;

/// How long changes of routes gather: exemptions follow them, packets wait for nothing.
const GATHER: Duration = Duration::from_millis(500);
/// How long after a hint all is compared: a transaction comes as a handful of messages.
const SETTLE: Duration = Duration::from_millis(3);
/// How often all is compared in any case.
const COMPARE: Duration = Duration::from_secs(60);
/// After a refusal; doubled with each, up to [`COMPARE`].
const RETRY: Duration = Duration::from_millis(500);

/// What the owner acts upon.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// The snapshot in force.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// Which routes stand in the kernel.
    pub fib: watch::Receiver<Arc<FibReport>>,
}

struct Owner {
    filter: Filter,
    watch: FilterWatch,
    /// What we put there, and what the kernel said of it right after.
    stands: Option<(Masquerade, Print)>,
    fight: Fight,
    failures: u32,
    report: watch::Sender<Arc<MasqueradeReport>>,
}

/// Keeps the table as it should be, until dropped.
///
/// Acts in the network namespace of the thread that first polls it.
///
/// # Errors
/// Where netlink sockets cannot be opened or break.
pub async fn run(
    inputs: Inputs,
    report: watch::Sender<Arc<MasqueradeReport>>,
) -> Result<(), KernelError> {
    let Inputs { snapshot: mut snapshots, mut fib } = inputs;
    // Where kernel routes are not ours to touch, neither is the packet filter.
    while !snapshots.borrow_and_update().dataplane.install {
        if snapshots.changed().await.is_err() {
            return Ok(());
        }
    }
    let filter = Filter::open()?;
    let watch = FilterWatch::open(filter.port())?;
    let mut owner = Owner {
        filter,
        watch,
        stands: None,
        fight: Fight::new(Instant::now()),
        failures: 0,
        report,
    };
    loop {
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        let routes = Arc::clone(&fib.borrow_and_update());
        let known = routes.installed.iter().chain(&routes.missing).map(|route| route.prefix);
        let wanted = Masquerade::new(&snapshot, known);
        let rest = owner.compare(wanted.as_ref(), &snapshot.dataplane.bridge)?;
        let mut next = tokio::time::Instant::now() + rest;
        loop {
            let soon = |rest: Duration| tokio::time::Instant::now() + rest;
            tokio::select! {
                () = sleep_until(next) => break,
                event = owner.watch.wait() => {
                    event?;
                    next = next.min(soon(SETTLE));
                }
                changed = fib.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    next = next.min(soon(GATHER));
                }
                changed = snapshots.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return Ok(()),
                },
            }
        }
    }
}

impl Owner {
    /// Compares, mends, reports; how long to rest.
    fn compare(
        &mut self,
        wanted: Option<&Masquerade>,
        bridge: &str,
    ) -> Result<Duration, KernelError> {
        let mut problems = Vec::new();
        if let Some(problem) = passing(self.mend(wanted))? {
            problems.push(format!(
                "pods that leave the cluster keep their own addresses: {problem}; or set \
                 dataplane.masquerade: false"
            ));
        }
        self.failures = if problems.is_empty() { 0 } else { self.failures.saturating_add(1) };
        let left_out = wanted.map_or(0, |wanted| wanted.left_out);
        if left_out > 0 {
            problems.push(format!(
                "masquerade: {left_out} learned prefixes are too many to be told apart, so pods \
                 reach them under this node's address; list those that matter in \
                 dataplane.masqueradeExempt"
            ));
        }
        match self.filter.dropping(bridge) {
            Ok(chains) => problems.extend(chains.iter().map(|chain| dropped(chain, bridge))),
            Err(error) => problems.extend(passing(Err(error))?),
        }
        let report = MasqueradeReport { active: self.stands.is_some(), problems };
        self.report.send_if_modified(|current| {
            let differs = **current != report;
            if differs {
                for problem in report.problems.iter().filter(|one| !current.problems.contains(one))
                {
                    warn!("{problem}");
                }
                *current = Arc::new(report);
            }
            differs
        });
        Ok(match self.failures {
            0 => COMPARE,
            failures => RETRY.saturating_mul(1 << failures.min(8)).min(COMPARE),
        })
    }

    /// Puts right what differs; why that is not possible now.
    fn mend(&mut self, wanted: Option<&Masquerade>) -> Result<Option<String>, KernelError> {
        let found = self.filter.print()?;
        let Some(wanted) = wanted else {
            if found.is_some() {
                self.filter.remove()?;
                info!("masquerade is off: table inet {TABLE} removed");
            }
            self.stands = None;
            return Ok(None);
        };
        match &self.stands {
            Some((stands, print)) if found == Some(*print) => {
                if stands == wanted {
                    return Ok(None);
                }
                if let Err(error) = self.filter.update(stands, wanted) {
                    warn!("{error}; putting the whole table in place");
                    self.filter.replace(wanted)?;
                }
            }
            stands => {
                if stands.is_some() {
                    if self.fight.again(Instant::now()) {
                        return Ok(Some(format!(
                            "table inet {TABLE} is changed again and again: find the program \
                             that does it"
                        )));
                    }
                    info!("table inet {TABLE} was changed by somebody: putting it back");
                }
                self.filter.replace(wanted)?;
            }
        }
        self.remember(wanted.clone())
    }

    /// Notes what the kernel says of the table now. Where somebody changed it in between, which
    /// the notifications tell, it is not what we have put there.
    fn remember(&mut self, put: Masquerade) -> Result<Option<String>, KernelError> {
        self.stands = None;
        let found = self.filter.print()?;
        let touched = self.watch.drain()?.is_some_and(|event| event >= FilterEvent::Ours);
        Ok(match found {
            Some(print) if !touched => {
                self.stands = Some((put, print));
                None
            }
            _ => Some(format!("table inet {TABLE} was changed while it was put in place")),
        })
    }
}

/// What the kernel refuses now it may grant later; where a socket breaks, all begins anew.
fn passing(result: Result<Option<String>, KernelError>) -> Result<Option<String>, KernelError> {
    match result {
        Err(error @ (KernelError::Refused { .. } | KernelError::Unsteady { .. })) => {
            Ok(Some(error.to_string()))
        }
        other => other,
    }
}

fn dropped(chain: &DroppingChain, bridge: &str) -> String {
    let DroppingChain { family, table, name } = chain;
    format!(
        "chain {name} of table {family} {table} drops forwarded packets that none of its rules \
         accepts, and none of them names {bridge}, so pods are cut off: have it accept them (`nft \
         insert rule {family} {table} {name} iifname {bridge} accept`, and the same with oifname)"
    )
}

#[cfg(test)]
mod tests;
