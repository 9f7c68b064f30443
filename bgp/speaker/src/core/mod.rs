//! The RIB's owner.
//!
//! In come what peers' tasks have to tell and what handles ask; out go encoded UPDATEs to peers
//! with room, best-path changes to subscribers with room, and notices. Every wake-up does a
//! bounded piece of work and then looks at all inputs again, so that a command never waits behind
//! a whole table.
//!
//! ```text
//! news ──> Rib ──> changes ──> feeds (map by prefix) ──> Subscription
//!   ^       ^ └──> poll_transmit ──> peers with room
//! peers  commands
//! ```

mod announcements;
mod dynamic;
mod news;
mod peers;
mod restraint;
mod transmit;
mod views;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use twill_bgp_proto::deferral::Deferral;
use twill_bgp_proto::rib::{Change, PeerKey, Rib};
use twill_bgp_proto::types::{ClusterId, Prefix};
use twill_bgp_proto::wire::Cease;

use crate::dynamic::DynamicPeers;
use crate::handle::{Command, Handle};
use crate::listener::{Doors, Listeners};
use crate::peer::{Control, PeerEvent};
use crate::settings::{Announcement, Settings};
use crate::status::{Notice, Readiness};
use crate::subscription::Feed;
use crate::turns::in_turn;
use peers::Peer;
use transmit::{CHANGES_AT_ONCE, Room, RoomFuture};

/// Batches that peers' tasks may have waiting here.
const NEWS: usize = 64;

/// Batches handled in one wake-up.
const NEWS_AT_ONCE: usize = 16;

/// Connections of peers that nobody listed which may wait here; more are closed.
const STRANGERS: usize = 16;

/// Commands that may wait here.
const COMMANDS: usize = 64;

/// Notices that a slow listener may be behind before it loses the oldest.
const NOTICES: usize = 1024;

/// How the speaker ends.
#[derive(Debug, Clone)]
pub(crate) enum Ending {
    /// Without a NOTIFICATION: peers keep our routes while we restart.
    Leave,
    /// Saying why.
    Stop(Cease),
}

/// See the module.
pub(crate) struct Core {
    settings: Settings,
    rib: Rib,
    /// By [`PeerKey`].
    peers: Vec<Option<Peer>>,
    by_address: BTreeMap<IpAddr, PeerKey>,
    /// Where peers may come from that nobody lists.
    ranges: Vec<DynamicPeers>,
    strangers: mpsc::Receiver<TcpStream>,
    tell_strangers: mpsc::Sender<TcpStream>,
    generations: u64,
    tasks: JoinSet<()>,
    news: mpsc::Receiver<PeerEvent>,
    tell_news: mpsc::Sender<PeerEvent>,
    commands: mpsc::Receiver<Command>,
    endings: mpsc::Receiver<(Ending, oneshot::Sender<()>)>,
    listeners: Listeners,
    doors: watch::Sender<Doors>,
    configured: BTreeMap<Prefix, Announcement>,
    at_run_time: BTreeMap<Prefix, Announcement>,
    /// Peers that may have something to be sent, in turn.
    sendable: VecDeque<PeerKey>,
    /// The RIB has changes that are not told yet.
    unsettled: bool,
    /// When what caused the latest changes was received.
    received: Instant,
    /// Kept for its memory.
    changes: Vec<Change>,
    feeds: BTreeMap<u64, Feed>,
    feeds_made: u64,
    rooms: FuturesUnordered<RoomFuture>,
    deferral: Deferral,
    /// What [`Subscription`](crate::Subscription)s are told in order with the changes.
    synced: Readiness,
    notices: broadcast::Sender<Notice>,
    readiness: watch::Sender<Readiness>,
}

/// What woke the core.
enum Wake {
    /// Of peers' tasks.
    News,
    Command(Command),
    Room(Room),
    Stranger(TcpStream),
    /// A peer's task has ended.
    Ended,
    Timer,
    Again,
    Ending(Ending, oneshot::Sender<()>),
}

/// What speaks to a core.
pub(crate) struct Ends {
    pub(crate) handle: Handle,
    pub(crate) endings: mpsc::Sender<(Ending, oneshot::Sender<()>)>,
}

impl Core {
    pub(crate) fn new(
        settings: Settings,
        listeners: Listeners,
        doors: watch::Sender<Doors>,
    ) -> (Core, Ends) {
        let now = Instant::now();
        let restarting = !settings.preserved.is_empty() && settings.restart_time.is_some();
        let deferral = Deferral::new(restarting, settings.deferral, now);
        let (tell_news, news) = mpsc::channel(NEWS);
        let (tell_strangers, strangers) = mpsc::channel(STRANGERS);
        let (send_commands, commands) = mpsc::channel(COMMANDS);
        let (send_endings, endings) = mpsc::channel(1);
        let (notices, _) = broadcast::channel(NOTICES);
        let (readiness, watch_readiness) = watch::channel(Readiness::Waiting);
        let cluster = settings.cluster_id.unwrap_or(ClusterId(settings.router_id.to_ipv4()));
        let mut rib = Rib::new(settings.asn, settings.router_id, cluster);
        if restarting {
            rib.hold_end_of_rib();
        }
        let handle = Handle {
            commands: send_commands,
            notices: notices.downgrade(),
            readiness: watch_readiness,
            refused: listeners.refused(),
        };
        let core = Core {
            settings,
            rib,
            peers: Vec::new(),
            by_address: BTreeMap::new(),
            ranges: Vec::new(),
            strangers,
            tell_strangers,
            generations: 0,
            tasks: JoinSet::new(),
            news,
            tell_news,
            commands,
            endings,
            listeners,
            doors,
            configured: BTreeMap::new(),
            at_run_time: BTreeMap::new(),
            sendable: VecDeque::new(),
            unsettled: false,
            received: now,
            changes: Vec::new(),
            feeds: BTreeMap::new(),
            feeds_made: 0,
            rooms: FuturesUnordered::new(),
            deferral,
            synced: Readiness::Waiting,
            notices,
            readiness,
        };
        (core, Ends { handle, endings: send_endings })
    }

    /// Runs until told to end. Dropping it ends every peer's task at once.
    pub(crate) async fn run(mut self) {
        let timer = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(timer);
        let mut news = VecDeque::with_capacity(NEWS_AT_ONCE);
        // News come first, as somebody waits for them; but not twice in a row, so that whatever
        // peers send, commands have their turn.
        let mut news_before = false;
        loop {
            let handed = self.settle().await;
            // More is to be done than one wake-up may.
            let again = self.unsettled || !self.sendable.is_empty() || !news.is_empty();
            if handed || again {
                // What was handed out comes first, and peers read while there is little to read:
                // to look at all inputs again can wait.
                tokio::task::yield_now().await;
            }
            let deadline = self.deferral.poll_timeout();
            if let Some(deadline) = deadline
                && timer.deadline().into_std() != deadline
            {
                timer.as_mut().reset(deadline.into());
            }
            let crowded = self.rib.unsettled() >= CHANGES_AT_ONCE;
            let more = heard(&mut self.news, &mut news, crowded);
            let others = async {
                tokio::select! {
                    Some(command) = self.commands.recv() => Wake::Command(command),
                    Some(room) = self.rooms.next() => Wake::Room(room),
                    Some(stream) = self.strangers.recv() => Wake::Stranger(stream),
                    Some(_) = self.tasks.join_next() => Wake::Ended,
                    () = &mut timer, if deadline.is_some() => Wake::Timer,
                    () = std::future::ready(()), if again => Wake::Again,
                    Some((ending, done)) = self.endings.recv() => Wake::Ending(ending, done),
                }
            };
            let wake = in_turn(more, others, news_before).await;
            news_before = matches!(wake, Wake::News);
            match wake {
                Wake::News => {
                    tracing::trace!(count = news.len(), "news of peers");
                    // As many as can be told at once: what is told soon is still near, what is
                    // told late would come back from memory.
                    while self.rib.unsettled() < CHANGES_AT_ONCE
                        && let Some(event) = news.pop_front()
                    {
                        self.hear(event).await;
                    }
                }
                Wake::Command(command) => self.obey(command).await,
                Wake::Room(room) => self.on_room(room),
                Wake::Stranger(stream) => self.stranger(stream),
                Wake::Timer => self.deferral.handle_timeout(Instant::now()),
                Wake::Ended | Wake::Again => {}
                Wake::Ending(ending, done) => {
                    self.end(ending).await;
                    let _ = done.send(());
                    return;
                }
            }
        }
    }

    /// Distributes what the last piece of work caused. Whether anybody was handed anything.
    async fn settle(&mut self) -> bool {
        let changed = !self.rib.is_settled();
        self.distribute();
        if changed {
            self.all_may_send();
        }
        self.judge_deferral().await;
        let sent = self.transmit();
        self.feed_all() || sent
    }

    async fn obey(&mut self, command: Command) {
        // Whoever asked and did not wait for the answer does not need it.
        match command {
            Command::SetPeers(peers, reply) => {
                let _ = reply.send(self.set_peers(peers).await);
            }
            Command::SetAnnouncements(routes, reply) => {
                self.set_announcements(routes);
                let _ = reply.send(());
            }
            Command::Announce(route, reply) => {
                self.announce(route);
                let _ = reply.send(());
            }
            Command::Withdraw(prefix, reply) => {
                let _ = reply.send(self.withdraw(prefix));
            }
            Command::Peers(reply) => {
                let _ = reply.send(self.statuses());
            }
            Command::Routes(query, reply) => {
                let _ = reply.send(self.routes(&query));
            }
            Command::Reset { peer, how, done } => {
                let _ = done.send(self.reset(&peer, how).await);
            }
            Command::SetDynamicPeers(ranges, reply) => {
                let _ = reply.send(self.set_dynamic_peers(ranges).await);
            }
            Command::RetryNow { peer, done } => {
                let _ = done.send(self.retry_now(peer.as_deref()).await);
            }
            Command::Subscribe(reply) => {
                let _ = reply.send(self.subscribe());
            }
        }
    }

    /// The deferral's end: End-of-RIB may leave, and the R bit goes (RFC 4724 section 4.1). Only
    /// once all that came in is told, so that no subscriber is called complete before it is.
    async fn judge_deferral(&mut self) {
        if self.synced != Readiness::Waiting || self.unsettled {
            return;
        }
        let Some(by_timer) = self.deferral.over() else { return };
        self.synced = Readiness::InSync { by_timer };
        self.readiness.send_replace(self.synced);
        tracing::info!(by_timer, "the first exchange with peers is complete");
        self.rib.release_end_of_rib();
        self.all_may_send();
        let keys: Vec<PeerKey> = self.by_address.values().copied().collect();
        for key in keys {
            self.tell(key, Control::RestartOver).await;
        }
    }

    async fn end(&mut self, ending: Ending) {
        self.doors.send_replace(Doors::default());
        let keys: Vec<PeerKey> = self.by_address.values().copied().collect();
        for key in keys {
            let control = match &ending {
                Ending::Leave => Control::Leave,
                Ending::Stop(cease) => Control::Stop(cease.clone()),
            };
            self.tell(key, control).await;
        }
        while self.tasks.join_next().await.is_some() {}
    }

    fn notice(&self, notice: Notice) {
        // Nobody may be listening.
        let _ = self.notices.send(notice);
    }
}

/// Completes when there are news to deal with, which are taken up to the bound of one wake-up;
/// never, while what was told before is to be settled first. Safe to cancel.
async fn heard(
    from: &mut mpsc::Receiver<PeerEvent>,
    news: &mut VecDeque<PeerEvent>,
    crowded: bool,
) -> Wake {
    if crowded {
        return std::future::pending().await;
    }
    if news.is_empty()
        && let Some(event) = from.recv().await
    {
        news.push_back(event);
        while news.len() < NEWS_AT_ONCE
            && let Ok(event) = from.try_recv()
        {
            news.push_back(event);
        }
    }
    Wake::News
}
