//! Looks whether single routes are in a host's kernel. It costs a lookup each, where counting all
//! would hold whoever writes them up: a walk of the tree is a reader that the kernel waits for
//! when it takes the tree apart.

use std::fs::File;
use std::net::IpAddr;

use anyhow::{Context, Result, anyhow, bail};
use netlink_packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteFlags, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::sched::{CloneFlags, setns};
use twill_bgp_proto::types::Prefix;
use twill_tests::lab::Host;

/// A socket in a host's network.
pub(super) struct Probe {
    socket: Socket,
}

impl Probe {
    pub(super) fn open(host: &Host) -> Result<Probe> {
        let network = File::open(format!("/proc/{}/ns/net", host.pid()))?;
        // A thread of its own: this one's network is not to change.
        let socket = std::thread::scope(|scope| {
            let open = || -> Result<Socket> {
                setns(&network, CloneFlags::CLONE_NEWNET)?;
                let mut socket = Socket::new(NETLINK_ROUTE)?;
                socket.bind_auto()?;
                socket.connect(&SocketAddr::new(0, 0))?;
                Ok(socket)
            };
            scope.spawn(open).join().map_err(|_| anyhow!("the probe's thread panicked"))?
        })?;
        Ok(Probe { socket })
    }

    /// Whether the route that its first address takes is the one of this very prefix. To be asked
    /// of prefixes without a longer one in them.
    pub(super) fn holds(&self, prefix: Prefix) -> Result<bool> {
        let mut route = RouteMessage::default();
        let (family, destination, bits) = match prefix.address() {
            IpAddr::V4(address) => (AddressFamily::Inet, RouteAddress::Inet(address), 32),
            IpAddr::V6(address) => (AddressFamily::Inet6, RouteAddress::Inet6(address), 128),
        };
        route.header.address_family = family;
        route.header.destination_prefix_length = bits;
        route.header.flags = RouteFlags::FibMatch;
        route.attributes = vec![RouteAttribute::Destination(destination)];
        let mut message = NetlinkMessage::from(RouteNetlinkMessage::GetRoute(route));
        message.header.flags = NLM_F_REQUEST;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut answer = Vec::with_capacity(1 << 14);
        self.socket.recv(&mut answer, 0)?;
        match NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer)?.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(found)) => {
                Ok(found.header.destination_prefix_length == prefix.len())
            }
            // No way there.
            NetlinkPayload::Error(_) => Ok(false),
            other => bail!("the kernel said {other:?}"),
        }
    }
}

/// Prefixes to look for, spread over the table, none with a longer one in it.
pub(super) fn samples(prefixes: &[Prefix], ipv6: bool) -> Result<Vec<Prefix>> {
    let whole = if ipv6 { 48 } else { 24 };
    let alone: Vec<Prefix> =
        prefixes.iter().filter(|prefix| prefix.len() == whole).copied().collect();
    let last = *alone.last().context("no prefix to look for")?;
    let highest = alone.iter().max().copied();
    let spread = alone.iter().step_by((alone.len() / SAMPLES).max(1)).copied();
    Ok(spread.chain(highest).chain([last]).collect())
}

/// How many are looked for.
const SAMPLES: usize = 256;
