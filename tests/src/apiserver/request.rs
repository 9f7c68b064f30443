//! What a request asks for: its path and its parameters, read once.

use std::rc::Rc;

use hyper::Method;

use super::resource::{Kind, Registry};
use super::selector::Selector;
use super::status::Refusal;

/// The verbs of Kubernetes, as RBAC knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
}

impl Verb {
    /// As RBAC writes it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
        }
    }
}

/// Which objects, and what with them.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) verb: Verb,
    pub(super) kind: Rc<Kind>,
    /// `None`: all of them, or there are none.
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    /// What RBAC takes for the name: also that of a collection selected by `metadata.name`.
    pub(super) named: Option<String>,
    /// The one subresource that is served here.
    pub(super) status: bool,
}

impl Target {
    /// The resource as RBAC names it.
    pub(super) fn resource(&self) -> String {
        match self.status {
            true => format!("{}/status", self.kind.plural),
            false => self.kind.plural.clone(),
        }
    }
}

/// What the query string may say.
#[derive(Debug, Clone, Default)]
pub(super) struct Parameters {
    pub(super) watch: bool,
    pub(super) resource_version: Option<String>,
    pub(super) resource_version_match: Option<String>,
    pub(super) limit: usize,
    pub(super) next: Option<String>,
    pub(super) bookmarks: bool,
    pub(super) initial_events: bool,
    pub(super) timeout_seconds: Option<u64>,
    pub(super) field_manager: Option<String>,
    pub(super) force: bool,
    pub(super) dry_run: bool,
    pub(super) labels: Selector,
    pub(super) fields: Selector,
}

impl Parameters {
    pub(super) fn read(query: &str) -> Result<Parameters, Refusal> {
        let mut read = Parameters::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.into_owned();
            let yes = value == "true" || value == "1";
            match &*key {
                "watch" => read.watch = yes,
                "resourceVersion" => read.resource_version = Some(value).filter(|v| !v.is_empty()),
                "resourceVersionMatch" => read.resource_version_match = Some(value),
                "limit" => read.limit = number(&key, &value)?.try_into().unwrap_or(usize::MAX),
                "continue" => read.next = Some(value).filter(|next| !next.is_empty()),
                "allowWatchBookmarks" => read.bookmarks = yes,
                "sendInitialEvents" => read.initial_events = yes,
                "timeoutSeconds" => read.timeout_seconds = Some(number(&key, &value)?),
                "fieldManager" => read.field_manager = Some(value),
                "force" => read.force = yes,
                "dryRun" => read.dry_run = value == "All",
                "labelSelector" => read.labels = Selector::labels(&value)?,
                "fieldSelector" => read.fields = Selector::fields(&value)?,
                // fieldValidation, pretty, timeout and the like change nothing here.
                _ => {}
            }
        }
        Ok(read)
    }

    /// The resource version that was asked for, as the number that it is to us alone.
    pub(super) fn revision(&self) -> Result<Option<u64>, Refusal> {
        let Some(text) = &self.resource_version else { return Ok(None) };
        match text.parse() {
            Ok(revision) => Ok(Some(revision)),
            Err(_) => Err(Refusal::bad_request(format!("invalid resource version {text:?}"))),
        }
    }
}

fn number(key: &str, value: &str) -> Result<u64, Refusal> {
    value.parse().map_err(|_| Refusal::bad_request(format!("{key}: {value:?} is no number")))
}

/// Reads a path below `/api` or `/apis`.
pub(super) fn target(
    registry: &Registry,
    method: &Method,
    path: &str,
    parameters: &Parameters,
) -> Result<Target, Refusal> {
    let decoded: Vec<String> =
        path.split('/').filter(|part| !part.is_empty()).map(percent_decoded).collect();
    let parts: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return Err(Refusal::no_such_resource()),
    };
    // `namespaces/NAME/RESOURCE` is a place, `namespaces/NAME` and `.../status` an object.
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !matches!(rest, [] | ["status"]) => {
            (Some((*namespace).to_owned()), rest)
        }
        rest => (None, rest),
    };
    let (plural, name, status) = match rest {
        [plural] => (plural, None, false),
        [plural, name] => (plural, Some((*name).to_owned()), false),
        [plural, name, "status"] => (plural, Some((*name).to_owned()), true),
        _ => return Err(Refusal::no_such_resource()),
    };
    let kind = registry.find(group, version, plural).ok_or_else(Refusal::no_such_resource)?;
    if namespace.is_some() && !kind.namespaced
        || kind.namespaced && namespace.is_none() && name.is_some()
        || status && !kind.status
    {
        return Err(Refusal::no_such_resource());
    }
    let verb = verb(method, name.is_some(), parameters.watch)?;
    if verb == Verb::Create && kind.namespaced && namespace.is_none() {
        return Err(Refusal::method_not_allowed());
    }
    if status && verb == Verb::Delete {
        return Err(Refusal::method_not_allowed());
    }
    let named = name.clone().or_else(|| parameters.fields.name().map(str::to_owned));
    Ok(Target { verb, kind, namespace, name, named, status })
}

fn verb(method: &Method, named: bool, watch: bool) -> Result<Verb, Refusal> {
    match (method.as_str(), named) {
        ("GET", true) => Ok(Verb::Get),
        ("GET", false) if watch => Ok(Verb::Watch),
        ("GET", false) => Ok(Verb::List),
        ("POST", false) => Ok(Verb::Create),
        ("PUT", true) => Ok(Verb::Update),
        ("PATCH", true) => Ok(Verb::Patch),
        ("DELETE", true) => Ok(Verb::Delete),
        _ => Err(Refusal::method_not_allowed()),
    }
}

fn percent_decoded(part: &str) -> String {
    // A plus is a plus in a path.
    let kept = part.replace('+', "%2B");
    form_urlencoded::parse(kept.as_bytes()).next().map_or_else(String::new, |(key, _)| key.into())
}
