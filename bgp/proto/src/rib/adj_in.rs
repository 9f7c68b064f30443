//! Adj-RIB-In: what each peer sent, judged once, kept as received and as used.
//!
//! A refused route is kept with what it came with, so that an operator sees it and a new policy
//! can be tried on it. The name of the rule is not kept: policy is pure, so judging again finds
//! it.

use std::sync::Arc;

use super::base::{Ours, Rib};
use super::intern::AttrId;
use super::loc::Loc;
use super::next_hop::Local;
use super::policy::{Judge, Setting, Verdict};
use super::table::{From, Key, Path, Standing, TOGETHER};
use super::{PeerKey, PeerKind, Refusal, RibPeer};
use crate::types::{Attributes, Community, Families, Family, Prefix, Role};
use crate::wire::{Reach, Update};

impl Rib {
    /// What an established peer sent. A prefix of a family that the session does not carry is
    /// ignored, and so is an update of a peer that is not up.
    ///
    /// End-of-RIB of a family also ends what is still stale of it (RFC 4724 section 4.2).
    pub fn update(&mut self, key: PeerKey, update: Update) {
        let Some(from) = From::peer(key) else { return };
        let Some(peer) = self.peers.get(key).filter(|peer| peer.up) else { return };
        let families = peer.info.families;
        for together in update.withdrawn.chunks(TOGETHER) {
            let mut places = [None; TOGETHER];
            for (prefix, place) in together.iter().zip(&mut places) {
                *place = self.place_of(*prefix).filter(|_| families.contains(prefix.family()));
            }
            for (prefix, place) in together.iter().zip(places) {
                if let Some(place) = place {
                    self.unstore(prefix.family(), place, from);
                }
            }
        }
        for reach in update.reach {
            self.reach(key, from, families, reach);
        }
        if let Some(family) = update.end_of_rib {
            self.forget_stale(key, Families::NONE.with(family));
        }
    }

    fn reach(&mut self, key: PeerKey, from: From, families: Families, reach: Reach) {
        let Some(peer) = self.peers.get(key) else { return };
        let import = peer.info.import.clone();
        let learned = peer.learned(key);
        let fault = fault(&reach.attributes, &peer.info, &self.ours);
        let attributes = received(reach.attributes, &peer.info);
        let last_choice = is_last_choice(&attributes, &peer.info);
        let Some(family) = reach.prefixes.first().map(|prefix| prefix.family()) else { return };
        let setting = setting(&peer.info, family);

        let id = self.attrs.intern(attributes);
        let attributes = self.attrs.get(id).clone();
        self.make_room(family, &reach.prefixes);
        let mut judge = Judge::new(&import, &attributes, learned, setting);
        let mut changed = Changed { last_choice, latest: None };
        for prefix in reach.prefixes {
            if !families.contains(prefix.family()) {
                continue;
            }
            let (standing, used) = match fault {
                Some(standing) => (standing, id),
                None => match judge.verdict(prefix) {
                    Verdict::Accept(rules) if rules.is_empty() && !last_choice => {
                        (Standing::Usable, id)
                    }
                    Verdict::Accept(rules) => (Standing::Usable, changed.of(self, &judge, rules)),
                    Verdict::Reject(rule) => {
                        self.report(key, from, prefix, rule);
                        (Standing::Refused, id)
                    }
                },
            };
            self.attrs.retain(id);
            self.attrs.retain(used);
            self.store(prefix, Path::new(from, standing, id, used));
        }
        changed.release(self);
        self.attrs.release(id);
    }

    /// Makes room for those of `prefixes` that are new. To look all of them up at once is what it
    /// is for as well: waits for memory overlap, and what is looked up again is near.
    fn make_room(&mut self, family: Family, prefixes: &[Prefix]) {
        let new = prefixes.iter().filter(|prefix| self.place_of(**prefix).is_none()).count();
        match family {
            Family::Ipv4Unicast => self.v4.table.reserve(new),
            Family::Ipv6Unicast => self.v6.table.reserve(new),
        }
    }

    /// Reports a refusal, unless the peer's last word on the prefix was refused as well.
    fn report(&mut self, peer: PeerKey, from: From, prefix: Prefix, rule: &Arc<str>) {
        let refused = |paths: &[Path]| {
            paths.iter().any(|path| path.from() == from && path.standing() == Standing::Refused)
        };
        let known = self.place_of(prefix).is_some_and(|place| match prefix {
            Prefix::V4(_) => refused(self.v4.table.paths(place)),
            Prefix::V6(_) => refused(self.v6.table.paths(place)),
        });
        if !known {
            self.refusals.push(|| Refusal { peer, prefix, rule: rule.clone() });
        }
    }

    /// Judges the routes of every peer whose import policy has changed, in one pass.
    pub(super) fn judge_again(&mut self) {
        if !std::mem::take(&mut self.judge_again) {
            return;
        }
        for place in 0..self.v4.table.places() {
            self.judge_place_again(place, |rib| &rib.v4);
        }
        for place in 0..self.v6.table.places() {
            self.judge_place_again(place, |rib| &rib.v6);
        }
        for (_, peer) in self.peers.iter_mut() {
            peer.judge_again = false;
        }
    }

    fn judge_place_again<K: Key>(&mut self, place: u32, loc: impl Fn(&Rib) -> &Loc<K>) {
        let again = |path: &&Path| {
            matches!(path.standing(), Standing::Usable | Standing::Refused)
                && self.peers.of(path.from()).is_some_and(|peer| peer.judge_again)
        };
        let paths: Vec<Path> = loc(self).table.paths(place).iter().filter(again).copied().collect();
        let prefix = match paths.is_empty() {
            true => return,
            false => loc(self).table.prefix(place).prefix(),
        };
        for path in paths {
            let Some((key, peer)) =
                path.from().key().and_then(|key| Some((key, self.peers.get(key)?)))
            else {
                continue;
            };
            let import = peer.info.import.clone();
            let setting = setting(&peer.info, prefix.family());
            let learned = peer.learned(key);
            let attributes = self.attrs.get(path.received).clone();
            let mut judge = Judge::new(&import, &attributes, learned, setting);
            let last_choice = is_last_choice(&attributes, &peer.info);
            let mut changed = Changed { last_choice, latest: None };
            let (standing, used) = match judge.verdict(prefix) {
                Verdict::Accept(rules) if rules.is_empty() && !last_choice => {
                    (Standing::Usable, path.received)
                }
                Verdict::Accept(rules) => (Standing::Usable, changed.of(self, &judge, rules)),
                Verdict::Reject(rule) => {
                    self.report(key, path.from(), prefix, rule);
                    (Standing::Refused, path.received)
                }
            };
            if (standing, used) != (path.standing(), path.used) {
                self.attrs.retain(path.received);
                self.attrs.retain(used);
                let new = Path::new(path.from(), standing, path.received, used);
                self.store(prefix, new.with_marks_of(path));
            }
            changed.release(self);
        }
    }

    /// The rule that refuses `path` today.
    pub(super) fn refusing_rule(&self, prefix: Prefix, path: Path) -> Arc<str> {
        let Some((key, peer)) = path.from().key().and_then(|key| Some((key, self.peers.get(key)?)))
        else {
            return "the peer is gone".into();
        };
        let setting = setting(&peer.info, prefix.family());
        let attributes = self.attrs.get(path.received);
        let mut judge = Judge::new(&peer.info.import, attributes, peer.learned(key), setting);
        match judge.verdict(prefix) {
            Verdict::Reject(rule) => rule.clone(),
            Verdict::Accept(_) => "a policy that is being replaced".into(),
        }
    }
}

/// The changed attributes of the last accepting rules: prefixes of one update mostly meet the
/// same ones.
struct Changed {
    /// Whatever policy says, they get a local preference of 0.
    last_choice: bool,
    latest: Option<(Vec<u16>, AttrId)>,
}

impl Changed {
    fn of(&mut self, rib: &mut Rib, judge: &Judge<'_>, rules: Vec<u16>) -> AttrId {
        if let Some((known, id)) = &self.latest
            && *known == rules
        {
            return *id;
        }
        let mut attributes = judge.apply(&rules).0;
        if self.last_choice {
            attributes.local_pref = Some(0);
        }
        let id = rib.attrs.intern(Arc::new(attributes));
        if let Some((_, old)) = self.latest.replace((rules, id)) {
            rib.attrs.release(old);
        }
        id
    }

    fn release(self, rib: &mut Rib) {
        if let Some((_, id)) = self.latest {
            rib.attrs.release(id);
        }
    }
}

/// What rules that judge this peer's routes change them by.
fn setting(peer: &RibPeer, family: Family) -> Setting {
    Setting { asn: peer.asn, next_hop: Local::of(peer).next_hop(family) }
}

/// What a peer may say: LOCAL_PREF, ORIGINATOR_ID and CLUSTER_LIST count only within the AS
/// (RFC 4271 section 5.1.5, RFC 4456 section 8). What a provider, peer or route server sends is
/// marked as for customers only, where it did not do so itself (RFC 9234 section 5).
fn received(attributes: Arc<Attributes>, peer: &RibPeer) -> Arc<Attributes> {
    if peer.kind != PeerKind::External {
        return attributes;
    }
    let internal_only = attributes.local_pref.is_some()
        || attributes.originator_id.is_some()
        || !attributes.cluster_list.is_empty();
    let mark =
        attributes.only_to_customer.is_none() && peer.rules.role.is_some_and(Role::marks_on_import);
    if !internal_only && !mark {
        return attributes;
    }
    let mut attributes = Arc::unwrap_or_clone(attributes);
    attributes.local_pref = None;
    attributes.originator_id = None;
    attributes.cluster_list = Box::default();
    if mark {
        attributes.only_to_customer = Some(peer.asn);
    }
    Arc::new(attributes)
}

/// Whether the peer is about to take the route away (RFC 8326 section 4.2).
fn is_last_choice(attributes: &Attributes, peer: &RibPeer) -> bool {
    peer.kind == PeerKind::External
        && peer.rules.graceful_shutdown
        && attributes.communities.contains(&Community::GRACEFUL_SHUTDOWN)
}

/// Whether a route with Only to Customer cannot come from this peer (RFC 9234 section 5): a
/// customer has none to give, a peer only those of its own customers.
fn is_leak(attributes: &Attributes, peer: &RibPeer) -> bool {
    match (peer.rules.role, attributes.only_to_customer) {
        (Some(Role::Provider | Role::RouteServer), Some(_)) => true,
        (Some(Role::Peer), Some(marked)) => marked != peer.asn,
        _ => false,
    }
}

/// What makes a route unusable before policy is asked.
fn fault(attributes: &Attributes, peer: &RibPeer, ours: &Ours) -> Option<Standing> {
    let own = [ours.asn, peer.local_asn(ours.asn)];
    if own.into_iter().any(|own| attributes.as_path.contains(own)) {
        return Some(Standing::AsLoop);
    }
    if peer.kind == PeerKind::External {
        if peer.rules.own_as_first && attributes.as_path.first() != Some(peer.asn) {
            return Some(Standing::ForeignPath);
        }
        if is_leak(attributes, peer) {
            return Some(Standing::RouteLeak);
        }
    }
    if attributes.originator_id == Some(ours.router_id)
        || attributes.cluster_list.contains(&ours.cluster_id)
    {
        return Some(Standing::ReflectionLoop);
    }
    Local::of(peer).is(attributes.next_hop).then_some(Standing::OwnNextHop)
}
