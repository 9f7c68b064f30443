//! Custom resources against their schemas: unknown fields are dropped, defaults filled in, and
//! what does not fit is refused, by rules in CEL as well. A rule that this evaluator does not
//! understand refuses everything, so that nobody takes it for one that holds.

use std::collections::HashMap;

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
    rules(schema, object, "", &mut causes);
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
    rules(schema, value, path, causes);
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

/// The rules of one level, with `self` for what is there.
fn rules(schema: &Value, value: &Value, path: &str, causes: &mut Causes) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let text = rule["rule"].as_str().unwrap_or_default();
        let said =
            rule["message"].as_str().map_or_else(|| format!("failed rule: {text}"), str::to_owned);
        let problem = match evaluate(text, value) {
            Ok(true) => continue,
            Ok(false) => format!("Invalid value: {said}"),
            Err(why) => format!("the rule {text:?} is not understood here: {why}"),
        };
        causes.push((path.to_owned(), problem));
    }
}

fn evaluate(rule: &str, value: &Value) -> Result<bool, String> {
    let program = cel::Program::compile(rule).map_err(|error| error.to_string())?;
    let mut scope = cel::Context::default();
    scope.add_variable_from_value("self", in_cel(value));
    match program.execute(&scope) {
        Ok(cel::Value::Bool(holds)) => Ok(holds),
        Ok(other) => Err(format!("it gives {other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// As the API server hands it to a rule: whole numbers are signed.
fn in_cel(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            None => number.as_f64().unwrap_or(f64::NAN).into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => items.iter().map(in_cel).collect::<Vec<_>>().into(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (key.clone(), in_cel(value)));
            fields.collect::<HashMap<_, _>>().into()
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
    if let (Some(text), Some(pattern)) = (value.as_str(), schema["pattern"].as_str()) {
        match regex::Regex::new(pattern) {
            Ok(regex) if regex.is_match(text) => {}
            Ok(_) => fault(format!("Invalid value: {value}: should match '{pattern}'")),
            Err(error) => fault(format!("its pattern is none: {error}")),
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
            "time": {"type": "string", "pattern": "^[0-9]+s$"},
            "ports": {"type": "array", "maxItems": 2, "items": {"type": "integer"}},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        }, "x-kubernetes-validations": [
            {"rule": "!has(self.ports) || self.asn != 23456", "message": "no ports for it"}],
        }}})
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
            (json!({"spec": {"asn": 1, "time": "9m"}}), "spec.time"),
            (json!({"spec": {"asn": 23456, "ports": []}}), "spec"),
        ];
        for (mut object, field) in cases {
            let causes = admit(&schema(), &mut object).unwrap_err();
            assert_eq!(causes.len(), 1, "{causes:?}");
            assert_eq!(causes[0].0, field, "{causes:?}");
        }
    }

    #[test]
    fn a_rule_that_is_not_understood_refuses() {
        let schema = json!({"properties": {"spec": {"type": "object",
            "x-kubernetes-validations": [{"rule": "nobodyKnows(self)"}]}}});
        let causes = admit(&schema, &mut json!({"spec": {}})).unwrap_err();
        assert!(causes[0].1.contains("not understood"), "{causes:?}");
    }
}
