//! A netlink socket: a batch goes in by one system call, its answers are read until the last.
//!
//! A socket belongs to the network namespace its thread was in when it was opened, for good: this
//! is how the pod's side is reached with one setns and no way back.

use std::fmt;
use std::io;

use netlink_sys::Socket;
use nix::sys::socket::getsockopt;
use nix::{getsockopt_impl, libc, sockopt_impl};
use rustix::net::netdevice::name_to_index;
use thiserror::Error;

use crate::link::InterfaceName;
use crate::link::message::{Attributes, Batch, Message, Messages, Step, text_of, u32_of};

sockopt_impl!(
    /// Which network namespace a socket is of, for as long as the machine runs.
    NetnsCookie, GetOnly, libc::SOL_SOCKET, libc::SO_NETNS_COOKIE, u64
);

/// Attribute of a refusal that holds the kernel's words (enum nlmsgerr_attrs).
const REFUSAL_WORDS: u16 = 1;

/// What went wrong between us and the kernel's links, addresses and routes.
#[derive(Debug, Error)]
pub enum LinkError {
    /// The kernel said no.
    #[error("cannot {step}: {}", Explained(*errno, words))]
    Refused {
        /// To what.
        step: Step,
        /// With which error.
        errno: i32,
        /// And in which words, where it has any.
        words: String,
    },
    /// The socket failed.
    #[error("cannot talk to the kernel by rtnetlink: {0}")]
    Socket(#[from] io::Error),
    /// The kernel answered something else than was asked.
    #[error("cannot {0}: the kernel's answer could not be read")]
    Unreadable(Step),
    /// The name of the bridge is that of something else.
    #[error(
        "{name} exists and is a {kind}, not a bridge; delete it (ip link delete {name}) or configure another bridge name"
    )]
    NotABridge {
        /// Whose.
        name: InterfaceName,
        /// What it is.
        kind: String,
    },
    /// The bridge has an address that contradicts the configured one.
    #[error(
        "{name} has {found}, while {wanted} is configured; remove it (ip address delete {found} dev {name}) or set forceAddress"
    )]
    OtherAddress {
        /// Whose.
        name: InterfaceName,
        /// What it has.
        found: crate::address::Cidr,
        /// What it should have.
        wanted: crate::address::Cidr,
    },
}

impl LinkError {
    /// The kernel's error number, where it gave one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused { errno, .. } => Some(*errno),
            _ => None,
        }
    }
}

/// An error number, the kernel's words and what to do about it.
struct Explained<'a>(i32, &'a str);

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", io::Error::from_raw_os_error(self.0))?;
        if !self.1.is_empty() {
            write!(f, " ({})", self.1)?;
        }
        f.write_str(remedy(self.0))
    }
}

fn remedy(errno: i32) -> &'static str {
    match errno {
        libc::EPERM => "; run it as root, or with CAP_NET_ADMIN and CAP_SYS_ADMIN",
        libc::EACCES => "; IPv6 is disabled there: set net.ipv6.conf.*.disable_ipv6 to 0",
        libc::EOPNOTSUPP => "; the kernel lacks a module: modprobe bridge veth",
        libc::EAFNOSUPPORT => "; the kernel was started without IPv6: remove the IPv6 range",
        _ => "",
    }
}

/// A socket in one network namespace.
pub struct Netlink {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Netlink {
    /// Opens one in the network namespace of this thread.
    pub fn open() -> Result<Self, LinkError> {
        let socket = Socket::new(netlink_sys::protocols::NETLINK_ROUTE)?;
        socket.set_ext_ack(true)?;
        Ok(Self { socket, buffer: Vec::with_capacity(16 * 1024) })
    }

    /// What tells its network namespace from others; `None` before Linux 5.14.
    pub(crate) fn namespace(&self) -> Option<u64> {
        getsockopt(&self.socket, NetnsCookie).ok()
    }

    /// The index of the link of this name. By ioctl: unlike a netlink question it does not wait for
    /// whoever changes links, in any namespace of this machine.
    ///
    /// # Errors
    /// The kernel could not be asked.
    pub fn index_of(&self, name: InterfaceName) -> Result<Option<u32>, LinkError> {
        match name_to_index(&self.socket, name.as_str()) {
            Ok(index) => Ok(Some(index)),
            Err(rustix::io::Errno::NODEV) => Ok(None),
            Err(errno) => Err(io::Error::from(errno).into()),
        }
    }

    /// Has dumps filtered by the kernel instead of by us.
    pub fn filter_dumps(&self) -> Result<(), LinkError> {
        Ok(self.socket.set_netlink_get_strict_chk(true)?)
    }

    /// Sends changes; the first one refused is the error, though later ones may have been made.
    pub fn execute(&mut self, batch: &mut Batch) -> Result<(), LinkError> {
        if batch.is_empty() {
            return Ok(());
        }
        let last = batch.last_sequence();
        self.socket.send(batch.finish(), 0)?;
        let mut refused = None;
        loop {
            self.receive()?;
            for message in Messages(&self.buffer) {
                let Some((errno, words)) = refusal(&message) else { continue };
                if errno != 0
                    && refused.is_none()
                    && let Some(step) = batch.blame(message.sequence, errno)
                {
                    refused = Some(LinkError::Refused { step, errno, words });
                }
                if message.sequence == last {
                    return refused.map_or(Ok(()), Err);
                }
            }
        }
    }

    /// Sends questions and hands over each answer with the place of its question, from 0. A
    /// question about what does not exist has no answer where its message tolerates that.
    pub fn ask(
        &mut self,
        batch: &Batch,
        mut answer: impl FnMut(usize, &Message<'_>),
    ) -> Result<(), LinkError> {
        self.socket.send(batch.as_bytes(), 0)?;
        let mut open = batch.last_sequence();
        let mut refused = None;
        while open > 0 {
            self.receive()?;
            for message in Messages(&self.buffer) {
                let Some(place) = (message.sequence as usize).checked_sub(1) else { continue };
                if i32::from(message.kind) == libc::NLMSG_DONE {
                    open -= 1;
                } else if let Some((errno, words)) = refusal(&message) {
                    open -= 1;
                    if let Some(step) = batch.blame(message.sequence, errno) {
                        refused.get_or_insert(LinkError::Refused { step, errno, words });
                    }
                } else {
                    answer(place, &message);
                    if i32::from(message.flags) & libc::NLM_F_MULTI == 0 {
                        open -= 1;
                    }
                }
            }
        }
        refused.map_or(Ok(()), Err)
    }

    fn receive(&mut self) -> Result<(), LinkError> {
        self.buffer.clear();
        let length = self.socket.recv(&mut self.buffer, 0)?;
        if length == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(())
    }
}

/// Errno (0 for an acknowledgement) and the kernel's words, where this is NLMSG_ERROR.
fn refusal(message: &Message<'_>) -> Option<(i32, String)> {
    if i32::from(message.kind) != libc::NLMSG_ERROR {
        return None;
    }
    let errno = (message.u32_at(0).unwrap_or(0) as i32).saturating_neg();
    let capped = i32::from(message.flags) & libc::NLM_F_CAPPED != 0;
    let request = message.body.get(4..).and_then(u32_of).unwrap_or(16) as usize;
    let fixed = 4 + if capped { 16 } else { request.next_multiple_of(4).min(message.body.len()) };
    let words = Attributes(message.body.get(fixed..).unwrap_or_default()).value_of(REFUSAL_WORDS);
    Some((errno, words.map(text_of).unwrap_or_default().to_owned()))
}
