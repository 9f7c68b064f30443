//! The difference between two configurations of one peer, and between two sets of peers. Pure.
//!
//! In go what is and what shall be; out comes, for each peer, what must be done and whether its
//! session survives it. Peers are matched by address, so that a new name is no new peer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use twill_bgp_proto::types::Asn;

use crate::settings::PeerConfig;

/// What a new set of peers did to one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerChange {
    /// The peer, by its new name where it got one.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// What was done.
    pub outcome: Outcome,
}

/// What was done to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// New.
    Added,
    /// Gone: Cease, peer deconfigured.
    Removed,
    /// As before.
    Unchanged,
    /// These keys were changed without touching the session.
    Updated(Vec<&'static str>),
    /// These keys were changed, and the session had to end for it.
    Bounced(Vec<&'static str>),
    /// Impossible; whatever was in force before still is.
    Refused(String),
}

impl fmt::Display for PeerChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peer {} ({}): ", self.name, self.address)?;
        match &self.outcome {
            Outcome::Added => f.write_str("added"),
            Outcome::Removed => f.write_str("removed"),
            Outcome::Unchanged => f.write_str("unchanged"),
            Outcome::Updated(keys) => write!(f, "updated live: {}", keys.join(", ")),
            Outcome::Bounced(keys) => write!(f, "session reset for: {}", keys.join(", ")),
            Outcome::Refused(why) => write!(f, "refused: {why}"),
        }
    }
}

/// How one peer's configuration changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Difference {
    /// Keys whose change ends the session.
    pub(crate) bounce: Vec<&'static str>,
    /// Keys whose change does not.
    pub(crate) live: Vec<&'static str>,
}

impl Difference {
    /// As told to whoever asked for the change.
    pub(crate) fn outcome(&self) -> Outcome {
        match (self.bounce.is_empty(), self.live.is_empty()) {
            (true, true) => Outcome::Unchanged,
            (true, false) => Outcome::Updated(self.live.clone()),
            (false, _) => Outcome::Bounced([&*self.bounce, &*self.live].concat()),
        }
    }
}

/// Compares two configurations of one address. `ours` decides whether the part in reflection
/// means anything.
pub(crate) fn difference(old: &PeerConfig, new: &PeerConfig, ours: Asn) -> Difference {
    let internal = old.asn == ours && new.asn == ours;
    let bounce = [
        ("asn", old.asn != new.asn),
        ("kind", internal && old.kind != new.kind),
        ("localAddress", old.local_address != new.local_address),
        ("holdTime", old.hold_time != new.hold_time),
        ("families", old.families != new.families),
        ("localAsn", old.local_asn != new.local_asn),
        ("role", old.role != new.role),
        ("enforceFirstAs", old.own_as_first != new.own_as_first),
        ("honorGracefulShutdown", old.graceful_shutdown != new.graceful_shutdown),
        ("extendedNextHop", old.extended_next_hop != new.extended_next_hop),
        ("gracefulNotification", old.graceful_notification != new.graceful_notification),
        ("password", old.password != new.password),
        ("nextHops", old.next_hops != new.next_hops),
        ("shutdown", new.shutdown.is_some() && old.shutdown.is_none()),
    ];
    let live = [
        ("name", old.name != new.name),
        ("port", old.port != new.port),
        ("passive", old.passive != new.passive),
        ("connectRetry", old.connect_retry != new.connect_retry),
        ("connectRetryMax", old.connect_retry_max != new.connect_retry_max),
        ("sendHoldTime", old.send_hold_time != new.send_hold_time),
        ("ttl", old.ttl != new.ttl),
        ("endpoints", old.endpoints != new.endpoints),
        ("import", old.import != new.import),
        ("export", old.export != new.export),
        ("maxPrefixes", old.max_prefixes != new.max_prefixes),
        ("awaited", old.awaited != new.awaited),
        ("shutdown", old.shutdown.is_some() && old.shutdown != new.shutdown),
    ];
    let named = |keys: &[(&'static str, bool)]| {
        keys.iter().filter(|(_, differs)| *differs).map(|(key, _)| *key).collect()
    };
    Difference { bounce: named(&bounce), live: named(&live) }
}

/// What to do, in this order: names and addresses of those removed are free for those added.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) remove: Vec<Arc<PeerConfig>>,
    pub(crate) change: Vec<(Arc<PeerConfig>, Difference)>,
    pub(crate) add: Vec<Arc<PeerConfig>>,
    pub(crate) refused: Vec<PeerChange>,
}

/// Plans the way from the peers that are to those that shall be.
pub(crate) fn plan(
    old: &BTreeMap<IpAddr, Arc<PeerConfig>>,
    new: Vec<PeerConfig>,
    ours: Asn,
) -> Plan {
    let mut plan = Plan::default();
    let mut names = BTreeSet::new();
    let mut kept = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for peer in new {
        let addresses = peer.addresses();
        let fault = if let Some(double) = addresses.intersection(&taken).next() {
            Some(format!("another peer has the address {double}"))
        } else if !names.insert(peer.name.clone()) {
            Some(format!("another peer has the name {}", peer.name))
        } else {
            peer.fault_of(ours)
        };
        // A refused peer keeps what it had: it is no reason to take its session away.
        kept.insert(peer.address);
        taken.extend(addresses);
        if let Some(fault) = fault {
            let outcome = Outcome::Refused(fault);
            plan.refused.push(PeerChange { name: peer.name, address: peer.address, outcome });
            continue;
        }
        match old.get(&peer.address) {
            None => plan.add.push(Arc::new(peer)),
            Some(before) => {
                let difference = difference(before, &peer, ours);
                plan.change.push((Arc::new(peer), difference));
            }
        }
    }
    plan.remove =
        old.values().filter(|peer| !kept.contains(&peer.address)).map(Arc::clone).collect();
    plan
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use twill_bgp_proto::rib::PeerKind;
    use twill_bgp_proto::rib::policy::Policy;
    use twill_bgp_proto::types::{Families, HoldTime};

    use super::*;
    use crate::settings::{Endpoint, MaxPrefixes, Secret, Ttl};

    fn asn() -> Asn {
        Asn::new(64512).unwrap()
    }

    fn peer(name: &str, address: &str) -> PeerConfig {
        PeerConfig::new(name, address.parse().unwrap(), asn())
    }

    fn endpoint(address: &str) -> Endpoint {
        let address = address.parse().unwrap();
        Endpoint { address, local: None, ttl: Ttl::Gtsm(255), dialled: true }
    }

    #[test]
    fn each_key_bounces_or_not() {
        let a = || peer("a", "192.0.2.1");
        let everything = Policy::accept_all();
        let limit = MaxPrefixes { limit: 1, warn_at: None, restart_after: None };
        let second = Duration::from_secs(1);
        let rows: [(PeerConfig, Outcome); 25] = [
            (a(), Outcome::Unchanged),
            (peer("b", "192.0.2.1"), Outcome::Updated(vec!["name"])),
            (a().port(1179), Outcome::Updated(vec!["port"])),
            (a().passive(), Outcome::Updated(vec!["passive"])),
            (a().connect_retry(Duration::from_secs(9)), Outcome::Updated(vec!["connectRetry"])),
            (a().ttl(Ttl::Gtsm(255)), Outcome::Updated(vec!["ttl"])),
            (a().import(everything.clone()), Outcome::Updated(vec!["import"])),
            (a().export(everything), Outcome::Updated(vec!["export"])),
            (a().max_prefixes(limit), Outcome::Updated(vec!["maxPrefixes"])),
            (a().not_awaited(), Outcome::Updated(vec!["awaited"])),
            (PeerConfig { asn: Asn::TRANS, ..a() }, Outcome::Bounced(vec!["asn"])),
            (a().kind(PeerKind::Client), Outcome::Bounced(vec!["kind"])),
            (a().hold_time(HoldTime::DISABLED), Outcome::Bounced(vec!["holdTime"])),
            (
                a().local_address("192.0.2.9".parse().unwrap()),
                Outcome::Bounced(vec!["localAddress"]),
            ),
            (
                a().families(Families::ALL.without(twill_bgp_proto::types::Family::Ipv6Unicast)),
                Outcome::Bounced(vec!["families"]),
            ),
            (a().password(Secret::new("x")).port(1179), Outcome::Bounced(vec!["password", "port"])),
            (a().next_hop("192.0.2.8".parse().unwrap()), Outcome::Bounced(vec!["nextHops"])),
            (a().connect_retry_max(second), Outcome::Updated(vec!["connectRetryMax"])),
            (a().send_hold_time(second), Outcome::Updated(vec!["sendHoldTime"])),
            (a().any_as_first(), Outcome::Bounced(vec!["enforceFirstAs"])),
            (a().ignore_graceful_shutdown(), Outcome::Bounced(vec!["honorGracefulShutdown"])),
            (a().extended_next_hop(), Outcome::Bounced(vec!["extendedNextHop"])),
            (a().graceful_notification(), Outcome::Bounced(vec!["gracefulNotification"])),
            (a().shutdown(""), Outcome::Bounced(vec!["shutdown"])),
            (a().endpoints(vec![endpoint("192.0.2.1")]), Outcome::Updated(vec!["endpoints"])),
        ];
        for (new, expected) in rows {
            assert_eq!(difference(&a(), &new, asn()).outcome(), expected);
        }
    }

    #[test]
    fn what_is_down_has_nothing_to_bounce() {
        let down = || peer("a", "192.0.2.1").shutdown("disk swap");
        for new in [peer("a", "192.0.2.1"), down().shutdown("other words")] {
            let outcome = difference(&down(), &new, asn()).outcome();
            assert_eq!(outcome, Outcome::Updated(vec!["shutdown"]));
        }
    }

    #[test]
    fn an_external_peer_has_no_part_in_reflection() {
        let old = PeerConfig { asn: Asn::TRANS, ..peer("a", "192.0.2.1") };
        let new = old.clone().kind(PeerKind::External);
        assert_eq!(difference(&old, &new, asn()), Difference::default());
    }

    #[test]
    fn a_set_is_taken_as_a_whole() {
        let old = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
            .map(|address| (address.parse().unwrap(), Arc::new(peer(address, address))));
        let new = vec![
            peer("192.0.2.1", "192.0.2.1"),
            peer("renamed", "192.0.2.2"),
            peer("new", "192.0.2.4"),
        ];
        let plan = plan(&BTreeMap::from(old), new, asn());
        let names = |peers: &[Arc<PeerConfig>]| {
            peers.iter().map(|peer| peer.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(&plan.remove), ["192.0.2.3"]);
        assert_eq!(names(&plan.add), ["new"]);
        let outcomes: Vec<_> =
            plan.change.iter().map(|(_, difference)| difference.outcome()).collect();
        assert_eq!(outcomes, [Outcome::Unchanged, Outcome::Updated(vec!["name"])]);
        assert!(plan.refused.is_empty());
    }

    #[test]
    fn names_may_be_swapped() {
        let old = BTreeMap::from(
            [("a", "192.0.2.1"), ("b", "192.0.2.2")]
                .map(|(name, address)| (address.parse().unwrap(), Arc::new(peer(name, address)))),
        );
        let plan = plan(&old, vec![peer("b", "192.0.2.1"), peer("a", "192.0.2.2")], asn());
        assert!(plan.refused.is_empty() && plan.add.is_empty() && plan.remove.is_empty());
        assert_eq!(plan.change.len(), 2);
    }

    #[test]
    fn doubles_are_refused_and_the_first_stays() {
        let new = vec![
            peer("a", "192.0.2.1"),
            peer("b", "192.0.2.1"),
            peer("a", "192.0.2.2"),
            peer("c", "0.0.0.0"),
            peer("d", "192.0.2.3").endpoints(vec![endpoint("192.0.2.3"), endpoint("192.0.2.1")]),
            peer("e", "192.0.2.4").endpoints(vec![endpoint("192.0.2.5")]),
        ];
        let plan = plan(&BTreeMap::new(), new, asn());
        assert_eq!(plan.add.len(), 1);
        let texts: Vec<_> = plan.refused.iter().map(PeerChange::to_string).collect();
        assert_eq!(
            texts,
            [
                "peer b (192.0.2.1): refused: another peer has the address 192.0.2.1",
                "peer a (192.0.2.2): refused: another peer has the name a",
                "peer c (0.0.0.0): refused: 0.0.0.0 is not the address of one host",
                "peer d (192.0.2.3): refused: another peer has the address 192.0.2.1",
                "peer e (192.0.2.4): refused: 192.0.2.4 is not among its own endpoints",
            ]
        );
    }

    #[test]
    fn a_refused_change_leaves_the_peer_as_it_was() {
        let old =
            BTreeMap::from([("192.0.2.1".parse().unwrap(), Arc::new(peer("a", "192.0.2.1")))]);
        let plan = plan(&old, vec![peer("a", "192.0.2.1").port(0)], asn());
        assert!(plan.remove.is_empty() && plan.change.is_empty());
        assert_eq!(plan.refused.len(), 1);
    }
}
