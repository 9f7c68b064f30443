//! Connections of configured peers, and of nobody else.
//!
//! In come connections, out go those whose source address is a configured peer's, each to that
//! peer's task. All others are closed before a byte is read, and counted. A peer that opens
//! connections faster than its task takes them is held to [`WAITING`]; what goes over is closed
//! and counted as well.
//!
//! MD5 keys live on the listening sockets: the kernel drops a SYN with a wrong signature, so that
//! nothing of it is seen here (RFC 2385).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use twill_bgp_proto::types::Prefix;

use crate::error::SpeakerError;
use crate::settings::Secret;
use crate::socket::{self, SocketError};

/// Accepted connections of one peer that its task has not taken yet.
pub(crate) const WAITING: usize = 2;

/// How long to pause where the process has no file descriptor left for a connection: it stays in
/// the kernel's queue meanwhile.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Where connections go. Closed to everybody at first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Doors {
    known: Arc<HashMap<IpAddr, mpsc::Sender<TcpStream>>>,
    /// Whoever dials from here without being known becomes a peer.
    ranges: Arc<[Prefix]>,
    strangers: Option<mpsc::Sender<TcpStream>>,
}

impl Doors {
    /// The doors of known addresses, and the one of strangers from `ranges`.
    pub(crate) fn new(
        known: HashMap<IpAddr, mpsc::Sender<TcpStream>>,
        ranges: Vec<Prefix>,
        strangers: &mpsc::Sender<TcpStream>,
    ) -> Doors {
        let strangers = Some(strangers.clone()).filter(|_| !ranges.is_empty());
        Doors { known: Arc::new(known), ranges: ranges.into(), strangers }
    }

    fn of(&self, source: IpAddr) -> Option<mpsc::Sender<TcpStream>> {
        let stranger = || {
            let allowed = self.ranges.iter().any(|range| range.contains(source));
            self.strangers.clone().filter(|_| allowed)
        };
        self.known.get(&source).cloned().or_else(stranger)
    }
}

/// The listening sockets.
#[derive(Debug)]
pub(crate) struct Listeners {
    sockets: Vec<Arc<TcpListener>>,
    addresses: Vec<SocketAddr>,
    refused: Arc<AtomicU64>,
}

impl Listeners {
    /// Opens all of them, or none.
    pub(crate) fn open(addresses: &[SocketAddr]) -> Result<Listeners, SpeakerError> {
        let sockets = addresses
            .iter()
            .map(|&address| socket::listen(address).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        let addresses = sockets
            .iter()
            .zip(addresses)
            .map(|(socket, &address)| {
                socket.local_addr().map_err(|source| SpeakerError::Listen { address, source })
            })
            .collect::<Result<_, _>>()?;
        Ok(Listeners { sockets, addresses, refused: Arc::default() })
    }

    /// Where they listen, ports of 0 resolved.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Counts connections that were closed unread.
    pub(crate) fn refused(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.refused)
    }

    /// Counts a connection that was closed unread.
    pub(crate) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Starts to accept, one task for each socket.
    pub(crate) fn accept(&self, tasks: &mut JoinSet<()>, doors: &watch::Receiver<Doors>) {
        for socket in &self.sockets {
            tasks.spawn(accept(Arc::clone(socket), doors.clone(), self.refused()));
        }
    }

    /// From now on connections of `peer` must be signed.
    pub(crate) fn set_key(&self, peer: IpAddr, password: &Secret) -> Result<(), SocketError> {
        self.of_family(peer).try_for_each(|socket| socket::set_key(socket, peer, password))
    }

    /// From now on connections of `peer` must not be signed.
    pub(crate) fn remove_key(&self, peer: IpAddr) -> Result<(), SocketError> {
        self.of_family(peer).try_for_each(|socket| socket::remove_key(socket, peer))
    }

    /// The least TTL that any peer's connection may arrive with, by family: where every peer is
    /// guarded by GTSM, not even a SYN from afar is answered (RFC 5082).
    pub(crate) fn set_least_ttl(&self, ipv4: u8, ipv6: u8) {
        for (socket, address) in self.sockets.iter().zip(&self.addresses) {
            let least = if address.is_ipv4() { ipv4 } else { ipv6 };
            if let Err(error) = socket::set_least_ttl(&**socket, address.is_ipv4(), least)
                && least > 0
            {
                // Accepted connections are guarded one by one, and dialled ones too.
                tracing::warn!(%address, %error, "the listening socket is not guarded by TTL");
            }
        }
    }

    fn of_family(&self, peer: IpAddr) -> impl Iterator<Item = &TcpListener> {
        self.sockets
            .iter()
            .zip(&self.addresses)
            .filter(move |(_, address)| address.is_ipv4() == peer.is_ipv4())
            .map(|(socket, _)| &**socket)
    }
}

async fn accept(socket: Arc<TcpListener>, doors: watch::Receiver<Doors>, refused: Arc<AtomicU64>) {
    loop {
        match socket.accept().await {
            Ok((stream, source)) => {
                let door = doors.borrow().of(source.ip());
                let taken = door.is_some_and(|door| door.try_send(stream).is_ok());
                if !taken {
                    refused.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!(%source, "closed a connection that no peer was waiting for");
                }
            }
            // The connection was gone before we took it.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept BGP connections");
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncReadExt;
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    fn listening() -> (Listeners, SocketAddr) {
        let listeners = Listeners::open(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let address = listeners.addresses()[0];
        (listeners, address)
    }

    #[tokio::test]
    async fn a_stranger_is_closed_unread_and_counted() {
        let (listeners, address) = listening();
        let (_sender, doors) = watch::channel(Doors::default());
        let mut tasks = JoinSet::new();
        listeners.accept(&mut tasks, &doors);
        let mut stream = TcpStream::connect(address).await.unwrap();
        let end = timeout(SOON, stream.read(&mut [0; 1])).await.unwrap();
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
        assert_eq!(listeners.refused().load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_peer_gets_its_own_connections_but_not_without_end() {
        let (listeners, address) = listening();
        let (door, mut taken) = mpsc::channel(WAITING);
        let (strangers, mut strange) = mpsc::channel(1);
        let known = HashMap::from([("127.0.0.1".parse().unwrap(), door)]);
        let doors = Doors::new(known, vec!["127.0.0.0/8".parse().unwrap()], &strangers);
        let (_sender, doors) = watch::channel(doors);
        let mut tasks = JoinSet::new();
        listeners.accept(&mut tasks, &doors);
        let mut streams = Vec::new();
        for _ in 0..WAITING {
            streams.push(TcpStream::connect(address).await.unwrap());
        }
        let mut over = TcpStream::connect(address).await.unwrap();
        let end = timeout(SOON, over.read(&mut [0; 1])).await.unwrap();
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
        assert_eq!(listeners.refused().load(Ordering::Relaxed), 1);
        for stream in &streams {
            let accepted = timeout(SOON, taken.recv()).await.unwrap().unwrap();
            assert_eq!(accepted.peer_addr().unwrap(), stream.local_addr().unwrap());
        }
        assert!(strange.try_recv().is_err(), "who is known is no stranger");
    }
}
