//! Taking a node out gently (RFC 8326): how far that is, and where it is remembered.
//!
//! ```text
//! twill drain   -> marked      what leads through this node carries GRACEFUL_SHUTDOWN and local
//!                              preference 0: others move to their other paths, if they have any
//!    quiet?     -> withdrawn   it is announced no longer; sessions and kernel routes stay
//! --undo        -> not drained
//! ```
//!
//! Remembered beside the socket, so that it survives a restart of the agent and ends with a boot.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// How far a node is drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Drain {
    /// Announcements carry GRACEFUL_SHUTDOWN and local preference 0.
    Marked,
    /// Nothing that leads through this node is announced.
    Withdrawn,
}

impl Drain {
    fn word(self) -> &'static str {
        match self {
            Drain::Marked => "marked",
            Drain::Withdrawn => "withdrawn",
        }
    }
}

/// How far this node is drained, remembered in a file. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Drainage {
    path: Arc<PathBuf>,
    state: watch::Sender<Option<Drain>>,
}

impl Drainage {
    /// What was remembered. A file that makes no sense is told of, and counts as none: a node
    /// that announces nothing for no known reason is worse than one that was drained and is not.
    pub fn open(path: PathBuf) -> Drainage {
        let state = match fs::read_to_string(&path) {
            Ok(text) => {
                let known = [Drain::Marked, Drain::Withdrawn];
                let state = known.into_iter().find(|drain| drain.word() == text.trim());
                if state.is_none() {
                    tracing::warn!(
                        "{} says neither marked nor withdrawn: this node is not drained; \
                         run `twill drain` again if it should be",
                        path.display()
                    );
                }
                state
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!("{}: {error}: this node is not drained", path.display());
                }
                None
            }
        };
        if let Some(drain) = state {
            tracing::warn!("this node is drained ({}); `twill drain --undo` ends it", drain.word());
        }
        Drainage { path: Arc::new(path), state: watch::Sender::new(state) }
    }

    /// As it is now.
    pub fn get(&self) -> Option<Drain> {
        *self.state.borrow()
    }

    /// Tells of every change.
    pub fn subscribe(&self) -> watch::Receiver<Option<Drain>> {
        self.state.subscribe()
    }

    /// Remembers, then tells.
    ///
    /// # Errors
    /// Where it cannot be remembered; nothing has changed then.
    pub fn set(&self, to: Option<Drain>) -> io::Result<()> {
        match to {
            Some(drain) => write(&self.path, drain.word())?,
            None => match fs::remove_file(&*self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            },
        }
        self.state.send_replace(to);
        Ok(())
    }
}

/// Whole or not at all.
fn write(path: &Path, word: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    writeln!(file, "{word}")?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::testing::TempDir;

    #[test]
    fn it_is_remembered_and_forgotten() {
        let dir = TempDir::new();
        let path = dir.path().join("drain");
        let first = Drainage::open(path.clone());
        assert_eq!(first.get(), None);
        for state in [Some(Drain::Marked), Some(Drain::Withdrawn), None, None] {
            first.set(state).unwrap();
            assert_eq!((first.get(), Drainage::open(path.clone()).get()), (state, state));
        }
        fs::write(&path, "half a wo").unwrap();
        assert_eq!(Drainage::open(path).get(), None);
        let nowhere = Drainage::open(dir.path().join("none/drain"));
        assert!(nowhere.set(Some(Drain::Marked)).is_err());
        assert_eq!(nowhere.get(), None, "what is not remembered does not happen");
    }
}
