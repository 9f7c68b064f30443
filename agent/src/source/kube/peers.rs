//! Which routers outside the mesh this node peers with: by BGPPeer, and by annotation of its own
//! Node; then the snapshot. Where the two name the same address, the resource wins.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::SelectorExt;
use serde_json::Value as Json;
use twill_bgp::Ttl;
use twill_bgp::proto::types::{Families, HoldTime, Prefix};

use super::annotation::AnnotatedPeer;
use super::claims::about;
use super::doubt::{About, Doubt, Kind, Reason};
use super::node::NodeFacts;
use super::service::{self, ServiceFacts, SliceFacts};
use super::settings::{self, SecretKey, Settings};
use super::world::{self, Held, Secrets, about_resource};
use crate::config::{Local, resource};
use crate::source::peer::SessionOptions;
use crate::source::policy::{ExportRules, ImportRules, ServiceKinds};
use crate::source::{NodeView, OutsidePeer, ServiceAddresses, Snapshot};

/// BGP's port.
const PORT: u16 = 179;

/// What peers are checked against.
pub(super) struct PeerTable<'a> {
    /// Of this node.
    pub(super) facts: &'a NodeFacts,
    /// All nodes of the mesh, this one among them.
    pub(super) views: &'a BTreeMap<String, NodeView>,
    pub(super) settings: &'a Settings,
    /// By `namespace/name`.
    pub(super) services: &'a BTreeMap<String, ServiceFacts>,
    pub(super) slices: &'a BTreeMap<String, SliceFacts>,
}

/// One that was read and may be taken.
struct Candidate {
    peer: OutsidePeer,
    password: Option<SecretKey>,
    doubts: Vec<String>,
    /// Whether it is for this node.
    selected: bool,
}

impl PeerTable<'_> {
    /// The whole snapshot; an error says what it waits for.
    pub(super) fn snapshot(
        &self,
        local: &Local,
        resources: &mut BTreeMap<String, Held>,
        secrets: &mut Secrets<'_>,
        doubts: &mut Vec<Doubt>,
    ) -> Result<Snapshot, String> {
        let own = self.views.get(&local.node).ok_or("this node has no address yet")?;
        let mut mesh = self.settings.cluster.mesh.clone();
        mesh.mode = world::mesh_mode(own, self.views, self.settings, doubts);
        mesh.password = secrets.of_mesh(self.settings)?;
        let mut peers = BTreeMap::new();
        self.by_resource(own, resources, secrets, &mut peers, doubts);
        self.by_annotation(own, &mut peers, doubts);
        let wanted = peers.values().any(|peer| peer.export.services.any());
        let services = match wanted {
            true => service::addresses(
                self.services,
                self.slices,
                &self.settings.services,
                own,
                self.views,
                doubts,
            ),
            false => ServiceAddresses::default(),
        };
        let others = self.views.iter().filter(|(name, _)| **name != own.name);
        Ok(Snapshot {
            node: own.clone(),
            router_id: world::router_id(local, self.views, self.facts, doubts),
            listen_port: local.listen_port,
            nodes: others.map(|(name, view)| (name.clone(), view.clone())).collect(),
            mesh,
            peers,
            ranges: BTreeMap::new(),
            announce: world::announce(own, self.views, self.settings, doubts),
            services,
            dataplane: self.settings.cluster.dataplane.clone(),
            cni: local.cni.clone(),
            http: local.http,
            drain: None,
        })
    }

    /// The oldest first: of two that clash, the older stays.
    fn by_resource(
        &self,
        own: &NodeView,
        resources: &mut BTreeMap<String, Held>,
        secrets: &mut Secrets<'_>,
        peers: &mut BTreeMap<String, OutsidePeer>,
        doubts: &mut Vec<Doubt>,
    ) {
        let mut oldest_first: Vec<(&String, &mut Held)> = resources.iter_mut().collect();
        oldest_first.sort_by_key(|(name, held)| (held.created, name.as_str()));
        for (name, held) in oldest_first {
            let about = about_resource(Kind::Peer, name, held);
            let taken = match self.candidate(name, &held.spec, own, peers) {
                Ok(candidate) => {
                    held.standing = Some(held.spec.clone());
                    Some(candidate)
                }
                Err((reason, problems)) => {
                    let standing = held.standing.as_ref();
                    let standing =
                        standing.and_then(|spec| self.candidate(name, spec, own, peers).ok());
                    let stands = match &standing {
                        Some(_) => "what it was before stands",
                        None => "there is no session",
                    };
                    let note = format!("{}; {stands}", problems.join("; "));
                    doubts.push(Doubt { about: about.clone(), reason, note });
                    standing
                }
            };
            let Some(candidate) = taken.filter(|candidate| candidate.selected) else { continue };
            let told = |note| Doubt { about: about.clone(), reason: Reason::Doubtful, note };
            doubts.extend(candidate.doubts.into_iter().map(told));
            let mut peer = candidate.peer;
            if let Some(reference) = &candidate.password {
                peer.password = secrets.password(&about, reference);
                if peer.password.is_none() {
                    continue;
                }
            }
            peers.insert(peer.name.clone(), peer);
        }
    }

    fn candidate(
        &self,
        name: &str,
        spec: &Json,
        own: &NodeView,
        peers: &BTreeMap<String, OutsidePeer>,
    ) -> Result<Candidate, (Reason, Vec<String>)> {
        let invalid = |problems| (Reason::Invalid, problems);
        let checked = resource::peer(name, spec, own.asn).map_err(invalid)?;
        let selector: Option<LabelSelector> =
            settings::field(Some(spec), "", "nodeSelector").map_err(invalid)?;
        let password = settings::field(Some(spec), "", "passwordSecretRef").map_err(invalid)?;
        let selected = match selector {
            Some(selector) => settings::selector(selector, "nodeSelector")
                .map_err(invalid)?
                .matches(&self.facts.labels.map()),
            None => true,
        };
        if selected && let Some(clash) = self.clash(&checked.value, peers) {
            return Err((Reason::Conflict, vec![clash]));
        }
        Ok(Candidate { peer: checked.value, password, doubts: checked.doubts, selected })
    }

    /// What a router must not share with a node, or another router.
    fn clash(&self, peer: &OutsidePeer, peers: &BTreeMap<String, OutsidePeer>) -> Option<String> {
        let OutsidePeer { name, address, .. } = peer;
        if self.views.contains_key(name) {
            return Some(format!(
                "a Node is named {name} as well: nodes and peers share one space \
                                 of names"
            ));
        }
        if let Some(other) = peers.values().find(|other| other.address == *address) {
            return Some(format!("{address} is already the address of {}", other.name));
        }
        let host = Prefix::host(*address);
        self.views.values().find_map(|view| {
            if view.addresses.contains(address) {
                return Some(format!("{address} is an address of Node {}", view.name));
            }
            let cidr = view.pod_cidrs.iter().find(|cidr| cidr.covers(host))?;
            Some(format!("{address} lies within the pod CIDR {cidr} of Node {}", view.name))
        })
    }

    fn by_annotation(
        &self,
        own: &NodeView,
        peers: &mut BTreeMap<String, OutsidePeer>,
        doubts: &mut Vec<Doubt>,
    ) {
        for annotated in &self.facts.annotations.peers {
            let peer = outside(annotated, own);
            if let Some(clash) = self.clash(&peer, peers) {
                doubts.push(Doubt {
                    about: about(self.facts),
                    reason: Reason::Conflict,
                    note: format!(
                        "the peer {} of its annotation is passed over: {clash}, and resources win",
                        annotated.address
                    ),
                });
                continue;
            }
            if annotated.local.is_some() && peer.session.local_address.is_none() {
                doubts.push(not_acted_upon(
                    about(self.facts),
                    &format!(
                        "the local address of the peer {}, of the other IP version,",
                        annotated.address
                    ),
                ));
            }
            peers.insert(peer.name.clone(), peer);
        }
    }
}

fn not_acted_upon(about: About, what: &str) -> Doubt {
    let note = format!("{what} is read, and not acted upon by this version");
    Doubt { about, reason: Reason::NotActedUpon, note }
}

/// As kube-router has it: such a peer is told of this node's pods. Nothing is taken from it: that
/// takes a policy, and so a BGPPeer (RFC 8212).
fn outside(annotated: &AnnotatedPeer, own: &NodeView) -> OutsidePeer {
    let same_version = |local: &IpAddr| local.is_ipv4() == annotated.address.is_ipv4();
    OutsidePeer {
        name: name_of(annotated.address),
        address: annotated.address,
        asn: annotated.asn,
        port: annotated.port.unwrap_or(PORT),
        password: annotated.password.clone(),
        passive: false,
        ttl: Ttl::Hops(if annotated.asn == own.asn { 255 } else { 1 }),
        mesh: false,
        hold_time: HoldTime::DEFAULT,
        families: Families::ALL,
        session: SessionOptions {
            local_address: annotated.local.filter(same_version),
            ..SessionOptions::default()
        },
        import: ImportRules::default(),
        export: ExportRules {
            pod_cidrs: true,
            services: ServiceKinds::ALL,
            ..ExportRules::default()
        },
    }
}

/// Peers of annotations have no name of their own.
fn name_of(address: IpAddr) -> String {
    format!("router-{address}")
}

/// The nodes that a resource is for; `None`: all of them, or nobody knows.
pub(super) fn selector_of(held: &Held) -> Option<kube::core::Selector> {
    let selector = settings::field(Some(&held.spec), "", "nodeSelector").ok()??;
    settings::selector(selector, "").ok()
}
