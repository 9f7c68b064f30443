//! Server-side apply: whoever applies a field owns it, takes it away by leaving it out the next
//! time, and is told when somebody else owns it.
//!
//! Less than the real thing in two respects: a field written by another verb is owned by nobody,
//! and `managedFields` is not shown.

use serde_json::{Map, Value, json};

use super::lists::map_keys;
use super::resource::Kind;
use super::status::Refusal;
use super::store::{Managers, Stored};
use super::world::{Write, name_of};

/// What identifies an object belongs to nobody.
const IDENTITY: [&[&str]; 7] = [
    &["apiVersion"],
    &["kind"],
    &["metadata"],
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "uid"],
    &["metadata", "resourceVersion"],
];

/// The object after `manager` applied `config`.
pub(super) fn applied(
    kind: &Kind,
    before: &Stored,
    config: &Value,
    manager: (String, bool),
    force: bool,
) -> Result<Write, Refusal> {
    let schema = kind.custom.as_deref();
    let mut fields = Vec::new();
    collect(kind, schema, config, &mut Vec::new(), &mut fields);
    fields.retain(|path| !IDENTITY.iter().any(|fixed| path.iter().eq(fixed.iter())));

    let mut managers = before.managers.clone();
    let conflicts = conflicts(&managers, &manager, &fields, &before.object, config);
    if !conflicts.is_empty() && !force {
        return Err(Refusal::owned_by_others(kind, name_of(&before.object), &conflicts));
    }
    for (owner, owned) in managers.iter_mut().filter(|(owner, _)| **owner != manager) {
        let lost = |path: &Vec<String>| {
            conflicts.iter().any(|(who, field)| *who == owner.0 && *field == shown(path))
        };
        owned.retain(|path| !lost(path));
    }
    let given_up: Vec<Vec<String>> = managers
        .remove(&manager)
        .unwrap_or_default()
        .into_iter()
        .filter(|path| !fields.contains(path))
        .filter(|path| !managers.values().flatten().any(|owned| owned == path))
        .collect();
    let mut object = before.object.clone();
    for path in &given_up {
        remove(&mut object, path);
    }
    merge(kind, schema, &mut object, config);
    managers.insert(manager, fields);
    managers.retain(|_, owned| !owned.is_empty());
    Ok(Write { object, managers })
}

/// Fields that others own with another value.
fn conflicts(
    managers: &Managers,
    manager: &(String, bool),
    fields: &[Vec<String>],
    before: &Value,
    config: &Value,
) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (owner, owned) in managers.iter().filter(|(owner, _)| *owner != manager) {
        for path in owned.iter().filter(|path| fields.contains(path)) {
            if get(before, path) != get(config, path) {
                found.push((owner.0.clone(), shown(path)));
            }
        }
    }
    found
}

/// `.status.conditions[type="Ready"].status`
fn shown(path: &[String]) -> String {
    let mut text = String::new();
    for step in path {
        match keys_of(step) {
            Some(keys) => {
                let keys: Vec<String> =
                    keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                text += &format!("[{}]", keys.join(","));
            }
            None => text += &format!(".{step}"),
        }
    }
    text
}

/// The step to an element of a list of this key, `k:{"type":"Ready"}`.
fn step_of(item: &Value, keys: &[String]) -> String {
    let keys: Map<String, Value> =
        keys.iter().map(|key| (key.clone(), item[key.as_str()].clone())).collect();
    format!("k:{}", Value::Object(keys))
}

fn keys_of(step: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(step.strip_prefix("k:")?).ok()
}

/// The schema of a field, or of a list's elements.
fn below<'a>(schema: Option<&'a Value>, field: &str) -> Option<&'a Value> {
    let schema = schema?;
    schema["properties"].get(field).or_else(|| schema.get("additionalProperties"))
}

/// Paths of all leaves: plain values, lists that are replaced whole, empty objects.
fn collect(
    kind: &Kind,
    schema: Option<&Value>,
    value: &Value,
    path: &mut Vec<String>,
    fields: &mut Vec<Vec<String>>,
) {
    if let Some(object) = value.as_object().filter(|object| !object.is_empty()) {
        for (key, value) in object {
            path.push(key.clone());
            collect(kind, below(schema, key), value, path, fields);
            path.pop();
        }
        return;
    }
    let list = path.last().map(String::as_str).unwrap_or_default();
    let keys = map_keys(kind, list, schema);
    match value.as_array() {
        Some(items) if !keys.is_empty() => {
            for item in items {
                path.push(step_of(item, &keys));
                collect(kind, schema.and_then(|schema| schema.get("items")), item, path, fields);
                path.pop();
            }
        }
        _ => fields.push(path.clone()),
    }
}

fn matches(item: &Value, keys: &Map<String, Value>) -> bool {
    keys.iter().all(|(key, value)| item[key.as_str()] == *value)
}

fn get<'a>(object: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, step| match keys_of(step) {
        Some(keys) => value.as_array()?.iter().find(|item| matches(item, &keys)),
        None => value.get(step),
    })
}

/// Takes a field away, and what is left empty of the way to it.
fn remove(object: &mut Value, path: &[String]) {
    let Some((step, rest)) = path.split_first() else { return };
    if let Some(keys) = keys_of(step) {
        let Some(items) = object.as_array_mut() else { return };
        if let Some(place) = items.iter().position(|item| matches(item, &keys)) {
            remove(&mut items[place], rest);
            let only_keys = items[place].as_object().is_none_or(|item| item.len() <= keys.len());
            if only_keys && rest.len() <= 1 && rest.iter().all(|field| keys.contains_key(field)) {
                items.remove(place);
            }
        }
        return;
    }
    let Some(fields) = object.as_object_mut() else { return };
    if rest.is_empty() {
        fields.remove(step);
    } else if let Some(value) = fields.get_mut(step) {
        remove(value, rest);
        if *value == json!({}) || *value == json!([]) {
            fields.remove(step);
        }
    }
}

fn merge(kind: &Kind, schema: Option<&Value>, object: &mut Value, config: &Value) {
    merge_at(kind, schema, "", object, config);
}

fn merge_at(kind: &Kind, schema: Option<&Value>, name: &str, object: &mut Value, config: &Value) {
    if let Some(fields) = config.as_object() {
        if !object.is_object() {
            *object = json!({});
        }
        for (key, value) in fields {
            merge_at(kind, below(schema, key), key, &mut object[key.as_str()], value);
        }
        return;
    }
    let keys = map_keys(kind, name, schema);
    let (Some(items), false) = (config.as_array(), keys.is_empty()) else {
        *object = config.clone();
        return;
    };
    if !object.is_array() {
        *object = json!([]);
    }
    let Some(known) = object.as_array_mut() else { return };
    let schema = schema.and_then(|schema| schema.get("items"));
    for item in items {
        let step = step_of(item, &keys);
        let keys = keys_of(&step).unwrap_or_default();
        match known.iter().position(|known| matches(known, &keys)) {
            Some(place) => merge_at(kind, schema, "", &mut known[place], item),
            None => known.push(item.clone()),
        }
    }
}
