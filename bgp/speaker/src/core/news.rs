//! What peers' tasks have to tell, taken to the RIB, to the deferral and to whoever listens.

use std::net::IpAddr;
use std::time::{Instant, SystemTime};

use twill_bgp_proto::rib::{PeerKey, PeerRules, RibPeer};
use twill_bgp_proto::session::State;
use twill_bgp_proto::types::{Families, Role};
use twill_bgp_proto::wire::{RefreshKind, RouteRefresh, Update};

use super::Core;
use super::peers::Live;
use crate::interface;
use crate::peer::{News, PeerEvent, PeerId, Up};
use crate::reasons::Ended;
use crate::status::Notice;

impl Core {
    pub(super) async fn hear(&mut self, event: PeerEvent) {
        let PeerEvent { id, news } = event;
        // A removed peer's last words: the RIB has forgotten it.
        if self.peer_mut(id).is_none() {
            return;
        }
        let ends = matches!(news, News::State(_) | News::ForgetStale(_));
        match news {
            News::State(state) => self.state(id, state),
            News::Up(up) => self.up(id, *up),
            News::Down { reason, retained } => self.down(id, reason, retained),
            News::Failed(reason) => {
                if let Some(peer) = self.peer_mut(id) {
                    tracing::debug!(peer = peer.config.name, reason, "no session");
                    peer.failed(reason);
                }
            }
            News::Updates { updates, received } => self.updates(id, updates, received).await,
            News::Refresh(refresh) => self.refresh(id.key, refresh),
            News::ForgetStale(families) => {
                self.rib.forget_stale(id.key, families);
                self.received = Instant::now();
            }
        }
        if ends {
            self.let_go(id).await;
        }
    }

    fn state(&mut self, id: PeerId, state: State) {
        let Some(peer) = self.peer_mut(id) else { return };
        peer.state = state;
        let name = peer.config.name.clone();
        self.notice(Notice::Peer { name, state, reason: None });
    }

    fn up(&mut self, id: PeerId, up: Up) {
        let Some(peer) = self.peer_mut(id) else { return };
        let negotiated = up.negotiated.clone();
        let config = peer.config.clone();
        peer.over_limit = None;
        peer.near_limit = Families::NONE;
        peer.bounced = None;
        peer.tried = false;
        peer.live = Some(Live {
            negotiated: up.negotiated,
            local: up.local,
            remote: up.remote,
            since: SystemTime::now(),
            transmit: up.transmit,
            waiting: false,
            end_of_rib: Families::NONE,
        });
        let local = up.local.map(|local| local.ip());
        let remote = up.remote.map_or(config.address, |remote| remote.ip());
        let ours = interface::ours(&config.next_hops, local, remote);
        let families = negotiated.codec.families;
        tracing::info!(peer = config.name, ?families, "session established");
        let role = config.role.map(|offer| offer.role);
        let rib_peer = RibPeer {
            kind: self.kind(&config),
            asn: config.asn,
            router_id: negotiated.open.router_id,
            address: config.address,
            families,
            codec: negotiated.codec,
            local_ipv4: ours.ipv4,
            local_ipv6: ours.ipv6,
            local_link_local: ours.link_local,
            rules: PeerRules {
                local_asn: config.local_asn,
                role,
                own_as_first: config.own_as_first && role != Some(Role::RouteServerClient),
                graceful_shutdown: config.graceful_shutdown,
                enhanced_refresh: negotiated.enhanced_refresh,
                ipv6_next_hop: local.is_some_and(|local| local.is_ipv6())
                    && !config.next_hops.iter().any(IpAddr::is_ipv4),
            },
            import: config.import.clone(),
            export: config.export.clone(),
        };
        self.rib.peer_up(id.key, rib_peer);
        let now = Instant::now();
        self.received = now;
        let promised = negotiated.end_of_rib.and(families);
        self.deferral.up(config.address, promised, negotiated.peer_restarted, now);
        self.may_send(id.key);
    }

    fn down(&mut self, id: PeerId, reason: String, retained: Families) {
        let Some(peer) = self.peer_mut(id) else { return };
        let address: IpAddr = peer.config.address;
        peer.live = None;
        peer.flaps = peer.flaps.saturating_add(1);
        let told = peer.over_limit.clone().or(peer.bounced.take());
        let reason = told.unwrap_or(reason);
        peer.ended(Ended::Session, reason.clone());
        let name = peer.config.name.clone();
        tracing::warn!(peer = name, reason, ?retained, "session lost");
        self.rib.peer_down(id.key, retained);
        self.received = Instant::now();
        self.deferral.down(address);
        self.notice(Notice::Peer { name, state: State::Idle, reason: Some(reason) });
    }

    async fn updates(&mut self, id: PeerId, updates: Vec<Update>, received: Instant) {
        self.received = received;
        for update in updates {
            // Over its limit, what is still on its way does not count any more.
            let Some(peer) = self.peer_mut(id).filter(|peer| peer.over_limit.is_none()) else {
                return;
            };
            let Some(live) = peer.live.as_mut() else { return };
            let ended = update.end_of_rib;
            if let Some(family) = ended {
                live.end_of_rib = live.end_of_rib.with(family);
            }
            let address = peer.config.address;
            if !update.faults.is_empty() {
                let name = peer.config.name.clone();
                for fault in &update.faults {
                    if let Some(untold) = peer.restraint.ask(received) {
                        let verdict = fault.verdict;
                        tracing::warn!(peer = name, %fault, ?verdict, untold, "faulty UPDATE");
                    }
                }
                for fault in &update.faults {
                    self.notice(Notice::Fault { peer: name.clone(), what: fault.to_string() });
                }
            }
            self.rib.update(id.key, update);
            if let Some(family) = ended {
                self.deferral.end_of_rib(address, family, received);
            }
            self.hold_to_limit(id.key).await;
        }
    }

    /// The peer wants our routes again, or brackets its own (RFC 7313).
    fn refresh(&mut self, key: PeerKey, refresh: RouteRefresh) {
        let Some(family) = refresh.family else { return };
        match refresh.kind {
            RefreshKind::Request => {
                self.rib.refresh(key, family);
                self.may_send(key);
            }
            RefreshKind::Begin => self.rib.begin_refresh(key, family),
            RefreshKind::End => self.rib.end_refresh(key, family),
            RefreshKind::Unknown(_) => {}
        }
    }
}
