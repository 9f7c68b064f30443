//! What can keep the agent from starting, each with place and remedy.

use std::fs;
use std::io;

use twill_bgp::SpeakerError;

use crate::control::ControlError;
use crate::desired::masquerade::Masquerade;
use crate::kernel::KernelError;
use crate::kernel::features::{self, MissingFeature};
use crate::kernel::nft::Filter;
use crate::kernel::settings::Settings;
use crate::source::Snapshot;
use crate::source::file::OpenError;
use crate::source::kube;

/// Why the agent could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] OpenError),
    /// The API server's client, or the node's own file.
    #[error(transparent)]
    Kube(#[from] kube::OpenError),
    /// The Unix socket or the HTTP address.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The BGP port.
    #[error(transparent)]
    Speaker(#[from] SpeakerError),
    /// The kernel's routes cannot be listed.
    #[error("the routes of the run before cannot be listed: {0}")]
    Kernel(#[from] KernelError),
    /// Routes and interfaces could not be changed.
    #[error(
        "the capability CAP_NET_ADMIN is missing, and without it no route can be installed: run \
         as root or grant it (`setcap cap_net_admin,cap_net_bind_service+ep`, or `capabilities` \
         of the container), or set dataplane.install: false to speak BGP only"
    )]
    NetAdmin,
    /// The packet filter lacks what masquerade needs.
    #[error(
        "dataplane.masquerade: {0}; use a kernel with nf_tables, NAT and masquerade (nft_nat, \
         nft_masq), or set dataplane.masquerade: false, and pods keep their addresses wherever \
         they go"
    )]
    Masquerade(KernelError),
    /// This kernel lacks something that the configuration asks for.
    #[error(transparent)]
    Feature(#[from] MissingFeature),
    /// No signal handler could be installed.
    #[error("cannot listen for signals: {0}")]
    Signal(io::Error),
}

/// The bit of CAP_NET_ADMIN (linux/capability.h).
const CAP_NET_ADMIN: u32 = 12;

/// Whether this process may, and this kernel can, do what a configuration asks for. Changes
/// nothing.
pub(super) fn check(snapshot: &Snapshot, settings: &Settings) -> Result<(), StartError> {
    check_capabilities(snapshot)?;
    features::check(snapshot, settings)?;
    check_masquerade(snapshot)
}

/// What would otherwise only show with the first route.
fn check_capabilities(snapshot: &Snapshot) -> Result<(), StartError> {
    if !snapshot.dataplane.install {
        return Ok(());
    }
    // Where /proc says nothing, the kernel will.
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    match effective(&status) {
        Some(set) if set & (1 << CAP_NET_ADMIN) == 0 => Err(StartError::NetAdmin),
        _ => Ok(()),
    }
}

/// Whether this kernel can masquerade, where that is asked for.
fn check_masquerade(snapshot: &Snapshot) -> Result<(), StartError> {
    if Masquerade::new(snapshot, []).is_none() {
        return Ok(());
    }
    Filter::open().and_then(|mut filter| filter.check()).map_err(StartError::Masquerade)
}

fn effective(status: &str) -> Option<u64> {
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_proc() {
        let status = "Name:\ttwill\nCapPrm:\t0\nCapEff:\t0000000000001000\n";
        assert_eq!(effective(status), Some(1 << CAP_NET_ADMIN));
        assert_eq!(effective("Name:\ttwill\n"), None);
    }
}
