//! The agent's life: what is started, in which order, what follows a new configuration, and how
//! it ends.
//!
//! ```text
//! start   configuration -> socket and HTTP address -> what the kernel still has of the run
//!         before -> speaker -> owners -> control
//! reload  the snapshot in force changes; each owner follows by itself. What the speaker is born
//!         with (AS, router id, port...) restarts the speaker within this process
//! end     SIGTERM or SIGINT: the owners stop, sessions close without a word, routes stay in the
//!         kernel, so that peers and packets bridge the gap (RFC 4724). A second signal ends it
//!         at once
//! ```
//!
//! Every task belongs to a set that ends with its owner. An owner that fails is told of in the
//! log and started again.

mod current;
mod generation;
mod start;

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use twill_cni::config::DATA_DIR;

use self::generation::{Birth, Generation, Wiring};
pub use self::start::StartError;
use crate::control::{self, Backend, ControlSocket, HttpListener, InstallTimes};
use crate::desired::cni::NETWORK;
use crate::drain::{Drain, Drainage};
use crate::kernel;
use crate::kernel::settings::Settings;
use crate::reconcile::cni::CniOwner;
use crate::reconcile::leases::LeaseSweep;
use crate::reconcile::report::{
    CniReport, ConfigReport, FibReport, HostReport, MasqueradeReport, ShadowReport,
};
use crate::reconcile::{apiserver, host, keep, masquerade, ndp, shadows};
use crate::source::file::FileSource;
use crate::source::kube::client::Connection;
use crate::source::kube::{self, KubeSource};
use crate::source::{Dataplane, Snapshot};

/// Events of the kernel that a slow listener may fall behind.
const KERNEL_NOTICES: usize = 1024;

/// What the agent is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the world comes from.
    pub source: SourceOptions,
    /// Where the command line reaches it.
    pub socket: PathBuf,
    /// Where the settings of interfaces are.
    pub settings: Settings,
}

/// Where the world comes from.
#[derive(Debug, Clone)]
pub enum SourceOptions {
    /// This configuration file.
    File(PathBuf),
    /// The API server.
    Kube(kube::Options),
}

/// A source that has told its first snapshot.
struct Opened {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    reports: watch::Receiver<Arc<ConfigReport>>,
    restarts: kube::watching::Restarts,
    /// Where the world comes from the API server: what writes to it needs these.
    kube: Option<(Connection, watch::Receiver<Arc<kube::Findings>>)>,
    run: BoxFuture<'static, ()>,
}

/// Runs the agent until a signal ends it.
///
/// # Errors
/// Where it cannot start: one clear line, with the place and the remedy. Nothing was touched
/// then.
pub async fn run(options: Options) -> Result<(), StartError> {
    let mut signals = Signals::new().map_err(StartError::Signal)?;
    let (socket_path, settings) = (&options.socket, &options.settings);
    let (source, socket, http) = match &options.source {
        SourceOptions::File(path) => {
            let source = FileSource::open(path)?;
            let snapshot = Arc::clone(&source.snapshots().borrow());
            start::check(&snapshot, settings)?;
            let socket = ControlSocket::bind(socket_path)?;
            let http = bind(snapshot.http).await?;
            (from_file(source), socket, http)
        }
        SourceOptions::Kube(options) => {
            let mut source = KubeSource::open(options).await?;
            let socket = ControlSocket::bind(socket_path)?;
            let http = bind(source.local().http).await?;
            let reports = source.reports();
            let snapshots = tokio::select! {
                snapshots = source.first() => snapshots,
                () = control::wait(&socket, http.as_ref(), reports) => return Ok(()),
                name = signals.next() => {
                    tracing::info!("{name}: leaving; nothing was begun");
                    return Ok(());
                }
            };
            start::check(&snapshots.borrow(), settings)?;
            (from_kube(source, snapshots), socket, http)
        }
    };
    let readiness_file = socket_path.with_file_name("ready");
    let reports = source.reports.clone();
    let drain = Drainage::open(socket_path.with_file_name("drain"));
    let agent = Agent::start(source, socket, http, readiness_file, options.settings, drain).await?;
    tell(&reports.borrow());
    agent.run(&mut signals).await;
    Ok(())
}

async fn bind(address: Option<SocketAddr>) -> Result<Option<HttpListener>, StartError> {
    match address {
        Some(address) => Ok(Some(HttpListener::bind(address).await?)),
        None => Ok(None),
    }
}

fn from_file(source: FileSource) -> Opened {
    Opened {
        snapshots: source.snapshots(),
        reports: source.reports(),
        restarts: kube::watching::Restarts::default(),
        kube: None,
        run: source.run().boxed(),
    }
}

fn from_kube(source: KubeSource, snapshots: watch::Receiver<Arc<Snapshot>>) -> Opened {
    Opened {
        snapshots,
        reports: source.reports(),
        restarts: source.restarts(),
        kube: Some((source.connection(), source.findings())),
        run: source.run().boxed(),
    }
}

/// What is doubtful, and what is not built.
fn tell(report: &ConfigReport) {
    for warning in &report.warnings {
        tracing::warn!("{warning}");
    }
}

struct Agent {
    /// What the source has read.
    read: watch::Receiver<Arc<Snapshot>>,
    /// How the source has read it.
    read_report: watch::Receiver<Arc<ConfigReport>>,
    /// What everybody acts upon.
    in_force: watch::Sender<Arc<Snapshot>>,
    report: watch::Sender<Arc<ConfigReport>>,
    drain: Drainage,
    drained: watch::Receiver<Option<Drain>>,
    cni: watch::Receiver<Arc<CniReport>>,
    /// Where the settings of interfaces are.
    settings: Settings,
    /// Why what was read could not be put in force.
    obstacle: Option<String>,
    wiring: Wiring,
    /// `None` only after the speaker could not be started again.
    generation: Option<Generation>,
    /// All tasks that outlive a speaker.
    tasks: JoinSet<()>,
}

impl Agent {
    async fn start(
        source: Opened,
        socket: ControlSocket,
        http: Option<HttpListener>,
        readiness_file: PathBuf,
        settings: Settings,
        drain: Drainage,
    ) -> Result<Agent, StartError> {
        let Opened { snapshots: mut read, reports: read_report, restarts, kube, run } = source;
        let in_force = watch::Sender::new(with_drain(&read.borrow_and_update(), &drain));
        let report = watch::Sender::new(Arc::clone(&read_report.borrow()));
        let fib = watch::Sender::new(Arc::<FibReport>::default());
        let hosts = watch::Sender::new(Arc::<HostReport>::default());
        let (cni, cni_report) = watch::channel(Arc::<CniReport>::default());
        let kernel = broadcast::Sender::new(KERNEL_NOTICES);
        let installs = InstallTimes::default();
        let wiring = Wiring {
            snapshot: in_force.subscribe(),
            fib: fib.clone(),
            kernel: kernel.clone(),
            installs: installs.clone(),
            current: current::Current::new(),
        };
        warn_of_leftovers(&in_force.borrow().dataplane);
        let birth = Birth::of(&in_force.borrow());
        let preserved = kernel::preserved(&in_force.borrow().dataplane)?;
        let speaker = birth.speaker(preserved).await?;
        let generation = Generation::new(speaker, birth, preserved, &wiring);

        let host_settings = settings.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(run);
        tasks.spawn(keep("the host's settings", {
            let (snapshot, hosts, kernel) = (in_force.subscribe(), hosts.clone(), kernel.clone());
            move || {
                let inputs =
                    host::Inputs { snapshot: snapshot.clone(), settings: settings.clone() };
                let outputs = host::Outputs { report: hosts.clone(), notices: kernel.clone() };
                host::run(inputs, outputs)
            }
        }));
        tasks.spawn(keep("answers to pods' neighbour solicitations", {
            let inputs = ndp::Inputs { snapshot: in_force.subscribe(), fib: fib.subscribe() };
            move || ndp::run(inputs.clone())
        }));
        let (filter, filter_report) = watch::channel(Arc::<MasqueradeReport>::default());
        tasks.spawn(keep("masquerade", {
            let inputs =
                masquerade::Inputs { snapshot: in_force.subscribe(), fib: fib.subscribe() };
            move || masquerade::run(inputs.clone(), filter.clone())
        }));
        let (shadows, shadow_report) = watch::channel(Arc::<ShadowReport>::default());
        tasks.spawn(keep("foreign routes", {
            let (snapshot, fib) = (in_force.subscribe(), fib.subscribe());
            move || shadows::run(snapshot.clone(), fib.clone(), shadows.clone())
        }));
        let owner = CniOwner::new(
            in_force.subscribe(),
            fib.subscribe(),
            hosts.subscribe(),
            cni,
            readiness_file.clone(),
        );
        tasks.spawn(owner.run());
        tasks.spawn(LeaseSweep::new(DATA_DIR.into(), NETWORK).run());
        let backend = Backend {
            speaker: Arc::new(wiring.current.clone()),
            snapshot: in_force.subscribe(),
            config: report.subscribe(),
            fib: fib.subscribe(),
            shadows: shadow_report,
            host: hosts.subscribe(),
            cni: cni_report.clone(),
            masquerade: filter_report,
            kernel,
            installs,
            restarts,
            drain: drain.clone(),
            started: Instant::now(),
            version: env!("CARGO_PKG_VERSION"),
        };
        if let Some((connection, findings)) = kube {
            let inputs = apiserver::Inputs { connection, findings, backend: backend.clone() };
            tasks.spawn(async move { apiserver::run(inputs, &readiness_file).await });
        }
        tasks.spawn(control::run(backend, socket, http));
        tracing::info!("started; listening on port {}", in_force.borrow().listen_port);
        tell_supervisor(NotifyState::Ready);
        Ok(Agent {
            read,
            read_report,
            in_force,
            drained: drain.subscribe(),
            drain,
            report,
            cni: cni_report,
            settings: host_settings,
            obstacle: None,
            wiring,
            generation: Some(generation),
            tasks,
        })
    }

    /// Until the first signal; then leaves, unless a second one comes.
    async fn run(mut self, signals: &mut Signals) {
        loop {
            tokio::select! {
                name = signals.next() => {
                    tracing::info!("{name}: leaving; routes stay in the kernel");
                    break;
                }
                Ok(()) = self.read.changed() => {
                    let snapshot = Arc::clone(&self.read.borrow_and_update());
                    self.take(snapshot).await;
                }
                Ok(()) = self.read_report.changed() => self.read_again().await,
                Ok(()) = self.drained.changed() => {
                    let snapshot = with_drain(&self.in_force.borrow(), &self.drain);
                    self.in_force.send_replace(snapshot);
                }
                Ok(()) = self.cni.changed() => self.publish_report(),
                Some(ended) = self.tasks.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!("a task of the agent ended: {error}");
                    }
                }
            }
        }
        tell_supervisor(NotifyState::Stopping);
        let leaving = async {
            if let Some(generation) = self.generation.take() {
                generation.leave().await;
            }
            self.tasks.shutdown().await;
        };
        tokio::select! {
            () = leaving => {}
            name = signals.next() => tracing::warn!("{name} again: ending at once"),
        }
    }

    /// The file was read, and perhaps nothing in it has changed; but what could not be put in
    /// force before may be possible now.
    async fn read_again(&mut self) {
        if self.obstacle.is_some() && self.read.has_changed().is_ok_and(|changed| !changed) {
            let snapshot = Arc::clone(&self.read.borrow());
            self.take(snapshot).await;
        } else {
            self.publish_report();
        }
    }

    /// Puts a snapshot in force, with a new speaker where it must be.
    async fn take(&mut self, snapshot: Arc<Snapshot>) {
        if let Err(missing) = start::check(&snapshot, &self.settings) {
            let missing = refused(&missing);
            tracing::error!("{missing}");
            self.obstacle = Some(missing);
            return self.publish_report();
        }
        let birth = Birth::of(&snapshot);
        let differs = match &self.generation {
            Some(generation) => generation.birth.difference(&birth),
            None => Some("no speaker runs".to_owned()),
        };
        self.obstacle = match differs {
            None => {
                self.in_force.send_replace(with_drain(&snapshot, &self.drain));
                None
            }
            Some(what) => {
                tracing::info!("the speaker starts again within this process: {what}");
                self.replace(birth, snapshot).await.err()
            }
        };
        if let Some(obstacle) = &self.obstacle {
            tracing::error!("{obstacle}");
        }
        self.publish_report();
    }

    /// Ends the speaker as for a restart, and starts another. Where that cannot be, the old one
    /// comes back, and the error says why.
    async fn replace(&mut self, birth: Birth, snapshot: Arc<Snapshot>) -> Result<(), String> {
        let preserved = kernel::preserved(&snapshot.dataplane).map_err(|error| refused(&error))?;
        // Another port can be tried while the old speaker still serves.
        let moves =
            self.generation.as_ref().is_some_and(|running| running.birth.port != birth.port);
        let early = match moves {
            true => Some(birth.speaker(preserved).await.map_err(|error| refused(&error))?),
            false => None,
        };
        let mut old_birth = None;
        if let Some(running) = self.generation.take() {
            old_birth = Some(running.birth.clone());
            running.leave().await;
        }
        let started = match early {
            Some(speaker) => Ok(speaker),
            None => birth.speaker(preserved).await,
        };
        match started {
            Ok(speaker) => {
                self.in_force.send_replace(with_drain(&snapshot, &self.drain));
                self.generation = Some(Generation::new(speaker, birth, preserved, &self.wiring));
                Ok(())
            }
            Err(error) => {
                if let Some(birth) = old_birth
                    && let Ok(speaker) = birth.speaker(preserved).await
                {
                    let again = Generation::new(speaker, birth, preserved, &self.wiring);
                    self.generation = Some(again);
                }
                Err(refused(&error))
            }
        }
    }

    fn publish_report(&mut self) {
        let mut report = ConfigReport::clone(&self.read_report.borrow_and_update());
        if report.refused.is_none() {
            report.refused.clone_from(&self.obstacle);
        }
        report.problems.extend(self.cni.borrow_and_update().problem.clone());
        self.report.send_replace(Arc::new(report));
    }
}

/// What was read, and what the operator said since.
fn with_drain(read: &Arc<Snapshot>, drain: &Drainage) -> Arc<Snapshot> {
    let mut snapshot = Arc::clone(read);
    let state = drain.get();
    if snapshot.drain != state {
        Arc::make_mut(&mut snapshot).drain = state;
    }
    snapshot
}

/// Tells the supervisor that asked to be told (`Type=notify` of systemd): what is started after the
/// agent then finds it listening.
fn tell_supervisor(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!("cannot tell the supervisor how far the agent is: {error}");
    }
}

/// Routes that are not ours to touch may be another agent's, or left of an earlier run.
fn warn_of_leftovers(dataplane: &Dataplane) {
    if !dataplane.install && kernel::holds_routes_of(dataplane) {
        tracing::warn!(
            "dataplane.install is false, and the kernel has routes of protocol {0}: they are left \
             as they are; where they are of an earlier run, remove them (`ip route flush proto \
             {0}`, `ip -6 route flush proto {0}`)",
            dataplane.protocol
        );
    }
}

fn refused(error: &dyn Display) -> String {
    format!("the new configuration is not in force, the one before still is: {error}")
}

/// What ends the agent.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
