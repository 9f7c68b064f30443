//! One session of the load tool: opened by waiting, then driven without.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::{Buf, Bytes, BytesMut};
use socket2::{Domain, Socket, Type};
use twill_bgp_proto::types::{Asn, Families, Family, HoldTime, RouterId};
use twill_bgp_proto::wire::{Capability, Codec, Message, Open};

const HEADER: usize = 19;
const UPDATE: u8 = 2;
const NOTIFICATION: u8 = 3;

/// How long a handshake may take before it is tried again.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a session is opened with.
pub(super) struct Hello {
    pub(super) daemon: IpAddr,
    pub(super) own: IpAddr,
    pub(super) asn: Asn,
    pub(super) router_id: RouterId,
    pub(super) ibgp: bool,
}

/// See the module.
pub(super) struct Session {
    stream: TcpStream,
    input: Vec<u8>,
    output: VecDeque<Bytes>,
    /// Its input is left alone.
    pub(super) deaf: bool,
    /// Polled for room to write.
    pub(super) polled_for_writing: bool,
}

impl Session {
    /// How messages of a session are written.
    pub(super) fn codec(ibgp: bool) -> Codec {
        Codec { four_octet_asn: true, ibgp, families: Families::ALL, ..Codec::default() }
    }

    /// Dials and shakes hands.
    pub(super) fn open(hello: &Hello) -> Result<Session> {
        let codec = Session::codec(hello.ibgp);
        let mut stream = dial(hello)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let family = match hello.own {
            IpAddr::V4(_) => Family::Ipv4Unicast,
            IpAddr::V6(_) => Family::Ipv6Unicast,
        };
        let mut out = BytesMut::new();
        let open = Open {
            asn: hello.asn.to_u16_or_trans(),
            hold_time: HoldTime::DEFAULT,
            router_id: hello.router_id,
            capabilities: vec![
                Capability::Multiprotocol(family),
                Capability::FourOctetAsn(hello.asn.get()),
            ],
        };
        codec.encode(&Message::Open(open), &mut out);
        codec.encode(&Message::Keepalive, &mut out);
        stream.write_all(&out)?;
        let mut input = BytesMut::new();
        let mut bytes = [0; 4096];
        loop {
            match codec.decode(&mut input)? {
                Some(Message::Open(_)) => {}
                Some(Message::Keepalive) => break,
                Some(Message::Notification(said)) => bail!("the daemon said {said}"),
                Some(other) => bail!("the daemon began with {other:?}"),
                None => match stream.read(&mut bytes)? {
                    0 => bail!("the daemon closed the connection"),
                    length => input.extend_from_slice(&bytes[..length]),
                },
            }
        }
        stream.set_nonblocking(true)?;
        Ok(Session {
            stream,
            input: input.to_vec(),
            output: VecDeque::new(),
            deaf: false,
            polled_for_writing: false,
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    pub(super) fn send(&mut self, messages: Bytes) {
        if !messages.is_empty() {
            self.output.push_back(messages);
        }
    }

    pub(super) fn keepalive(&mut self) {
        let mut out = BytesMut::new();
        Session::codec(false).encode(&Message::Keepalive, &mut out);
        self.send(out.freeze());
    }

    pub(super) fn unsent(&self) -> bool {
        !self.output.is_empty()
    }

    /// Writes what the kernel takes.
    pub(super) fn write(&mut self) -> Result<()> {
        while let Some(front) = self.output.front_mut() {
            match self.stream.write(front) {
                Ok(count) => front.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("a connection broke"),
            }
            if front.is_empty() {
                self.output.pop_front();
            }
        }
        Ok(())
    }

    /// Reads once, and hands over the body of each whole UPDATE.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        mut update: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let length = match self.stream.read(buffer) {
            Ok(0) => bail!("the daemon closed a connection"),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("a connection broke"),
        };
        self.input.extend_from_slice(&buffer[..length]);
        let mut rest = &self.input[..];
        while let Some(header) = rest.first_chunk::<HEADER>() {
            let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
            let Some(message) = rest.get(..length.max(HEADER)) else { break };
            match header[18] {
                UPDATE => update(&message[HEADER..])?,
                NOTIFICATION => bail!("the daemon ended a session: {:?}", &message[HEADER..]),
                _ => {}
            }
            rest = &rest[message.len()..];
        }
        let used = self.input.len() - rest.len();
        self.input.drain(..used);
        Ok(())
    }
}

fn dial(hello: &Hello) -> Result<TcpStream> {
    let daemon = SocketAddr::new(hello.daemon, 179);
    let socket = Socket::new(Domain::for_address(daemon), Type::STREAM, None)?;
    // What a daemon that checks for it (RFC 5082) wants to see.
    match hello.own {
        IpAddr::V4(_) => socket.set_ttl_v4(255)?,
        IpAddr::V6(_) => socket.set_unicast_hops_v6(255)?,
    }
    socket.bind(&SocketAddr::new(hello.own, 0).into())?;
    socket.connect_timeout(&daemon.into(), PATIENCE)?;
    Ok(socket.into())
}
