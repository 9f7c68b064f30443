//! One speaker: what a process of it holds. Peers' tasks and the core stand apart as in the real
//! one: sessions put news into an inbox, the core takes them at its own turns, and what it has to
//! send waits in a short channel that ends with its session.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use bytes::Bytes;
use twill_bgp_proto::deferral::Deferral;
use twill_bgp_proto::rib::Rib;
use twill_bgp_proto::session::{Direction, Negotiated, Session};
use twill_bgp_proto::types::{Families, Prefix};
use twill_bgp_proto::wire::{Codec, RouteRefresh, Update};

use crate::clock::Micros;
use crate::network::Link;

/// How a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// The process runs.
    Running,
    /// The process is gone; its kernel answers, and forwards.
    Dead,
    /// The machine is off.
    Off,
}

/// A connection's end, as a peer's task holds it.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) link: Link,
    /// Which end of the connection this is.
    pub(crate) side: u8,
    pub(crate) open: bool,
    pub(crate) codec: Codec,
    /// The beginning of a message whose end has not arrived.
    pub(crate) partial: Vec<u8>,
    /// Each with whether it says more than that we are alive.
    pub(crate) output: VecDeque<(Bytes, bool)>,
    pub(crate) waiting: usize,
}

impl Socket {
    pub(crate) fn new(link: Link, side: u8, open: bool) -> Box<Socket> {
        Box::new(Socket {
            link,
            side,
            open,
            codec: Codec::default(),
            partial: Vec::new(),
            output: VecDeque::new(),
            waiting: 0,
        })
    }
}

/// What a peer's task tells the core.
#[derive(Debug)]
pub(crate) enum News {
    Up(Box<Negotiated>, u32),
    Down(Families),
    Update(Update),
    Refresh(RouteRefresh),
    ForgetStale(Families),
}

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) session: Session,
    pub(crate) sockets: [Option<Box<Socket>>; 3],
    /// When the queue will look at its timers.
    pub(crate) timer: Micros,
    /// Counts its sessions.
    pub(crate) sessions: u32,
    /// The connection of the session that is up.
    pub(crate) up: Option<Direction>,
    /// Between the core and the session that is up.
    pub(crate) chunks: VecDeque<Bytes>,
    /// The core's view: which session is up.
    pub(crate) live: Option<u32>,
    /// The core's view: families whose routes are kept as stale.
    pub(crate) stale: Families,
    /// It stands in the core's queue of those that may be sent something.
    pub(crate) queued: bool,
    /// It had no room, and tells when it has.
    pub(crate) full: bool,
}

impl Peer {
    pub(crate) fn new(session: Session) -> Peer {
        Peer {
            session,
            sockets: [None, None, None],
            timer: Micros::MAX,
            sessions: 0,
            up: None,
            chunks: VecDeque::new(),
            live: None,
            stale: Families::NONE,
            queued: false,
            full: false,
        }
    }

    pub(crate) fn socket(&mut self, direction: Direction) -> &mut Option<Box<Socket>> {
        let [outgoing, incoming, again] = &mut self.sockets;
        match direction {
            Direction::Outgoing => outgoing,
            Direction::Incoming => incoming,
            Direction::IncomingAgain => again,
        }
    }
}

/// A route in the kernel, as the agent keeps it.
#[derive(Debug, Default)]
pub(crate) struct Kernel {
    pub(crate) routes: BTreeMap<Prefix, IpAddr>,
    /// Found at the start, and not confirmed yet.
    pub(crate) adopted: BTreeSet<Prefix>,
}

/// A speaker's process; its kernel's routes outlive it.
pub(crate) struct Speaker {
    pub(crate) life: Life,
    pub(crate) rib: Rib,
    pub(crate) deferral: Deferral,
    /// By key.
    pub(crate) peers: Vec<Peer>,
    pub(crate) inbox: VecDeque<(u32, News)>,
    /// The core has a turn coming.
    pub(crate) due: bool,
    /// The RIB has changes that are not told yet.
    pub(crate) unsettled: bool,
    pub(crate) sendable: VecDeque<u32>,
    /// The first exchange is complete.
    pub(crate) synced: bool,
    /// A stopped process: nothing happens in it until then.
    pub(crate) stopped_until: Micros,
    /// `None` where nobody looks at it.
    pub(crate) kernel: Option<Kernel>,
    /// It was told to come up later.
    pub(crate) booting: bool,
}

impl Speaker {
    /// Whether its core has nothing to do.
    pub(crate) fn is_idle(&self) -> bool {
        !self.due && self.inbox.is_empty() && self.sendable.is_empty() && !self.unsettled
    }
}
