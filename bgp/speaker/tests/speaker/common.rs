//! Speakers on loopback addresses, each with its own address and port, and waiting for states.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use twill_bgp::proto::rib::policy::Policy;
use twill_bgp::proto::session::State;
use twill_bgp::proto::types::{Asn, Families, Prefix, RouterId};
use twill_bgp::{
    Announcement, BestRoute, Handle, PeerConfig, PeerStatus, Settings, Speaker, Subscription,
};

/// Longer than anything here takes on a busy machine; an error where it is not enough.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A speaker at 127.0.0.`number`, with router id 10.0.0.`number`.
pub(crate) struct Node {
    pub(crate) number: u8,
    pub(crate) asn: Asn,
    pub(crate) port: u16,
    pub(crate) handle: Handle,
    pub(crate) speaker: Speaker,
}

pub(crate) fn asn(number: u32) -> Asn {
    Asn::new(number).unwrap()
}

pub(crate) fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub(crate) fn settings(number: u8, as_number: u32, port: u16) -> Settings {
    let id = RouterId::new(Ipv4Addr::new(10, 0, 0, number)).unwrap();
    Settings::new(asn(as_number), id).listen(SocketAddr::new(address(number), port))
}

pub(crate) fn address(number: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, number).into()
}

/// The IPv4 next hop that a node announces: one of the loopback network would be refused.
pub(crate) fn next_hop(number: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, number).into()
}

/// The IPv6 next hop that a node announces; no interface needs it.
pub(crate) fn address6(number: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(number))
}

pub(crate) async fn start(settings: Settings) -> Node {
    let SocketAddr::V4(listen) = settings.listen[0] else { panic!("an IPv4 address") };
    let (number, asn) = (listen.ip().octets()[3], settings.asn);
    let speaker = Speaker::start(settings).await.unwrap();
    let port = speaker.local_addresses()[0].port();
    Node { number, asn, port, handle: speaker.handle(), speaker }
}

/// A first start on a free port.
pub(crate) async fn node(number: u8, as_number: u32) -> Node {
    start(settings(number, as_number, 0)).await
}

impl Node {
    pub(crate) fn name(&self) -> String {
        format!("node-{}", self.number)
    }

    /// How this node sees another: everything in, everything out.
    pub(crate) fn peer(&self, other: &Node) -> PeerConfig {
        PeerConfig::new(other.name(), address(other.number), other.asn)
            .port(other.port)
            .local_address(address(self.number))
            .connect_retry(Duration::from_millis(200))
            .next_hop(next_hop(self.number))
            .next_hop(address6(self.number).into())
            .import(Policy::accept_all())
            .export(Policy::accept_all())
    }

    pub(crate) async fn announce(&self, text: &str) {
        self.handle.announce(Announcement::new(prefix(text))).await.unwrap();
    }

    pub(crate) async fn status(&self, peer: &str) -> PeerStatus {
        let peers = self.handle.peers().await.unwrap();
        peers.into_iter().find(|status| status.config.name == peer).unwrap()
    }

    /// Waits until the session with `peer` is in `state`.
    pub(crate) async fn reaches(&self, peer: &str, state: State) -> PeerStatus {
        self.shows(peer, &format!("{state:?}"), |status| status.state == state).await
    }

    /// Waits until what is shown of `peer` is as wanted.
    pub(crate) async fn shows(
        &self,
        peer: &str,
        what: &str,
        wanted: impl Fn(&PeerStatus) -> bool,
    ) -> PeerStatus {
        let poll = async {
            loop {
                let status = self.status(peer).await;
                if wanted(&status) {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        match tokio::time::timeout(DEADLINE, poll).await {
            Ok(status) => status,
            Err(_) => panic!("{}: {what} never came: {:#?}", self.name(), self.status(peer).await),
        }
    }

    pub(crate) async fn table(&self) -> Table {
        let subscription = self.handle.subscribe().await.unwrap();
        Table { name: self.name(), subscription, best: BTreeMap::new(), log: Vec::new() }
    }
}

/// Connects two nodes with each other alone.
pub(crate) async fn connect(a: &Node, b: &Node) {
    a.handle.set_peers(vec![a.peer(b)]).await.unwrap();
    b.handle.set_peers(vec![b.peer(a)]).await.unwrap();
    a.reaches(&b.name(), State::Established).await;
    b.reaches(&a.name(), State::Established).await;
}

/// A subscriber that keeps what it is told.
pub(crate) struct Table {
    name: String,
    pub(crate) subscription: Subscription,
    pub(crate) best: BTreeMap<Prefix, BestRoute>,
    /// Every change, in order: was there a route, and was it stale.
    pub(crate) log: Vec<(Prefix, Option<bool>)>,
}

impl Table {
    /// Takes changes until the table is as wanted.
    pub(crate) async fn becomes(&mut self, what: &str, wanted: impl Fn(&Table) -> bool) {
        let changes = async {
            while !wanted(self) {
                for change in self.subscription.next().await.expect("the speaker runs") {
                    self.log.push((change.prefix, change.route.as_ref().map(|route| route.stale)));
                    match change.route {
                        Some(route) => self.best.insert(change.prefix, route),
                        None => self.best.remove(&change.prefix),
                    };
                }
            }
        };
        if tokio::time::timeout(DEADLINE, changes).await.is_err() {
            panic!("{}: {what} never came: {:#?}", self.name, self.best);
        }
    }

    /// Takes changes until exactly these prefixes have a route that is not stale.
    pub(crate) async fn holds(&mut self, prefixes: &[&str]) {
        let wanted: Vec<Prefix> = {
            let mut all: Vec<_> = prefixes.iter().map(|text| prefix(text)).collect();
            all.sort();
            all
        };
        let what = format!("{wanted:?}");
        self.becomes(&what, |table| {
            table.best.keys().eq(&wanted) && table.best.values().all(|route| !route.stale)
        })
        .await;
    }

    pub(crate) fn route(&self, text: &str) -> &BestRoute {
        &self.best[&prefix(text)]
    }
}

pub(crate) fn named(name: &str) -> Option<Arc<str>> {
    Some(name.into())
}

pub(crate) const BOTH: Families = Families::ALL;
