//! The pod's network namespace. One setns each way at most; no thread, no fork.

use std::fs::{File, metadata};
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sched::{CloneFlags, setns};

use crate::error::{Code, Error};

const OWN: &str = "/proc/self/ns/net";

/// A network namespace, held open.
#[derive(Debug)]
pub(crate) struct Netns(File);

impl Netns {
    /// Opens CNI_NETNS. `None` where nothing is there.
    ///
    /// # Errors
    /// Code 4 for the host's own namespace, in which a pod's default route would cut off the host.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, Error> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(wrong(path, &error.to_string())),
        };
        let (one, other) = (file.metadata(), metadata(OWN));
        let same = |(one, other): (std::fs::Metadata, std::fs::Metadata)| {
            (one.dev(), one.ino()) == (other.dev(), other.ino())
        };
        if one.ok().zip(other.ok()).is_some_and(same) {
            return Err(wrong(path, "it is the host's own network namespace"));
        }
        Ok(Some(Self(file)))
    }

    /// The namespace of this thread.
    ///
    /// # Errors
    /// Code 5 where /proc is missing.
    pub(crate) fn current() -> Result<Self, Error> {
        let open = File::open(OWN);
        open.map(Self).map_err(|error| Error::new(Code::Io, format!("cannot open {OWN}: {error}")))
    }

    /// Goes there. Sockets opened before stay where they are.
    ///
    /// # Errors
    /// Code 4 where it is no network namespace.
    pub(crate) fn enter(&self, path: &Path) -> Result<(), Error> {
        setns(&self.0, CloneFlags::CLONE_NEWNET).map_err(|errno| match errno {
            nix::Error::EINVAL => wrong(path, "it is no network namespace"),
            errno => wrong(path, &format!("it cannot be entered: {}", errno.desc())),
        })
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn wrong(path: &Path, why: &str) -> Error {
    Error::new(Code::Environment, format!("CNI_NETNS: {}: {why}", path.display()))
}
