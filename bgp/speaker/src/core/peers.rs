//! The set of peers: who is added, changed, bounced and removed, and what the listening sockets
//! must know of them.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use twill_bgp_proto::rib::{PeerKey, PeerKind};
use twill_bgp_proto::session::{Negotiated, RestartingSide, SessionConfig, State};
use twill_bgp_proto::types::{Families, Family, Prefix};
use twill_bgp_proto::wire::Cease;

use super::Core;
use super::restraint::Restraint;
use crate::handle::Reset;
use crate::interface;
use crate::listener::{Doors, WAITING};
use crate::peer::{self, Control, Counters, PeerId, Spec};
use crate::plan::{Difference, Outcome, PeerChange, plan};
use crate::reasons::{Ended, Reasons};
use crate::settings::{MaxPrefixes, PeerConfig};
use crate::socket::SocketError;
use crate::status::Notice;

/// Orders that a peer's task may have waiting. It takes them at once, whatever else it does.
const ORDERS: usize = 8;

/// A peer as the core knows it.
pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) config: Arc<PeerConfig>,
    pub(super) name: Arc<str>,
    control: mpsc::Sender<Control>,
    pub(super) door: mpsc::Sender<TcpStream>,
    pub(super) counters: Arc<Counters>,
    pub(super) state: State,
    /// While Established.
    pub(super) live: Option<Live>,
    pub(super) flaps: u32,
    pub(super) reasons: Reasons,
    /// It was told to go down for too many prefixes, with this reason.
    pub(super) over_limit: Option<String>,
    /// Families of which its limit is near, as was told.
    pub(super) near_limit: Families,
    /// Its session was told to end for a new configuration, with this reason.
    pub(super) bounced: Option<String>,
    /// Nobody listed it: it goes with its session.
    pub(super) dynamic: bool,
    /// A session, or an attempt at one, has ended.
    pub(super) tried: bool,
    /// Its connections may be accepted: the listening sockets hold its key, where it has one.
    admitted: bool,
    /// It stands in the queue of those that may be sent something.
    pub(super) queued: bool,
    /// How much of its faults the log takes.
    pub(super) restraint: Restraint,
}

/// An Established session.
pub(super) struct Live {
    pub(super) negotiated: Arc<Negotiated>,
    pub(super) local: Option<SocketAddr>,
    pub(super) remote: Option<SocketAddr>,
    pub(super) since: SystemTime,
    pub(super) transmit: mpsc::Sender<Bytes>,
    /// It has no room, and somebody waits for it.
    pub(super) waiting: bool,
    pub(super) end_of_rib: Families,
}

impl Live {
    /// What only the session itself can tell of a difference: whether it runs between addresses
    /// that still count, and whether other next hops mean another next hop here.
    fn review(&self, old: &PeerConfig, new: &PeerConfig, difference: &mut Difference) {
        let remote = self.remote.map_or(new.address, |remote| remote.ip());
        let local = self.local.map(|local| local.ip());
        if !new.addresses().contains(&remote) {
            difference.bounce.push("endpoints");
            difference.live.retain(|key| *key != "endpoints");
        }
        if old.next_hops != new.next_hops {
            let ours = |peer: &PeerConfig| interface::ours(&peer.next_hops, local, remote);
            let listed = |peer: &PeerConfig| local.is_some_and(|ip| peer.next_hops.contains(&ip));
            if ours(old) == ours(new) && listed(old) == listed(new) {
                difference.bounce.retain(|key| *key != "nextHops");
                difference.live.push("nextHops");
            }
        }
    }
}

impl Peer {
    /// Remembers why it did not come up.
    pub(super) fn failed(&mut self, reason: String) {
        self.ended(Ended::Attempt, reason);
    }

    /// Remembers why it is down.
    pub(super) fn ended(&mut self, ended: Ended, reason: String) {
        self.tried = true;
        self.reasons.note(ended, reason, SystemTime::now());
    }
}

impl Core {
    pub(super) fn peer_of(&self, key: PeerKey) -> Option<&Peer> {
        self.peers.get(key.0 as usize)?.as_ref()
    }

    pub(super) fn peer_of_mut(&mut self, key: PeerKey) -> Option<&mut Peer> {
        self.peers.get_mut(key.0 as usize)?.as_mut()
    }

    /// `None` where the peer has been removed, though its key may be in use again.
    pub(super) fn peer_mut(&mut self, id: PeerId) -> Option<&mut Peer> {
        self.peer_of_mut(id.key).filter(|peer| peer.id == id)
    }

    pub(super) fn peer_named(&self, name: &str) -> Option<&Peer> {
        self.peers.iter().flatten().find(|peer| peer.config.name == name)
    }

    pub(super) async fn tell(&mut self, key: PeerKey, control: Control) {
        if let Some(peer) = self.peer_of_mut(key) {
            // Its task ends only when we end it, or with us.
            let _ = peer.control.send(control).await;
        }
    }

    /// See [`crate::Handle::set_peers`].
    pub(super) async fn set_peers(&mut self, peers: Vec<PeerConfig>) -> Vec<PeerChange> {
        self.list_instead(&peers).await;
        let old: BTreeMap<IpAddr, Arc<PeerConfig>> = self
            .peers
            .iter()
            .flatten()
            .filter(|peer| !peer.dynamic)
            .map(|peer| (peer.config.address, peer.config.clone()))
            .collect();
        let plan = plan(&old, peers, self.settings.asn);
        let mut changes = plan.refused;
        let change = |peer: &PeerConfig, outcome| PeerChange {
            name: peer.name.clone(),
            address: peer.address,
            outcome,
        };
        for peer in plan.remove {
            self.remove(peer.address).await;
            changes.push(change(&peer, Outcome::Removed));
        }
        for (peer, difference) in plan.change {
            let mut outcome = difference.outcome();
            if outcome != Outcome::Unchanged {
                outcome = self.change(peer.clone(), difference).await;
            }
            changes.push(change(&peer, outcome));
        }
        for peer in plan.add {
            changes.push(change(&peer, Outcome::Added));
            self.add(&peer);
        }
        self.publish_doors();
        let awaited: Vec<IpAddr> = self
            .peers
            .iter()
            .flatten()
            .filter(|peer| peer.config.awaited && peer.config.shutdown.is_none() && !peer.dynamic)
            .map(|peer| peer.config.address)
            .collect();
        self.deferral.expect(awaited, Instant::now());
        for change in &changes {
            match change.outcome {
                Outcome::Unchanged => {}
                // A policy that names every node changes for all peers at once.
                Outcome::Updated(_) => tracing::debug!("{change}"),
                Outcome::Refused(_) => tracing::error!("{change}"),
                Outcome::Added | Outcome::Removed | Outcome::Bounced(_) => {
                    tracing::info!("{change}");
                }
            }
        }
        changes
    }

    pub(super) fn add(&mut self, config: &Arc<PeerConfig>) {
        let key = self.free_key();
        self.generations += 1;
        let id = PeerId { key, generation: self.generations };
        let (control, take_control) = mpsc::channel(ORDERS);
        let (door, accepted) = mpsc::channel(WAITING);
        let counters = Arc::new(Counters::default());
        let mut peer = Peer {
            id,
            name: config.name.as_str().into(),
            config: config.clone(),
            control,
            door,
            counters: counters.clone(),
            state: State::Idle,
            live: None,
            flaps: 0,
            reasons: Reasons::default(),
            over_limit: None,
            near_limit: Families::NONE,
            bounced: None,
            dynamic: false,
            tried: false,
            admitted: true,
            queued: false,
            restraint: Restraint::default(),
        };
        if let Err(error) = self.set_keys(None, config) {
            peer.admitted = false;
            peer.failed(error.to_string());
        }
        self.tasks.spawn(peer::run(Spec {
            id,
            session: self.session_config(config),
            config: config.clone(),
            seed: RandomState::new().build_hasher().finish(),
            events: self.tell_news.clone(),
            control: take_control,
            accepted,
            counters,
        }));
        self.by_address.insert(config.address, key);
        if let Some(slot) = self.peers.get_mut(key.0 as usize) {
            *slot = Some(peer);
        }
    }

    fn free_key(&mut self) -> PeerKey {
        let index = self.peers.iter().position(Option::is_none).unwrap_or_else(|| {
            self.peers.push(None);
            self.peers.len() - 1
        });
        PeerKey(u32::try_from(index).unwrap_or(u32::MAX))
    }

    pub(super) async fn remove(&mut self, address: IpAddr) {
        let Some(key) = self.by_address.remove(&address) else { return };
        self.tell(key, Control::Stop(Cease::PeerDeconfigured)).await;
        let Some(peer) = self.peers.get_mut(key.0 as usize).and_then(Option::take) else { return };
        if peer.config.password.is_some() {
            for address in peer.config.addresses() {
                if let Err(error) = self.listeners.remove_key(address) {
                    tracing::warn!(%address, %error, "a key stays on the listening sockets");
                }
            }
        }
        self.deferral.down(address);
        self.rib.peer_removed(key);
        self.received = Instant::now();
    }

    /// Carries a difference out, and says what it came to.
    pub(super) async fn change(
        &mut self,
        config: Arc<PeerConfig>,
        mut difference: Difference,
    ) -> Outcome {
        let Some(&key) = self.by_address.get(&config.address) else { return Outcome::Unchanged };
        let Some(old) = self.peer_of(key).map(|peer| Arc::clone(&peer.config)) else {
            return Outcome::Unchanged;
        };
        let session = Box::new(self.session_config(&config));
        let keys_changed = old.password != config.password || old.addresses() != config.addresses();
        let keys = if keys_changed { Some(self.set_keys(Some(&old), &config)) } else { None };
        let Some(peer) = self.peer_of_mut(key) else { return Outcome::Unchanged };
        peer.config = config.clone();
        peer.name = config.name.as_str().into();
        if let Some(set) = keys {
            peer.admitted = set.is_ok();
            if let Err(error) = set {
                peer.failed(error.to_string());
            }
        }
        if let Some(live) = &peer.live {
            live.review(&old, &config, &mut difference);
        }
        let policy_changed = old.import != config.import || old.export != config.export;
        let live = peer.live.is_some();
        let bounce = !difference.bounce.is_empty();
        if live && bounce {
            peer.bounced = Some(match config.shutdown.as_deref() {
                Some("") => "shut down by its configuration".to_owned(),
                Some(words) => format!("shut down by its configuration: {words}"),
                None => format!("configuration changed: {}", difference.bounce.join(", ")),
            });
        }
        let control = Control::Configure { config: config.clone(), session, bounce };
        self.tell(key, control).await;
        if policy_changed && live && !bounce {
            self.rib.set_policies(key, config.import.clone(), config.export.clone());
            self.received = Instant::now();
            self.may_send(key);
        }
        if old.max_prefixes != config.max_prefixes {
            self.hold_to_limit(key).await;
        }
        difference.outcome()
    }

    /// Makes the listening sockets hold a peer's key for each of its addresses, and none for
    /// those that it had and has no more.
    fn set_keys(&self, old: Option<&PeerConfig>, new: &PeerConfig) -> Result<(), SocketError> {
        let before = old.filter(|old| old.password.is_some()).map(PeerConfig::addresses);
        let now = new.addresses();
        for address in before.unwrap_or_default() {
            if new.password.is_none() || !now.contains(&address) {
                self.listeners.remove_key(address)?;
            }
        }
        match &new.password {
            Some(password) => {
                now.into_iter().try_for_each(|address| self.listeners.set_key(address, password))
            }
            None => Ok(()),
        }
    }

    /// Addresses whose connections are accepted, and where they go.
    pub(super) fn publish_doors(&self) {
        let doors: HashMap<IpAddr, mpsc::Sender<TcpStream>> = self
            .peers
            .iter()
            .flatten()
            .filter(|peer| peer.admitted)
            .flat_map(|peer| {
                let addresses = peer.config.addresses().into_iter();
                addresses.map(|address| (address, peer.door.clone()))
            })
            .collect();
        let ranges: Vec<Prefix> = self.ranges.iter().map(|range| range.prefix).collect();
        self.doors.send_replace(Doors::new(doors, ranges, &self.tell_strangers));
        let least = |ipv4: bool| {
            let endpoints = self.peers.iter().flatten().flat_map(|peer| {
                let endpoints = peer.config.all_endpoints().into_iter();
                endpoints.map(|endpoint| (endpoint.address, endpoint.ttl))
            });
            let ranges =
                self.ranges.iter().map(|range| (range.prefix.address(), range.template.ttl));
            let family = endpoints.chain(ranges).filter(|(address, _)| address.is_ipv4() == ipv4);
            family.map(|(_, ttl)| ttl.least_accepted()).min().unwrap_or(0)
        };
        self.listeners.set_least_ttl(least(true), least(false));
    }

    fn session_config(&self, peer: &PeerConfig) -> SessionConfig {
        SessionConfig {
            local_asn: peer.local_asn.unwrap_or(self.settings.asn),
            peer_asn: peer.asn,
            router_id: self.settings.router_id,
            hold_time: peer.hold_time,
            connect_retry: peer.connect_retry,
            connect_retry_max: peer.connect_retry_max,
            families: peer.families,
            passive: peer.passive,
            role: peer.role,
            extended_next_hop: peer.extended_next_hop,
            graceful_restart: self.settings.restart_time.map(|restart_time| RestartingSide {
                restart_time,
                restarted: self.deferral.restarting(),
                forwarding: self.settings.preserved,
                notification: peer.graceful_notification,
            }),
        }
    }

    /// How a peer stands to us: what is configured counts only within our AS.
    pub(super) fn kind(&self, peer: &PeerConfig) -> PeerKind {
        match (peer.asn == self.settings.asn, peer.kind) {
            (false, _) => PeerKind::External,
            (true, PeerKind::Client) => PeerKind::Client,
            (true, _) => PeerKind::Internal,
        }
    }

    /// Ends a session that brought more prefixes than its peer may send (RFC 4486).
    pub(super) async fn hold_to_limit(&mut self, key: PeerKey) {
        let Some(peer) = self.peer_of(key) else { return };
        let Some(maximum) = peer.config.max_prefixes else { return };
        if peer.live.is_none() || peer.over_limit.is_some() {
            return;
        }
        let counts = Family::ALL.map(|family| (family, self.rib.counters(key, family).received));
        let Some((family, count)) = counts.into_iter().find(|(_, count)| *count > maximum.limit)
        else {
            self.warn_of_limit(key, maximum, counts);
            return;
        };
        let reason = match maximum.restart_after {
            Some(after) => format!(
                "it sent {count} {family} prefixes, its limit is {}; tried again after {after:?}",
                maximum.limit
            ),
            None => format!(
                "it sent {count} {family} prefixes, its limit is {}; down until `twill reset {}` \
                 or a higher limit",
                maximum.limit, peer.config.name
            ),
        };
        if let Some(peer) = self.peer_of_mut(key) {
            peer.over_limit = Some(reason);
        }
        let restart_after = maximum.restart_after;
        self.tell(key, Control::TooManyPrefixes { restart_after }).await;
    }

    /// Tells, once for each time, that a limit is near.
    fn warn_of_limit(&mut self, key: PeerKey, maximum: MaxPrefixes, counts: [(Family, u32); 2]) {
        let Some(warn_at) = maximum.warn_at else { return };
        let limit = maximum.limit;
        for (family, received) in counts {
            let Some(peer) = self.peer_of_mut(key) else { return };
            if received < warn_at {
                peer.near_limit = peer.near_limit.without(family);
            } else if !peer.near_limit.contains(family) {
                peer.near_limit = peer.near_limit.with(family);
                let peer = peer.config.name.clone();
                tracing::warn!(peer, %family, received, limit, "the limit on prefixes is near");
                self.notice(Notice::NearLimit { peer, family, received, limit });
            }
        }
    }

    /// See [`crate::Handle::retry_now`].
    pub(super) async fn retry_now(&mut self, name: Option<&str>) -> bool {
        let wanted = |peer: &&Peer| name.is_none_or(|name| peer.config.name == name);
        let keys: Vec<PeerKey> =
            self.peers.iter().flatten().filter(wanted).map(|peer| peer.id.key).collect();
        for key in &keys {
            self.tell(*key, Control::DialNow).await;
        }
        !keys.is_empty()
    }

    /// See [`crate::Handle::reset`].
    pub(super) async fn reset(&mut self, name: &str, how: Reset) -> bool {
        let Some(peer) = self.peer_named(name) else { return false };
        if peer.config.shutdown.is_some() {
            return false;
        }
        let key = peer.id.key;
        if let Reset::Hard(words) = how {
            self.tell(key, Control::Reset(words)).await;
            return true;
        }
        let Some(live) = &peer.live else { return false };
        let families = live.negotiated.codec.families;
        let can_ask = live.negotiated.route_refresh;
        for family in families.iter() {
            self.rib.refresh(key, family);
        }
        self.may_send(key);
        if can_ask {
            self.tell(key, Control::AskAgain(families)).await;
        }
        can_ask
    }
}
