//! The fake clock, and what is to happen on it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// Microseconds since the world began.
pub type Micros = u64;

/// A second.
pub const SECOND: Micros = 1_000_000;

/// Turns the world's time into what the core takes, and back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    epoch: Instant,
}

impl Clock {
    /// An `Instant` cannot be made from nothing: the real clock is read this once, and nothing
    /// depends on what it says.
    pub(crate) fn new() -> Clock {
        Clock { epoch: Instant::now() }
    }

    pub(crate) fn instant(self, at: Micros) -> Instant {
        self.epoch + Duration::from_micros(at)
    }

    /// The first microsecond at which a deadline is over.
    pub(crate) fn micros(self, deadline: Instant) -> Micros {
        let nanos = deadline.saturating_duration_since(self.epoch).as_nanos();
        Micros::try_from(nanos.div_ceil(1000)).unwrap_or(Micros::MAX)
    }
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The first packet that is on its way to a side of a connection arrives.
    Arrive { connection: u32, generation: u32, to: u8 },
    /// A session's timer may have run out.
    Timer { speaker: u32, peer: u32 },
    /// A speaker's core has a turn.
    Core { speaker: u32 },
    /// A speaker's deferral may be over.
    Deferral { speaker: u32 },
    /// A speaker's process begins.
    Boot { speaker: u32 },
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    at: Micros,
    tie: u32,
    number: u64,
    event: Event,
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> std::cmp::Ordering {
        (self.at, self.tie, self.number).cmp(&(other.at, other.tie, other.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Events by time; among those of one microsecond, as the seed has it.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    number: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, at: Micros, tie: u64, event: Event) {
        self.number += 1;
        self.heap.push(Reverse(Entry { at, tie: tie as u32, number: self.number, event }));
    }

    /// The next event, where it happens by `end`.
    pub(crate) fn pop(&mut self, end: Micros) -> Option<(Micros, Event)> {
        if self.heap.peek()?.0.at > end {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.event))
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }
}
