use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use twill_bgp_proto::rib::PeerKind;
use twill_bgp_proto::rib::policy::Policy;
use twill_bgp_proto::session::{Passive, RoleOffer};
use twill_bgp_proto::types::{
    Asn, Attributes, ClusterId, Community, Families, Family, HoldTime, LargeCommunity, NextHop,
    Prefix, RouterId,
};

use crate::socket::KEY_MAXIMUM;

/// The port of BGP (RFC 4271 section 8.2.1).
pub const PORT: u16 = 179;

/// What a speaker is, once started.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our AS.
    pub asn: Asn,
    /// Our BGP Identifier.
    pub router_id: RouterId,
    /// Our cluster, where we reflect; the router id where `None`.
    pub cluster_id: Option<ClusterId>,
    /// Where to listen; empty: nowhere.
    pub listen: Vec<SocketAddr>,
    /// Graceful restart: how long peers may keep our routes. `None`: neither offered nor helped.
    pub restart_time: Option<Duration>,
    /// Families whose routes of the run before were found in the kernel: sets the R and F bits.
    /// Empty: a first start, which sends its End-of-RIB at once.
    pub preserved: Families,
    /// The longest wait for the End-of-RIB of peers after a restart (120 s). A first start waits
    /// for at most 10 s of it before it calls itself ready.
    pub deferral: Duration,
}

impl Settings {
    /// Listens nowhere, offers graceful restart of 120 s, and starts as if for the first time.
    pub fn new(asn: Asn, router_id: RouterId) -> Settings {
        Settings {
            asn,
            router_id,
            cluster_id: None,
            listen: Vec::new(),
            restart_time: Some(Duration::from_secs(120)),
            preserved: Families::NONE,
            deferral: Duration::from_secs(120),
        }
    }

    /// Listens on `port` of every IPv4 and IPv6 address.
    #[must_use]
    pub fn listen_on_all(self, port: u16) -> Settings {
        self.listen(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))
            .listen(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port))
    }

    /// Listens on one more address; port 0 takes a free one.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Settings {
        self.listen.push(address);
        self
    }

    /// Graceful restart (RFC 4724); `None` turns it off.
    #[must_use]
    pub fn restart_time(mut self, time: Option<Duration>) -> Settings {
        self.restart_time = time;
        self
    }

    /// Says that routes of the run before are still in the kernel.
    #[must_use]
    pub fn preserved(mut self, families: Families) -> Settings {
        self.preserved = families;
        self
    }

    /// The longest wait for End-of-RIB after a restart.
    #[must_use]
    pub fn deferral(mut self, longest: Duration) -> Settings {
        self.deferral = longest;
        self
    }
}

/// A secret that is never printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(pub Arc<[u8]>);

impl Secret {
    /// Takes the octets as they are.
    pub fn new(secret: impl AsRef<[u8]>) -> Secret {
        Secret(secret.as_ref().into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// The TTL sent, and the least accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ttl {
    /// Sends 255 and drops, in the kernel, what arrives with less than this (RFC 5082).
    Gtsm(u8),
    /// Sends this; 1 for a neighbour on the link.
    Hops(u8),
}

impl Ttl {
    /// The TTL of packets sent.
    pub const fn sent(self) -> u8 {
        match self {
            Ttl::Gtsm(_) => 255,
            Ttl::Hops(hops) => hops,
        }
    }

    /// Packets that arrive with less are dropped; 0 for none.
    pub const fn least_accepted(self) -> u8 {
        match self {
            Ttl::Gtsm(least) => least,
            Ttl::Hops(_) => 0,
        }
    }
}

/// One of several addresses of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The peer's.
    pub address: IpAddr,
    /// What it is dialled from; `None`: as the kernel chooses.
    pub local: Option<IpAddr>,
    /// TTL or GTSM on connections with this address.
    pub ttl: Ttl,
    /// Whether it is dialled. Connections from there are taken in any case.
    pub dialled: bool,
}

/// A limit on what a peer may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MaxPrefixes {
    /// Over this, the session ends with Cease, Maximum Number of Prefixes Reached (RFC 4486).
    pub limit: u32,
    /// From this on it is told that the limit is near; `None`: not before the end.
    pub warn_at: Option<u32>,
    /// How long to stay down after that; `None`: until reset.
    pub restart_after: Option<Duration>,
}

/// One peer. Compared field by field to find what must bounce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerConfig {
    /// Unique; how people and scripts call it.
    pub name: String,
    /// Unique; the peer is known by it, and its connections are matched by it.
    pub address: IpAddr,
    /// All addresses of a peer that has several, `address` among them, the best first. They are
    /// dialled in this order, the next one where one fails, and connections from each are the
    /// peer's. Empty: `address` alone, dialled from `local_address` with `ttl`.
    pub endpoints: Vec<Endpoint>,
    /// Where it listens.
    pub port: u16,
    /// Its AS; the session is internal where it is ours.
    pub asn: Asn,
    /// Its part in reflection, where it is internal. Where `asn` is not ours the peer is external,
    /// whatever stands here.
    pub kind: PeerKind,
    /// Whether we dial.
    pub passive: Passive,
    /// What we dial `address` from; `None`: as the kernel chooses.
    pub local_address: Option<IpAddr>,
    /// Proposed hold time.
    pub hold_time: HoldTime,
    /// Base of the back-off between attempts.
    pub connect_retry: Duration,
    /// Bounds the back-off where dialling failed (120 s). In a mesh, how long the network may be
    /// whole again before the session is.
    pub connect_retry_max: Duration,
    /// How long it may read nothing before the session ends (RFC 9687); `None`: eight minutes, or
    /// twice the hold time where that is more, and for ever where the hold time is 0.
    pub send_hold_time: Option<Duration>,
    /// Offered families.
    pub families: Families,
    /// TCP MD5 (RFC 2385).
    pub password: Option<Secret>,
    /// TTL or GTSM. Where there are `endpoints`, theirs counts.
    pub ttl: Ttl,
    /// What it may send us, and how it is changed.
    pub import: Arc<Policy>,
    /// What it is sent.
    pub export: Arc<Policy>,
    /// Limit on received prefixes, each family.
    pub max_prefixes: Option<MaxPrefixes>,
    /// The next hops, for next hop self, instead of the session's own addresses: of each family
    /// the first, unless our end of the session is itself among them.
    pub next_hops: Vec<IpAddr>,
    /// After a restart, whether its End-of-RIB is waited for.
    pub awaited: bool,
    /// Our AS towards this external peer, in place of our own; alone in what we send, and not put
    /// into what we receive (RFC 7705, replacing the old AS).
    pub local_asn: Option<Asn>,
    /// What we are to this external peer (RFC 9234).
    pub role: Option<RoleOffer>,
    /// Whether paths of this external peer must begin with its AS (RFC 4271 section 6.3). A route
    /// server's need not: where our role is that of its client, they are not asked to.
    pub own_as_first: bool,
    /// Whether GRACEFUL_SHUTDOWN on a route of this external peer makes it the last choice
    /// (RFC 8326).
    pub graceful_shutdown: bool,
    /// Whether we offer IPv4 routes with IPv6 next hops (RFC 8950). Over IPv6, our next hop is then
    /// our IPv6 address for both families, unless `next_hops` names an IPv4 one.
    pub extended_next_hop: bool,
    /// Whether we offer that a NOTIFICATION or the hold timer does not end forwarding (RFC 8538).
    /// Off, as in `docs/decisions/0023`: a peer that falls silent loses its routes at hold time.
    pub graceful_notification: bool,
    /// Down for as long as this stands here, with the operator's words for the peer, which may be
    /// empty (RFC 9003).
    pub shutdown: Option<String>,
}

impl PeerConfig {
    /// A neighbour on the link that is dialled on port 179, with both families, a hold time of
    /// 90 s, and policies that let nothing in or out (RFC 8212) until others are given.
    pub fn new(name: impl Into<String>, address: IpAddr, asn: Asn) -> PeerConfig {
        PeerConfig {
            name: name.into(),
            address,
            endpoints: Vec::new(),
            port: PORT,
            asn,
            kind: PeerKind::Internal,
            passive: Passive::No,
            local_address: None,
            hold_time: HoldTime::DEFAULT,
            connect_retry: Duration::from_secs(5),
            connect_retry_max: Duration::from_secs(120),
            send_hold_time: None,
            families: Families::ALL,
            password: None,
            ttl: Ttl::Hops(1),
            import: Arc::new(Policy::reject_all("no import policy (RFC 8212)")),
            export: Arc::new(Policy::reject_all("no export policy (RFC 8212)")),
            max_prefixes: None,
            next_hops: Vec::new(),
            awaited: true,
            local_asn: None,
            role: None,
            own_as_first: true,
            graceful_shutdown: true,
            extended_next_hop: false,
            graceful_notification: false,
            shutdown: None,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(mut self, port: u16) -> PeerConfig {
        self.port = port;
        self
    }

    /// Its part in reflection.
    #[must_use]
    pub fn kind(mut self, kind: PeerKind) -> PeerConfig {
        self.kind = kind;
        self
    }

    /// Never dials, only accepts.
    #[must_use]
    pub fn passive(mut self) -> PeerConfig {
        self.passive = Passive::Yes;
        self
    }

    /// What we dial from.
    #[must_use]
    pub fn local_address(mut self, address: IpAddr) -> PeerConfig {
        self.local_address = Some(address);
        self
    }

    /// All addresses of a peer that has several.
    #[must_use]
    pub fn endpoints(mut self, endpoints: Vec<Endpoint>) -> PeerConfig {
        self.endpoints = endpoints;
        self
    }

    /// Proposed hold time.
    #[must_use]
    pub fn hold_time(mut self, hold_time: HoldTime) -> PeerConfig {
        self.hold_time = hold_time;
        self
    }

    /// Base of the back-off between attempts.
    #[must_use]
    pub fn connect_retry(mut self, base: Duration) -> PeerConfig {
        self.connect_retry = base;
        self
    }

    /// Bounds the back-off where dialling failed.
    #[must_use]
    pub fn connect_retry_max(mut self, longest: Duration) -> PeerConfig {
        self.connect_retry_max = longest;
        self
    }

    /// How long it may read nothing before the session ends (RFC 9687).
    #[must_use]
    pub fn send_hold_time(mut self, longest: Duration) -> PeerConfig {
        self.send_hold_time = Some(longest);
        self
    }

    /// Offered families.
    #[must_use]
    pub fn families(mut self, families: Families) -> PeerConfig {
        self.families = families;
        self
    }

    /// TCP MD5 (RFC 2385).
    #[must_use]
    pub fn password(mut self, password: Secret) -> PeerConfig {
        self.password = Some(password);
        self
    }

    /// TTL or GTSM.
    #[must_use]
    pub fn ttl(mut self, ttl: Ttl) -> PeerConfig {
        self.ttl = ttl;
        self
    }

    /// What it may send us.
    #[must_use]
    pub fn import(mut self, policy: impl Into<Arc<Policy>>) -> PeerConfig {
        self.import = policy.into();
        self
    }

    /// What it is sent.
    #[must_use]
    pub fn export(mut self, policy: impl Into<Arc<Policy>>) -> PeerConfig {
        self.export = policy.into();
        self
    }

    /// Limit on received prefixes of each family.
    #[must_use]
    pub fn max_prefixes(mut self, maximum: MaxPrefixes) -> PeerConfig {
        self.max_prefixes = Some(maximum);
        self
    }

    /// One more address for next hop self.
    #[must_use]
    pub fn next_hop(mut self, address: IpAddr) -> PeerConfig {
        self.next_hops.push(address);
        self
    }

    /// Its End-of-RIB is not waited for after a restart.
    #[must_use]
    pub fn not_awaited(mut self) -> PeerConfig {
        self.awaited = false;
        self
    }

    /// Our AS towards this external peer.
    #[must_use]
    pub fn local_asn(mut self, asn: Asn) -> PeerConfig {
        self.local_asn = Some(asn);
        self
    }

    /// What we are to this external peer (RFC 9234).
    #[must_use]
    pub fn role(mut self, offer: RoleOffer) -> PeerConfig {
        self.role = Some(offer);
        self
    }

    /// Paths may begin with another AS than the peer's.
    #[must_use]
    pub fn any_as_first(mut self) -> PeerConfig {
        self.own_as_first = false;
        self
    }

    /// GRACEFUL_SHUTDOWN on a route means nothing.
    #[must_use]
    pub fn ignore_graceful_shutdown(mut self) -> PeerConfig {
        self.graceful_shutdown = false;
        self
    }

    /// IPv4 routes may have IPv6 next hops, where the peer offers it as well (RFC 8950).
    #[must_use]
    pub fn extended_next_hop(mut self) -> PeerConfig {
        self.extended_next_hop = true;
        self
    }

    /// NOTIFICATION and hold timer do not end forwarding, where the peer offers it as well
    /// (RFC 8538).
    #[must_use]
    pub fn graceful_notification(mut self) -> PeerConfig {
        self.graceful_notification = true;
        self
    }

    /// Its endpoints, at least one.
    pub(crate) fn all_endpoints(&self) -> Vec<Endpoint> {
        if self.endpoints.is_empty() {
            let PeerConfig { address, local_address: local, ttl, .. } = *self;
            return vec![Endpoint { address, local, ttl, dialled: true }];
        }
        self.endpoints.clone()
    }

    /// Its addresses, at least one.
    pub fn addresses(&self) -> BTreeSet<IpAddr> {
        let further = self.endpoints.iter().map(|endpoint| endpoint.address);
        std::iter::once(self.address).chain(further).collect()
    }

    /// TTL or GTSM on connections with one of its addresses.
    pub fn ttl_towards(&self, address: IpAddr) -> Ttl {
        let endpoint = self.endpoints.iter().find(|endpoint| endpoint.address == address);
        endpoint.map_or(self.ttl, |endpoint| endpoint.ttl)
    }

    /// Administratively down, with the operator's words for the peer (RFC 9003).
    #[must_use]
    pub fn shutdown(mut self, words: impl Into<String>) -> PeerConfig {
        self.shutdown = Some(words.into());
        self
    }

    /// What makes it impossible for a speaker of the AS `ours`, in words.
    pub(crate) fn fault_of(&self, ours: Asn) -> Option<String> {
        let internal = self.asn == ours;
        match self.local_asn {
            Some(local) if internal => Some(format!(
                "a local AS of {local} towards a peer of our own AS; it is for external peers"
            )),
            Some(local) if local == self.asn => {
                Some(format!("the local AS is the peer's own, {local}"))
            }
            _ if internal && self.role.is_some() => {
                Some("a role towards a peer of our own AS; it is for external peers".to_owned())
            }
            _ => self.fault(),
        }
    }

    /// What makes the configuration impossible, in words.
    pub(crate) fn fault(&self) -> Option<String> {
        if self.name.is_empty() {
            return Some("the name is empty".to_owned());
        }
        if let Some(fault) = self.all_endpoints().iter().find_map(endpoint_fault) {
            return Some(fault);
        }
        if !self.all_endpoints().iter().any(|endpoint| endpoint.address == self.address) {
            return Some(format!("{} is not among its own endpoints", self.address));
        }
        if self.port == 0 {
            return Some("port 0 cannot be dialled".to_owned());
        }
        if self.families.is_empty() {
            return Some("no address family".to_owned());
        }
        match self.password.as_ref().map(|password| password.0.len()) {
            Some(0) => Some("the password is empty".to_owned()),
            Some(length) if length > KEY_MAXIMUM => Some(format!(
                "the password has {length} octets; TCP MD5 takes at most {KEY_MAXIMUM}"
            )),
            _ => None,
        }
    }
}

fn endpoint_fault(endpoint: &Endpoint) -> Option<String> {
    let Endpoint { address, local, ttl, .. } = *endpoint;
    if address.is_unspecified() || address.is_multicast() {
        return Some(format!("{address} is not the address of one host"));
    }
    if let IpAddr::V6(address) = address {
        if address.to_ipv4_mapped().is_some() {
            return Some(format!("write {address} as an IPv4 address"));
        }
        if address.is_unicast_link_local() {
            return Some(format!(
                "{address} needs an interface, which is not built yet; use a global address"
            ));
        }
    }
    if let Some(local) = local.filter(|local| local.is_ipv4() != address.is_ipv4()) {
        return Some(format!("cannot dial {address} from {local}: another IP version"));
    }
    let reaches_nobody = matches!(ttl, Ttl::Hops(0) | Ttl::Gtsm(0));
    reaches_nobody.then(|| "a TTL of 0 reaches nobody; expected 1 to 255".to_owned())
}

/// A route of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// What.
    pub prefix: Prefix,
    /// `None`: our address towards each peer.
    pub next_hop: Option<NextHop>,
    /// `None`: 100 towards internal peers.
    pub local_pref: Option<u32>,
    /// MED.
    pub med: Option<u32>,
    /// Communities.
    pub communities: Vec<Community>,
    /// Large communities.
    pub large_communities: Vec<LargeCommunity>,
}

impl Announcement {
    /// With our address towards each peer as next hop, and nothing optional.
    pub fn new(prefix: Prefix) -> Announcement {
        Announcement {
            prefix,
            next_hop: None,
            local_pref: None,
            med: None,
            communities: Vec::new(),
            large_communities: Vec::new(),
        }
    }

    /// With this next hop towards every peer.
    #[must_use]
    pub fn next_hop(mut self, next_hop: NextHop) -> Announcement {
        self.next_hop = Some(next_hop);
        self
    }

    /// The path attributes of the route. Communities are a set: sorted, each once. Without a next
    /// hop, the unspecified address, which stands for our address towards each peer.
    pub fn attributes(&self) -> Attributes {
        let our_address = || match self.prefix.family() {
            Family::Ipv4Unicast => NextHop::V4(Ipv4Addr::UNSPECIFIED),
            Family::Ipv6Unicast => NextHop::V6 { global: Ipv6Addr::UNSPECIFIED, link_local: None },
        };
        let communities: BTreeSet<_> = self.communities.iter().copied().collect();
        let large_communities: BTreeSet<_> = self.large_communities.iter().copied().collect();
        Attributes {
            local_pref: self.local_pref,
            med: self.med,
            communities: communities.into_iter().collect(),
            large_communities: large_communities.into_iter().collect(),
            ..Attributes::originated(self.next_hop.unwrap_or_else(our_address))
        }
    }
}

#[cfg(test)]
mod tests {
    use twill_bgp_proto::types::Role;

    use super::*;

    fn peer() -> PeerConfig {
        PeerConfig::new("a", "192.0.2.1".parse().unwrap(), Asn::new(64512).unwrap())
    }

    #[test]
    fn defaults_are_possible() {
        assert_eq!(peer().fault(), None);
        assert_eq!(peer().password(Secret::new("x")).ttl(Ttl::Gtsm(255)).fault(), None);
    }

    #[test]
    fn impossible_peers_are_told_why() {
        let at = |address: &str| PeerConfig { address: address.parse().unwrap(), ..peer() };
        let rows = [
            (PeerConfig { name: String::new(), ..peer() }, "name"),
            (at("0.0.0.0"), "not the address of one host"),
            (at("ff02::1"), "not the address of one host"),
            (at("::ffff:192.0.2.1"), "IPv4"),
            (at("fe80::1"), "interface"),
            (peer().port(0), "port 0"),
            (peer().local_address("fd00::1".parse().unwrap()), "another IP version"),
            (peer().families(Families::NONE), "family"),
            (peer().ttl(Ttl::Hops(0)), "TTL"),
            (peer().password(Secret::new("")), "empty"),
            (peer().password(Secret::new([b'x'; 81])), "at most 80"),
            (peer().local_asn(Asn::TRANS), "for external peers"),
            (peer().role(RoleOffer { role: Role::Peer, required: false }), "for external peers"),
            (PeerConfig { asn: Asn::TRANS, ..peer() }.local_asn(Asn::TRANS), "the peer's own"),
        ];
        for (peer, expected) in rows {
            let fault = peer.fault_of(Asn::new(64512).unwrap()).unwrap();
            assert!(fault.contains(expected), "{fault} does not say {expected}");
        }
    }

    #[test]
    fn secrets_are_never_printed() {
        let text = format!("{:?}", peer().password(Secret::new("hunter2")));
        assert!(!text.contains("hunter2"), "{text}");
    }
}
