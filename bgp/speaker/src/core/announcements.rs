//! Routes of our own: the configured set, and those made at run time, which go first.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use twill_bgp_proto::types::{Attributes, Family, NextHop, Prefix};

use super::Core;
use crate::settings::Announcement;

/// What the RIB takes for our own address towards each peer.
fn our_address(prefix: Prefix) -> NextHop {
    match prefix.family() {
        Family::Ipv4Unicast => NextHop::V4(Ipv4Addr::UNSPECIFIED),
        Family::Ipv6Unicast => NextHop::V6 { global: Ipv6Addr::UNSPECIFIED, link_local: None },
    }
}

/// The path attributes of a route of our own. Communities are a set: sorted, each once.
fn attributes(route: &Announcement) -> Attributes {
    let next_hop = route.next_hop.unwrap_or_else(|| our_address(route.prefix));
    let communities: BTreeSet<_> = route.communities.iter().copied().collect();
    let large_communities: BTreeSet<_> = route.large_communities.iter().copied().collect();
    Attributes {
        local_pref: route.local_pref,
        med: route.med,
        communities: communities.into_iter().collect(),
        large_communities: large_communities.into_iter().collect(),
        ..Attributes::originated(next_hop)
    }
}

impl Core {
    /// See [`crate::Handle::set_announcements`].
    pub(super) fn set_announcements(&mut self, routes: Vec<Announcement>) {
        let new: BTreeMap<Prefix, Announcement> =
            routes.into_iter().map(|route| (route.prefix, route)).collect();
        let old = std::mem::replace(&mut self.configured, new);
        let gone: Vec<Prefix> =
            old.keys().filter(|prefix| !self.configured.contains_key(prefix)).copied().collect();
        let changed: Vec<Prefix> = self
            .configured
            .iter()
            .filter(|(prefix, route)| old.get(prefix) != Some(route))
            .map(|(prefix, _)| *prefix)
            .collect();
        for prefix in gone.into_iter().chain(changed) {
            self.originate(prefix);
        }
    }

    /// See [`crate::Handle::announce`].
    pub(super) fn announce(&mut self, route: Announcement) {
        let prefix = route.prefix;
        self.at_run_time.insert(prefix, route);
        self.originate(prefix);
    }

    /// See [`crate::Handle::withdraw`].
    pub(super) fn withdraw(&mut self, prefix: Prefix) -> bool {
        let known = self.at_run_time.remove(&prefix).is_some();
        if known {
            self.originate(prefix);
        }
        known
    }

    /// Makes the RIB say what is wanted of one prefix.
    fn originate(&mut self, prefix: Prefix) {
        self.received = Instant::now();
        match self.at_run_time.get(&prefix).or_else(|| self.configured.get(&prefix)) {
            Some(route) => self.rib.announce(prefix, attributes(route)),
            None => self.rib.withdraw(prefix),
        }
    }
}
