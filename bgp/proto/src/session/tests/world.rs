//! Two sessions, one fake clock, one fake wire.
//!
//! The wire carries bytes, in order within a connection, each packet after a delay of its own; a
//! cut wire holds what TCP would send again and loses what dials. Every action that a session
//! yields is checked on the way: routes only while up, up and down in turns, deadlines ahead.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::epoch;
use crate::session::{
    Action, Direction, DownReason, Event, Negotiated, Session, SessionConfig, State, TcpFailure,
};
use crate::types::{Families, Family};
use crate::wire::{Codec, Message, Update};

/// One of the two routers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    A,
    B,
}

impl Side {
    pub(super) const BOTH: [Side; 2] = [Side::A, Side::B];

    pub(super) fn other(self) -> Side {
        match self {
            Side::A => Side::B,
            Side::B => Side::A,
        }
    }
}

type ConnectionId = u64;

#[derive(Debug)]
enum Packet {
    Syn,
    SynAck,
    /// Nobody listens, or the connection is unknown.
    Reset,
    Data(Bytes),
    Fin,
}

/// What a router keeps of a connection.
#[derive(Debug, Clone, Copy)]
struct Socket {
    connection: ConnectionId,
    open: bool,
    codec: Codec,
}

/// What a test wants to know of what a session did.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Seen {
    Up(Box<Negotiated>),
    Down(DownReason, Families),
    Failed(DownReason),
    Forgot(Families),
    Delivered(Update),
}

#[derive(Debug)]
pub(super) struct Router {
    pub(super) session: Session,
    sockets: [Option<Socket>; 3],
    running: bool,
    up: bool,
    pub(super) seen: Vec<(Instant, Seen)>,
    /// Every message written, with the connection it went to.
    pub(super) sent: Vec<(ConnectionId, Message)>,
}

impl Router {
    fn new(session: Session) -> Router {
        Router {
            session,
            sockets: [None; 3],
            running: true,
            up: false,
            seen: Vec::new(),
            sent: Vec::new(),
        }
    }

    pub(super) fn ups(&self) -> usize {
        self.seen.iter().filter(|(_, seen)| matches!(seen, Seen::Up(_))).count()
    }

    pub(super) fn downs(&self) -> Vec<&DownReason> {
        self.seen
            .iter()
            .filter_map(|(_, seen)| match seen {
                Seen::Down(reason, _) => Some(reason),
                _ => None,
            })
            .collect()
    }
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) a: Router,
    pub(super) b: Router,
    queue: BTreeMap<(Instant, u64), (Side, ConnectionId, Packet)>,
    /// Nothing arrives earlier than what was sent before it on the same connection.
    arrivals: BTreeMap<(ConnectionId, bool), Instant>,
    held: Option<Vec<(Side, ConnectionId, Packet)>>,
    packets: u64,
    connections: u64,
    random: u64,
    /// The longest time a packet takes.
    pub(super) delay: Duration,
    /// Every packet takes the longest time.
    pub(super) steady: bool,
}

impl World {
    pub(super) fn new(a: SessionConfig, b: SessionConfig, seed: u64) -> World {
        World {
            now: epoch(),
            a: Router::new(Session::new(a, seed)),
            b: Router::new(Session::new(b, seed ^ 0xB)),
            queue: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            held: None,
            packets: 0,
            connections: 0,
            random: seed.wrapping_mul(2).wrapping_add(1),
            delay: Duration::from_millis(10),
            steady: false,
        }
    }

    /// Both started at once and Established.
    pub(super) fn established(a: SessionConfig, b: SessionConfig, seed: u64) -> World {
        let mut world = World::new(a, b, seed);
        world.start();
        world.wait_established(Duration::from_secs(3));
        world
    }

    pub(super) fn router(&mut self, side: Side) -> &mut Router {
        match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        }
    }

    pub(super) fn start(&mut self) {
        for side in Side::BOTH {
            self.handle(side, Event::Start);
        }
    }

    pub(super) fn handle(&mut self, side: Side, event: Event) {
        let now = self.now;
        self.router(side).session.handle(event, now);
        self.carry_out(side);
    }

    /// The process dies and its kernel closes what was open.
    pub(super) fn kill(&mut self, side: Side) {
        for socket in
            self.router(side).sockets.iter_mut().filter_map(Option::take).collect::<Vec<_>>()
        {
            self.send(side, socket.connection, Packet::Fin);
        }
        self.power_off(side);
    }

    /// The machine dies and says nothing.
    pub(super) fn power_off(&mut self, side: Side) {
        let router = self.router(side);
        router.sockets = [None; 3];
        router.running = false;
    }

    /// A new process, which remembers nothing but its configuration.
    pub(super) fn boot(&mut self, side: Side, config: SessionConfig) {
        let seed = self.packets;
        *self.router(side) = Router::new(Session::new(config, seed));
        self.handle(side, Event::Start);
    }

    /// A connection's end is gone without a word.
    pub(super) fn lose_socket(&mut self, side: Side, direction: Direction) {
        self.router(side).sockets[direction.index()] = None;
    }

    pub(super) fn cut(&mut self) {
        self.held.get_or_insert_default();
    }

    pub(super) fn mend(&mut self) {
        for (side, connection, packet) in self.held.take().unwrap_or_default() {
            self.send(side.other(), connection, packet);
        }
    }

    /// Writes an UPDATE on the session, as the RIB would.
    pub(super) fn announce(&mut self, side: Side, update: Update) {
        let router = self.router(side);
        let direction = router.session.established().unwrap().0.direction;
        self.write(side, direction, &Message::Update(update));
    }

    pub(super) fn end_of_rib(&mut self, side: Side, family: Family) {
        self.announce(side, Update { end_of_rib: Some(family), ..Update::default() });
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step(end) {}
        self.now = end;
    }

    /// Lets time pass until `done` holds; fails the test after `limit`.
    pub(super) fn run_until(&mut self, limit: Duration, done: impl Fn(&World) -> bool) {
        let end = self.now + limit;
        while !done(self) {
            assert!(self.step(end), "not within {limit:?}: {:#?} {:#?}", self.a.seen, self.b.seen);
        }
    }

    pub(super) fn wait_established(&mut self, limit: Duration) {
        self.run_until(limit, |world| {
            [&world.a, &world.b]
                .into_iter()
                .all(|router| router.session.state() == State::Established)
        });
    }

    /// Both ends talk on one and the same connection, and have no other.
    pub(super) fn assert_one_connection(&self) {
        let ids = [&self.a, &self.b].map(|router| {
            let open: Vec<_> = router.sockets.iter().flatten().collect();
            assert_eq!(open.len(), 1, "{open:?}");
            open[0].connection
        });
        assert_eq!(ids[0], ids[1]);
    }

    /// The next thing that happens, if it happens by `end`.
    fn step(&mut self, end: Instant) -> bool {
        let packet = self.queue.first_key_value().map(|((at, _), _)| *at);
        let timeouts = Side::BOTH.map(|side| {
            let router = self.router(side);
            router.session.poll_timeout().filter(|_| router.running)
        });
        let Some(next) = timeouts.into_iter().chain([packet]).flatten().min() else {
            return false;
        };
        if next > end {
            return false;
        }
        self.now = self.now.max(next);
        if packet == Some(next) {
            if let Some((_, (side, connection, packet))) = self.queue.pop_first() {
                self.arrive(side, connection, packet);
            }
            return true;
        }
        for side in Side::BOTH {
            let now = self.now;
            let router = self.router(side);
            if router.running && router.session.poll_timeout() == Some(next) {
                router.session.handle_timeout(now);
                assert!(router.session.poll_timeout().is_none_or(|deadline| deadline > now));
                self.carry_out(side);
            }
        }
        true
    }

    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// Puts a packet on the wire.
    fn send(&mut self, from: Side, connection: ConnectionId, packet: Packet) {
        let to = from.other();
        if let Some(held) = &mut self.held {
            if !matches!(packet, Packet::Syn) {
                held.push((to, connection, packet));
            }
            return;
        }
        let most = u64::try_from(self.delay.as_micros()).unwrap().max(1);
        let delay = if self.steady { most } else { self.random() % most + 1 };
        let delay = Duration::from_micros(delay);
        let last = self.arrivals.entry((connection, from == Side::A)).or_insert(self.now);
        *last = (*last).max(self.now + delay);
        self.packets += 1;
        self.queue.insert((*last, self.packets), (to, connection, packet));
    }

    fn arrive(&mut self, side: Side, connection: ConnectionId, packet: Packet) {
        if !self.router(side).running {
            if !matches!(packet, Packet::Reset | Packet::Fin) {
                self.send(side, connection, Packet::Reset);
            }
            return;
        }
        if matches!(packet, Packet::Syn) {
            return self.accept(side, connection);
        }
        let sockets = self.router(side).sockets;
        let place = Direction::ALL.into_iter().zip(sockets).find_map(|(direction, socket)| {
            socket
                .filter(|socket| socket.connection == connection)
                .map(|socket| (direction, socket))
        });
        let Some((direction, socket)) = place else {
            if matches!(packet, Packet::Data(_) | Packet::SynAck) {
                self.send(side, connection, Packet::Reset);
            }
            return;
        };
        match packet {
            Packet::Syn => {}
            Packet::SynAck => {
                self.router(side).sockets[direction.index()] =
                    Some(Socket { open: true, ..socket });
                self.handle(side, Event::TcpOpened(direction));
            }
            Packet::Reset => {
                self.router(side).sockets[direction.index()] = None;
                let failure = TcpFailure::Io("connection reset".to_owned());
                self.handle(side, Event::TcpClosed(direction, failure));
            }
            Packet::Fin => {
                self.router(side).sockets[direction.index()] = None;
                self.handle(side, Event::TcpClosed(direction, TcpFailure::Closed));
            }
            Packet::Data(bytes) => {
                let mut buffer = BytesMut::from(&*bytes);
                let event = match socket.codec.decode(&mut buffer) {
                    Ok(message) => Event::Received(direction, message.unwrap()),
                    Err(error) => Event::Malformed(direction, error),
                };
                self.handle(side, event);
            }
        }
    }

    fn accept(&mut self, side: Side, connection: ConnectionId) {
        let now = self.now;
        self.send(side, connection, Packet::SynAck);
        let Some(direction) = self.router(side).session.admit(now) else {
            self.send(side, connection, Packet::Fin);
            return;
        };
        self.carry_out(side);
        let socket = Socket { connection, open: true, codec: Codec::default() };
        let place = &mut self.router(side).sockets[direction.index()];
        assert!(place.is_none(), "the name that was given is taken");
        *place = Some(socket);
        self.handle(side, Event::TcpOpened(direction));
    }

    fn write(&mut self, side: Side, direction: Direction, message: &Message) {
        let router = self.router(side);
        let socket = router.sockets[direction.index()].expect("written to an open connection");
        assert!(socket.open);
        router.sent.push((socket.connection, message.clone()));
        let mut bytes = BytesMut::new();
        socket.codec.encode(message, &mut bytes);
        self.send(side, socket.connection, Packet::Data(bytes.freeze()));
    }

    fn carry_out(&mut self, side: Side) {
        while let Some(action) = self.router(side).session.poll_action() {
            let now = self.now;
            let router = self.router(side);
            match action {
                Action::Connect => {
                    self.connections += 1;
                    let connection = self.connections;
                    let router = self.router(side);
                    let place = &mut router.sockets[Direction::Outgoing.index()];
                    assert!(place.is_none(), "dialled twice");
                    *place = Some(Socket { connection, open: false, codec: Codec::default() });
                    self.send(side, connection, Packet::Syn);
                }
                Action::Send(direction, message) => self.write(side, direction, &message),
                Action::Close(direction) => {
                    if let Some(socket) = router.sockets[direction.index()].take() {
                        self.send(side, socket.connection, Packet::Fin);
                    }
                }
                Action::SetCodec(direction, codec) => {
                    router.sockets[direction.index()].as_mut().unwrap().codec = codec;
                }
                Action::State(_) => {}
                Action::Up(negotiated) => {
                    assert!(!std::mem::replace(&mut router.up, true), "up twice");
                    router.seen.push((now, Seen::Up(negotiated)));
                }
                Action::Down(reason, retained) => {
                    assert!(std::mem::replace(&mut router.up, false), "down while not up");
                    router.seen.push((now, Seen::Down(reason, retained.families)));
                }
                Action::Deliver(update) => {
                    assert!(router.up, "routes outside Established");
                    router.seen.push((now, Seen::Delivered(update)));
                }
                Action::Refresh(_) => assert!(router.up),
                Action::ForgetStale(families) => {
                    assert!(!families.is_empty());
                    router.seen.push((now, Seen::Forgot(families)));
                }
                Action::AttemptFailed(reason) => router.seen.push((now, Seen::Failed(reason))),
            }
        }
    }
}
