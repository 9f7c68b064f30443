//! The source against the stand-in for the API server: what is taken, how soon, and what a bad
//! day changes.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use twill_tests::apiserver::{ApiServer, Effect, Fault};

use super::super::*;

/// Longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A source that runs.
struct Stage {
    server: ApiServer,
    folder: PathBuf,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    reports: watch::Receiver<Arc<ConfigReport>>,
    findings: watch::Receiver<Arc<Findings>>,
    restarts: Restarts,
    tasks: JoinSet<()>,
}

fn node(number: u8) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("n{number}")},
        "spec": {"podCIDRs": [format!("10.244.{number}.0/24")]},
        "status": {"addresses": [{"type": "InternalIP", "address": format!("10.0.0.{number}")}]},
    })
}

fn custom(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "twill.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    })
}

/// A server with our definitions and three Nodes.
fn server() -> ApiServer {
    let server = ApiServer::start().unwrap();
    for definition in crd::all() {
        server.put(serde_json::to_value(definition).unwrap());
    }
    server.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "twill"}}));
    for number in 1..=3 {
        server.put(node(number));
    }
    server
}

fn folder() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("twill-kube-{}-{number}", std::process::id()));
    fs::create_dir_all(&path).unwrap();
    path
}

/// What an agent on `n1` is started with.
fn options(folder: &std::path::Path, url: &str) -> Options {
    let kubeconfig = folder.join("kubeconfig");
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "twill"}}],
        "users": [{"name": "u", "user": {}}],
    });
    fs::write(&kubeconfig, text.to_string()).unwrap();
    let node_config = folder.join("node.yaml");
    fs::write(&node_config, "{node: n1, apiServer: {watchTimeout: 1s}, http: none}").unwrap();
    Options {
        kubeconfig: Some(kubeconfig),
        node_config: Some(node_config),
        namespace: None,
        state_dir: folder.join("state"),
        run_dir: folder.join("run"),
    }
}

impl Stage {
    async fn on(server: ApiServer) -> Stage {
        Stage::within(server, folder()).await
    }

    async fn within(server: ApiServer, folder: PathBuf) -> Stage {
        let mut source = KubeSource::open(&options(&folder, &server.url())).await.unwrap();
        let snapshots = tokio::time::timeout(PATIENCE, source.first()).await.unwrap();
        let (reports, findings) = (source.reports(), source.findings());
        let restarts = source.restarts();
        let mut tasks = JoinSet::new();
        tasks.spawn(source.run());
        Stage { server, folder, snapshots, reports, findings, restarts, tasks }
    }

    async fn start() -> Stage {
        Stage::on(server()).await
    }

    /// Waits until the snapshot is so; how long that took.
    async fn until(&mut self, what: &str, is: impl Fn(&Snapshot) -> bool) -> Duration {
        let began = Instant::now();
        let reached = self.snapshots.wait_for(|snapshot| is(snapshot));
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        assert!(reached.is_ok(), "never: {what}");
        began.elapsed()
    }

    fn names(&self) -> Vec<String> {
        self.snapshots.borrow().nodes.keys().cloned().collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

#[tokio::test]
async fn changes_are_taken_within_a_second() {
    let mut stage = Stage::start().await;
    assert_eq!(stage.names(), ["n2", "n3"]);
    for (resource, lists) in [("nodes", 1), ("bgppeers.twill.dev", 1)] {
        assert_eq!(stage.server.count("list", resource), lists, "one list of {resource}");
    }
    let second = Duration::from_secs(1);
    stage.server.put(node(4));
    assert!(stage.until("a node more", |is| is.nodes.contains_key("n4")).await < second);
    stage.server.edit("nodes", "", "n4", |node| {
        node["status"]["addresses"][0]["address"] = json!("10.0.0.44");
    });
    let moved = |is: &Snapshot| is.nodes["n4"].addresses[0].to_string() == "10.0.0.44";
    assert!(stage.until("another address", moved).await < second);
    stage.server.edit("nodes", "", "n4", |node| {
        node["metadata"]["annotations"] = json!({"kube-router.io/node.asn": "64513"});
    });
    let other = |is: &Snapshot| is.nodes["n4"].asn.get() == 64513;
    assert!(stage.until("another AS", other).await < second);
    stage.server.delete("nodes", "", "n4");
    assert!(stage.until("a node less", |is| !is.nodes.contains_key("n4")).await < second);

    stage.server.put(custom(
        "BGPPeer",
        "tor",
        &json!({"address": "10.0.0.254", "asn": 65000,
        "passwordSecretRef": {"name": "tor"}}),
    ));
    stage.server.put(json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "tor", "namespace": "twill"}, "data": {"password": "b25l"}}));
    stage.until("a peer", |is| is.peers.contains_key("tor")).await;
    let password = |is: &Snapshot| is.peers["tor"].password.clone();
    assert_eq!(password(&stage.snapshots.borrow()), Some(twill_bgp::Secret::new("one")));
    stage.server.edit("secrets", "twill", "tor", |secret| {
        secret["data"]["password"] = json!("dHdv");
    });
    let two = Some(twill_bgp::Secret::new("two"));
    assert!(stage.until("another password", |is| password(is) == two).await < second);
}

#[tokio::test]
async fn an_invalid_change_is_told_and_what_was_before_stands() {
    let mut stage = Stage::start().await;
    let peer = |address: &str| custom("BGPPeer", "tor", &json!({"address": address, "asn": 65000}));
    stage.server.put(peer("10.0.0.254"));
    stage.until("a peer", |is| is.peers.contains_key("tor")).await;
    // Valid by the schema, and an address of a Node.
    stage.server.put(peer("10.0.0.2"));
    let told = tokio::time::timeout(
        PATIENCE,
        stage.findings.wait_for(|found| {
            found.doubts.iter().any(|doubt| doubt.note.contains("is an address of Node n2"))
        }),
    );
    assert!(told.await.is_ok(), "{:?}", stage.reports.borrow());
    assert_eq!(stage.snapshots.borrow().peers["tor"].address.to_string(), "10.0.0.254");
}

/// What a bad day does, and that it changes nothing: nobody is believed to be gone, and what
/// changed meanwhile is taken in the end.
#[tokio::test]
async fn a_bad_day_takes_nothing_away() {
    let days = [
        Effect::Drop,
        Effect::Gone,
        Effect::Close,
        Effect::Silent,
        Effect::Partial { items: 1 },
        Effect::Status { code: 503, retry_after: None },
        Effect::Status { code: 429, retry_after: Some(1) },
    ];
    futures::future::join_all(days.map(bad_day)).await;
}

async fn bad_day(effect: Effect) {
    let mut stage = Stage::start().await;
    let mut seen = stage.snapshots.clone();
    let mut watching = JoinSet::new();
    watching.spawn(async move {
        let mut least = usize::MAX;
        while seen.changed().await.is_ok() {
            least = least.min(seen.borrow_and_update().nodes.len());
        }
        least
    });
    stage.server.fault(Fault::new(effect.clone()).resource("nodes").times(3));
    if matches!(effect, Effect::Partial { .. }) {
        // A list is only asked for again where the watch cannot go on.
        stage.server.fault(Fault::new(Effect::Gone).resource("nodes").times(1));
    }
    stage.server.put(node(5));
    stage.until(&format!("n5 after {effect:?}"), |is| is.nodes.contains_key("n5")).await;
    stage.tasks.shutdown().await;
    let least = watching.join_next().await.unwrap().unwrap();
    assert!(least >= 2, "{effect:?}: only {least} nodes at some time");
}

/// Away for a while, at run time: nothing changes; what happened meanwhile is taken afterwards,
/// deletions only from the complete list.
#[tokio::test]
async fn an_api_server_that_is_away_changes_nothing() {
    let mut stage = Stage::start().await;
    stage.snapshots.borrow_and_update();
    stage.server.listen(false);
    let told = tokio::time::timeout(
        PATIENCE,
        stage.reports.wait_for(|report| {
            report.problems.iter().any(|problem| problem.contains("does not answer"))
        }),
    );
    assert!(told.await.is_ok());
    stage.server.delete("nodes", "", "n3");
    stage.server.put(node(6));
    stage.server.forget_history();
    assert!(!stage.snapshots.has_changed().unwrap());
    assert!(stage.restarts.get() > 0);
    stage.server.listen(true);
    stage
        .until("the world after", |is| is.nodes.contains_key("n6") && !is.nodes.contains_key("n3"))
        .await;
    let told =
        tokio::time::timeout(PATIENCE, stage.reports.wait_for(|report| report.problems.is_empty()));
    assert!(told.await.is_ok());
    stage.tasks.shutdown().await;
}

/// Without our definitions there are Nodes all the same.
#[tokio::test]
async fn without_the_definitions_the_mesh_is_there_and_the_remedy_is_told() {
    let server = ApiServer::start().unwrap();
    for number in 1..=2 {
        server.put(node(number));
    }
    let stage = Stage::on(server).await;
    assert_eq!(stage.names(), ["n2"]);
    let problems = stage.reports.borrow().problems.join("\n");
    assert!(problems.contains("twill crds"), "{problems}");
}

/// Started while the API server is away: as it was known last, passwords included, none of which
/// are on the disk.
#[tokio::test]
async fn an_agent_that_starts_without_the_api_server_has_the_world_of_before() {
    let server = server();
    server.put(json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "tor", "namespace": "twill"}, "data": {"password": "aHVudGVyMg=="}}));
    let spec = json!({"address": "10.0.0.254", "asn": 65000, "passwordSecretRef": {"name": "tor"}});
    server.put(custom("BGPPeer", "tor", &spec));
    server.edit("nodes", "", "n1", |node| {
        node["metadata"]["annotations"] = json!({
            "kube-router.io/peer.ips": "10.0.0.253", "kube-router.io/peer.asns": "65000",
            "kube-router.io/peer.passwords": "c3dvcmRmaXNo",
        });
    });
    let mut stage = Stage::on(server).await;
    let whole = |is: &Snapshot| {
        let passwords = is.peers.values().filter(|peer| peer.password.is_some());
        passwords.count() == 2
    };
    stage.until("both peers", whole).await;
    let before = Arc::clone(&stage.snapshots.borrow());
    let (state, run) = (stage.folder.join("state"), stage.folder.join("run"));
    let kept = tokio::time::timeout(PATIENCE, async {
        while !state.join("world.json").exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(kept.await.is_ok());
    let world = fs::read_to_string(state.join("world.json")).unwrap();
    for secret in ["aHVudGVyMg==", "hunter2", "c3dvcmRmaXNo", "swordfish"] {
        assert!(!world.contains(secret), "{secret} is on the disk");
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(run.join("secrets.json")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);

    stage.tasks.shutdown().await;
    stage.server.listen(false);
    let mut again = KubeSource::open(&options(&stage.folder, &stage.server.url())).await.unwrap();
    let mut snapshots = tokio::time::timeout(PATIENCE, again.first()).await.unwrap();
    assert_eq!(*snapshots.borrow_and_update(), before);
    let mut tasks = JoinSet::new();
    tasks.spawn(again.run());
    // And it goes on from there when the API server is back.
    stage.server.delete("nodes", "", "n3");
    stage.server.listen(true);
    let reached = snapshots.wait_for(|is| !is.nodes.contains_key("n3"));
    assert!(tokio::time::timeout(PATIENCE, reached).await.is_ok());
}

/// Services are listed only where a peer is told of them; an address whose traffic stays local
/// goes when its last endpoint here begins to end.
#[tokio::test]
async fn services_are_announced_where_a_peer_is_told_of_them() {
    let mut stage = Stage::start().await;
    let spec = json!({"services": {"announce": ["clusterIPs", "externalIPs"]}});
    stage.server.put(custom("BGPConfiguration", "default", &spec));
    stage.server.put(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "twill"},
        "spec": {"clusterIPs": ["10.96.0.7"], "externalIPs": ["198.51.100.7"],
            "externalTrafficPolicy": "Local"},
    }));
    let slice = |ready: bool| {
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "web-1", "namespace": "twill",
                "labels": {"kubernetes.io/service-name": "web"}},
            "endpoints": [
                {"addresses": ["10.244.1.2"], "nodeName": "n1",
                    "conditions": {"ready": ready, "serving": true, "terminating": !ready}},
                {"addresses": ["10.244.2.2"], "nodeName": "n2", "conditions": {"ready": true}},
            ],
        })
    };
    stage.server.put(slice(true));
    assert_eq!(stage.server.count("list", "services"), 0, "nobody is told of them");
    let spec = json!({"address": "10.0.0.254", "asn": 65000,
        "export": {"prefixes": ["podCIDRs", "clusterIPs", "externalIPs"]}});
    stage.server.put(custom("BGPPeer", "tor", &spec));
    stage.until("both", |is| is.services.announced().count() == 2).await;
    assert_eq!(stage.server.count("list", "services"), 1);
    stage.server.put(slice(false));
    let took = stage.until("one", |is| is.services.external.is_empty()).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(stage.snapshots.borrow().services.cluster.len(), 1);
    stage.server.delete("bgppeers", "", "tor");
    stage.until("none", |is| is.services.announced().count() == 0).await;
}
