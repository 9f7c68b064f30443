//! A speaker and the owners that live and end with it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use twill_bgp::proto::types::{Asn, ClusterId, Families, RouterId};
use twill_bgp::{Handle, Settings, Speaker, SpeakerError, Ttl, probe};

use super::current::Current;
use crate::control::InstallTimes;
use crate::kernel::KernelError;
use crate::reconcile::report::{FibReport, KernelNotice};
use crate::reconcile::{keep, routes, speaker};
use crate::source::Snapshot;

/// The longest that leaving may take: peers may be slow to read what is still to be sent.
const LEAVING: Duration = Duration::from_secs(5);

/// What a speaker is born with and keeps for life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Birth {
    asn: Asn,
    router_id: RouterId,
    cluster_id: Option<ClusterId>,
    pub(super) port: u16,
    restart_time: Duration,
    /// Matters at a start alone, so that another needs no new speaker.
    deferral_time: Duration,
}

impl Birth {
    pub(super) fn of(snapshot: &Snapshot) -> Birth {
        Birth {
            asn: snapshot.node.asn,
            router_id: snapshot.router_id,
            cluster_id: snapshot.node.reflector,
            port: snapshot.listen_port,
            restart_time: snapshot.mesh.restart_time,
            deferral_time: snapshot.mesh.deferral_time,
        }
    }

    /// What is another; `None` where nothing is.
    pub(super) fn difference(&self, new: &Birth) -> Option<String> {
        let differs = [
            ("asn", self.asn != new.asn),
            ("routerId", self.router_id != new.router_id),
            ("reflector", self.cluster_id != new.cluster_id),
            ("listen.port", self.port != new.port),
            ("mesh.restartTime", self.restart_time != new.restart_time),
        ];
        let keys: Vec<&str> =
            differs.iter().filter(|(_, differs)| *differs).map(|(key, _)| *key).collect();
        (!keys.is_empty()).then(|| format!("changed: {}", keys.join(", ")))
    }

    /// Starts a speaker. `preserved`: families whose routes of the run before still forward.
    pub(super) async fn speaker(&self, preserved: Families) -> Result<Speaker, SpeakerError> {
        let mut settings = Settings::new(self.asn, self.router_id)
            .restart_time(Some(self.restart_time))
            .preserved(preserved)
            .deferral(self.deferral_time);
        settings.cluster_id = self.cluster_id;
        settings = if has_ipv6() {
            settings.listen_on_all(self.port)
        } else {
            settings.listen(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), self.port))
        };
        Speaker::start(settings).await
    }
}

/// Whether this kernel speaks IPv6 at all.
fn has_ipv6() -> bool {
    probe(Ipv6Addr::UNSPECIFIED.into(), false, Ttl::Hops(1)).is_ok()
}

/// Where the owners of a generation read and tell.
#[derive(Debug)]
pub(super) struct Wiring {
    pub(super) snapshot: watch::Receiver<Arc<Snapshot>>,
    pub(super) fib: watch::Sender<Arc<FibReport>>,
    pub(super) kernel: broadcast::Sender<KernelNotice>,
    pub(super) installs: InstallTimes,
    pub(super) current: Current,
}

/// A speaker that runs, and its owners.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) birth: Birth,
    speaker: Speaker,
    owners: JoinSet<()>,
}

impl Generation {
    pub(super) fn new(
        speaker: Speaker,
        birth: Birth,
        preserved: Families,
        wiring: &Wiring,
    ) -> Generation {
        if !preserved.is_empty() {
            let families: Vec<String> = preserved.iter().map(|family| family.to_string()).collect();
            tracing::info!(
                "found routes of the run before ({}): they stay until the mesh is in sync",
                families.join(", ")
            );
        }
        let mut owners = JoinSet::new();
        owners.spawn(keep("peers and announcements", {
            let (snapshot, handle) = (wiring.snapshot.clone(), speaker.handle());
            move || speaker::run(snapshot.clone(), handle.clone())
        }));
        owners.spawn(keep("kernel routes", {
            let (snapshot, handle) = (wiring.snapshot.clone(), speaker.handle());
            let (report, notices) = (wiring.fib.clone(), wiring.kernel.clone());
            let installs = wiring.installs.clone();
            move || {
                let (snapshot, handle) = (snapshot.clone(), handle.clone());
                let (report, notices, installs) =
                    (report.clone(), notices.clone(), installs.clone());
                let outputs = move || routes::Outputs {
                    report: report.clone(),
                    notices: notices.clone(),
                    installed: installs.callback(),
                };
                kernel_routes(snapshot, handle, outputs)
            }
        }));
        owners.spawn(wiring.current.clone().follow(speaker.handle()));
        Generation { birth, speaker, owners }
    }

    /// Leaves as for a restart: first the owners, which would act on what is about to end, then
    /// the sessions, without a word.
    pub(super) async fn leave(mut self) {
        self.owners.shutdown().await;
        if tokio::time::timeout(LEAVING, self.speaker.leave()).await.is_err() {
            tracing::warn!("peers did not take all within {LEAVING:?}; closing all the same");
        }
    }
}

/// The owner of the kernel routes, or its stand-in, by what the snapshot says. A turn to the owner
/// is as a start: what we left in the kernel is adopted, and stays until the speaker has told all.
async fn kernel_routes(
    mut snapshot: watch::Receiver<Arc<Snapshot>>,
    handle: Handle,
    outputs: impl Fn() -> routes::Outputs,
) -> Result<(), KernelError> {
    loop {
        if snapshot.borrow_and_update().dataplane.install {
            let Ok(best_paths) = handle.subscribe().await else { return Ok(()) };
            let inputs = routes::Inputs { snapshot: snapshot.clone(), best_paths };
            if routes::run(inputs, outputs()).await? == routes::Ended::NoMorePaths {
                return Ok(());
            }
        }
        tokio::select! {
            () = routes::stand_by(handle.readiness(), outputs()) => return Ok(()),
            Ok(_) = snapshot.wait_for(|new| new.dataplane.install) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::fixture::{THREE, snapshot};
    use crate::kernel::testing::{in_namespace, ip};

    #[test]
    fn who_installs_nothing_touches_nothing_until_that_is_turned() {
        in_namespace(|| async {
            ip("link set lo up");
            let off = snapshot(&format!("{THREE}\ndataplane: {{install: false}}"));
            let on = snapshot(THREE);
            let metric = on.dataplane.metric;
            let protocol = on.dataplane.protocol;
            ip(&format!("route add 198.18.0.0/24 dev lo metric {metric} proto {protocol}"));
            let settings = Settings::new(on.node.asn, on.router_id).deferral(Duration::ZERO);
            let speaker = Speaker::start(settings).await.unwrap();
            speaker.handle().set_peers(vec![]).await.unwrap();
            let (snapshots, receiver) = watch::channel(Arc::new(off));
            let (report, mut reports) = watch::channel(Arc::<FibReport>::default());
            let outputs = move || routes::Outputs {
                report: report.clone(),
                notices: broadcast::Sender::new(16),
                installed: Arc::new(|_| {}),
            };
            let mut owner = JoinSet::new();
            owner.spawn(kernel_routes(receiver, speaker.handle(), outputs));
            let ready = |report: &Arc<FibReport>| report.ready && report.problems.is_empty();
            reports.wait_for(ready).await.unwrap();
            assert!(ip("route show 198.18.0.0/24").contains("198.18.0.0/24"));
            snapshots.send_replace(Arc::new(on));
            while ip("route show 198.18.0.0/24").contains("198.18.0.0/24") {
                reports.changed().await.unwrap();
            }
        });
    }

    #[test]
    fn what_needs_a_new_speaker() {
        let old = Birth::of(&snapshot(THREE));
        for (added, expected) in [
            ("", None),
            ("announce: [203.0.113.0/24]\n", None),
            ("asn: 64513\n", Some("changed: asn")),
            ("routerId: 1.2.3.4\nlisten: {port: 1179}\n", Some("changed: routerId, listen.port")),
            ("mesh:\n  restartTime: 30s\n", Some("changed: mesh.restartTime")),
            ("mesh:\n  deferralTime: 30s\n", None),
        ] {
            let new = match added.strip_prefix("mesh:\n") {
                Some(key) => THREE.replace("mesh:\n", &format!("mesh:\n{key}")),
                None => format!("{added}{THREE}"),
            };
            let new = Birth::of(&snapshot(&new));
            assert_eq!(old.difference(&new).as_deref(), expected, "{added}");
        }
    }
}
