//! Random interleavings against a naive model: whatever happens, and however late each peer
//! reads, once all is quiet everyone has what the model says.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::rib::policy::{Match, PrefixSet, Rule, Set, Then};
use crate::rib::{Route, RoutesFrom};
use crate::types::Community;

const KINDS: [PeerKind; 6] = [
    PeerKind::External,
    PeerKind::External,
    PeerKind::External,
    PeerKind::Internal,
    PeerKind::Internal,
    PeerKind::Client,
];

/// Few, so that they meet.
const PREFIXES: [&str; 8] = [
    "10.0.0.0/24",
    "10.0.1.0/24",
    "10.0.1.0/25",
    "10.128.0.0/24",
    "10.128.1.0/24",
    "2001:db8:1::/48",
    "2001:db8:2::/48",
    "2001:db8:2::/64",
];

#[derive(Debug, Clone)]
enum Step {
    Announce { peer: usize, prefixes: Vec<usize>, variant: u8 },
    Withdraw { peer: usize, prefixes: Vec<usize> },
    Ours { prefix: usize, variant: u8 },
    NotOurs { prefix: usize },
    Down { peer: usize, retained: u8 },
    Up { peer: usize },
    Removed { peer: usize },
    EndOfRib { peer: usize, family: u8 },
    Policies { peer: usize, import: u8, export: u8 },
    Refresh { peer: usize, family: u8 },
    BeginRefresh { peer: usize, family: u8 },
    EndRefresh { peer: usize, family: u8 },
    Settle { max: usize },
    Read { peer: usize, budget: usize, times: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let peer = 0..KINDS.len();
    let prefixes = prop::collection::vec(0..PREFIXES.len(), 1..5);
    prop_oneof![
        10 => (peer.clone(), prefixes.clone(), 0u8..6)
            .prop_map(|(peer, prefixes, variant)| Step::Announce { peer, prefixes, variant }),
        4 => (peer.clone(), prefixes)
            .prop_map(|(peer, prefixes)| Step::Withdraw { peer, prefixes }),
        1 => (0..PREFIXES.len(), 0u8..6).prop_map(|(prefix, variant)| Step::Ours { prefix, variant }),
        1 => (0..PREFIXES.len()).prop_map(|prefix| Step::NotOurs { prefix }),
        2 => (peer.clone(), 0u8..4).prop_map(|(peer, retained)| Step::Down { peer, retained }),
        2 => peer.clone().prop_map(|peer| Step::Up { peer }),
        1 => peer.clone().prop_map(|peer| Step::Removed { peer }),
        1 => (peer.clone(), 0u8..2).prop_map(|(peer, family)| Step::EndOfRib { peer, family }),
        2 => (peer.clone(), 0u8..4, 0u8..4)
            .prop_map(|(peer, import, export)| Step::Policies { peer, import, export }),
        1 => (peer.clone(), 0u8..2).prop_map(|(peer, family)| Step::Refresh { peer, family }),
        1 => (peer.clone(), 0u8..2).prop_map(|(peer, family)| Step::BeginRefresh { peer, family }),
        1 => (peer.clone(), 0u8..2).prop_map(|(peer, family)| Step::EndRefresh { peer, family }),
        8 => (1usize..6).prop_map(|max| Step::Settle { max }),
        8 => (peer, 1usize..300, 1usize..4)
            .prop_map(|(peer, budget, times)| Step::Read { peer, budget, times }),
    ]
}

fn family(number: u8) -> Family {
    Family::ALL[usize::from(number)]
}

/// What a peer announces; paths of peers 0 and 2 begin with the same AS, so that MED counts.
fn attributes(from: Option<usize>, variant: u8, prefix: Prefix) -> Attributes {
    let number = from.map_or(200, |peer| peer as u8);
    let mut route = match prefix {
        Prefix::V4(_) => route(number, &[]),
        Prefix::V6(_) => {
            let next_hop = format!("2001:db8::{}", number + 1);
            Attributes::originated(next_hop.parse::<IpAddr>().unwrap().into())
        }
    };
    let first = match from {
        Some(0 | 2) => 65000,
        Some(1) => 65001,
        // What internal peers send may have come from either.
        _ => 65000 + u32::from(variant % 2),
    };
    route.as_path = match variant {
        0 => AsPath::sequence([asn(first)]),
        1 => AsPath::sequence([asn(first), asn(1)]),
        2 => AsPath::sequence([asn(first), asn(2)]),
        3 => AsPath::sequence([asn(first), asn(AS)]),
        4 => AsPath::sequence([asn(first), asn(3)]),
        _ => AsPath::sequence([asn(first)]),
    };
    route.med = [None, Some(10), Some(5), None, Some(7), Some(0)][usize::from(variant)];
    if variant == 4 {
        route.communities = Box::new([Community::NO_EXPORT]);
    }
    if variant == 5 {
        route.communities = Box::new([Community::NO_ADVERTISE]);
    }
    if from.is_some_and(|peer| KINDS[peer] != PeerKind::External) && variant == 2 {
        route.local_pref = Some(200);
    }
    if from.is_none() {
        route.as_path = AsPath::default();
    }
    route
}

/// The lower half: what variant 1 refuses and variant 3 changes.
fn is_low(prefix: Prefix) -> bool {
    LOW.contains(&prefix.to_string().as_str())
}

const LOW: [&str; 4] = ["10.0.0.0/24", "10.0.1.0/24", "10.0.1.0/25", "2001:db8:2::/64"];
const MARK: Community = Community(65000 << 16 | 1);

fn policy(variant: u8) -> Policy {
    let low = Match::PrefixIn(LOW.iter().map(|text| prefix(text)).collect::<PrefixSet>());
    let rule = |when, then| Rule { name: "low".into(), when, then };
    match variant {
        0 => Policy::accept_all(),
        1 => Policy {
            rules: vec![rule(vec![low], Then::Reject)],
            otherwise: rule(vec![], Then::Accept(vec![Set::LocalPref(150)])),
        },
        2 => Policy::reject_all("nothing"),
        _ => Policy {
            rules: vec![rule(
                vec![low],
                Then::Continue(vec![Set::AddCommunities(Arc::new([MARK])), Set::Med(Some(3))]),
            )],
            ..Policy::accept_all()
        },
    }
}

/// The same, without rules; and whether the MED was set.
fn judged(variant: u8, prefix: Prefix, mut route: Attributes) -> Option<(Attributes, bool)> {
    let mut med = false;
    match variant {
        0 => {}
        1 if is_low(prefix) => return None,
        1 => route.local_pref = Some(150),
        2 => return None,
        _ if is_low(prefix) => {
            let mut communities = route.communities.to_vec();
            communities.push(MARK);
            communities.sort();
            communities.dedup();
            route.communities = communities.into();
            route.med = Some(3);
            med = true;
        }
        _ => {}
    }
    Some((route, med))
}

#[derive(Clone, Debug)]
struct Held {
    attributes: Attributes,
    stale: bool,
    unconfirmed: bool,
}

#[derive(Default)]
struct Far {
    up: bool,
    known: bool,
    import: u8,
    export: u8,
    held: BTreeMap<Prefix, Held>,
    listener: Listener,
}

struct World {
    rib: Rib,
    far: Vec<Far>,
    ours: BTreeMap<Prefix, Attributes>,
    told: BTreeMap<Prefix, Route>,
}

fn key(peer: usize) -> PeerKey {
    PeerKey(peer as u32)
}

fn info(peer: usize, import: u8, export: u8) -> RibPeer {
    let mut info = super::peer(peer as u8, KINDS[peer]);
    if KINDS[peer] == PeerKind::External {
        info.asn = asn(if peer == 1 { 65001 } else { 65000 });
    }
    info.import = Arc::new(policy(import));
    info.export = Arc::new(policy(export));
    info
}

impl World {
    fn new() -> World {
        let mut rib = rib();
        rib.out.log_limit = Some(300);
        let far = (0..KINDS.len()).map(|_| Far::default()).collect();
        World { rib, far, ours: BTreeMap::new(), told: BTreeMap::new() }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Announce { peer, prefixes, variant } if self.far[peer].up => {
                for prefix in prefixes.into_iter().map(|index| prefix(PREFIXES[index])) {
                    let attributes = attributes(Some(peer), variant, prefix);
                    let text = prefix.to_string();
                    self.rib.update(key(peer), announce(&attributes, &[&text]));
                    let held = Held { attributes, stale: false, unconfirmed: false };
                    self.far[peer].held.insert(prefix, held);
                }
            }
            Step::Withdraw { peer, prefixes } if self.far[peer].up => {
                let texts: Vec<&str> = prefixes.iter().map(|index| PREFIXES[*index]).collect();
                self.rib.update(key(peer), withdraw(&texts));
                self.far[peer].held.retain(|held, _| !texts.contains(&held.to_string().as_str()));
            }
            Step::Ours { prefix: index, variant } => {
                let prefix = prefix(PREFIXES[index]);
                let attributes = attributes(None, variant, prefix);
                self.rib.announce(prefix, attributes.clone());
                self.ours.insert(prefix, attributes);
            }
            Step::NotOurs { prefix: index } => {
                self.rib.withdraw(prefix(PREFIXES[index]));
                self.ours.remove(&prefix(PREFIXES[index]));
            }
            Step::Up { peer } if !self.far[peer].up => {
                let far = &mut self.far[peer];
                let info = info(peer, far.import, far.export);
                far.listener = Listener::new(&info);
                (far.up, far.known) = (true, true);
                self.rib.peer_up(key(peer), info);
            }
            Step::Down { peer, retained } if self.far[peer].up => {
                let families: Families =
                    (0..2).filter(|bit| retained & 1 << bit != 0).map(family).collect();
                self.rib.peer_down(key(peer), families);
                let far = &mut self.far[peer];
                far.up = false;
                far.held.retain(|prefix, held| families.contains(prefix.family()) && !held.stale);
                far.held.values_mut().for_each(|held| held.stale = true);
            }
            Step::Removed { peer } => {
                self.rib.peer_removed(key(peer));
                let (import, export) = (self.far[peer].import, self.far[peer].export);
                self.far[peer] = Far { import, export, ..Far::default() };
            }
            Step::Policies { peer, import, export } => {
                let far = &mut self.far[peer];
                (far.import, far.export) = (import, export);
                let (import, export) = (policy(import), policy(export));
                self.rib.set_policies(key(peer), Arc::new(import), Arc::new(export));
            }
            Step::Settle { max } => {
                let mut changes = Vec::new();
                self.rib.settle(max, Some(&mut changes));
                self.hear(changes);
            }
            Step::Read { peer, budget, times } => {
                for _ in 0..times {
                    if let Some(bytes) = self.rib.poll_transmit(key(peer), budget) {
                        self.far[peer].listener.hear(&bytes);
                    }
                }
            }
            step => self.take_refresh(&step),
        }
    }

    fn take_refresh(&mut self, step: &Step) {
        match *step {
            Step::EndOfRib { peer, family: number } if self.far[peer].up => {
                let family = family(number);
                self.rib.update(key(peer), end_of_rib(family));
                self.far[peer].held.retain(|prefix, held| prefix.family() != family || !held.stale);
            }
            Step::Refresh { peer, family: number } => self.rib.refresh(key(peer), family(number)),
            Step::BeginRefresh { peer, family: number } if self.far[peer].up => {
                let family = family(number);
                self.rib.begin_refresh(key(peer), family);
                for (prefix, held) in &mut self.far[peer].held {
                    held.unconfirmed |= prefix.family() == family;
                }
            }
            Step::EndRefresh { peer, family: number } if self.far[peer].up => {
                let family = family(number);
                self.rib.end_refresh(key(peer), family);
                self.far[peer]
                    .held
                    .retain(|prefix, held| prefix.family() != family || !held.unconfirmed);
            }
            _ => {}
        }
    }

    fn hear(&mut self, changes: Vec<Change>) {
        for Change { prefix, old, new } in changes {
            assert_ne!(old, new, "nothing changed");
            assert_eq!(self.told.get(&prefix), old.as_ref(), "{prefix} was not that");
            match new {
                Some(new) => self.told.insert(prefix, new),
                None => self.told.remove(&prefix),
            };
        }
    }

    /// The naive decision.
    fn best(&self, prefix: Prefix) -> Option<(Option<usize>, Attributes, bool)> {
        if let Some(ours) = self.ours.get(&prefix) {
            let better =
                |held: &(Option<usize>, Attributes, bool)| held.1.local_pref.unwrap_or(100) > 100;
            return self
                .best_learned(prefix)
                .filter(better)
                .or_else(|| Some((None, ours.clone(), false)));
        }
        self.best_learned(prefix)
    }

    fn best_learned(&self, prefix: Prefix) -> Option<(Option<usize>, Attributes, bool)> {
        let mut left: Vec<(usize, Attributes, bool)> = Vec::new();
        for (peer, far) in self.far.iter().enumerate() {
            let Some(held) = far.held.get(&prefix) else { continue };
            if held.attributes.as_path.contains(asn(AS)) {
                continue;
            }
            if let Some((route, _)) = judged(far.import, prefix, held.attributes.clone()) {
                left.push((peer, route, held.stale));
            }
        }
        let preference = left.iter().map(|one| one.1.local_pref.unwrap_or(100)).max()?;
        left.retain(|one| one.1.local_pref.unwrap_or(100) == preference);
        let hops = left.iter().map(|one| one.1.as_path.hops()).min()?;
        left.retain(|one| one.1.as_path.hops() == hops);
        let mut lowest: BTreeMap<Option<Asn>, u32> = BTreeMap::new();
        for (_, route, _) in &left {
            let med = route.med.unwrap_or(0);
            let known = lowest.entry(route.as_path.first()).or_insert(med);
            *known = med.min(*known);
        }
        left.retain(|one| one.1.med.unwrap_or(0) == lowest[&one.1.as_path.first()]);
        left.sort_by_key(|(peer, _, stale)| (KINDS[*peer] != PeerKind::External, *stale, *peer));
        left.into_iter().next().map(|(peer, route, stale)| (Some(peer), route, stale))
    }

    /// What `reader` must have been sent.
    fn expected(&self, reader: usize) -> BTreeMap<Prefix, Attributes> {
        let to = KINDS[reader];
        let mut all = BTreeMap::new();
        for prefix in PREFIXES.map(prefix) {
            let Some((from, route, _)) = self.best(prefix) else { continue };
            if from == Some(reader) {
                continue;
            }
            let has = |community| route.communities.contains(&community);
            if let Some(from) = from {
                let stays = has(Community::NO_ADVERTISE)
                    || (to == PeerKind::External && has(Community::NO_EXPORT))
                    || (KINDS[from] == PeerKind::Internal && to == PeerKind::Internal);
                if stays {
                    continue;
                }
            }
            let export = self.far[reader].export;
            let Some((mut route, med)) = judged(export, prefix, route) else { continue };
            if to == PeerKind::External {
                route.as_path = route.as_path.prepend(asn(AS), 1);
                route.local_pref = None;
                if from.is_some() && !med {
                    route.med = None;
                }
                if from.is_some() {
                    let (v4, v6) = ("192.0.2.254", "2001:db8::254");
                    let own = if prefix.family() == Family::Ipv4Unicast { v4 } else { v6 };
                    route.next_hop = own.parse::<IpAddr>().unwrap().into();
                }
            } else {
                route.local_pref.get_or_insert(100);
                if let Some(from) = from.filter(|from| KINDS[*from] != PeerKind::External) {
                    route.originator_id = Some(router_id(100 + from as u8));
                    route.cluster_list = Box::new([ClusterId(Ipv4Addr::new(10, 0, 0, 1))]);
                }
            }
            all.insert(prefix, route);
        }
        all
    }

    fn check(&mut self) {
        let changes = settle(&mut self.rib);
        self.hear(changes);
        for peer in 0..KINDS.len() {
            self.far[peer].listener.drain(&mut self.rib, key(peer));
        }
        for prefix in PREFIXES.map(prefix) {
            let best = self.best(prefix).map(|(from, attributes, stale)| Route {
                attributes: Arc::new(attributes),
                from: from.map_or(RoutesFrom::Local, |peer| RoutesFrom::Peer(key(peer))),
                stale,
            });
            assert_eq!(self.told.get(&prefix), best.as_ref(), "best of {prefix}");
        }
        let known: BTreeMap<Prefix, Route> = self.rib.best_routes().collect();
        assert_eq!(known, self.told);
        for (peer, far) in self.far.iter().enumerate() {
            self.check_counters(peer, far);
            if far.up {
                let expected = self.expected(peer);
                assert_eq!(far.listener.routes, expected, "peer {peer}");
                assert_eq!(far.listener.ended, Families::ALL, "End-of-RIB to peer {peer}");
                let view: BTreeMap<Prefix, Attributes> = self
                    .rib
                    .advertised(key(peer))
                    .map(|view| (view.prefix, (*view.attributes).clone()))
                    .collect();
                assert_eq!(view, expected, "the view of peer {peer}");
            }
        }
    }

    fn check_counters(&self, peer: usize, far: &Far) {
        for family in Family::ALL {
            let counters = self.rib.counters(key(peer), family);
            let held = far.held.iter().filter(|(prefix, _)| prefix.family() == family);
            let usable = |(prefix, held): &(&Prefix, &Held)| {
                !held.attributes.as_path.contains(asn(AS))
                    && judged(far.import, **prefix, held.attributes.clone()).is_some()
            };
            assert_eq!(counters.received as usize, held.clone().count());
            assert_eq!(counters.accepted as usize, held.clone().filter(usable).count());
            assert_eq!(counters.stale as usize, held.filter(|(_, held)| held.stale).count());
            let sent =
                self.expected(peer).keys().filter(|prefix| prefix.family() == family).count();
            assert_eq!(counters.advertised as usize, if far.up { sent } else { 0 });
        }
    }

    /// Takes everything back: nothing may be left.
    fn check_empty_after_all(mut self) {
        for peer in 0..KINDS.len() {
            self.rib.peer_removed(key(peer));
        }
        for prefix in PREFIXES {
            self.rib.withdraw(super::prefix(prefix));
        }
        settle(&mut self.rib);
        assert_eq!(self.rib.attribute_sets(), 0);
        assert_eq!(Family::ALL.map(|family| self.rib.prefixes(family)), [0, 0]);
        assert_eq!(self.rib.group_statistics().0, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn everyone_has_what_the_model_says(
        scripts in prop::collection::vec(prop::collection::vec(step(), 1..60), 1..4),
    ) {
        let mut world = World::new();
        for peer in 0..KINDS.len() {
            world.take(Step::Up { peer });
        }
        for script in scripts {
            for step in script {
                world.take(step);
            }
            world.check();
        }
        world.check_empty_after_all();
    }
}
