//! What an operator sees.

use std::sync::Arc;

use twill_bgp_proto::rib::{PeerKey, RouteView, RoutesFrom};
use twill_bgp_proto::types::{Family, Prefix};

use super::Core;
use super::peers::Peer;
use crate::handle::{RouteEntry, RouteQuery, RouteSelection};
use crate::status::PeerStatus;

impl Core {
    /// All peers, by name.
    pub(super) fn statuses(&self) -> Vec<PeerStatus> {
        let mut all: Vec<PeerStatus> =
            self.peers.iter().flatten().map(|peer| self.status(peer)).collect();
        all.sort_by(|a, b| a.config.name.cmp(&b.config.name));
        all
    }

    fn status(&self, peer: &Peer) -> PeerStatus {
        let live = peer.live.as_ref();
        let counters = Family::ALL.map(|family| self.rib.counters(peer.id.key, family));
        let (messages_in, messages_out) = peer.counters.read();
        PeerStatus {
            config: peer.config.clone(),
            dynamic: peer.dynamic,
            state: peer.state,
            since: live.map(|live| live.since),
            negotiated: live.map(|live| live.negotiated.clone()),
            local: live.and_then(|live| live.local),
            remote: live.and_then(|live| live.remote),
            received: counters.map(|counters| counters.received),
            accepted: counters.map(|counters| counters.accepted),
            rejected: counters.map(|counters| counters.rejected()),
            stale: counters.map(|counters| counters.stale),
            advertised: counters.map(|counters| counters.advertised),
            flaps: peer.flaps,
            last_error: peer.reasons.last_error(),
            reasons: peer.reasons.newest_first(),
            end_of_rib: live.map(|live| live.end_of_rib).unwrap_or_default(),
            messages_in,
            messages_out,
        }
    }

    /// See [`crate::Handle::routes`]. Sorted by prefix; of one prefix the best comes first.
    pub(super) fn routes(&self, query: &RouteQuery) -> Vec<RouteEntry> {
        let peer = query.peer.as_deref().map(|name| self.peer_named(name).map(|peer| peer.id.key));
        // A peer that does not exist has sent nothing and is sent nothing.
        let peer = match peer {
            Some(None) => return Vec::new(),
            Some(Some(key)) => Some(key),
            None => None,
        };
        let prefix = match query.address {
            Some(address) => match self.rib.longest_match(address) {
                Some(prefix) => Some(prefix),
                None => return Vec::new(),
            },
            None => query.prefix,
        };
        let mut views = self.views(query.view, prefix, peer);
        // Stable: the order within a prefix stays.
        views.sort_by_key(|view| view.prefix);
        views.into_iter().map(|view| self.entry(view)).collect()
    }

    fn views(
        &self,
        selection: RouteSelection,
        prefix: Option<Prefix>,
        peer: Option<PeerKey>,
    ) -> Vec<RouteView> {
        let of_prefix = |view: &RouteView| prefix.is_none_or(|prefix| view.prefix == prefix);
        if selection == RouteSelection::Advertised {
            let sent = peer.into_iter().flat_map(|key| self.rib.advertised(key));
            return sent.filter(of_prefix).collect();
        }
        let wanted = |view: &RouteView| match selection {
            RouteSelection::Best => view.lost.is_none(),
            RouteSelection::Received => view.from != RoutesFrom::Local,
            RouteSelection::All | RouteSelection::Advertised => true,
        };
        match (prefix, peer) {
            (Some(prefix), peer) => {
                let from =
                    |view: &RouteView| peer.is_none_or(|key| view.from == RoutesFrom::Peer(key));
                let views = self.rib.routes(prefix).into_iter();
                views.filter(|view| wanted(view) && from(view)).collect()
            }
            (None, Some(key)) => self.rib.received(key).filter(wanted).collect(),
            (None, None) => self.rib.all_routes().filter(wanted).collect(),
        }
    }

    fn entry(&self, view: RouteView) -> RouteEntry {
        let peer = match view.from {
            RoutesFrom::Local => None,
            RoutesFrom::Peer(key) => self.peer_of(key).map(|peer| Arc::clone(&peer.name)),
        };
        RouteEntry { view, peer }
    }
}
