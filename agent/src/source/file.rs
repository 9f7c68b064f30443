//! The configuration file as a source: read at start, and again on SIGHUP and when the file, or
//! a password file that it names, has changed.
//!
//! Changes are seen by looking once a second, because that holds for everything a file may be: a
//! file replaced by rename, a link switched under it as kubelet does, a network file system. A
//! change is taken once two looks agree, so that a file is not read while it is written.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Snapshot;
use crate::config::{Config, ConfigError};
use crate::reconcile::report::ConfigReport;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What tells whether a file is still the same: device, inode, size, and its times of change.
type Stamp = Option<(u64, u64, u64, i64, i64, i64, i64)>;

/// A configuration file that is read again when it changes.
#[derive(Debug)]
pub struct FileSource {
    path: PathBuf,
    secret_files: Vec<PathBuf>,
    /// Of the file and the password files, when they were read last.
    read: Vec<Stamp>,
    /// As seen by the last look.
    seen: Vec<Stamp>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    report: watch::Sender<Arc<ConfigReport>>,
    hangup: Signal,
    looks: Interval,
}

impl FileSource {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// All that is wrong with the file; or that signals cannot be listened to.
    pub fn open(path: &Path) -> Result<FileSource, OpenError> {
        let before = stamp(path);
        let config = Config::load(path)?;
        let (report, _) = watch::channel(Arc::new(in_force(&config)));
        let (snapshot, _) = watch::channel(Arc::new(config.snapshot));
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut source = FileSource {
            path: path.to_owned(),
            secret_files: config.secret_files,
            read: Vec::new(),
            seen: Vec::new(),
            snapshot,
            report,
            hangup: signal(SignalKind::hangup()).map_err(OpenError::Signal)?,
            looks,
        };
        source.read = source.look();
        if let Some(file) = source.read.first_mut() {
            *file = before;
        }
        source.seen.clone_from(&source.read);
        Ok(source)
    }

    /// The configuration in force, and each that follows.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.subscribe()
    }

    /// How the file was taken.
    pub fn reports(&self) -> watch::Receiver<Arc<ConfigReport>> {
        self.report.subscribe()
    }

    /// Watches and reloads until dropped.
    pub async fn run(mut self) {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => {
                    tracing::info!("SIGHUP: reading {} again", self.path.display());
                    self.reload();
                }
                _ = self.looks.tick() => {
                    let now = self.look();
                    let settled = now == self.seen;
                    self.seen = now;
                    if settled && self.seen != self.read {
                        tracing::info!("{} has changed: reading it again", self.path.display());
                        self.reload();
                    }
                }
            }
        }
    }

    fn look(&self) -> Vec<Stamp> {
        std::iter::once(&self.path).chain(&self.secret_files).map(|path| stamp(path)).collect()
    }

    /// Takes the file whole, or leaves everything as it is and says why.
    fn reload(&mut self) {
        // Looked at before it is read: a change in between is then seen as one.
        let (before, named) = (self.look(), self.secret_files.clone());
        match Config::load(&self.path) {
            Ok(config) => {
                let report = in_force(&config);
                for warning in &report.warnings {
                    tracing::warn!("{warning}");
                }
                self.secret_files = config.secret_files;
                self.report.send_replace(Arc::new(report));
                let changed = self.snapshot.send_if_modified(|current| {
                    let differs = **current != config.snapshot;
                    if differs {
                        *current = Arc::new(config.snapshot);
                    }
                    differs
                });
                tracing::info!(
                    "configuration {}",
                    if changed { "reloaded" } else { "read again: nothing in it has changed" }
                );
            }
            Err(error) => {
                tracing::error!("refused; the configuration before stays in force:\n{error}");
                self.report.send_modify(|report| {
                    Arc::make_mut(report).refused = Some(error.to_string());
                });
                self.secret_files = error.secret_files;
            }
        }
        self.read = if self.secret_files == named { before } else { self.look() };
        self.seen.clone_from(&self.read);
    }
}

/// Why a source could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No signal handler could be installed.
    #[error("cannot listen for SIGHUP: {0}")]
    Signal(io::Error),
}

fn in_force(config: &Config) -> ConfigReport {
    ConfigReport {
        loaded_at: Some(SystemTime::now()),
        refused: None,
        warnings: config.warnings.iter().map(ToString::to_string).collect(),
        problems: Vec::new(),
    }
}

fn stamp(path: &Path) -> Stamp {
    let of = |metadata: Metadata| {
        (
            metadata.dev(),
            metadata.ino(),
            metadata.size(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec(),
        )
    };
    path.metadata().ok().map(of)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("twill-file-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn with_port(port: u16) -> String {
        format!(
            "addresses: [10.0.0.1]\nlisten: {{port: {port}}}\nmesh: {{password: {{file: secret}}}}\n"
        )
    }

    /// On a paused clock the looks follow each other at once.
    #[tokio::test(start_paused = true)]
    async fn a_changed_file_is_taken_whole_or_not_at_all() {
        let folder = folder("changed");
        let path = folder.join("twill.yaml");
        fs::write(folder.join("secret"), "one").unwrap();
        fs::write(&path, with_port(1001)).unwrap();
        let source = FileSource::open(&path).unwrap();
        let (mut snapshots, mut reports) = (source.snapshots(), source.reports());
        assert_eq!(snapshots.borrow_and_update().listen_port, 1001);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(source.run());

        // Replaced by rename, as careful editors do.
        fs::write(folder.join("new"), with_port(1002)).unwrap();
        fs::rename(folder.join("new"), &path).unwrap();
        snapshots.changed().await.unwrap();
        assert_eq!(snapshots.borrow_and_update().listen_port, 1002);
        reports.borrow_and_update();

        // A bad file changes nothing, and says why.
        fs::write(&path, "addresses: [10.0.0.1]\nlisten: {prot: 1003}\n").unwrap();
        reports.changed().await.unwrap();
        let refused = reports.borrow_and_update().refused.clone().unwrap();
        assert!(refused.contains("did you mean `port`?"), "{refused}");
        assert!(!snapshots.has_changed().unwrap());

        // The next good one is taken, and the refusal is forgotten.
        fs::write(&path, with_port(1004)).unwrap();
        snapshots.changed().await.unwrap();
        assert_eq!(snapshots.borrow_and_update().listen_port, 1004);
        assert_eq!(reports.borrow_and_update().refused, None);

        // So is a new password; a missing one is refused until it is back.
        fs::write(folder.join("secret"), "two").unwrap();
        snapshots.changed().await.unwrap();
        let password = snapshots.borrow_and_update().mesh.password.clone();
        assert_eq!(password, Some(twill_bgp::Secret::new("two")));
        reports.borrow_and_update();
        fs::remove_file(folder.join("secret")).unwrap();
        reports.changed().await.unwrap();
        assert!(reports.borrow_and_update().refused.is_some());
        fs::write(folder.join("secret"), "three").unwrap();
        snapshots.changed().await.unwrap();
        assert_eq!(reports.borrow().refused, None);
        fs::remove_dir_all(folder).unwrap();
    }
}
