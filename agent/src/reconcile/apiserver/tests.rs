use super::condition::wanted;
use super::status::cut;
use crate::source::kube::node::Network;

#[test]
fn when_the_condition_is_written() {
    let is = |unavailable, ours| Some(Network { unavailable, ours });
    for (ready_once, is, expected) in [
        // Ready: cleared where it is set or was never said, by whoever.
        (true, None, Some(false)),
        (true, is(true, false), Some(false)),
        (true, is(true, true), Some(false)),
        (true, is(false, true), None),
        (true, is(false, false), None),
        // Not ready yet: only what an agent of an earlier boot cleared is taken back.
        (false, None, None),
        (false, is(true, false), None),
        (false, is(false, false), None),
        (false, is(false, true), Some(true)),
        (false, is(true, true), None),
    ] {
        assert_eq!(wanted(ready_once, is.as_ref()), expected, "{ready_once} {is:?}");
    }
}

#[test]
fn texts_are_cut_between_characters() {
    assert_eq!(cut("short", 10), "short");
    assert_eq!(cut("0123456789", 8), "01234...");
    for most in 4..12 {
        let text = cut("äöüäöüäöü", most);
        assert!(text.len() <= most + 1 && text.ends_with("..."), "{most}: {text}");
    }
}

/// Against the stand-in for the API server.
mod live {
    use std::collections::BTreeMap;
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::{Value, json};
    use tokio::sync::watch;
    use tokio::task::JoinSet;
    use twill_bgp::Notice;
    use twill_tests::apiserver::{ApiServer, Effect, Fault};

    use super::super::{Inputs, run};
    use crate::control::testing::{Rig, prefix};
    use crate::source::kube::Findings;
    use crate::source::kube::client::Connection;
    use crate::source::kube::crd;
    use crate::source::kube::doubt::{About, Doubt, Kind, Reason};

    const PATIENCE: Duration = Duration::from_secs(20);

    struct Stage {
        server: ApiServer,
        rig: Rig,
        findings: watch::Sender<Arc<Findings>>,
        _tasks: JoinSet<()>,
    }

    fn about(name: &str) -> About {
        About {
            kind: Kind::Node,
            namespace: None,
            name: name.into(),
            uid: format!("uid-{name}").into(),
        }
    }

    async fn stage(ready: bool) -> Stage {
        let server = ApiServer::start().unwrap();
        for definition in crd::all() {
            server.put(serde_json::to_value(definition).unwrap());
        }
        for name in ["node-a", "node-b"] {
            server.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
                "status": {"conditions": [{"type": "Ready", "status": "True"}]}}));
        }
        let rig = Rig::start();
        rig.fib.send_modify(|fib| Arc::make_mut(fib).ready = ready);
        let config = kube::Config::new(server.url().parse().unwrap());
        let connection = Connection {
            client: kube::Client::try_from(config).unwrap(),
            away: watch::channel(None).1,
            namespace: "twill".to_owned(),
        };
        let objects = ["node-a", "node-b"].map(|name| (name.into(), about(name)));
        let findings = Findings {
            own: Some(about("node-a")),
            objects: Arc::new(BTreeMap::from(objects)),
            ..Findings::default()
        };
        let (findings, receiver) = watch::channel(Arc::new(findings));
        let inputs = Inputs { connection, findings: receiver, backend: rig.backend.clone() };
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { run(inputs, &PathBuf::from("/nonexistent")).await });
        Stage { server, rig, findings, _tasks: tasks }
    }

    impl Stage {
        async fn until(&self, what: &str, is: impl Fn(&Stage) -> bool) {
            let reached = tokio::time::timeout(PATIENCE, async {
                while !is(self) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
            assert!(reached.await.is_ok(), "never: {what}");
        }

        fn condition(&self) -> Option<Value> {
            let node = self.server.get("nodes", "", "node-a")?;
            let conditions = node["status"]["conditions"].as_array()?.clone();
            conditions.into_iter().find(|condition| condition["type"] == "NetworkUnavailable")
        }

        fn events(&self) -> Vec<Value> {
            self.server.all("events.events.k8s.io")
        }
    }

    #[tokio::test]
    async fn the_condition_is_cleared_when_the_node_is_ready() {
        let stage = stage(false).await;
        stage
            .until("a status", |stage| stage.server.count("patch", "bgpnodestatuses/status") > 0)
            .await;
        assert_eq!(stage.condition(), None);
        stage.rig.fib.send_modify(|fib| Arc::make_mut(fib).ready = true);
        stage.until("cleared", |stage| stage.condition().is_some()).await;
        let condition = stage.condition().unwrap();
        assert_eq!(
            (&condition["status"], &condition["reason"]),
            (&json!("False"), &json!("TwillIsUp"))
        );
        let node = stage.server.get("nodes", "", "node-a").unwrap();
        assert_eq!(node["status"]["conditions"][0]["type"], "Ready", "and nothing else is touched");
        assert_eq!(stage.server.count("patch", "nodes/status"), 1);
    }

    #[tokio::test]
    async fn the_status_says_how_the_node_does() {
        let stage = stage(true).await;
        let get = |stage: &Stage| stage.server.get("bgpnodestatuses", "", "node-a");
        stage
            .until("a status", |stage| get(stage).is_some_and(|is| is["status"].is_object()))
            .await;
        let written = get(&stage).unwrap();
        assert_eq!(written["metadata"]["ownerReferences"][0]["uid"], "uid-node-a");
        let status = &written["status"];
        assert_eq!(status["peers"], json!({"configured": 3, "established": 2}));
        assert_eq!(status["conditions"][0]["type"], "Ready");
        assert_eq!(status["conditions"][0]["status"], "True");
        let sessions = status["sessions"].as_array().unwrap();
        let names: Vec<&Value> = sessions.iter().map(|session| &session["name"]).collect();
        assert!(names.contains(&&json!("node-c")), "one that is down: {names:?}");
        assert!(!names.contains(&&json!("node-b")), "one of the mesh that is up: {names:?}");
        // What has not changed is not written again.
        assert_eq!(stage.server.count("patch", "bgpnodestatuses/status"), 1);
        let before = stage.server.count("patch", "bgpnodestatuses/status");
        stage.rig.fib.send_modify(|_| ());
        stage.rig.fib.send_modify(|_| ());
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(stage.server.count("patch", "bgpnodestatuses/status"), before);
    }

    #[tokio::test]
    async fn doubts_and_refusals_become_events_once() {
        let stage = stage(true).await;
        stage.server.fault(
            Fault::new(Effect::Status { code: 503, retry_after: None }).verb("create").times(1),
        );
        let doubt = Doubt {
            about: about("node-a"),
            reason: Reason::ClaimRefused,
            note: "its pod CIDR 10.244.2.0/24 is refused".to_owned(),
        };
        stage.findings.send_modify(|found| Arc::make_mut(found).doubts = vec![doubt.clone()]);
        stage.until("an Event", |stage| stage.events().len() == 1).await;
        let refused = Notice::Refused {
            peer: "node-b".to_owned(),
            prefix: prefix("0.0.0.0/0"),
            rule: "not a pod CIDR of node-b".into(),
        };
        for _ in 0..20 {
            drop(stage.rig.speaker.notices.send(refused.clone()));
            tokio::task::yield_now().await;
        }
        stage.until("another", |stage| stage.events().len() == 2).await;
        // The same again is not told again.
        stage.findings.send_modify(|found| Arc::make_mut(found).doubts = Vec::new());
        stage.findings.send_modify(|found| Arc::make_mut(found).doubts = vec![doubt.clone()]);
        tokio::time::sleep(Duration::from_millis(500)).await;
        let events = stage.events();
        assert_eq!(events.len(), 2, "{events:?}");
        let refused = events.iter().find(|event| event["reason"] == "RouteRefused").unwrap();
        assert_eq!(refused["regarding"]["name"], "node-b");
        assert!(refused["note"].as_str().unwrap().contains("0.0.0.0/0"));
        assert_eq!(refused["metadata"]["namespace"], "default");
    }
}
