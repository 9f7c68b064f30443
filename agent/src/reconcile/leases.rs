//! The owner of leases whose pod is gone: a slow sweep behind the runtime's DEL and GC.
//!
//! In: the network's leases and the names of this host's interfaces. Out: leases given back. The
//! host's end of a pod's pair is named after its holder, so a lease without that interface has no
//! pod. But a lease is on disk before its pair is made, so only one that was without it at every
//! look for [`PATIENCE`], by a clock that nobody sets, and that is no younger itself, is freed.
//! Leases of the reference plugin are spared: their pods' interfaces have other names.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use nix::net::if_::if_nametoindex;
use twill_cni::config::{BuiltIn, COOLDOWN};
use twill_cni::ipam::{IpamError, Lease, Network, view};
use twill_cni::link::PairNames;

/// How often is looked.
const LOOK: Duration = Duration::from_secs(60);
/// Longer than any runtime waits for an ADD.
const PATIENCE: Duration = Duration::from_secs(600);

/// A lease, as far as it can be told from another of its address.
type Suspect = (IpAddr, String, String);

/// Frees leases whose pod is gone.
#[derive(Debug)]
pub struct LeaseSweep {
    data_dir: PathBuf,
    network: String,
    /// Since when a lease was seen without its interface.
    suspects: BTreeMap<Suspect, Instant>,
}

impl LeaseSweep {
    /// Of the network of this name, its directory in `data_dir`.
    pub fn new(data_dir: PathBuf, network: &str) -> LeaseSweep {
        LeaseSweep { data_dir, network: network.to_owned(), suspects: BTreeMap::new() }
    }

    /// Runs until dropped. Looks in the network namespace of the runtime's threads.
    pub async fn run(mut self) {
        loop {
            let look = tokio::task::spawn_blocking(move || {
                let exists = |name: &str| if_nametoindex(name).is_ok();
                let freed = self.sweep(Instant::now(), SystemTime::now(), exists);
                (self, freed)
            });
            let Ok((sweep, freed)) = look.await else { return };
            self = sweep;
            match freed {
                Ok(leases) => leases.iter().for_each(tell),
                Err(error) => tracing::error!("leases cannot be swept: {error}"),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// One look, and what it freed.
    fn sweep(
        &mut self,
        now: Instant,
        wall: SystemTime,
        exists: impl Fn(&str) -> bool,
    ) -> Result<Vec<Lease>, IpamError> {
        // Without the lock, which ADDs wait for.
        let leases = view(&self.data_dir, &self.network, COOLDOWN)?.leases;
        let gone: Vec<Suspect> =
            leases.iter().filter(|lease| is_gone(lease, &exists)).map(suspect).collect();
        self.suspects.retain(|known, _| gone.contains(known));
        for suspect in gone {
            self.suspects.entry(suspect).or_insert(now);
        }
        let due = |since: &Instant| now.saturating_duration_since(*since) >= PATIENCE;
        if !self.suspects.values().any(due) {
            return Ok(Vec::new());
        }
        let config = BuiltIn {
            sets: Vec::new(),
            data_dir: self.data_dir.clone(),
            cooldown: COOLDOWN,
            routes: Vec::new(),
            resolv_conf: None,
        };
        let old = |lease: &Lease| {
            let age = lease.since.and_then(|since| wall.duration_since(since).ok());
            age.is_some_and(|age| age >= PATIENCE)
        };
        // Judged again under the lock: the runtime may have called since.
        Network::new(&self.network, config).collect(|lease| {
            self.suspects.get(&suspect(lease)).is_some_and(due)
                && old(lease)
                && is_gone(lease, &exists)
        })
    }
}

fn suspect(lease: &Lease) -> Suspect {
    (lease.address, lease.container_id.clone(), lease.interface.clone())
}

fn is_gone(lease: &Lease, exists: impl Fn(&str) -> bool) -> bool {
    let host = || PairNames::of(&lease.container_id, &lease.interface).host;
    lease.keyed && !exists(host().as_str())
}

fn tell(lease: &Lease) {
    let Lease { address, container_id, interface, .. } = lease;
    tracing::warn!(
        "freed {address}: its pod {container_id} {interface} is gone, and nobody called DEL"
    );
}

#[cfg(test)]
mod tests {
    use twill_cni::address::Cidr;
    use twill_cni::config::{GatewayMode, Range};
    use twill_cni::ipam::{Holder, Host};
    use twill_cni::link::LinkError;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        /// With leases of ours for `a` and `b`, and one of the reference.
        fn new(name: &str) -> Folder {
            let folder =
                std::env::temp_dir().join(format!("twill-leases-{name}-{}", std::process::id()));
            let subnet: Cidr = "10.244.1.0/24".parse().unwrap();
            let config = BuiltIn {
                sets: vec![vec![Range::of(subnet, GatewayMode::LinkLocal)]],
                data_dir: folder.clone(),
                cooldown: COOLDOWN,
                routes: Vec::new(),
                resolv_conf: None,
            };
            let network = Network::new("net", config);
            for container_id in ["a", "b"] {
                let holder = Holder { container_id, interface: "eth0" };
                network.allocate(holder, &[], &mut NoHost).unwrap();
            }
            std::fs::write(folder.join("net/10.244.1.99"), "reference\r\neth0").unwrap();
            Folder(folder)
        }

        fn holders(&self) -> Vec<String> {
            let leases = view(&self.0, "net", COOLDOWN).unwrap().leases;
            leases.into_iter().map(|lease| lease.container_id).collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    struct NoHost;

    impl Host for NoHost {
        fn has(&mut self, _: IpAddr) -> Result<bool, LinkError> {
            Ok(false)
        }

        fn make_gateways(&mut self) -> Result<(), LinkError> {
            Ok(())
        }
    }

    fn only(container_id: &str) -> impl Fn(&str) -> bool {
        let there = PairNames::of(container_id, "eth0").host;
        move |name: &str| name == there.as_str()
    }

    #[test]
    fn a_lease_without_its_interface_is_freed_after_patience_and_no_other() {
        let folder = Folder::new("freed");
        let mut sweep = LeaseSweep::new(folder.0.clone(), "net");
        let (start, wall) = (Instant::now(), SystemTime::now());
        for (passed, freed) in [(0, 0), (300, 0), (599, 0), (601, 1), (700, 0)] {
            let passed = Duration::from_secs(passed);
            let leases = sweep.sweep(start + passed, wall + passed, only("a")).unwrap();
            assert_eq!(leases.len(), freed, "after {passed:?}");
            assert!(leases.iter().all(|lease| lease.container_id == "b"));
        }
        assert_eq!(folder.holders(), ["a", "reference"]);
        let cooling = view(&folder.0, "net", COOLDOWN).unwrap().cooling;
        assert_eq!(cooling.len(), 1, "what was freed rests");
    }

    #[test]
    fn an_interface_that_appears_starts_the_wait_anew() {
        let folder = Folder::new("appears");
        let mut sweep = LeaseSweep::new(folder.0.clone(), "net");
        let (start, wall) = (Instant::now(), SystemTime::now());
        for (passed, there) in [(0, false), (500, true), (601, false), (1100, false)] {
            let passed = Duration::from_secs(passed);
            let leases = sweep.sweep(start + passed, wall + passed, |_| there).unwrap();
            assert_eq!(leases, [], "after {passed:?}");
        }
        let leases = sweep
            .sweep(start + 2 * PATIENCE + LOOK, wall + 2 * PATIENCE + LOOK, |_| false)
            .unwrap();
        assert_eq!(leases.len(), 2);
    }

    /// A wall clock set forward makes no lease old; a young lease is spared whatever was seen.
    #[test]
    fn young_leases_are_spared() {
        let folder = Folder::new("young");
        let mut sweep = LeaseSweep::new(folder.0.clone(), "net");
        let (start, wall) = (Instant::now(), SystemTime::now());
        let year = Duration::from_secs(365 * 86_400);
        assert_eq!(sweep.sweep(start, wall + year, |_| false).unwrap(), []);
        assert_eq!(sweep.sweep(start + LOOK, wall + year, |_| false).unwrap(), []);
        assert_eq!(sweep.sweep(start + 2 * PATIENCE, wall + LOOK, |_| false).unwrap(), []);
        assert_eq!(folder.holders().len(), 3);
    }

    #[test]
    fn a_network_without_a_directory_has_nothing_to_sweep() {
        let mut sweep = LeaseSweep::new("/nonexistent".into(), "net");
        assert_eq!(sweep.sweep(Instant::now(), SystemTime::now(), |_| false).unwrap(), []);
    }
}
