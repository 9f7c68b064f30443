//! How fast routes go into the kernel and out again: the agent's writer beside a bare one whose
//! messages were encoded beforehand, and beside the same messages by netlink-packet-route. Needs
//! root; works in a network namespace of its own.
//!
//! `cargo run --release -p twill-agent --example route_writer [COUNT]`

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::time::{Duration, Instant};

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteScope, RouteType,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::sched::{CloneFlags, unshare};
use twill_agent::desired::Via;
use twill_agent::kernel::routes::{self, Listed, Marks, Scope};
use twill_agent::kernel::{Group, HostView, Netlink, Watch, host};
use twill_bgp::proto::types::{Ipv4Prefix, Prefix};

const MARKS: Marks = Marks { table: 254, metric: 116, protocol: 116 };
const BATCHES: [usize; 6] = [1, 16, 64, 128, 256, 1024];
const NEXT_HOP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

type Failed = Box<dyn Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failed> {
    let count: u32 = match std::env::args().nth(1) {
        Some(count) => count.parse()?,
        None => 100_000,
    };
    unshare(CloneFlags::CLONE_NEWNET)?;
    for command in [
        "link add eth0 type veth peer name far",
        "address add 10.0.0.1/24 dev eth0",
        "link set far up",
        "link set eth0 up",
    ] {
        Command::new("ip").args(command.split(' ')).status()?;
    }
    let prefixes: Vec<Prefix> = (0..count)
        .filter_map(|number| Ipv4Prefix::truncating(((11 << 24) + (number << 8)).into(), 24))
        .map(Prefix::V4)
        .collect();
    let mut netlink = Netlink::open()?;
    let device = index(&host::list(&mut netlink)?)?;
    println!("{count} routes; routes a second, median of three");
    println!(
        "{:>8} {:>10} {:>10} {:>8} {:>10} {:>10}",
        "a send", "bare", "ours", "ratio", "crate", "delete"
    );
    for batch in BATCHES {
        let (mut bare, mut ours, mut typed, mut removed) = (vec![], vec![], vec![], vec![]);
        for _ in 0..3 {
            bare.push(write_bare(&prefixes, device, batch)?);
            remove(&mut netlink, &prefixes, device, 256)?;
            ours.push(write_ours(&mut netlink, &prefixes, device, batch)?);
            removed.push(remove(&mut netlink, &prefixes, device, batch)?);
            typed.push(write_typed(&prefixes, device, batch)?);
            remove(&mut netlink, &prefixes, device, 256)?;
        }
        let rate = |mut times: Vec<Duration>| {
            times.sort_unstable();
            f64::from(count) / times[1].as_secs_f64()
        };
        let (bare, ours, typed, removed) = (rate(bare), rate(ours), rate(typed), rate(removed));
        let ratio = ours / bare;
        println!("{batch:>8} {bare:>10.0} {ours:>10.0} {ratio:>8.2} {typed:>10.0} {removed:>10.0}");
    }
    let mut watch = Watch::open(&[Group::Routes], Some(netlink.port()))?;
    let took = write_ours(&mut netlink, &prefixes, device, 256)?;
    println!("256 a send, watched by ourselves: {:.0}", f64::from(count) / took.as_secs_f64());
    let mut events = Vec::new();
    watch.drain(&mut events)?;
    println!("  notifications of our own doing that came through: {}", events.len());
    let started = Instant::now();
    let mut listed = 0_u32;
    routes::list(&mut netlink, Scope::Ours(&MARKS), |_| listed += 1).await?;
    println!(
        "listing {listed}: {:.0} a second",
        f64::from(listed) / started.elapsed().as_secs_f64()
    );
    Ok(())
}

fn index(view: &HostView) -> Result<u32, Failed> {
    Ok(view.link_named("eth0").ok_or("no eth0")?.index)
}

fn write_ours(
    netlink: &mut Netlink,
    prefixes: &[Prefix],
    device: u32,
    batch: usize,
) -> Result<Duration, Failed> {
    let via = Via { next_hop: Some(IpAddr::V4(NEXT_HOP)), device, source: None };
    let started = Instant::now();
    for chunk in prefixes.chunks(batch) {
        for prefix in chunk {
            routes::add(netlink, &MARKS, *prefix, &via);
        }
        if let Some(failure) = netlink.commit()?.first() {
            return Err(failure.refusal.to_string().into());
        }
    }
    Ok(started.elapsed())
}

fn remove(
    netlink: &mut Netlink,
    prefixes: &[Prefix],
    device: u32,
    batch: usize,
) -> Result<Duration, Failed> {
    let via = Via { next_hop: Some(IpAddr::V4(NEXT_HOP)), device, source: None };
    let Marks { table, metric, protocol } = MARKS;
    let started = Instant::now();
    for chunk in prefixes.chunks(batch) {
        for prefix in chunk {
            let prefix = *prefix;
            let route = Listed { prefix, via, metric, protocol, table, tos: 0, plain: true };
            routes::delete(netlink, &route);
        }
        if let Some(failure) = netlink.commit()?.first() {
            return Err(failure.refusal.to_string().into());
        }
    }
    Ok(started.elapsed())
}

/// The message as the crate for it has it.
fn typed(prefix: Prefix, device: u32) -> Option<RouteMessage> {
    let Prefix::V4(prefix) = prefix else { return None };
    let mut message = RouteMessage::default();
    message.header.address_family = netlink_packet_route::AddressFamily::Inet;
    message.header.destination_prefix_length = prefix.len();
    message.header.table = 254;
    message.header.protocol = 116.into();
    message.header.scope = RouteScope::Universe;
    message.header.kind = RouteType::Unicast;
    message.attributes = vec![
        RouteAttribute::Destination(RouteAddress::Inet(prefix.address())),
        RouteAttribute::Priority(116),
        RouteAttribute::Gateway(RouteAddress::Inet(NEXT_HOP)),
        RouteAttribute::Oif(device),
    ];
    Some(message)
}

fn encode(prefix: Prefix, device: u32, acknowledge: bool, out: &mut Vec<u8>) {
    let Some(message) = typed(prefix, device) else { return };
    let mut message = NetlinkMessage::from(RouteNetlinkMessage::NewRoute(message));
    message.header.flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL;
    if acknowledge {
        message.header.flags |= NLM_F_ACK;
    }
    message.finalize();
    let start = out.len();
    out.resize(start + message.buffer_len(), 0);
    message.serialize(&mut out[start..]);
}

fn socket() -> Result<Socket, Failed> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    Ok(socket)
}

/// Encoded beforehand: nothing but the sends, the acknowledgements and the kernel is timed.
fn write_bare(prefixes: &[Prefix], device: u32, batch: usize) -> Result<Duration, Failed> {
    let socket = socket()?;
    let mut sends = Vec::new();
    for chunk in prefixes.chunks(batch) {
        let mut bytes = Vec::new();
        for (index, prefix) in chunk.iter().enumerate() {
            encode(*prefix, device, index + 1 == chunk.len(), &mut bytes);
        }
        sends.push(bytes);
    }
    let mut answer = Vec::with_capacity(4096);
    let started = Instant::now();
    for bytes in &sends {
        socket.send(bytes, 0)?;
        answer.clear();
        socket.recv(&mut answer, 0)?;
    }
    Ok(started.elapsed())
}

/// Encoded by the crate while sending.
fn write_typed(prefixes: &[Prefix], device: u32, batch: usize) -> Result<Duration, Failed> {
    let socket = socket()?;
    let (mut bytes, mut answer) = (Vec::new(), Vec::with_capacity(4096));
    let started = Instant::now();
    for chunk in prefixes.chunks(batch) {
        bytes.clear();
        for (index, prefix) in chunk.iter().enumerate() {
            encode(*prefix, device, index + 1 == chunk.len(), &mut bytes);
        }
        socket.send(&bytes, 0)?;
        answer.clear();
        socket.recv(&mut answer, 0)?;
    }
    Ok(started.elapsed())
}
