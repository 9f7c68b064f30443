//! The owner of the speaker's configuration: its peers and announcements follow the snapshot.
//!
//! Level-triggered: the whole set is handed over each time, and the speaker finds the difference
//! and says which sessions it had to touch. Which nodes are on a connected subnet, and so how
//! strict GTSM may be, follows this host's addresses.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;
use twill_bgp::proto::types::Prefix;
use twill_bgp::{Handle, Outcome, PeerChange, Stopped};

use crate::desired::{announcements, speaker};
use crate::kernel::{Group, KernelError, Netlink, Watch, host};
use crate::source::Snapshot;

/// Keeps peers and announcements as the snapshot says, until the speaker has stopped or the
/// source has ended.
///
/// # Errors
/// Where this host's addresses cannot be listed or watched.
pub async fn run(
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    handle: Handle,
) -> Result<(), KernelError> {
    let mut subnets = Subnets::open()?;
    let mut told = BTreeSet::new();
    loop {
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        if apply(&handle, &snapshot, &subnets.known, &mut told).await.is_err() {
            return Ok(());
        }
        tokio::select! {
            changed = snapshots.changed() => if changed.is_err() { return Ok(()) },
            changed = subnets.changed() => changed?,
        }
    }
}

/// `told`: the problems that were logged already.
async fn apply(
    handle: &Handle,
    snapshot: &Snapshot,
    connected: &BTreeSet<Prefix>,
    told: &mut BTreeSet<String>,
) -> Result<(), Stopped> {
    // First what is to be said, then to whom: a session that comes up says all of it at once.
    handle.set_announcements(announcements::announcements(snapshot)).await?;
    let peers = speaker::peers(snapshot, connected);
    let problems: BTreeSet<String> = peers.problems.into_iter().collect();
    for problem in problems.difference(told) {
        tracing::warn!("{problem}");
    }
    *told = problems;
    log(&handle.set_peers(peers.configs).await?);
    Ok(())
}

/// The speaker itself tells of what touched a session. Policies follow every node that comes or
/// goes, so live changes are told as a number.
fn log(changes: &[PeerChange]) {
    let updated =
        changes.iter().filter(|change| matches!(change.outcome, Outcome::Updated(_))).count();
    if updated > 0 {
        tracing::info!("{updated} peers updated without touching their sessions");
    }
}

/// The subnets that this host is connected to.
#[derive(Debug)]
struct Subnets {
    netlink: Netlink,
    watch: Watch,
    known: BTreeSet<Prefix>,
}

impl Subnets {
    fn open() -> Result<Subnets, KernelError> {
        let netlink = Netlink::open()?;
        // Watched before it is listed, so that nothing falls in between.
        let watch = Watch::open(&[Group::Addresses], Some(netlink.port()))?;
        let mut subnets = Subnets { netlink, watch, known: BTreeSet::new() };
        subnets.known = subnets.list()?;
        Ok(subnets)
    }

    /// Until they are others. Dropping the future loses nothing that the next call does not find.
    async fn changed(&mut self) -> Result<(), KernelError> {
        loop {
            self.watch.wait(&mut Vec::new()).await?;
            let now = self.list()?;
            if now != self.known {
                self.known = now;
                return Ok(());
            }
        }
    }

    fn list(&mut self) -> Result<BTreeSet<Prefix>, KernelError> {
        let view = host::list(&mut self.netlink)?;
        let near = view.addresses.iter().filter(|address| {
            let loopback = view.links.get(&address.interface).is_some_and(|link| link.loopback);
            !loopback && !address.is_link_local()
        });
        Ok(near.map(|address| address.subnet).collect())
    }
}
