//! The fake network: connections that carry bytes in order, each packet after a delay of its own,
//! through partitions that hold back what TCP would send again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use twill_bgp_proto::session::Direction;

use crate::clock::Micros;

/// A connection, which may be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) connection: u32,
    pub(crate) generation: u32,
}

#[derive(Debug)]
pub(crate) enum Packet {
    Syn,
    SynAck,
    Reset,
    /// Octets, and whether they say more than that someone is alive.
    Data(Bytes, bool),
    Fin,
}

/// One side of a connection.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) speaker: u32,
    /// The other side, among this speaker's peers.
    pub(crate) peer: u32,
    /// What its session calls the connection; `None` where it has no socket.
    pub(crate) direction: Option<Direction>,
    /// On its way to this side.
    pub(crate) queue: VecDeque<Packet>,
    /// Arrivals that a cut holds back.
    pub(crate) held: u32,
    /// Octets of data on their way.
    pub(crate) in_flight: usize,
    /// Nothing arrives earlier than what was sent before it.
    pub(crate) last: Micros,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) ends: [End; 2],
    /// How often the SYN was lost.
    pub(crate) lost_syns: u32,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    connection: Option<Box<Connection>>,
}

#[derive(Debug, Default)]
pub(crate) struct Network {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Speakers apart from the others: packets pass only between equal numbers.
    islands: BTreeMap<u32, u32>,
    /// Pairs between which nothing passes.
    pub(crate) cuts: BTreeSet<(u32, u32)>,
    /// Packets under way that say something new.
    telling: usize,
    /// Connections there are.
    pub(crate) open: usize,
}

fn tells(packet: &Packet) -> bool {
    match packet {
        Packet::Data(_, tells) => *tells,
        // Who is away is dialled for ever.
        Packet::Syn => false,
        Packet::SynAck | Packet::Fin | Packet::Reset => true,
    }
}

fn ordered(one: u32, other: u32) -> (u32, u32) {
    (one.min(other), one.max(other))
}

impl Network {
    /// A new connection of `dialler`, its side 0.
    pub(crate) fn connect(&mut self, dialler: (u32, u32), other: (u32, u32)) -> Link {
        let end = |(speaker, peer), direction| End {
            speaker,
            peer,
            direction,
            queue: VecDeque::new(),
            held: 0,
            in_flight: 0,
            last: 0,
        };
        let ends = [end(dialler, Some(Direction::Outgoing)), end(other, None)];
        let connection = Box::new(Connection { ends, lost_syns: 0 });
        self.open += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() as u32 - 1
        });
        let mut generation = 0;
        if let Some(slot) = self.slots.get_mut(place as usize) {
            generation = slot.generation;
            slot.connection = Some(connection);
        }
        Link { connection: place, generation }
    }

    pub(crate) fn get_mut(&mut self, link: Link) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(link.connection as usize)?;
        slot.connection.as_deref_mut().filter(|_| slot.generation == link.generation)
    }

    /// Puts a packet on its way; the time of its arrival, `None` where the connection is gone.
    pub(crate) fn send(
        &mut self,
        link: Link,
        to: u8,
        packet: Packet,
        at: Micros,
    ) -> Option<Micros> {
        let end = self.get_mut(link)?.ends.get_mut(usize::from(to))?;
        if let Packet::Data(bytes, _) = &packet {
            end.in_flight += bytes.len();
        }
        let tells = tells(&packet);
        end.queue.push_back(packet);
        end.last = at.max(end.last + 1);
        let at = end.last;
        self.telling += usize::from(tells);
        Some(at)
    }

    /// Takes the packet that has arrived.
    pub(crate) fn take(&mut self, link: Link, to: u8) -> Option<Packet> {
        let end = self.get_mut(link)?.ends.get_mut(usize::from(to))?;
        let packet = end.queue.pop_front()?;
        if let Packet::Data(bytes, _) = &packet {
            end.in_flight = end.in_flight.saturating_sub(bytes.len());
        }
        self.telling -= usize::from(tells(&packet));
        Some(packet)
    }

    /// What is on its way to one side is lost.
    pub(crate) fn lose(&mut self, link: Link, to: u8) {
        let Some(end) = self.get_mut(link).and_then(|it| it.ends.get_mut(usize::from(to))) else {
            return;
        };
        end.in_flight = 0;
        end.held = 0;
        let lost = std::mem::take(&mut end.queue);
        self.telling -= lost.iter().filter(|packet| tells(packet)).count();
    }

    /// One side has no socket any more. Where neither has, the connection is gone; unless it is
    /// just being dialled, or the last words of one side are under way to the other.
    pub(crate) fn leave(&mut self, link: Link, side: u8) {
        let Some(connection) = self.get_mut(link) else { return };
        if let Some(end) = connection.ends.get_mut(usize::from(side)) {
            end.direction = None;
        }
        let [one, other] = &connection.ends;
        if one.direction.is_none() && other.direction.is_none() {
            self.lose(link, 0);
            self.lose(link, 1);
            if let Some(slot) = self.slots.get_mut(link.connection as usize) {
                slot.connection = None;
                slot.generation += 1;
                self.free.push(link.connection);
                self.open -= 1;
            }
        }
    }

    pub(crate) fn is_cut(&self, one: u32, other: u32) -> bool {
        if self.islands.is_empty() && self.cuts.is_empty() {
            return false;
        }
        self.islands.get(&one) != self.islands.get(&other)
            || self.cuts.contains(&ordered(one, other))
    }

    pub(crate) fn cut(&mut self, one: u32, other: u32) {
        self.cuts.insert(ordered(one, other));
    }

    /// `speaker` can reach only those of the same number; 0 is the mainland.
    pub(crate) fn set_apart(&mut self, speaker: u32, island: u32) {
        if island == 0 {
            self.islands.remove(&speaker);
        } else {
            self.islands.insert(speaker, island);
        }
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.islands.is_empty() && self.cuts.is_empty()
    }

    /// Packets that say something new and are under way, what a cut holds back left out.
    pub(crate) fn under_way(&self) -> usize {
        if self.is_whole() {
            return self.telling;
        }
        let connections = self.slots.iter().filter_map(|slot| slot.connection.as_deref());
        let ends = connections.flat_map(|connection| &connection.ends);
        let moving = ends.flat_map(|end| end.queue.iter().skip(end.held as usize));
        moving.filter(|packet| tells(packet)).count()
    }

    /// The network is whole again.
    pub(crate) fn mend(&mut self) {
        self.islands.clear();
        self.cuts.clear();
    }

    /// What is held back and may arrive now, as `passes` has it: each with how many packets.
    pub(crate) fn release(
        &mut self,
        passes: impl Fn(&Network, u32, u32) -> bool,
    ) -> Vec<(Link, u8, u32)> {
        let mut released = Vec::new();
        for place in 0..self.slots.len() {
            let Some(slot) = self.slots.get(place) else { continue };
            let Some(connection) = &slot.connection else { continue };
            let [one, other] = &connection.ends;
            if (one.held == 0 && other.held == 0) || !passes(self, one.speaker, other.speaker) {
                continue;
            }
            let link = Link { connection: place as u32, generation: slot.generation };
            let Some(connection) = self.get_mut(link) else { continue };
            for (side, end) in (0u8..).zip(&mut connection.ends) {
                if end.held > 0 {
                    released.push((link, side, std::mem::take(&mut end.held)));
                }
            }
        }
        released
    }
}
