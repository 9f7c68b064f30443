//! Which path leads where.
//!
//! The Unix socket serves all of it; the TCP address only what changes nothing and tells no more
//! than the looking glass does.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde::Deserialize;
use twill_bgp::RouteSelection;

use super::answer::Failure;
use super::api::{AnnounceOptions, Done};
use super::reading::{self, Reading};
use super::{Shared, announcements, drain, health, monitor, page};

/// The largest body that a request may have.
const BODY: usize = 16 << 10;
/// The longest wait for the beginning of an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest message to a peer, in bytes of UTF-8 (RFC 9003 section 2).
const MAX_WORDS: usize = 255;
/// Watching looks again after this many seconds at the most.
const SLOWEST_WATCH: u32 = 3600;

/// Everything, for the command line.
pub(super) fn socket(shared: Arc<Shared>) -> Router {
    let api = Router::new()
        .route("/v1/status", get(async |s, q| read(s, q, Ok(Reading::Status)).await))
        .route("/v1/peers", get(async |s, q| read(s, q, Ok(Reading::Peers)).await))
        .route("/v1/peers/{name}", get(peer))
        .route("/v1/peers/{name}/reset", post(reset))
        .route("/v1/routes", get(routes))
        .route("/v1/routes/{*prefix}", get(routes_of))
        .route("/v1/fib", get(async |s, q| read(s, q, Ok(Reading::Fib)).await))
        .route("/v1/explain/{address}", get(explain))
        .route("/v1/ipam", get(async |s, q| read(s, q, Ok(Reading::Ipam)).await))
        .route("/v1/monitor", get(events))
        .route("/v1/drain", get(drain::show).put(drain::begin).delete(drain::undo))
        .route("/v1/announcements/{*prefix}", put(announce).delete(withdraw));
    finish(api.merge(public()), shared)
}

/// What everybody on this host may see.
pub(super) fn http(shared: Arc<Shared>) -> Router {
    finish(public(), shared)
}

fn public() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(page::page))
        .route("/metrics", get(health::metrics))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
}

fn finish(router: Router<Arc<Shared>>, shared: Arc<Shared>) -> Router {
    router
        .fallback(async || {
            Failure::not_found("nothing is here", "is the agent of the same version?")
        })
        .method_not_allowed_fallback(async || {
            let mut failure =
                Failure::bad_request("not by this method", "is the agent of the same version?");
            failure.status = StatusCode::METHOD_NOT_ALLOWED;
            failure
        })
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn(patience))
        .with_state(shared)
}

/// No request waits for ever; a stream may go on once it has begun.
async fn patience(request: Request, next: Next) -> Response {
    match tokio::time::timeout(PATIENCE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Failure::timeout().into_response(),
    }
}

/// Parameters of every reading question.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Watching {
    /// Seconds between looks.
    watch: Option<u32>,
}

/// Parameters of the questions about routes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Routes {
    watch: Option<u32>,
    peer: Option<String>,
    #[serde(default)]
    view: View,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum View {
    #[default]
    Best,
    All,
    Received,
    Advertised,
}

impl From<View> for RouteSelection {
    fn from(view: View) -> RouteSelection {
        match view {
            View::Best => RouteSelection::Best,
            View::All => RouteSelection::All,
            View::Received => RouteSelection::Received,
            View::Advertised => RouteSelection::Advertised,
        }
    }
}

type Parameters<T> = Result<Query<T>, QueryRejection>;

fn parameters<T>(parameters: Parameters<T>) -> Result<T, Failure> {
    parameters.map(|Query(parameters)| parameters).map_err(|rejection| {
        Failure::bad_request(rejection.body_text(), "is the agent of the same version?")
    })
}

async fn read(
    State(shared): State<Arc<Shared>>,
    query: Parameters<Watching>,
    reading: Result<Reading, Failure>,
) -> Response {
    match parameters(query).and_then(|query| Ok((query.watch, reading?))) {
        Ok((watch, reading)) => answer(shared, reading, watch).await,
        Err(failure) => failure.into_response(),
    }
}

async fn answer(shared: Arc<Shared>, reading: Reading, watch: Option<u32>) -> Response {
    match watch {
        None => reading::once(&shared, &reading).await,
        Some(seconds) => {
            let every = Duration::from_secs(u64::from(seconds.clamp(1, SLOWEST_WATCH)));
            reading::watched(shared, reading, every).await
        }
    }
}

async fn peer(
    state: State<Arc<Shared>>,
    Path(name): Path<String>,
    query: Parameters<Watching>,
) -> Response {
    read(state, query, Ok(Reading::Peer(name))).await
}

async fn explain(
    state: State<Arc<Shared>>,
    Path(address): Path<String>,
    query: Parameters<Watching>,
) -> Response {
    let reading = address.parse::<IpAddr>().map(Reading::Explain).map_err(|_| {
        Failure::bad_request(
            format!("bad address {address:?}"),
            "give one address, such as 10.244.2.7 or fd00::7",
        )
    });
    read(state, query, reading).await
}

async fn routes(State(shared): State<Arc<Shared>>, query: Parameters<Routes>) -> Response {
    show_routes(shared, None, query).await
}

async fn routes_of(
    State(shared): State<Arc<Shared>>,
    Path(prefix): Path<String>,
    query: Parameters<Routes>,
) -> Response {
    show_routes(shared, Some(&prefix), query).await
}

async fn show_routes(
    shared: Arc<Shared>,
    what: Option<&str>,
    query: Parameters<Routes>,
) -> Response {
    let asked = parameters(query)
        .and_then(|query| Ok((query.watch, reading::routes(what, query.view.into(), query.peer)?)));
    match asked {
        Ok((watch, reading)) => answer(shared, reading, watch).await,
        Err(failure) => failure.into_response(),
    }
}

async fn events(State(shared): State<Arc<Shared>>) -> Result<Response, Failure> {
    use futures::StreamExt;
    let events = monitor::events(&shared.backend).await?;
    // An event is made of texts and numbers: it always serializes.
    Ok(reading::ndjson(events.map(|event| serde_json::to_vec(&event).unwrap_or_default())))
}

/// Parameters of a reset.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {
    #[serde(default)]
    soft: bool,
    /// What the peer is told.
    message: Option<String>,
}

async fn reset(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    query: Parameters<Reset>,
) -> Result<Response, Failure> {
    let Reset { soft, message } = parameters(query)?;
    let words = message.unwrap_or_default();
    if words.len() > MAX_WORDS {
        return Err(Failure::bad_request(
            format!("the message has {} bytes", words.len()),
            "a NOTIFICATION takes 255 (RFC 9003): say it in fewer",
        ));
    }
    if soft && !words.is_empty() {
        return Err(Failure::bad_request(
            "a soft reset says nothing to the peer",
            "give a message or --soft, not both",
        ));
    }
    let speaker = &shared.backend.speaker;
    let peers = speaker.peers().await?;
    if reading::find(&peers, &name)?.config.shutdown.is_some() {
        return Err(Failure::refused(
            format!("{name} is shut down by the configuration"),
            "remove its `shutdown` there",
        ));
    }
    let how = if soft { twill_bgp::Reset::Soft } else { twill_bgp::Reset::Hard(words) };
    if !speaker.reset(name.as_str().into(), how).await? {
        return Err(Failure::refused(
            format!("{name} cannot be refreshed"),
            "a soft reset needs an established session with route refresh: see \
             `twill peers NAME`, or reset without --soft",
        ));
    }
    let done = if soft {
        format!("asked {name} for its routes again, and sent it ours")
    } else {
        format!("session with {name} reset; it is dialled again by the usual back-off")
    };
    Ok(success(&Done { done, notes: Vec::new() }))
}

async fn announce(
    State(shared): State<Arc<Shared>>,
    Path(prefix): Path<String>,
    body: Bytes,
) -> Result<Response, Failure> {
    let prefix = reading::prefix(&prefix)?;
    let options = if body.is_empty() {
        AnnounceOptions::default()
    } else {
        serde_json::from_slice(&body).map_err(|error| {
            Failure::bad_request(
                format!("bad announcement: {error}"),
                "send {\"nextHop\", \"localPref\", \"med\", \"communities\"}, each of them optional",
            )
        })?
    };
    let snapshot = shared.backend.snapshot();
    let route = announcements::check(&snapshot, prefix, &options)?;
    let notes = announcements::notes(&snapshot, &route);
    shared.backend.speaker.announce(route).await?;
    let done = format!("{prefix} is announced until the agent restarts");
    Ok(success(&Done { done, notes }))
}

async fn withdraw(
    State(shared): State<Arc<Shared>>,
    Path(prefix): Path<String>,
) -> Result<Response, Failure> {
    let prefix = reading::prefix(&prefix)?;
    let snapshot = shared.backend.snapshot();
    let configured = announcements::configured(&snapshot, prefix);
    if !shared.backend.speaker.withdraw(prefix).await? {
        let remedy = if configured {
            "the configuration announces it: change it there"
        } else {
            "only what `twill announce` announced can be withdrawn; see `twill routes`"
        };
        return Err(Failure::not_found(format!("{prefix} was not announced by hand"), remedy));
    }
    let notes = configured
        .then(|| "the configuration announces it as well, and still does".to_owned())
        .into_iter()
        .collect();
    Ok(success(&Done { done: format!("{prefix} is withdrawn"), notes }))
}

fn success(done: &Done) -> Response {
    // Texts always serialize.
    let body = serde_json::to_vec(done).unwrap_or_default();
    ([(axum::http::header::CONTENT_TYPE, "application/json")], body).into_response()
}
