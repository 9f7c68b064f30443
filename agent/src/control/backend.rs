//! What control reads. Everything here is somebody else's, and only looked at.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{broadcast, watch};

use super::Speaker;
use super::metrics::InstallTimes;
use crate::drain::Drainage;
use crate::reconcile::report::{
    CniReport, ConfigReport, FibReport, HostReport, KernelNotice, MasqueradeReport, ShadowReport,
};
use crate::source::Snapshot;
use crate::source::kube::watching::Restarts;

/// What the agent gives to [`super::run`].
#[derive(Clone)]
pub struct Backend {
    /// The BGP speaker; `Arc::new(handle)`.
    pub speaker: Arc<dyn Speaker>,
    /// The world as configured.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// How the newest configuration was taken.
    pub config: watch::Receiver<Arc<ConfigReport>>,
    /// Our routes in the kernel.
    pub fib: watch::Receiver<Arc<FibReport>>,
    /// Foreign routes that go before ours.
    pub shadows: watch::Receiver<Arc<ShadowReport>>,
    /// The host's settings.
    pub host: watch::Receiver<Arc<HostReport>>,
    /// The CNI file.
    pub cni: watch::Receiver<Arc<CniReport>>,
    /// The packet filter.
    pub masquerade: watch::Receiver<Arc<MasqueradeReport>>,
    /// What happens to the kernel's routes; each listener subscribes for itself.
    pub kernel: broadcast::Sender<KernelNotice>,
    /// How long routes took into the kernel, told by the owner of the routes.
    pub installs: InstallTimes,
    /// How often watches of the API server had to be begun again.
    pub restarts: Restarts,
    /// How far this node is drained.
    pub drain: Drainage,
    /// When the agent started.
    pub started: Instant,
    /// Of the agent.
    pub version: &'static str,
}

impl Backend {
    /// The configured world, as it is now.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }

    /// Our routes in the kernel, as they are now.
    pub(super) fn fib(&self) -> Arc<FibReport> {
        self.fib.borrow().clone()
    }

    /// Foreign routes that go before ours, as they are now.
    pub(super) fn shadows(&self) -> Arc<ShadowReport> {
        self.shadows.borrow().clone()
    }

    /// The host's settings, as they are now.
    pub(super) fn host(&self) -> Arc<HostReport> {
        self.host.borrow().clone()
    }

    /// The CNI file, as it is now.
    pub(super) fn cni(&self) -> Arc<CniReport> {
        self.cni.borrow().clone()
    }

    /// The packet filter, as it is now.
    pub(super) fn masquerade(&self) -> Arc<MasqueradeReport> {
        self.masquerade.borrow().clone()
    }

    /// How the newest configuration was taken.
    pub(super) fn config(&self) -> Arc<ConfigReport> {
        self.config.borrow().clone()
    }
}
