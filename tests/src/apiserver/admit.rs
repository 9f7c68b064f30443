//! What the server checks and settles before it writes.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::resource::Kind;
use super::status::Refusal;
use super::world::{metadata, name_of};

/// The object is of the kind and the namespace that the path says, or says nothing of it.
pub(super) fn identity(
    kind: &Kind,
    namespace: Option<&str>,
    object: &mut Value,
) -> Result<(), Refusal> {
    let expected = [("apiVersion", kind.api_version()), ("kind", kind.kind.clone())];
    let Some(fields) = object.as_object_mut() else {
        return Err(Refusal::bad_request("the body is no object"));
    };
    for (field, expected) in expected {
        let given = fields.entry(field).or_insert_with(|| expected.as_str().into());
        if *given != expected.as_str() {
            return Err(Refusal::bad_request(format!(
                "the {field} in the data ({given}) does not match the expected {field} ({expected})"
            )));
        }
    }
    let metadata = metadata(object)?;
    metadata.remove("managedFields");
    let Some(namespace) = namespace else {
        metadata.remove("namespace");
        return Ok(());
    };
    let given = metadata.entry("namespace").or_insert_with(|| namespace.into());
    if *given != namespace {
        return Err(Refusal::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// A new object has a name, of its own or made from `generateName`.
pub(super) fn name(kind: &Kind, object: &mut Value, number: u64) -> Result<(), Refusal> {
    let metadata = metadata(object)?;
    if metadata.get("name").and_then(Value::as_str).is_none_or(str::is_empty)
        && let Some(prefix) = metadata.get("generateName").and_then(Value::as_str)
    {
        metadata.insert("name".to_owned(), format!("{prefix}{number:05x}").into());
    }
    let name = name_of(object);
    let cause = |problem: &str| ("metadata.name".to_owned(), problem.to_owned());
    if name.is_empty() {
        let problem = cause("Required value: name or generateName is required");
        return Err(Refusal::invalid(kind, "", &[problem]));
    }
    let rbac = kind.group.starts_with("rbac.");
    let fits = |letter: char| {
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, '-' | '.')
    };
    let ends = |letter: char| letter.is_ascii_alphanumeric();
    let subdomain = name.chars().all(fits) && name.starts_with(ends) && name.ends_with(ends);
    if !rbac && !subdomain {
        let problem = cause(&format!("Invalid value: {name:?}: a lowercase RFC 1123 subdomain"));
        return Err(Refusal::invalid(kind, name, &[problem]));
    }
    Ok(())
}

/// A write that names a version must name the one that is there; the same for the uid.
pub(super) fn same_version(kind: &Kind, before: &Value, object: &Value) -> Result<(), Refusal> {
    let (before, metadata) = (&before["metadata"], &object["metadata"]);
    let version = &metadata["resourceVersion"];
    if !version.is_null() && version != "" && *version != before["resourceVersion"] {
        let why = "the object has been modified; please apply your changes to the latest version \
                   and try again";
        return Err(Refusal::conflict(kind, name_of(object), why));
    }
    let uid = &metadata["uid"];
    if !uid.is_null() && uid != "" && *uid != before["uid"] {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            before["uid"]
        );
        return Err(Refusal::conflict(kind, name_of(object), &why));
    }
    Ok(())
}

/// What may not change, and what a change sets off.
pub(super) fn change(kind: &Kind, before: &Value, object: &mut Value) -> Result<(), Refusal> {
    let invalid = |field: &str, problem: &str| {
        Err(Refusal::invalid(kind, name_of(before), &[(field.to_owned(), problem.to_owned())]))
    };
    if name_of(object) != name_of(before) {
        return invalid("metadata.name", "Invalid value: field is immutable");
    }
    if kind.kind == "Node" {
        let (old, new) = (&before["spec"]["podCIDRs"], &object["spec"]["podCIDRs"]);
        if old.as_array().is_some_and(|list| !list.is_empty()) && old != new {
            let problem =
                "Forbidden: node updates may not change podCIDR except from \"\" to valid";
            return invalid("spec.podCIDRs", problem);
        }
    }
    if kind.kind == "Service" {
        let (old, new) = (&before["spec"]["clusterIP"], &object["spec"]["clusterIP"]);
        if !old.is_null() && old != "" && !new.is_null() && old != new {
            return invalid("spec.clusterIPs[0]", "Invalid value: may not change once set");
        }
    }
    let counts = before["metadata"]["generation"].as_u64();
    if let Some(generation) = counts
        && differs_outside(before, object, &["metadata", "status"])
    {
        object["metadata"]["generation"] = (generation + 1).into();
    }
    Ok(())
}

fn differs_outside(before: &Value, object: &Value, ignored: &[&str]) -> bool {
    let (Some(before), Some(object)) = (before.as_object(), object.as_object()) else {
        return true;
    };
    let mut keys = before.keys().chain(object.keys());
    keys.any(|key| !ignored.contains(&key.as_str()) && before.get(key) != object.get(key))
}

/// Now, as RFC 3339 has it, whole seconds.
pub(super) fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to a date: years begin in March, so that the leap day is the last one.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}
