//! What `deploy/` holds: every manifest is what Kubernetes takes it for, every overlay builds and
//! is accepted, and the policies that confine an agent say what they are meant to.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use cel::{Context as Scope, Program, Value as Cel};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use twill_tests::apiserver::ApiServer;
use twill_tests::skip_unless;

const OVERLAYS: [&str; 5] =
    ["base", "overlays/reflectors", "overlays/md5", "overlays/services", "overlays/confined"];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// All documents of a YAML text.
fn documents(text: &str) -> Result<Vec<Value>> {
    Ok(serde_saphyr::from_multiple::<Value>(text)?.into_iter().filter(|v| !v.is_null()).collect())
}

/// What `kubectl apply -k` would send.
fn build(overlay: &str) -> Result<Vec<Value>> {
    let output = Command::new("kubectl").arg("kustomize").arg(deploy().join(overlay)).output()?;
    if !output.status.success() {
        bail!("{overlay}: {}", String::from_utf8_lossy(&output.stderr));
    }
    documents(&String::from_utf8(output.stdout)?)
}

/// Whether a value says all that `given` says.
fn covers(read: &Value, given: &Value, path: &str) -> Result<()> {
    match (read, given) {
        (Value::Object(read), Value::Object(given)) => given.iter().try_for_each(|(key, given)| {
            let path = format!("{path}.{key}");
            let read = read.get(key).with_context(|| format!("{path} is no such field"))?;
            covers(read, given, &path)
        }),
        (Value::Array(read), Value::Array(given)) if read.len() == given.len() => {
            read.iter().zip(given).try_for_each(|(read, given)| covers(read, given, path))
        }
        (Value::Number(read), Value::Number(given)) if read.as_f64() == given.as_f64() => Ok(()),
        (read, given) if read == given => Ok(()),
        (read, given) => bail!("{path}: {given} was read as {read}"),
    }
}

/// The object as the type has it; nothing of it is unknown to the type.
fn read<T: DeserializeOwned + Serialize>(object: &Value) -> Result<T> {
    let typed: T = serde_json::from_value(object.clone())?;
    covers(&serde_json::to_value(&typed)?, object, "")?;
    Ok(typed)
}

fn check(object: &Value) -> Result<()> {
    match object["kind"].as_str().unwrap_or_default() {
        "Namespace" => read::<Namespace>(object).map(drop),
        "ServiceAccount" => read::<ServiceAccount>(object).map(drop),
        "ClusterRole" => read::<ClusterRole>(object).map(drop),
        "ClusterRoleBinding" => read::<ClusterRoleBinding>(object).map(drop),
        "Role" => read::<Role>(object).map(drop),
        "RoleBinding" => read::<RoleBinding>(object).map(drop),
        "DaemonSet" => read::<DaemonSet>(object).map(drop),
        "CustomResourceDefinition" => read::<CustomResourceDefinition>(object).map(drop),
        "ValidatingAdmissionPolicy" => read::<ValidatingAdmissionPolicy>(object).map(drop),
        "ValidatingAdmissionPolicyBinding" => {
            read::<ValidatingAdmissionPolicyBinding>(object).map(drop)
        }
        // Their own schema checks them, when they are applied.
        "BGPConfiguration" | "BGPPeer" => Ok(()),
        other => bail!("nobody knows what a {other:?} is"),
    }
}

#[test]
fn every_overlay_builds_of_what_kubernetes_knows() -> Result<()> {
    skip_unless!(kubectl);
    for overlay in OVERLAYS {
        let objects = build(overlay)?;
        for object in &objects {
            let name = &object["metadata"]["name"];
            check(object).with_context(|| format!("{overlay}: {} {name}", object["kind"]))?;
        }
        let kinds: Vec<&str> =
            objects.iter().filter_map(|object| object["kind"].as_str()).collect();
        for kind in ["DaemonSet", "Role", "ClusterRole", "CustomResourceDefinition"] {
            assert!(kinds.contains(&kind), "{overlay}: {kinds:?}");
        }
    }
    // No overlay is forgotten here.
    for folder in std::fs::read_dir(deploy().join("overlays"))? {
        let name = format!("overlays/{}", folder?.file_name().to_string_lossy());
        assert!(OVERLAYS.contains(&name.as_str()), "{name} is not looked at");
    }
    Ok(())
}

#[test]
fn every_overlay_is_applied_whole() -> Result<()> {
    skip_unless!(kubectl);
    for overlay in OVERLAYS {
        let server = ApiServer::start()?;
        for object in build(overlay)? {
            let kind = object["kind"].clone();
            let put = server.with(move |world| world.put(object));
            put.with_context(|| format!("{overlay}: {kind}"))?;
        }
        assert_eq!(server.all("daemonsets").len(), 1);
        let configures =
            ["reflectors", "md5", "services"].iter().any(|name| overlay.ends_with(name));
        assert_eq!(server.all("bgpconfigurations").len(), usize::from(configures));
        assert_eq!(server.all("bgppeers").len(), usize::from(overlay.ends_with("services")));
    }
    Ok(())
}

fn agent() -> Result<DaemonSet> {
    let text = std::fs::read_to_string(deploy().join("base/daemon-set.yaml"))?;
    let objects = documents(&text)?;
    read(objects.first().context("no DaemonSet")?)
}

#[test]
fn the_agent_has_three_capabilities_and_nothing_else() -> Result<()> {
    let pod = agent()?.spec.context("no spec")?.template.spec.context("no pod")?;
    assert_eq!(pod.host_network, Some(true));
    assert_eq!((pod.host_pid, pod.host_ipc), (None, None));
    let profile = pod.security_context.clone().and_then(|context| context.seccomp_profile);
    assert_eq!(profile.context("no seccomp profile")?.type_, "RuntimeDefault");
    let mut granted = Vec::new();
    for container in pod.containers.iter().chain(pod.init_containers.iter().flatten()) {
        let context = container.security_context.clone().context("no security context")?;
        assert_eq!(context.privileged, None);
        assert_eq!(context.allow_privilege_escalation, Some(false));
        assert_eq!(context.read_only_root_filesystem, Some(true));
        let capabilities = context.capabilities.context("no capabilities")?;
        assert_eq!(capabilities.drop, Some(vec!["ALL".to_owned()]));
        granted.extend(capabilities.add.unwrap_or_default());
    }
    assert_eq!(granted, ["NET_ADMIN", "NET_BIND_SERVICE", "NET_RAW"]);
    let paths: Vec<String> = pod
        .volumes
        .iter()
        .flatten()
        .map(|volume| volume.host_path.as_ref().map_or("none", |host| &host.path).to_owned())
        .collect();
    let expected = [
        "/etc/cni/net.d",
        "/opt/cni/bin",
        "/var/lib/cni/networks",
        "/run/twill",
        "/var/lib/twill",
        "/proc/sys/net",
    ];
    assert_eq!(paths, expected);
    Ok(())
}

#[test]
fn a_rolling_update_takes_one_node_at_a_time() -> Result<()> {
    let spec = agent()?.spec.context("no spec")?;
    let rolling = spec.update_strategy.and_then(|strategy| strategy.rolling_update);
    let unavailable = rolling.and_then(|rolling| rolling.max_unavailable);
    assert_eq!(serde_json::to_value(unavailable)?, json!(1));
    let pod = spec.template.spec.context("no pod")?;
    assert_eq!(pod.priority_class_name.as_deref(), Some("system-node-critical"));
    let tolerations = serde_json::to_value(pod.tolerations)?;
    assert_eq!(tolerations, json!([{"operator": "Exists"}]));
    Ok(())
}

/// A policy, evaluated as the API server would.
struct Policy {
    variables: Vec<(String, String)>,
    conditions: Vec<String>,
    validations: Vec<String>,
}

impl Policy {
    fn load(name: &str) -> Result<Policy> {
        let text = std::fs::read_to_string(deploy().join("overlays/confined/policies.yaml"))?;
        let found = documents(&text)?.into_iter().find(|object| {
            object["kind"] == "ValidatingAdmissionPolicy" && object["metadata"]["name"] == name
        });
        let policy: ValidatingAdmissionPolicy = read(&found.context("no such policy")?)?;
        let spec = policy.spec.context("no spec")?;
        let variables = spec.variables.unwrap_or_default().into_iter();
        let conditions = spec.match_conditions.unwrap_or_default().into_iter();
        let validations = spec.validations.unwrap_or_default().into_iter();
        Ok(Policy {
            variables: variables.map(|one| (one.name, one.expression)).collect(),
            conditions: conditions.map(|one| one.expression).collect(),
            validations: validations.map(|one| one.expression).collect(),
        })
    }

    /// Whether a write passes.
    fn admits(&self, request: &Value, before: &Value, object: &Value) -> Result<bool> {
        let mut scope = Scope::default();
        for (name, value) in [("request", request), ("oldObject", before), ("object", object)] {
            scope.add_variable_from_value(name, cel::to_value(value)?);
        }
        let asks = |scope: &Scope<'_, '_>, expression: &str| -> Result<bool> {
            match Program::compile(expression)?.execute(scope) {
                Ok(Cel::Bool(yes)) => Ok(yes),
                other => bail!("{expression}: {other:?}"),
            }
        };
        for condition in &self.conditions {
            if !asks(&scope, condition)? {
                return Ok(true);
            }
        }
        let mut variables = HashMap::new();
        for (name, expression) in &self.variables {
            variables.insert(name.clone(), Program::compile(expression)?.execute(&scope)?);
        }
        scope.add_variable_from_value("variables", variables);
        for validation in &self.validations {
            if !asks(&scope, validation)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A request by the service account of the agents, from a pod on `node`.
fn request(node: Option<&str>, subresource: &str) -> Value {
    let mut user = json!({"username": "system:serviceaccount:twill-system:twill"});
    if let Some(node) = node {
        user["extra"] = json!({"authentication.kubernetes.io/node-name": [node]});
    }
    json!({"userInfo": user, "subResource": subresource})
}

fn node(name: &str, status: &Value) -> Value {
    json!({"metadata": {"name": name}, "status": status})
}

#[test]
fn a_confined_agent_writes_one_condition_of_its_own_node() -> Result<()> {
    let policy = Policy::load("twill-nodes")?;
    let ready = json!({"type": "Ready", "status": "True"});
    let network = |status: &str| json!({"type": "NetworkUnavailable", "status": status});
    let addresses = json!([{"type": "InternalIP", "address": "10.0.0.1"}]);
    let status = |conditions: &[Value]| json!({"conditions": conditions, "addresses": addresses, "capacity": {"cpu": "2"}});
    let before = status(&[ready.clone(), network("True")]);
    let after = status(&[ready.clone(), network("False")]);
    let mut moved = after.clone();
    moved["addresses"][0]["address"] = "10.0.0.9".into();
    let mut larger = after.clone();
    larger["capacity"]["cpu"] = "64".into();
    let fallen = status(&[json!({"type": "Ready", "status": "False"}), network("False")]);
    let bare = json!({});
    let first = json!({"conditions": [network("False")]});
    let cases = [
        ("its own", Some("a"), "status", &before, &after, true),
        ("the first condition of all", Some("a"), "status", &bare, &first, true),
        ("another's", Some("b"), "status", &before, &after, false),
        ("a token of no node", None, "status", &before, &after, false),
        ("not the status", Some("a"), "", &before, &after, false),
        ("an address", Some("a"), "status", &before, &moved, false),
        ("the capacity", Some("a"), "status", &before, &larger, false),
        ("another condition", Some("a"), "status", &before, &fallen, false),
    ];
    for (what, from, subresource, before, after, expected) in cases {
        let (before, after) = (node("a", before), node("a", after));
        let admitted = policy.admits(&request(from, subresource), &before, &after)?;
        assert_eq!(admitted, expected, "{what}");
    }
    // Others are none of this policy's business.
    let kubelet = json!({"userInfo": {"username": "system:node:b"}, "subResource": "status"});
    assert!(policy.admits(&kubelet, &node("a", &before), &node("a", &moved))?);
    Ok(())
}

#[test]
fn a_confined_agent_writes_its_own_status_object() -> Result<()> {
    let policy = Policy::load("twill-node-statuses")?;
    let object = json!({"metadata": {"name": "a"}, "status": {}});
    assert!(policy.admits(&request(Some("a"), "status"), &Value::Null, &object)?);
    assert!(!policy.admits(&request(Some("b"), ""), &Value::Null, &object)?);
    assert!(!policy.admits(&request(None, ""), &Value::Null, &object)?);
    Ok(())
}
