//! What a request that fails is told: a `Status` object, as every Kubernetes client expects it.

use serde_json::{Map, Value, json};

use super::resource::Kind;

/// Why a request was refused.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The HTTP status, which the body repeats.
    pub code: u16,
    reason: &'static str,
    message: String,
    details: Map<String, Value>,
}

impl Refusal {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { code, reason, message: message.into(), details: Map::new() }
    }

    fn of(mut self, kind: &Kind, name: &str) -> Refusal {
        if !name.is_empty() {
            self.details.insert("name".to_owned(), name.into());
        }
        if !kind.group.is_empty() {
            self.details.insert("group".to_owned(), kind.group.as_str().into());
        }
        self.details.insert("kind".to_owned(), kind.plural.as_str().into());
        self
    }

    /// 404 for an object.
    pub(super) fn not_found(kind: &Kind, name: &str) -> Refusal {
        let message = format!("{} {name:?} not found", kind.qualified());
        Refusal::new(404, "NotFound", message).of(kind, name)
    }

    /// 404 for a path that no resource has.
    pub(super) fn no_such_resource() -> Refusal {
        Refusal::new(404, "NotFound", "the server could not find the requested resource")
    }

    /// 409 for a name that is taken.
    pub(super) fn already_exists(kind: &Kind, name: &str) -> Refusal {
        let message = format!("{} {name:?} already exists", kind.qualified());
        Refusal::new(409, "AlreadyExists", message).of(kind, name)
    }

    /// 409 for a write that was made from an object of yesterday.
    pub(super) fn conflict(kind: &Kind, name: &str, why: &str) -> Refusal {
        let message =
            format!("Operation cannot be fulfilled on {} {name:?}: {why}", kind.qualified());
        Refusal::new(409, "Conflict", message).of(kind, name)
    }

    /// 409 for fields that another manager applied.
    pub(super) fn owned_by_others(kind: &Kind, name: &str, owned: &[(String, String)]) -> Refusal {
        let list: Vec<String> = owned
            .iter()
            .map(|(manager, field)| format!("conflict with {manager:?}: {field}"))
            .collect();
        let count = owned.len();
        let plural = if count == 1 { "conflict" } else { "conflicts" };
        let message = format!("Apply failed with {count} {plural}: {}", list.join("; "));
        let mut refusal = Refusal::new(409, "Conflict", message).of(kind, name);
        let causes = owned.iter().map(|(manager, field)| {
            json!({"reason": "FieldManagerConflict", "message": format!("conflict with {manager:?}"),
                   "field": field})
        });
        refusal.details.insert("causes".to_owned(), causes.collect());
        refusal
    }

    /// 410: what was asked for is no longer kept.
    pub(super) fn expired(message: impl Into<String>) -> Refusal {
        Refusal::new(410, "Expired", message)
    }

    /// 422: the object is understood, and wrong. Each cause is a field and what is wrong with it.
    pub(super) fn invalid(kind: &Kind, name: &str, causes: &[(String, String)]) -> Refusal {
        let list: Vec<String> =
            causes.iter().map(|(field, problem)| format!("{field}: {problem}")).collect();
        let message = match list.as_slice() {
            [one] => format!("{} {name:?} is invalid: {one}", kind.kind_and_group()),
            many => format!("{} {name:?} is invalid: [{}]", kind.kind_and_group(), many.join(", ")),
        };
        let mut refusal = Refusal::new(422, "Invalid", message).of(kind, name);
        // Only here is the kind the kind.
        refusal.details.insert("kind".to_owned(), kind.kind.as_str().into());
        let causes = causes.iter().map(|(field, problem)| {
            json!({"reason": "FieldValueInvalid", "message": problem, "field": field})
        });
        refusal.details.insert("causes".to_owned(), causes.collect());
        refusal
    }

    /// 400.
    pub(super) fn bad_request(message: impl Into<String>) -> Refusal {
        Refusal::new(400, "BadRequest", message)
    }

    /// 401.
    pub(super) fn unauthorized() -> Refusal {
        Refusal::new(401, "Unauthorized", "Unauthorized")
    }

    /// 403: `what` is who may not do what to what.
    pub(super) fn forbidden(kind: &Kind, name: &str, what: &str) -> Refusal {
        let place = if name.is_empty() { String::new() } else { format!(" {name:?}") };
        let message = format!("{}{place} is forbidden: {what}", kind.qualified());
        Refusal::new(403, "Forbidden", message).of(kind, name)
    }

    /// 405.
    pub(super) fn method_not_allowed() -> Refusal {
        let message = "the server does not allow this method on the requested resource";
        Refusal::new(405, "MethodNotAllowed", message)
    }

    /// 413.
    pub(super) fn too_large(limit: usize) -> Refusal {
        let message = format!("Request entity too large: limit is {limit}");
        Refusal::new(413, "RequestEntityTooLarge", message)
    }

    /// 415.
    pub(super) fn unsupported_media_type(media: &str) -> Refusal {
        let message =
            format!("the body of the request was in an unknown format - {media:?} is not accepted");
        Refusal::new(415, "UnsupportedMediaType", message)
    }

    /// 504 for a resource version that this server has not reached.
    pub(super) fn from_the_future(asked: u64, current: u64) -> Refusal {
        let message = format!("Too large resource version: {asked}, current: {current}");
        let mut refusal = Refusal::new(504, "Timeout", format!("Timeout: {message}"));
        let cause =
            json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
        refusal.details.insert("causes".to_owned(), json!([cause]));
        refusal.details.insert("retryAfterSeconds".to_owned(), 1.into());
        refusal
    }

    /// What a fault on demand answers.
    pub(super) fn fault(code: u16, retry_after: Option<u32>) -> Refusal {
        let (reason, message) = match code {
            429 => ("TooManyRequests", "the server has received too many requests"),
            503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
            504 => ("Timeout", "the server was unable to return a response in time"),
            _ => ("InternalError", "an error on the server has prevented the request"),
        };
        let mut refusal = Refusal::new(code, reason, message);
        if let Some(seconds) = retry_after {
            refusal.details.insert("retryAfterSeconds".to_owned(), seconds.into());
        }
        refusal
    }

    /// Seconds after which the client may come again.
    pub(super) fn retry_after(&self) -> Option<u64> {
        self.details.get("retryAfterSeconds").and_then(Value::as_u64)
    }

    /// The body.
    pub(super) fn object(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        if !self.details.is_empty() {
            status["details"] = Value::Object(self.details.clone());
        }
        status
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.code, self.reason, self.message)
    }
}

impl std::error::Error for Refusal {}

/// What a deletion that leaves nothing answers.
pub(super) fn deleted(kind: &Kind, name: &str, uid: &Value) -> Value {
    let mut details = json!({"name": name, "kind": kind.plural, "uid": uid});
    if !kind.group.is_empty() {
        details["group"] = kind.group.as_str().into();
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
           "details": details})
}
