//! A network as `twill ipam` shows it. Read without the lock and without changing anything, so an
//! entry may be of a moment ago.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use crate::ipam::clock::Uptime;
use crate::ipam::released::ReleasedFile;
use crate::ipam::store::{Lease, is_keyed, leases_of};
use crate::ipam::{IpamError, rest};

/// An address that rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cooling {
    /// The address.
    pub address: IpAddr,
    /// For how long it still rests.
    pub remaining: Duration,
}

/// What a network's directory says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkView {
    /// Who holds what, in the order of addresses.
    pub leases: Vec<Lease>,
    /// What rests, the next to be given out first.
    pub cooling: Vec<Cooling>,
}

/// Reads the directory of a network. One that is not there holds nothing.
///
/// # Errors
/// The directory cannot be read.
pub fn view(data_dir: &Path, name: &str, cooldown: Duration) -> Result<NetworkView, IpamError> {
    let directory = data_dir.join(name);
    let failed = |error| IpamError::Io { what: "read", path: directory.clone(), error };
    let mut leases = match leases_of(&directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(NetworkView::default()),
        leases => leases.map_err(failed)?,
    };
    for lease in &mut leases {
        let metadata = std::fs::metadata(directory.join(lease.address.to_string()));
        lease.since = metadata.and_then(|metadata| metadata.modified()).ok();
        lease.keyed = is_keyed(&directory, lease);
    }
    leases.sort_by_key(|lease| lease.address);
    let now = Uptime::now();
    let mut cooling = Vec::new();
    for name in ["released.4", "released.6"] {
        let released = ReleasedFile::new(directory.join(".twill").join(name)).read();
        for (address, time) in released.map_err(failed)?.live() {
            let remaining = rest(time, now, cooldown);
            let held = leases.binary_search_by_key(&address, |lease| lease.address).is_ok();
            if !remaining.is_zero() && !held {
                cooling.push(Cooling { address, remaining });
            }
        }
    }
    cooling.sort_by_key(|cooling| cooling.remaining);
    Ok(NetworkView { leases, cooling })
}
