//! What we know of each prefix: what was learned, and what stands in the kernel. From the two
//! follows the next step; nothing here touches the kernel.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use hashbrown::hash_map::Entry as Place;
use hashbrown::{HashMap, HashSet};
use twill_bgp::BestChange;
use twill_bgp::proto::types::{NextHop, Prefix};

use super::fault::{Fault, Trouble};
use super::pool::{Pool, Slot};
use crate::desired::Via;
use crate::desired::routes::{Desired, Unroutable, fits};
use crate::kernel::routes::{Listed, Marks, RouteEvent};

/// Where a best path goes, and who told.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Way {
    next_hop: NextHop,
    peer: Option<Arc<str>>,
}

/// What stands in the kernel under our protocol, at our metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Absent,
    Plain(Slot),
    /// Of a form that we do not make: described in [`Table::odd`].
    Odd,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    learned: Option<Slot>,
    standing: Standing,
    /// Stood there when we came, and nothing has confirmed it yet.
    stale: bool,
    /// A step of it is on its way to the kernel, and what stands is not known.
    on_its_way: bool,
    /// The listing that saw it last.
    seen: u8,
}

/// What should be in the kernel for a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    Nothing,
    Route(Via),
    /// A route is known but cannot be installed.
    Unroutable(Unroutable),
}

/// What to do next for a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    /// The step before is on its way: to be looked at again when that is answered.
    Wait,
    Add(Via),
    Replace(Via),
    Delete(Listed),
}

impl Step {
    /// The way that it is about.
    pub(super) fn via(&self) -> Option<&Via> {
        match self {
            Step::Nothing | Step::Wait => None,
            Step::Add(via) | Step::Replace(via) => Some(via),
            Step::Delete(listed) => Some(&listed.via),
        }
    }
}

/// What a hint means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hint {
    Nothing,
    /// One of ours was deleted or changed.
    Disturbed(Prefix),
    /// A foreign route that held our place has gone.
    Freed(Prefix),
}

/// Prefixes of a large batch that are looked up together.
pub(super) const TOGETHER: usize = 64;

/// Everything known, by prefix.
#[derive(Debug)]
pub(super) struct Table {
    entries: HashMap<Prefix, Entry>,
    ways: Pool<Way>,
    /// By the slot of the way: where it leads on this host. Worked out when first needed.
    resolved: Vec<Option<Result<Via, Unroutable>>>,
    vias: Pool<Via>,
    odd: HashMap<Prefix, Listed>,
    /// Routes of ours that no step accounts for: at another metric, or of marks of before.
    extras: HashMap<Prefix, Vec<Listed>>,
    pub(super) faults: HashMap<Prefix, Fault>,
    local: HashMap<Prefix, Result<Via, Unroutable>>,
    pub(super) desired: Desired,
    pub(super) marks: Marks,
    /// The first exchange is over: what is stale goes.
    pub(super) in_sync: bool,
    listing: u8,
}

impl Table {
    pub(super) fn new(desired: Desired, marks: Marks) -> Table {
        let local = desired.local().iter().cloned().collect();
        Table {
            entries: HashMap::new(),
            ways: Pool::default(),
            resolved: Vec::new(),
            vias: Pool::default(),
            odd: HashMap::new(),
            extras: HashMap::new(),
            faults: HashMap::new(),
            local,
            desired,
            marks,
            in_sync: false,
            listing: 0,
        }
    }

    /// Takes best paths in; our own announcements are no learned routes.
    pub(super) fn learn(&mut self, changes: &[BestChange]) {
        for together in changes.chunks(TOGETHER) {
            let known = self.bring_near(together.iter().map(|change| change.prefix));
            self.entries.reserve(together.len() - known);
            together.iter().for_each(|change| self.learn_one(change));
        }
    }

    /// Looks up prefixes that are about to be dealt with, at most [`TOGETHER`]; how many are
    /// known. Waits for memory then overlap, and the lookups that count find all near.
    pub(super) fn bring_near(&self, prefixes: impl Iterator<Item = Prefix>) -> usize {
        prefixes.filter(|prefix| self.entries.contains_key(prefix)).count()
    }

    fn learn_one(&mut self, change: &BestChange) {
        let way = change.route.as_ref().and_then(|route| {
            let peer = Some(Arc::clone(route.peer.as_ref()?));
            Some(Way { next_hop: route.attributes.next_hop, peer })
        });
        let learned = way.map(|way| self.ways.acquire(way));
        let before = match self.entries.entry(change.prefix) {
            Place::Occupied(mut place) => std::mem::replace(&mut place.get_mut().learned, learned),
            Place::Vacant(place) => {
                if learned.is_some() {
                    place.insert(Entry::new(learned));
                }
                None
            }
        };
        if let Some(slot) = before
            && self.ways.release(slot)
            && let Some(resolved) = self.resolved.get_mut(slot.index())
        {
            *resolved = None;
        }
    }

    /// Takes a new snapshot or view of the host. Every prefix is to be looked at again.
    pub(super) fn set_desired(&mut self, desired: Desired) {
        self.local = desired.local().iter().cloned().collect();
        self.desired = desired;
        self.resolved.clear();
    }

    /// Takes new marks: what stands under the old ones becomes superfluous, and goes once the
    /// same prefix stands under the new ones.
    pub(super) fn set_marks(&mut self, marks: Marks) {
        let known: Vec<Listed> =
            self.entries.keys().filter_map(|prefix| self.standing(*prefix)).collect();
        for listed in known {
            self.stand(listed.prefix, Standing::Absent);
            self.extras.entry(listed.prefix).or_default().push(listed);
        }
        self.marks = marks;
    }

    /// Every prefix that anything is known of.
    pub(super) fn prefixes(&self) -> HashSet<Prefix> {
        self.entries.keys().chain(self.local.keys()).copied().collect()
    }

    /// What should be in the kernel.
    pub(super) fn wanted(&mut self, prefix: Prefix) -> Wanted {
        let learned = self.entries.get(&prefix).and_then(|entry| entry.learned);
        self.wanted_of(prefix, learned)
    }

    fn wanted_of(&mut self, prefix: Prefix, learned: Option<Slot>) -> Wanted {
        if let Some(local) = self.local.get(&prefix) {
            return match local {
                Ok(via) => Wanted::Route(*via),
                Err(reason) => Wanted::Unroutable(reason.clone()),
            };
        }
        let Some(slot) = learned else { return Wanted::Nothing };
        if let Some(reason) = self.desired.refuse(prefix) {
            return Wanted::Unroutable(reason);
        }
        let Some(way) = self.ways.get(slot) else { return Wanted::Nothing };
        if let Err(reason) = fits(prefix, way.next_hop) {
            return Wanted::Unroutable(reason);
        }
        if self.resolved.len() <= slot.index() {
            self.resolved.resize(slot.index() + 1, None);
        }
        let desired = &self.desired;
        let Some(place) = self.resolved.get_mut(slot.index()) else { return Wanted::Nothing };
        match place.get_or_insert_with(|| desired.via(way.next_hop, way.peer.as_deref())) {
            Ok(via) => Wanted::Route(*via),
            Err(reason) => Wanted::Unroutable(reason.clone()),
        }
    }

    /// Whether it is the way of a pod CIDR of ours.
    pub(super) fn is_local(&self, prefix: Prefix) -> bool {
        self.local.contains_key(&prefix)
    }

    /// The next hop that was learned, for a report.
    pub(super) fn next_hop(&self, prefix: Prefix) -> Option<IpAddr> {
        let slot = self.entries.get(&prefix)?.learned?;
        Some(self.ways.get(slot)?.next_hop.address())
    }

    /// What stands in the kernel, as far as we know.
    pub(super) fn standing(&self, prefix: Prefix) -> Option<Listed> {
        self.described(prefix, self.entries.get(&prefix)?.standing)
    }

    fn described(&self, prefix: Prefix, standing: Standing) -> Option<Listed> {
        match standing {
            Standing::Absent => None,
            Standing::Plain(slot) => Some(self.as_listed(prefix, *self.vias.get(slot)?)),
            Standing::Odd => self.odd.get(&prefix).cloned(),
        }
    }

    fn as_listed(&self, prefix: Prefix, via: Via) -> Listed {
        let Marks { table, metric, protocol } = self.marks;
        Listed { prefix, via, metric, protocol, table, tos: 0, plain: true }
    }

    pub(super) fn is_stale(&self, prefix: Prefix) -> bool {
        self.entries.get(&prefix).is_some_and(|entry| entry.stale)
    }

    /// The next step for a prefix. A prefix that waits for its place, or after a refusal, has
    /// none before its time.
    pub(super) fn step(&mut self, prefix: Prefix, now: Instant) -> Step {
        let entry = self.entries.get(&prefix).copied();
        if entry.is_some_and(|entry| entry.on_its_way) {
            return Step::Wait;
        }
        let wanted = self.wanted_of(prefix, entry.and_then(|entry| entry.learned));
        if matches!(wanted, Wanted::Route(_))
            && self.faults.get(&prefix).is_some_and(|fault| fault.waits(now))
        {
            return Step::Nothing;
        }
        let Some(entry) = entry else {
            return match wanted {
                Wanted::Route(via) => Step::Add(via),
                _ => Step::Nothing,
            };
        };
        match (wanted, entry.standing) {
            (Wanted::Route(via), Standing::Absent) => Step::Add(via),
            (Wanted::Route(via), Standing::Plain(slot)) if self.vias.get(slot) == Some(&via) => {
                self.settled(prefix);
                Step::Nothing
            }
            (Wanted::Route(via), _) => Step::Replace(via),
            (_, Standing::Absent) => {
                self.settled(prefix);
                Step::Nothing
            }
            // Of the run before: forwarding goes on until the mesh is in sync.
            _ if entry.stale && !self.in_sync => Step::Nothing,
            (_, standing) => self.described(prefix, standing).map_or(Step::Nothing, Step::Delete),
        }
    }

    /// Notes that a prefix is as it should be.
    fn settled(&mut self, prefix: Prefix) {
        self.faults.remove(&prefix);
        if let Place::Occupied(mut place) = self.entries.entry(prefix) {
            let entry = place.get_mut();
            entry.stale = false;
            if entry.learned.is_none() && entry.standing == Standing::Absent {
                place.remove();
            }
        }
    }

    /// Notes that a step is on its way to the kernel, until [`Table::arrived`].
    pub(super) fn sent(&mut self, prefix: Prefix) {
        self.entries.entry(prefix).or_insert_with(|| Entry::new(None)).on_its_way = true;
    }

    /// Notes that it is answered, whatever the answer.
    pub(super) fn arrived(&mut self, prefix: Prefix) {
        if let Some(entry) = self.entries.get_mut(&prefix) {
            entry.on_its_way = false;
        }
    }

    /// Notes that the kernel did what was asked.
    pub(super) fn done(&mut self, prefix: Prefix, step: &Step) {
        match step {
            Step::Nothing | Step::Wait => return,
            Step::Add(via) | Step::Replace(via) => {
                let slot = self.vias.acquire(*via);
                self.stand(prefix, Standing::Plain(slot));
            }
            Step::Delete(_) => self.stand(prefix, Standing::Absent),
        }
        self.settled(prefix);
    }

    /// Notes trouble, and when to try again; true: it is of a new kind.
    pub(super) fn fault(&mut self, prefix: Prefix, trouble: Trouble, now: Instant) -> bool {
        let before = self.faults.get(&prefix);
        let new = before.is_none_or(|before| before.trouble != trouble);
        let fault = Fault::after(before, trouble, now);
        self.faults.insert(prefix, fault);
        new
    }

    /// Notes that nothing of ours stands there, whatever we believed.
    pub(super) fn absent(&mut self, prefix: Prefix) {
        self.stand(prefix, Standing::Absent);
    }

    fn stand(&mut self, prefix: Prefix, standing: Standing) {
        let entry = match self.entries.entry(prefix) {
            Place::Occupied(place) => place.into_mut(),
            Place::Vacant(_) if standing == Standing::Absent => return,
            Place::Vacant(place) => place.insert(Entry::new(None)),
        };
        entry.seen = self.listing;
        entry.on_its_way = false;
        match std::mem::replace(&mut entry.standing, standing) {
            Standing::Plain(slot) => drop(self.vias.release(slot)),
            Standing::Odd if standing != Standing::Odd => drop(self.odd.remove(&prefix)),
            Standing::Odd | Standing::Absent => {}
        }
    }

    /// Begins a listing of ours.
    pub(super) fn begin_listing(&mut self) {
        self.listing = self.listing.wrapping_add(1);
        let marks = self.marks;
        self.extras.retain(|_, routes| {
            routes.retain(|route| !route.is_ours(&marks));
            !routes.is_empty()
        });
    }

    /// Takes a listed route of ours; true where it is not what we believed. `adopt`: it is of
    /// the run before.
    pub(super) fn listed(&mut self, route: Listed, adopt: bool) -> bool {
        let prefix = route.prefix;
        let seen_now = self
            .entries
            .get(&prefix)
            .is_some_and(|entry| entry.seen == self.listing && entry.standing != Standing::Absent);
        if !route.has_our_place(&self.marks)
            || (seen_now && self.standing(prefix) != Some(route.clone()))
        {
            let extras = self.extras.entry(prefix).or_default();
            if !extras.contains(&route) {
                extras.push(route);
            }
            return true;
        }
        if self.standing(prefix).as_ref() == Some(&route) {
            if let Some(entry) = self.entries.get_mut(&prefix) {
                entry.seen = self.listing;
            }
            return false;
        }
        self.take(route);
        if let Some(entry) = self.entries.get_mut(&prefix) {
            entry.stale = adopt;
        }
        true
    }

    /// Ends a listing; the prefixes whose route has gone without our doing.
    pub(super) fn end_listing(&mut self) -> Vec<Prefix> {
        let gone: Vec<Prefix> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.standing != Standing::Absent && entry.seen != self.listing)
            .map(|(prefix, _)| *prefix)
            .collect();
        for prefix in &gone {
            self.stand(*prefix, Standing::Absent);
        }
        gone
    }

    /// Notes a route of ours as it stands.
    pub(super) fn take(&mut self, route: Listed) {
        let prefix = route.prefix;
        if route.plain {
            let slot = self.vias.acquire(route.via);
            self.stand(prefix, Standing::Plain(slot));
        } else {
            self.stand(prefix, Standing::Odd);
            self.odd.insert(prefix, route);
        }
    }

    /// Takes a notification about a route that somebody else touched.
    pub(super) fn hint(&mut self, event: RouteEvent) -> Hint {
        let RouteEvent { deleted, replaced, route } = event;
        let prefix = route.prefix;
        if !route.has_our_place(&self.marks) {
            return Hint::Nothing;
        }
        let believed = self.standing(prefix);
        match (route.is_ours(&self.marks), deleted) {
            (true, true) if believed.as_ref() == Some(&route) => {
                self.stand(prefix, Standing::Absent);
                Hint::Disturbed(prefix)
            }
            (true, false) if believed.as_ref() != Some(&route) => {
                self.take(route);
                Hint::Disturbed(prefix)
            }
            // It took the place of ours.
            (false, false) if replaced && believed.is_some() => {
                self.stand(prefix, Standing::Absent);
                Hint::Disturbed(prefix)
            }
            (false, true) if self.faults.get(&prefix).is_some_and(Fault::is_clash) => {
                self.faults.remove(&prefix);
                Hint::Freed(prefix)
            }
            _ => Hint::Nothing,
        }
    }

    /// Takes the superfluous routes that can go: once their prefix stands as it should, or
    /// nothing is to be waited for.
    pub(super) fn take_extras(&mut self, now: Instant) -> Vec<Listed> {
        let prefixes: Vec<Prefix> = self.extras.keys().copied().collect();
        let ready = prefixes.into_iter().filter(|prefix| match self.wanted(*prefix) {
            Wanted::Route(_) => self.step(*prefix, now) == Step::Nothing,
            Wanted::Nothing | Wanted::Unroutable(_) => self.in_sync,
        });
        let ready: Vec<Prefix> = ready.collect();
        ready.iter().filter_map(|prefix| self.extras.remove(prefix)).flatten().collect()
    }

    /// Takes every route of ours, whatever it is for.
    pub(super) fn take_all(&mut self) -> Vec<Listed> {
        let prefixes: Vec<Prefix> = self.entries.keys().copied().collect();
        let mut all: Vec<Listed> =
            prefixes.iter().filter_map(|prefix| self.standing(*prefix)).collect();
        for prefix in prefixes {
            self.stand(prefix, Standing::Absent);
            self.settled(prefix);
        }
        all.extend(self.extras.drain().flat_map(|(_, routes)| routes));
        all
    }

    /// Superfluous routes, for a report.
    pub(super) fn extras(&self) -> impl Iterator<Item = &Listed> {
        self.extras.values().flatten()
    }
}

impl Entry {
    fn new(learned: Option<Slot>) -> Entry {
        let standing = Standing::Absent;
        Entry { learned, standing, stale: false, on_its_way: false, seen: 0 }
    }
}
