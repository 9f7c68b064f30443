//! `GET /v1/ipam`: the ranges of this node's pods, who holds which address, which ones rest, and
//! whether that agrees with what exists on the host. Reads the plugin's files, changes nothing.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::net::if_::if_nametoindex;
use twill_cni::address::Cidr;
use twill_cni::config::{GatewayMode, Range};
use twill_cni::ipam::{Lease, NetworkView, view};
use twill_cni::link::PairNames;

use super::answer::Failure;
use super::{api, timestamp};
use crate::source::Snapshot;

/// The addresses of the network of this name, as its directory in `data_dir` has them.
pub(super) fn ipam(
    snapshot: &Snapshot,
    data_dir: &Path,
    network: &str,
    cooldown: Duration,
) -> Result<api::Ipam, Failure> {
    let found =
        view(data_dir, network, cooldown).map_err(|error| Failure::internal(error.to_string()))?;
    let exists = |name: &str| if_nametoindex(name).is_ok();
    let directory = data_dir.join(network).display().to_string();
    Ok(describe(snapshot, directory, &found, exists, SystemTime::now()))
}

fn describe(
    snapshot: &Snapshot,
    data_dir: String,
    found: &NetworkView,
    exists: impl Fn(&str) -> bool,
    now: SystemTime,
) -> api::Ipam {
    let ranges: Vec<Range> = snapshot
        .node
        .pod_cidrs
        .iter()
        .filter_map(|prefix| Cidr::new(prefix.address(), prefix.len()))
        .map(|subnet| Range::of(subnet, GatewayMode::LinkLocal))
        .collect();
    let ranges_shown: Vec<api::IpamRange> =
        ranges.iter().map(|range| describe_range(range, found)).collect();
    let mut problems = Vec::new();
    for lease in &found.leases {
        problems.extend(doubt(lease, &ranges, &exists));
    }
    let full = ranges_shown.iter().filter(|range| range.leased >= range.capacity);
    problems.extend(full.map(|range| {
        format!(
            "{} is exhausted: delete pods of this node, or give it a further pod CIDR",
            range.subnet
        )
    }));
    api::Ipam {
        data_dir,
        ranges: ranges_shown,
        leases: found
            .leases
            .iter()
            .map(|lease| api::Lease {
                address: lease.address,
                container_id: lease.container_id.clone(),
                interface: lease.interface.clone(),
                since: lease.since.map(timestamp::format),
            })
            .collect(),
        cooling: found
            .cooling
            .iter()
            .map(|cooling| api::Cooling {
                address: cooling.address,
                until: timestamp::format(now.checked_add(cooling.remaining).unwrap_or(now)),
            })
            .collect(),
        problems,
    }
}

fn describe_range(range: &Range, found: &NetworkView) -> api::IpamRange {
    let count = |addresses: &mut dyn Iterator<Item = IpAddr>| {
        u64::try_from(addresses.filter(|address| range.contains(*address)).count())
            .unwrap_or(u64::MAX)
    };
    api::IpamRange {
        subnet: range.subnet.to_string(),
        first: range.first,
        last: range.last,
        capacity: u64::try_from(range.size()).unwrap_or(u64::MAX),
        leased: count(&mut found.leases.iter().map(|lease| lease.address)),
        cooling: count(&mut found.cooling.iter().map(|cooling| cooling.address)),
    }
}

/// What does not agree about a lease: the host's end of a pod's pair is named after its holder.
fn doubt(lease: &Lease, ranges: &[Range], exists: impl Fn(&str) -> bool) -> Option<String> {
    let Lease { address, container_id, interface, .. } = lease;
    if !ranges.iter().any(|range| range.contains(*address)) {
        return Some(format!(
            "{address} is held by {container_id} {interface} and lies in no pod CIDR of this \
             node: its pod has no route; make it anew"
        ));
    }
    let host = PairNames::of(container_id, interface).host;
    // Pods of the reference plugin have interfaces of other names.
    (lease.keyed && !exists(host.as_str())).then(|| {
        format!(
            "{address} is held by {container_id} {interface}, but there is no interface {host} of \
             such a pod: CNI DEL for it or GC frees the address, else this agent after ten minutes"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::testing::{self, TempDir};

    #[test]
    fn leases_are_checked_against_what_exists() {
        let dir = TempDir::new();
        let network = dir.path().join("twill");
        std::fs::create_dir(&network).unwrap();
        for (address, holder) in [
            ("10.244.1.2", "pod-a\r\neth0"),
            ("10.244.1.3", "pod-b\r\neth0"),
            ("10.9.9.9", "pod-c\r\neth0"),
        ] {
            std::fs::write(network.join(address), holder).unwrap();
        }
        // Given out by us: with a key. What the reference gave out is not judged by its interface.
        let keys = network.join(".twill/keys");
        std::fs::create_dir_all(&keys).unwrap();
        std::os::unix::fs::symlink("10.244.1.3", keys.join("pod-b:eth0")).unwrap();
        std::fs::write(network.join("10.244.1.9"), "pod-r\r\neth0").unwrap();
        let found = view(dir.path(), "twill", Duration::from_secs(60)).unwrap();
        let there = PairNames::of("pod-a", "eth0").host;
        let answer = describe(
            &testing::snapshot(),
            String::new(),
            &found,
            |name| name == there.as_str(),
            SystemTime::now(),
        );
        let holders: Vec<_> =
            answer.leases.iter().map(|lease| lease.container_id.as_str()).collect();
        assert_eq!(holders, ["pod-c", "pod-a", "pod-b", "pod-r"]);
        assert_eq!(answer.ranges[0].subnet, "10.244.1.0/24");
        assert_eq!((answer.ranges[0].capacity, answer.ranges[0].leased), (254, 3));
        assert_eq!(answer.ranges[1].capacity, u64::MAX);
        let [outside, gone] = answer.problems.as_slice() else {
            panic!("two problems: {:?}", answer.problems)
        };
        assert!(outside.starts_with("10.9.9.9 is held by pod-c eth0"), "{outside}");
        assert!(gone.starts_with("10.244.1.3 is held by pod-b eth0, but there is no"), "{gone}");
    }

    #[test]
    fn a_network_without_a_directory_is_empty() {
        let dir = TempDir::new();
        let answer =
            ipam(&testing::snapshot(), dir.path(), "none", Duration::from_secs(60)).unwrap();
        assert_eq!((answer.leases.len(), answer.problems.len()), (0, 0));
        assert_eq!(answer.ranges.len(), 2);
    }
}
