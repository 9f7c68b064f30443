//! The netlink message format: written into one buffer, read from one, without a copy between.
//!
//! Only what the agent needs is written or read, so that a kernel that says more than we know
//! is never an error. Layouts: netlink(7), rtnetlink(7).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of `struct nlmsghdr`.
pub(super) const HEADER: usize = 16;
/// The nested bit and the byte order bit of an attribute's type.
const TYPE_MASK: u16 = 0x3fff;
const NESTED: u16 = 0x8000;

const fn align(length: usize) -> usize {
    (length + 3) & !3
}

/// Requests on their way to the kernel in one send.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    count: u32,
    last: usize,
    first_sequence: u32,
}

impl Outgoing {
    /// Starts a message; finished when the returned value is dropped.
    pub(super) fn request(&mut self, kind: u16, flags: u16) -> Request<'_> {
        let start = self.bytes.len();
        let sequence = self.first_sequence.wrapping_add(self.count);
        let flags = flags | nix::libc::NLM_F_REQUEST as u16;
        let mut header = [0; HEADER];
        header[4..6].copy_from_slice(&kind.to_ne_bytes());
        header[6..8].copy_from_slice(&flags.to_ne_bytes());
        header[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&header);
        self.count += 1;
        self.last = start;
        Request { out: self, start }
    }

    pub(super) fn count(&self) -> usize {
        self.count as usize
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Asks for an acknowledgement of the last message: with it, all before are done.
    pub(super) fn acknowledge_last(&mut self) {
        if let Some(low) = self.bytes.get_mut(self.last + 6..self.last + 8) {
            let flags = u16::from_ne_bytes([low[0], low[1]]) | nix::libc::NLM_F_ACK as u16;
            low.copy_from_slice(&flags.to_ne_bytes());
        }
    }

    /// The place of the message with this sequence number in what was sent.
    pub(super) fn index(&self, sequence: u32) -> Option<usize> {
        let index = sequence.wrapping_sub(self.first_sequence);
        (index < self.count).then_some(index as usize)
    }

    /// An empty one, whose numbers go on where these end.
    pub(super) fn successor(&self) -> Outgoing {
        let first_sequence = self.first_sequence.wrapping_add(self.count);
        Outgoing {
            first_sequence,
            bytes: Vec::with_capacity(self.bytes.capacity()),
            ..Outgoing::default()
        }
    }

    pub(super) fn clear(&mut self) {
        self.first_sequence = self.first_sequence.wrapping_add(self.count);
        self.count = 0;
        self.bytes.clear();
    }
}

/// A message that is being written.
#[derive(Debug)]
pub(super) struct Request<'a> {
    out: &'a mut Outgoing,
    start: usize,
}

impl Request<'_> {
    /// The fixed part behind the header, of a length that is a multiple of four.
    pub(super) fn fixed(&mut self, bytes: &[u8]) {
        self.out.bytes.extend_from_slice(bytes);
    }

    pub(super) fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        let out = &mut self.out.bytes;
        out.extend_from_slice(&length.to_ne_bytes());
        out.extend_from_slice(&kind.to_ne_bytes());
        out.extend_from_slice(value);
        out.resize(align(out.len()), 0);
    }

    pub(super) fn number(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    pub(super) fn address(&mut self, kind: u16, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.attribute(kind, &address.octets()),
            IpAddr::V6(address) => self.attribute(kind, &address.octets()),
        }
    }

    /// An attribute that holds attributes.
    pub(super) fn nested(&mut self, kind: u16, inner: impl FnOnce(&mut Self)) {
        let start = self.out.bytes.len();
        self.attribute(kind | NESTED, &[]);
        inner(self);
        let length = u16::try_from(self.out.bytes.len() - start).unwrap_or(u16::MAX);
        self.out.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        let length = u32::try_from(self.out.bytes.len() - self.start).unwrap_or(u32::MAX);
        self.out.bytes[self.start..self.start + 4].copy_from_slice(&length.to_ne_bytes());
    }
}

/// A message from the kernel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Incoming<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(super) payload: &'a [u8],
}

/// The messages of one datagram; ends early at one that is cut off.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Incoming<'_>> {
    std::iter::from_fn(move || {
        let length = read_u32(bytes, 0)? as usize;
        let message = Incoming {
            kind: read_u16(bytes, 4)?,
            flags: read_u16(bytes, 6)?,
            sequence: read_u32(bytes, 8)?,
            payload: bytes.get(HEADER..length)?,
        };
        bytes = bytes.get(align(length)..).unwrap_or_default();
        Some(message)
    })
}

/// The attributes of a message or of a nesting attribute; ends early at one that is cut off.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(read_u16(bytes, 0)?);
        let kind = read_u16(bytes, 2)? & TYPE_MASK;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(align(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

pub(super) fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(super) fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

pub(super) fn read_address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::V4(Ipv4Addr::from(octets)));
    }
    <[u8; 16]>::try_from(bytes).ok().map(|octets| IpAddr::V6(Ipv6Addr::from(octets)))
}

/// A text up to its terminating zero.
pub(super) fn read_text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut out = Outgoing::default();
        {
            let mut request = out.request(24, 0x400);
            request.fixed(&[1, 2, 3, 4]);
            request.number(4, 7);
            request.nested(26, |inner| {
                inner.attribute(1, b"odd");
                inner.address(2, "10.0.0.1".parse().unwrap());
            });
        }
        out.request(25, 0).fixed(&[9; 12]);
        out.acknowledge_last();
        let read: Vec<_> = messages(out.bytes()).collect();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].kind, read[0].flags, read[0].sequence), (24, 0x401, 0));
        assert_eq!((read[1].kind, read[1].flags, read[1].sequence), (25, 0x005, 1));
        let fields: Vec<_> = attributes(&read[0].payload[4..]).collect();
        assert_eq!(fields[0], (4, &7u32.to_ne_bytes()[..]));
        let inner: Vec<_> = attributes(fields[1].1).collect();
        assert_eq!(inner[0], (1, &b"odd"[..]));
        assert_eq!(read_address(inner[1].1), Some("10.0.0.1".parse().unwrap()));
        assert_eq!(out.index(1), Some(1));
        assert_eq!(out.index(2), None);
        out.clear();
        out.request(24, 0).fixed(&[]);
        assert_eq!(out.index(2), Some(0));
    }

    #[test]
    fn damaged_bytes_end_the_reading() {
        for bytes in [&[][..], &[3], &[0; 16], &[0xff; 16], &[17, 0, 0, 0, 1, 0, 0, 0]] {
            assert_eq!(messages(bytes).count(), 0);
        }
        for bytes in [&[][..], &[4], &[0; 8], &[3, 0, 0, 0], &[9, 0, 1, 0, 5]] {
            assert_eq!(attributes(bytes).count(), 0);
        }
        assert_eq!(attributes(&[5, 0, 1, 0, 7]).collect::<Vec<_>>(), [(1, &[7][..])]);
    }
}
