//! The files of one network, under its lock. See the parent's essay for what each is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::fcntl::{AT_FDCWD, Flock, FlockArg, RenameFlags, renameat2};

use crate::config::Range;
use crate::hash::digest;
use crate::ipam::allocator::Choice;
use crate::ipam::clock::Uptime;
use crate::ipam::released::{Released, ReleasedFile};
use crate::ipam::state::{Found, Marks, State};
use crate::ipam::{Holder, IpamError};

/// Between container id and interface, as the reference writes it on every system.
const LINE_BREAK: &str = "\r\n";
/// So many files of removed leases and keys are kept.
const SPARES: u32 = 256;
/// NAME_MAX.
const LONGEST_NAME: usize = 255;

/// A lease as it is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: IpAddr,
    /// CNI_CONTAINERID; empty for a file that says nothing.
    pub container_id: String,
    /// CNI_IFNAME; empty in leases of old versions of the reference.
    pub interface: String,
    /// When the file was written; only [`crate::ipam::view()`] and
    /// [`crate::ipam::Network::collect`] ask.
    pub since: Option<SystemTime>,
    /// Whether we gave it out: leases of the reference have no key, and their pods' links other
    /// names. Only asked for where `since` is.
    pub keyed: bool,
}

impl Lease {
    fn read(path: &Path, address: IpAddr) -> io::Result<Self> {
        let text = fs::read_to_string(path)?;
        let (container_id, interface) = text.split_once(LINE_BREAK).unwrap_or((&text, ""));
        Ok(Self {
            address,
            container_id: container_id.trim().to_owned(),
            interface: interface.trim().to_owned(),
            since: None,
            keyed: false,
        })
    }

    /// Whose it is.
    pub fn holder(&self) -> Holder<'_> {
        Holder { container_id: &self.container_id, interface: &self.interface }
    }

    /// Whether it is this holder's; old leases name the container alone.
    pub fn is_of(&self, holder: Holder<'_>) -> bool {
        self.container_id == holder.container_id
            && (self.interface == holder.interface || self.interface.is_empty())
    }
}

/// A choice, with the records it was made from.
pub(crate) struct Chosen {
    pub(crate) choice: Choice,
    pub(crate) released: Released,
}

/// The directory of a network, locked until dropped.
pub(crate) struct Store {
    directory: PathBuf,
    _lock: Flock<File>,
    state: State,
}

/// Names what failed.
fn failed<'a>(what: &'static str, path: &'a Path) -> impl Fn(io::Error) -> IpamError + 'a {
    move |error| IpamError::Io { what, path: path.to_owned(), error }
}

fn unless_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

impl Store {
    /// Locks the directory, which is made if missing, and frees what is of an earlier boot.
    pub(crate) fn open(directory: &Path) -> Result<Self, IpamError> {
        let lock = match Self::lock(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut builder = fs::DirBuilder::new();
                let made = builder.recursive(true).mode(0o755).create(directory);
                made.map_err(failed("create directory", directory))?;
                Self::lock(directory)
            }
            lock => lock,
        };
        Self::with(directory, lock.map_err(failed("lock", directory))?)
    }

    /// The same, but for a directory that is not there.
    pub(crate) fn open_existing(directory: &Path) -> Result<Option<Self>, IpamError> {
        match Self::lock(directory) {
            Ok(lock) => Self::with(directory, lock).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("lock", directory)(error)),
        }
    }

    fn lock(directory: &Path) -> io::Result<Flock<File>> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(directory.join("lock"))?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno.into())
    }

    fn with(directory: &Path, lock: Flock<File>) -> Result<Self, IpamError> {
        let own = directory.join(".twill");
        let path = own.join("state");
        let opened = match State::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let keys = own.join("keys");
                fs::create_dir_all(&keys).map_err(failed("create directory", &keys))?;
                State::open(&path)
            }
            opened => opened,
        };
        let (state, found) = opened.map_err(failed("open", &path))?;
        let mut store = Self { directory: directory.to_owned(), _lock: lock, state };
        match found {
            Found::Current => store.state.compare(store.marks()),
            Found::EarlierBoot => {
                store.forget_boot()?;
                store.state.set_complete(true);
                store.save()?;
            }
            // First use: leases that the reference made are of running pods.
            Found::Nothing => store.save()?,
        }
        Ok(store)
    }

    /// After the last change of an operation: one that was cut short has left other marks.
    fn save(&mut self) -> Result<(), IpamError> {
        let marks = self.marks();
        self.state.save(marks).map_err(failed("write", &self.own("state")))
    }

    fn marks(&self) -> Marks {
        let mark = |path: &Path| {
            let changed = fs::metadata(path).map(|at| (at.mtime(), at.mtime_nsec()));
            let (seconds, rest) = changed.unwrap_or_default();
            seconds.wrapping_mul(1_000_000_000).wrapping_add(rest) as u64
        };
        Marks { leases: mark(&self.directory), keys: mark(&self.own("keys")) }
    }

    /// No pod of an earlier boot lives, and nobody remembers its address.
    fn forget_boot(&self) -> Result<(), IpamError> {
        for lease in self.leases()? {
            let path = self.lease_path(lease.address);
            unless_missing(fs::remove_file(&path)).map_err(failed("remove", &path))?;
        }
        for name in ["released.4", "released.6"] {
            let path = self.own(name);
            unless_missing(fs::remove_file(&path)).map_err(failed("remove", &path))?;
        }
        let keys = self.own("keys");
        unless_missing(fs::remove_dir_all(&keys)).map_err(failed("remove", &keys))?;
        fs::create_dir_all(&keys).map_err(failed("create directory", &keys))
    }

    fn own(&self, name: &str) -> PathBuf {
        self.directory.join(".twill").join(name)
    }

    fn lease_path(&self, address: IpAddr) -> PathBuf {
        self.directory.join(address.to_string())
    }

    fn key_path(&self, holder: Holder<'_>) -> PathBuf {
        key_path(&self.directory, holder)
    }

    /// Whether a lease has the address. An empty file is damage: whoever wrote it did not finish.
    pub(crate) fn is_held(&self, address: IpAddr) -> Result<bool, IpamError> {
        let path = self.lease_path(address);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.len() > 0 => Ok(true),
            Ok(_) => fs::remove_file(&path).map(|()| false).map_err(failed("remove", &path)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("look up", &path)(error)),
        }
    }

    /// The lease of an address.
    pub(crate) fn lease(&self, address: IpAddr) -> Option<Lease> {
        Lease::read(&self.lease_path(address), address).ok()
    }

    /// What the holder's key says, as far as its leases agree.
    pub(crate) fn addresses_by_key(&self, holder: Holder<'_>) -> Vec<IpAddr> {
        let named = addresses_named(&self.key_path(holder)).into_iter();
        named.filter(|a| self.lease(*a).is_some_and(|lease| lease.is_of(holder))).collect()
    }

    /// Whether its holder's key names the lease.
    pub(crate) fn is_keyed(&self, lease: &Lease) -> bool {
        is_keyed(&self.directory, lease)
    }

    /// Puts the leases of these free addresses on disk, all or none.
    pub(crate) fn reserve(
        &mut self,
        holder: Holder<'_>,
        addresses: &[IpAddr],
    ) -> Result<(), IpamError> {
        let key = self.key_path(holder);
        let text = addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" ");
        self.write_key(&key, &text).map_err(failed("write", &key))?;
        let result = self.write_leases(holder, addresses);
        if result.is_err() {
            // Best effort: a key without leases says nothing.
            let _ = fs::remove_file(&key);
        }
        result
    }

    fn write_key(&mut self, key: &Path, text: &str) -> io::Result<()> {
        let file = self.prepare(text)?;
        give_name(&file, key).or_else(|error| match error.kind() {
            // Of an ADD that was killed before its leases, or of another holder of a long name.
            ErrorKind::AlreadyExists => {
                self.state.set_complete(false);
                fs::remove_file(key).and_then(|()| give_name(&file, key))
            }
            ErrorKind::NotFound => {
                let made = fs::create_dir_all(self.own("keys"));
                made.and_then(|()| give_name(&file, key))
            }
            _ => Err(error),
        })
    }

    fn write_leases(&mut self, holder: Holder<'_>, addresses: &[IpAddr]) -> Result<(), IpamError> {
        let text = format!("{}{LINE_BREAK}{}", holder.container_id, holder.interface);
        let new = self.own("new");
        let file = self.prepare(&text).map_err(failed("write", &new))?;
        for (made, address) in addresses.iter().enumerate() {
            let path = self.lease_path(*address);
            let last = made + 1 == addresses.len();
            let named = if last { give_name(&file, &path) } else { fs::hard_link(&file, &path) };
            if let Err(error) = named {
                for address in addresses.iter().take(made) {
                    // Best effort, of what was made a moment ago.
                    let _ = fs::remove_file(self.lease_path(*address));
                }
                return Err(failed("write", &path)(error));
            }
        }
        Ok(())
    }

    /// A file with this text, under a name that nobody reads: one that was kept, or a new one.
    fn prepare(&mut self, text: &str) -> io::Result<PathBuf> {
        while let Some(number) = self.state.spares().checked_sub(1) {
            self.state.set_spares(number);
            let path = self.spare_path(number);
            match overwrite_spare(&path, text.as_bytes()) {
                Ok(true) => return Ok(path),
                // It is a lease or a key still: only this name of it goes.
                Ok(false) => drop(fs::remove_file(&path)),
                // Lost or damaged: so may be the others.
                Err(_) => self.state.set_spares(0),
            }
        }
        let new = self.own("new");
        let create = || OpenOptions::new().write(true).create_new(true).mode(0o644).open(&new);
        let created = create().or_else(|error| match error.kind() {
            // Of an ADD that was killed. Never written over: it may be one file with a lease.
            ErrorKind::AlreadyExists => fs::remove_file(&new).and_then(|()| create()),
            _ => Err(error),
        });
        created?.write_all(text.as_bytes())?;
        Ok(new)
    }

    /// Takes a name of a file away. The file is kept for another lease or key, because file systems
    /// such as ext4 pay for each file that is made and removed: they look at all inodes freed in
    /// the last minutes before they take one.
    fn retire(&mut self, path: &Path) -> io::Result<()> {
        let number = self.state.spares();
        let found = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            found => found?,
        };
        // Only under its last name, or another lease would change with it.
        if number < SPARES && found.is_file() && found.nlink() == 1 {
            let spare = self.spare_path(number);
            let kept = rename_without_replacing(path, &spare).or_else(|error| match error.kind() {
                // Lost from the count.
                ErrorKind::AlreadyExists => {
                    fs::remove_file(&spare).and_then(|()| rename_without_replacing(path, &spare))
                }
                _ => Err(error),
            });
            if kept.is_ok() {
                self.state.set_spares(number + 1);
                // The reference reads every file below its directory, whatever its name, and would
                // find a holder that has gone. Not to nothing: ext4 writes such a file out at once.
                let text = OpenOptions::new().write(true).open(&spare);
                let _ = text.and_then(|file| file.set_len(1));
                return Ok(());
            }
        }
        unless_missing(fs::remove_file(path))
    }

    fn spare_path(&self, number: u32) -> PathBuf {
        self.own(&format!("spare.{number}"))
    }

    /// Takes back all that is the holder's.
    pub(crate) fn release(
        &mut self,
        holder: Holder<'_>,
        time: Uptime,
    ) -> Result<Vec<IpAddr>, IpamError> {
        let own = self.addresses_by_key(holder);
        if own.is_empty() {
            return self.release_by_leases(holder, time);
        }
        for address in &own {
            self.remove_lease(*address, time)?;
        }
        self.remove_key(holder)?;
        self.save()?;
        Ok(own)
    }

    /// Asks the leases themselves, as the reference does, unless all of them have keys: the second
    /// DEL of a pod is as common as the first.
    fn release_by_leases(
        &mut self,
        holder: Holder<'_>,
        time: Uptime,
    ) -> Result<Vec<IpAddr>, IpamError> {
        let has_key = fs::symlink_metadata(self.key_path(holder)).is_ok();
        if !has_key && self.state.is_complete() {
            return Ok(Vec::new());
        }
        let mut freed = Vec::new();
        let mut complete = true;
        for lease in self.leases()? {
            if lease.is_of(holder) {
                self.remove_lease(lease.address, time)?;
                freed.push(lease.address);
            } else {
                complete &= self.is_keyed(&lease);
            }
        }
        self.remove_key(holder)?;
        self.state.set_complete(complete);
        self.save()?;
        Ok(freed)
    }

    fn remove_key(&mut self, holder: Holder<'_>) -> Result<(), IpamError> {
        let key = self.key_path(holder);
        self.retire(&key).map_err(failed("remove", &key))
    }

    /// Takes back one lease.
    pub(crate) fn free(&mut self, lease: &Lease, time: Uptime) -> Result<(), IpamError> {
        self.remove_lease(lease.address, time)?;
        if self.addresses_by_key(lease.holder()).is_empty() {
            self.remove_key(lease.holder())?;
        }
        self.save()
    }

    /// First the record, then the lease: in between the address is held, not free too soon.
    fn remove_lease(&mut self, address: IpAddr, time: Uptime) -> Result<(), IpamError> {
        let path = self.lease_path(address);
        let recorded = self.released_file(address.is_ipv6()).append(address, time);
        self.retire(&path).map_err(failed("remove", &path))?;
        if recorded.is_err() {
            // A full disk may have room for it now. If not, the address does without its rest:
            // better than never being freed.
            let _ = self.released_file(address.is_ipv6()).append(address, time);
        }
        Ok(())
    }

    /// All leases. A file whose text cannot be read has an empty holder.
    pub(crate) fn leases(&self) -> Result<Vec<Lease>, IpamError> {
        leases_of(&self.directory).map_err(failed("list", &self.directory))
    }

    /// When a lease was written.
    pub(crate) fn since(&self, lease: &Lease) -> Option<SystemTime> {
        fs::metadata(self.lease_path(lease.address)).and_then(|file| file.modified()).ok()
    }

    fn released_file(&self, ipv6: bool) -> ReleasedFile {
        ReleasedFile::new(self.own(if ipv6 { "released.6" } else { "released.4" }))
    }

    /// What was given back, of a family.
    pub(crate) fn released(&self, ipv6: bool) -> Result<Released, IpamError> {
        let file = self.released_file(ipv6);
        file.read().map_err(failed("read", file.path()))
    }

    /// Where the walk of a set goes on.
    pub(crate) fn last_reserved(&self, set: usize) -> Option<IpAddr> {
        let path = self.directory.join(format!("last_reserved_ip.{set}"));
        let mut bytes = [0; 64];
        let length = File::open(path).and_then(|file| file.read_at(&mut bytes, 0)).ok()?;
        std::str::from_utf8(bytes.get(..length)?).ok()?.trim().parse().ok()
    }

    /// Whether the walk of this set found nothing the last time.
    pub(crate) fn used_up(&self, set: usize, ranges: &[Range]) -> bool {
        self.state.used_up(set, ranges)
    }

    /// Writes down where the next choice starts, as far as it can: losing it costs a longer walk,
    /// nothing else.
    pub(crate) fn remember(&mut self, set: usize, ranges: &[Range], chosen: &Chosen) {
        match chosen.choice {
            Choice::Requested(_) => {}
            Choice::Unused(address) => {
                let path = self.directory.join(format!("last_reserved_ip.{set}"));
                let _ = overwrite(&path, address.to_string().as_bytes());
                self.state.set_used_up(set, ranges, false);
            }
            Choice::Reused(address) => {
                let held = |address| self.lease_path(address).exists();
                let file = self.released_file(address.is_ipv6());
                let _ = file.take(&chosen.released, address, held);
                self.state.set_used_up(set, ranges, true);
            }
        }
    }

    /// Writes down all that was remembered.
    pub(crate) fn finish(&mut self) {
        // Other marks than those written down cost a longer DEL, nothing else.
        let _ = self.save();
    }
}

fn key_path(directory: &Path, holder: Holder<'_>) -> PathBuf {
    let mut name = format!("{}:{}", holder.container_id, holder.interface);
    if name.len() > LONGEST_NAME {
        // Two such holders may meet in one key: then one of them is found by its leases.
        name = format!("{}:{:016x}", &name[..LONGEST_NAME - 17], digest(&[&name]));
    }
    directory.join(".twill/keys").join(name)
}

/// What a key says; nothing where there is none. Keys of before files were kept are symbolic links.
fn addresses_named(key: &Path) -> Vec<IpAddr> {
    let text = match fs::read_link(key) {
        Ok(text) => text.into_os_string().into_string().unwrap_or_default(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
        Err(_) => fs::read_to_string(key).unwrap_or_default(),
    };
    text.split(' ').filter_map(|address| address.parse().ok()).collect()
}

/// Gives a kept file another text. False where it has a further name, under which it is read.
fn overwrite_spare(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let file = OpenOptions::new().write(true).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() || found.nlink() != 1 {
        return Ok(false);
    }
    file.write_all_at(bytes, 0)?;
    if found.len() > bytes.len() as u64 {
        file.set_len(bytes.len() as u64)?;
    }
    Ok(true)
}

/// Gives a prepared file its name, in place of the one that nobody reads; fails where there is one.
fn give_name(from: &Path, to: &Path) -> io::Result<()> {
    rename_without_replacing(from, to).or_else(|error| match error.kind() {
        // File systems that cannot promise not to replace, NFS for one.
        ErrorKind::InvalidInput => fs::hard_link(from, to).and_then(|()| fs::remove_file(from)),
        _ => Err(error),
    })
}

/// Renaming over a file writes it out at once on ext4, and does nothing where both names are of one.
fn rename_without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    Ok(renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE)?)
}

/// Whether a lease of this directory has a key, asked without the lock.
pub(crate) fn is_keyed(directory: &Path, lease: &Lease) -> bool {
    addresses_named(&key_path(directory, lease.holder())).contains(&lease.address)
}

/// In place, in one system call: a process killed around it leaves the old text or the new one.
/// Truncating a file first, or renaming another over it, has ext4 write it out at once, for
/// milliseconds (its auto_da_alloc).
fn overwrite(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o644).open(path)?;
    file.write_all_at(bytes, 0)?;
    let length = bytes.len() as u64;
    if file.metadata()?.len() > length {
        file.set_len(length)?;
    }
    Ok(())
}

/// The leases in a directory, unlocked.
pub(crate) fn leases_of(directory: &Path) -> io::Result<Vec<Lease>> {
    let mut leases = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(address) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        let unreadable = || Lease {
            address,
            container_id: String::new(),
            interface: String::new(),
            since: None,
            keyed: false,
        };
        match Lease::read(&entry.path(), address) {
            Ok(lease) => leases.push(lease),
            // Removed since it was listed.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(_) => leases.push(unreadable()),
        }
    }
    Ok(leases)
}
