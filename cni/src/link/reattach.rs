//! Pods whose bridge was deleted and made again: the kernel sets a bridge's ports free when it goes,
//! and nobody else puts them back.

use nix::libc;

use crate::config::PortOptions;
use crate::link::message::{Batch, Step, Tolerate};
use crate::link::netlink::{LinkError, Netlink};
use crate::link::pod::port_options;
use crate::link::query::find_link;
use crate::link::{InterfaceName, PairNames};

const UP: u32 = libc::IFF_UP as u32;

/// Makes those host's ends of `pods` that are a port of nothing ports of the bridge with this
/// index, and says which. Ends that are gone, and ports of another bridge, are left alone.
/// Idempotent.
///
/// # Errors
/// The kernel refused; those before are attached.
pub fn reattach(
    bridge: u32,
    pods: impl IntoIterator<Item = PairNames>,
    port: PortOptions,
) -> Result<Vec<InterfaceName>, LinkError> {
    let mut netlink = Netlink::open()?;
    let mut attached = Vec::new();
    for PairNames { host, .. } in pods {
        let Some(link) = find_link(&mut netlink, host)? else { continue };
        if link.master.is_some() || link.kind != "veth" {
            continue;
        }
        let mut batch = Batch::new();
        // Two messages: the port's options are read by the master it has when they arrive.
        batch.push(Step::Configure(host), Tolerate::Missing, libc::RTM_NEWLINK, 0, |m| {
            m.link(link.index, UP, UP);
            m.u32(libc::IFLA_MASTER, bridge);
        });
        batch.push(Step::Configure(host), Tolerate::Missing, libc::RTM_NEWLINK, 0, |m| {
            m.link(link.index, 0, 0);
            port_options(m, port);
        });
        netlink.execute(&mut batch)?;
        attached.push(host);
    }
    Ok(attached)
}
