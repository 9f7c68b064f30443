//! The stand-in for the API server, as the clients of the real one see it: the `kube` crate's and
//! kubectl.

use std::collections::BTreeMap;
use std::pin::pin;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{Node, Secret, Service};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
    Preconditions, WatchEvent, WatchParams,
};
use kube::runtime::watcher;
use kube::{Client, Config, Error, ResourceExt};
use serde_json::{Value, json};
use twill_tests::apiserver::{ApiServer, Effect, Fault, User};

const PATIENCE: Duration = Duration::from_secs(10);

fn client(server: &ApiServer) -> Result<Client> {
    with_token(server, None)
}

fn with_token(server: &ApiServer, token: Option<&str>) -> Result<Client> {
    let mut config = Config::new(server.url().parse()?);
    config.auth_info.token = token.map(|token| token.to_owned().into());
    Ok(Client::try_from(config)?)
}

fn node(name: &str, pod_cidr: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"zone": "a"}},
           "spec": {"podCIDR": pod_cidr, "podCIDRs": [pod_cidr]},
           "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}})
}

/// The HTTP status and the reason of a refusal; 0 and what there was instead.
fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> (u16, String) {
    match result {
        Err(Error::Api(status)) => (status.code, status.reason),
        other => (0, format!("{other:?}")),
    }
}

async fn next<T>(stream: &mut (impl Stream<Item = T> + Unpin)) -> Result<T> {
    tokio::time::timeout(PATIENCE, stream.next()).await?.context("the stream ended")
}

#[tokio::test]
async fn objects_are_written_and_read_with_optimistic_concurrency() -> Result<()> {
    let server = ApiServer::start()?;
    let api: Api<Node> = Api::all(client(&server)?);
    let wanted: Node = serde_json::from_value(node("a", "10.244.1.0/24"))?;
    let made = api.create(&PostParams::default(), &wanted).await?;
    assert!(made.uid().is_some() && made.resource_version().is_some());
    assert!(made.creation_timestamp().is_some());
    let taken = refusal(api.create(&PostParams::default(), &wanted).await);
    assert_eq!(taken, (409, "AlreadyExists".to_owned()));

    // The first writer wins; who wrote from the same version is told so.
    let mut first = made.clone();
    first.labels_mut().insert("x".to_owned(), "1".to_owned());
    let newer = api.replace("a", &PostParams::default(), &first).await?;
    assert_ne!(newer.resource_version(), made.resource_version());
    let late = refusal(api.replace("a", &PostParams::default(), &first).await);
    assert_eq!(late, (409, "Conflict".to_owned()));

    // A write that changes nothing is none.
    let same = api.replace("a", &PostParams::default(), &newer).await?;
    assert_eq!(same.resource_version(), newer.resource_version());

    // The main resource does not write the status, and the other way round.
    let patch = json!({"metadata": {"labels": {"y": "2"}},
                           "status": {"phase": "Gone"}});
    let patched = api.patch("a", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    assert_eq!(patched.labels()["y"], "2");
    assert!(patched.status.unwrap_or_default().phase.is_none());
    let patch = json!({"spec": {"unschedulable": true}, "status": {"phase": "Running"}});
    let patched = api.patch_status("a", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    assert_eq!(patched.status.unwrap_or_default().phase.as_deref(), Some("Running"));
    assert!(patched.spec.unwrap_or_default().unschedulable.is_none());

    // A pod CIDR once given stays.
    let other = json!({"spec": {"podCIDR": "10.244.9.0/24", "podCIDRs": ["10.244.9.0/24"]}});
    let fixed = refusal(api.patch("a", &PatchParams::default(), &Patch::Merge(&other)).await);
    assert_eq!(fixed, (422, "Invalid".to_owned()));

    let wrong = Preconditions { uid: Some("other".to_owned()), resource_version: None };
    let wrong = DeleteParams { preconditions: Some(wrong), ..DeleteParams::default() };
    assert_eq!(refusal(api.delete("a", &wrong).await).0, 409);
    api.delete("a", &DeleteParams::default()).await?;
    let gone = refusal(api.get("a").await);
    assert_eq!(gone, (404, "NotFound".to_owned()));
    Ok(())
}

#[tokio::test]
async fn lists_are_read_page_by_page_as_they_were_at_the_first() -> Result<()> {
    let server = ApiServer::start()?;
    for number in 0..7 {
        server.put(node(&format!("n{number}"), &format!("10.244.{number}.0/24")));
    }
    let api: Api<Node> = Api::all(client(&server)?);
    let page = ListParams::default().limit(3);
    let first = api.list(&page).await?;
    assert_eq!(first.metadata.remaining_item_count, Some(4));
    server.delete("nodes", "", "n5");
    let mut names: Vec<String> = first.items.iter().map(ResourceExt::name_any).collect();
    let mut token = first.metadata.continue_.clone();
    while let Some(next) = token.filter(|token| !token.is_empty()) {
        let more = api.list(&page.clone().continue_token(&next)).await?;
        assert_eq!(more.metadata.resource_version, first.metadata.resource_version);
        names.extend(more.items.iter().map(ResourceExt::name_any));
        token = more.metadata.continue_.clone();
    }
    assert_eq!(names, ["n0", "n1", "n2", "n3", "n4", "n5", "n6"]);

    let token = api.list(&page).await?.metadata.continue_.unwrap_or_default();
    server.forget_history();
    let late = refusal(api.list(&page.clone().continue_token(&token)).await);
    assert_eq!(late, (410, "Expired".to_owned()));

    let one = api.list(&ListParams::default().fields("metadata.name=n3")).await?;
    assert_eq!(one.items.len(), 1);
    let none = api.list(&ListParams::default().labels("zone notin (a)")).await?;
    assert!(none.items.is_empty());
    Ok(())
}

#[tokio::test]
async fn watches_tell_every_change_after_their_version_and_bookmarks_at_their_end() -> Result<()> {
    let server = ApiServer::start()?;
    server.put(node("a", "10.244.1.0/24"));
    let api: Api<Node> = Api::all(client(&server)?);
    let list = api.list(&ListParams::default()).await?;
    let version = list.metadata.resource_version.unwrap_or_default();
    let parameters = WatchParams::default().timeout(1).labels("zone=a");
    let mut events = pin!(api.watch(&parameters, &version).await?);
    server.put(node("b", "10.244.2.0/24"));
    server.edit("nodes", "", "b", |node| node["metadata"]["labels"]["more"] = "x".into());
    server.edit("nodes", "", "b", |node| node["metadata"]["labels"]["zone"] = "b".into());
    server.delete("nodes", "", "b");
    server.delete("nodes", "", "a");
    let mut seen = Vec::new();
    while let Some(event) = tokio::time::timeout(PATIENCE, events.next()).await? {
        seen.push(match event? {
            WatchEvent::Added(node) => format!("+{}", node.name_any()),
            WatchEvent::Modified(node) => format!("~{}", node.name_any()),
            WatchEvent::Deleted(node) => format!("-{}", node.name_any()),
            WatchEvent::Bookmark(bookmark) => {
                let newest: u64 = bookmark.metadata.resource_version.parse()?;
                assert!(newest > version.parse()?);
                "bookmark".to_owned()
            }
            WatchEvent::Error(status) => bail!("{status:?}"),
        });
    }
    // b left the selection before it was deleted.
    assert_eq!(seen, ["+b", "~b", "-b", "-a", "bookmark"]);

    server.forget_history();
    let mut events = pin!(api.watch(&WatchParams::default(), &version).await?);
    let WatchEvent::Error(status) = next(&mut events).await?? else { bail!("not expired") };
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
    Ok(())
}

/// What a reflector has in the end, whatever goes wrong on the way.
async fn follow(
    server: &ApiServer,
    api: &Api<Node>,
    config: watcher::Config,
    faults: &[Fault],
) -> Result<BTreeMap<String, Option<String>>> {
    let mut known = BTreeMap::new();
    let mut events = pin!(kube::runtime::watcher(api.clone(), config));
    for (round, fault) in faults.iter().enumerate() {
        server.put(node(&format!("n{round}"), &format!("10.244.{round}.0/24")));
        let last = format!("n{round}");
        let mut coming = BTreeMap::new();
        while !known.contains_key(&last) {
            match next(&mut events).await? {
                Ok(watcher::Event::Init) => coming.clear(),
                Ok(watcher::Event::InitApply(node)) => {
                    coming.insert(node.name_any(), node.resource_version());
                }
                Ok(watcher::Event::InitDone) => known = std::mem::take(&mut coming),
                Ok(watcher::Event::Apply(node)) => {
                    known.insert(node.name_any(), node.resource_version());
                }
                Ok(watcher::Event::Delete(node)) => {
                    known.remove(&node.name_any());
                }
                // Told, and mended by the watcher itself.
                Err(_) => {}
            }
        }
        server.fault(fault.clone());
        server.put(node("gone", "10.250.0.0/24"));
        server.delete("nodes", "", "gone");
    }
    Ok(known)
}

#[tokio::test]
async fn the_watcher_of_kube_survives_every_fault_and_misses_nothing() -> Result<()> {
    let watch = |effect| Fault::new(effect).verb("watch").times(1);
    let list = |effect| Fault::new(effect).verb("list").times(1);
    let faults = [
        watch(Effect::Gone),
        watch(Effect::Drop),
        watch(Effect::Close),
        watch(Effect::Status { code: 500, retry_after: None }),
        list(Effect::Status { code: 429, retry_after: Some(1) }),
        list(Effect::Partial { items: 1 }),
        list(Effect::Drop),
        watch(Effect::Delay { millis: 50 }),
    ];
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let server = ApiServer::start()?;
        let api: Api<Node> = Api::all(client(&server)?);
        // Each round ends the running watch, so that the next request meets the fault.
        let rounds: Vec<Fault> =
            faults.iter().flat_map(|fault| [fault.clone(), watch(Effect::Gone)]).collect();
        let known = follow(&server, &api, config, &rounds).await?;
        assert_eq!(known.len(), rounds.len(), "{known:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_half_open_watch_says_nothing_and_stays() -> Result<()> {
    let server = ApiServer::start()?;
    let api: Api<Node> = Api::all(client(&server)?);
    let mut events = pin!(api.watch(&WatchParams::default().timeout(1), "0").await?);
    server.fault(Fault::new(Effect::Silent).verb("watch").times(1));
    server.put(node("a", "10.244.1.0/24"));
    let silent = tokio::time::timeout(Duration::from_millis(1500), events.next()).await;
    assert!(silent.is_err(), "{silent:?}");
    // Another one is told.
    let mut others = pin!(api.watch(&WatchParams::default(), "0").await?);
    assert!(matches!(next(&mut others).await??, WatchEvent::Added(_)));
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_away_refuses_and_comes_back_with_all_it_knew() -> Result<()> {
    let server = ApiServer::start()?;
    server.put(node("a", "10.244.1.0/24"));
    let api: Api<Node> = Api::all(client(&server)?);
    let mut events = pin!(api.watch(&WatchParams::default(), "0").await?);
    assert!(matches!(next(&mut events).await??, WatchEvent::Added(_)));
    server.listen(false);
    let broken = tokio::time::timeout(PATIENCE, events.next()).await?;
    assert!(!matches!(broken, Some(Ok(_))), "{broken:?}");
    assert!(!matches!(api.get("a").await, Err(Error::Api(_)) | Ok(_)));
    server.listen(true);
    let mut tries = 0;
    while api.get("a").await.is_err() {
        tries += 1;
        assert!(tries < 1000, "it does not come back");
        tokio::task::yield_now().await;
    }
    Ok(())
}

#[tokio::test]
async fn server_side_apply_owns_gives_up_and_takes_over() -> Result<()> {
    let server = ApiServer::start()?;
    server.put(node("a", "10.244.1.0/24"));
    let api: Api<Node> = Api::all(client(&server)?);
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status});
    let config = |conditions: &[Value]| json!({"apiVersion": "v1", "kind": "Node", "status": {"conditions": conditions}});
    let conditions = |node: Node| -> Vec<(String, String)> {
        let list = node.status.and_then(|status| status.conditions).unwrap_or_default();
        list.into_iter().map(|condition| (condition.type_, condition.status)).collect()
    };
    let pair = |kind: &str, status: &str| (kind.to_owned(), status.to_owned());
    let apply = |manager: &'static str, force: bool, conditions: Vec<Value>| {
        let (api, config) = (api.clone(), config(&conditions));
        async move {
            let mut parameters = PatchParams::apply(manager);
            parameters.force = force;
            api.patch_status("a", &parameters, &Patch::Apply(&config)).await
        }
    };
    apply("kubelet", false, vec![condition("Ready", "True")]).await?;
    let both = apply("twill", false, vec![condition("NetworkUnavailable", "True")]).await?;
    let expected = [pair("Ready", "True"), pair("NetworkUnavailable", "True")];
    assert_eq!(conditions(both.clone()), expected);
    let again = apply("twill", false, vec![condition("NetworkUnavailable", "True")]).await?;
    assert_eq!(again.resource_version(), both.resource_version());

    let theirs = apply("twill", false, vec![condition("Ready", "False")]).await;
    assert_eq!(refusal(theirs), (409, "Conflict".to_owned()));
    // Left out now: given up. Forced: taken over.
    let forced = apply("twill", true, vec![condition("Ready", "False")]).await?;
    assert_eq!(conditions(forced), [pair("Ready", "False")]);
    let nobody = PatchParams::default();
    let unnamed = api.patch_status("a", &nobody, &Patch::Apply(&config(&[]))).await;
    assert!(unnamed.is_err());

    // What is not there is created, once.
    let secrets: Api<Secret> = Api::namespaced(client(&server)?, "default");
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "b"}});
    secrets.patch("s", &PatchParams::apply("me"), &Patch::Apply(&secret)).await?;
    let stored = secrets.get("s").await?;
    assert_eq!(stored.data.unwrap_or_default()["a"].0, b"b");
    Ok(())
}

#[tokio::test]
async fn custom_resources_come_with_their_definition_and_obey_its_schema() -> Result<()> {
    let server = ApiServer::start()?;
    let api = |server: &ApiServer| -> Result<Api<DynamicObject>> {
        let resource = ApiResource {
            group: "example.dev".to_owned(),
            version: "v1".to_owned(),
            api_version: "example.dev/v1".to_owned(),
            kind: "Thing".to_owned(),
            plural: "things".to_owned(),
        };
        Ok(Api::all_with(client(server)?, &resource))
    };
    let spec = json!({"type": "object", "required": ["asn"], "properties": {
        "asn": {"type": "integer", "minimum": 1}}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.dev"},
        "spec": {"group": "example.dev", "scope": "Cluster",
            "names": {"plural": "things", "kind": "Thing", "shortNames": ["th"]},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec,
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}]}});
    let things = api(&server)?;
    assert_eq!(refusal(things.list(&ListParams::default()).await).0, 404);
    server.put(definition);
    let object = |asn: i64| -> Result<DynamicObject> {
        Ok(serde_json::from_value(json!({"apiVersion": "example.dev/v1", "kind": "Thing",
                "metadata": {"name": "t"}, "spec": {"asn": asn, "typo": 1}, "status": {"x": 1}}))?)
    };
    let refused = things.create(&PostParams::default(), &object(0)?).await;
    let Err(Error::Api(status)) = refused else { bail!("accepted: {refused:?}") };
    assert_eq!(status.code, 422);
    assert!(status.message.contains("spec.asn"), "{}", status.message);
    let made = things.create(&PostParams::default(), &object(1)?).await?;
    assert_eq!(made.data["spec"], json!({"asn": 1}));
    assert!(made.data["status"].is_null(), "a status is written by its subresource alone");
    assert_eq!(made.metadata.generation, Some(1));
    let patch = json!({"status": {"x": 1}});
    let patch = Patch::Merge(&patch);
    let told = things.patch_status("t", &PatchParams::default(), &patch).await?;
    assert_eq!((told.metadata.generation, &told.data["status"]["x"]), (Some(1), &json!(1)));
    // Without the version it was made from, a replacement is refused.
    let blind = refusal(things.replace("t", &PostParams::default(), &object(2)?).await);
    assert_eq!(blind, (422, "Invalid".to_owned()));
    server.delete("customresourcedefinitions", "", "things.example.dev");
    assert_eq!(refusal(things.get("t").await).0, 404);
    Ok(())
}

/// A service account that may read nodes, and change the status of one.
const RBAC: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: twill}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: agent}
rules:
- {apiGroups: [''], resources: [nodes], verbs: [get, list, watch]}
- {apiGroups: [''], resources: [nodes/status], verbs: [patch], resourceNames: [a]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: agent}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: agent}
subjects: [{kind: ServiceAccount, name: agent, namespace: twill}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: agent, namespace: twill}
rules:
- {apiGroups: [''], resources: [secrets], verbs: [get]}
- {apiGroups: [''], resources: [secrets], verbs: [list], resourceNames: [s]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: agent, namespace: twill}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: agent}
subjects: [{kind: ServiceAccount, name: agent, namespace: twill}]
";

#[tokio::test]
async fn roles_and_bindings_hold_once_tokens_are_known() -> Result<()> {
    let tokens = [
        ("root".to_owned(), User::administrator()),
        ("agent".to_owned(), User::service_account("twill", "agent")),
    ];
    let server = ApiServer::start_with(&tokens)?;
    for document in RBAC.split("---") {
        server.put(serde_saphyr::from_str(document)?);
    }
    server.put(node("a", "10.244.1.0/24"));
    server.put(node("b", "10.244.2.0/24"));
    for namespace in ["twill", "default"] {
        let metadata = json!({"name": "s", "namespace": namespace});
        server.put(json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata}));
    }
    let stranger: Api<Node> = Api::all(with_token(&server, Some("guess"))?);
    assert_eq!(refusal(stranger.get("a").await), (401, "Unauthorized".to_owned()));
    let nobody: Api<Node> = Api::all(client(&server)?);
    assert_eq!(refusal(nobody.get("a").await), (403, "Forbidden".to_owned()));

    let agent = with_token(&server, Some("agent"))?;
    let nodes: Api<Node> = Api::all(agent.clone());
    assert_eq!(nodes.list(&ListParams::default()).await?.items.len(), 2);
    let patch = json!({"status": {"phase": "x"}});
    let patch = Patch::Merge(&patch);
    nodes.patch_status("a", &PatchParams::default(), &patch).await?;
    assert_eq!(refusal(nodes.patch_status("b", &PatchParams::default(), &patch).await).0, 403);
    assert_eq!(refusal(nodes.patch("a", &PatchParams::default(), &patch).await).0, 403);
    assert_eq!(refusal(nodes.delete("a", &DeleteParams::default()).await).0, 403);
    let services: Api<Service> = Api::all(agent.clone());
    assert_eq!(refusal(services.list(&ListParams::default()).await).0, 403);
    let own: Api<Secret> = Api::namespaced(agent.clone(), "twill");
    own.get("s").await?;
    assert_eq!(refusal(own.list(&ListParams::default()).await).0, 403);
    // A collection selected by one name counts as that name.
    own.list(&ListParams::default().fields("metadata.name=s")).await?;
    let other: Api<Secret> = Api::namespaced(agent, "default");
    assert_eq!(refusal(other.get("s").await).0, 403);
    let asked = server.asked();
    let refused = asked.iter().filter(|asked| asked.code == 403).count();
    assert_eq!(refused, 7, "{asked:#?}");
    assert_eq!(server.count("list", "nodes"), 1);
    assert_eq!(server.count("patch", "nodes/status"), 2);
    Ok(())
}

/// kubectl against the server; its standard output.
fn kubectl(server: &ApiServer, arguments: &[&str], input: &str) -> Result<String> {
    use std::io::Write;
    let home = std::env::temp_dir().join(format!("twill-kubectl-{}", std::process::id()));
    let mut child = Command::new("kubectl")
        .args(["--server", &server.url()])
        .args(arguments)
        .env("HOME", &home)
        .env_remove("KUBECONFIG")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    child.stdin.take().context("no input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn kubectl_applies_reads_labels_and_deletes() -> Result<()> {
    twill_tests::skip_unless!(kubectl);
    let server = ApiServer::start()?;
    server.put(node("a", "10.244.1.0/24"));
    let apply = ["apply", "--validate=false", "-f", "-"];
    let said = kubectl(&server, &apply, RBAC)?;
    assert_eq!(said.lines().count(), 5, "{said}");
    assert!(said.lines().all(|line| line.ends_with(" created")), "{said}");
    let said = kubectl(&server, &apply, &RBAC.replace("[get, list, watch]", "[get]"))?;
    let changed: Vec<&str> = said.lines().filter(|line| !line.ends_with("unchanged")).collect();
    assert_eq!(changed, ["clusterrole.rbac.authorization.k8s.io/agent configured"]);
    let role = server.get("clusterroles", "", "agent").context("no role")?;
    assert_eq!(role["rules"][0]["verbs"], json!(["get"]));
    let said = kubectl(&server, &[&apply[..], &["--server-side"]].concat(), RBAC)?;
    assert_eq!(said.lines().count(), 5, "{said}");

    assert!(kubectl(&server, &["get", "nodes"], "")?.contains("a "));
    kubectl(&server, &["annotate", "node", "a", "twill.dev/node.asn=64513"], "")?;
    kubectl(&server, &["label", "node", "a", "zone=b", "--overwrite"], "")?;
    let node = server.get("nodes", "", "a").context("no node")?;
    assert_eq!(node["metadata"]["annotations"]["twill.dev/node.asn"], "64513");
    assert_eq!(node["metadata"]["labels"]["zone"], "b");
    let patch = r#"[{"op": "add", "path": "/spec/unschedulable", "value": true}]"#;
    kubectl(&server, &["patch", "node", "a", "--type=json", "-p", patch], "")?;
    assert!(kubectl(&server, &["get", "no", "a", "-o", "yaml"], "")?.contains("unschedulable"));
    let cidr = "-o=jsonpath={.spec.podCIDRs[0]}";
    assert_eq!(kubectl(&server, &["get", "node", "a", cidr], "")?, "10.244.1.0/24");
    kubectl(&server, &["delete", "node", "a", "--wait=false"], "")?;
    assert!(server.get("nodes", "", "a").is_none());
    let missing = kubectl(&server, &["get", "node", "a"], "");
    assert!(format!("{missing:?}").contains("NotFound"), "{missing:?}");
    Ok(())
}
