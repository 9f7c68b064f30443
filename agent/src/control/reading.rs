//! The questions that change nothing, each answered by one JSON document, once or, watched, again
//! whenever it has changed.

use std::convert::Infallible;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use serde::Serialize;
use twill_bgp::proto::types::Prefix;
use twill_bgp::{PeerStatus, RouteEntry, RouteQuery, RouteSelection};
use twill_cni::config::{COOLDOWN, DATA_DIR};

use super::answer::Failure;
use super::{Shared, explain, ipam, lookup, status, view};

/// Routes that are written at once.
const PIECE: usize = 256;

/// A question.
#[derive(Debug, Clone)]
pub(super) enum Reading {
    Status,
    Peers,
    Peer(String),
    Routes(RouteQuery),
    Fib,
    Explain(IpAddr),
    Ipam,
}

impl Reading {
    /// The answer, as JSON on one line.
    pub(super) async fn document(&self, shared: &Shared) -> Result<Vec<u8>, Failure> {
        let backend = &shared.backend;
        let now = SystemTime::now();
        match self {
            Reading::Status => json(&shared.status().await?),
            Reading::Peers => {
                let snapshot = backend.snapshot();
                let peers = backend.speaker.peers().await?;
                let list = peers.iter().map(|peer| view::peer(peer, &snapshot, now));
                json(&list.collect::<Vec<_>>())
            }
            Reading::Peer(name) => {
                let peers = backend.speaker.peers().await?;
                let peer = find(&peers, name)?;
                json(&view::peer_whole(peer, &backend.snapshot(), now))
            }
            Reading::Routes(query) => {
                let entries = entries(shared, query).await?;
                json(&entries.iter().map(view::route).collect::<Vec<_>>())
            }
            Reading::Fib => json(&view::fib(&backend.fib())),
            Reading::Explain(address) => explain(shared, *address).await,
            Reading::Ipam => {
                let snapshot = backend.snapshot();
                // Files: as many as there are pods.
                let read = move || {
                    ipam::ipam(
                        &snapshot,
                        Path::new(DATA_DIR),
                        crate::desired::cni::NETWORK,
                        COOLDOWN,
                    )
                };
                let answer = tokio::task::spawn_blocking(read).await;
                json(&answer.map_err(|error| Failure::internal(error.to_string()))??)
            }
        }
    }
}

/// The peer of a name, or which names there are.
pub(super) fn find<'a>(peers: &'a [PeerStatus], name: &str) -> Result<&'a PeerStatus, Failure> {
    peers.iter().find(|peer| peer.config.name == name).ok_or_else(|| {
        let mut names: Vec<&str> = peers.iter().map(|peer| peer.config.name.as_str()).collect();
        names.sort_unstable();
        let known = match names.as_slice() {
            [] => "this node has no peer".to_owned(),
            [last] => format!("the only peer is {last}"),
            names if names.len() <= 8 => format!("peers are {}", names.join(", ")),
            _ => "see `twill peers`".to_owned(),
        };
        Failure::not_found(format!("no peer is called {name}"), known)
    })
}

async fn explain(shared: &Shared, address: IpAddr) -> Result<Vec<u8>, Failure> {
    let backend = &shared.backend;
    let query = RouteQuery { address: Some(address), ..RouteQuery::default() };
    let entries = backend.speaker.routes(query).await?;
    let peers = backend.speaker.peers().await?;
    let snapshot = backend.snapshot();
    let kernel = lookup::lookup(address, snapshot.dataplane.protocol);
    json(&explain::explain(explain::Parts {
        address,
        route: longest(&entries),
        peers: &peers,
        fib: &backend.fib(),
        kernel,
        snapshot: &snapshot,
        now: SystemTime::now(),
    }))
}

fn longest(entries: &[RouteEntry]) -> Option<&RouteEntry> {
    entries
        .iter()
        .filter(|entry| entry.view.lost.is_none())
        .max_by_key(|entry| entry.view.prefix.len())
}

impl Shared {
    /// Everything in one document.
    pub(super) async fn status(&self) -> Result<super::api::Status, Failure> {
        let peers = self.backend.speaker.peers().await?;
        Ok(digest(&self.backend, &peers, self.problem.borrow().clone()))
    }
}

/// The same, of peers that were asked already. `control`: what is wrong with control itself.
pub(crate) fn digest(
    backend: &super::Backend,
    peers: &[PeerStatus],
    control: Option<String>,
) -> super::api::Status {
    status::status(&status::Parts {
        snapshot: &backend.snapshot(),
        peers,
        fib: &backend.fib(),
        shadows: &backend.shadows(),
        host: &backend.host(),
        config: &backend.config(),
        cni: &backend.cni(),
        masquerade: &backend.masquerade(),
        control,
        uptime: backend.started.elapsed(),
        version: backend.version,
    })
}

fn json<T: Serialize>(document: &T) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(document).map_err(|error| Failure::internal(error.to_string()))
}

/// What to show: a prefix as it is, an address by longest match.
pub(super) fn routes(
    what: Option<&str>,
    view: RouteSelection,
    peer: Option<String>,
) -> Result<Reading, Failure> {
    if view == RouteSelection::Advertised && peer.is_none() {
        return Err(Failure::bad_request(
            "what is advertised differs from peer to peer",
            "name one: `--advertised --peer NAME`",
        ));
    }
    let mut query = RouteQuery { view, peer, ..RouteQuery::default() };
    if let Some(text) = what {
        match text.parse::<IpAddr>() {
            Ok(address) => query.address = Some(address),
            Err(_) => query.prefix = Some(prefix(text)?),
        }
    }
    Ok(Reading::Routes(query))
}

/// A prefix that somebody typed.
pub(super) fn prefix(text: &str) -> Result<Prefix, Failure> {
    text.parse().map_err(|error: twill_bgp::proto::types::PrefixError| {
        Failure::bad_request(
            format!("bad prefix {text:?}: {error}"),
            "give ADDRESS/LENGTH without host bits, such as 10.244.1.0/24 or fd00::/64",
        )
    })
}

async fn entries(shared: &Shared, query: &RouteQuery) -> Result<Vec<RouteEntry>, Failure> {
    let speaker = &shared.backend.speaker;
    if let Some(name) = &query.peer {
        find(&speaker.peers().await?, name)?;
    }
    Ok(speaker.routes(query.clone()).await?)
}

/// Answers once.
pub(super) async fn once(shared: &Shared, reading: &Reading) -> Response {
    if let Reading::Routes(query) = reading {
        return match entries(shared, query).await {
            Ok(entries) => list(entries),
            Err(failure) => failure.into_response(),
        };
    }
    match reading.document(shared).await {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(failure) => failure.into_response(),
    }
}

/// A table may be large, and as JSON many times larger: it is written as it is read.
fn list(entries: Vec<RouteEntry>) -> Response {
    let pieces = stream::unfold(Some((entries.into_iter(), '[')), async |rest| {
        let (mut entries, mut before) = rest?;
        let mut piece = Vec::new();
        for entry in entries.by_ref().take(PIECE) {
            piece.push(before as u8);
            // A route is made of texts and numbers: it always serializes.
            piece.extend(serde_json::to_vec(&view::route(&entry)).unwrap_or_default());
            before = ',';
        }
        if entries.len() > 0 {
            return Some((piece, Some((entries, before))));
        }
        piece.extend(if before == '[' { &b"[]"[..] } else { b"]" });
        Some((piece, None))
    });
    let body = Body::from_stream(pieces.map(|piece| Ok::<_, Infallible>(Bytes::from(piece))));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Answers at once, and again whenever a look, one each `every`, finds another document. A
/// question that has no answer any more ends the stream with the refusal as its last line.
pub(super) async fn watched(shared: Arc<Shared>, reading: Reading, every: Duration) -> Response {
    // The first answer decides about success.
    let first = match reading.document(&shared).await {
        Ok(document) => document,
        Err(failure) => return failure.into_response(),
    };
    let mut looks = tokio::time::interval(every);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    looks.reset();
    let watch = Watch { shared, reading, looks, shown: Vec::new(), next: Some(first) };
    ndjson(stream::unfold(watch, async |mut watch| {
        let line = watch.line().await?;
        Some((line, watch))
    }))
}

/// A body of lines, each one JSON document.
pub(super) fn ndjson(lines: impl futures::Stream<Item = Vec<u8>> + Send + 'static) -> Response {
    let body = Body::from_stream(lines.map(|mut line| {
        line.push(b'\n');
        Ok::<_, Infallible>(Bytes::from(line))
    }));
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

struct Watch {
    shared: Arc<Shared>,
    reading: Reading,
    looks: tokio::time::Interval,
    /// What the listener has.
    shown: Vec<u8>,
    /// What it gets at once.
    next: Option<Vec<u8>>,
}

impl Watch {
    /// The next document; `None` after a refusal, whose `looks` are over.
    async fn line(&mut self) -> Option<Vec<u8>> {
        if let Some(first) = self.next.take() {
            self.shown.clone_from(&first);
            return Some(first);
        }
        if self.shown.is_empty() {
            return None;
        }
        loop {
            self.looks.tick().await;
            match self.reading.document(&self.shared).await {
                Ok(document) if document == self.shown => {}
                Ok(document) => {
                    self.shown.clone_from(&document);
                    return Some(document);
                }
                Err(failure) => {
                    self.shown.clear();
                    return serde_json::to_vec(&failure.refusal).ok();
                }
            }
        }
    }
}
