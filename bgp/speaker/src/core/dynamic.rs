//! Peers that nobody lists: made when one dials from an allowed prefix, gone with their session.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::net::TcpStream;
use twill_bgp_proto::session::State;
use twill_bgp_proto::types::Family;

use super::Core;
use crate::dynamic::DynamicPeers;
use crate::peer::PeerId;
use crate::plan::{Outcome, difference};
use crate::settings::PeerConfig;

impl Core {
    /// See [`crate::Handle::set_dynamic_peers`].
    pub(super) async fn set_dynamic_peers(&mut self, ranges: Vec<DynamicPeers>) -> Vec<String> {
        let mut refused = Vec::new();
        let mut names = BTreeSet::new();
        let mut kept = Vec::new();
        for range in ranges {
            let fault = if names.insert(range.name.clone()) {
                range.fault(self.settings.asn)
            } else {
                Some("another range has the name".to_owned())
            };
            match fault {
                None => kept.push(range),
                Some(fault) => {
                    let fault = format!("peers {} ({}): {fault}", range.name, range.prefix);
                    tracing::error!("{fault}");
                    refused.push(fault);
                }
            }
        }
        self.ranges = kept;
        for peer in self.dynamic_peers() {
            let now = self.range_of(&peer).map(|range| Arc::new(range.peer(peer.address)));
            match now {
                None => self.remove(peer.address).await,
                Some(now) => {
                    let difference = difference(&peer, &now, self.settings.asn);
                    if difference.outcome() != Outcome::Unchanged {
                        self.change(now, difference).await;
                    }
                }
            }
        }
        self.publish_doors();
        refused
    }

    fn dynamic_peers(&self) -> Vec<Arc<PeerConfig>> {
        let dynamic = self.peers.iter().flatten().filter(|peer| peer.dynamic);
        dynamic.map(|peer| Arc::clone(&peer.config)).collect()
    }

    fn range_of(&self, peer: &PeerConfig) -> Option<&DynamicPeers> {
        self.ranges.iter().find(|range| range.prefix.contains(peer.address))
    }

    /// Makes way for peers that are listed now.
    pub(super) async fn list_instead(&mut self, listed: &[PeerConfig]) {
        for peer in self.dynamic_peers() {
            if listed.iter().any(|listed| listed.addresses().contains(&peer.address)) {
                self.remove(peer.address).await;
            }
        }
    }

    /// Somebody whom nobody listed has dialled.
    pub(super) fn stranger(&mut self, stream: TcpStream) {
        let Ok(source) = stream.peer_addr() else { return };
        let address = source.ip();
        if !self.by_address.contains_key(&address) {
            let Some(range) = self.ranges.iter().find(|range| range.prefix.contains(address))
            else {
                return;
            };
            let prefix = range.prefix;
            let there = self.dynamic_peers();
            let count = there.iter().filter(|peer| prefix.contains(peer.address)).count();
            if count >= usize::try_from(range.limit).unwrap_or(usize::MAX) {
                tracing::warn!(%source, peers = range.name, limit = range.limit, "one peer too many");
                self.listeners.refuse();
                return;
            }
            let config = Arc::new(range.peer(address));
            tracing::info!(peer = config.name, "a new peer has dialled");
            self.add(&config);
            let key = self.by_address.get(&address).copied();
            if let Some(peer) = key.and_then(|key| self.peer_of_mut(key)) {
                peer.dynamic = true;
            }
            self.publish_doors();
        }
        let peer = self.by_address.get(&address).and_then(|key| self.peer_of(*key));
        if peer.is_none_or(|peer| peer.door.try_send(stream).is_err()) {
            self.listeners.refuse();
        }
    }

    /// Forgets a dynamic peer whose session, or attempt at one, is over, once nothing of it is
    /// kept for its return.
    pub(super) async fn let_go(&mut self, id: PeerId) {
        let kept = Family::ALL.into_iter().any(|f| self.rib.counters(id.key, f).received > 0);
        let Some(peer) = self.peer_mut(id) else { return };
        // One that sent too many prefixes stays known, or it would be back at once.
        let over = peer.tried && peer.live.is_none() && peer.over_limit.is_none();
        if peer.dynamic && over && !kept && peer.state <= State::Active {
            let address = peer.config.address;
            tracing::info!(peer = peer.config.name, "the peer is gone");
            self.remove(address).await;
            self.publish_doors();
        }
    }
}
