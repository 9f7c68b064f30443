//! Routes of our own: the configured set, and those made at run time, which go first.

use std::collections::BTreeMap;
use std::time::Instant;

use twill_bgp_proto::types::Prefix;

use super::Core;
use crate::settings::Announcement;

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
            Some(route) => self.rib.announce(prefix, route.attributes()),
            None => self.rib.withdraw(prefix),
        }
    }
}
