//! The two places where control listens, bound before anything else of the agent starts.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
};
use tokio::net::{TcpListener, UnixListener};

/// Connections that wait to be taken.
const BACKLOG: u16 = 64;

/// Why control cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Another agent answers there.
    #[error(
        "another agent answers on {path}: stop it, or choose another path with --socket or \
         TWILL_SOCKET"
    )]
    Live {
        /// The socket.
        path: PathBuf,
    },
    /// Something else lies there.
    #[error(
        "{path} exists and is no socket ({what}), and is left alone: move it away, or choose \
         another path with --socket or TWILL_SOCKET"
    )]
    NotASocket {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Anything else that the operating system said about the socket.
    #[error("cannot listen on {path}: {what}: {source}")]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// The operating system's words.
        source: io::Error,
    },
    /// The HTTP address cannot be had.
    #[error(
        "cannot listen on http: {address}: {source}; free it (`ss -ltnp 'sport = :{}'` shows who \
         has it), or set http to another address", address.port()
    )]
    Http {
        /// The address.
        address: SocketAddr,
        /// The operating system's words.
        source: io::Error,
    },
}

/// The Unix socket, listening, readable by its owner alone. Removed when dropped, unless another
/// has taken its place.
#[derive(Debug)]
pub struct ControlSocket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// Device and inode of our own socket.
    identity: (u64, u64),
}

impl ControlSocket {
    /// Binds the socket. One that nobody answers on is replaced. Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// Where another agent answers on it, where something else lies there, and where the
    /// directory cannot be written.
    pub fn bind(path: &Path) -> Result<ControlSocket, ControlError> {
        let failed =
            |what| move |source| ControlError::Socket { path: path.to_owned(), what, source };
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(failed("cannot make its directory"))?;
        }
        make_way(path)?;
        let address = UnixAddr::new(path).map_err(|errno| failed("bad path")(errno.into()))?;
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)
            .map_err(|errno| failed("cannot make a socket")(errno.into()))?;
        bind(fd.as_raw_fd(), &address).map_err(|errno| failed("cannot bind")(errno.into()))?;
        // Nobody can connect before listen, so nobody slips in before the mode is set.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))
            .map_err(failed("cannot set its mode"))?;
        let metadata = fs::symlink_metadata(path).map_err(failed("cannot be looked at"))?;
        let backlog = Backlog::new(i32::from(BACKLOG))
            .map_err(|errno| failed("cannot listen")(errno.into()))?;
        listen(&fd, backlog).map_err(|errno| failed("cannot listen")(errno.into()))?;
        let listener = UnixListener::from_std(fd.into()).map_err(failed("cannot listen"))?;
        let identity = (metadata.dev(), metadata.ino());
        Ok(ControlSocket { listener, path: path.to_owned(), identity })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// Removes a socket that nobody listens on.
fn make_way(path: &Path) -> Result<(), ControlError> {
    let failed = |what| move |source| ControlError::Socket { path: path.to_owned(), what, source };
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed("cannot be looked at")(source)),
    };
    if !kind.is_socket() {
        let what = match kind {
            kind if kind.is_dir() => "a directory",
            kind if kind.is_symlink() => "a symbolic link",
            kind if kind.is_file() => "a file",
            _ => "a special file",
        };
        return Err(ControlError::NotASocket { path: path.to_owned(), what });
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(ControlError::Live { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed("cannot remove the socket of a former run"))
        }
        Err(source) => Err(failed("cannot tell whether another agent answers")(source)),
    }
}

/// The HTTP address, listening.
#[derive(Debug)]
pub struct HttpListener {
    pub(super) listener: TcpListener,
    pub(super) address: SocketAddr,
}

impl HttpListener {
    /// Binds the address of the configuration.
    ///
    /// # Errors
    /// Where it is taken, or no address of this host.
    pub async fn bind(address: SocketAddr) -> Result<HttpListener, ControlError> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| ControlError::Http { address, source })?;
        Ok(HttpListener { listener, address })
    }

    /// Where it listens: the port that was chosen, where the configuration said 0.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::testing::TempDir;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let dir = TempDir::new();
        let path = dir.path().join("run/twill.sock");
        let first = ControlSocket::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let refused = ControlSocket::bind(&path).unwrap_err().to_string();
        assert!(refused.starts_with("another agent answers on "), "{refused}");
        drop(first);
        assert!(!path.exists());
        // What kill -9 leaves: the file, and nobody behind it.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(ControlSocket::bind(&path).unwrap());
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let dir = TempDir::new();
        let path = dir.path().join("precious");
        fs::write(&path, "data").unwrap();
        let refused = ControlSocket::bind(&path).unwrap_err().to_string();
        assert!(refused.contains("exists and is no socket (a file)"), "{refused}");
        let refused = ControlSocket::bind(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("(a directory)"), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "data");
    }

    #[tokio::test]
    async fn a_successor_keeps_its_socket() {
        let dir = TempDir::new();
        let path = dir.path().join("twill.sock");
        let first = ControlSocket::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let second = ControlSocket::bind(&path).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_taken_http_address_is_named() {
        let first = HttpListener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = first.local_address().unwrap();
        let refused = HttpListener::bind(address).await.unwrap_err().to_string();
        assert!(refused.contains(&format!("cannot listen on http: {address}")), "{refused}");
        assert!(refused.contains("ss -ltnp"), "{refused}");
    }
}
