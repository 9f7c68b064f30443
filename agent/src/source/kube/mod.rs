//! The API server as a source: Nodes and our own resources in, the same
//! [`Snapshot`] as from a file out.
//!
//! ```text
//! client ─> watching (a task per resource) ─> told ─> World (parsed once) ─> compile ─> Snapshot
//!                                                        └─> doubts ─> Events, `twill status`
//! ```
//!
//! What one object says wrongly touches that object alone: its last valid state stands. Nothing
//! is believed to be gone before the API server says so, by a deletion or a complete list; an API
//! server that is away changes nothing.

pub mod annotation;
mod cache;
mod claims;
pub mod client;
pub mod crd;
pub mod doubt;
mod gathering;
pub mod node;
pub mod object;
mod peers;
mod service;
mod settings;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod watching;
pub mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kube::Api;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use self::cache::Cache;
use self::client::{ClientError, Connection};
use self::doubt::{About, Doubt, Kind};
use self::gathering::Gathering;
use self::node::Network;
use self::watching::{Restarts, Teller, Told, What};
use self::world::World;
use super::Snapshot;
use crate::config::{ConfigError, Local};
use crate::reconcile::report::ConfigReport;

/// What is told and not yet taken.
const TOLD: usize = 1024;
/// Changes that come one right after the other are taken together: after so long a pause...
const SETTLE: Duration = Duration::from_millis(20);
/// ...and at the latest after so long.
const SETTLE_AT_MOST: Duration = Duration::from_millis(200);
/// How long a start waits for the API server where the last known world is there.
const REMEMBER: Duration = Duration::from_secs(5);
/// Between two times that the world is kept, and the same for each 500 nodes.
const KEEP: Duration = Duration::from_secs(10);
/// After a change: others follow close behind.
const SOON: Duration = Duration::from_secs(1);
/// How often it is said what the start waits for.
const REMIND: Duration = Duration::from_secs(10);
/// Doubts that `twill status` shows.
const SHOWN: usize = 20;

/// How to reach the API server.
#[derive(Debug, Clone)]
pub struct Options {
    /// In place of the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// The node's own file; `None`: the usual one.
    pub node_config: Option<PathBuf>,
    /// Where the last known world is kept, on disk.
    pub state_dir: PathBuf,
    /// Where its passwords are kept, in memory.
    pub run_dir: PathBuf,
    /// Where our Secrets are; `None`: as the service account or the kubeconfig says.
    pub namespace: Option<String>,
}

/// Why the source could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The node's own file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The client.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Follows the API server.
pub struct KubeSource {
    local: Local,
    connection: Connection,
    teller: Teller,
    told: mpsc::Receiver<Told>,
    gathering: Gathering,
    world: World,
    cache: Cache,
    /// The world is that of the run before, where the API server says nothing.
    remembered: bool,
    /// It may be acted upon, though not all was told yet.
    from_memory: bool,
    /// When the world is to be kept; `None`: it has not changed.
    keep_at: Option<Instant>,
    kept_at: Option<Instant>,
    /// What follows Services, where they are needed.
    services: Vec<AbortHandle>,
    /// Of the Secrets that are followed.
    secrets: BTreeMap<String, AbortHandle>,
    tasks: JoinSet<()>,
    snapshot: Option<watch::Sender<Arc<Snapshot>>>,
    report: watch::Sender<Arc<ConfigReport>>,
    /// Doubts that were logged.
    known: Vec<Doubt>,
    findings: watch::Sender<Arc<Findings>>,
}

/// What those who write to the API server need to know of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// The object of this node.
    pub own: Option<About>,
    /// Its condition NetworkUnavailable.
    pub network: Option<Network>,
    /// What this node's agent is to write Events about.
    pub doubts: Vec<Doubt>,
    /// What Events may be about, by name.
    pub objects: Arc<BTreeMap<Box<str>, About>>,
}

impl KubeSource {
    /// Begins to follow the API server.
    ///
    /// # Errors
    /// Where the node's file or the client is not what it should be; never because the API
    /// server is away.
    pub async fn open(options: &Options) -> Result<KubeSource, OpenError> {
        let local = Local::load(options.node_config.as_deref())?;
        let connection =
            Connection::new(options.kubeconfig.as_deref(), options.namespace.clone()).await?;
        let (sender, told) = mpsc::channel(TOLD);
        let teller =
            Teller { told: sender, restarts: Restarts::default(), silence: local.watch_timeout };
        let mut tasks = JoinSet::new();
        let client = &connection.client;
        let follow = teller.clone();
        tasks.spawn(follow.follow(Api::all(client.clone()), None, What::Nodes, Told::Node));
        let follow = teller.clone();
        tasks.spawn(follow.follow(
            Api::all(client.clone()),
            None,
            What::Configurations,
            Told::Configuration,
        ));
        let follow = teller.clone();
        tasks.spawn(follow.follow(Api::all(client.clone()), None, What::Peers, Told::Peer));
        let cache = Cache::new(&options.state_dir, &options.run_dir);
        let remembered = cache.load(&local.node);
        let gathering = Gathering::new(&local.node);
        Ok(KubeSource {
            cache,
            from_memory: false,
            keep_at: None,
            kept_at: None,
            local,
            connection,
            teller,
            told,
            gathering,
            services: Vec::new(),
            remembered: remembered.is_some(),
            world: remembered.unwrap_or_default(),
            secrets: BTreeMap::new(),
            tasks,
            snapshot: None,
            report: watch::Sender::new(Arc::default()),
            findings: watch::Sender::default(),
            known: Vec::new(),
        })
    }

    /// What belongs to this node alone.
    pub fn local(&self) -> &Local {
        &self.local
    }

    /// Waits until the API server has told enough for a first snapshot. Safe to cancel.
    pub async fn first(&mut self) -> watch::Receiver<Arc<Snapshot>> {
        let mut remind_at = Instant::now() + REMIND;
        let remember_at = Instant::now() + REMEMBER;
        let mut away = self.connection.away.clone();
        loop {
            let waiting = self.publish();
            if let Some(snapshot) = &self.snapshot {
                return snapshot.subscribe();
            }
            let is_away = away.borrow_and_update().is_some();
            if self.remembered && !self.from_memory && (is_away || remember_at <= Instant::now()) {
                tracing::warn!("the API server does not answer: starting with what it said last");
                self.from_memory = true;
                continue;
            }
            tokio::select! {
                () = self.take() => {}
                Ok(()) = away.changed() => {}
                () = tokio::time::sleep_until(remember_at), if !self.from_memory => {}
                () = tokio::time::sleep_until(remind_at) => {
                    let why = waiting.err().unwrap_or_default();
                    tracing::info!("waiting for the API server: {why}");
                    remind_at = Instant::now() + REMIND;
                }
            }
        }
    }

    /// How what was told was taken.
    pub fn reports(&self) -> watch::Receiver<Arc<ConfigReport>> {
        self.report.subscribe()
    }

    /// What those who write to the API server need to know.
    pub fn findings(&self) -> watch::Receiver<Arc<Findings>> {
        self.findings.subscribe()
    }

    /// How often watches had to be begun again.
    pub fn restarts(&self) -> Restarts {
        self.teller.restarts.clone()
    }

    /// The API server, for those who write to it.
    pub fn connection(&self) -> Connection {
        self.connection.clone()
    }

    /// Follows the API server until dropped.
    pub async fn run(mut self) {
        let mut away = self.connection.away.clone();
        self.keep_soon();
        loop {
            let keep_at = self.keep_at;
            tokio::select! {
                () = self.take() => {}
                () = sleep_until(keep_at) => self.keep(),
                Ok(()) = away.changed() => {
                    match &*away.borrow_and_update() {
                        Some(why) => tracing::warn!(
                            "the API server does not answer: what it said last stands: {why}"
                        ),
                        None => tracing::info!("the API server answers"),
                    }
                }
            }
            // An error is what is still waited for, and part of the report.
            drop(self.publish());
            while self.tasks.try_join_next().is_some() {}
        }
    }

    /// The world has changed, and is to be kept.
    fn keep_soon(&mut self) {
        if self.keep_at.is_none() {
            let nodes = u32::try_from(self.world.facts().count()).unwrap_or(u32::MAX);
            let pause = KEEP.saturating_mul(1 + nodes / 500);
            let now = Instant::now();
            self.keep_at = Some(self.kept_at.map_or(now + SOON, |at| (at + pause).max(now + SOON)));
        }
    }

    /// Writes the world to the disk, beside all else.
    fn keep(&mut self) {
        self.keep_at = None;
        // Half a world is worse than the one before.
        if self.gathering.waits_for().is_some() || self.snapshot.is_none() {
            return;
        }
        self.kept_at = Some(Instant::now());
        let (cache, image) = (self.cache.clone(), Cache::image(&self.world, &self.local.node));
        self.tasks.spawn_blocking(move || {
            if let Err(error) = cache.save(&image) {
                tracing::warn!("{error}");
            }
        });
    }

    /// Takes what is told next, and all that follows it closely.
    async fn take(&mut self) {
        let Some(first) = self.told.recv().await else {
            // The tasks that tell live as long as this.
            return std::future::pending().await;
        };
        self.keep_soon();
        self.gathering.take(&mut self.world, first);
        let latest = Instant::now() + SETTLE_AT_MOST;
        while let Ok(Some(told)) =
            tokio::time::timeout_at(latest.min(Instant::now() + SETTLE), self.told.recv()).await
        {
            self.gathering.take(&mut self.world, told);
        }
    }

    /// What follows from the world, to whoever acts upon it. An error says what is still waited
    /// for.
    fn publish(&mut self) -> Result<(), String> {
        let waits_for = self.gathering.waits_for();
        let may_wait = self.snapshot.is_none() && !self.from_memory;
        if let Some(waiting) = waits_for.clone().filter(|_| may_wait) {
            let troubles = self.gathering.troubles(true).next();
            let waiting = match troubles {
                Some(trouble) => format!("{waiting}; {trouble}"),
                None => waiting,
            };
            self.publish_report(&[], Some(&waiting));
            return Err(waiting);
        }
        let compiled = self.world.compile(&self.local);
        self.follow_secrets(&compiled.secrets);
        if compiled.snapshot.is_ok() && self.follow_services(compiled.services) {
            // What is announced of them belongs to a first snapshot.
            if self.snapshot.is_none() && !self.from_memory {
                return Err("services were not listed yet".to_owned());
            }
        }
        let untold = compiled.untold.first();
        let untold = untold.filter(|_| self.snapshot.is_none() && !self.from_memory);
        let waiting = match (compiled.snapshot, untold) {
            (Ok(_), Some(name)) => Some(format!("the Secret {name} was not told of yet")),
            (Ok(snapshot), None) => {
                match &self.snapshot {
                    Some(sender) => {
                        sender.send_if_modified(|current| {
                            let differs = **current != snapshot;
                            if differs {
                                *current = Arc::new(snapshot);
                            }
                            differs
                        });
                    }
                    None => self.snapshot = Some(watch::Sender::new(Arc::new(snapshot))),
                }
                None
            }
            (Err(waiting), _) => Some(waiting),
        };
        self.publish_report(&compiled.doubts, waiting.as_deref().or(waits_for.as_deref()));
        for doubt in compiled.doubts.iter().filter(|doubt| !self.known.contains(doubt)) {
            tracing::warn!("{doubt}");
        }
        self.known = compiled.doubts;
        let mut findings = Findings {
            own: compiled.own,
            network: self.world.network_of(&self.local.node),
            doubts: compiled.told_here,
            objects: Arc::new(compiled.objects),
        };
        self.findings.send_if_modified(|current| {
            if current.objects == findings.objects {
                findings.objects = Arc::clone(&current.objects);
            }
            let differs = **current != findings;
            if differs {
                *current = Arc::new(findings);
            }
            differs
        });
        waiting.map_or(Ok(()), Err)
    }

    /// Services, where a peer is told of them. Whether that has just begun.
    fn follow_services(&mut self, needed: bool) -> bool {
        self.gathering.services = needed;
        let follows = !self.services.is_empty();
        if needed == follows {
            return false;
        }
        for task in self.services.drain(..) {
            task.abort();
        }
        for what in [What::Services, What::Slices] {
            self.gathering.forget(&what);
        }
        if !needed {
            self.world.without_services();
            return false;
        }
        let (client, teller) = (&self.connection.client, &self.teller);
        let services = Api::all(client.clone());
        let task = teller.clone().follow(services, None, What::Services, Told::Service);
        self.services.push(self.tasks.spawn(task));
        let slices = Api::all(client.clone());
        let task = teller.clone().follow(slices, None, What::Slices, Told::Slice);
        self.services.push(self.tasks.spawn(task));
        true
    }

    /// The Secrets that are named, and no others.
    fn follow_secrets(&mut self, named: &BTreeSet<String>) {
        let gone: Vec<String> =
            self.secrets.keys().filter(|name| !named.contains(*name)).cloned().collect();
        for name in gone {
            if let Some(task) = self.secrets.remove(&name) {
                task.abort();
            }
            self.gathering.forget(&What::Secret(name));
        }
        for name in named {
            if self.secrets.contains_key(name) {
                continue;
            }
            let api = Api::namespaced(self.connection.client.clone(), &self.connection.namespace);
            let (teller, told) = (self.teller.clone(), name.clone());
            let task = self.tasks.spawn(teller.follow(
                api,
                Some(format!("metadata.name={name}")),
                What::Secret(name.clone()),
                move |event| Told::Secret(told.clone(), event),
            ));
            self.secrets.insert(name.clone(), task);
        }
    }

    fn publish_report(&self, doubts: &[Doubt], waiting: Option<&str>) {
        let mut report =
            ConfigReport { loaded_at: self.report.borrow().loaded_at, ..ConfigReport::default() };
        // The doubts about other Nodes are their own agents' to tell.
        let own = doubts.iter().filter(|doubt| {
            doubt.about.kind != Kind::Node || *doubt.about.name == *self.local.node
        });
        report.warnings = own.take(SHOWN).map(ToString::to_string).collect();
        let away = self.connection.away.borrow().clone();
        report.problems = self.gathering.troubles(away.is_some()).collect();
        if let Some(why) = &away {
            report.problems.insert(
                0,
                format!("the API server does not answer, and what it said last stands: {why}"),
            );
        }
        if let Some(waiting) = waiting {
            report.problems.push(format!("what the API server said last stands: {waiting}"));
        } else {
            report.loaded_at = Some(SystemTime::now());
        }
        self.report.send_if_modified(|current| {
            // The time alone is no news.
            let dated = ConfigReport { loaded_at: report.loaded_at, ..(**current).clone() };
            let differs = dated != report || current.loaded_at.is_none();
            if differs {
                *current = Arc::new(report);
            }
            differs
        });
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl std::fmt::Debug for KubeSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeSource").field("node", &self.local.node).finish_non_exhaustive()
    }
}
