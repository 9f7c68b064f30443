//! Who there is and who speaks with whom: full meshes, meshes behind reflectors, and small random
//! networks of several ASes. Addresses, prefixes and policies follow from a speaker's number.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use twill_bgp_proto::rib::PeerKind;
use twill_bgp_proto::rib::policy::{Match, Policy, PrefixSet, Rule, Source, Then};
use twill_bgp_proto::types::{Asn, Ipv4Prefix, Ipv6Prefix, Prefix, RouterId};

use crate::random::Random;

/// The AS of a mesh.
const MESH_AS: u32 = 64512;

/// More prefixes than this no speaker has.
const PREFIXES: u32 = 8;

/// Nodes up to which a reflector's client judges each by a rule of its own, as an agent does;
/// beyond, one rule knows all prefixes and all next hops.
const RULES: usize = 300;

/// What a world is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shape {
    /// Everyone speaks with everyone, within one AS.
    Full,
    /// Everyone speaks with the reflectors alone, within one AS.
    Reflectors,
    /// Several ASes, each a full mesh or behind reflectors, and external sessions between them.
    Ases,
}

/// One speaker.
#[derive(Debug)]
pub struct Member {
    pub(crate) asn: Asn,
    pub(crate) router_id: RouterId,
    pub(crate) reflector: bool,
    pub(crate) peers: Vec<Neighbor>,
    pub(crate) prefixes: u32,
}

/// A speaker as one of its peers has it configured.
#[derive(Debug, Clone)]
pub(crate) struct Neighbor {
    pub(crate) speaker: u32,
    /// Where the other has us among its own.
    pub(crate) back: u32,
    pub(crate) kind: PeerKind,
    pub(crate) passive: bool,
    pub(crate) import: Arc<Policy>,
    pub(crate) export: Arc<Policy>,
}

/// The whole of it.
#[derive(Debug)]
pub struct Topology {
    /// By number.
    pub members: Vec<Member>,
    /// What it is.
    pub shape: Shape,
}

pub(crate) fn ipv4_of(speaker: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0001 + speaker)
}

pub(crate) fn ipv6_of(speaker: u32) -> Ipv6Addr {
    Ipv6Addr::from(0xfd00_u128 << 112 | u128::from(speaker + 1))
}

/// The speaker at an address of [`ipv4_of`] or [`ipv6_of`].
pub(crate) fn speaker_at(address: IpAddr) -> Option<u32> {
    match address {
        IpAddr::V4(address) => u32::from(address).checked_sub(0x0a00_0001),
        IpAddr::V6(address) => (u128::from(address) as u32).checked_sub(1),
    }
}

/// The prefix of a speaker's own at `index`: IPv4 where that is even.
pub(crate) fn prefix_of(speaker: u32, index: u32) -> Option<Prefix> {
    if index.is_multiple_of(2) {
        let address = Ipv4Addr::from(0x1400_0000 + ((speaker * PREFIXES + index) << 8));
        Ipv4Prefix::truncating(address, 24).map(Prefix::V4)
    } else {
        let place = u128::from(speaker) << 72 | u128::from(index) << 64;
        Ipv6Prefix::truncating(Ipv6Addr::from(0xfd01_u128 << 112 | place), 64).map(Prefix::V6)
    }
}

/// Whose prefix of [`prefix_of`] it is, and which.
pub(crate) fn owner_of(prefix: Prefix) -> Option<(u32, u32)> {
    match prefix {
        Prefix::V4(prefix) => {
            let number = u32::from(prefix.address()).checked_sub(0x1400_0000)? >> 8;
            Some((number / PREFIXES, number % PREFIXES))
        }
        Prefix::V6(prefix) => {
            let bits = u128::from(prefix.address());
            Some(((bits >> 72) as u32 & 0x00ff_ffff, (bits >> 64) as u32 & 0xff))
        }
    }
}

fn rule(name: &str, when: Vec<Match>, then: Then) -> Rule {
    Rule { name: name.into(), when, then }
}

fn accept(name: &str, when: Vec<Match>) -> Rule {
    rule(name, when, Then::Accept(Vec::new()))
}

fn addresses(speaker: u32) -> [IpAddr; 2] {
    [ipv4_of(speaker).into(), ipv6_of(speaker).into()]
}

fn by_way_of(speakers: impl IntoIterator<Item = u32>) -> Match {
    let addresses: BTreeSet<IpAddr> = speakers.into_iter().flat_map(addresses).collect();
    Match::NextHopIn(Arc::new(addresses))
}

fn prefixes_of(speakers: impl IntoIterator<Item = u32>, count: u32) -> Match {
    let own = |speaker| (0..count).filter_map(move |index| prefix_of(speaker, index));
    Match::PrefixIn(PrefixSet::exact(speakers.into_iter().flat_map(own).collect::<Vec<_>>()))
}

fn reject(name: &str) -> Rule {
    rule(name, Vec::new(), Then::Reject)
}

/// Refuses everything: what a test puts in a policy's place.
pub(crate) fn nothing() -> Arc<Policy> {
    Arc::new(Policy::reject_all("shut by the script"))
}

/// What a node may send: its own prefixes, by way of itself.
fn from_node(speaker: u32, count: u32) -> Arc<Policy> {
    let elsewhere = rule(
        "next hop is another's",
        vec![Match::Not(Box::new(by_way_of([speaker])))],
        Then::Reject,
    );
    let own = accept("its own", vec![prefixes_of([speaker], count)]);
    Arc::new(Policy { rules: vec![elsewhere, own], otherwise: reject("not its own") })
}

/// What a reflector may send: what each node might have sent itself.
fn from_reflector(members: u32, count: u32) -> Arc<Policy> {
    let rules = if members as usize <= RULES {
        (0..members)
            .map(|node| {
                accept("by way of its owner", vec![by_way_of([node]), prefixes_of([node], count)])
            })
            .collect()
    } else {
        let all = vec![by_way_of(0..members), prefixes_of(0..members, count)];
        vec![accept("of the mesh, by way of the mesh", all)]
    };
    Arc::new(Policy { rules, otherwise: reject("no node's own") })
}

fn to_mesh(reflector: bool) -> Arc<Policy> {
    let mut rules = vec![accept("our own", vec![Match::Source(Source::Local)])];
    if reflector {
        rules.push(accept("reflected", vec![Match::Source(Source::Internal)]));
    }
    Arc::new(Policy { rules, otherwise: reject("neither our own nor to be reflected") })
}

/// Identifiers that are in another order than numbers and addresses.
fn router_ids(count: u32, random: &mut Random) -> Vec<RouterId> {
    let mut numbers: Vec<u32> = (0..count).collect();
    for place in (1..numbers.len()).rev() {
        numbers.swap(place, random.place(place + 1));
    }
    let ids = numbers.into_iter().map(|number| Ipv4Addr::from(0xc000_0000 + number));
    ids.filter_map(RouterId::new).collect()
}

impl Topology {
    /// Everyone with everyone; each has `prefixes` of its own.
    pub fn full(count: u32, prefixes: u32, random: &mut Random) -> Topology {
        let mut topology = Topology::apart(Shape::Full, count, prefixes, random);
        let export = to_mesh(false);
        let imports: Vec<_> = (0..count).map(|node| from_node(node, prefixes)).collect();
        for one in 0..count {
            for other in one + 1..count {
                let policies = |towards: u32| {
                    let import = imports.get(towards as usize).cloned().unwrap_or_else(nothing);
                    (PeerKind::Internal, import, export.clone())
                };
                topology.join(one, other, policies(other), policies(one));
            }
        }
        topology
    }

    /// `count` speakers, of which the first `reflectors` reflect and are meshed; each of the
    /// others speaks with `homes` of them.
    pub fn reflectors(
        count: u32,
        reflectors: u32,
        homes: u32,
        prefixes: u32,
        random: &mut Random,
    ) -> Topology {
        let mut topology = Topology::apart(Shape::Reflectors, count, prefixes, random);
        let reflectors = reflectors.clamp(1, count);
        let from_reflector = from_reflector(count, prefixes);
        let (to, reflect) = (to_mesh(false), to_mesh(true));
        for member in topology.members.iter_mut().take(reflectors as usize) {
            member.reflector = true;
        }
        for one in 0..reflectors {
            for other in one + 1..reflectors {
                let policies = (PeerKind::Internal, from_reflector.clone(), reflect.clone());
                topology.join(one, other, policies.clone(), policies);
            }
        }
        for client in reflectors..count {
            for home in 0..homes.min(reflectors) {
                let reflector = (client + home) % reflectors;
                let up = (PeerKind::Internal, from_reflector.clone(), to.clone());
                let down = (PeerKind::Client, from_node(client, prefixes), reflect.clone());
                topology.join(client, reflector, up, down);
            }
        }
        topology
    }

    /// A connected network of `count` speakers in several ASes.
    pub fn ases(count: u32, prefixes: u32, random: &mut Random) -> Topology {
        let mut topology = Topology::apart(Shape::Ases, count, prefixes, random);
        let ases = random.between(2, u64::from(count.max(2))) as u32;
        let asn = |speaker: u32| Asn::new(64_600 + speaker % ases).unwrap_or(Asn::TRANS);
        for (speaker, member) in (0u32..).zip(&mut topology.members) {
            member.asn = asn(speaker);
        }
        let all = Arc::new(Policy::accept_all());
        for group in 0..ases {
            let inside: Vec<u32> = (0..count).filter(|one| one % ases == group).collect();
            let reflected = inside.len() > 2 && random.once_in(2);
            if let Some(first) = inside.first().filter(|_| reflected) {
                topology.set_reflector(*first);
            }
            for (place, one) in inside.iter().enumerate() {
                for other in inside.iter().skip(place + 1) {
                    if reflected && place > 0 {
                        continue;
                    }
                    let towards = if reflected { PeerKind::Client } else { PeerKind::Internal };
                    let policies = |kind| (kind, all.clone(), all.clone());
                    topology.join(*one, *other, policies(towards), policies(PeerKind::Internal));
                }
            }
        }
        let external = || (PeerKind::External, all.clone(), all.clone());
        // Each AS but the first has a way to one before it; then some more.
        for group in 1..ases {
            let before = random.below(u64::from(group)) as u32;
            topology.join(group, before, external(), external());
        }
        for _ in 0..random.below(u64::from(count)) {
            let (one, other) = (random.place(count as usize), random.place(count as usize));
            let (one, other) = (one as u32, other as u32);
            if asn(one) != asn(other) && !topology.are_joined(one, other) {
                topology.join(one, other, external(), external());
            }
        }
        topology.let_some_only_listen(random);
        topology
    }

    fn apart(shape: Shape, count: u32, prefixes: u32, random: &mut Random) -> Topology {
        let asn = Asn::new(MESH_AS).unwrap_or(Asn::TRANS);
        let members = router_ids(count, random).into_iter().map(|router_id| Member {
            asn,
            router_id,
            reflector: false,
            peers: Vec::new(),
            prefixes: prefixes.min(PREFIXES),
        });
        Topology { members: members.collect(), shape }
    }

    fn set_reflector(&mut self, speaker: u32) {
        if let Some(member) = self.members.get_mut(speaker as usize) {
            member.reflector = true;
        }
    }

    fn are_joined(&self, one: u32, other: u32) -> bool {
        let member = self.members.get(one as usize);
        member.is_some_and(|member| member.peers.iter().any(|peer| peer.speaker == other))
    }

    fn join(&mut self, one: u32, other: u32, ours: Sides, theirs: Sides) {
        let count = |speaker: u32| {
            self.members.get(speaker as usize).map_or(0, |member| member.peers.len() as u32)
        };
        let backs = [count(other), count(one)];
        for ((from, to, back), (kind, import, export)) in
            [(one, other, backs[0]), (other, one, backs[1])].into_iter().zip([ours, theirs])
        {
            if let Some(member) = self.members.get_mut(from as usize) {
                let passive = false;
                member.peers.push(Neighbor { speaker: to, back, kind, passive, import, export });
            }
        }
    }

    /// One side of some sessions does not dial.
    fn let_some_only_listen(&mut self, random: &mut Random) {
        for (speaker, member) in (0u32..).zip(&mut self.members) {
            for peer in member.peers.iter_mut().filter(|peer| peer.speaker > speaker) {
                peer.passive = random.once_in(4);
            }
        }
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.members.iter().map(|member| member.peers.len()).sum::<usize>() / 2
    }

    /// How many sessions of each speaker, by that number.
    pub fn degrees(&self) -> BTreeMap<usize, usize> {
        let mut degrees = BTreeMap::new();
        for member in &self.members {
            *degrees.entry(member.peers.len()).or_default() += 1;
        }
        degrees
    }
}

/// How the other stands to one side, and that side's policies.
type Sides = (PeerKind, Arc<Policy>, Arc<Policy>);
