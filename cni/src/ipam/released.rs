//! The addresses given back, oldest first: a file of records that is appended to.
//!
//! A record counts only if it is the last of its address, and only if no lease has the address. So
//! a record may be written before its lease is removed and a process killed in between does no
//! harm, and the head, which records are used up, may be written late.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::ipam::clock::Uptime;

const MAGIC: &[u8; 8] = b"twilrel1";
const HEADER: u64 = 32;
const RECORD: usize = 32;
/// Beyond so many the oldest are forgotten; the walk over unused addresses finds them again.
pub(crate) const KEPT: usize = 1024;

/// So many questions are answered by looking through the records, before an index is made of them:
/// most ADDs ask one or two.
const UNINDEXED: usize = 4;

/// Records of one family, in the order of release.
#[derive(Debug, Default)]
pub struct Released {
    records: Vec<(IpAddr, Uptime)>,
    /// The place of each address's last record, once it is worth it.
    last: OnceCell<BTreeMap<IpAddr, usize>>,
    asked: Cell<usize>,
    /// The number, in the file, of the first record read.
    head: u64,
}

impl Released {
    /// From records, oldest first.
    pub fn new(records: Vec<(IpAddr, Uptime)>) -> Self {
        Self { records, ..Self::default() }
    }

    /// Whether it is known to have been given back.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.last_of(address).is_some()
    }

    /// The place of the last record of an address.
    fn last_of(&self, address: IpAddr) -> Option<usize> {
        let asked = self.asked.replace(self.asked.get().saturating_add(1));
        if asked < UNINDEXED {
            return self.records.iter().rposition(|(other, _)| *other == address);
        }
        let index = || {
            let records = self.records.iter().enumerate();
            records.map(|(place, (address, _))| (*address, place)).collect()
        };
        self.last.get_or_init(index).get(&address).copied()
    }

    /// The records that count, oldest first.
    pub fn live(&self) -> impl Iterator<Item = (IpAddr, Uptime)> + '_ {
        let all = self.records.iter().enumerate();
        all.filter(|(place, (address, _))| self.last_of(*address) == Some(*place))
            .map(|(_, record)| *record)
    }

    /// How many records from the oldest on count no more, now that this address is given out.
    fn used_up(&self, taken: IpAddr, is_held: impl Fn(IpAddr) -> bool) -> u64 {
        let dead = |(place, (address, _)): &(usize, &(IpAddr, Uptime))| {
            self.last_of(*address) != Some(*place) || *address == taken || is_held(*address)
        };
        self.records.iter().enumerate().take_while(dead).count() as u64
    }
}

/// The file.
pub(crate) struct ReleasedFile(PathBuf);

impl ReleasedFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Reads what counts. A file that is absent or not ours holds nothing.
    pub(crate) fn read(&self) -> io::Result<Released> {
        let file = match File::open(&self.0) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Released::default()),
            Err(error) => return Err(error),
        };
        let Some(Bounds { head, count, .. }) = bounds(&file)? else {
            return Ok(Released::default());
        };
        let mut bytes = vec![0; (count - head) as usize * RECORD];
        file.read_exact_at(&mut bytes, HEADER + head * RECORD as u64)?;
        let records = bytes.chunks_exact(RECORD).filter_map(decode).collect();
        Ok(Released { head, ..Released::new(records) })
    }

    /// One more.
    pub(crate) fn append(&self, address: IpAddr, time: Uptime) -> io::Result<()> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.0)?;
        let Bounds { head, count, kept } = match bounds(&file)? {
            Some(bounds) => bounds,
            None => {
                file.set_len(0)?;
                file.write_all_at(&header(0), 0)?;
                Bounds::default()
            }
        };
        file.write_all_at(&encode(address, time), HEADER + count * RECORD as u64)?;
        // Where most of them still rest, twice as many as the last time, or each one would rewrite.
        let enough = 2 * kept.max(KEPT as u64);
        if count > head + enough || head > 4 * KEPT as u64 { self.compact() } else { Ok(()) }
    }

    /// An address was given out: the head may move on.
    pub(crate) fn take(
        &self,
        released: &Released,
        address: IpAddr,
        is_held: impl Fn(IpAddr) -> bool,
    ) -> io::Result<()> {
        let used_up = released.used_up(address, is_held);
        if used_up == 0 {
            return Ok(());
        }
        let head = released.head + used_up;
        OpenOptions::new().write(true).open(&self.0)?.write_all_at(&head.to_le_bytes(), 8)
    }

    /// Rewrites the file with what counts: the newest, and those that may still rest. Those rest
    /// for the cooldown of whoever asks, so an hour is taken for it.
    fn compact(&self) -> io::Result<()> {
        let released = self.read()?;
        let live: Vec<_> = released.live().collect();
        let resting = Uptime(Uptime::now().0.saturating_sub(3_600_000_000_000));
        let old = live.len().saturating_sub(KEPT);
        let forgotten = live.iter().take(old).take_while(|(_, time)| *time < resting).count();
        let mut bytes = header((live.len() - forgotten) as u64).to_vec();
        for (address, time) in live.into_iter().skip(forgotten) {
            bytes.extend_from_slice(&encode(address, time));
        }
        let new = self.0.with_extension("new");
        std::fs::write(&new, bytes)?;
        std::fs::rename(new, &self.0)
    }
}

/// Of the records in the file.
#[derive(Debug, Clone, Copy, Default)]
struct Bounds {
    /// How many from the oldest on are used up.
    head: u64,
    count: u64,
    /// How many the last rewriting kept.
    kept: u64,
}

/// `None` where the file is not one of ours.
fn bounds(file: &File) -> io::Result<Option<Bounds>> {
    let mut bytes = [0; 24];
    if file.read_at(&mut bytes, 0)? != bytes.len() || bytes[..8] != MAGIC[..] {
        return Ok(None);
    }
    let number =
        |at: usize| u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|place| bytes[at + place]));
    let count = file.metadata()?.len().saturating_sub(HEADER) / RECORD as u64;
    let (head, kept) = (number(8).min(count), number(16).min(count));
    Ok(Some(Bounds { head, count, kept }))
}

/// Of a file whose records all count.
fn header(kept: u64) -> [u8; HEADER as usize] {
    let mut bytes = [0; HEADER as usize];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[16..24].copy_from_slice(&kept.to_le_bytes());
    bytes
}

/// Family, time in nanoseconds since boot, address; little-endian.
fn encode(address: IpAddr, time: Uptime) -> [u8; RECORD] {
    let mut bytes = [0; RECORD];
    bytes[8..16].copy_from_slice(&time.0.to_le_bytes());
    match address {
        IpAddr::V4(address) => {
            bytes[0] = 4;
            bytes[16..20].copy_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            bytes[0] = 6;
            bytes[16..].copy_from_slice(&address.octets());
        }
    }
    bytes
}

fn decode(record: &[u8]) -> Option<(IpAddr, Uptime)> {
    let time = Uptime(u64::from_le_bytes(record.get(8..16)?.try_into().ok()?));
    let address: [u8; 16] = record.get(16..32)?.try_into().ok()?;
    let address = match record.first()? {
        4 => IpAddr::from([address[0], address[1], address[2], address[3]]),
        6 => IpAddr::from(address),
        _ => return None,
    };
    Some((address, time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;

    fn ip(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    fn live(file: &ReleasedFile) -> Vec<(IpAddr, Uptime)> {
        file.read().unwrap().live().collect()
    }

    #[test]
    fn the_last_record_of_an_address_counts() {
        let dir = TempDir::new();
        let file = ReleasedFile::new(dir.path().join("released"));
        assert!(live(&file).is_empty());
        let v6: IpAddr = "fd00::1".parse().unwrap();
        for (address, time) in [(ip(1), 1), (v6, 2), (ip(1), 3)] {
            file.append(address, Uptime(time)).unwrap();
        }
        assert_eq!(live(&file), [(v6, Uptime(2)), (ip(1), Uptime(3))]);
        // fd00::1 is given out: the head passes it and the record of 1 that no longer counts.
        let released = file.read().unwrap();
        file.take(&released, v6, |_| false).unwrap();
        assert_eq!(file.read().unwrap().records, [(ip(1), Uptime(3))]);
    }

    #[test]
    fn damage_is_no_more_than_forgetting() {
        let dir = TempDir::new();
        let file = ReleasedFile::new(dir.path().join("released"));
        for bytes in [&b""[..], b"short", &[0xff; 200]] {
            std::fs::write(file.path(), bytes).unwrap();
            assert!(live(&file).is_empty());
            file.append(ip(1), Uptime(1)).unwrap();
            assert_eq!(live(&file), [(ip(1), Uptime(1))]);
        }
        // A record cut off by a full disk is overwritten by the next.
        let mut bytes = std::fs::read(file.path()).unwrap();
        bytes.extend_from_slice(&[4; 10]);
        std::fs::write(file.path(), bytes).unwrap();
        file.append(ip(2), Uptime(2)).unwrap();
        assert_eq!(live(&file), [(ip(1), Uptime(1)), (ip(2), Uptime(2))]);
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let dir = TempDir::new();
        let file = ReleasedFile::new(dir.path().join("released"));
        for number in 0..20_000 {
            file.append(ip(number % 3000), Uptime(u64::from(number) + 1)).unwrap();
        }
        let size = std::fs::metadata(file.path()).unwrap().len();
        assert!(size <= (6 * KEPT * RECORD) as u64, "{size}");
        assert_eq!(live(&file).last(), Some(&(ip(19_999 % 3000), Uptime(20_000))));
    }
}
