//! One peer's task: its state machine, and all of its possible connections.
//!
//! In come accepted connections, bytes, encoded UPDATEs of the core and the core's orders; out go
//! bytes, and to the core whatever the state machine decided, in order. The task never waits for
//! any one of them: a core that is busy only stops the reading, a peer that does not read only
//! stops the taking from the core, and timers go on through both.
//!
//! ```text
//! accepted ──┐                        ┌── outbox ──> core
//! dialled ───┼─> connection -> Session┤
//! timer ─────┘        ^               └── connection -> bytes
//!                     └── transmit <── core
//! ```
//!
//! RFC 4271 section 8; one task for all connections of a peer, so that collisions (section 6.8)
//! are decided in one place.

mod buffer;
mod connection;
mod counters;
mod event;
mod outbox;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::Ready;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Sleep;
use twill_bgp_proto::session::{
    Action, Direction, Event, Negotiated, Session, SessionConfig, TcpFailure,
};
use twill_bgp_proto::types::Families;
use twill_bgp_proto::wire::{Cease, Message, RefreshKind, RouteRefresh};

use crate::settings::PeerConfig;
use crate::socket::{self, SocketError};
use crate::turns::in_turn;
use connection::{Arrived, Connection};
pub(crate) use counters::Counters;
pub(crate) use event::{Control, News, PeerEvent, PeerId, Up};
use outbox::{CoreGone, Outbox};

/// Chunks of UPDATEs between the core and a session. Few: what the session has no room for stays
/// in the RIB, where later changes of the same prefix take its place.
const TRANSMIT_CHUNKS: usize = 4;

/// Connections that are being closed in good order at the same time; more are closed at once.
const CLOSING: usize = 4;

/// What a peer's task is made of.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) id: PeerId,
    pub(crate) config: Arc<PeerConfig>,
    pub(crate) session: SessionConfig,
    pub(crate) seed: u64,
    pub(crate) events: mpsc::Sender<PeerEvent>,
    pub(crate) control: mpsc::Receiver<Control>,
    pub(crate) accepted: mpsc::Receiver<TcpStream>,
    pub(crate) counters: Arc<Counters>,
}

/// Drives a peer until it is told to end, or the core is gone.
pub(crate) async fn run(spec: Spec) {
    let mut task = Task {
        session: Session::new(spec.session, spec.seed),
        config: spec.config,
        control: spec.control,
        accepted: spec.accepted,
        counters: spec.counters,
        outbox: Outbox::new(spec.id, spec.events),
        links: [None, None, None],
        next_link: 0,
        dialling: None,
        dialled: 0,
        closing: JoinSet::new(),
        up: None,
        over_limit: false,
        restart_at: None,
        timer: Box::pin(tokio::time::sleep(std::time::Duration::ZERO)),
        received: Instant::now(),
        routes_before: false,
    };
    if task.config.shutdown.is_none() {
        task.handle(Event::Start);
    }
    // A core that is gone needs no more of us: dropping the task closes its connections.
    let _ = task.run().await;
    task.finish().await;
}

type Dialling = Pin<Box<dyn Future<Output = Result<TcpStream, SocketError>> + Send>>;

/// The established session's way from the core.
struct Feeding {
    direction: Direction,
    negotiated: Arc<Negotiated>,
    chunks: mpsc::Receiver<Bytes>,
}

struct Task {
    session: Session,
    config: Arc<PeerConfig>,
    control: mpsc::Receiver<Control>,
    accepted: mpsc::Receiver<TcpStream>,
    counters: Arc<Counters>,
    outbox: Outbox,
    /// By [`place`].
    links: [Option<Connection>; 3],
    next_link: u64,
    dialling: Option<Dialling>,
    /// How often since the last session: the endpoints take turns.
    dialled: usize,
    closing: JoinSet<()>,
    up: Option<Feeding>,
    /// It sent too many prefixes and was stopped for it.
    over_limit: bool,
    /// When it is started again after that.
    restart_at: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    /// When the bytes at hand were read.
    received: Instant,
    /// What woke the task before were routes, in or out.
    routes_before: bool,
}

/// What woke the task.
enum Wake {
    Control(Control),
    Accepted(TcpStream),
    Dialled(Result<TcpStream, SocketError>),
    Link(Direction, io::Result<Ready>),
    Chunk(Bytes),
    CoreHasRoom,
    CoreGone,
    Timer,
    Closed,
}

/// Whether the task goes on.
enum Next {
    GoOn,
    End,
}

const fn place(direction: Direction) -> usize {
    match direction {
        Direction::Outgoing => 0,
        Direction::Incoming => 1,
        Direction::IncomingAgain => 2,
    }
}

impl Task {
    async fn run(&mut self) -> Result<(), CoreGone> {
        loop {
            self.write();
            if self.outbox.flush()? {
                // What was handed over comes first: to look at all inputs again can wait.
                tokio::task::yield_now().await;
            }
            let wake = self.wake().await?;
            if let Next::End = self.on(wake) {
                return Ok(());
            }
        }
    }

    async fn wake(&mut self) -> Result<Wake, CoreGone> {
        let deadline = self.deadline();
        if let Some(deadline) = deadline
            && self.timer.deadline().into_std() != deadline
        {
            self.timer.as_mut().reset(deadline.into());
        }
        let reading = self.outbox.is_empty();
        let room = match &self.up {
            Some(up) => self
                .links
                .get(place(up.direction))
                .is_some_and(|link| link.as_ref().is_some_and(Connection::has_room)),
            None => false,
        };
        // Routes first, as somebody waits for them; but not twice in a row, so that whatever
        // comes in or goes out, orders and timers have their turn.
        let routes = async {
            tokio::select! {
                biased;
                (direction, ready) = ready(&self.links, reading) => Wake::Link(direction, ready),
                chunk = chunk(self.up.as_mut()), if room => Wake::Chunk(chunk),
            }
        };
        let others = async {
            tokio::select! {
                control = self.control.recv() => control.map_or(Wake::CoreGone, Wake::Control),
                () = &mut self.timer, if deadline.is_some() => Wake::Timer,
                Some(stream) = self.accepted.recv() => Wake::Accepted(stream),
                dialled = dialled(&mut self.dialling) => Wake::Dialled(dialled),
                taken = self.outbox.taken() => taken.map_or(Wake::CoreGone, |()| Wake::CoreHasRoom),
                Some(_) = self.closing.join_next() => Wake::Closed,
            }
        };
        let wake = in_turn(routes, others, self.routes_before).await;
        self.routes_before = matches!(wake, Wake::Link(..) | Wake::Chunk(_));
        if let Wake::CoreGone = wake { Err(CoreGone) } else { Ok(wake) }
    }

    fn on(&mut self, wake: Wake) -> Next {
        match wake {
            Wake::Control(control) => return self.on_control(control),
            Wake::Accepted(stream) => self.on_accepted(stream),
            Wake::Dialled(dialled) => {
                self.dialling = None;
                match dialled {
                    Ok(stream) => self.open(Direction::Outgoing, stream),
                    Err(error) => self.lost(Direction::Outgoing, TcpFailure::Io(error.to_string())),
                }
            }
            Wake::Link(direction, Ok(ready)) => {
                if ready.is_readable() || ready.is_read_closed() {
                    self.read(direction);
                }
            }
            Wake::Link(direction, Err(error)) => {
                self.lost(direction, TcpFailure::Io(socket::words(&error)));
            }
            Wake::Chunk(chunk) => self.queue(chunk),
            Wake::Timer => self.on_timer(),
            Wake::CoreHasRoom | Wake::CoreGone | Wake::Closed => {}
        }
        Next::GoOn
    }

    fn deadline(&self) -> Option<Instant> {
        let send_hold = self.send_hold().map(|(_, at, _)| at);
        [self.session.poll_timeout(), self.restart_at, send_hold].into_iter().flatten().min()
    }

    /// When the peer has read nothing for too long (RFC 9687), how long that is, and on which
    /// connection.
    fn send_hold(&self) -> Option<(Direction, Instant, Duration)> {
        let up = self.up.as_ref()?;
        let link = self.links.get(place(up.direction))?.as_ref()?;
        let longest = up.negotiated.send_hold_time(self.config.send_hold_time)?;
        Some((up.direction, link.waiting_since()?.checked_add(longest)?, longest))
    }

    fn on_timer(&mut self) {
        if !self.outbox.is_empty() {
            // Reading has paused for the core. What the peer sent meanwhile is a sign of life
            // that must count before the hold timer is believed.
            Direction::ALL.into_iter().for_each(|direction| self.read(direction));
        }
        let now = Instant::now();
        if self.restart_at.is_some_and(|at| at <= now) {
            self.start();
        }
        if let Some((direction, _, time)) = self.send_hold().filter(|(_, at, _)| *at <= now) {
            self.handle(Event::SendHoldExpired(direction, time));
        }
        if self.session.poll_timeout().is_some_and(|at| at <= now) {
            self.session.handle_timeout(now);
            self.act();
        }
    }

    fn on_control(&mut self, control: Control) -> Next {
        match control {
            Control::Configure { config, session, bounce } => {
                self.configure(config, session, bounce);
            }
            Control::Reset(_) if self.over_limit => self.start(),
            // Not to be dialled again at once: the new connection would overtake our last words,
            // and a peer that helps restarts would take it for one.
            Control::Reset(words) => {
                self.handle(Event::Reset(Cease::AdministrativeReset(words)));
            }
            Control::DialNow => self.handle(Event::DialNow),
            Control::AskAgain(families) => self.ask_again(families),
            Control::TooManyPrefixes { restart_after } => {
                self.over_limit = true;
                self.restart_at = restart_after.map(|after| Instant::now() + after);
                self.handle(Event::Stop(Cease::MaximumPrefixes));
            }
            Control::RestartOver => self.handle(Event::RestartOver),
            Control::Leave => {
                // The peer keeps what it has until we are back: let it have all there is.
                while let Some(up) = &mut self.up
                    && let Ok(chunk) = up.chunks.try_recv()
                {
                    self.queue(chunk);
                }
                self.handle(Event::Leave);
                return Next::End;
            }
            Control::Stop(cease) => {
                self.handle(Event::Stop(cease));
                return Next::End;
            }
        }
        Next::GoOn
    }

    fn configure(&mut self, config: Arc<PeerConfig>, session: Box<SessionConfig>, bounce: bool) {
        for link in self.links.iter().flatten() {
            let Some(remote) = link.remote.map(|remote| remote.ip()) else { continue };
            let ttl = config.ttl_towards(remote);
            if ttl != self.config.ttl_towards(remote)
                && let Err(error) = socket::apply_ttl(link.stream(), remote, ttl)
            {
                self.outbox.push(News::Failed(error.to_string()));
            }
        }
        let limit_changed = config.max_prefixes != self.config.max_prefixes;
        let was_shut = self.config.shutdown.is_some();
        self.config = config;
        if let Some(words) = self.config.shutdown.clone() {
            if !was_shut {
                self.over_limit = false;
                self.restart_at = None;
                self.handle(Event::Stop(Cease::AdministrativeShutdown(words)));
            }
            self.handle(Event::Configure(session));
            return;
        }
        let bounced_by_itself = self.session.config().bounces(&session).is_some();
        self.handle(Event::Configure(session));
        if bounce && !bounced_by_itself && !self.over_limit {
            // What the state machine does not know: a key, an address. Dial anew at once.
            self.handle(Event::Reset(Cease::OtherConfigurationChange));
            self.handle(Event::Start);
        }
        if was_shut || (self.over_limit && limit_changed) {
            self.start();
        }
    }

    /// Starts what was stopped for too many prefixes, or shut down.
    fn start(&mut self) {
        self.over_limit = false;
        self.restart_at = None;
        self.handle(Event::Start);
    }

    fn ask_again(&mut self, families: Families) {
        let Some(up) = self.up.as_ref().filter(|up| up.negotiated.route_refresh) else { return };
        let direction = up.direction;
        for family in families.and(up.negotiated.codec.families).iter() {
            let refresh = RouteRefresh { family: Some(family), kind: RefreshKind::Request };
            self.send(direction, &Message::RouteRefresh(refresh));
        }
    }

    fn on_accepted(&mut self, stream: TcpStream) {
        let Some(direction) = self.session.admit(Instant::now()) else { return };
        self.act();
        match socket::adopt(&stream, &self.config) {
            Ok(()) => self.open(direction, stream),
            Err(error) => self.outbox.push(News::Failed(error.to_string())),
        }
    }

    fn open(&mut self, direction: Direction, stream: TcpStream) {
        self.next_link += 1;
        let link = Connection::new(stream, self.next_link);
        if let Some(slot) = self.links.get_mut(place(direction)) {
            *slot = Some(link);
        }
        self.handle(Event::TcpOpened(direction));
    }

    fn lost(&mut self, direction: Direction, failure: TcpFailure) {
        drop(self.take_link(direction));
        self.handle(Event::TcpClosed(direction, failure));
    }

    fn link(&mut self, direction: Direction) -> Option<&mut Connection> {
        self.links.get_mut(place(direction))?.as_mut()
    }

    fn take_link(&mut self, direction: Direction) -> Option<Connection> {
        self.links.get_mut(place(direction))?.take()
    }

    /// Reads once, and handles every whole message of it.
    fn read(&mut self, direction: Direction) {
        self.received = Instant::now();
        let Some(link) = self.link(direction) else { return };
        let id = link.id;
        let mut bytes = match link.read() {
            Arrived::Bytes(bytes) => bytes,
            Arrived::Nothing => return,
            Arrived::End(failure) => return self.lost(direction, failure),
        };
        // Any message may close the connection, or change the codec.
        while let Some(link) = self.link(direction).filter(|link| link.id == id) {
            match link.codec.decode(&mut bytes) {
                Ok(Some(message)) => {
                    self.counters.received(&message);
                    self.handle(Event::Received(direction, message));
                }
                Ok(None) => return link.keep(bytes),
                Err(error) => {
                    self.handle(Event::Malformed(direction, error));
                    break;
                }
            }
        }
        buffer::give_back(bytes);
    }

    /// Writes what the kernel has room for.
    fn write(&mut self) {
        for direction in Direction::ALL {
            let Some(link) = self.link(direction) else { continue };
            let id = link.id;
            if let Err(failure) = link.write() {
                // What the peer said before it closed is still to be read, and decides whether
                // its routes are kept.
                self.read(direction);
                if self.link(direction).is_some_and(|link| link.id == id) {
                    self.lost(direction, failure);
                }
            }
        }
    }

    fn queue(&mut self, chunk: Bytes) {
        let Some(up) = &self.up else { return };
        let slot = self.links.get_mut(place(up.direction));
        if let Some(link) = slot.and_then(Option::as_mut) {
            link.queue(chunk, &self.counters);
        }
    }

    fn send(&mut self, direction: Direction, message: &Message) {
        let slot = self.links.get_mut(place(direction));
        if let Some(link) = slot.and_then(Option::as_mut) {
            link.send(message, &self.counters);
        }
    }

    fn handle(&mut self, event: Event) {
        self.session.handle(event, Instant::now());
        self.act();
    }

    fn act(&mut self) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Connect => self.dial(),
                Action::Send(direction, message) => self.send(direction, &message),
                Action::Close(direction) => self.close(direction),
                Action::SetCodec(direction, codec) => {
                    if let Some(link) = self.link(direction) {
                        link.codec = codec;
                    }
                }
                Action::State(state) => self.outbox.push(News::State(state)),
                Action::Up(negotiated) => self.established(*negotiated),
                Action::Down(reason, retained) => {
                    self.up = None;
                    let retained = retained.families;
                    self.outbox.push(News::Down { reason: reason.to_string(), retained });
                }
                Action::Deliver(update) => self.outbox.push_update(update, self.received),
                Action::Refresh(refresh) => self.outbox.push(News::Refresh(refresh)),
                Action::ForgetStale(families) => self.outbox.push(News::ForgetStale(families)),
                Action::AttemptFailed(reason) => {
                    self.outbox.push(News::Failed(reason.to_string()));
                }
            }
        }
    }

    /// Dials the next endpoint; after a session, the best again.
    fn dial(&mut self) {
        let config = Arc::clone(&self.config);
        let endpoints = config.all_endpoints();
        let dialled = || endpoints.iter().filter(|endpoint| endpoint.dialled);
        let turn = self.dialled.checked_rem(dialled().count()).unwrap_or_default();
        let Some(&endpoint) = dialled().nth(turn).or(endpoints.first()) else { return };
        self.dialled = self.dialled.wrapping_add(1);
        self.dialling = Some(Box::pin(async move { socket::dial(&config, endpoint).await }));
    }

    fn established(&mut self, negotiated: Negotiated) {
        self.dialled = 0;
        let direction = negotiated.direction;
        let negotiated = Arc::new(negotiated);
        let (transmit, chunks) = mpsc::channel(TRANSMIT_CHUNKS);
        let (local, remote) =
            self.link(direction).map_or((None, None), |link| (link.local, link.remote));
        self.up = Some(Feeding { direction, negotiated: Arc::clone(&negotiated), chunks });
        self.outbox.push(News::Up(Box::new(Up { negotiated, local, remote, transmit })));
    }

    fn close(&mut self, direction: Direction) {
        if direction == Direction::Outgoing {
            self.dialling = None;
        }
        if let Some(link) = self.take_link(direction)
            && self.closing.len() < CLOSING
        {
            self.closing.spawn(link.close());
        }
    }

    /// Lets what is being closed deliver its last words.
    async fn finish(&mut self) {
        while self.closing.join_next().await.is_some() {}
    }
}

/// The first of the connections that is ready.
async fn ready(links: &[Option<Connection>; 3], reading: bool) -> (Direction, io::Result<Ready>) {
    let of = async |link: &Option<Connection>| match link {
        Some(link) => link.ready(reading).await,
        None => std::future::pending().await,
    };
    let [outgoing, incoming, again] = links;
    tokio::select! {
        ready = of(outgoing) => (Direction::Outgoing, ready),
        ready = of(incoming) => (Direction::Incoming, ready),
        ready = of(again) => (Direction::IncomingAgain, ready),
    }
}

async fn dialled(dialling: &mut Option<Dialling>) -> Result<TcpStream, SocketError> {
    match dialling {
        Some(dialling) => dialling.await,
        None => std::future::pending().await,
    }
}

async fn chunk(up: Option<&mut Feeding>) -> Bytes {
    if let Some(up) = up
        && let Some(chunk) = up.chunks.recv().await
    {
        return chunk;
    }
    std::future::pending().await
}
