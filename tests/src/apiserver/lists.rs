//! Which lists are maps in disguise, and by which key.

use serde_json::Value;

use super::resource::Kind;

/// The key by which a built-in resource's list of this name is merged; empty for a set of plain
/// values; `None` for a list that is replaced whole.
pub(super) fn merge_key(kind: &Kind, list: &str) -> Option<&'static str> {
    match list {
        "conditions" | "addresses" if matches!(kind.kind.as_str(), "Node" | "Service" | "Pod") => {
            Some("type")
        }
        "ports" if kind.kind == "Service" => Some("port"),
        "ports" if kind.kind != "EndpointSlice" => Some("containerPort"),
        "podCIDRs" if kind.kind == "Node" => Some(""),
        "finalizers" => Some(""),
        "ownerReferences" => Some("uid"),
        "containers" | "initContainers" | "volumes" | "env" | "imagePullSecrets" => Some("name"),
        "volumeMounts" => Some("mountPath"),
        _ => None,
    }
}

/// The keys of a list that server-side apply merges: of a custom resource by its schema, which is
/// that of the list.
pub(super) fn map_keys(kind: &Kind, list: &str, schema: Option<&Value>) -> Vec<String> {
    if kind.custom.is_none() {
        let key = merge_key(kind, list).filter(|key| !key.is_empty());
        return key.map(str::to_owned).into_iter().collect();
    }
    let Some(schema) = schema else { return Vec::new() };
    if schema["x-kubernetes-list-type"] != "map" {
        return Vec::new();
    }
    let keys = schema["x-kubernetes-list-map-keys"].as_array();
    keys.into_iter().flatten().filter_map(|key| key.as_str().map(str::to_owned)).collect()
}
