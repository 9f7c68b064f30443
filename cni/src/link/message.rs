//! Netlink messages: written several to a buffer, read from one.
//!
//! In: a step, its kernel message type and flags, and a closure that writes the body.
//! Out: bytes for one `sendmsg`; and, the other way, an iterator over messages and attributes that
//! ends at the first length that does not fit.
//!
//! Layout: `struct nlmsghdr` and `struct nlattr` of linux/netlink.h, host byte order, padded to 4.

use std::fmt;
use std::net::IpAddr;

use nix::libc;

use crate::address::Cidr;
use crate::link::InterfaceName;

const HEADER: usize = 16;
const ATTRIBUTE: usize = 4;
const NESTED: u16 = 1 << 15;

/// What one message is for: the words of its error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// RTM_GETLINK.
    FindLink(InterfaceName),
    /// RTM_GETADDR.
    ListAddresses(InterfaceName),
    /// RTM_GETROUTE.
    ListRoutes(InterfaceName),
    /// RTM_NEWLINK of kind bridge.
    CreateBridge(InterfaceName),
    /// RTM_NEWLINK of kind veth, its peer in the pod.
    CreatePair(InterfaceName),
    /// RTM_NEWLINK on a link that exists.
    Configure(InterfaceName),
    /// RTM_NEWADDR.
    AddAddress(Cidr, InterfaceName),
    /// RTM_NEWROUTE.
    AddRoute(Cidr, InterfaceName),
    /// RTM_DELLINK.
    DeleteLink(InterfaceName),
    /// RTM_GETROUTE for one address.
    FindRoute(IpAddr),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FindLink(name) => write!(f, "look up {name}"),
            Self::ListAddresses(name) => write!(f, "list the addresses of {name}"),
            Self::ListRoutes(name) => write!(f, "list the routes of {name}"),
            Self::CreateBridge(name) => write!(f, "create bridge {name}"),
            Self::CreatePair(name) => write!(f, "create veth pair {name}"),
            Self::Configure(name) => write!(f, "configure {name}"),
            Self::AddAddress(address, name) => write!(f, "add address {address} to {name}"),
            Self::AddRoute(to, name) => write!(f, "add route {to} on {name}"),
            Self::DeleteLink(name) => write!(f, "delete {name}"),
            Self::FindRoute(address) => write!(f, "look up the route to {address}"),
        }
    }
}

/// An error that a message may meet without harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tolerate {
    /// None.
    Nothing,
    /// EEXIST: what it makes is there.
    Exists,
    /// ENODEV: what it removes is gone.
    Missing,
    /// Any: a refusal is an answer.
    Refusal,
}

impl Tolerate {
    fn covers(self, errno: i32) -> bool {
        match self {
            Self::Nothing => false,
            Self::Exists => errno == libc::EEXIST,
            Self::Missing => errno == libc::ENODEV,
            Self::Refusal => true,
        }
    }
}

/// Messages that travel in one system call. The kernel handles them in order and goes on past a
/// refused one, so whoever sends a batch must undo all of it when any message is refused.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    steps: Vec<(Step, Tolerate)>,
    last: usize,
}

impl Batch {
    /// Room for a pod's messages without growing.
    pub fn new() -> Self {
        Self { bytes: Vec::with_capacity(1024), steps: Vec::with_capacity(8), last: 0 }
    }

    /// One message more.
    pub fn push(
        &mut self,
        step: Step,
        tolerate: Tolerate,
        kind: u16,
        flags: i32,
        body: impl FnOnce(&mut Body<'_>),
    ) {
        let start = self.bytes.len();
        self.steps.push((step, tolerate));
        self.last = start;
        let sequence = self.steps.len() as u32;
        let flags = (libc::NLM_F_REQUEST | flags) as u16;
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        body(&mut Body { bytes: &mut self.bytes });
        let length = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        pad(&mut self.bytes);
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The bytes to send, with an acknowledgement asked for the last message only: errors are
    /// always reported, and they are queued before it.
    pub fn finish(&mut self) -> &[u8] {
        if let Some(flags) = self.bytes.get_mut(self.last + 6..self.last + 8) {
            let value = u16::from_ne_bytes([flags[0], flags[1]]) | libc::NLM_F_ACK as u16;
            flags.copy_from_slice(&value.to_ne_bytes());
        }
        &self.bytes
    }

    /// The bytes to send, without one: questions are answered anyway.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The sequence number of the last message.
    pub fn last_sequence(&self) -> u32 {
        self.steps.len() as u32
    }

    /// The step of a sequence number, unless the error is one it tolerates.
    pub fn blame(&self, sequence: u32, errno: i32) -> Option<Step> {
        let (step, tolerate) = self.steps.get((sequence as usize).checked_sub(1)?)?;
        (!tolerate.covers(errno)).then_some(*step)
    }
}

/// The body of a message, or of a nested attribute, while it is written.
pub struct Body<'a> {
    bytes: &'a mut Vec<u8>,
}

impl Body<'_> {
    /// `struct ifinfomsg`: family unspecified.
    pub fn link(&mut self, index: u32, flags: u32, change: u32) {
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&index.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&change.to_ne_bytes());
    }

    /// Any fixed part.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        pad(self.bytes);
    }

    /// An attribute of bytes.
    pub fn bytes(&mut self, kind: u16, value: &[u8]) {
        let length = (ATTRIBUTE + value.len()) as u16;
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        pad(self.bytes);
    }

    /// An attribute of one byte.
    pub fn u8(&mut self, kind: u16, value: u8) {
        self.bytes(kind, &[value]);
    }

    /// An attribute of four bytes.
    pub fn u32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// A zero-terminated string.
    pub fn text(&mut self, kind: u16, value: &str) {
        let length = (ATTRIBUTE + value.len() + 1) as u16;
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(0);
        pad(self.bytes);
    }

    /// An attribute of attributes.
    pub fn nest(&mut self, kind: u16, body: impl FnOnce(&mut Body<'_>)) {
        self.wrap(kind | NESTED, body);
    }

    /// The same without the flag: the few old attributes whose readers compare the raw type.
    pub fn wrap(&mut self, kind: u16, body: impl FnOnce(&mut Body<'_>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        body(&mut Body { bytes: self.bytes });
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// A message as read.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// RTM_* or NLMSG_*.
    pub kind: u16,
    /// NLM_F_*.
    pub flags: u16,
    /// Of the request it answers.
    pub sequence: u32,
    /// After the header.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The attributes after a fixed part of this many bytes.
    pub fn attributes(&self, fixed: usize) -> Attributes<'a> {
        Attributes(self.body.get(fixed..).unwrap_or_default())
    }

    /// A native integer at this place of the fixed part.
    pub fn u32_at(&self, at: usize) -> Option<u32> {
        u32_of(self.body.get(at..at.checked_add(4)?)?)
    }
}

/// Four native bytes.
pub fn u32_of(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?))
}

/// A string without its zero.
pub fn text_of(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..end]).unwrap_or_default()
}

/// Messages of one datagram.
pub struct Messages<'a>(pub &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let length = u32_of(self.0)? as usize;
        let whole = self.0.get(..length).filter(|whole| whole.len() >= HEADER)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message {
            kind: u16::from_ne_bytes([whole[4], whole[5]]),
            flags: u16::from_ne_bytes([whole[6], whole[7]]),
            sequence: u32_of(&whole[8..])?,
            body: &whole[HEADER..],
        })
    }
}

/// Attributes: type without its flag bits, and value.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a>(pub &'a [u8]);

impl<'a> Attributes<'a> {
    /// The first of this type.
    pub fn value_of(mut self, kind: u16) -> Option<&'a [u8]> {
        self.find(|(found, _)| *found == kind).map(|(_, value)| value)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let head: [u8; 4] = self.0.get(..ATTRIBUTE)?.try_into().ok()?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let value = self.0.get(ATTRIBUTE..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([head[2], head[3]]) & 0x3fff, value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let name = InterfaceName::new("eth0").unwrap();
        let mut batch = Batch::new();
        batch.push(Step::FindLink(name), Tolerate::Nothing, 18, 0, |m| m.link(7, 0, 0));
        batch.push(Step::Configure(name), Tolerate::Exists, 16, 0, |m| {
            m.link(3, 1, 1);
            m.text(3, "eth0");
            m.nest(18, |m| m.u8(5, 9));
        });
        let messages: Vec<_> = Messages(batch.finish()).collect();
        assert_eq!(messages.len(), 2);
        assert_eq!((messages[0].kind, messages[0].sequence, messages[0].flags), (18, 1, 1));
        assert_eq!(messages[1].flags, 5, "only the last asks for an acknowledgement");
        assert_eq!(messages[1].u32_at(4), Some(3));
        let attributes = messages[1].attributes(16);
        assert_eq!(attributes.value_of(3).map(text_of), Some("eth0"));
        let nested = Attributes(attributes.value_of(18).unwrap());
        assert_eq!(nested.value_of(5), Some(&[9][..]));
        assert_eq!(batch.blame(2, libc::EEXIST), None);
        assert_eq!(batch.blame(2, libc::EPERM), Some(Step::Configure(name)));
        assert_eq!(batch.blame(9, libc::EPERM), None);
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            for message in Messages(&bytes) {
                prop_assert!(message.attributes(16).count() <= bytes.len());
            }
        }
    }
}
