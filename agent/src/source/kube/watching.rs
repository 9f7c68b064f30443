//! Follows resources of the API server, each in a task that ends with the source.
//!
//! A list comes in pages, and then a watch goes on where the list ended (bookmarks keep that
//! place fresh). Whatever breaks is begun again after a pause with jitter: the watch where it
//! was, or, where the API server has forgotten that place (410), the list.

use std::collections::hash_map::RandomState;
use std::fmt::Debug;
use std::hash::{BuildHasher, Hasher};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::watcher::{self, Config, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::object;

/// Objects of one page of a list.
const PAGE: u32 = 500;
/// The first pause, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// A list that brings nothing for so long is begun again: its connection may be half dead.
const LIST_SILENCE: Duration = Duration::from_secs(60);

/// What the API server tells.
#[derive(Debug)]
pub enum Told {
    /// Of Nodes.
    Node(Event<object::Node>),
    /// Of BGPConfigurations.
    Configuration(Event<object::Configuration>),
    /// Of BGPPeers.
    Peer(Event<object::Peer>),
    /// Of Services.
    Service(Event<object::Service>),
    /// Of EndpointSlices.
    Slice(Event<object::EndpointSlice>),
    /// Of the Secret of this name.
    Secret(String, Event<object::Secret>),
    /// A resource cannot be followed.
    Trouble {
        /// Which.
        what: What,
        /// What the API server answered, where it did.
        code: Option<u16>,
        /// In words.
        why: String,
    },
}

/// What is followed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Nodes.
    Nodes,
    /// BGPConfigurations.
    Configurations,
    /// BGPPeers.
    Peers,
    /// Services.
    Services,
    /// EndpointSlices.
    Slices,
    /// One Secret.
    Secret(String),
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            What::Nodes => f.write_str("nodes"),
            What::Configurations => f.write_str("bgpconfigurations"),
            What::Peers => f.write_str("bgppeers"),
            What::Services => f.write_str("services"),
            What::Slices => f.write_str("endpointslices"),
            What::Secret(name) => write!(f, "the secret {name}"),
        }
    }
}

/// How often watches had to be begun again.
#[derive(Debug, Clone, Default)]
pub struct Restarts(Arc<AtomicU64>);

impl Restarts {
    /// Since the agent started.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where what is told goes.
#[derive(Debug, Clone)]
pub struct Teller {
    /// To whoever keeps the world.
    pub told: mpsc::Sender<Told>,
    /// Counted here.
    pub restarts: Restarts,
    /// How long a watch may be silent.
    pub silence: Duration,
}

impl Teller {
    /// Follows a resource until nobody listens.
    pub async fn follow<K>(
        self,
        api: Api<K>,
        fields: Option<String>,
        what: What,
        wrap: impl Fn(Event<K>) -> Told,
    ) where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let seconds = u32::try_from(self.silence.as_secs()).unwrap_or(u32::MAX).max(1);
        let mut config = Config::default().page_size(PAGE).timeout(seconds);
        config.field_selector = fields;
        let mut pauses = Pauses::default();
        loop {
            let mut stream = pin!(watcher::watcher(api.clone(), config.clone()));
            let mut listing = false;
            loop {
                let next = stream.next();
                let next = match listing {
                    true => tokio::time::timeout(LIST_SILENCE, next).await,
                    false => Ok(next.await),
                };
                let told = match next {
                    Ok(Some(Ok(event))) => {
                        match event {
                            Event::Init => listing = true,
                            Event::InitDone => listing = false,
                            _ => {}
                        }
                        // The beginning of a list is a question, and no answer yet.
                        if !matches!(event, Event::Init) {
                            pauses = Pauses::default();
                        }
                        wrap(event)
                    }
                    Ok(Some(Err(error))) => trouble(what.clone(), &error),
                    Ok(None) => break,
                    Err(_) => Told::Trouble {
                        what: what.clone(),
                        code: None,
                        why: format!("a list brought nothing for {LIST_SILENCE:?}"),
                    },
                };
                let broke = matches!(told, Told::Trouble { .. });
                if self.told.send(told).await.is_err() {
                    return;
                }
                if broke {
                    self.restarts.0.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
                    if std::mem::take(&mut listing) {
                        break;
                    }
                }
            }
        }
    }
}

fn trouble(what: What, error: &watcher::Error) -> Told {
    use watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
    let code = match error {
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
        | WatchError(status) => Some(status.code),
        _ => None,
    };
    let why = match error {
        InitialListFailed(error) => format!("cannot be listed: {}", words(error)),
        WatchStartFailed(error) => format!("cannot be watched: {}", words(error)),
        WatchFailed(error) => format!("the watch broke: {}", words(error)),
        WatchError(status) => format!("the watch was ended: {} ({})", status.message, status.code),
        error => error.to_string(),
    };
    Told::Trouble { what, code, why }
}

fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
        error => super::client::chain(error),
    }
}

/// Doubles from pause to pause; the second half of each is chance, so that thousands of agents
/// do not come back all at once.
#[derive(Debug)]
struct Pauses {
    next: Duration,
}

impl Default for Pauses {
    fn default() -> Pauses {
        Pauses { next: FIRST_PAUSE }
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST_PAUSE);
        Some(pause.div_f64(2.0) + pause.mul_f64(chance() / 2.0))
    }
}

/// From 0 to 1. The standard library seeds its hashers by chance, which is chance enough here.
pub fn chance() -> f64 {
    let number = RandomState::new().build_hasher().finish();
    (number >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_within_their_bounds() {
        let mut pauses = Pauses::default();
        let mut bound = FIRST_PAUSE;
        for _ in 0..12 {
            let pause = pauses.next().unwrap();
            assert!(pause >= bound / 2 && pause <= bound, "{pause:?} of {bound:?}");
            bound = (bound * 2).min(LONGEST_PAUSE);
        }
    }

    #[test]
    fn chance_is_spread() {
        let drawn: Vec<f64> = (0..1000).map(|_| chance()).collect();
        assert!(drawn.iter().all(|chance| (0.0..=1.0).contains(chance)));
        assert!(drawn.iter().any(|chance| *chance < 0.2));
        assert!(drawn.iter().any(|chance| *chance > 0.8));
    }
}
