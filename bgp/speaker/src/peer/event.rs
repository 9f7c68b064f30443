use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use twill_bgp_proto::rib::PeerKey;
use twill_bgp_proto::session::{Negotiated, SessionConfig, State};
use twill_bgp_proto::types::Families;
use twill_bgp_proto::wire::{Cease, RouteRefresh, Update};

use crate::settings::PeerConfig;

/// A peer's task as the core knows it. Keys are used again after a removal, generations are not:
/// what a removed peer had still to say is recognised and dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PeerId {
    pub(crate) key: PeerKey,
    pub(crate) generation: u64,
}

/// What the core tells a peer's task.
#[derive(Debug)]
pub(crate) enum Control {
    /// Another configuration; `bounce` where a live session does not survive it.
    Configure { config: Arc<PeerConfig>, session: Box<SessionConfig>, bounce: bool },
    /// Bounces with these words for the peer, or starts again what was stopped.
    Reset(String),
    /// Dials at once, where it would only wait.
    DialNow,
    /// Asks the peer for its routes again (RFC 2918).
    AskAgain(Families),
    /// Ends the session with Cease, maximum number of prefixes.
    TooManyPrefixes { restart_after: Option<Duration> },
    /// The deferral is over: no more R bit.
    RestartOver,
    /// Closes without a NOTIFICATION, then ends the task.
    Leave,
    /// Says why, closes, then ends the task.
    Stop(Cease),
}

/// What a peer's task tells the core, in the order in which it happened.
#[derive(Debug)]
pub(crate) struct PeerEvent {
    pub(crate) id: PeerId,
    pub(crate) news: News,
}

/// See [`PeerEvent`].
#[derive(Debug)]
pub(crate) enum News {
    /// The state machine's state.
    State(State),
    /// Established.
    Up(Box<Up>),
    /// Established no more.
    Down { reason: String, retained: Families },
    /// Not established; an attempt failed.
    Failed(String),
    /// Routes, in the order of their arrival.
    Updates { updates: Vec<Update>, received: Instant },
    /// The peer wants our routes again.
    Refresh(RouteRefresh),
    /// What is stale of these families is to be forgotten.
    ForgetStale(Families),
}

/// A session that has come up.
#[derive(Debug)]
pub(crate) struct Up {
    pub(crate) negotiated: Arc<Negotiated>,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) remote: Option<SocketAddr>,
    /// Takes encoded UPDATEs of this session, and ends with it: bytes meant for one session can
    /// never reach the next.
    pub(crate) transmit: mpsc::Sender<Bytes>,
}
