//! The owner of the CNI file.
//!
//! The file appears once this node has routes and its host is set up, and then stays: the kubelet
//! would evict every pod if it went for a passing fault (law 7). That this boot was ready once is
//! noted in a file beside the agent's socket, which STATUS looks for and an agent that starts
//! again finds. A file of an earlier boot is taken away at start: nothing it promises holds yet.
//! It is taken away, too, when this node has no pod CIDRs any more: what it would give to new pods
//! is nobody's to reach.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::timeout;

use super::report::{CniReport, FibReport, HostReport};
use crate::desired::cni::{Plugins, conflist};
use crate::source::Snapshot;

/// How often the file is compared with what it should be, whether anything is known to have
/// changed or not.
const COMPARE: Duration = Duration::from_secs(30);
/// How long a plugin may take to say its versions.
const ANSWER: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const MAX_ANSWER: u64 = 64 * 1024;
/// This plugin's file name.
const PLUGIN: &str = "twill-cni";
const PORTMAP: &str = "portmap";

/// Keeps the CNI file as it should be.
#[derive(Debug)]
pub struct CniOwner {
    snapshot: watch::Receiver<Arc<Snapshot>>,
    fib: watch::Receiver<Arc<FibReport>>,
    host: watch::Receiver<Arc<HostReport>>,
    report: watch::Sender<Arc<CniReport>>,
    readiness_file: PathBuf,
    /// This boot was ready once.
    ready: bool,
    /// What we wrote, and whether it may have to move.
    written: Option<PathBuf>,
}

impl CniOwner {
    /// `readiness_file`: where it is noted that this boot was ready once.
    pub fn new(
        snapshot: watch::Receiver<Arc<Snapshot>>,
        fib: watch::Receiver<Arc<FibReport>>,
        host: watch::Receiver<Arc<HostReport>>,
        report: watch::Sender<Arc<CniReport>>,
        readiness_file: PathBuf,
    ) -> CniOwner {
        let ready = was_ready(&readiness_file);
        CniOwner { snapshot, fib, host, report, readiness_file, ready, written: None }
    }

    /// Runs until dropped.
    pub async fn run(mut self) {
        if !self.ready {
            let file = self.snapshot.borrow().cni.conf_file.clone();
            remove_of_earlier_boot(&file);
        }
        loop {
            self.note_readiness();
            if self.ready {
                let snapshot = Arc::clone(&self.snapshot.borrow_and_update());
                let report = match self.reconcile(&snapshot).await {
                    Ok(written) => CniReport { written, problem: None },
                    Err(problem) => CniReport { written: false, problem: Some(problem) },
                };
                self.publish(report);
            }
            if self.wait().await.is_err() {
                return;
            }
        }
    }

    /// Until something may have to be done.
    async fn wait(&mut self) -> Result<(), watch::error::RecvError> {
        loop {
            tokio::select! {
                changed = self.snapshot.changed() => return changed,
                changed = self.fib.changed(), if !self.ready => changed?,
                changed = self.host.changed(), if !self.ready => changed?,
                () = tokio::time::sleep(COMPARE) => return Ok(()),
            }
            if self.fib.borrow().ready && self.host.borrow().ready {
                return Ok(());
            }
        }
    }

    fn note_readiness(&mut self) {
        let now = self.fib.borrow_and_update().ready && self.host.borrow_and_update().ready;
        if self.ready || !now {
            return;
        }
        tracing::info!("this node is ready to route");
        let boot = boot_id().unwrap_or_default();
        if let Err(error) = put(&self.readiness_file, &format!("{boot}\n")) {
            let file = self.readiness_file.display();
            tracing::error!("cannot note in {file} that this node is ready: {error}");
        }
        self.ready = true;
    }

    fn publish(&self, report: CniReport) {
        self.report.send_if_modified(|current| {
            let differs = **current != report;
            if differs {
                if let Some(problem) = &report.problem {
                    tracing::error!("{problem}");
                }
                *current = Arc::new(report);
            }
            differs
        });
    }

    /// Whether a file is in place; an error says why not, with the remedy.
    async fn reconcile(&mut self, snapshot: &Snapshot) -> Result<bool, String> {
        let file = &snapshot.cni.conf_file;
        let shown = file.display();
        if !snapshot.cni.write {
            if let Some(file) = self.written.take() {
                tracing::info!("cni.write is false: {} stays as it is", file.display());
            }
            return Ok(false);
        }
        if snapshot.node.pod_cidrs.is_empty() {
            let old = self.written.take().filter(|old| old != file);
            old.iter().chain([file]).try_for_each(|path| retract(path))?;
            return Ok(false);
        }
        let plugins = ask(&snapshot.cni.bin_dir).await?;
        let Some(text) = conflist(snapshot, &plugins, &self.readiness_file)? else {
            return Ok(false);
        };
        if fs::read(file).is_ok_and(|current| current == text.as_bytes()) {
            self.written = Some(file.clone());
            return Ok(true);
        }
        put(file, &text).map_err(|error| {
            format!("the CNI file {shown} cannot be written: {error}; or set cni.write: false")
        })?;
        tracing::info!("wrote {shown}");
        // Two files would be two networks, and the runtime takes the first by name.
        if let Some(old) = self.written.replace(file.clone())
            && old != *file
        {
            match fs::remove_file(&old) {
                Ok(()) => tracing::info!("removed {}", old.display()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::error!("cannot remove {}: {error}", old.display()),
            }
        }
        Ok(true)
    }
}

/// Takes a file of ours away, because this node has no pod CIDRs.
fn retract(path: &Path) -> Result<(), String> {
    if !is_ours(path) {
        return Ok(());
    }
    fs::remove_file(path).map_err(|error| {
        format!(
            "{} gives pods addresses that this node does not have any more, and cannot be removed: \
             {error}; remove it",
            path.display()
        )
    })?;
    tracing::info!("removed {}: this node has no podCIDRs", path.display());
    Ok(())
}

fn is_ours(path: &Path) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.contains(PLUGIN))
}

/// Finds the plugins, and asks those that will be chained for their versions.
async fn ask(bin_dir: &Path) -> Result<Plugins, String> {
    let ours = bin_dir.join(PLUGIN);
    if !is_executable(&ours) {
        return Err(format!(
            "the CNI file is not written, because {} is no program: run `twill install-cni \
             --bin-dir {}`",
            ours.display(),
            bin_dir.display()
        ));
    }
    let portmap = bin_dir.join(PORTMAP);
    let mut versions = vec![versions_of(&ours).await];
    let chained = is_executable(&portmap);
    if chained {
        versions.push(versions_of(&portmap).await);
    }
    Ok(Plugins { portmap: chained, versions })
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// CNI specification, VERSION: the plugin prints `{"supportedVersions": [...]}`.
async fn versions_of(plugin: &Path) -> Option<Vec<String>> {
    match timeout(ANSWER, run_version(plugin)).await {
        Ok(Ok(versions)) => Some(versions),
        Ok(Err(error)) => {
            tracing::warn!("{} does not say its versions: {error}", plugin.display());
            None
        }
        Err(_) => {
            tracing::warn!("{} does not say its versions in {ANSWER:?}", plugin.display());
            None
        }
    }
}

async fn run_version(plugin: &Path) -> io::Result<Vec<String>> {
    let mut child = Command::new(plugin)
        .env_clear()
        .env("CNI_COMMAND", "VERSION")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A plugin that answers without reading is no error.
        drop(stdin.write_all(br#"{"cniVersion":"1.0.0"}"#).await);
    }
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_ANSWER).read_to_end(&mut answer).await?;
    }
    child.wait().await?;
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        supported_versions: Vec<String>,
    }
    let answer: Answer = serde_json::from_slice(&answer)?;
    Ok(answer.supported_versions)
}

/// Whole or not at all, also for a reader at the same moment and after a crash.
fn put(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().ok_or_else(|| io::Error::other("it is no file name"))?;
    fs::create_dir_all(directory)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Runtimes pass over this name: it ends in none of .conf, .conflist and .json.
    let temporary = directory.join(format!(".{name}.tmp"));
    let mut file = fs::File::create(&temporary)?;
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    fs::File::open(directory)?.sync_all()
}

/// Takes away what was written before this boot began, where it is ours.
fn remove_of_earlier_boot(path: &Path) {
    let Ok(metadata) = path.metadata() else { return };
    let Some(boot) = boot_time() else { return };
    if !is_ours(path) || metadata.mtime() >= boot {
        return;
    }
    match fs::remove_file(path) {
        Ok(()) => tracing::info!(
            "removed {}, of an earlier boot, until this node is ready to route",
            path.display()
        ),
        Err(error) => tracing::error!("cannot remove {}: {error}", path.display()),
    }
}

/// Whether it is noted that this boot was ready once.
pub(super) fn was_ready(readiness_file: &Path) -> bool {
    boot_id().is_some_and(|boot| {
        fs::read_to_string(readiness_file).is_ok_and(|noted| noted.trim_end() == boot)
    })
}

fn boot_id() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim_end().to_owned())
}

/// Seconds since the epoch.
fn boot_time() -> Option<i64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::fixture::snapshot;

    struct Stage {
        folder: PathBuf,
        snapshot: watch::Sender<Arc<Snapshot>>,
        fib: watch::Sender<Arc<FibReport>>,
        host: watch::Sender<Arc<HostReport>>,
        report: watch::Receiver<Arc<CniReport>>,
        owner: Option<CniOwner>,
        tasks: tokio::task::JoinSet<()>,
    }

    fn text(folder: &Path, name: &str, cidr: &str) -> String {
        let shown = folder.display();
        format!(
            "node: a\naddresses: [10.0.0.1]\npodCIDRs: [{cidr}]\n\
             cni: {{confFile: {shown}/net.d/{name}.conflist, binDir: {shown}/bin}}\n"
        )
    }

    impl Stage {
        fn new(name: &str) -> Stage {
            let process = std::process::id();
            let folder = std::env::temp_dir().join(format!("twill-owner-{name}-{process}"));
            fs::create_dir_all(folder.join("bin")).unwrap();
            let (snapshot, snapshots) =
                watch::channel(Arc::new(snapshot(&text(&folder, "10-twill", "10.244.1.0/24"))));
            let (fib, fibs) = watch::channel(Arc::default());
            let (host, hosts) = watch::channel(Arc::default());
            let (reports, report) = watch::channel(Arc::default());
            let owner = CniOwner::new(snapshots, fibs, hosts, reports, folder.join("run/ready"));
            let tasks = tokio::task::JoinSet::new();
            Stage { folder, snapshot, fib, host, report, owner: Some(owner), tasks }
        }

        fn install(&self, name: &str, versions: &str) {
            let path = self.folder.join("bin").join(name);
            let script = format!("#!/bin/sh\necho '{{\"supportedVersions\": [{versions}]}}'\n");
            put(&path, &script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }

        fn start(&mut self) {
            self.tasks.spawn(self.owner.take().unwrap().run());
        }

        fn ready(&self, routes: bool, host: bool) {
            self.fib.send_replace(Arc::new(FibReport { ready: routes, ..FibReport::default() }));
            self.host.send_replace(Arc::new(HostReport { ready: host, ..HostReport::default() }));
        }

        fn written(&self, name: &str) -> Option<serde_json::Value> {
            let text = fs::read(self.folder.join(format!("net.d/{name}.conflist"))).ok()?;
            Some(serde_json::from_slice(&text).unwrap())
        }
    }

    impl Drop for Stage {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.folder));
        }
    }

    #[tokio::test]
    async fn the_file_appears_when_the_node_is_ready_and_then_stays() {
        let mut stage = Stage::new("appears");
        stage.install("twill-cni", r#""0.4.0", "1.0.0", "1.1.0""#);
        stage.install("portmap", r#""0.3.1", "0.4.0""#);
        stage.start();
        stage.ready(true, false);
        tokio::task::yield_now().await;
        assert_eq!(stage.written("10-twill"), None);

        stage.ready(true, true);
        stage.report.changed().await.unwrap();
        assert!(stage.report.borrow_and_update().written);
        let written = stage.written("10-twill").unwrap();
        assert_eq!(written["cniVersion"], "0.4.0", "the highest that both support");
        assert_eq!(written["plugins"][1]["type"], "portmap");
        let noted = fs::read_to_string(stage.folder.join("run/ready")).unwrap();
        assert_eq!(Some(noted.trim_end().to_owned()), boot_id());

        // A fault passes, and the file follows the configuration all the same.
        stage.ready(false, false);
        let moved = text(&stage.folder, "20-twill", "10.244.9.0/24");
        stage.snapshot.send_replace(Arc::new(snapshot(&moved)));
        while stage.written("20-twill").is_none() || stage.written("10-twill").is_some() {
            tokio::task::yield_now().await;
        }
        let range = stage.written("20-twill").unwrap()["plugins"][0]["ipam"]["ranges"].clone();
        assert_eq!(range[0][0]["subnet"], "10.244.9.0/24");
    }

    /// Without pod CIDRs there is nothing to give to a pod. A file of somebody else stays, and so
    /// does ours where the operator keeps it from now on.
    #[tokio::test]
    async fn the_file_goes_with_the_pod_cidrs() {
        let mut stage = Stage::new("emptied");
        stage.install("twill-cni", r#""1.0.0""#);
        stage.start();
        stage.ready(true, true);
        let written = text(&stage.folder, "10-twill", "10.244.1.0/24");
        while stage.written("10-twill").is_none() {
            tokio::task::yield_now().await;
        }
        stage.report.changed().await.unwrap();
        assert!(stage.report.borrow_and_update().written);

        let kept = written.replace("bin}", "bin, write: false}");
        stage.snapshot.send_replace(Arc::new(snapshot(&kept)));
        stage.report.changed().await.unwrap();
        assert!(!stage.report.borrow_and_update().written);
        assert!(stage.written("10-twill").is_some(), "the operator's from now on");

        let emptied = written.replace("[10.244.1.0/24]", "[]");
        stage.snapshot.send_replace(Arc::new(snapshot(&emptied)));
        while stage.written("10-twill").is_some() {
            tokio::task::yield_now().await;
        }
        let foreign = stage.folder.join("net.d/10-twill.conflist");
        fs::write(&foreign, r#"{"plugins": [{"type": "bridge"}]}"#).unwrap();
        stage.snapshot.send_replace(Arc::new(snapshot(&format!("asn: 64513\n{emptied}"))));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(foreign.exists(), "it is not ours");
        stage.snapshot.send_replace(Arc::new(snapshot(&written)));
        stage.report.changed().await.unwrap();
        let range = stage.written("10-twill").unwrap()["plugins"][0]["ipam"]["ranges"].clone();
        assert_eq!(range[0][0]["subnet"], "10.244.1.0/24");
    }

    #[tokio::test]
    async fn without_the_plugin_no_file_is_written_and_the_remedy_is_told() {
        let mut stage = Stage::new("without");
        stage.start();
        stage.ready(true, true);
        stage.report.changed().await.unwrap();
        let problem = stage.report.borrow().problem.clone().unwrap();
        assert!(problem.contains("twill install-cni --bin-dir"), "{problem}");
        assert_eq!(stage.written("10-twill"), None);
    }

    #[tokio::test]
    async fn a_file_of_an_earlier_boot_goes_and_one_of_this_boot_stays() {
        for (age, stays) in [(Duration::from_secs(10 * 365 * 86400), false), (Duration::ZERO, true)]
        {
            let mut stage = Stage::new("earlier");
            let path = stage.folder.join("net.d/10-twill.conflist");
            put(&path, "{\"type\": \"twill-cni\"}").unwrap();
            let time = std::time::SystemTime::now() - age;
            fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
            stage.start();
            tokio::task::yield_now().await;
            assert_eq!(path.exists(), stays, "{age:?}");
        }
    }
}
