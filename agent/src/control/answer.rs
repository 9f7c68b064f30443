//! Answers that are no success, each with what to do about it.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use twill_bgp::Stopped;

use super::api::Refusal;

/// Why a request was not answered as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) refusal: Refusal,
}

impl Failure {
    fn new(status: StatusCode, error: impl Into<String>, remedy: impl Into<String>) -> Failure {
        let refusal = Refusal { error: error.into(), remedy: Some(remedy.into()) };
        Failure { status, refusal }
    }

    /// 400: what was asked makes no sense.
    pub(super) fn bad_request(error: impl Into<String>, remedy: impl Into<String>) -> Failure {
        Failure::new(StatusCode::BAD_REQUEST, error, remedy)
    }

    /// 404: nothing of that name.
    pub(super) fn not_found(error: impl Into<String>, remedy: impl Into<String>) -> Failure {
        Failure::new(StatusCode::NOT_FOUND, error, remedy)
    }

    /// 409: understood, and not done.
    pub(super) fn refused(error: impl Into<String>, remedy: impl Into<String>) -> Failure {
        Failure::new(StatusCode::CONFLICT, error, remedy)
    }

    /// 503: too slow.
    pub(super) fn timeout() -> Failure {
        Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the agent did not answer in time",
            "it may be busy with a large table: try again, and look at its log",
        )
    }

    /// 500: our own fault.
    pub(super) fn internal(error: impl Into<String>) -> Failure {
        let refusal = Refusal { error: error.into(), remedy: None };
        Failure { status: StatusCode::INTERNAL_SERVER_ERROR, refusal }
    }
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Failure {
        Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            stopped.to_string(),
            "the agent is ending, or has to be restarted: look at its log",
        )
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        // A struct of texts always serializes.
        let body = serde_json::to_vec(&self.refusal).unwrap_or_default();
        (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}
