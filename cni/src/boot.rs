//! Which boot this is: leases and readiness last no longer.

use std::fs;
use std::io;
use std::sync::OnceLock;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
static KNOWN: OnceLock<String> = OnceLock::new();

/// The kernel's identifier of this boot, without its line end. Read once: it cannot change.
pub(crate) fn id() -> io::Result<&'static str> {
    if let Some(id) = KNOWN.get() {
        return Ok(id);
    }
    let mut id = fs::read_to_string(BOOT_ID)?;
    id.truncate(id.trim_end().len());
    Ok(KNOWN.get_or_init(|| id))
}
