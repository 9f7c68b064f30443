//! `/healthz`, `/readyz` and `/metrics`.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;

use super::answer::Failure;
use super::{Shared, metrics, status};
use crate::reconcile::report::ConfigReport;

/// A speaker that says nothing for so long is stuck, not busy: it works in bounded batches.
const STUCK: Duration = Duration::from_secs(10);

/// Fails only for what a restart mends: a speaker that has ended or is stuck. An agent whose
/// other parts end ends with them.
pub(super) async fn healthz(State(shared): State<Arc<Shared>>) -> Response {
    match tokio::time::timeout(STUCK, shared.backend.speaker.peers()).await {
        Ok(Ok(_)) => text(StatusCode::OK, "ok\n"),
        Ok(Err(stopped)) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{stopped}\n")),
        Err(_) => text(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the BGP speaker did not answer for {} s\n", STUCK.as_secs()),
        ),
    }
}

/// Whether pods may be scheduled here: the routes of the first exchange are in the kernel and
/// the host is set up. The body says what is not.
pub(super) async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    let (fib, host) = (shared.backend.fib(), shared.backend.host());
    let reasons = status::not_ready(&fib, &host);
    if reasons.is_empty() {
        return text(StatusCode::OK, "ready\n");
    }
    let mut body = "not ready\n".to_owned();
    for line in reasons.iter().chain(&host.problems).chain(&fib.problems) {
        // Writing to a String does not fail.
        let _: Result<(), std::fmt::Error> = writeln!(body, "{line}");
    }
    text(StatusCode::SERVICE_UNAVAILABLE, body)
}

/// Before there is a world: alive, not ready, and why.
pub(super) fn waiting(why: watch::Receiver<Arc<ConfigReport>>) -> Router {
    let ready = why.clone();
    let lines = |why: &watch::Receiver<Arc<ConfigReport>>| why.borrow().problems.join("\n");
    Router::new()
        .route("/healthz", get(async || text(StatusCode::OK, "ok\n")))
        .route(
            "/readyz",
            get(async move || {
                let body = format!("not ready\n{}\n", lines(&ready));
                text(StatusCode::SERVICE_UNAVAILABLE, body)
            }),
        )
        .fallback(async move || {
            let error = format!("the agent waits for the API server: {}", lines(&why));
            let remedy = "it goes on by itself when the API server answers";
            let body = serde_json::json!({ "error": error, "remedy": remedy });
            let kind = [(header::CONTENT_TYPE, "application/json")];
            (StatusCode::SERVICE_UNAVAILABLE, kind, body.to_string()).into_response()
        })
}

pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Result<Response, Failure> {
    let backend = &shared.backend;
    let body = metrics::encode(&metrics::Parts {
        peers: &backend.speaker.peers().await?,
        fib: &backend.fib(),
        shadowed: backend.shadows().count,
        installs: &backend.installs,
        counters: &shared.counters,
        watch_restarts: backend.restarts.get(),
        version: backend.version,
    })
    .map_err(|error| Failure::internal(error.to_string()))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
}

fn text(status: StatusCode, body: impl Into<String>) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body.into()).into_response()
}
