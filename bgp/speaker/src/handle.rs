use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use twill_bgp_proto::rib::RouteView;
use twill_bgp_proto::types::Prefix;

use crate::dynamic::DynamicPeers;
use crate::error::Stopped;
use crate::plan::PeerChange;
use crate::settings::{Announcement, PeerConfig};
use crate::status::{Notice, PeerStatus, Readiness};
use crate::subscription::Subscription;

/// Which routes to show.
#[derive(Debug, Clone, Default)]
pub struct RouteQuery {
    /// Only this prefix.
    pub prefix: Option<Prefix>,
    /// Only the longest prefix that holds this address. Goes before `prefix`.
    pub address: Option<IpAddr>,
    /// Only what was learned from this peer, by name; with [`RouteSelection::Advertised`], what
    /// it is sent.
    pub peer: Option<String>,
    /// Which of those.
    pub view: RouteSelection,
}

/// Which of a prefix's routes to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RouteSelection {
    /// The best of each prefix.
    #[default]
    Best,
    /// All, losers with the reason they lost.
    All,
    /// All that peers sent, refused ones included, without our own.
    Received,
    /// What [`RouteQuery::peer`] is sent; without a peer, nothing.
    Advertised,
}

/// A route, and the name of whom it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteEntry {
    /// The route.
    pub view: RouteView,
    /// By whom it was sent; `None` for our own.
    pub peer: Option<Arc<str>>,
}

/// What a [`Handle`] asks of the core.
#[derive(Debug)]
pub(crate) enum Command {
    SetPeers(Vec<PeerConfig>, oneshot::Sender<Vec<PeerChange>>),
    SetAnnouncements(Vec<Announcement>, oneshot::Sender<()>),
    Announce(Announcement, oneshot::Sender<()>),
    Withdraw(Prefix, oneshot::Sender<bool>),
    Peers(oneshot::Sender<Vec<PeerStatus>>),
    Routes(RouteQuery, oneshot::Sender<Vec<RouteEntry>>),
    Reset { peer: String, how: Reset, done: oneshot::Sender<bool> },
    SetDynamicPeers(Vec<DynamicPeers>, oneshot::Sender<Vec<String>>),
    RetryNow { peer: Option<String>, done: oneshot::Sender<bool> },
    Subscribe(oneshot::Sender<Subscription>),
}

/// How a peer is reset.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reset {
    /// The session ends, with these words for the peer, which may be none (RFC 9003), and is
    /// opened anew.
    Hard(String),
    /// The session stays: routes are asked for again, and sent again (RFC 2918).
    Soft,
}

/// Speaks to a running speaker. Cheap to clone; outlives the speaker, and says [`Stopped`] then.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(crate) commands: mpsc::Sender<Command>,
    /// Weak, so that listeners see the end of the channel when the core ends.
    pub(crate) notices: broadcast::WeakSender<Notice>,
    pub(crate) readiness: watch::Receiver<Readiness>,
    pub(crate) refused: Arc<AtomicU64>,
}

impl Handle {
    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// Makes these the peers: the whole set, compared with what is. Sessions whose peers did not
    /// change are not touched. Says for each peer what was done.
    pub async fn set_peers(&self, peers: Vec<PeerConfig>) -> Result<Vec<PeerChange>, Stopped> {
        self.ask(|reply| Command::SetPeers(peers, reply)).await
    }

    /// Makes these the ranges that peers may come from whom nobody lists: the whole set. Peers of
    /// a range that is gone end, those of one that changed follow it. A listed peer goes before a
    /// range that holds its address; of ranges that overlap, the first counts. Returns what was
    /// refused, and why.
    pub async fn set_dynamic_peers(
        &self,
        ranges: Vec<DynamicPeers>,
    ) -> Result<Vec<String>, Stopped> {
        self.ask(|reply| Command::SetDynamicPeers(ranges, reply)).await
    }

    /// Makes these the configured announcements: the whole set. Of several with one prefix the
    /// last counts. Those made by [`Handle::announce`] are kept apart.
    pub async fn set_announcements(&self, routes: Vec<Announcement>) -> Result<(), Stopped> {
        self.ask(|reply| Command::SetAnnouncements(routes, reply)).await
    }

    /// Announces a route at run time; it goes before a configured one of the same prefix.
    pub async fn announce(&self, route: Announcement) -> Result<(), Stopped> {
        self.ask(|reply| Command::Announce(route, reply)).await
    }

    /// Takes back what [`Handle::announce`] announced: `false` where there was nothing. A
    /// configured announcement of the same prefix is in force again.
    pub async fn withdraw(&self, prefix: Prefix) -> Result<bool, Stopped> {
        self.ask(|reply| Command::Withdraw(prefix, reply)).await
    }

    /// All peers, by name.
    pub async fn peers(&self) -> Result<Vec<PeerStatus>, Stopped> {
        self.ask(Command::Peers).await
    }

    /// Routes of the RIB. Nothing where the peer asked for does not exist.
    pub async fn routes(&self, query: RouteQuery) -> Result<Vec<RouteEntry>, Stopped> {
        self.ask(|reply| Command::Routes(query, reply)).await
    }

    /// Bounces a session, or asks the peer for its routes again and sends it ours. A peer that is
    /// down for too many prefixes is started again. `false` where no peer has this name, where it
    /// is shut down by its configuration, or where a soft reset finds no session that can refresh.
    pub async fn reset(&self, peer: &str, how: Reset) -> Result<bool, Stopped> {
        let peer = peer.to_owned();
        self.ask(|done| Command::Reset { peer, how, done }).await
    }

    /// Dials a peer, or all with `None`, that we would otherwise dial only when the back-off is
    /// over: for whoever learns that a link came up or an address can be reached. Sessions and
    /// attempts that have come further are not touched, and a peer that is damped for a fault
    /// stays so. `false` where no peer has this name.
    pub async fn retry_now(&self, peer: Option<&str>) -> Result<bool, Stopped> {
        let peer = peer.map(str::to_owned);
        self.ask(|done| Command::RetryNow { peer, done }).await
    }

    /// Best paths: first the whole Loc-RIB, then changes.
    pub async fn subscribe(&self) -> Result<Subscription, Stopped> {
        self.ask(Command::Subscribe).await
    }

    /// What happens, as it happens. A listener that falls behind loses the oldest. The channel
    /// is closed once the speaker has ended.
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        match self.notices.upgrade() {
            Some(sender) => sender.subscribe(),
            None => broadcast::channel(1).1,
        }
    }

    /// Whether the first exchange after a restart is complete.
    pub fn readiness(&self) -> watch::Receiver<Readiness> {
        self.readiness.clone()
    }

    /// Connections that were closed before a byte was read, because no configured peer has their
    /// address or because their peer opened too many.
    pub fn refused_connections(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}
