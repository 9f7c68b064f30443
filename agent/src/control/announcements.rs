//! What may be announced by hand, and what is worth knowing about it. Pure.
//!
//! The other nodes would refuse what is not this node's (law 5 of ARCHITECTURE.md); saying so
//! here, before anything is sent, is kinder than a counter on every other node.

use twill_bgp::Announcement;
use twill_bgp::proto::rib::policy::PrefixRange;
use twill_bgp::proto::types::{Community, Prefix};

use super::answer::Failure;
use super::api::AnnounceOptions;
use crate::desired::policy::Policies;
use crate::source::{MeshMode, Snapshot};

/// Never routed between hosts: "this network", loopback, link-local, multicast, reserved.
const UNROUTABLE: [&str; 9] = [
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/127",
    "fe80::/10",
    "ff00::/8",
    "::ffff:0:0/96",
];

/// The announcement that was asked for, or the rule that forbids it.
pub(super) fn check(
    snapshot: &Snapshot,
    prefix: Prefix,
    options: &AnnounceOptions,
) -> Result<Announcement, Failure> {
    let refused = |rule: String, remedy: &str| Err(Failure::refused(rule, remedy));
    if prefix.len() > 0
        && UNROUTABLE
            .iter()
            .filter_map(|text| text.parse::<Prefix>().ok())
            .any(|range| range.covers(prefix))
    {
        return refused(
            format!("{prefix} is not routed between hosts"),
            "announce a prefix of unicast addresses",
        );
    }
    for node in snapshot.nodes.values() {
        if let Some(cidr) = node.pod_cidrs.iter().find(|cidr| cidr.overlaps(prefix)) {
            return refused(
                format!("{prefix} overlaps {cidr}, the pod CIDR of node {}", node.name),
                "only that node may announce it; announce a prefix that overlaps no pod CIDR",
            );
        }
        if let Some(address) = node.addresses.iter().find(|address| prefix.contains(**address)) {
            return refused(
                format!("{prefix} contains {address}, an address of node {}", node.name),
                "packets to that node would come here; announce a prefix that holds no node",
            );
        }
    }
    let next_hop = options.next_hop.map(|address| {
        if address.is_ipv4() == matches!(prefix, Prefix::V4(_)) {
            Ok(address.into())
        } else {
            Err(Failure::bad_request(
                format!("next hop {address} is not of the family of {prefix}"),
                "give a next hop of the same IP version, or none",
            ))
        }
    });
    let communities: Result<Vec<Community>, Failure> = options
        .communities
        .iter()
        .map(|text| {
            text.parse().map_err(|expected: &str| {
                Failure::bad_request(format!("bad community {text:?}"), expected)
            })
        })
        .collect();
    Ok(Announcement {
        next_hop: next_hop.transpose()?,
        local_pref: options.local_pref,
        med: options.med,
        communities: communities?,
        ..Announcement::new(prefix)
    })
}

/// Whether the configuration announces the prefix anyway.
pub(super) fn configured(snapshot: &Snapshot, prefix: Prefix) -> bool {
    snapshot.node.pod_cidrs.contains(&prefix) || snapshot.announce.contains(&prefix)
}

/// What should be known about an announcement that is allowed.
pub(super) fn notes(snapshot: &Snapshot, announcement: &Announcement) -> Vec<String> {
    let prefix = announcement.prefix;
    let mut notes = Vec::new();
    if configured(snapshot, prefix) {
        notes.push("the configuration announces it already; this one goes before it".to_owned());
    }
    let own = snapshot.node.pod_cidrs.contains(&prefix);
    let admits = |ranges: &[PrefixRange]| {
        ranges.iter().any(|range| {
            range.prefix.covers(prefix) && (range.ge..=range.le).contains(&prefix.len())
        })
    };
    let meshed = !snapshot.nodes.is_empty() && snapshot.mesh.mode != MeshMode::None;
    if meshed && !own && !admits(&snapshot.mesh.transit) {
        notes.push(
            "the other nodes will refuse it: it is neither a pod CIDR of this node nor within \
             mesh.transit"
                .to_owned(),
        );
    }
    let policies = Policies::new(snapshot);
    let route = announcement.attributes();
    let not_sent: Vec<&str> = snapshot
        .peers
        .values()
        .chain(snapshot.ranges.values().map(|range| &range.template))
        .filter(|peer| {
            let export = policies.export_to_outside(peer, peer.asn == snapshot.node.asn);
            export.refuses_own(prefix, &route, snapshot.node.asn).is_some()
        })
        .map(|peer| peer.name.as_str())
        .collect();
    if !not_sent.is_empty() {
        notes.push(format!("their export policy does not send it to: {}", not_sent.join(", ")));
    }
    notes
}
