//! One connection's way from dialling to Established. Each state holds what only it knows; a
//! transition takes the state out of its slot and consumes it.

use std::time::Instant;

use super::{Direction, Negotiated, State};
use crate::wire::Open;

/// What fills one of the session's slots.
#[derive(Debug, Default)]
pub(super) enum Connection {
    /// None.
    #[default]
    Closed,
    /// TCP is opening; only in the slot of what we dial.
    Dialing,
    /// Our OPEN is out.
    OpenSent(OpenSent),
    /// The peer's OPEN was accepted.
    OpenConfirm(OpenConfirm),
    /// Routes flow.
    Established(Established),
}

/// Knows what we offered on this connection: the configuration may change meanwhile.
#[derive(Debug)]
pub(super) struct OpenSent {
    /// When TCP was up.
    pub(super) opened: Instant,
    /// Counts the session's connections: of two that the peer dialled, the later one is meant.
    pub(super) order: u64,
    /// As sent.
    pub(super) sent: Open,
}

/// Knows what was agreed on.
#[derive(Debug)]
pub(super) struct OpenConfirm {
    /// As in [`OpenSent`].
    pub(super) order: u64,
    /// As sent: the peer may still refuse a part of it.
    pub(super) sent: Open,
    /// Nothing retained yet: that is known when the session is up.
    pub(super) agreed: Box<Negotiated>,
}

/// Knows since when.
#[derive(Debug)]
pub(super) struct Established {
    /// When the first KEEPALIVE came.
    pub(super) since: Instant,
    /// Final.
    pub(super) agreed: Box<Negotiated>,
}

impl Connection {
    /// The state of RFC 4271 that this connection alone would be in.
    pub(super) const fn state(&self) -> State {
        match self {
            Connection::Closed => State::Idle,
            Connection::Dialing => State::Connect,
            Connection::OpenSent(_) => State::OpenSent,
            Connection::OpenConfirm(_) => State::OpenConfirm,
            Connection::Established(_) => State::Established,
        }
    }

    /// Which of two connections of the same state is the later one.
    pub(super) const fn order(&self) -> u64 {
        match self {
            Connection::OpenSent(state) => state.order,
            Connection::OpenConfirm(state) => state.order,
            Connection::Closed | Connection::Dialing | Connection::Established(_) => 0,
        }
    }

    /// Whether TCP is up.
    pub(super) const fn is_open(&self) -> bool {
        !matches!(self, Connection::Closed | Connection::Dialing)
    }

    /// Whether nothing is here.
    pub(super) const fn is_closed(&self) -> bool {
        matches!(self, Connection::Closed)
    }
}

/// The connections a session may have at once, by [`Direction`].
#[derive(Debug, Default)]
pub(super) struct Slots([Connection; Direction::ALL.len()]);

impl Slots {
    pub(super) fn get(&self, direction: Direction) -> &Connection {
        &self.0[direction.index()]
    }

    /// Empties the slot.
    pub(super) fn take(&mut self, direction: Direction) -> Connection {
        std::mem::take(&mut self.0[direction.index()])
    }

    pub(super) fn put(&mut self, direction: Direction, connection: Connection) {
        self.0[direction.index()] = connection;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Direction, &Connection)> {
        Direction::ALL.into_iter().zip(&self.0)
    }

    /// The Established one: never more than one.
    pub(super) fn established(&self) -> Option<(Direction, &Established)> {
        self.iter().find_map(|(direction, connection)| match connection {
            Connection::Established(established) => Some((direction, established)),
            _ => None,
        })
    }

    /// The furthest that any connection has come.
    pub(super) fn furthest(&self) -> State {
        self.0.iter().map(Connection::state).max().unwrap_or(State::Idle)
    }
}
