//! All that the API server has told, and the snapshot that follows from it. Pure.
//!
//! Objects come in parsed or raw, and stay until the API server says that they are gone.
//! [`World::compile`] holds them against each other: what is invalid gives way to the last state
//! of the same object that was valid, and comes out as a [`Doubt`] about it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use twill_bgp::Secret;
use twill_bgp::proto::types::{ClusterId, Prefix, RouterId};

use super::claims::{self, Holdings, about};
use super::doubt::{About, Doubt, Kind, Reason};
use super::node::{self, NodeFacts, NodeRefusal};
use super::object;
use super::peers::PeerTable;
use super::service::{ServiceFacts, SliceFacts};
use super::settings::{self, Settings};
use crate::config::{Local, values};
use crate::source::{MeshMode, NodeView, Snapshot};

/// The one BGPConfiguration that counts.
const CONFIGURATION: &str = "default";

/// All that the API server has told.
#[derive(Debug, Default)]
pub struct World {
    nodes: BTreeMap<Box<str>, NodeEntry>,
    configurations: BTreeMap<String, Held>,
    peers: BTreeMap<String, Held>,
    /// By `namespace/name`, as are their slices.
    services: BTreeMap<String, ServiceFacts>,
    slices: BTreeMap<String, SliceFacts>,
    /// By name; `None`: there is no such Secret.
    secrets: BTreeMap<String, Option<BTreeMap<String, Secret>>>,
    /// Passwords that were in force, by the reference to them.
    standing_secrets: BTreeMap<settings::SecretKey, Secret>,
    /// What the mesh has for a password, once it has been decided.
    standing_mesh: Option<Option<Secret>>,
}

#[derive(Debug)]
struct NodeEntry {
    facts: NodeFacts,
    refusals: Vec<NodeRefusal>,
}

/// A resource of ours.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) uid: Box<str>,
    /// Seconds since the epoch.
    pub(super) created: i64,
    /// The newest.
    pub(super) spec: serde_json::Value,
    /// The last that was valid.
    pub(super) standing: Option<serde_json::Value>,
}

/// What follows from a [`World`].
#[derive(Debug)]
pub struct Compiled {
    /// What the agent acts upon; an error says why there is none.
    pub snapshot: Result<Snapshot, String>,
    /// Secrets that are named and were not told of yet: a first snapshot waits for them.
    pub untold: Vec<String>,
    /// What is wrong, with every object.
    pub doubts: Vec<Doubt>,
    /// Of these, what this node's agent is to write Events about.
    pub told_here: Vec<Doubt>,
    /// The object of this node.
    pub own: Option<About>,
    /// What Events may be about: every Node and BGPPeer by name.
    pub objects: BTreeMap<Box<str>, About>,
    /// Whether Services are needed at all.
    pub services: bool,
    /// The Secrets that are named.
    pub secrets: BTreeSet<String>,
}

impl World {
    /// A Node as it is now.
    pub fn node(&mut self, object: &object::Node) {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        // One that was made anew under the same name has no earlier state.
        let before = self.nodes.get(name).map(|entry| &entry.facts);
        let before = before.filter(|facts| object.metadata.uid.as_deref() == Some(&facts.uid));
        let (facts, refusals) = node::parse(object, before);
        self.nodes.insert(name.into(), NodeEntry { facts, refusals });
    }

    /// A Node is gone.
    pub fn node_gone(&mut self, name: &str) {
        self.nodes.remove(name);
    }

    /// A list of Nodes is complete: what is not in `names` is gone.
    pub fn nodes_are(&mut self, names: &BTreeSet<String>) {
        self.nodes.retain(|name, _| names.contains(&**name));
    }

    /// A BGPConfiguration as it is now.
    pub fn configuration(&mut self, object: &object::Configuration) {
        hold(&mut self.configurations, &object.metadata, &object.spec);
    }

    /// A BGPConfiguration is gone.
    pub fn configuration_gone(&mut self, name: &str) {
        self.configurations.remove(name);
    }

    /// A list of BGPConfigurations is complete.
    pub fn configurations_are(&mut self, names: &BTreeSet<String>) {
        self.configurations.retain(|name, _| names.contains(name));
    }

    /// A BGPPeer as it is now.
    pub fn peer(&mut self, object: &object::Peer) {
        hold(&mut self.peers, &object.metadata, &object.spec);
    }

    /// A BGPPeer is gone.
    pub fn peer_gone(&mut self, name: &str) {
        self.peers.remove(name);
    }

    /// A list of BGPPeers is complete.
    pub fn peers_are(&mut self, names: &BTreeSet<String>) {
        self.peers.retain(|name, _| names.contains(name));
    }

    /// A Service as it is now.
    pub fn service(&mut self, key: String, facts: ServiceFacts) {
        self.services.insert(key, facts);
    }

    /// A Service is gone.
    pub fn service_gone(&mut self, key: &str) {
        self.services.remove(key);
    }

    /// A list of Services is complete.
    pub fn services_are(&mut self, keys: &BTreeSet<String>) {
        self.services.retain(|key, _| keys.contains(key));
    }

    /// An EndpointSlice as it is now; `None`: one of no Service.
    pub fn slice(&mut self, key: String, facts: Option<SliceFacts>) {
        match facts {
            Some(facts) => drop(self.slices.insert(key, facts)),
            None => drop(self.slices.remove(&key)),
        }
    }

    /// A list of EndpointSlices is complete.
    pub fn slices_are(&mut self, keys: &BTreeSet<String>) {
        self.slices.retain(|key, _| keys.contains(key));
    }

    /// Services are not needed any more.
    pub fn without_services(&mut self) {
        self.services.clear();
        self.slices.clear();
    }

    /// Services and slices, for the disk.
    pub(super) fn kept_services(
        &self,
    ) -> (&BTreeMap<String, ServiceFacts>, &BTreeMap<String, SliceFacts>) {
        (&self.services, &self.slices)
    }

    /// A Secret as it is now; `None`: there is none of this name.
    pub fn secret(&mut self, name: &str, data: Option<BTreeMap<String, Secret>>) {
        self.secrets.insert(name.to_owned(), data);
    }

    /// What can be had of a Secret is nothing: it is as good as none.
    pub fn secret_refused(&mut self, name: &str) {
        self.secrets.entry(name.to_owned()).or_insert(None);
    }

    /// A password that was in force before this agent started.
    pub(super) fn password_stood(&mut self, reference: settings::SecretKey, secret: Secret) {
        self.standing_secrets.insert(reference, secret);
    }

    /// The passwords that are or were in force.
    pub(super) fn standing_passwords(
        &self,
    ) -> impl Iterator<Item = (&settings::SecretKey, &Secret)> {
        self.standing_secrets.iter()
    }

    /// The resources as they stand.
    pub(super) fn kept_configurations(&self) -> Vec<object::Configuration> {
        let kept = |(name, held): (&String, &Held)| {
            let (metadata, spec) = held.kept(name);
            object::Configuration { metadata, spec }
        };
        self.configurations.iter().map(kept).collect()
    }

    /// The resources as they stand.
    pub(super) fn kept_peers(&self) -> Vec<object::Peer> {
        let kept = |(name, held): (&String, &Held)| {
            let (metadata, spec) = held.kept(name);
            object::Peer { metadata, spec }
        };
        self.peers.iter().map(kept).collect()
    }

    /// The condition NetworkUnavailable of a Node.
    pub fn network_of(&self, name: &str) -> Option<node::Network> {
        self.nodes.get(name)?.facts.network.clone()
    }

    /// The facts of every Node.
    pub fn facts(&self) -> impl Iterator<Item = &NodeFacts> {
        self.nodes.values().map(|entry| &entry.facts)
    }

    /// The snapshot of the node that `local` names.
    pub fn compile(&mut self, local: &Local) -> Compiled {
        let mut doubts = Vec::new();
        let settings = settings::read(&mut self.configurations, CONFIGURATION, &mut doubts);
        let mut secrets = Secrets {
            told: &self.secrets,
            standing: &mut self.standing_secrets,
            mesh: &mut self.standing_mesh,
            named: BTreeSet::new(),
            doubts: Vec::new(),
            untold: Vec::new(),
        };
        let (holdings, refused) = claims::settle(self.nodes.values().map(|entry| &entry.facts));
        doubts.extend(refused);
        let views = views(&self.nodes, &holdings, &settings, &mut doubts);
        let own = self.nodes.get(local.node.as_str()).map(|entry| &entry.facts);
        if let Some(entry) = self.nodes.get(local.node.as_str()) {
            doubts.extend(own_doubts(entry));
        }
        let snapshot = match (own, views.get(&local.node)) {
            (None, _) => Err(format!(
                "the API server has no Node {}: NODE_NAME, or `node` of the node's file, must be \
                 the name of its Node object",
                local.node
            )),
            (Some(_), None) => Err(format!("Node {} has no address yet", local.node)),
            (Some(facts), Some(_)) => {
                let table = PeerTable {
                    facts,
                    views: &views,
                    settings: &settings,
                    services: &self.services,
                    slices: &self.slices,
                };
                table.snapshot(local, &mut self.peers, &mut secrets, &mut doubts)
            }
        };
        let Secrets { named, doubts: missing, untold, .. } = secrets;
        doubts.extend(missing);
        doubts.sort();
        doubts.dedup();
        let told_here =
            doubts.iter().filter(|doubt| self.tells(&doubt.about, &local.node)).cloned().collect();
        let wants =
            |snapshot: &Snapshot| snapshot.peers.values().any(|peer| peer.export.services.any());
        Compiled {
            services: snapshot.as_ref().is_ok_and(wants),
            snapshot,
            untold,
            told_here,
            doubts,
            own: self.nodes.get(local.node.as_str()).map(|entry| about(&entry.facts)),
            objects: self.objects(),
            secrets: named,
        }
    }
}

/// Agents that write Events about one object: it must not be one alone, which may be away, nor
/// all of them, which may be thousands.
const TELLERS: usize = 3;

impl World {
    /// Whether this node's agent writes Events about an object: its own Node; of what concerns
    /// several nodes, the few whose names a hash puts first.
    fn tells(&self, about: &About, own: &str) -> bool {
        if about.kind == Kind::Node {
            return &*about.name == own;
        }
        let selector = match about.kind {
            Kind::Peer => self.peers.get(&*about.name).and_then(super::peers::selector_of),
            _ => None,
        };
        let rank = |name: &str| (hash_of(&[name, &about.name]), name.to_owned());
        let own_rank = rank(own);
        let first = self.facts().filter(|facts| {
            let selected = selector.as_ref().is_none_or(|selector| {
                kube::core::SelectorExt::matches(selector, &facts.labels.map())
            });
            selected && !facts.addresses.is_empty() && rank(&facts.name) < own_rank
        });
        first.take(TELLERS).count() < TELLERS
    }

    fn objects(&self) -> BTreeMap<Box<str>, About> {
        let nodes = self.facts().map(|facts| (facts.name.clone(), about(facts)));
        let peers = self
            .peers
            .iter()
            .map(|(name, held)| (name.as_str().into(), about_resource(Kind::Peer, name, held)));
        nodes.chain(peers).collect()
    }
}

/// FNV-1a: the same in every agent.
pub(crate) fn hash_of(parts: &[&str]) -> u64 {
    parts
        .iter()
        .flat_map(|part| part.bytes().chain([0]))
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

impl Held {
    fn kept(&self, name: &str) -> (ObjectMeta, serde_json::Value) {
        let created = k8s_openapi::jiff::Timestamp::from_second(self.created).ok();
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            uid: Some(self.uid.to_string()),
            creation_timestamp: created.map(Time),
            ..ObjectMeta::default()
        };
        (metadata, self.standing.clone().unwrap_or_else(|| self.spec.clone()))
    }
}

fn hold(all: &mut BTreeMap<String, Held>, meta: &ObjectMeta, spec: &serde_json::Value) {
    let uid: Box<str> = meta.uid.clone().unwrap_or_default().into();
    let name = meta.name.clone().unwrap_or_default();
    let before = all.remove(&name).filter(|before| before.uid == uid);
    let held = Held {
        uid,
        created: meta.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second()),
        spec: spec.clone(),
        standing: before.and_then(|before| before.standing),
    };
    all.insert(name, held);
}

/// The Nodes as the mesh sees them: those that have an address.
fn views(
    nodes: &BTreeMap<Box<str>, NodeEntry>,
    holdings: &HashMap<&str, Holdings>,
    settings: &Settings,
    doubts: &mut Vec<Doubt>,
) -> BTreeMap<String, NodeView> {
    let by_annotation: BTreeSet<ClusterId> = match settings.chooses_reflectors() {
        true => BTreeSet::new(),
        false => nodes.values().filter_map(|entry| entry.facts.annotations.reflector).collect(),
    };
    let mut views = BTreeMap::new();
    for NodeEntry { facts, .. } in nodes.values() {
        let Some(holdings) = holdings.get(&*facts.name).filter(|own| !own.addresses.is_empty())
        else {
            continue;
        };
        let name = match values::name(&facts.name) {
            Ok(name) => name,
            Err(why) => {
                let note = format!("it is left out of the mesh: its name is no good: {why}");
                doubts.push(Doubt { about: about(facts), reason: Reason::Invalid, note });
                continue;
            }
        };
        let view = NodeView {
            name: name.clone(),
            addresses: holdings.addresses.clone(),
            pod_cidrs: holdings.pod_cidrs.clone(),
            asn: facts.annotations.asn.unwrap_or(settings.cluster.asn),
            reflector: reflector(facts, settings, doubts),
            // Every reflector serves every client, as kube-router's rr.client has it.
            // Only a cluster that has a reflector serves anybody.
            client_of: facts.annotations.client.filter(|of| by_annotation.contains(of)),
        };
        views.insert(name, view);
    }
    views
}

/// By resource, else by annotation.
fn reflector(facts: &NodeFacts, settings: &Settings, doubts: &mut Vec<Doubt>) -> Option<ClusterId> {
    let annotated = facts.annotations.reflector;
    if !settings.chooses_reflectors() {
        return annotated;
    }
    let chosen = settings.reflector(&facts.labels);
    if annotated.is_some() && annotated != chosen {
        let note = "its annotation rr.server is passed over: mesh.reflectors of the \
                    BGPConfiguration says otherwise, and resources win"
            .to_owned();
        doubts.push(Doubt { about: about(facts), reason: Reason::Conflict, note });
    }
    chosen
}

/// What is wrong with this node's own object.
fn own_doubts(entry: &NodeEntry) -> Vec<Doubt> {
    let about = about(&entry.facts);
    let invalid = entry.refusals.iter().map(|refusal| Doubt {
        about: about.clone(),
        reason: Reason::Invalid,
        note: format!("{refusal}; what it was before stands"),
    });
    let idle = entry.facts.annotations.idle.iter().map(|key| Doubt {
        about: about.clone(),
        reason: Reason::NotActedUpon,
        note: format!("the annotation {key} is read, and not acted upon by this version"),
    });
    invalid.chain(idle).collect()
}

/// Secrets as they are asked for.
pub(super) struct Secrets<'a> {
    told: &'a BTreeMap<String, Option<BTreeMap<String, Secret>>>,
    standing: &'a mut BTreeMap<settings::SecretKey, Secret>,
    mesh: &'a mut Option<Option<Secret>>,
    named: BTreeSet<String>,
    doubts: Vec<Doubt>,
    untold: Vec<String>,
}

impl Secrets<'_> {
    /// The mesh's password. One that is missing leaves the mesh as it was; an error says what a
    /// mesh that never was waits for.
    pub(super) fn of_mesh(&mut self, settings: &Settings) -> Result<Option<Secret>, String> {
        let (Some(reference), Some(about)) = (&settings.password, &settings.about) else {
            *self.mesh = Some(None);
            return Ok(None);
        };
        match (self.password(about, reference), &self.mesh) {
            (Some(password), _) => {
                *self.mesh = Some(Some(password.clone()));
                Ok(Some(password))
            }
            (None, Some(standing)) => Ok(standing.clone()),
            (None, None) => Err(format!(
                "the mesh's password is not there: {} of the Secret {}",
                reference.key, reference.name
            )),
        }
    }

    /// The password that `about` refers to. One that is missing or unusable leaves the one before
    /// in force; `None` where there was none.
    pub(super) fn password(
        &mut self,
        about: &About,
        reference: &settings::SecretKey,
    ) -> Option<Secret> {
        self.named.insert(reference.name.clone());
        let standing = self.standing.get(reference).cloned();
        let Some(told) = self.told.get(&reference.name) else {
            if standing.is_none() {
                self.untold.push(reference.name.clone());
            }
            return standing;
        };
        let found = told.as_ref().and_then(|data| data.get(&reference.key));
        let wrong = match found {
            None if told.is_none() => Some(format!("there is no Secret {}", reference.name)),
            None => Some(format!("the Secret {} has no key {}", reference.name, reference.key)),
            Some(secret) if secret.0.is_empty() || secret.0.len() > settings::MAX_PASSWORD => {
                Some(format!(
                    "{} of the Secret {} has {} bytes: TCP MD5 takes 1 to {}",
                    reference.key,
                    reference.name,
                    secret.0.len(),
                    settings::MAX_PASSWORD
                ))
            }
            Some(_) => None,
        };
        match (wrong, found) {
            (None, Some(secret)) => {
                self.standing.insert(reference.clone(), secret.clone());
                Some(secret.clone())
            }
            (wrong, _) => {
                let note = format!(
                    "{}: {}",
                    wrong.unwrap_or_default(),
                    if standing.is_some() {
                        "the password before stays in force"
                    } else {
                        "without it there is no session"
                    }
                );
                self.doubts.push(Doubt { about: about.clone(), reason: Reason::Missing, note });
                standing
            }
        }
    }
}

/// The router id of this node; a clash with another is a doubt.
pub(super) fn router_id(
    local: &Local,
    views: &BTreeMap<String, NodeView>,
    own: &NodeFacts,
    doubts: &mut Vec<Doubt>,
) -> RouterId {
    let derived = |view: &NodeView| {
        let mut ipv4 = view.addresses.iter().filter_map(|address| match address {
            std::net::IpAddr::V4(address) => RouterId::new(*address),
            std::net::IpAddr::V6(_) => None,
        });
        ipv4.next().unwrap_or_else(|| values::router_id_of_name(&view.name))
    };
    let own_view = views.get(&local.node);
    let id = local
        .router_id
        .or_else(|| own_view.map(derived))
        .unwrap_or_else(|| values::router_id_of_name(&local.node));
    let asn = own_view.map(|own| own.asn);
    let clash = views
        .values()
        .find(|view| view.name != local.node && Some(view.asn) == asn && derived(view) == id);
    if let Some(clash) = clash {
        doubts.push(Doubt {
            about: about(own),
            reason: Reason::Conflict,
            note: format!(
                "its router id {id} is also that of {}, and they must differ: set `routerId` in \
                 the node's file",
                clash.name
            ),
        });
    }
    id
}

/// Who peers with whom: as the resource says, else by the annotations of this node's AS.
pub(super) fn mesh_mode(
    own: &NodeView,
    views: &BTreeMap<String, NodeView>,
    settings: &Settings,
    doubts: &mut Vec<Doubt>,
) -> MeshMode {
    let reflected = views.values().any(|view| view.asn == own.asn && view.reflector.is_some());
    match settings.cluster.mode {
        Some(MeshMode::Reflector) if !reflected => {
            if let Some(about) = &settings.about {
                doubts.push(Doubt {
                    about: about.clone(),
                    reason: Reason::Missing,
                    note: format!(
                        "mesh.mode is reflector, and no Node of AS {} is one: they mesh fully until \
                         mesh.reflectors selects one",
                        own.asn
                    ),
                });
            }
            MeshMode::Full
        }
        Some(mode) => mode,
        None if reflected => MeshMode::Reflector,
        None => MeshMode::Full,
    }
}

/// What every node announces; what overlaps a pod CIDR or has no next hop is refused.
pub(super) fn announce(
    own: &NodeView,
    views: &BTreeMap<String, NodeView>,
    settings: &Settings,
    doubts: &mut Vec<Doubt>,
) -> Vec<Prefix> {
    let mut announced: Vec<Prefix> = Vec::new();
    for prefix in &settings.cluster.announce {
        let taken = views.values().find_map(|view| {
            view.pod_cidrs.iter().find(|cidr| cidr.overlaps(*prefix)).map(|cidr| (view, cidr))
        });
        let routed =
            own.addresses.iter().any(|address| Prefix::host(*address).family() == prefix.family());
        let note = match taken {
            Some((view, cidr)) => {
                format!("announce: {prefix} overlaps the pod CIDR {cidr} of {}", view.name)
            }
            None if !routed => {
                format!(
                    "announce: {prefix} has no next hop on {}, which has no address of its \
                         family",
                    own.name
                )
            }
            None => {
                if !announced.contains(prefix) {
                    announced.push(*prefix);
                }
                continue;
            }
        };
        if let Some(about) = &settings.about {
            doubts.push(Doubt { about: about.clone(), reason: Reason::Conflict, note });
        }
    }
    announced
}

/// What a resource is, for Events.
pub(super) fn about_resource(kind: Kind, name: &str, held: &Held) -> About {
    About { kind, namespace: None, name: name.into(), uid: held.uid.clone() }
}
