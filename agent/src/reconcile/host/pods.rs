//! Pods that have lost their bridge. Who they are, the leases say: the host's end of a pod's pair is
//! named after its holder.

use std::collections::BTreeSet;
use std::path::Path;

use twill_cni::config::{COOLDOWN, DATA_DIR, PortOptions};
use twill_cni::ipam::view;
use twill_cni::link::{self, InterfaceName, PairNames};

use crate::desired::cni::NETWORK;

/// Puts this node's pods that are a port of nothing back on the bridge with this index; what was
/// done, in words. Reads files and speaks netlink: not for a task that others wait for.
pub(super) fn reattach(
    bridge: InterfaceName,
    index: u32,
    port: PortOptions,
) -> Result<Vec<String>, String> {
    let failed = |error: &dyn std::fmt::Display| {
        format!("pods cannot be put back on it: {error}; or make those pods anew")
    };
    let found = view(Path::new(DATA_DIR), NETWORK, COOLDOWN).map_err(|error| failed(&error))?;
    let holders: BTreeSet<(&str, &str)> = found
        .leases
        .iter()
        .map(|lease| (lease.container_id.as_str(), lease.interface.as_str()))
        .collect();
    let pods = holders.into_iter().map(|(id, interface)| PairNames::of(id, interface));
    let attached = link::reattach(index, pods, port).map_err(|error| failed(&error))?;
    Ok(attached.into_iter().map(|name| format!("{name}: back on {bridge}")).collect())
}
