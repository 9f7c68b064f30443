//! Which boot this is: leases and readiness last no longer.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
static KNOWN: OnceLock<String> = OnceLock::new();

/// The kernel's identifier of this boot, without its line end. Read once: it cannot change.
pub(crate) fn id() -> io::Result<&'static str> {
    if let Some(id) = KNOWN.get() {
        return Ok(id);
    }
    let mut bytes = [0; 64];
    let length = File::open(BOOT_ID)?.read_at(&mut bytes, 0)?;
    let text = bytes.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok());
    Ok(KNOWN.get_or_init(|| text.unwrap_or_default().trim_end().to_owned()))
}
