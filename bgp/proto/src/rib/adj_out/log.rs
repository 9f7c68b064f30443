//! The messages of one group, encoded once and read by each member at its own pace.
//!
//! Bytes are gathered in an open chunk, which is sealed when it is large or when a reader has
//! come to it; a sealed chunk is shared. A message is for all members, for all but the one it
//! came from, or for one alone. Readers are counted per chunk, so that what everyone has read is
//! dropped at once.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::rib::table::From;
use crate::types::{Ipv4Prefix, Ipv6Prefix};

/// An open chunk of this size is sealed before the next telling.
const CHUNK: usize = 64 * 1024;

/// For whom a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    All,
    Except(From),
    Only(From),
}

impl Audience {
    fn includes(self, reader: From) -> bool {
        match self {
            Audience::All => true,
            Audience::Except(source) => source != reader,
            Audience::Only(one) => one == reader,
        }
    }
}

/// Where a reader stands: always at the beginning of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cursor {
    chunk: u64,
    offset: usize,
}

/// A prefix that a chunk speaks of, and the source of the route that the group had before.
#[derive(Debug, Clone, Copy)]
pub(in crate::rib) struct Record<K> {
    pub(super) prefix: K,
    before: [u8; 3],
}

impl<K> Record<K> {
    pub(super) fn new(prefix: K, before: Option<From>) -> Record<K> {
        Record { prefix, before: From::pack(before) }
    }

    /// Whether the group, `reader` among it, had a route: its own is not sent to it.
    pub(super) fn was_had_by(&self, reader: From) -> bool {
        From::unpack(self.before).is_some_and(|source| source != reader)
    }
}

/// The records of a chunk, by family.
#[derive(Default)]
pub(in crate::rib) struct Records {
    pub(super) v4: Vec<Record<Ipv4Prefix>>,
    pub(super) v6: Vec<Record<Ipv6Prefix>>,
}

impl Records {
    fn octets(&self) -> usize {
        self.v4.len() * size_of::<Record<Ipv4Prefix>>()
            + self.v6.len() * size_of::<Record<Ipv6Prefix>>()
    }
}

/// Up to `end` of the chunk's bytes, from the end of the mark before.
struct Mark {
    end: usize,
    audience: Audience,
}

struct Chunk {
    bytes: Bytes,
    marks: Vec<Mark>,
    records: Records,
    /// How many cursors stand in it.
    readers: usize,
}

#[derive(Default)]
struct Open {
    bytes: BytesMut,
    marks: Vec<Mark>,
    records: Records,
    readers: usize,
}

/// See the module.
#[derive(Default)]
pub(super) struct Log {
    /// The number of the first sealed chunk.
    first: u64,
    sealed: VecDeque<Chunk>,
    open: Open,
    /// Of the sealed chunks, with their records.
    octets: usize,
}

impl Log {
    /// A cursor behind everything that was appended.
    pub(super) fn join(&mut self) -> Cursor {
        self.seal();
        self.open.readers += 1;
        self.end()
    }

    /// Gives up a cursor.
    pub(super) fn leave(&mut self, cursor: Cursor) {
        *self.readers(cursor.chunk) -= 1;
        self.trim();
    }

    /// Behind everything that was appended; only where the open chunk is empty.
    fn end(&self) -> Cursor {
        Cursor { chunk: self.first + self.sealed.len() as u64, offset: 0 }
    }

    /// The place that a reader has come to who has read all that there is now.
    pub(super) fn mark(&mut self) -> Cursor {
        self.seal();
        self.end()
    }

    /// What is waiting for the slowest reader, in octets.
    pub(super) fn octets(&self) -> usize {
        self.octets + self.open.bytes.len() + self.open.records.octets()
    }

    /// Whether something was appended behind `cursor`, though it may be for others.
    pub(super) fn has_more(&self, cursor: Cursor) -> bool {
        cursor < self.end() || !self.open.bytes.is_empty()
    }

    /// Whether `cursor` stands in the oldest chunk.
    pub(super) fn is_last(&self, cursor: Cursor) -> bool {
        cursor.chunk == self.first
    }

    /// Appends what `encode` writes, whole messages, for `audience`.
    pub(super) fn append(&mut self, audience: Audience, encode: impl FnOnce(&mut BytesMut)) {
        encode(&mut self.open.bytes);
        let end = self.open.bytes.len();
        match self.open.marks.last_mut() {
            Some(last) if last.audience == audience => last.end = end,
            _ => self.open.marks.push(Mark { end, audience }),
        }
    }

    /// Begins a telling: what is appended from here on, and the records of it, stay in one chunk,
    /// so that a reader who has come to the end of a chunk has read all that its records are of.
    pub(super) fn begin(&mut self) {
        if self.open.bytes.len() >= CHUNK {
            self.seal();
        }
    }

    /// Where to note the prefixes of this telling.
    pub(super) fn records(&mut self) -> &mut Records {
        &mut self.open.records
    }

    /// What a reader has not read: for each chunk its records, and whether a part of it was read.
    pub(super) fn unread(&self, cursor: Cursor) -> impl Iterator<Item = (&Records, bool)> {
        let start = usize::try_from(cursor.chunk - self.first).unwrap_or(usize::MAX);
        let sealed = self.sealed.iter().map(|chunk| &chunk.records);
        sealed
            .chain(std::iter::once(&self.open.records))
            .enumerate()
            .skip(start)
            .map(move |(index, records)| (records, index == start && cursor.offset > 0))
    }

    /// The next bytes for `reader`, of at most about `budget` octets but one message at least;
    /// `None` once all is read.
    pub(super) fn read(
        &mut self,
        cursor: &mut Cursor,
        reader: From,
        budget: usize,
    ) -> Option<Bytes> {
        loop {
            if *cursor == self.end() {
                if self.open.bytes.is_empty() {
                    return None;
                }
                self.seal();
            }
            let index = usize::try_from(cursor.chunk - self.first).ok()?;
            let chunk = self.sealed.get(index)?;
            let found = chunk.next_for(reader, cursor.offset, budget);
            match found {
                Some((start, end)) => {
                    let bytes = chunk.bytes.slice(start..end);
                    cursor.offset = end;
                    if end == chunk.bytes.len() {
                        self.advance(cursor);
                    }
                    return Some(bytes);
                }
                None => self.advance(cursor),
            }
        }
    }

    fn advance(&mut self, cursor: &mut Cursor) {
        *self.readers(cursor.chunk) -= 1;
        *cursor = Cursor { chunk: cursor.chunk + 1, offset: 0 };
        *self.readers(cursor.chunk) += 1;
        self.trim();
    }

    fn readers(&mut self, chunk: u64) -> &mut usize {
        let index = usize::try_from(chunk - self.first).unwrap_or(usize::MAX);
        match self.sealed.get_mut(index) {
            Some(chunk) => &mut chunk.readers,
            None => &mut self.open.readers,
        }
    }

    fn seal(&mut self) {
        if self.open.bytes.is_empty() {
            return;
        }
        let bytes = self.open.bytes.split().freeze();
        let open = std::mem::take(&mut self.open);
        self.open.bytes = open.bytes;
        self.octets += bytes.len() + open.records.octets();
        self.sealed.push_back(Chunk {
            bytes,
            marks: open.marks,
            records: open.records,
            readers: open.readers,
        });
        self.trim();
    }

    fn trim(&mut self) {
        while self.sealed.front().is_some_and(|chunk| chunk.readers == 0) {
            if let Some(chunk) = self.sealed.pop_front() {
                self.first += 1;
                self.octets -= chunk.bytes.len() + chunk.records.octets();
            }
        }
    }
}

impl Chunk {
    /// The next bytes from `offset` that are for `reader`.
    fn next_for(&self, reader: From, offset: usize, budget: usize) -> Option<(usize, usize)> {
        let from = self.marks.partition_point(|mark| mark.end <= offset);
        let mut run: Option<(usize, usize)> = None;
        let mut begin = offset;
        for mark in self.marks.iter().skip(from) {
            match (&mut run, mark.audience.includes(reader)) {
                (None, true) => run = Some((begin, mark.end)),
                (Some((start, end)), true) if *end - *start < budget => *end = mark.end,
                (None, false) => {}
                (Some(_), _) => break,
            }
            begin = mark.end;
        }
        let (start, end) = run?;
        if end - start <= budget {
            return Some((start, end));
        }
        Some((start, self.message_end(start, end, budget)))
    }

    /// The end of the last whole message that begins at or behind `start` and fits into
    /// `budget`; of the first one, where even that does not fit.
    fn message_end(&self, start: usize, end: usize, budget: usize) -> usize {
        let mut cut = start;
        while cut < end {
            // Marker of 16 octets, then the length of the message (RFC 4271 section 4.1).
            let length = match self.bytes.get(cut + 16..cut + 18) {
                Some(&[high, low]) => usize::from(u16::from_be_bytes([high, low])),
                _ => return end,
            };
            if length == 0 || (cut > start && cut + length - start > budget) {
                break;
            }
            cut += length;
        }
        cut.min(end)
    }
}
