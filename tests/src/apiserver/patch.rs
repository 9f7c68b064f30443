//! JSON patch, merge patch and strategic merge patch.

use serde_json::{Map, Value};

use super::lists::merge_key;
use super::resource::Kind;
use super::status::Refusal;

/// How a PATCH is written, by its media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Kubernetes' own, with lists merged by key.
    Strategic,
    /// Server-side apply.
    Apply,
}

impl Format {
    pub(super) fn of(media: &str) -> Result<Format, Refusal> {
        match media.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Ok(Format::Json),
            "application/merge-patch+json" => Ok(Format::Merge),
            "application/strategic-merge-patch+json" => Ok(Format::Strategic),
            "application/apply-patch+yaml" => Ok(Format::Apply),
            other => Err(Refusal::unsupported_media_type(other)),
        }
    }
}

/// The object after the patch.
pub(super) fn patched(
    kind: &Kind,
    format: Format,
    before: &Value,
    patch: &Value,
) -> Result<Value, Refusal> {
    let mut object = before.clone();
    match format {
        Format::Json => {
            let patch: json_patch::Patch = serde_json::from_value(patch.clone())
                .map_err(|error| Refusal::bad_request(format!("error decoding patch: {error}")))?;
            json_patch::patch(&mut object, &patch).map_err(|error| {
                let cause = ("patch".to_owned(), format!("Invalid value: {error}"));
                Refusal::invalid(kind, super::world::name_of(before), &[cause])
            })?;
        }
        Format::Merge | Format::Apply => json_patch::merge(&mut object, patch),
        Format::Strategic if kind.custom.is_some() => {
            return Err(Refusal::unsupported_media_type("application/strategic-merge-patch+json"));
        }
        Format::Strategic => strategic(kind, &mut object, patch),
    }
    Ok(object)
}

fn strategic(kind: &Kind, object: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *object = patch.clone();
        return;
    };
    if fields.get("$patch").is_some_and(|directive| directive == "replace") || !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let Some(target) = object.as_object_mut() else { return };
    for (key, value) in fields {
        if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
            if let Some(Value::Array(items)) = target.get_mut(list) {
                let gone = value.as_array();
                items.retain(|item| gone.is_none_or(|gone| !gone.contains(item)));
            }
        } else if key.starts_with('$') {
            // Orders of elements, which nobody here relies on.
        } else if value.is_null() {
            target.remove(key);
        } else if let (Value::Array(items), Some(by)) = (value, merge_key(kind, key)) {
            let list = target.entry(key.as_str()).or_insert_with(|| Value::Array(Vec::new()));
            merge_lists(kind, list, items, by);
        } else {
            strategic(kind, target.entry(key.as_str()).or_insert(Value::Null), value);
        }
    }
}

fn merge_lists(kind: &Kind, list: &mut Value, patch: &[Value], by: &str) {
    let Some(list) = list.as_array_mut() else { return };
    for item in patch {
        // A list of plain values: a union.
        if by.is_empty() {
            if !list.contains(item) {
                list.push(item.clone());
            }
            continue;
        }
        let place = list.iter().position(|known| known[by] == item[by]);
        match (place, item["$patch"] == "delete") {
            (Some(place), true) => {
                list.remove(place);
            }
            (Some(place), false) => strategic(kind, &mut list[place], item),
            (None, true) => {}
            (None, false) => list.push(item.clone()),
        }
    }
}
