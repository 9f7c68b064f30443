//! Which boot this is: leases and readiness last no longer.

use std::fs;
use std::io;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The kernel's identifier of this boot, without its line end.
pub(crate) fn id() -> io::Result<String> {
    let mut id = fs::read_to_string(BOOT_ID)?;
    id.truncate(id.trim_end().len());
    Ok(id)
}
