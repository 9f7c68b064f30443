//! A BGP speaker that opens one session and announces one prefix at a time, with pauses, so that
//! the other side is idle before each.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use clap::Args;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;
use twill_bgp_proto::types::{
    AsPath, Asn, Attributes, Family, HoldTime, NextHop, Prefix, RouterId,
};
use twill_bgp_proto::wire::{Capability, Codec, Message, Open};

#[derive(Args)]
pub(crate) struct Options {
    /// Whom to dial.
    #[arg(long)]
    to: IpAddr,
    /// Our address, the next hop.
    #[arg(long)]
    own: Ipv4Addr,
    /// Our AS.
    #[arg(long)]
    asn: u32,
    /// How many prefixes.
    #[arg(long)]
    count: u16,
    /// Milliseconds between two.
    #[arg(long)]
    pause: u16,
}

/// The prefixes that are announced, in order.
pub(crate) fn prefix(index: u16) -> Result<Prefix> {
    let [high, low] = index.to_be_bytes();
    Ok(Prefix::new(IpAddr::V4(Ipv4Addr::new(100, high, low, 0)), 24)?)
}

struct Session {
    stream: TcpStream,
    codec: Codec,
    input: BytesMut,
}

impl Session {
    fn send(&mut self, message: &Message) -> Result<()> {
        let mut out = BytesMut::new();
        self.codec.encode(message, &mut out);
        self.stream.write_all(&out)?;
        Ok(())
    }

    /// The next message, waited for.
    fn receive(&mut self) -> Result<Message> {
        loop {
            if let Some(message) = self.codec.decode(&mut self.input)? {
                return Ok(message);
            }
            let mut bytes = [0; 4096];
            let length = self.stream.read(&mut bytes)?;
            if length == 0 {
                bail!("the daemon closed the connection");
            }
            self.input.extend_from_slice(&bytes[..length]);
        }
    }

    /// Reads and answers what comes for this long.
    fn idle(&mut self, pause: u16) -> Result<()> {
        let begin = std::time::Instant::now();
        let pause = Duration::from_millis(u64::from(pause));
        while let Some(left) = pause.checked_sub(begin.elapsed()) {
            let millis = u16::try_from(left.as_millis()).unwrap_or(u16::MAX);
            let mut polled = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
            if poll(&mut polled, PollTimeout::from(millis))? == 0 {
                break;
            }
            match self.receive()? {
                Message::Notification(notification) => bail!("the daemon said {notification}"),
                Message::Keepalive => self.send(&Message::Keepalive)?,
                _ => {}
            }
        }
        Ok(())
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let stream = TcpStream::connect((options.to, 179))
        .with_context(|| format!("cannot dial {}", options.to))?;
    stream.set_nodelay(true)?;
    let mut session = Session { stream, codec: Codec::default(), input: BytesMut::new() };
    let asn = Asn::new(options.asn).context("AS 0")?;
    session.send(&Message::Open(Open {
        asn: asn.to_u16_or_trans(),
        hold_time: HoldTime::DEFAULT,
        router_id: RouterId::new(options.own).context("the router id is 0")?,
        capabilities: vec![
            Capability::Multiprotocol(Family::Ipv4Unicast),
            Capability::FourOctetAsn(options.asn),
        ],
    }))?;
    loop {
        match session.receive()? {
            Message::Open(_) => session.send(&Message::Keepalive)?,
            Message::Keepalive => break,
            other => bail!("the daemon answered {other:?}"),
        }
    }
    session.codec.four_octet_asn = true;
    session.idle(1000)?;
    let attributes = Attributes {
        as_path: AsPath::sequence([asn]),
        ..Attributes::originated(NextHop::V4(options.own))
    };
    for index in 0..options.count {
        let mut out = BytesMut::new();
        session.codec.encode_updates(&attributes, [prefix(index)?], &mut out)?;
        session.stream.write_all(&out)?;
        session.idle(options.pause)?;
    }
    session.idle(500)
}
