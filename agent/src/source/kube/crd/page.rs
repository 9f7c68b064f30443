//! The definitions as a page for readers: `docs/reference/crds.md`. `TWILL_WRITE_CRDS=1 cargo test`
//! writes it anew; without that, the test checks that it is what the types say.

use std::fmt::Write;

use serde_json::Value;

use super::all;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/crds.md");

const HEAD: &str = "# Kubernetes resources

Of group `twill.dev`, version `v1alpha1`. This page is written from the types that `twill crds` \
prints the definitions of; `TWILL_WRITE_CRDS=1 cargo test -p twill-agent page` writes it anew. \
What an agent makes of them: [Kubernetes](../guide/kubernetes.md#what-it-reads). What a key means \
in full: [Configuration](configuration.md).

`[]` stands for each entry of a list. The API server refuses what does not fit the column *type*, \
and drops keys that it does not know unless asked for strict validation, as `kubectl` does.
";

/// The type of a value in a few words.
fn kind(schema: &Value) -> String {
    if schema["x-kubernetes-int-or-string"] == true {
        return "word or number".to_owned();
    }
    if let Some(values) = schema["enum"].as_array() {
        let values = values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`"));
        return values.collect::<Vec<_>>().join(", ");
    }
    let bound = |key: &str| schema[key].as_f64().map(|number| format!("{number}"));
    let name = schema["type"].as_str().unwrap_or("any");
    match name {
        "array" => format!("list of {}", kind(&schema["items"])),
        "object" if schema["additionalProperties"]["type"].is_string() => {
            format!("map to {}", kind(&schema["additionalProperties"]))
        }
        "object" => "mapping".to_owned(),
        name => match (bound("minimum"), bound("maximum")) {
            (Some(least), Some(most)) => format!("{name}, {least} to {most}"),
            (Some(least), None) => format!("{name}, {least} and up"),
            _ => schema["format"]
                .as_str()
                .filter(|format| format.starts_with("ip") || *format == "date-time")
                .map_or_else(|| name.to_owned(), |format| format!("{name} ({format})")),
        },
    }
}

/// A row for each key of a mapping, and for the keys of what it holds.
fn rows(page: &mut String, schema: &Value, path: &str) {
    // A label selector is what it is everywhere in Kubernetes.
    if !schema["properties"]["matchExpressions"].is_null() {
        return;
    }
    let empty = serde_json::Map::new();
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (key, value) in schema["properties"].as_object().unwrap_or(&empty) {
        let here = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let must = if required.iter().any(|name| name == key) { ", required" } else { "" };
        let says = value["description"].as_str().unwrap_or_default();
        let says = says.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
        writeln!(page, "| `{here}` | {}{must} | {says} |", kind(value)).unwrap();
        rows(page, value, &here);
        rows(page, &value["items"], &format!("{here}[]"));
    }
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for definition in all() {
        let whole = serde_json::to_value(&definition).unwrap();
        let names = &whole["spec"]["names"];
        let schema = &whole["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let short = names["shortNames"][0].as_str().unwrap();
        let says = schema["description"].as_str().unwrap();
        write!(
            page,
            "\n## {}\n\n{says}. `kubectl get {short}`.\n",
            names["kind"].as_str().unwrap()
        )
        .unwrap();
        for part in ["spec", "status"] {
            let mut table = String::new();
            rows(&mut table, &schema["properties"][part], "");
            if !table.is_empty() {
                write!(page, "\n| `{part}` | type | meaning |\n|---|---|---|\n{table}").unwrap();
            }
        }
    }
    page
}

#[test]
fn the_page_says_what_the_types_say() {
    let page = page();
    if std::env::var_os("TWILL_WRITE_CRDS").is_some() {
        std::fs::write(PATH, &page).unwrap();
    }
    let written = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(
        written == page,
        "docs/reference/crds.md is old: TWILL_WRITE_CRDS=1 cargo test -p twill-agent page"
    );
}
