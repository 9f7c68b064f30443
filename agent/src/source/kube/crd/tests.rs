//! Schemas against readers: neither knows a key that the other does not.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use twill_bgp::proto::types::Asn;

use super::*;
use crate::config::resource;

fn spec_schema(definition: &CustomResourceDefinition) -> Value {
    let whole = serde_json::to_value(definition).unwrap();
    whole["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

/// Every mapping of a schema with the keys that it has; `[]` goes into a list.
fn mappings(schema: &Value, path: &str, found: &mut Vec<(String, BTreeSet<String>)>) {
    if let Some(properties) = schema["properties"].as_object() {
        found.push((path.to_owned(), properties.keys().cloned().collect()));
        for (key, value) in properties {
            mappings(value, &format!("{path}/{key}"), found);
        }
    }
    if schema["items"]["properties"].is_object() {
        mappings(&schema["items"], &format!("{path}/[]"), found);
    }
}

/// A spec in which `key` stands at `path`, and nothing else.
fn only(path: &str, key: &str) -> Value {
    path.split('/').skip(1).collect::<Vec<_>>().iter().rev().fold(
        json!({ key: null }),
        |inner, step| {
            if *step == "[]" { json!([inner]) } else { json!({ *step: inner }) }
        },
    )
}

fn hold_together(schema: &Value, read: impl Fn(&Value) -> Vec<String>, elsewhere: &[&str]) {
    let mut found = Vec::new();
    mappings(schema, "", &mut found);
    assert!(found.len() > 2, "{found:?}");
    for (path, keys) in found {
        if elsewhere.iter().any(|place| path.contains(place)) {
            continue;
        }
        for key in &keys {
            let unknown: Vec<String> = read(&only(&path, key))
                .into_iter()
                .filter(|problem| problem.contains("unknown key"))
                .collect();
            assert!(unknown.is_empty(), "{path}/{key} is in the schema only: {unknown:?}");
        }
        // The reader says which keys it knows where it is asked for one that is like none.
        let told = read(&only(&path, "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq")).join("\n");
        let (_, known) = told.split_once("known here are ").expect(&told);
        let known = known.lines().next().unwrap().split(", ").map(str::to_owned);
        let missing: Vec<String> = known.filter(|key| !keys.contains(key)).collect();
        assert!(missing.is_empty(), "{path}: the schema lacks {missing:?}");
    }
}

#[test]
fn schemas_and_readers_know_the_same_keys() {
    let [configuration, peer, _] = all().try_into().unwrap();
    hold_together(
        &spec_schema(&configuration),
        |spec| resource::cluster(spec).err().unwrap_or_default(),
        &["passwordSecretRef", "reflectors", "selector"],
    );
    let own = Asn::new(64512).unwrap();
    hold_together(
        &spec_schema(&peer),
        |spec| resource::peer("tor", spec, own).err().unwrap_or_default(),
        &["passwordSecretRef", "nodeSelector"],
    );
}

/// A structural schema (the API server refuses any other) says the type of every value, and no
/// reference, and nothing that is not closed.
#[test]
fn schemas_are_structural() {
    fn check(path: &str, schema: &Value) {
        let typed = schema["type"].is_string() || schema["x-kubernetes-int-or-string"] == true;
        assert!(typed, "{path}: {schema}");
        assert!(schema.get("$ref").is_none(), "{path}");
        assert!(
            schema.get("properties").is_none() || schema.get("additionalProperties").is_none(),
            "{path}: the API server refuses the two together"
        );
        for (key, value) in schema["properties"].as_object().into_iter().flatten() {
            check(&format!("{path}.{key}"), value);
        }
        if let Some(items) = schema.get("items") {
            check(&format!("{path}[]"), items);
        }
        for combination in ["allOf", "anyOf", "oneOf", "not"] {
            assert!(schema.get(combination).is_none(), "{path}: {combination}");
        }
    }
    for definition in all() {
        let whole = serde_json::to_value(&definition).unwrap();
        check("", &whole["spec"]["versions"][0]["schema"]["openAPIV3Schema"]);
        assert!(!whole["spec"]["names"]["shortNames"].as_array().unwrap().is_empty());
    }
}

#[test]
fn printed_definitions_can_be_read_again() {
    let printed = yaml();
    let documents: Vec<&str> = printed.split("---\n").filter(|part| !part.is_empty()).collect();
    assert_eq!(documents.len(), 3);
    for (document, definition) in documents.iter().zip(all()) {
        let read: CustomResourceDefinition = serde_saphyr::from_str(document).unwrap();
        assert_eq!(read, definition);
    }
}

#[test]
fn what_is_deployed_is_what_is_printed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/crds/twill.dev.yaml");
    let deployed = std::fs::read_to_string(path).unwrap();
    assert!(deployed == yaml(), "run `twill crds > deploy/crds/twill.dev.yaml`");
}
