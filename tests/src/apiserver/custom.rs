//! Custom resources against their schemas: unknown fields are dropped, defaults filled in, and
//! what does not fit is refused. Rules in CEL are not looked at: only a real API server runs them.

use serde_json::Value;

/// Fields, and what is wrong with each.
type Causes = Vec<(String, String)>;

/// Drops, fills in and checks.
pub(super) fn admit(schema: &Value, object: &mut Value) -> Result<(), Causes> {
    let mut causes = Vec::new();
    let Some(fields) = schema["properties"].as_object() else { return Ok(()) };
    for (name, value) in object.as_object_mut().into_iter().flatten() {
        match name.as_str() {
            "apiVersion" | "kind" | "metadata" => {}
            _ => match fields.get(name) {
                Some(schema) => visit(schema, value, name, &mut causes),
                None => *value = Value::Null,
            },
        }
    }
    if let Some(object) = object.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    required(schema, object, "", &mut causes);
    if causes.is_empty() { Ok(()) } else { Err(causes) }
}

fn visit(schema: &Value, value: &mut Value, path: &str, causes: &mut Causes) {
    if value.is_null() && schema["nullable"] == true {
        return;
    }
    if let Some(problem) = mistyped(schema, value) {
        causes.push((path.to_owned(), problem));
        return;
    }
    limits(schema, value, path, causes);
    if value.is_object() {
        object(schema, value, path, causes);
    } else if let Some(items) = value.as_array_mut() {
        for (place, item) in items.iter_mut().enumerate() {
            visit(&schema["items"], item, &format!("{path}[{place}]"), causes);
        }
    }
}

fn object(schema: &Value, value: &mut Value, path: &str, causes: &mut Causes) {
    let Some(fields) = value.as_object_mut() else { return };
    let keeps = schema["x-kubernetes-preserve-unknown-fields"] == true
        || schema["x-kubernetes-embedded-resource"] == true;
    let known = schema["properties"].as_object();
    let others = schema.get("additionalProperties").filter(|others| others.is_object());
    for (name, schema) in known.into_iter().flatten() {
        if let Some(default) = schema.get("default") {
            fields.entry(name.as_str()).or_insert_with(|| default.clone());
        }
        // A null for what may not be null counts as left out.
        if fields.get(name).is_some_and(Value::is_null) && schema["nullable"] != true {
            fields.remove(name);
        }
    }
    fields.retain(|name, _| {
        keeps || others.is_some() || known.is_some_and(|known| known.contains_key(name))
    });
    for (name, value) in fields.iter_mut() {
        if let Some(schema) = known.and_then(|known| known.get(name)).or(others) {
            visit(schema, value, &format!("{path}.{name}"), causes);
        }
    }
    required(schema, value, path, causes);
}

fn required(schema: &Value, value: &Value, path: &str, causes: &mut Causes) {
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(name).is_none() {
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            causes.push((path, "Required value".to_owned()));
        }
    }
}

fn mistyped(schema: &Value, value: &Value) -> Option<String> {
    if schema["x-kubernetes-int-or-string"] == true {
        let fits = value.is_string() || value.is_i64() || value.is_u64();
        return (!fits).then(|| format!("Invalid value: {value}: must be a number or a string"));
    }
    let wanted = schema["type"].as_str()?;
    let fits = match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    };
    let got = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    (!fits).then(|| format!("Invalid value: {got:?}: must be of type {wanted}: {got:?}"))
}

fn limits(schema: &Value, value: &Value, path: &str, causes: &mut Causes) {
    let mut fault = |problem: String| causes.push((path.to_owned(), problem));
    if let Some(list) = schema["enum"].as_array()
        && !list.contains(value)
    {
        let list: Vec<String> = list.iter().map(Value::to_string).collect();
        fault(format!("Unsupported value: {value}: supported values: {}", list.join(", ")));
    }
    if let Some(number) = value.as_f64() {
        if let Some(least) = schema["minimum"].as_f64().filter(|least| number < *least) {
            fault(format!("Invalid value: {value}: should be greater than or equal to {least}"));
        }
        if let Some(most) = schema["maximum"].as_f64().filter(|most| number > *most) {
            fault(format!("Invalid value: {value}: should be less than or equal to {most}"));
        }
    }
    let size = match value {
        Value::String(text) => Some((text.chars().count(), "minLength", "maxLength")),
        Value::Array(list) => Some((list.len(), "minItems", "maxItems")),
        Value::Object(map) => Some((map.len(), "minProperties", "maxProperties")),
        _ => None,
    };
    if let Some((size, least, most)) = size {
        let size = size as u64;
        if schema[least].as_u64().is_some_and(|least| size < least) {
            fault(format!("Invalid value: {value}: {least} is {}", schema[least]));
        }
        if schema[most].as_u64().is_some_and(|most| size > most) {
            fault(format!("Too long: may not be more than {}", schema[most]));
        }
    }
    if schema["x-kubernetes-list-type"] == "set" || schema["x-kubernetes-list-type"] == "map" {
        let keys = schema["x-kubernetes-list-map-keys"].as_array();
        let mut seen = Vec::new();
        for item in value.as_array().into_iter().flatten() {
            let key = match keys {
                None => item.clone(),
                Some(keys) => {
                    keys.iter().filter_map(Value::as_str).map(|key| item[key].clone()).collect()
                }
            };
            if seen.contains(&key) {
                fault(format!("Duplicate value: {key}"));
            }
            seen.push(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({"type": "object", "required": ["spec"], "properties": {"spec": {
        "type": "object", "required": ["asn"], "properties": {
            "asn": {"type": "integer", "minimum": 1, "maximum": 4_294_967_295_u64},
            "mode": {"type": "string", "enum": ["full", "none"], "default": "full"},
            "ports": {"type": "array", "maxItems": 2, "items": {"type": "integer"}},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        }}}})
    }

    #[test]
    fn unknown_fields_go_and_defaults_come() {
        let mut object = json!({"kind": "X", "spec": {"asn": 1, "typo": 2, "labels": {"a": "b"}},
                                "more": 1});
        admit(&schema(), &mut object).unwrap();
        let expected = json!({"kind": "X", "spec": {"asn": 1, "mode": "full",
                              "labels": {"a": "b"}}});
        assert_eq!(object, expected);
    }

    #[test]
    fn each_fault_has_its_path() {
        let cases = [
            (json!({}), "spec"),
            (json!({"spec": {}}), "spec.asn"),
            (json!({"spec": {"asn": 0}}), "spec.asn"),
            (json!({"spec": {"asn": "1"}}), "spec.asn"),
            (json!({"spec": {"asn": 1, "mode": "half"}}), "spec.mode"),
            (json!({"spec": {"asn": 1, "ports": [1, 2, 3]}}), "spec.ports"),
            (json!({"spec": {"asn": 1, "ports": [1, "x"]}}), "spec.ports[1]"),
            (json!({"spec": {"asn": 1, "labels": {"a": 1}}}), "spec.labels.a"),
        ];
        for (mut object, field) in cases {
            let causes = admit(&schema(), &mut object).unwrap_err();
            assert_eq!(causes.len(), 1, "{causes:?}");
            assert_eq!(causes[0].0, field, "{causes:?}");
        }
    }
}
