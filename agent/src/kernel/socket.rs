//! One netlink socket for requests.
//!
//! Requests are collected and sent together; only the last asks for an acknowledgement, and the
//! kernel answers every one that fails by itself. rtnetlink and nfnetlink work a send off before
//! it returns, and a dump while it is read, so nothing here ever waits for a peer: no call is
//! `async`.

use std::sync::Arc;

use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};

use super::error::{KernelError, Refusal};
use super::message::{Incoming, Outgoing, Request, attributes, messages, read_text, read_u32};

/// Room for the acknowledgements of a batch of which every message is refused.
const RECEIVE_BUFFER: usize = 4 << 20;
/// The kernel fills a dump's datagrams up to 32 KiB where the reader has room for them.
pub(super) const DATAGRAM: usize = 64 << 10;
/// How often a dump that was disturbed is begun again.
const DUMP_ATTEMPTS: usize = 16;

const NLMSG_ERROR: u16 = libc::NLMSG_ERROR as u16;
const NLMSG_DONE: u16 = libc::NLMSG_DONE as u16;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;

/// A socket for requests to rtnetlink, or to nfnetlink ([`super::nft`]), in the network namespace
/// of the thread that opened it.
#[derive(Debug)]
pub struct Netlink {
    /// Shared with a [`Sent`] alone, which has it to itself until it is finished.
    socket: Arc<Socket>,
    port: u32,
    out: Outgoing,
    datagram: Vec<u8>,
}

/// A batch on its way to the kernel, to be finished on whichever thread has time.
#[derive(Debug)]
pub struct Sent {
    socket: Arc<Socket>,
    out: Outgoing,
}

impl Sent {
    /// As [`Netlink::commit`]; takes the time that the kernel takes.
    ///
    /// # Errors
    /// As [`Netlink::commit`].
    pub fn finish(mut self) -> Result<Vec<Failure>, KernelError> {
        let count = self.out.count();
        if count == 0 {
            return Ok(Vec::new());
        }
        self.out.acknowledge_last();
        exchange(&self.socket, &self.out, count, &mut Vec::new())
    }
}

/// A request of a batch that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its place in the batch.
    pub index: usize,
    /// Why.
    pub refusal: Refusal,
}

/// How far a dump has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dump {
    More,
    Done,
    /// Objects changed under it: what was read is no whole.
    Disturbed,
}

/// Over the system's limit only with CAP_NET_ADMIN; without it, as far as the limit goes.
pub(super) fn size_buffer(socket: &Socket, octets: usize) -> Result<(), KernelError> {
    setsockopt(socket, sockopt::RcvBufForce, &octets)
        .or_else(|_| setsockopt(socket, sockopt::RcvBuf, &octets))
        .map_err(|errno| KernelError::Socket {
            what: "cannot size a receive buffer",
            source: errno.into(),
        })
}

impl Netlink {
    /// Opens a socket to rtnetlink. Needs no privilege; changing anything needs CAP_NET_ADMIN.
    pub fn open() -> Result<Netlink, KernelError> {
        Netlink::with_protocol(NETLINK_ROUTE)
    }

    /// Opens a socket to nfnetlink, where all and also listing needs CAP_NET_ADMIN.
    pub(super) fn open_netfilter() -> Result<Netlink, KernelError> {
        Netlink::with_protocol(NETLINK_NETFILTER)
    }

    fn with_protocol(protocol: isize) -> Result<Netlink, KernelError> {
        let failed = |what| move |source| KernelError::Socket { what, source };
        let mut socket = Socket::new(protocol).map_err(failed("cannot open a socket"))?;
        let address = socket.bind_auto().map_err(failed("cannot bind a socket"))?;
        socket.set_non_blocking(true).map_err(failed("cannot make a socket non-blocking"))?;
        size_buffer(&socket, RECEIVE_BUFFER)?;
        socket.connect(&SocketAddr::new(0, 0)).map_err(failed("cannot connect to the kernel"))?;
        socket.set_ext_ack(true).map_err(failed("no extended acknowledgements"))?;
        socket.set_cap_ack(true).map_err(failed("no capped acknowledgements"))?;
        socket
            .set_netlink_get_strict_chk(true)
            .map_err(failed("no strict filtering of dumps; Linux 4.20 or later is needed"))?;
        let datagram = Vec::with_capacity(DATAGRAM);
        let port = address.port_number();
        let socket = Arc::new(socket);
        Ok(Netlink { socket, port, out: Outgoing::default(), datagram })
    }

    /// The number by which the kernel knows this socket: notifications of changes that were
    /// made through it carry it.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// Requests collected so far.
    pub fn pending(&self) -> usize {
        self.out.count()
    }

    pub(super) fn request(&mut self, kind: u16, flags: u16) -> Request<'_> {
        self.out.request(kind, flags)
    }

    /// Sends what was collected, and returns what was refused.
    ///
    /// # Errors
    /// Where the batch as a whole could not be sent, or answers were lost: then nothing is known
    /// of its requests, and the objects must be listed again.
    pub fn commit(&mut self) -> Result<Vec<Failure>, KernelError> {
        self.commit_then(|_| {})
    }

    /// The same, with `trail` sent behind what was collected, of which no answer is expected.
    pub(super) fn commit_then(
        &mut self,
        trail: impl FnOnce(&mut Netlink),
    ) -> Result<Vec<Failure>, KernelError> {
        let count = self.out.count();
        if count == 0 {
            return Ok(Vec::new());
        }
        self.out.acknowledge_last();
        trail(self);
        let result = exchange(&self.socket, &self.out, count, &mut self.datagram);
        self.out.clear();
        result
    }

    /// Takes what was collected, to be sent elsewhere. Nothing else may be done with the socket
    /// before that is finished, but to collect.
    pub fn take(&mut self) -> Sent {
        let next = self.out.successor();
        let out = std::mem::replace(&mut self.out, next);
        Sent { socket: Arc::clone(&self.socket), out }
    }

    /// Sends the one collected request and takes its refusal for the error.
    pub(super) fn commit_one(&mut self, what: &'static str) -> Result<(), KernelError> {
        match self.commit()?.pop() {
            Some(Failure { refusal, .. }) => Err(KernelError::Refused { what, refusal }),
            None => Ok(()),
        }
    }

    fn receive(&mut self) -> Result<(), KernelError> {
        receive(&self.socket, &mut self.datagram)?.ok_or(KernelError::Lost)
    }

    /// Begins a dump with the one collected request.
    pub(super) fn begin_dump(&mut self) -> Result<(), KernelError> {
        // What an earlier dump, given up half way, has left.
        while receive(&self.socket, &mut self.datagram)?.is_some() {}
        let result = send(&self.socket, &self.out);
        self.out.clear();
        result
    }

    /// Reads one datagram of a dump. A `NotFound` of the kernel (such as a table that does not
    /// exist) is an empty dump.
    pub(super) fn continue_dump(
        &mut self,
        what: &'static str,
        mut each: impl FnMut(Incoming<'_>),
    ) -> Result<Dump, KernelError> {
        self.receive()?;
        let mut disturbed = false;
        for message in messages(&self.datagram) {
            disturbed |= message.flags & NLM_F_DUMP_INTR != 0;
            match message.kind {
                NLMSG_DONE if disturbed => return Ok(Dump::Disturbed),
                NLMSG_DONE => return Ok(Dump::Done),
                NLMSG_ERROR => {
                    return match refusal(&message) {
                        None | Some(Refusal { errno: Errno::ENOENT, .. }) => Ok(Dump::Done),
                        Some(refusal) => Err(KernelError::Refused { what, refusal }),
                    };
                }
                _ => each(message),
            }
        }
        Ok(if disturbed { Dump::Disturbed } else { Dump::More })
    }

    /// A whole dump, begun again where it was disturbed. `begin` writes the request; `start`
    /// makes what `each` fills, anew for each attempt.
    pub(super) fn dump<T>(
        &mut self,
        what: &'static str,
        begin: impl Fn(&mut Netlink),
        start: impl Fn() -> T,
        each: impl Fn(&mut T, Incoming<'_>),
    ) -> Result<T, KernelError> {
        for _ in 0..DUMP_ATTEMPTS {
            begin(self);
            self.begin_dump()?;
            let mut listed = start();
            loop {
                match self.continue_dump(what, |message| each(&mut listed, message))? {
                    Dump::More => {}
                    Dump::Done => return Ok(listed),
                    Dump::Disturbed => break,
                }
            }
        }
        Err(KernelError::Unsteady { what })
    }
}

fn send(socket: &Socket, out: &Outgoing) -> Result<(), KernelError> {
    loop {
        match socket.send(out.bytes(), 0) {
            Ok(_) => return Ok(()),
            Err(source) if source.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => return Err(KernelError::Socket { what: "cannot send", source }),
        }
    }
}

/// Sends a batch, and reads until the last of its `count` requests is answered; what was refused.
fn exchange(
    socket: &Socket,
    out: &Outgoing,
    count: usize,
    datagram: &mut Vec<u8>,
) -> Result<Vec<Failure>, KernelError> {
    let mut failures = Vec::new();
    send(socket, out)?;
    loop {
        match receive(socket, datagram)? {
            Some(()) => {}
            // nfnetlink answers the beginning of a batch that it refuses as a whole, and nothing
            // after it.
            None if !failures.is_empty() => return Ok(failures),
            None => return Err(KernelError::Lost),
        }
        for message in messages(datagram) {
            let Some(index) = out.index(message.sequence) else { continue };
            if let (NLMSG_ERROR, Some(refusal)) = (message.kind, refusal(&message)) {
                failures.push(Failure { index, refusal });
            }
            if index + 1 == count {
                return Ok(failures);
            }
        }
    }
}

/// Reads one datagram; `None`: there is none now.
pub(super) fn receive(socket: &Socket, datagram: &mut Vec<u8>) -> Result<Option<()>, KernelError> {
    loop {
        datagram.clear();
        datagram.reserve(DATAGRAM);
        return match socket.recv(datagram, 0) {
            Ok(_) => Ok(Some(())),
            Err(error) => match error.raw_os_error() {
                Some(libc::EINTR) => continue,
                Some(libc::EAGAIN) => Ok(None),
                _ => Err(receive_error(error)),
            },
        };
    }
}

pub(super) fn receive_error(source: std::io::Error) -> KernelError {
    match source.raw_os_error() {
        Some(libc::ENOBUFS) => KernelError::Lost,
        _ => KernelError::Socket { what: "cannot receive", source },
    }
}

/// The refusal in an NLMSG_ERROR; `None` for an acknowledgement.
fn refusal(message: &Incoming<'_>) -> Option<Refusal> {
    let code = read_u32(message.payload, 0)?.cast_signed();
    if code == 0 {
        return None;
    }
    // Behind the code stands the header of the request, and its rest where it is not capped.
    let request = match message.flags & NLM_F_CAPPED {
        0 => read_u32(message.payload, 4)? as usize,
        _ => super::message::HEADER,
    };
    let words = (message.flags & NLM_F_ACK_TLVS != 0)
        .then(|| message.payload.get(4 + request..))
        .flatten()
        .and_then(|bytes| attributes(bytes).find(|(kind, _)| *kind == NLMSGERR_ATTR_MSG))
        .map(|(_, text)| read_text(text).into_boxed_str());
    Some(Refusal { errno: Errno::from_raw(code.saturating_neg()), words })
}
