//! Which boot a network's directory is of, which sets of ranges are used up, and how many leases
//! have a key. A hint like all that is ours: a file that is lost or damaged is as good as new.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::config::Range;
use crate::hash::digest;

const MAGIC: &[u8; 8] = b"twilsta1";
/// Sets whose use is remembered; the walk of further ones starts anew each time.
const SETS: usize = 8;
const BOOT_LENGTH: usize = 36;
const COUNT_AT: usize = 8 + BOOT_LENGTH;
const SETS_AT: usize = COUNT_AT + 4;
const SIZE: usize = SETS_AT + 8 * SETS;

/// The state, and its file.
pub(crate) struct State {
    file: File,
    boot: [u8; BOOT_LENGTH],
    leases: u32,
    used_up: [u64; SETS],
}

/// What the file said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// It is of this boot.
    Current,
    /// It is of another.
    EarlierBoot,
    /// It was not there, or not one of ours.
    Nothing,
}

impl State {
    /// Opens the file, in a directory that must be there. What it says of an earlier boot does not
    /// count.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Found)> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o644);
        let file = options.open(path)?;
        let mut bytes = [0; SIZE];
        let length = file.read_at(&mut bytes, 0)?;
        let fresh = Self { file, boot: boot()?, leases: 0, used_up: [0; SETS] };
        if length != SIZE || bytes[..8] != MAGIC[..] {
            return Ok((fresh, Found::Nothing));
        }
        if bytes[8..COUNT_AT] != fresh.boot {
            return Ok((fresh, Found::EarlierBoot));
        }
        let mut used_up = [0; SETS];
        for (to, from) in used_up.iter_mut().zip(bytes[SETS_AT..].as_chunks().0) {
            *to = u64::from_le_bytes(*from);
        }
        let [a, b, c, d] = [0, 1, 2, 3].map(|place| bytes[COUNT_AT + place]);
        let leases = u32::from_le_bytes([a, b, c, d]);
        Ok((Self { leases, used_up, ..fresh }, Found::Current))
    }

    /// Writes it in place by one system call.
    pub(crate) fn save(&self) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(SIZE);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.boot);
        bytes.extend_from_slice(&self.leases.to_le_bytes());
        for digest in self.used_up {
            bytes.extend_from_slice(&digest.to_le_bytes());
        }
        self.file.write_all_at(&bytes, 0)
    }

    /// How many leases have a key, as far as is known. Where the directory holds as many leases,
    /// a holder without a key has none.
    pub(crate) fn keyed(&self) -> usize {
        self.leases as usize
    }

    pub(crate) fn set_keyed(&mut self, leases: usize) {
        self.leases = u32::try_from(leases).unwrap_or(u32::MAX);
    }

    /// Whether the walk of this set found nothing the last time.
    pub(crate) fn used_up(&self, set: usize, ranges: &[Range]) -> bool {
        self.used_up.get(set).is_some_and(|digest| *digest == digest_of(ranges))
    }

    pub(crate) fn set_used_up(&mut self, set: usize, ranges: &[Range], used_up: bool) {
        if let Some(digest) = self.used_up.get_mut(set) {
            *digest = if used_up { digest_of(ranges) } else { 0 };
        }
    }
}

fn boot() -> io::Result<[u8; BOOT_LENGTH]> {
    let mut bytes = [0; BOOT_LENGTH];
    for (to, from) in bytes.iter_mut().zip(crate::boot::id()?.bytes()) {
        *to = from;
    }
    Ok(bytes)
}

/// Never 0, and another for other ranges.
fn digest_of(ranges: &[Range]) -> u64 {
    let text = |address: Option<std::net::IpAddr>| address.map(|a| a.to_string());
    let bounds = |range: &Range| [Some(range.first), Some(range.last), range.gateway].map(text);
    let parts: Vec<String> =
        ranges.iter().flat_map(bounds).map(Option::unwrap_or_default).collect();
    digest(&parts.iter().map(String::as_str).collect::<Vec<_>>()) | 1
}
