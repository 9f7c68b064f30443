//! From what is told to what is known: which lists are complete, and what is gone.
//!
//! What a list brings is taken at once; what it does not bring is gone only when it is complete.
//! A list that breaks off in the middle proves nothing, and is forgotten when the next begins.

use std::collections::{BTreeMap, BTreeSet};

use kube::Resource;
use kube::runtime::watcher::Event;

use super::object;
use super::service::{ServiceFacts, SliceFacts};
use super::watching::{Told, What};
use super::world::World;

/// Which lists are complete.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// This node's name.
    node: String,
    /// Services are needed as well.
    pub(super) services: bool,
    /// Names of lists that have begun.
    lists: BTreeMap<What, BTreeSet<String>>,
    /// Told completely once, in this run.
    complete: BTreeSet<What>,
    /// The API server has no such resource.
    absent: BTreeSet<What>,
    troubles: BTreeMap<What, Trouble>,
}

#[derive(Debug, PartialEq, Eq)]
struct Trouble {
    why: String,
    /// It ends by itself; that the API server answers again is all that is to be known of it.
    passing: bool,
}

/// Without these there is no world.
const NEEDED: [What; 3] = [What::Nodes, What::Configurations, What::Peers];

impl Gathering {
    /// On this node.
    pub(super) fn new(node: &str) -> Gathering {
        Gathering { node: node.to_owned(), ..Gathering::default() }
    }

    /// What was not told completely yet; `None`: all was.
    pub(super) fn waits_for(&self) -> Option<String> {
        let services = self.services.then_some([What::Services, What::Slices]);
        let missing = NEEDED
            .iter()
            .chain(services.iter().flatten())
            .filter(|what| !self.complete.contains(what) && !self.absent.contains(what))
            .map(ToString::to_string);
        let missing: Vec<String> = missing.collect();
        (!missing.is_empty()).then(|| format!("{} were not listed yet", missing.join(", ")))
    }

    /// What cannot be followed, each with the reason and the remedy. `away`: the API server does
    /// not answer.
    pub(super) fn troubles(&self, away: bool) -> impl Iterator<Item = String> {
        let shown = self.troubles.iter().filter(move |(_, trouble)| away || !trouble.passing);
        shown.map(|(what, trouble)| format!("{what}: {}", trouble.why))
    }

    /// It is followed no more.
    pub(super) fn forget(&mut self, what: &What) {
        self.lists.remove(what);
        self.complete.remove(what);
        self.troubles.remove(what);
    }

    /// Takes what is told into the world.
    pub(super) fn take(&mut self, world: &mut World, told: Told) {
        match told {
            Told::Node(event) => match self.sort(What::Nodes, event) {
                Sorted::Is(node) => world.node(&node),
                Sorted::Gone(name) => world.node_gone(&name),
                Sorted::Complete(names) => world.nodes_are(&names),
                Sorted::Nothing => {}
            },
            Told::Configuration(event) => match self.sort(What::Configurations, event) {
                Sorted::Is(object) => world.configuration(&object),
                Sorted::Gone(name) => world.configuration_gone(&name),
                Sorted::Complete(names) => world.configurations_are(&names),
                Sorted::Nothing => {}
            },
            Told::Peer(event) => match self.sort(What::Peers, event) {
                Sorted::Is(object) => world.peer(&object),
                Sorted::Gone(name) => world.peer_gone(&name),
                Sorted::Complete(names) => world.peers_are(&names),
                Sorted::Nothing => {}
            },
            Told::Service(event) => match self.sort(What::Services, event) {
                Sorted::Is(object) => {
                    world.service(key_of(&object), ServiceFacts::parse(&object));
                }
                Sorted::Gone(key) => world.service_gone(&key),
                Sorted::Complete(keys) => world.services_are(&keys),
                Sorted::Nothing => {}
            },
            Told::Slice(event) => match self.sort(What::Slices, event) {
                Sorted::Is(object) => {
                    world.slice(key_of(&object), SliceFacts::parse(&object, &self.node));
                }
                Sorted::Gone(key) => world.slice(key, None),
                Sorted::Complete(keys) => world.slices_are(&keys),
                Sorted::Nothing => {}
            },
            Told::Secret(name, event) => match self.sort(What::Secret(name.clone()), event) {
                Sorted::Is(secret) => world.secret(&name, Some(data(secret))),
                Sorted::Gone(_) => world.secret(&name, None),
                Sorted::Complete(names) if names.is_empty() => world.secret(&name, None),
                Sorted::Complete(_) | Sorted::Nothing => {}
            },
            Told::Trouble { what, code, why } => {
                if let (What::Secret(name), Some(403 | 404)) = (&what, code) {
                    world.secret_refused(name);
                }
                self.trouble(what, code, why);
            }
        }
    }

    fn trouble(&mut self, what: What, code: Option<u16>, why: String) {
        let ours = matches!(what, What::Configurations | What::Peers);
        let absent = ours && code == Some(404);
        self.lists.remove(&what);
        // Where a resource was there once, a 404 is a fault of the API server's.
        if absent && !self.complete.contains(&what) {
            self.absent.insert(what.clone());
        }
        let why = if absent { format!("{why}; install the CRDs: `twill crds`") } else { why };
        let passing = code.is_none_or(|code| matches!(code, 410 | 429 | 500..));
        let trouble = Trouble { why, passing };
        if self.troubles.get(&what) != Some(&trouble) {
            tracing::warn!("{what}: {}; trying again", trouble.why);
        }
        self.troubles.insert(what, trouble);
    }

    fn sort<K: Resource>(&mut self, what: What, event: Event<K>) -> Sorted<K> {
        match event {
            Event::Init => {
                self.lists.insert(what, BTreeSet::new());
                Sorted::Nothing
            }
            Event::InitApply(object) => {
                if let Some(list) = self.lists.get_mut(&what) {
                    list.insert(key_of(&object));
                }
                Sorted::Is(object)
            }
            Event::InitDone => {
                self.troubles.remove(&what);
                let Some(names) = self.lists.remove(&what) else { return Sorted::Nothing };
                if self.complete.insert(what.clone()) {
                    tracing::debug!("{what}: {} listed", names.len());
                }
                self.absent.remove(&what);
                Sorted::Complete(names)
            }
            Event::Apply(object) => {
                self.troubles.remove(&what);
                Sorted::Is(object)
            }
            Event::Delete(object) => {
                self.troubles.remove(&what);
                Sorted::Gone(key_of(&object))
            }
        }
    }
}

/// What an event means.
enum Sorted<K> {
    /// This object is so.
    Is(K),
    /// The object of this name is gone.
    Gone(String),
    /// These are all there are.
    Complete(BTreeSet<String>),
    Nothing,
}

/// Its name; of what is in a namespace `namespace/name`.
fn key_of(object: &impl Resource) -> String {
    let meta = object.meta();
    let name = meta.name.as_deref().unwrap_or_default();
    match &meta.namespace {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    }
}

fn data(secret: object::Secret) -> BTreeMap<String, twill_bgp::Secret> {
    let data = secret.data.unwrap_or_default().into_iter();
    data.map(|(key, value)| (key, twill_bgp::Secret::new(value.0))).collect()
}
