//! The packet filter's notifications: hints, as all notifications are.

use std::fmt;
use std::future::poll_fn;

use netlink_packet_netfilter::nftables::NfTablesMessage;
use netlink_sys::{AsyncSocket as _, TokioSocket, protocols::NETLINK_NETFILTER};
use nix::libc;
use socket2::SockRef;

use super::message::{is_ours, read};
use crate::kernel::error::KernelError;
use crate::kernel::message::{Incoming, messages};
use crate::kernel::socket::{DATAGRAM, receive, receive_error, size_buffer};
use crate::kernel::watch::all_but;

/// Somebody else's program may change thousands of rules at once, of which none is ours.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FilterEvent {
    /// Chains of another table came, went or changed.
    Others,
    /// Somebody changed our table.
    Ours,
    /// Hints were lost: everything may have changed.
    Lost,
}

/// A subscription to the packet filter's notifications, except those that our own changes cause.
pub struct FilterWatch {
    socket: TokioSocket,
    datagram: Vec<u8>,
}

impl fmt::Debug for FilterWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilterWatch").finish_non_exhaustive()
    }
}

impl FilterWatch {
    /// Watches from now on, but not what the socket `except` causes; within a tokio runtime.
    ///
    /// # Errors
    /// Where the kernel lacks nfnetlink, or this process the privilege.
    pub fn open(except: u32) -> Result<FilterWatch, KernelError> {
        let failed = |what| move |source| KernelError::Socket { what, source };
        let what = "cannot watch the packet filter";
        let mut socket = TokioSocket::new(NETLINK_NETFILTER).map_err(failed(what))?;
        let inner = socket.socket_mut();
        inner.bind_auto().map_err(failed(what))?;
        size_buffer(inner, RECEIVE_BUFFER)?;
        SockRef::from(&*inner).attach_filter(&all_but(except)).map_err(failed(what))?;
        inner.add_membership(libc::NFNLGRP_NFTABLES as u32).map_err(failed(what))?;
        Ok(FilterWatch { socket, datagram: Vec::new() })
    }

    /// Waits for a hint. Dropping the future loses none.
    ///
    /// # Errors
    /// Where the socket breaks.
    pub async fn wait(&mut self) -> Result<FilterEvent, KernelError> {
        loop {
            self.datagram.clear();
            self.datagram.reserve(DATAGRAM);
            let FilterWatch { socket, datagram } = self;
            match poll_fn(|context| socket.poll_recv(context, datagram)).await {
                Ok(_) => {}
                Err(error) => match receive_error(error) {
                    KernelError::Lost => return Ok(FilterEvent::Lost),
                    error => return Err(error),
                },
            }
            if let Some(event) = messages(&self.datagram).filter_map(|one| event(&one)).max() {
                return Ok(event);
            }
        }
    }

    /// The strongest of the hints that are there, without waiting.
    ///
    /// # Errors
    /// Where the socket breaks.
    pub fn drain(&mut self) -> Result<Option<FilterEvent>, KernelError> {
        let mut strongest = None;
        loop {
            let new = match receive(self.socket.socket_ref(), &mut self.datagram) {
                Ok(None) => return Ok(strongest),
                Ok(Some(())) => messages(&self.datagram).filter_map(|one| event(&one)).max(),
                Err(KernelError::Lost) => Some(FilterEvent::Lost),
                Err(error) => return Err(error),
            };
            strongest = strongest.max(new);
        }
    }
}

fn event(message: &Incoming<'_>) -> Option<FilterEvent> {
    let (_, read) = read(message)?;
    match read {
        // The number of a generation stands where others name their table.
        NfTablesMessage::NewGen(_) => None,
        _ if is_ours(message) => Some(FilterEvent::Ours),
        NfTablesMessage::NewChain(_)
        | NfTablesMessage::DeleteChain(_)
        | NfTablesMessage::DeleteTable(_) => Some(FilterEvent::Others),
        _ => None,
    }
}
