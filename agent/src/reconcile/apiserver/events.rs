//! Events about what was refused, so that `kubectl describe` shows it.
//!
//! An Event's name follows from what it says: agents that say the same of the same object write
//! one Event, and the same doubt is told once an hour, which is how long the API server keeps
//! it. A budget bounds what one agent writes; what finds no room waits, and what no longer holds
//! by then is not written.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::Instant;
use twill_bgp::proto::types::Prefix;

use super::pause;
use super::status::cut;
use crate::source::Snapshot;
use crate::source::kube::Findings;
use crate::source::kube::doubt::{About, Doubt, Kind, Reason};
use crate::source::kube::world::hash_of;

/// Until the same is told again.
const AGAIN: Duration = Duration::from_secs(3600);
/// Events that may be written at once, and how soon there is room for one more.
const BURST: u32 = 10;
const ROOM: Duration = Duration::from_secs(5);
/// Doubts that wait; more are dropped.
const WAITING: usize = 100;
/// What is remembered as told.
const TOLD: usize = 1000;
/// The longest note that the API server takes.
const NOTE: usize = 1000;
/// Agents that tell of one refused route.
const TELLERS: usize = 3;

#[derive(Debug)]
pub(super) struct Events {
    /// Doubts that hold, and refusals, that were not told yet.
    waiting: BTreeMap<u64, Doubt>,
    told: HashMap<u64, Instant>,
    room: u32,
    room_at: Instant,
    failures: u32,
    not_before: Option<Instant>,
}

impl Default for Events {
    fn default() -> Events {
        Events {
            waiting: BTreeMap::new(),
            told: HashMap::new(),
            room: BURST,
            room_at: Instant::now(),
            failures: 0,
            not_before: None,
        }
    }
}

impl Events {
    /// These hold now.
    pub(super) fn note(&mut self, doubts: &[Doubt]) {
        let hold: Vec<u64> = doubts.iter().map(key).collect();
        self.waiting
            .retain(|key, doubt| doubt.reason == Reason::RouteRefused || hold.contains(key));
        for doubt in doubts {
            self.add(doubt.clone());
        }
    }

    /// A route was refused. Everybody refuses it, so only a few tell.
    pub(super) fn refused(
        &mut self,
        known: &Findings,
        snapshot: &Snapshot,
        peer: &str,
        prefix: Prefix,
        rule: &str,
    ) {
        let own = &snapshot.node.name;
        let about = match known.objects.get(peer) {
            Some(about) => about,
            // A peer of an annotation.
            None if snapshot.peers.contains_key(peer) => match &known.own {
                Some(own) => own,
                None => return,
            },
            None => return,
        };
        if about.kind == Kind::Node {
            let rank = |name: &str| (hash_of(&[name, peer]), name.to_owned());
            let own_rank = rank(own);
            let first = snapshot.nodes.keys().filter(|name| *name != peer && rank(name) < own_rank);
            if first.take(TELLERS).count() >= TELLERS {
                return;
            }
        }
        let note = format!("its route {prefix} is refused: {rule}");
        self.add(Doubt { about: about.clone(), reason: Reason::RouteRefused, note });
    }

    fn add(&mut self, doubt: Doubt) {
        let key = key(&doubt);
        let told = self.told.get(&key).is_some_and(|at| *at + AGAIN > Instant::now());
        if !told && self.waiting.len() < WAITING {
            self.waiting.insert(key, doubt);
        }
    }

    /// When there is something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.waiting.is_empty() {
            return None;
        }
        let room = if self.room == 0 { self.room_at + ROOM } else { Instant::now() };
        Some(self.not_before.map_or(room, |at| at.max(room)))
    }

    pub(super) async fn write(&mut self, client: &Client, node: &str) {
        self.make_room();
        while self.room > 0 && self.not_before.is_none_or(|at| at <= Instant::now()) {
            let Some((key, doubt)) = self.waiting.pop_first() else { return };
            self.room -= 1;
            let event = event(&doubt, key, node, SystemTime::now());
            let namespace = event.metadata.namespace.clone().unwrap_or_default();
            let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
            match api.create(&PostParams::default(), &event).await {
                Ok(_) => self.is_told(key),
                // Another agent was faster, or we were, before we started again.
                Err(kube::Error::Api(status)) if status.code == 409 => self.is_told(key),
                // It will not be taken the next time either.
                Err(kube::Error::Api(status)) if matches!(status.code, 400 | 404 | 422) => {
                    tracing::warn!("an Event about {} is refused: {}", doubt.about, status.message);
                    self.is_told(key);
                }
                Err(error) => {
                    if self.failures == 0 {
                        tracing::warn!("Events cannot be written: {error}");
                    }
                    self.failures = self.failures.saturating_add(1);
                    self.not_before = Some(Instant::now() + pause(self.failures));
                    self.waiting.insert(key, doubt);
                }
            }
        }
    }

    fn is_told(&mut self, key: u64) {
        self.failures = 0;
        self.not_before = None;
        let now = Instant::now();
        if self.told.len() >= TOLD {
            self.told.retain(|_, at| *at + AGAIN > now);
        }
        if self.told.len() < TOLD {
            self.told.insert(key, now);
        }
    }

    fn make_room(&mut self) {
        let now = Instant::now();
        while self.room < BURST && self.room_at + ROOM <= now {
            self.room += 1;
            self.room_at += ROOM;
        }
        if self.room == BURST {
            self.room_at = now;
        }
    }
}

/// The same for all agents that say the same of the same object.
fn key(doubt: &Doubt) -> u64 {
    hash_of(&[&doubt.about.uid, &doubt.about.to_string(), &doubt.reason.to_string(), &doubt.note])
}

fn event(doubt: &Doubt, key: u64, node: &str, now: SystemTime) -> Event {
    let About { kind, namespace, name, uid } = &doubt.about;
    let (api_version, kind_name) = kind.names();
    // Events about what is in no namespace are in this one.
    let place = namespace.clone().unwrap_or_else(|| "default".into());
    let harmless = matches!(doubt.reason, Reason::Doubtful | Reason::NotActedUpon);
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{key:016x}", cut_name(name))),
            namespace: Some(place.to_string()),
            ..ObjectMeta::default()
        },
        event_time: Timestamp::try_from(now).ok().map(MicroTime),
        action: Some("Reconcile".to_owned()),
        reason: Some(doubt.reason.to_string()),
        note: Some(cut(&doubt.note, NOTE)),
        type_: Some(if harmless { "Normal" } else { "Warning" }.to_owned()),
        reporting_controller: Some("twill.dev/agent".to_owned()),
        reporting_instance: Some(cut(node, 128)),
        regarding: Some(ObjectReference {
            api_version: Some(api_version.to_owned()),
            kind: Some(kind_name.to_owned()),
            name: Some(name.to_string()),
            namespace: namespace.as_ref().map(ToString::to_string),
            // What describes a Node looks for Events by its name in place of the uid.
            uid: Some(if *kind == Kind::Node { name } else { uid }.to_string()),
            ..ObjectReference::default()
        }),
        ..Event::default()
    }
}

/// Room for the rest of the Event's name.
fn cut_name(name: &str) -> &str {
    name.get(..200).unwrap_or(name)
}
