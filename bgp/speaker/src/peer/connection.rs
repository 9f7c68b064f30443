//! One TCP connection of a peer: bytes in, bytes out, and the codec in force.
//!
//! Nothing here waits. [`Connection::ready`] says when there is something to do, reading and
//! writing then take what the kernel has room for.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use futures::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest, Ready};
use tokio::net::TcpStream;
use twill_bgp_proto::session::TcpFailure;
use twill_bgp_proto::wire::{Codec, Message};

use super::buffer;
use super::counters::Counters;
use crate::socket::words;

/// While more than this waits to be written, no more is taken from the core.
const OUTPUT_MAXIMUM: usize = 64 * 1024;

/// Chunks written by one system call.
const SLICES: usize = 64;

/// How long a closing connection may take to deliver its last words and to hear the peer's end.
const LINGER: Duration = Duration::from_secs(2);

/// What arrived.
#[derive(Debug)]
pub(super) enum Arrived {
    /// Bytes, in front of them what was left over from before.
    Bytes(BytesMut),
    /// Nothing after all.
    Nothing,
    /// The connection is over.
    End(TcpFailure),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    /// Tells this connection from one that took its place.
    pub(super) id: u64,
    pub(super) codec: Codec,
    pub(super) local: Option<SocketAddr>,
    pub(super) remote: Option<SocketAddr>,
    /// The beginning of a message whose end has not arrived.
    partial: Vec<u8>,
    output: VecDeque<Bytes>,
    output_length: usize,
    /// While output waits: when it began to, or when the kernel last took some.
    waiting_since: Option<Instant>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, id: u64) -> Connection {
        Connection {
            local: stream.local_addr().ok(),
            remote: stream.peer_addr().ok(),
            stream,
            id,
            codec: Codec::default(),
            partial: Vec::new(),
            output: VecDeque::new(),
            output_length: 0,
            waiting_since: None,
        }
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Queues a message.
    pub(super) fn send(&mut self, message: &Message, counters: &Counters) {
        if matches!(message, Message::Keepalive) && !self.output.is_empty() {
            // A peer that does not read what waits would not read this either; and whatever
            // waits counts as a sign of life once it is read (RFC 4271 section 4.4).
            return;
        }
        let mut out = BytesMut::new();
        self.codec.encode(message, &mut out);
        self.queue(out.freeze(), counters);
    }

    /// Queues whole messages that are encoded already.
    pub(super) fn queue(&mut self, messages: Bytes, counters: &Counters) {
        if messages.is_empty() {
            return;
        }
        counters.sent(&messages);
        self.output_length += messages.len();
        self.waiting_since.get_or_insert_with(Instant::now);
        self.output.push_back(messages);
    }

    /// Since when output waits without progress; `None` where nothing waits.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.waiting_since
    }

    /// Whether more may be taken from the core.
    pub(super) fn has_room(&self) -> bool {
        self.output_length < OUTPUT_MAXIMUM
    }

    /// Completes when there is something to read, if that is wanted, or room to write what is
    /// queued. Never, where neither is. Safe to cancel.
    pub(super) async fn ready(&self, reading: bool) -> io::Result<Ready> {
        let interest = match (reading, self.output.is_empty()) {
            (true, true) => Interest::READABLE,
            (true, false) => Interest::READABLE | Interest::WRITABLE,
            (false, false) => Interest::WRITABLE,
            (false, true) => std::future::pending().await,
        };
        self.stream.ready(interest).await
    }

    /// Reads once.
    pub(super) fn read(&mut self) -> Arrived {
        let mut bytes = buffer::take();
        bytes.extend_from_slice(&self.partial);
        self.partial = Vec::new();
        // One poll of the asynchronous read: unlike `try_read_buf` it knows that a short read has
        // emptied the socket, and spares the look that would find it so.
        match self.stream.read_buf(&mut bytes).now_or_never() {
            Some(Ok(0)) => Arrived::End(TcpFailure::Closed),
            Some(Ok(_)) => Arrived::Bytes(bytes),
            Some(Err(error)) => Arrived::End(TcpFailure::Io(words(&error))),
            None => {
                self.keep(bytes);
                Arrived::Nothing
            }
        }
    }

    /// Keeps what is not a whole message yet, and gives the buffer back.
    pub(super) fn keep(&mut self, bytes: BytesMut) {
        self.partial = bytes.to_vec();
        buffer::give_back(bytes);
    }

    /// Writes what the kernel takes.
    pub(super) fn write(&mut self) -> Result<(), TcpFailure> {
        while !self.output.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut used = 0;
            for (slice, bytes) in slices.iter_mut().zip(&self.output) {
                *slice = IoSlice::new(bytes);
                used += 1;
            }
            match self.stream.try_write_vectored(slices.get(..used).unwrap_or_default()) {
                Ok(written) => self.written(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(TcpFailure::Io(words(&error))),
            }
        }
        Ok(())
    }

    fn written(&mut self, mut count: usize) {
        self.output_length = self.output_length.saturating_sub(count);
        self.waiting_since = (self.output_length > 0).then(Instant::now);
        while let Some(first) = self.output.front_mut() {
            if count < first.len() {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.output.pop_front();
        }
    }

    /// Delivers the last words, ends our direction, and waits for the peer's end. Closing at once
    /// with unread bytes would reset the connection, and the peer would never see why.
    pub(super) async fn close(mut self) {
        let orderly = async {
            while let Some(mut bytes) = self.output.pop_front() {
                self.stream.write_all_buf(&mut bytes).await?;
            }
            self.stream.shutdown().await?;
            let mut rest = [0; 1024];
            while self.stream.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        match tokio::time::timeout(LINGER, orderly).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::trace!(%error, "a connection broke while it was closed"),
            Err(_) => tracing::trace!("the peer did not close its end of the connection"),
        }
    }
}
