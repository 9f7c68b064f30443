//! The owner of the speaker's configuration: its peers and announcements follow the snapshot.
//!
//! Level-triggered: the whole set is handed over each time, and the speaker finds the difference
//! and says which sessions it had to touch. Which nodes are on a connected subnet, and so where
//! they are met and how strict GTSM may be, follows this host's addresses. When one of these can
//! be used again, because its link came up or it is new, whoever waits is dialled at once.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::watch;
use twill_bgp::proto::types::Prefix;
use twill_bgp::{Handle, Outcome, PeerChange, Stopped};

use crate::desired::{announcements, speaker};
use crate::kernel::host::{self, Address, HostView, Link};
use crate::kernel::{Event, Group, KernelError, Netlink, Watch};
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
    let mut surroundings = Surroundings::open()?;
    let mut told = BTreeSet::new();
    loop {
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        if apply(&handle, &snapshot, &surroundings.subnets(), &mut told).await.is_err() {
            return Ok(());
        }
        tokio::select! {
            changed = snapshots.changed() => if changed.is_err() { return Ok(()) },
            changed = surroundings.changed() => if changed? && handle.retry_now(None).await.is_err() {
                return Ok(());
            },
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
    // What is refused was logged by the speaker.
    handle.set_dynamic_peers(peers.ranges).await?;
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

/// The links and addresses of this host, as far as sessions depend on them.
#[derive(Debug)]
struct Surroundings {
    netlink: Netlink,
    watch: Watch,
    events: Vec<Event>,
    view: HostView,
}

impl Surroundings {
    fn open() -> Result<Surroundings, KernelError> {
        let mut netlink = Netlink::open()?;
        // Watched before they are listed, so that nothing falls in between.
        let watch = Watch::open(&[Group::Addresses, Group::Links], Some(netlink.port()))?;
        let view = host::list(&mut netlink)?;
        Ok(Surroundings { netlink, watch, events: Vec::new(), view })
    }

    /// Until they are others; true: an address can be used that could not. Dropping the future
    /// loses nothing that the next call does not find.
    async fn changed(&mut self) -> Result<bool, KernelError> {
        loop {
            self.watch.wait(&mut self.events).await?;
            let mut events = std::mem::take(&mut self.events);
            let concerned = events.drain(..).any(|event| self.concerns(&event));
            self.events = events;
            if !concerned {
                continue;
            }
            let now = host::list(&mut self.netlink)?;
            let (before, subnets) = (usable(&self.view), self.subnets());
            self.view = now;
            let more = !usable(&self.view).is_subset(&before);
            if more || self.subnets() != subnets {
                return Ok(more);
            }
        }
    }

    /// Ports of pods come and go without addresses, and without any difference here.
    fn concerns(&self, event: &Event) -> bool {
        let holds = |link: &Link| {
            let mut addresses = self.view.addresses.iter();
            addresses.any(|one| one.interface == link.index && !one.is_link_local())
        };
        match event {
            Event::Link(link) => holds(link) && self.view.links.get(&link.index) != Some(link),
            Event::LinkGone(link) => holds(link),
            Event::Address(address) | Event::AddressGone(address) => !address.is_link_local(),
            Event::Lost => true,
            Event::Route(_) | Event::Setting => false,
        }
    }

    /// The subnets that this host is connected to.
    fn subnets(&self) -> BTreeSet<Prefix> {
        near(&self.view).map(|(address, _)| address.subnet).collect()
    }
}

/// Addresses by which others are reached, each with its link.
fn near(view: &HostView) -> impl Iterator<Item = (&Address, &Link)> {
    let linked =
        view.addresses.iter().filter_map(|one| Some((one, view.links.get(&one.interface)?)));
    linked.filter(|(address, link)| !link.loopback && !address.is_link_local())
}

/// Those that a connection can be made from now.
fn usable(view: &HostView) -> BTreeSet<(u32, IpAddr)> {
    near(view)
        .filter(|(address, link)| link.up && link.carrier && !address.tentative)
        .map(|(address, link)| (link.index, address.address))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use twill_bgp::proto::session::State;
    use twill_bgp::{Notice, Settings, Speaker};

    use super::*;
    use crate::desired::fixture::snapshot;
    use crate::kernel::testing::{in_namespace, ip, link};

    /// An outside router that could not be dialled is dialled when the link comes up, not when
    /// the back-off (of 4 s at least) is over.
    #[test]
    fn a_link_that_comes_up_is_dialled_over_at_once() {
        in_namespace(|| async {
            link("eth0", &["10.0.0.1/24"]);
            ip("link set eth0 down");
            let text = "node: a\naddresses: [10.0.0.1]\n\
                        peers: [{name: tor, address: 10.0.0.254, asn: 65000}]\n";
            let snapshot = Arc::new(snapshot(text));
            let settings = Settings::new(snapshot.node.asn, snapshot.router_id);
            let speaker = Speaker::start(settings).await.unwrap();
            let handle = speaker.handle();
            let mut notices = handle.notices();
            let (_keep, snapshots) = watch::channel(snapshot);
            let mut owner = tokio::task::JoinSet::new();
            owner.spawn(run(snapshots, handle));
            let mut reached = async |wanted| loop {
                if let Ok(Notice::Peer { state, .. }) = notices.recv().await
                    && state == wanted
                {
                    break;
                }
            };
            reached(State::Active).await;
            ip("link set eth0 up");
            let dialled = tokio::time::timeout(Duration::from_secs(2), reached(State::Connect));
            dialled.await.expect("it is dialled at once");
        });
    }
}
