use std::collections::BTreeMap;

use super::group::Group;
use super::member::{Member, Position};
use super::{Groups, Outward};
use crate::rib::PeerKey;
use crate::rib::base::Rib;
use crate::rib::export::{Export, Towards, World};
use crate::rib::loc::{Best, Loc};
use crate::rib::table::From;

/// What two groups are sent differently: by place, and whether the old group had it.
struct Difference<K>(Vec<(u32, K, Best, bool)>);

impl Rib {
    /// Moves every peer whose export policy has changed to the group of its new policy, and
    /// notes for it what the two groups are sent differently. Everything must be settled.
    ///
    /// Passes over the whole table once for each pair of groups.
    pub(in crate::rib) fn move_members(&mut self) {
        self.out.moving = false;
        let mut moves: BTreeMap<(usize, usize), Vec<PeerKey>> = BTreeMap::new();
        let outdated: Vec<(PeerKey, usize, Towards)> = self
            .peers
            .iter()
            .filter_map(|(key, peer)| {
                let old = peer.member.as_ref()?.group;
                let policy = &self.out.get(old)?.towards.policy;
                (*policy != peer.info.export).then(|| (key, old, Towards::of(&peer.info)))
            })
            .collect();
        for (key, old, towards) in outdated {
            let new = self.out.find_or_make(towards);
            // A member holds the new group in place until all have come.
            if let Some(group) = self.out.get_mut(new) {
                group.members.push(key);
            }
            moves.entry((old, new)).or_default().push(key);
        }
        for ((old, new), keys) in moves {
            self.move_between(old, new, &keys);
        }
    }

    fn move_between(&mut self, old: usize, new: usize, keys: &[PeerKey]) {
        let world = World { ours: self.ours, attrs: &self.attrs, peers: &self.peers };
        let v4 = self.out.difference(old, new, &self.v4, world);
        let v6 = self.out.difference(old, new, &self.v6, world);
        for key in keys {
            let (Some(from), Some(peer)) = (From::peer(*key), self.peers.get_mut(*key)) else {
                continue;
            };
            let Some(member) = &mut peer.member else { continue };
            if let Some(group) = self.out.get_mut(old) {
                group.fall_behind(member, from);
            }
            member.position = Position::Behind;
            member.owed_after = None;
            member.group = new;
            note(member, from, &v4);
            note(member, from, &v6);
            self.out.drop_member(old, *key);
        }
    }
}

impl Groups {
    fn difference<K: Outward>(
        &mut self,
        old: usize,
        new: usize,
        loc: &Loc<K>,
        world: World<'_>,
    ) -> Difference<K> {
        let Some(group) = self.get_mut(new) else { return Difference(Vec::new()) };
        if group.towards.families.contains(K::FAMILY) {
            group.judge(loc.table.places(), loc, world);
            group.sent[K::INDEX].judged = u32::MAX;
        }
        let (Some(old), Some(new)) = (self.get(old), self.get(new)) else {
            return Difference(Vec::new());
        };
        let places = 0..loc.table.places();
        let differing = places.filter_map(|place| {
            let had = old.sent[K::INDEX].bits.get(place);
            let has = new.sent[K::INDEX].bits.get(place);
            let best = loc.settled_best(place).filter(|_| had || has)?;
            let prefix = loc.table.prefix(place);
            let same = had && has && is_sent_alike(old, new, best, prefix, world);
            (!same).then_some((place, prefix, best, had))
        });
        Difference(differing.collect())
    }
}

fn is_sent_alike<K: Outward>(
    old: &Group,
    new: &Group,
    best: Best,
    prefix: K,
    world: World<'_>,
) -> bool {
    let sent = |group: &Group| {
        let mut export = Export::new(&group.towards, world, K::FAMILY, best)?;
        let number = export.verdict(prefix.prefix())?;
        export.attributes(number).cloned()
    };
    sent(old) == sent(new)
}

fn note<K: Outward>(member: &mut Member, from: From, difference: &Difference<K>) {
    for (place, prefix, best, had) in &difference.0 {
        if !member.has_yet_to_walk::<K>(*place) {
            let had = *had && best.from != from;
            K::pending_mut(&mut member.pending).insert(*prefix, had);
        }
    }
}
