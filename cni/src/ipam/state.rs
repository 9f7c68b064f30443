//! Which boot a network's directory is of, which sets of ranges are used up, and whether all leases
//! have a key. A hint like all that is ours: a file that is lost or damaged is as good as new.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::config::Range;
use crate::hash::digest;

const MAGIC: &[u8; 8] = b"twilsta4";
/// Sets whose use is remembered; the walk of further ones starts anew each time.
const SETS: usize = 8;
const BOOT_LENGTH: usize = 36;
const COMPLETE_AT: usize = 8 + BOOT_LENGTH;
const MARKS_AT: usize = COMPLETE_AT + 4;
const SPARES_AT: usize = MARKS_AT + 16;
const SETS_AT: usize = SPARES_AT + 4;
const SIZE: usize = SETS_AT + 8 * SETS;

/// The state, and its file.
pub(crate) struct State {
    file: File,
    boot: [u8; BOOT_LENGTH],
    complete: bool,
    marks: Marks,
    spares: u32,
    used_up: [u64; SETS],
}

/// When the directories were changed last, in nanoseconds: whoever makes or removes a file marks
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Marks {
    /// That of the leases.
    pub(crate) leases: u64,
    /// That of the keys.
    pub(crate) keys: u64,
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
        let fresh = Self {
            file,
            boot: boot()?,
            complete: false,
            marks: Marks::default(),
            spares: 0,
            used_up: [0; SETS],
        };
        if length != SIZE || bytes[..8] != MAGIC[..] {
            return Ok((fresh, Found::Nothing));
        }
        if bytes[8..COMPLETE_AT] != fresh.boot {
            return Ok((fresh, Found::EarlierBoot));
        }
        let mut used_up = [0; SETS];
        for (to, from) in used_up.iter_mut().zip(bytes[SETS_AT..].as_chunks().0) {
            *to = u64::from_le_bytes(*from);
        }
        let number =
            |at: usize| u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|place| bytes[at + place]));
        let marks = Marks { leases: number(MARKS_AT), keys: number(MARKS_AT + 8) };
        let complete = bytes[COMPLETE_AT] == 1;
        let spares = u32::from_le_bytes([0, 1, 2, 3].map(|place| bytes[SPARES_AT + place]));
        Ok((Self { complete, marks, spares, used_up, ..fresh }, Found::Current))
    }

    /// Writes it in place by one system call, with what the directories are marked by now.
    pub(crate) fn save(&mut self, marks: Marks) -> io::Result<()> {
        self.marks = marks;
        let mut bytes = Vec::with_capacity(SIZE);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.boot);
        bytes.extend_from_slice(&u32::from(self.complete).to_le_bytes());
        bytes.extend_from_slice(&self.marks.leases.to_le_bytes());
        bytes.extend_from_slice(&self.marks.keys.to_le_bytes());
        bytes.extend_from_slice(&self.spares.to_le_bytes());
        for digest in self.used_up {
            bytes.extend_from_slice(&digest.to_le_bytes());
        }
        self.file.write_all_at(&bytes, 0)
    }

    /// Whether every lease has a key. Another program that made or removed one since, or somebody
    /// who removed a key, has left other marks.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    pub(crate) fn set_complete(&mut self, complete: bool) {
        self.complete = complete;
    }

    /// How many files are kept for the next leases and keys, as far as is known.
    pub(crate) fn spares(&self) -> u32 {
        self.spares
    }

    pub(crate) fn set_spares(&mut self, spares: u32) {
        self.spares = spares;
    }

    /// Compares with what the directories are marked by.
    pub(crate) fn compare(&mut self, marks: Marks) {
        self.complete &= self.marks == marks;
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
