//! `/healthz`, `/readyz` and `/metrics`.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::answer::Failure;
use super::{Shared, metrics, status};

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

pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Result<Response, Failure> {
    let backend = &shared.backend;
    let body = metrics::encode(&metrics::Parts {
        peers: &backend.speaker.peers().await?,
        fib: &backend.fib(),
        installs: &backend.installs,
        counters: &shared.counters,
        version: backend.version,
    })
    .map_err(|error| Failure::internal(error.to_string()))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
}

fn text(status: StatusCode, body: impl Into<String>) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body.into()).into_response()
}
