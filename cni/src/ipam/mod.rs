//! Addresses of pods: who holds which, and which to give out next.
//!
//! In: ranges, a holder, the directory of a network. Out: one address of each set of ranges, on
//! disk before it is handed out; or the addresses given back. On disk it is what the reference
//! host-local keeps, so that both serve one directory (containernetworking/plugins,
//! plugins/ipam/host-local/backend/disk):
//!
//! - `ADDRESS`: a lease; `container id`, CR LF, `interface`. Ours appears whole, by link(2).
//! - `last_reserved_ip.N`: where set N's walk over addresses never used goes on.
//! - `lock`: flock(2), held for as long as anything here is read to be changed.
//!
//! What is ours alone is in `.twill`, and all of it can be lost or wrong without an address being
//! given twice, because a lease alone decides that:
//!
//! - `keys/CONTAINER:INTERFACE`: the holder's addresses, made before the leases and removed after
//!   them, so DEL reads no lease but its own.
//! - `spare.N`: files of removed leases and keys, kept for the next ones.
//! - `released.4`, `released.6`: the addresses given back, in order: the queue for giving out again.
//! - `state`: the boot that all this is of, which sets have no address left that was never used,
//!   and whether all leases have keys, as of when the directories were changed last. Where they have,
//!   and nobody changed them since, a holder without a key has no lease; where not, DEL asks the
//!   leases themselves.
//!
//! [`allocator`] chooses and touches no file, [`store`] keeps the files and chooses nothing.

pub mod allocator;
mod clock;
mod delegate;
mod released;
mod state;
mod store;
mod view;

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use thiserror::Error;

use crate::config::{BuiltIn, Range};
use crate::error::{Code, Error};
use crate::ipam::allocator::{Choice, Exhausted};
use crate::ipam::released::Released;
use crate::ipam::store::{Chosen, Store};
use crate::link::LinkError;

pub use clock::Uptime;
pub use delegate::Delegate;
pub use store::Lease;
pub use view::{Cooling, NetworkView, view};

/// Whose addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder<'a> {
    /// CNI_CONTAINERID.
    pub container_id: &'a str,
    /// CNI_IFNAME.
    pub interface: &'a str,
}

/// An address given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assigned {
    /// The address.
    pub address: IpAddr,
    /// The range it is of.
    pub range: Range,
}

/// Why no address was given out or taken back.
#[derive(Debug, Error)]
pub enum IpamError {
    /// A file or directory could not be used.
    #[error("cannot {what} {}: {error}; see that its file system is writable and has room", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        error: io::Error,
    },
    /// The holder has addresses: an ADD without the DEL before it.
    #[error("holds {} already", list(.0))]
    Held(Vec<IpAddr>),
    /// A set of ranges has nothing to give.
    #[error("no address is free: {0}")]
    Exhausted(Exhausted),
    /// A requested address is somebody's.
    #[error("requested address {address} is held by {holder}")]
    Taken {
        /// Which.
        address: IpAddr,
        /// By whom.
        holder: String,
    },
    /// The address that the bridge is to have as the pods' gateway is a pod's.
    #[error(
        "the pods' gateway {address} is held by {holder}, attached while gateway was link-local: \
         the bridge cannot have it as well; delete that pod first, or leave gateway link-local"
    )]
    GatewayHeld {
        /// Which.
        address: IpAddr,
        /// By whom.
        holder: String,
    },
    /// What the host has could not be asked, or its bridge not made.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A requested address is of no range.
    #[error("requested address {0} is in no range of the network; request one of its ranges")]
    OutOfRange(IpAddr),
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}

/// The host, as far as its own addresses matter. Asked while the network is locked, so that a pod
/// and the bridge never get the same one, whatever gateway mode each of two ADDs is of.
pub trait Host {
    /// Whether the address is the host's own.
    ///
    /// # Errors
    /// The kernel could not be asked.
    fn has(&mut self, address: IpAddr) -> Result<bool, LinkError>;

    /// Gives the bridge the gateways of the ranges.
    ///
    /// # Errors
    /// The kernel refused.
    fn make_gateways(&mut self) -> Result<(), LinkError>;
}

fn holder_of(store: &Store, address: IpAddr) -> String {
    store.lease(address).map_or_else(
        || "a lease that cannot be read".to_owned(),
        |lease| format!("{} {}", lease.container_id, lease.interface),
    )
}

/// The built-in allocator of one network.
pub struct Network {
    directory: PathBuf,
    config: BuiltIn,
}

impl Network {
    /// That of this name. Touches nothing yet.
    pub fn new(name: &str, config: BuiltIn) -> Self {
        Self { directory: config.data_dir.join(name), config }
    }

    /// Gives the holder one address of each set. All of them are on disk when it returns, or none.
    ///
    /// # Errors
    /// [`IpamError::Held`] where the holder has some, the others as they say.
    pub fn allocate(
        &self,
        holder: Holder<'_>,
        requested: &[IpAddr],
        host: &mut impl Host,
    ) -> Result<Vec<Assigned>, IpamError> {
        for address in requested {
            if !self.config.sets.iter().flatten().any(|range| range.contains(*address)) {
                return Err(IpamError::OutOfRange(*address));
            }
        }
        let mut store = Store::open(&self.directory)?;
        let held = store.addresses_by_key(holder);
        if !held.is_empty() {
            return Err(IpamError::Held(held));
        }
        self.claim_gateways(&store, host)?;
        let mut choices = Vec::with_capacity(self.config.sets.len());
        for (number, set) in self.config.sets.iter().enumerate() {
            let in_set = |address: &&IpAddr| set.iter().any(|range| range.contains(**address));
            let choice = match requested.iter().find(in_set) {
                Some(address) => Self::claim(&store, *address, host)?,
                None => self.choose(&store, number, set, host)?,
            };
            choices.push(choice);
        }
        let addresses: Vec<IpAddr> = choices.iter().map(|chosen| chosen.choice.address()).collect();
        store.reserve(holder, &addresses)?;
        for (number, (set, chosen)) in self.config.sets.iter().zip(choices).enumerate() {
            store.remember(number, set, &chosen);
        }
        store.finish();
        Ok(addresses.into_iter().filter_map(|address| self.assigned(address)).collect())
    }

    /// No gateway may be a pod's; those that the host lacks it gets now.
    fn claim_gateways(&self, store: &Store, host: &mut impl Host) -> Result<(), IpamError> {
        let mut missing = false;
        for address in self.config.sets.iter().flatten().filter_map(|range| range.gateway) {
            if store.is_held(address)? {
                return Err(IpamError::GatewayHeld { address, holder: holder_of(store, address) });
            }
            missing |= !host.has(address)?;
        }
        if missing { Ok(host.make_gateways()?) } else { Ok(()) }
    }

    fn choose(
        &self,
        store: &Store,
        number: usize,
        set: &[Range],
        host: &mut impl Host,
    ) -> Result<Chosen, IpamError> {
        let ipv6 = set.iter().any(|range| range.subnet.is_ipv6());
        let released = store.released(ipv6)?;
        let question = allocator::Question {
            set,
            cursor: store.last_reserved(number),
            released: &released,
            used_up: store.used_up(number, set),
            now: Uptime::now(),
            cooldown: self.config.cooldown,
        };
        let taken = |address| Ok(store.is_held(address)? || host.has(address)?);
        let choice = allocator::choose(&question, taken)?;
        let choice = choice.map_err(|exhausted| {
            let mut held = store.leases().unwrap_or_default();
            held.retain(|lease| set.iter().any(|range| range.contains(lease.address)));
            held.sort_by_key(|lease| lease.address);
            IpamError::Exhausted(Exhausted { held, ..exhausted })
        })?;
        Ok(Chosen { choice, released })
    }

    /// A requested address may rest: whoever asks for one by name knows why.
    fn claim(store: &Store, address: IpAddr, host: &mut impl Host) -> Result<Chosen, IpamError> {
        if store.is_held(address)? {
            return Err(IpamError::Taken { address, holder: holder_of(store, address) });
        }
        if host.has(address)? {
            return Err(IpamError::Taken { address, holder: "the host itself".to_owned() });
        }
        Ok(Chosen { choice: Choice::Requested(address), released: Released::default() })
    }

    fn assigned(&self, address: IpAddr) -> Option<Assigned> {
        let mut ranges = self.config.sets.iter().flatten();
        ranges
            .find(|range| range.contains(address))
            .map(|range| Assigned { address, range: *range })
    }

    /// Takes back what the holder has: what its key says, or else whatever lease is its own.
    /// Nothing held is no error.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub fn release(&self, holder: Holder<'_>) -> Result<Vec<IpAddr>, IpamError> {
        let Some(mut store) = Store::open_existing(&self.directory)? else { return Ok(Vec::new()) };
        store.release(holder, Uptime::now())
    }

    /// Takes back what an ADD that failed was given. No packet was ever sent from these addresses,
    /// so they need not rest.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub fn give_back(&self, holder: Holder<'_>) -> Result<(), IpamError> {
        let Some(mut store) = Store::open_existing(&self.directory)? else { return Ok(()) };
        store.release(holder, Uptime::ZERO).map(drop)
    }

    /// The first of these addresses that the holder does not have.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn first_not_held(
        &self,
        holder: Holder<'_>,
        addresses: &[IpAddr],
    ) -> Result<Option<IpAddr>, IpamError> {
        let store = Store::open_existing(&self.directory)?;
        let lease = |address: IpAddr| store.as_ref().and_then(|store| store.lease(address));
        let held = |address: &IpAddr| lease(*address).is_some_and(|lease| lease.is_of(holder));
        Ok(addresses.iter().find(|address| !held(address)).copied())
    }

    /// Takes back every lease that `stale` says so of, and goes on past errors. A lease is on disk
    /// before its pod's link is made: who judges by the link must spare leases that are younger
    /// than an ADD may take ([`Lease::since`]).
    ///
    /// # Errors
    /// The first lease that could not be taken back; the others are.
    pub fn collect(&self, mut stale: impl FnMut(&Lease) -> bool) -> Result<Vec<Lease>, IpamError> {
        let Some(mut store) = Store::open_existing(&self.directory)? else { return Ok(Vec::new()) };
        let mut failed = None;
        let mut freed = Vec::new();
        for mut lease in store.leases()? {
            lease.since = store.since(&lease);
            lease.keyed = store.is_keyed(&lease);
            if !stale(&lease) {
                continue;
            }
            match store.free(&lease, Uptime::now()) {
                Ok(()) => freed.push(lease),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(freed), Err)
    }

    /// The configuration.
    pub fn config(&self) -> &BuiltIn {
        &self.config
    }
}

impl From<IpamError> for Error {
    fn from(error: IpamError) -> Self {
        let code = match error {
            IpamError::Io { .. } => Code::Io,
            IpamError::Link(_) => Code::Kernel,
            IpamError::Held(_) => Code::Environment,
            IpamError::Exhausted(_) | IpamError::Taken { .. } | IpamError::GatewayHeld { .. } => {
                Code::TryAgainLater
            }
            IpamError::OutOfRange(_) => Code::NetworkConfig,
        };
        let answer = Self::new(code, error.to_string());
        match error {
            IpamError::Exhausted(exhausted) => {
                answer.with_details(exhausted.details(SystemTime::now()))
            }
            _ => answer,
        }
    }
}

/// How long until an address that rests can be given out.
pub(crate) fn rest(released: Uptime, now: Uptime, cooldown: Duration) -> Duration {
    if released == Uptime::ZERO {
        return Duration::ZERO;
    }
    cooldown.saturating_sub(now.since(released))
}
