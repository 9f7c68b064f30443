//! The pod's network namespace. One setns each way at most; no thread, no fork.

use std::fs::{File, Metadata, metadata};
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sched::{CloneFlags, setns};

use crate::error::{Code, Error};
use crate::link::Netlink;

const OWN: &str = "/proc/self/ns/net";

/// A network namespace, held open.
#[derive(Debug)]
pub(crate) struct Netns(File);

impl Netns {
    /// Opens CNI_NETNS. `None` where nothing is there.
    ///
    /// # Errors
    /// Code 4 for what cannot be opened.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, Error> {
        match File::open(path) {
            Ok(file) => Ok(Some(Self(file))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(wrong(path, &error.to_string())),
        }
    }

    /// The namespace of this thread.
    ///
    /// # Errors
    /// Code 5 where /proc is missing.
    pub(crate) fn current() -> Result<Self, Error> {
        let open = File::open(OWN);
        open.map(Self).map_err(|error| Error::new(Code::Io, format!("cannot open {OWN}: {error}")))
    }

    /// Goes there, and opens a socket there. Sockets opened before stay where they are.
    ///
    /// # Errors
    /// Code 4 where it is no network namespace, or the one that `host` is of: there a pod's default
    /// route would cut off the host.
    pub(crate) fn enter(&self, path: &Path, host: &Netlink) -> Result<Netlink, Error> {
        let cookie = host.namespace();
        // Where the kernel has no cookies yet. Looking /proc up costs more than both of them.
        let own = if cookie.is_none() { metadata(OWN).ok() } else { None };
        self.go(path)?;
        let pod = Netlink::open()?;
        let same_file = |own: Metadata| {
            let there = self.0.metadata().ok();
            there.is_some_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino()))
        };
        if cookie.is_some() && cookie == pod.namespace() || own.is_some_and(same_file) {
            return Err(wrong(path, "it is the host's own network namespace"));
        }
        Ok(pod)
    }

    /// Goes back there.
    ///
    /// # Errors
    /// Code 4 where it cannot be entered.
    pub(crate) fn return_to(&self) -> Result<(), Error> {
        self.go(Path::new(OWN))
    }

    /// Goes there.
    ///
    /// # Errors
    /// Code 4 where it is no network namespace.
    pub(crate) fn go(&self, path: &Path) -> Result<(), Error> {
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
