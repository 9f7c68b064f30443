//! Notifications of the kernel: hints that something has changed, never the truth itself.
//!
//! A socket filter (socket(7), SO_ATTACH_FILTER) keeps out what our own requests cause, so that
//! installing a table does not flood its own watcher.

use std::fmt;
use std::future::poll_fn;

use netlink_sys::{AsyncSocket as _, Socket, TokioSocket, protocols::NETLINK_ROUTE};
use nix::libc;
use socket2::{SockFilter, SockRef};

use super::error::KernelError;
use super::host::{Address, Link, read_host_address, read_link};
use super::message::messages;
use super::routes::{self, RouteEvent};
use super::socket::{DATAGRAM, receive, receive_error, size_buffer};

/// Room for about ten thousand notifications that have not been read yet.
pub const RECEIVE_BUFFER: usize = 8 << 20;
/// At most this many datagrams are read before the caller acts on them.
const DATAGRAMS: usize = 4096;

/// What can be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Links.
    Links,
    /// Addresses of both families.
    Addresses,
    /// Routes of both families.
    Routes,
    /// Settings of interfaces.
    Settings,
}

impl Group {
    const fn numbers(self) -> &'static [u32] {
        match self {
            Group::Links => &[libc::RTNLGRP_LINK],
            Group::Addresses => &[libc::RTNLGRP_IPV4_IFADDR, libc::RTNLGRP_IPV6_IFADDR],
            Group::Routes => &[libc::RTNLGRP_IPV4_ROUTE, libc::RTNLGRP_IPV6_ROUTE],
            Group::Settings => &[libc::RTNLGRP_IPV4_NETCONF, libc::RTNLGRP_IPV6_NETCONF],
        }
    }
}

/// A hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An interface came or changed.
    Link(Link),
    /// An interface went.
    LinkGone(Link),
    /// An address came or changed.
    Address(Address),
    /// An address went.
    AddressGone(Address),
    /// A route came, went or changed, not by us.
    Route(RouteEvent),
    /// Some setting of an interface changed.
    Setting,
    /// Hints were lost: everything may have changed.
    Lost,
}

/// A subscription to the kernel's notifications.
pub struct Watch {
    socket: TokioSocket,
    datagram: Vec<u8>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Watch {
    /// Watches `groups` from now on, but not what is caused by requests from the socket
    /// `except` ([`Netlink::port`](super::Netlink::port)); within a tokio runtime.
    pub fn open(groups: &[Group], except: Option<u32>) -> Result<Watch, KernelError> {
        Watch::with_buffer(groups, except, RECEIVE_BUFFER)
    }

    /// The same, with a receive buffer of this size in octets.
    pub fn with_buffer(
        groups: &[Group],
        except: Option<u32>,
        receive_buffer: usize,
    ) -> Result<Watch, KernelError> {
        let failed = |what| move |source| KernelError::Socket { what, source };
        let mut socket = TokioSocket::new(NETLINK_ROUTE).map_err(failed("cannot open a socket"))?;
        let inner = socket.socket_mut();
        inner.bind_auto().map_err(failed("cannot bind a socket"))?;
        size_buffer(inner, receive_buffer)?;
        if let Some(port) = except {
            SockRef::from(&*inner)
                .attach_filter(&all_but(port))
                .map_err(failed("cannot filter notifications"))?;
        }
        for group in groups.iter().flat_map(|group| group.numbers()) {
            inner.add_membership(*group).map_err(failed("cannot watch"))?;
        }
        Ok(Watch { socket, datagram: Vec::new() })
    }

    /// Waits for notifications and adds those that are there to `events`. Dropping the future
    /// loses none.
    pub async fn wait(&mut self, events: &mut Vec<Event>) -> Result<(), KernelError> {
        while events.is_empty() {
            self.datagram.clear();
            self.datagram.reserve(DATAGRAM);
            let Watch { socket, datagram } = self;
            let received = poll_fn(|context| socket.poll_recv(context, datagram)).await;
            read_datagram(received.map_err(receive_error).map(|()| &**datagram), events)?;
            read_events(self.socket.socket_ref(), &mut self.datagram, events)?;
        }
        Ok(())
    }

    /// Adds the notifications that are there to `events`, without waiting.
    pub fn drain(&mut self, events: &mut Vec<Event>) -> Result<(), KernelError> {
        while !read_events(self.socket.socket_ref(), &mut self.datagram, events)? {}
        Ok(())
    }
}

/// Reads up to the bound; true: nothing is left for now.
fn read_events(
    socket: &Socket,
    datagram: &mut Vec<u8>,
    events: &mut Vec<Event>,
) -> Result<bool, KernelError> {
    for _ in 0..DATAGRAMS {
        match receive(socket, datagram) {
            Ok(None) => return Ok(true),
            Ok(Some(())) => read_datagram(Ok(datagram), events)?,
            Err(error) => read_datagram(Err(error), events)?,
        }
    }
    Ok(false)
}

fn read_datagram(
    received: Result<&[u8], KernelError>,
    events: &mut Vec<Event>,
) -> Result<(), KernelError> {
    let datagram = match received {
        Ok(datagram) => datagram,
        Err(KernelError::Lost) => {
            events.push(Event::Lost);
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    for message in messages(datagram) {
        events.extend(match message.kind {
            libc::RTM_NEWLINK => read_link(&message).map(Event::Link),
            libc::RTM_DELLINK => read_link(&message).map(Event::LinkGone),
            libc::RTM_NEWADDR => read_host_address(&message).map(Event::Address),
            libc::RTM_DELADDR => read_host_address(&message).map(Event::AddressGone),
            libc::RTM_NEWROUTE | libc::RTM_DELROUTE => routes::read(&message).map(Event::Route),
            RTM_NEWNETCONF | RTM_DELNETCONF => Some(Event::Setting),
            _ => None,
        });
    }
    Ok(())
}

const RTM_NEWNETCONF: u16 = 80;
const RTM_DELNETCONF: u16 = 81;

/// A filter that drops messages whose `nlmsg_pid`, at octet 12, is `port`. The filter's load
/// reads big-endian; the field is in the host's order.
pub(super) fn all_but(port: u32) -> [SockFilter; 4] {
    let code = |parts: [u32; 3]| parts.iter().fold(0, |code, part| code | *part as u16);
    let load = code([libc::BPF_LD, libc::BPF_W, libc::BPF_ABS]);
    let equal = code([libc::BPF_JMP, libc::BPF_JEQ, libc::BPF_K]);
    let answer = code([libc::BPF_RET, libc::BPF_K, 0]);
    [
        SockFilter::new(load, 0, 0, 12),
        SockFilter::new(equal, 0, 1, u32::from_be_bytes(port.to_ne_bytes())),
        SockFilter::new(answer, 0, 0, 0),
        SockFilter::new(answer, 0, 0, u32::MAX),
    ]
}
