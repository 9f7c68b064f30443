//! The decision process (RFC 4271 section 9.1, RFC 4456 section 9): of the usable paths to a
//! prefix, each step keeps those that are best by its measure, until one is left.
//!
//! | step | keeps | a loser's reason | source |
//! |---|---|---|---|
//! | 0 | what policy accepted, without a loop, with a next hop that is not our own | `Policy`, `AsLoop`, `ReflectionLoop`, `OwnNextHop` | RFC 4271 9.1.2, RFC 4456 8 |
//! | 1 | the highest local preference; 100 where none is given | `LocalPref` | RFC 4271 9.1.1 |
//! | 2 | our own announcement | `NotLocal` | custom of the field |
//! | 3 | the fewest hops in AS_PATH; a set is one | `AsPathLength` | RFC 4271 9.1.2.2 a |
//! | 4 | the lowest origin | `Origin` | 9.1.2.2 b |
//! | 5 | of each neighbouring AS the lowest MED; 0 where none is given | `Med` | 9.1.2.2 c |
//! | 6 | what external peers sent, where one did | `Internal` | 9.1.2.2 d |
//! | 7 | what is fresh, where something is | `Stale` | RFC 4724 4.2 |
//! | 8 | the lowest router id, ORIGINATOR_ID in its place | `RouterId` | 9.1.2.2 f, RFC 4456 9 |
//! | 9 | the shortest CLUSTER_LIST | `ClusterList` | RFC 4456 9 |
//! | 10 | the lowest peer address | `PeerAddress` | 9.1.2.2 g |
//!
//! The interior cost of the next hop (9.1.2.2 e) is not compared: next hops are reached
//! directly, so all cost the same.
//!
//! Step 5 compares within groups and drops every path that another of its group beats; it never
//! folds pairs, because "lower MED or else the next step" is not a transitive order.

use super::peers::Peers;
use super::table::{From, Path, Standing};
use super::{LostBecause, PeerKind};
use crate::rib::intern::Interner;
use crate::types::{Asn, Attributes};

/// Local preference of a route that carries none.
pub(super) const DEFAULT_LOCAL_PREF: u32 = 100;

/// What steps 1, 3 and 4 compare, computed once for an attribute set: the lower wins.
///
/// From the top: local preference inverted (32 bits), the place of step 2 (1), hops (29),
/// origin (2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(u64);

impl Rank {
    const NOT_LOCAL: u64 = 1 << 31;
    const HOPS: u64 = (1 << 29) - 1;

    pub(super) fn of(attributes: &Attributes) -> Rank {
        let preference = !attributes.local_pref.unwrap_or(DEFAULT_LOCAL_PREF);
        let hops = (attributes.as_path.hops() as u64).min(Self::HOPS);
        Rank(u64::from(preference) << 32 | hops << 2 | attributes.origin as u64)
    }

    fn of_path(self, from: From) -> Rank {
        if from == From::LOCAL { self } else { Rank(self.0 | Self::NOT_LOCAL) }
    }

    /// Which of steps 1 to 4 tells a loser from a better rank.
    fn lost_to(self, better: Rank) -> LostBecause {
        match self.0 ^ better.0 {
            differ if differ >> 32 != 0 => LostBecause::LocalPref,
            differ if differ & Self::NOT_LOCAL != 0 => LostBecause::NotLocal,
            differ if differ >> 2 != 0 => LostBecause::AsPathLength,
            _ => LostBecause::Origin,
        }
    }
}

/// What steps 5 to 10 compare.
#[derive(Debug, Clone, Copy)]
struct Rest {
    /// Where the path stands among the paths of the prefix.
    index: usize,
    neighbor: Option<Asn>,
    med: u32,
    internal: bool,
    stale: bool,
    router_id: u32,
    clusters: usize,
    address: Option<std::net::IpAddr>,
}

impl Rest {
    fn of(index: usize, path: Path, attrs: &Interner, peers: &Peers) -> Rest {
        let attributes = attrs.get(path.used);
        let peer = path.from().key().and_then(|key| peers.get(key));
        let router_id = attributes.originator_id.or(peer.map(|peer| peer.info.router_id));
        Rest {
            index,
            neighbor: attributes.as_path.first(),
            med: attributes.med.unwrap_or(0),
            internal: peer.is_some_and(|peer| peer.info.kind != PeerKind::External),
            stale: path.is_stale(),
            router_id: router_id.map_or(0, |id| u32::from(id.to_ipv4())),
            clusters: attributes.cluster_list.len(),
            address: peer.map(|peer| peer.info.address),
        }
    }
}

/// The index of the best of `paths`; `None` where none is usable.
pub(super) fn select(paths: &[Path], attrs: &Interner, peers: &Peers) -> Option<usize> {
    if let [only] = paths {
        return only.is_usable().then_some(0);
    }
    decide(paths, attrs, peers, &mut |_, _| ())
}

/// For each of `paths` why it lost; `None` for the best. The name of a refusing rule is found by
/// judging again, which a pure policy allows.
pub(super) fn reasons(
    paths: &[Path],
    attrs: &Interner,
    peers: &Peers,
    refusal: impl Fn(Path) -> std::sync::Arc<str>,
) -> Vec<Option<LostBecause>> {
    let mut reasons: Vec<Option<LostBecause>> = paths
        .iter()
        .map(|path| match path.standing() {
            Standing::Usable => None,
            Standing::Refused => Some(LostBecause::Policy(refusal(*path))),
            Standing::AsLoop => Some(LostBecause::AsLoop),
            Standing::ReflectionLoop => Some(LostBecause::ReflectionLoop),
            Standing::OwnNextHop => Some(LostBecause::OwnNextHop),
            Standing::RouteLeak => Some(LostBecause::RouteLeak),
            Standing::ForeignPath => Some(LostBecause::ForeignPath),
        })
        .collect();
    decide(paths, attrs, peers, &mut |index, reason| {
        if let Some(slot) = reasons.get_mut(index) {
            *slot = Some(reason);
        }
    });
    reasons
}

fn decide(
    paths: &[Path],
    attrs: &Interner,
    peers: &Peers,
    lost: &mut impl FnMut(usize, LostBecause),
) -> Option<usize> {
    // Steps 0 to 4.
    let rank = |path: &Path| attrs.rank(path.used).of_path(path.from());
    let usable = || paths.iter().enumerate().filter(|(_, path)| path.is_usable());
    let best = usable().map(|(_, path)| rank(path)).min()?;
    let mut left = usable().filter(|(_, path)| rank(path) == best);
    let first = left.next()?;
    let second = left.next();
    for (index, path) in usable().filter(|(_, path)| rank(path) != best) {
        lost(index, rank(path).lost_to(best));
    }
    let Some(second) = second else { return Some(first.0) };
    let mut rest: Vec<Rest> = [first, second]
        .into_iter()
        .chain(left)
        .map(|(index, path)| Rest::of(index, *path, attrs, peers))
        .collect();
    // Step 5.
    let all = rest.clone();
    rest.retain(|one| {
        let beaten = all.iter().any(|other| other.neighbor == one.neighbor && other.med < one.med);
        if beaten {
            lost(one.index, LostBecause::Med);
        }
        !beaten
    });
    keep_lowest(&mut rest, |one| one.internal, &LostBecause::Internal, lost); // 6
    keep_lowest(&mut rest, |one| one.stale, &LostBecause::Stale, lost); // 7
    keep_lowest(&mut rest, |one| one.router_id, &LostBecause::RouterId, lost); // 8
    keep_lowest(&mut rest, |one| one.clusters, &LostBecause::ClusterList, lost); // 9
    keep_lowest(&mut rest, |one| one.address, &LostBecause::PeerAddress, lost); // 10
    let (best, equal) = rest.split_first()?;
    for one in equal {
        lost(one.index, LostBecause::PeerAddress);
    }
    Some(best.index)
}

fn keep_lowest<M: Ord>(
    rest: &mut Vec<Rest>,
    measure: impl Fn(&Rest) -> M,
    reason: &LostBecause,
    lost: &mut impl FnMut(usize, LostBecause),
) {
    if let Some(lowest) = rest.iter().map(&measure).min() {
        rest.retain(|one| {
            let keep = measure(one) == lowest;
            if !keep {
                lost(one.index, reason.clone());
            }
            keep
        });
    }
}
