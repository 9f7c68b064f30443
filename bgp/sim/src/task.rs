//! What a peer's task does: packets and timers in, the session's actions carried out, bytes out.

use twill_bgp_proto::session::{Action, Direction, Event as Input, TcpFailure};
use twill_bgp_proto::wire::Message;

use crate::clock::{Event, Micros, SECOND};
use crate::network::{Link, Packet};
use crate::speaker::{Life, News, Socket};
use crate::world::World;

/// How often a SYN is sent again, at twice the distance each time, from a second on.
const SYNS: u32 = 5;

impl World {
    /// A packet is there, unless something holds it back.
    pub(crate) fn arrive(&mut self, link: Link, to: u8) {
        let Some(connection) = self.network.get_mut(link) else { return };
        let lost_syns = connection.lost_syns;
        let [one, other] = &mut connection.ends;
        let (end, from) = if to == 0 { (one, other.speaker) } else { (other, one.speaker) };
        let (speaker, peer, direction) = (end.speaker, end.peer, end.direction);
        let is_syn = matches!(end.queue.front(), Some(Packet::Syn));
        if end.queue.is_empty() {
            return;
        }
        let life = |world: &World, speaker: u32| {
            world.speakers.get(speaker as usize).map_or(Life::Off, |it| it.life)
        };
        let event = Event::Arrive { connection: link.connection, generation: link.generation, to };
        // A dead machine's last packets are on their way all the same; what is for it waits for
        // it to be back, because TCP sends again.
        if self.network.is_cut(from, speaker) || life(self, speaker) == Life::Off {
            if is_syn && lost_syns < SYNS {
                if let Some(connection) = self.network.get_mut(link) {
                    connection.lost_syns += 1;
                }
                self.plan(SECOND << lost_syns, event);
            } else if is_syn {
                self.network.lose(link, to);
            } else if let Some(connection) = self.network.get_mut(link)
                && let Some(end) = connection.ends.get_mut(usize::from(to))
            {
                end.held += 1;
            }
            return;
        }
        if life(self, speaker) == Life::Running && self.is_stopped(speaker, event) {
            return;
        }
        let Some(packet) = self.network.take(link, to) else { return };
        self.trace.word(u64::from(link.connection) << 32 | u64::from(speaker));
        match (packet, direction) {
            (Packet::Syn, _) => self.accept(link, speaker, peer),
            (Packet::SynAck | Packet::Data(..), None) => self.send(link, 1 - to, Packet::Reset),
            (Packet::Reset | Packet::Fin, None) => {}
            (Packet::SynAck, Some(direction)) => {
                if let Some(peer) = self.peer(speaker, peer)
                    && let Some(socket) = peer.socket(direction)
                {
                    socket.open = true;
                }
                self.input(speaker, peer, Input::TcpOpened(direction));
            }
            (Packet::Reset, Some(direction)) => {
                let failure = TcpFailure::Io("connection reset".to_owned());
                self.lost(speaker, peer, direction, failure);
            }
            (Packet::Fin, Some(direction)) => {
                self.lost(speaker, peer, direction, TcpFailure::Closed);
            }
            (Packet::Data(bytes, _), Some(direction)) => {
                self.read(link, (speaker, peer), direction, &bytes);
                self.has_room(link, 1 - to);
            }
        }
    }

    /// The other end may write more now.
    fn has_room(&mut self, link: Link, side: u8) {
        let Some(connection) = self.network.get_mut(link) else { return };
        let Some(end) = connection.ends.get(usize::from(side)) else { return };
        if let (speaker, peer, Some(direction)) = (end.speaker, end.peer, end.direction) {
            self.write(speaker, peer, direction);
        }
    }

    /// A connection is gone without our doing.
    pub(crate) fn lost(
        &mut self,
        speaker: u32,
        peer: u32,
        direction: Direction,
        failure: TcpFailure,
    ) {
        let Some(it) = self.peer(speaker, peer) else { return };
        if let Some(socket) = it.socket(direction).take() {
            self.network.leave(socket.link, socket.side);
            self.input(speaker, peer, Input::TcpClosed(direction, failure));
        }
    }

    fn accept(&mut self, link: Link, speaker: u32, peer: u32) {
        let now = self.clock.instant(self.now);
        let Some(it) = self.peer(speaker, peer) else {
            return self.send(link, 0, Packet::Reset);
        };
        let Some(direction) = it.session.admit(now) else {
            self.send(link, 0, Packet::SynAck);
            return self.send(link, 0, Packet::Fin);
        };
        self.carry_out(speaker, peer);
        self.send(link, 0, Packet::SynAck);
        if let Some(connection) = self.network.get_mut(link) {
            connection.ends[1].direction = Some(direction);
        }
        let taken = self
            .peer(speaker, peer)
            .and_then(|it| it.socket(direction).replace(Socket::new(link, 1, true)));
        if taken.is_some() {
            self.fail(|| format!("speaker {speaker} admits {direction:?} twice from peer {peer}"));
        }
        self.input(speaker, peer, Input::TcpOpened(direction));
    }

    /// Handles every whole message of what has arrived.
    fn read(&mut self, link: Link, who: (u32, u32), direction: Direction, bytes: &[u8]) {
        let (speaker, peer) = who;
        self.counters.octets += bytes.len() as u64;
        self.trace.octets(bytes);
        let mut buffer = std::mem::take(&mut self.scratch);
        buffer.clear();
        let Some(socket) = self.peer(speaker, peer).and_then(|it| it.socket(direction).as_mut())
        else {
            return;
        };
        buffer.extend_from_slice(&socket.partial);
        socket.partial = Vec::new();
        buffer.extend_from_slice(bytes);
        // Any message may close the connection, or change the codec.
        while let Some(socket) = self
            .peer(speaker, peer)
            .and_then(|it| it.socket(direction).as_mut())
            .filter(|socket| socket.link == link)
        {
            match socket.codec.decode(&mut buffer) {
                Ok(Some(message)) => {
                    self.counters.messages += 1;
                    if let Message::Update(update) = &message
                        && let Some(fault) = update.faults.first()
                    {
                        self.fail(|| format!("speaker {speaker} hears a faulty UPDATE: {fault}"));
                    }
                    self.input(speaker, peer, Input::Received(direction, message));
                }
                Ok(None) => {
                    socket.partial = buffer.to_vec();
                    break;
                }
                Err(error) => {
                    self.fail(|| format!("speaker {speaker} hears bytes that are none: {error:?}"));
                    break;
                }
            }
        }
        self.scratch = buffer;
    }

    pub(crate) fn timer(&mut self, speaker: u32, peer: u32) {
        let (now, instant) = (self.now, self.clock.instant(self.now));
        let Some(it) = self.peer(speaker, peer).filter(|it| it.timer == now) else { return };
        it.timer = Micros::MAX;
        if self.speakers.get(speaker as usize).is_some_and(|it| it.stopped_until > now) {
            let until = self.speakers.get(speaker as usize).map_or(now, |it| it.stopped_until);
            let at = until + self.random.below(1000);
            if let Some(it) = self.peer(speaker, peer) {
                it.timer = at;
            }
            return self.plan(at - now, Event::Timer { speaker, peer });
        }
        let Some(it) = self.peer(speaker, peer) else { return };
        it.session.handle_timeout(instant);
        if it.session.poll_timeout().is_some_and(|deadline| deadline <= instant) {
            self.fail(|| format!("speaker {speaker}: a deadline of peer {peer} is not ahead"));
        }
        self.carry_out(speaker, peer);
    }

    /// An event for a session, and all that it leads to.
    pub(crate) fn input(&mut self, speaker: u32, peer: u32, event: Input) {
        let now = self.clock.instant(self.now);
        if let Some(it) = self.peer(speaker, peer) {
            it.session.handle(event, now);
            self.carry_out(speaker, peer);
        }
    }

    fn carry_out(&mut self, speaker: u32, peer: u32) {
        let mut told = false;
        while let Some(it) = self.peer(speaker, peer)
            && let Some(action) = it.session.poll_action()
        {
            match action {
                Action::Connect => self.dial(speaker, peer),
                Action::Send(direction, message) => {
                    self.queue_message(speaker, peer, direction, &message);
                }
                Action::Close(direction) => self.close(speaker, peer, direction),
                Action::SetCodec(direction, codec) => match it.socket(direction) {
                    Some(socket) => socket.codec = codec,
                    None => self.fail(|| format!("speaker {speaker}: a codec for no connection")),
                },
                Action::State(_) | Action::AttemptFailed(_) => {}
                Action::Up(negotiated) => {
                    it.sessions += 1;
                    let number = it.sessions;
                    if it.up.replace(negotiated.direction).is_some() {
                        self.fail(|| format!("speaker {speaker}: peer {peer} is up twice"));
                    }
                    self.up += 1;
                    self.counters.ups += 1;
                    self.tell(speaker, peer, News::Up(negotiated, number));
                    told = true;
                }
                Action::Down(_, retained) => {
                    it.chunks.clear();
                    if it.up.take().is_none() {
                        self.fail(|| format!("speaker {speaker}: peer {peer} is down twice"));
                    }
                    self.up = self.up.saturating_sub(1);
                    self.counters.downs += 1;
                    self.tell(speaker, peer, News::Down(retained.families));
                    told = true;
                }
                Action::Deliver(update) => {
                    if it.up.is_none() {
                        self.fail(|| format!("speaker {speaker}: routes of {peer} while down"));
                    }
                    self.tell(speaker, peer, News::Update(update));
                    told = true;
                }
                Action::Refresh(refresh) => {
                    self.tell(speaker, peer, News::Refresh(refresh));
                    told = true;
                }
                Action::ForgetStale(families) => {
                    self.tell(speaker, peer, News::ForgetStale(families));
                    told = true;
                }
            }
        }
        for direction in Direction::ALL {
            self.write(speaker, peer, direction);
        }
        if told {
            self.schedule_core(speaker);
        }
        self.watch_timers(speaker, peer);
    }

    fn tell(&mut self, speaker: u32, peer: u32, news: News) {
        if let Some(it) = self.running(speaker) {
            it.inbox.push_back((peer, news));
        }
    }

    /// Sees to it that the queue looks at a session's timers in time.
    fn watch_timers(&mut self, speaker: u32, peer: u32) {
        let clock = self.clock;
        let now = self.now;
        let Some(it) = self.peer(speaker, peer) else { return };
        let Some(deadline) = it.session.poll_timeout() else { return };
        let at = clock.micros(deadline).max(now);
        if at < it.timer {
            it.timer = at;
            self.plan(at - now, Event::Timer { speaker, peer });
        }
    }

    fn dial(&mut self, speaker: u32, peer: u32) {
        let Some(neighbor) =
            self.topology.members.get(speaker as usize).and_then(|it| it.peers.get(peer as usize))
        else {
            return;
        };
        let other = (neighbor.speaker, neighbor.back);
        self.counters.dials += 1;
        let link = self.network.connect((speaker, peer), other);
        let taken = self
            .peer(speaker, peer)
            .and_then(|it| it.socket(Direction::Outgoing).replace(Socket::new(link, 0, false)));
        if taken.is_some() {
            self.fail(|| format!("speaker {speaker} dials peer {peer} twice"));
        }
        self.send(link, 1, Packet::Syn);
    }
}
