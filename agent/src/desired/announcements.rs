//! What this node announces.

use std::collections::BTreeSet;

use twill_bgp::Announcement;
use twill_bgp::proto::types::Prefix;

use crate::source::Snapshot;

/// This node's pod CIDRs, its further prefixes and its addresses of Services, with this node as the next hop.
pub fn announcements(snapshot: &Snapshot) -> Vec<Announcement> {
    let pod_cidrs = snapshot.node.pod_cidrs.iter();
    let further = snapshot.announce.iter().chain(snapshot.services.announced());
    // A Service may have one address of two kinds.
    let all: BTreeSet<Prefix> = pod_cidrs.chain(further).copied().collect();
    all.into_iter().map(Announcement::new).collect()
}
