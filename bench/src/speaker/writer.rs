//! The floor of scenario e: routes straight into the kernel and out again. Messages are encoded
//! beforehand and sent many at once, of which the last asks for an acknowledgement; so nothing is
//! timed but system calls.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use twill_bgp_proto::types::Prefix;

use super::player::{address, table};

/// Messages a send: more gain nothing.
const BATCH: usize = 256;

/// The main routing table.
const MAIN: u8 = 254;

#[derive(Args)]
pub(crate) struct Options {
    #[arg(long)]
    prefixes: usize,
    #[arg(long)]
    ipv6: bool,
}

/// What is done with the routes.
#[derive(Clone, Copy)]
enum Verb {
    Add,
    Delete,
}

fn destination(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    }
}

fn route(prefix: Prefix, gateway: IpAddr) -> RouteMessage {
    let mut message = RouteMessage::default();
    let ipv4 = gateway.is_ipv4();
    message.header.address_family = if ipv4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.destination_prefix_length = prefix.len();
    message.header.table = MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.scope = RouteScope::Universe;
    message.header.kind = RouteType::Unicast;
    message.attributes = vec![
        RouteAttribute::Destination(destination(prefix.address())),
        RouteAttribute::Gateway(destination(gateway)),
    ];
    message
}

/// The bytes of each send.
fn encode(prefixes: &[Prefix], gateway: IpAddr, verb: Verb) -> Vec<Vec<u8>> {
    let send = |chunk: &[Prefix]| {
        let mut bytes = Vec::new();
        for (at, prefix) in chunk.iter().enumerate() {
            let route = route(*prefix, gateway);
            let (message, flags) = match verb {
                Verb::Add => (RouteNetlinkMessage::NewRoute(route), NLM_F_CREATE | NLM_F_EXCL),
                Verb::Delete => (RouteNetlinkMessage::DelRoute(route), 0),
            };
            let mut message = NetlinkMessage::from(message);
            let last = if at + 1 == chunk.len() { NLM_F_ACK } else { 0 };
            message.header.flags = NLM_F_REQUEST | flags | last;
            message.finalize();
            let start = bytes.len();
            bytes.resize(start + message.buffer_len(), 0);
            message.serialize(&mut bytes[start..]);
        }
        bytes
    };
    prefixes.chunks(BATCH).map(send).collect()
}

/// Sends all, and waits for each acknowledgement.
fn write(socket: &Socket, sends: &[Vec<u8>]) -> Result<Duration> {
    let mut answer = Vec::with_capacity(1 << 16);
    let begin = Instant::now();
    for bytes in sends {
        socket.send(bytes, 0)?;
        answer.clear();
        socket.recv(&mut answer, 0)?;
        // A refusal of any message would come before the acknowledgement.
        if answer.get(16..20).is_none_or(|code| code.iter().any(|octet| *octet != 0)) {
            let said = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer)?;
            match said.payload {
                NetlinkPayload::Error(error) => bail!("a route was refused: {}", error.to_io()),
                other => bail!("the kernel said {other:?}"),
            }
        }
    }
    Ok(begin.elapsed())
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let table = table(options.prefixes, 1, (false, options.ipv6), None)?;
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let gateway = address(0, options.ipv6);
    let mut times = Vec::new();
    for (verb, what) in [(Verb::Add, "adding"), (Verb::Delete, "removing")] {
        let sends = encode(table.prefixes(), gateway, verb);
        times.push(write(&socket, &sends).context(what)?.as_secs_f64());
    }
    println!("{}", serde_json::to_string(&times)?);
    Ok(())
}
