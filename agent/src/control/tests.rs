//! The server, over a socket, with a speaker that answers from a list.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use twill_bgp::proto::session::State;
use twill_bgp::{BestChange, BestRoute, Ended, Notice, PeerStatus, Reason};

use super::testing::{self, Rig, established, prefix};
use super::{api, metrics, samples};
use crate::cli::client::{Agent, Client, ClientError};
use crate::reconcile::report::{HostReport, KernelNotice, Shadow, ShadowReport};

/// Status and body of one request.
async fn ask(rig: &Rig, method: &str, uri: &str, body: &str) -> (u16, String) {
    let stream = UnixStream::connect(&rig.socket).await.unwrap();
    exchange(stream, method, uri, body).await
}

async fn get(rig: &Rig, uri: &str) -> (u16, Value) {
    let (status, body) = ask(rig, "GET", uri, "").await;
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

async fn exchange<S>(mut stream: S, method: &str, uri: &str, body: &str) -> (u16, String)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let head =
        format!("{method} {uri} HTTP/1.0\r\nhost: twill\r\ncontent-length: {}\r\n\r\n", body.len());
    // A server that refuses early may close before all is written.
    drop(stream.write_all(format!("{head}{body}").as_bytes()).await);
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, body.to_owned())
}

/// The shapes that scripts rely on: a change here breaks them.
#[test]
fn shapes_of_json() {
    let pretty = |value: Value| serde_json::to_string_pretty(&value).unwrap();
    assert_snapshot!("json_status", pretty(json!(samples::status_bad())));
    assert_snapshot!("json_peers", pretty(json!(samples::peers())));
    assert_snapshot!("json_peer", pretty(json!(samples::peer_up())));
    assert_snapshot!("json_routes", pretty(json!(samples::routes())));
    assert_snapshot!("json_fib", pretty(json!(samples::fib())));
    assert_snapshot!("json_explain", pretty(json!(samples::explanation_bad())));
    assert_snapshot!("json_ipam", pretty(json!(samples::ipam())));
    let events = samples::events();
    let lines: Vec<String> = events.iter().map(|event| json!(event).to_string()).collect();
    assert_snapshot!("json_events", lines.join("\n"));
    for line in &lines {
        let read: super::api::Event = serde_json::from_str(line).unwrap();
        assert!(events.contains(&read), "{line}");
    }
}

#[tokio::test]
async fn every_reading_question_is_answered() {
    let rig = Rig::start();
    let (status, body) = get(&rig, "/v1/status").await;
    assert_eq!((status, &body["peers"]["established"]), (200, &json!(2)));
    let (_, body) = get(&rig, "/v1/peers").await;
    assert_eq!(body[1]["name"], "node-c");
    let (_, body) = get(&rig, "/v1/peers/tor").await;
    assert_eq!((&body["kind"], &body["ibgp"]), (&json!("external"), &json!(false)));
    assert_eq!(body["detail"]["password"], true);
    let (_, body) = get(&rig, "/v1/routes").await;
    assert_eq!(body.as_array().unwrap().len(), 5);
    let (_, body) = get(&rig, "/v1/routes?view=all&peer=node-c").await;
    assert_eq!(body.as_array().unwrap().len(), 3);
    let (_, body) = get(&rig, "/v1/routes/10.244.2.0/24?view=all").await;
    assert_eq!(body[1]["reason"], "higher router id");
    let (_, body) = get(&rig, "/v1/routes/10.244.3.7").await;
    assert_eq!(body[0]["prefix"], "10.244.3.0/24");
    let (_, body) = get(&rig, "/v1/fib").await;
    assert_eq!(body["installed"].as_array().unwrap().len(), 4);
    let (_, body) = get(&rig, "/v1/explain/127.0.0.1").await;
    assert_eq!(body["kernel"]["kind"], "local");
    let (status, body) = get(&rig, "/v1/ipam").await;
    assert_eq!((status, &body["ranges"][0]["capacity"]), (200, &json!(254)));
}

#[tokio::test]
async fn a_table_of_any_size_is_one_list() {
    let rig = Rig::start();
    for size in [0_u32, 1, 255, 256, 257, 1000] {
        *rig.speaker.table.lock().unwrap() = (0..size)
            .map(|number| {
                let address = std::net::Ipv4Addr::from(number << 8);
                testing::entry(&format!("{address}/24"), "10.0.0.2", Some("node-b"))
            })
            .collect();
        let mut client = Client::connect(&Agent::at(&rig.socket)).await.unwrap();
        let routes: Vec<super::api::Route> =
            client.document(hyper::Method::GET, "/v1/routes", Vec::new()).await.unwrap();
        assert_eq!(routes.len(), size as usize);
        assert!(routes.is_sorted_by_key(|route| prefix(&route.prefix)));
    }
}

#[tokio::test]
async fn a_secret_is_never_printed() {
    let rig = Rig::start();
    for uri in ["/v1/status", "/v1/peers", "/v1/peers/node-b", "/metrics", "/", "/v1/routes"] {
        let (status, body) = ask(&rig, "GET", uri, "").await;
        assert_eq!(status, 200, "{uri}");
        assert!(!body.contains("hunter2"), "{uri}");
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_a_remedy() {
    let rig = Rig::start();
    for (method, uri, body, status, words) in [
        ("GET", "/v1/routes/10.244.2.1/24", "", 400, "did you mean 10.244.2.0/24?"),
        ("GET", "/v1/routes/somewhere", "", 400, "such as 10.244.1.0/24"),
        ("GET", "/v1/routes/10.0.0.0/99", "", 400, "over 32"),
        ("GET", "/v1/routes?view=everything", "", 400, "unknown variant `everything`"),
        ("GET", "/v1/routes?vieuw=all", "", 400, "unknown field `vieuw`"),
        ("GET", "/v1/routes?view=advertised", "", 400, "--advertised --peer NAME"),
        ("GET", "/v1/routes?peer=nobody", "", 404, "peers are node-b, node-c, tor"),
        ("GET", "/v1/peers/nobody", "", 404, "no peer is called nobody"),
        ("GET", "/v1/status?watch=often", "", 400, "invalid digit"),
        ("GET", "/v1/explain/localhost", "", 400, "bad address"),
        ("GET", "/v2/status", "", 404, "same version"),
        ("POST", "/v1/status", "", 405, "not by this method"),
        ("POST", "/v1/peers/nobody/reset", "", 404, "no peer is called nobody"),
        ("POST", "/v1/peers/node-c/reset?soft=true", "", 409, "without --soft"),
        ("POST", "/v1/peers/node-b/reset?soft=true&message=x", "", 400, "not both"),
        ("PUT", "/v1/announcements/10.244.2.0", "", 400, "bad prefix"),
        ("PUT", "/v1/announcements/10.244.2.0/25", "", 409, "the pod CIDR of node node-b"),
        ("PUT", "/v1/announcements/0.0.0.0/0", "", 409, "the pod CIDR of node node-b"),
        ("PUT", "/v1/announcements/10.0.0.2/32", "", 409, "an address of node node-b"),
        ("PUT", "/v1/announcements/127.0.0.0/8", "", 409, "not routed between hosts"),
        ("PUT", "/v1/announcements/fe80::/64", "", 409, "not routed between hosts"),
        ("PUT", "/v1/announcements/203.0.113.0/24", "{", 400, "bad announcement"),
        ("PUT", "/v1/announcements/203.0.113.0/24", "{\"metric\":1}", 400, "unknown field"),
        ("PUT", "/v1/announcements/203.0.113.0/24", "{\"communities\":[\"no\"]}", 400, "AS:VALUE"),
        ("DELETE", "/v1/announcements/203.0.113.0/24", "", 404, "was not announced by hand"),
        ("DELETE", "/v1/announcements/10.244.1.0/24", "", 404, "change it there"),
    ] {
        let (got, text) = ask(&rig, method, uri, body).await;
        assert_eq!(got, status, "{method} {uri}: {text}");
        let refusal: super::api::Refusal = serde_json::from_str(&text).unwrap();
        assert!(refusal.remedy.is_some(), "{text}");
        assert!(text.contains(words), "{method} {uri}: {text}");
    }
    assert!(rig.speaker.announced.lock().unwrap().is_empty());
    let large = format!("{{\"communities\":[\"{}\"]}}", "x".repeat(64 << 10));
    let (status, _) = ask(&rig, "PUT", "/v1/announcements/203.0.113.0/24", &large).await;
    assert_eq!(status, 413);
    let words = format!("/v1/peers/node-b/reset?message={}", "x".repeat(256));
    assert_eq!(ask(&rig, "POST", &words, "").await.0, 400);
    let (status, _) = ask(&rig, "GET", &format!("/{}", "x".repeat(64 << 10)), "").await;
    assert!([0, 414, 431].contains(&status), "{status}");
}

#[tokio::test]
async fn announces_withdraws_and_resets() {
    let rig = Rig::start();
    let body = r#"{"localPref":200,"med":5,"communities":["64512:100","no-export"]}"#;
    let (status, answer) = ask(&rig, "PUT", "/v1/announcements/203.0.113.0/24", body).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("does not send it to: tor"), "{answer}");
    assert!(!answer.contains("the other nodes will refuse it"), "within transit: {answer}");
    let route = rig.speaker.announced.lock().unwrap()[0].clone();
    assert_eq!(
        (route.prefix, route.local_pref, route.med),
        (prefix("203.0.113.0/24"), Some(200), Some(5))
    );
    assert_eq!(route.communities.len(), 2);
    let (_, answer) = ask(&rig, "PUT", "/v1/announcements/198.51.100.0/24", "").await;
    assert!(answer.contains("the other nodes will refuse it"), "{answer}");
    let (_, answer) = ask(&rig, "PUT", "/v1/announcements/10.244.1.0/24", "").await;
    assert!(answer.contains("the configuration announces it already"), "{answer}");
    let (status, answer) = ask(&rig, "DELETE", "/v1/announcements/10.244.1.0/24", "").await;
    assert_eq!(status, 200);
    assert!(answer.contains("still does"), "{answer}");
    let (status, _) = ask(&rig, "POST", "/v1/peers/node-b/reset?soft=true", "").await;
    assert_eq!(status, 200);
    assert_eq!(*rig.speaker.resets.lock().unwrap(), [("node-b".to_owned(), true)]);
    let uri = "/v1/peers/node-b/reset?message=back%20at%205";
    assert_eq!(ask(&rig, "POST", uri, "").await.0, 200);
    assert_eq!(*rig.speaker.words.lock().unwrap(), ["back at 5"]);
}

/// The configuration keeps it down: no verb brings it up, and nothing is wrong about it.
#[tokio::test]
async fn a_peer_that_is_shut_down_is_no_problem_and_cannot_be_reset() {
    let rig = Rig::start();
    let mut shut = super::testing::peer("node-c");
    let config = (*shut.config).clone();
    shut.config = std::sync::Arc::new(config.shutdown("new disks"));
    let up = super::testing::established;
    *rig.speaker.peers.lock().unwrap() = vec![up("node-b"), shut, up("tor")];
    let (status, answer) = ask(&rig, "POST", "/v1/peers/node-c/reset", "").await;
    assert_eq!(status, 409);
    assert!(answer.contains("shut down by the configuration"), "{answer}");
    assert!(rig.speaker.resets.lock().unwrap().is_empty());
    let (_, answer) = ask(&rig, "GET", "/v1/peers/node-c", "").await;
    assert!(answer.contains("shut down by its configuration: new disks"), "{answer}");
    let (_, answer) = ask(&rig, "GET", "/v1/status", "").await;
    let status: super::api::Status = serde_json::from_str(&answer).unwrap();
    assert!(status.healthy, "{answer}");
    assert_eq!((status.peers.configured, status.peers.established), (3, 2));
}

async fn lines(rig: &Rig, uri: &str) -> crate::cli::client::Lines {
    let client = Client::connect(&Agent::at(&rig.socket)).await.unwrap();
    client.lines(uri).await.unwrap()
}

fn refused(number: u32) -> Notice {
    Notice::Refused {
        peer: "tor".to_owned(),
        prefix: prefix("192.0.2.0/24"),
        rule: format!("rule {number}").into(),
    }
}

#[tokio::test]
async fn monitor_tells_what_happens_and_what_it_missed() {
    let rig = Rig::start();
    let mut events = lines(&rig, "/v1/monitor").await;
    let attributes = testing::entry("10.244.2.0/24", "10.0.0.2", None).view.attributes;
    let change = |received, known: bool| BestChange {
        prefix: prefix("10.244.2.0/24"),
        route: known.then(|| BestRoute {
            attributes: attributes.clone(),
            peer: Some("node-b".into()),
            stale: false,
        }),
        received,
    };
    let before = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
    // What was there before is no news; what went is.
    rig.speaker.changes.send(vec![change(before, true)]).unwrap();
    rig.speaker.changes.send(vec![change(before, false)]).unwrap();
    let event: Value = events.next().await.unwrap();
    assert_eq!((&event["event"], &event["nextHop"]), (&json!("route"), &Value::Null));
    rig.speaker.changes.send(vec![change(Instant::now(), true)]).unwrap();
    let event: Value = events.next().await.unwrap();
    assert_eq!(event["from"], "node-b");
    let route = testing::fib_route("10.244.2.0/24", Some("10.0.0.2"), "eth0");
    rig.kernel.send(KernelNotice::Restored(route)).unwrap();
    let event: Value = events.next().await.unwrap();
    assert_eq!((&event["event"], &event["action"]), (&json!("kernel"), &json!("restored")));
    // Nobody reads while these are sent: the runtime has one thread.
    for number in 0..20 {
        rig.speaker.notices.send(refused(number)).unwrap();
    }
    let event: Value = events.next().await.unwrap();
    assert_eq!((&event["event"], &event["lost"]), (&json!("lag"), &json!(12)));
    for number in 12..20 {
        let event: Value = events.next().await.unwrap();
        assert_eq!(event["rule"], format!("rule {number}"));
    }
}

#[tokio::test]
async fn a_watch_repeats_what_changed_only() {
    let rig = Rig::start();
    let mut fib = lines(&rig, "/v1/fib?watch=1").await;
    let first: Value = fib.next().await.unwrap();
    assert_eq!(first["errors"], 0);
    tokio::time::timeout(Duration::from_millis(1500), fib.next::<Value>())
        .await
        .expect_err("nothing changed");
    rig.fib.send_modify(|fib| Arc::make_mut(fib).errors = 1);
    let second: Value = fib.next().await.unwrap();
    assert_eq!(second["errors"], 1);
}

#[tokio::test]
async fn a_watch_ends_with_a_reason() {
    let rig = Rig::start();
    let mut peer = lines(&rig, "/v1/peers/node-c?watch=1").await;
    peer.next::<super::api::Peer>().await.unwrap();
    rig.speaker.peers.lock().unwrap().retain(|peer| peer.config.name != "node-c");
    match peer.next::<super::api::Peer>().await {
        Err(ClientError::Refused { refusal, .. }) => {
            assert_eq!(refusal.error, "no peer is called node-c");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_agent_that_ends_is_unreachable() {
    let rig = Rig::start();
    let agent = Agent::at(&rig.socket);
    let mut events = lines(&rig, "/v1/monitor").await;
    drop(rig);
    assert!(matches!(events.next::<Value>().await, Err(ClientError::Unreachable { .. })));
    let Err(error) = Client::connect(&agent).await else { panic!("nobody is there") };
    assert!(error.to_string().contains("cannot reach the agent at"), "{error}");
}

#[tokio::test]
async fn too_many_clients_are_told_so() {
    let rig = Rig::start();
    let mut held = Vec::new();
    for _ in 0..64 {
        held.push(lines(&rig, "/v1/monitor").await);
    }
    let (status, body) = ask(&rig, "GET", "/v1/status", "").await;
    assert_eq!(status, 503);
    assert!(body.contains("too many clients"), "{body}");
    held.pop();
    // The place is free as soon as the server has seen the end of the connection.
    let free = async {
        while get(&rig, "/v1/fib").await.0 != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), free).await.expect("a place");
}

#[tokio::test]
async fn health_follows_the_speaker_and_readiness_the_owners() {
    let rig = Rig::start();
    assert_eq!(ask(&rig, "GET", "/healthz", "").await, (200, "ok\n".to_owned()));
    assert_eq!(ask(&rig, "GET", "/readyz", "").await, (200, "ready\n".to_owned()));
    rig.host.send_replace(Arc::new(HostReport {
        ready: false,
        problems: vec!["no bridge".to_owned()],
        ..HostReport::default()
    }));
    let (status, body) = ask(&rig, "GET", "/readyz", "").await;
    assert_eq!(status, 503);
    assert!(body.contains("host: ") && body.contains("no bridge"), "{body}");
    // Not ready is nothing that a restart mends.
    assert_eq!(ask(&rig, "GET", "/healthz", "").await.0, 200);
    rig.speaker.stopped.store(true, Ordering::Relaxed);
    let (status, body) = ask(&rig, "GET", "/healthz", "").await;
    assert_eq!((status, body.as_str()), (503, "the BGP speaker has stopped\n"));
    assert_eq!(get(&rig, "/v1/peers").await.0, 503);
}

/// A scrape in which every metric has a sample.
fn scrape() -> String {
    let installs = super::InstallTimes::default();
    installs.observe(Duration::from_micros(300));
    let counters = metrics::Counters::default();
    counters.notice(refused(1));
    counters.lost(3);
    metrics::encode(&metrics::Parts {
        peers: &[established("node-b")],
        fib: &testing::fib(),
        shadowed: 1,
        installs: &installs,
        watch_restarts: 0,
        counters: &counters,
        version: "0.1.0",
    })
    .unwrap()
}

#[test]
fn metrics_of_a_moment() {
    let text = scrape();
    // The order of series within a metric is not defined.
    let mut blocks: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    let mut block = 0;
    for line in text.lines() {
        if line.starts_with("# HELP") {
            block += 1;
        }
        blocks.entry(block).or_default().push(line);
    }
    for lines in blocks.values_mut().filter(|lines| !lines[0].contains("install_seconds")) {
        lines.sort_unstable();
    }
    let lines: Vec<&str> = blocks.into_values().flatten().collect();
    assert_snapshot!("metrics", lines.join("\n"));
}

#[tokio::test]
async fn refusals_are_counted_as_they_come() {
    let rig = Rig::start();
    // Served once, so that the counter listens.
    assert_eq!(get(&rig, "/v1/fib").await.0, 200);
    rig.speaker.notices.send(refused(1)).unwrap();
    rig.installs.observe(Duration::from_millis(1));
    let (_, body) = ask(&rig, "GET", "/metrics", "").await;
    let line = r#"twill_bgp_routes_rejected_total{peer="tor",reason="rule 1"} 1"#;
    assert!(body.contains(line), "{body}");
    assert!(body.contains("twill_route_install_seconds_count 1"), "{body}");
}

#[tokio::test]
async fn the_looking_glass_shows_and_escapes() {
    let rig = Rig::start();
    {
        let mut peers = rig.speaker.peers.lock().unwrap();
        peers[1].state = State::Idle;
        peers[1].last_error = Some((testing::moment(), "<script>alert('x')</script>".to_owned()));
    }
    let (status, page) = ask(&rig, "GET", "/", "").await;
    assert_eq!(status, 200);
    assert!(page.contains("<td>node-b<td>10.0.0.2"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)"), "{page}");
    assert!(!page.contains("<script") && !page.contains("http://"), "{page}");
    let (_, page) = ask(&rig, "GET", "/?q=10.244.3.7", "").await;
    assert!(
        page.contains("<td>10.244.3.0/24") && !page.contains("<td>0.0.0.0/0<td>10.0.0.254<td>tor")
    );
    let (status, page) = ask(&rig, "GET", "/?q=%27%3E%3Cb%3E", "").await;
    assert_eq!(status, 200);
    assert!(page.contains("value='&#39;&gt;&lt;b&gt;'"), "{page}");
}

async fn http(port: u16, uri: &str) -> Option<(u16, String)> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    Some(exchange(stream, "GET", uri, "").await)
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn the_http_address_follows_the_configuration_and_changes_nothing() {
    let rig = Rig::start();
    let first = free_port();
    let address = |port| Some(std::net::SocketAddr::from(([127, 0, 0, 1], port)));
    rig.configure(|snapshot| snapshot.http = address(first));
    // Each answer of the socket comes after the change was seen: both are served by one task.
    assert_eq!(get(&rig, "/v1/fib").await.0, 200);
    assert_eq!(http(first, "/healthz").await.unwrap().0, 200);
    assert_eq!(http(first, "/").await.unwrap().0, 200);
    assert_eq!(http(first, "/v1/status").await.unwrap().0, 404);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let second = taken.local_addr().unwrap().port();
    rig.configure(|snapshot| snapshot.http = address(second));
    let (_, status) = get(&rig, "/v1/status").await;
    assert!(status["problems"].to_string().contains("cannot listen on http"), "{status}");
    assert_eq!(http(first, "/healthz").await.unwrap().0, 200, "the old one is served on");
    let third = free_port();
    rig.configure(|snapshot| snapshot.http = address(third));
    let (_, status) = get(&rig, "/v1/status").await;
    assert!(!status["problems"].to_string().contains("cannot listen on http"), "{status}");
    assert_eq!(http(third, "/healthz").await.unwrap().0, 200);
    assert!(http(first, "/healthz").await.is_none(), "the old one is left");
    rig.configure(|snapshot| snapshot.http = None);
    assert_eq!(get(&rig, "/v1/fib").await.0, 200);
    assert!(http(third, "/healthz").await.is_none());
}

/// One node that is away is not this node's trouble; most of them, or an outside router, are.
#[tokio::test]
async fn sessions_that_are_down_make_unhealthy_where_they_are_this_nodes_trouble() {
    let rig = Rig::start();
    let rows: [(Vec<PeerStatus>, bool, usize); 5] = [
        (vec![established("node-b"), established("node-c"), established("tor")], true, 0),
        (vec![established("node-b"), testing::peer("node-c"), established("tor")], true, 1),
        (vec![testing::peer("node-b"), testing::peer("node-c")], false, 2),
        (vec![established("node-b"), established("node-c"), testing::peer("tor")], false, 0),
        (vec![], true, 0),
    ];
    for (peers, healthy, down) in rows {
        let names: Vec<_> =
            peers.iter().map(|peer| (peer.config.name.clone(), peer.state)).collect();
        *rig.speaker.peers.lock().unwrap() = peers;
        let (_, status) = get(&rig, "/v1/status").await;
        assert_eq!(status["healthy"], healthy, "{names:?}: {status}");
        assert_eq!(status["sessionsDown"].as_array().unwrap().len(), down, "{names:?}: {status}");
    }
}

#[tokio::test]
async fn problems_of_every_owner_reach_the_status() {
    let rig = Rig::start();
    *rig.speaker.peers.lock().unwrap() = vec![established("node-b")];
    assert_eq!(get(&rig, "/v1/status").await.1["healthy"], true);
    rig.cni.send_modify(|cni| Arc::make_mut(cni).written = false);
    rig.config.send_modify(|config| {
        let config = Arc::make_mut(config);
        config.refused = Some("line 3: holdTime".to_owned());
        config.problems.push("the directory is read-only".to_owned());
    });
    rig.fib.send_modify(|fib| Arc::make_mut(fib).problems.push("a clash".to_owned()));
    rig.shadows.send_modify(|report| {
        let shadow = Shadow { prefix: prefix("10.244.2.0/24"), words: "a static one".to_owned() };
        *report = Arc::new(ShadowReport { shadows: vec![shadow], count: 3 });
    });
    let (_, status) = get(&rig, "/v1/status").await;
    assert_eq!((&status["healthy"], &status["ready"]), (&json!(false), &json!(true)));
    assert_eq!(status["cniWritten"], false);
    let problems = status["problems"].to_string();
    assert_eq!(status["routes"]["shadowed"], 3);
    for words in [
        "the directory is read-only",
        "line 3: holdTime",
        "a clash",
        "10.244.2.0/24: a static one",
        "2 more foreign routes",
    ] {
        assert!(problems.contains(words), "{problems}");
    }
}

/// docs/reference/metrics.md names each metric that a scrape holds, with its kind, and no other.
#[test]
fn the_page_of_metrics_is_current() {
    let mut told: Vec<(String, String)> = scrape()
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, kind)| {
            // What OpenMetrics appends to each sample's name.
            let suffix = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            (format!("{name}{suffix}"), kind.to_owned())
        })
        .collect();
    let page = include_str!("../../../docs/reference/metrics.md");
    let mut written: Vec<(String, String)> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `twill_")?.split_once("` | "))
        .filter_map(|(name, rest)| {
            Some((format!("twill_{name}"), rest.split_once(" |")?.0.to_owned()))
        })
        .collect();
    told.sort();
    written.sort();
    assert!(!told.is_empty());
    assert_eq!(told, written, "scraped, and written on the page");
}

/// Both are told: what keeps it down now, and why it went down at first.
#[test]
fn a_failed_attempt_does_not_hide_why_the_session_was_lost() {
    let mut peer = testing::peer("tor");
    let at = std::time::SystemTime::UNIX_EPOCH;
    let reason =
        |ended, words: &str| Reason { ended, words: words.into(), since: at, at, times: 1 };
    let lost = "hold timer expired: nothing heard for 90s";
    peer.last_error = Some((at, lost.into()));
    peer.reasons = vec![reason(Ended::Attempt, "Connection refused (os error 111)")];
    peer.reasons.push(reason(Ended::Session, lost));
    let why = super::view::down_because(&peer).unwrap();
    assert!(why.starts_with("Connection refused; "), "{why}");
    assert!(
        why.ends_with("; the session was lost because: hold timer expired: nothing heard for 90s")
    );
    let shown = super::view::peer(&peer, &testing::snapshot(), at);
    assert_eq!(shown.last_error.as_deref(), Some(lost));
    let kinds: Vec<api::Ended> = shown.reasons.iter().map(|reason| reason.what).collect();
    assert_eq!(kinds, [api::Ended::Attempt, api::Ended::Lost]);
    peer.reasons.remove(0);
    let why = super::view::down_because(&peer).unwrap();
    assert_eq!(why.matches("hold timer").count(), 1, "{why}");
}

/// Silence is what a wrong password looks like: the session's own words for it have a remedy, and
/// so have the kernel's.
#[test]
fn silence_has_a_remedy() {
    for words in ["the connection did not open in time", "Connection timed out (os error 110)"] {
        let mut peer = testing::peer("tor");
        peer.last_error = Some((std::time::SystemTime::UNIX_EPOCH, words.into()));
        let why = super::view::down_because(&peer).unwrap();
        assert!(why.contains("password") && !why.contains("os error"), "{why}");
    }
}
