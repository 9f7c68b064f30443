//! What this node announces.

use twill_bgp::Announcement;

use crate::source::Snapshot;

/// This node's pod CIDRs and its further prefixes, with this node as the next hop.
pub fn announcements(snapshot: &Snapshot) -> Vec<Announcement> {
    let pod_cidrs = snapshot.node.pod_cidrs.iter();
    pod_cidrs.chain(&snapshot.announce).copied().map(Announcement::new).collect()
}
