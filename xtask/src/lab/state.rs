//! What is known of topologies that are up: a folder each, with a file that tells, and a lock that
//! the keeper holds for as long as it lives.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use twill_tests::lab::{WAIT, wait};

/// Root's alone, and gone with a reboot, as the namespaces are.
const FOLDER: &str = "/run/twill-labs";
const STATE: &str = "state.json";
const LOCK: &str = "lock";

/// A topology that is up.
#[derive(Serialize, Deserialize)]
pub(super) struct State {
    pub(super) name: String,
    pub(super) file: PathBuf,
    /// The process that all hangs on.
    pub(super) keeper: i32,
    /// Where its logs are.
    pub(super) directory: PathBuf,
    pub(super) nodes: Vec<NodeState>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct NodeState {
    pub(super) name: String,
    pub(super) image: String,
    /// The first process in its namespaces.
    pub(super) pid: u32,
    /// What stands before every command.
    pub(super) environment: Vec<String>,
}

/// The folder of a topology.
pub(super) fn folder(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

/// Takes the lock of a topology, for as long as the file is open; `None` where another has it.
pub(super) fn lock(name: &str) -> Result<Option<File>> {
    let folder = folder(name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = File::options().create(true).append(true).open(folder.join(LOCK))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).context("cannot take the topology's lock"),
    }
}

impl State {
    /// Writes it whole or not at all.
    pub(super) fn write(&self) -> Result<()> {
        let folder = folder(&self.name);
        let new = folder.join("state.new");
        fs::write(&new, serde_json::to_string_pretty(self)?)?;
        fs::rename(new, folder.join(STATE)).map_err(Into::into)
    }
}

/// What a folder says.
pub(super) struct Running {
    pub(super) state: State,
}

/// Of every topology that came up and was not taken down.
pub(super) fn all() -> Result<Vec<Running>> {
    let Ok(entries) = fs::read_dir(FOLDER) else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for entry in entries {
        let path = entry?.path().join(STATE);
        // One that is only just coming up has no file yet.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let state = serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged: remove it", path.display()))?;
        all.push(Running { state });
    }
    all.sort_by(|one, other| one.state.name.cmp(&other.state.name));
    Ok(all)
}

impl Running {
    /// Whether its keeper lives.
    pub(super) fn is_up(&self) -> bool {
        matches!(lock(&self.state.name), Ok(None))
    }

    /// Ends the keeper, where it lives, and removes what it left.
    pub(super) fn end(&self) -> Result<()> {
        let State { name, keeper, directory, .. } = &self.state;
        if self.is_up() {
            kill(Pid::from_raw(*keeper), Signal::SIGTERM).context("cannot end the keeper")?;
            wait(format_args!("the keeper of {name} to end"), WAIT, || Ok(!self.is_up()))?;
        }
        if directory.starts_with(std::env::temp_dir()) && directory.exists() {
            fs::remove_dir_all(directory)?;
        }
        let folder = folder(name);
        if !folder.starts_with(FOLDER) || folder == Path::new(FOLDER) {
            bail!("{} is no folder of a topology", folder.display());
        }
        fs::remove_dir_all(folder).map_err(Into::into)
    }
}
