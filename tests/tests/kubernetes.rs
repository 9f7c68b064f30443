//! Agents in namespaces as Nodes, each run as the DaemonSet runs it: under its service account,
//! with its capabilities and mounts, and nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use twill_tests::apiserver::{Effect, Fault};
use twill_tests::cluster::node_name;
use twill_tests::kube::{KubeCluster, NAMESPACE, Server, has_routes, node_object, sandbox};
use twill_tests::lab::{Lab, WAIT, hold, wait};
use twill_tests::node::Node;
use twill_tests::skip_unless;
use twill_tests::traffic::Traffic;

/// How soon a change must have been taken.
const LIVE: Duration = Duration::from_secs(1);

/// Waits until a change has been taken, which may take no longer than [`LIVE`].
fn taken(what: &str, ask: impl FnMut() -> Result<bool>) -> Result<()> {
    let took = wait(what, WAIT, ask)?;
    println!("{what}: {took:?}");
    assert!(took <= LIVE, "{what}: {took:?}");
    Ok(())
}

/// Name, address and flaps of each session that a node has been told of.
fn sessions(node: &Node) -> Result<Vec<(String, String, u64)>> {
    let peers = node.json(&["peers"])?;
    let peers = peers.as_array().context("peers is no list")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut sessions: Vec<_> = peers
        .iter()
        .map(|peer| {
            let flaps = peer["flaps"].as_u64().unwrap_or(u64::MAX);
            (text(&peer["name"]), text(&peer["address"]), flaps)
        })
        .collect();
    sessions.sort();
    Ok(sessions)
}

/// No session of the first three nodes with each other has ever flapped.
fn assert_calm(cluster: &KubeCluster) -> Result<()> {
    for node in &cluster.nodes[..3] {
        for (name, _, flaps) in sessions(node)? {
            if name != "node-d" {
                assert_eq!(flaps, 0, "{} with {name}", node.name());
            }
        }
    }
    Ok(())
}

/// Whether every of the first three nodes has the other two's routes in its kernel.
fn routes_stand(cluster: &KubeCluster) -> Result<bool> {
    for (at, node) in cluster.nodes[..3].iter().enumerate() {
        for number in (1..=3).filter(|number| *number != at + 1) {
            if !has_routes(node, number)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// All that `twill status` says, its complaints among it.
fn problems(node: &Node) -> Result<String> {
    let status = node.json(&["status"])?;
    Ok(status.to_string())
}

#[test]
fn the_sandbox_of_the_agents_is_as_tight_as_their_pods() -> Result<()> {
    skip_unless!(lab);
    let lab = Lab::new("kube-sandbox")?;
    let host = lab.host("node-a")?;
    let attempt = |script: &str| -> Result<bool> {
        let command = sandbox::command(&["sh", "-c", script])?;
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        Ok(host.output(&words, "")?.status.success())
    };
    for allowed in [
        "ip link add br9 type bridge && ip link del br9",
        "echo x > /etc/cni/net.d/x",
        "echo x > /run/twill/x",
        "echo x > /var/lib/cni/networks/x",
        "echo 1 > $TWILL_PROC_SYS/net/ipv6/conf/lo/forwarding",
    ] {
        assert!(attempt(allowed)?, "{allowed}");
    }
    for forbidden in [
        "mount -t tmpfs tmpfs /mnt",
        "echo x > /etc/x",
        "echo x > /run/x",
        "echo x > /opt/cni/bin/x",
        "echo x > /tmp/x",
        "echo 1 > /proc/sys/net/ipv6/conf/lo/forwarding",
        "echo x > /proc/sys/kernel/domainname",
        "chown 1 /run/twill",
        "nsenter --net=/proc/1/ns/net true",
    ] {
        assert!(!attempt(forbidden)?, "{forbidden}");
    }
    lab.passed()
}

fn a_mesh_of_nodes_carries_packets_within_the_rights_of_the_daemon_set(
    server: Server,
) -> Result<()> {
    let cluster = KubeCluster::start(server, "kube-mesh", 3, 3)?;
    for pod in &cluster.pods {
        for other in &cluster.pods {
            for address in other.addresses() {
                pod.ping(address)?;
            }
        }
    }
    cluster.lab.passed()
}

/// Group, resource and verb.
type Right = (String, String, String);

/// What `deploy/base/rbac.yaml` grants, by the kind of the role.
fn granted(kind: &str) -> Result<BTreeSet<Right>> {
    let text = std::fs::read_to_string(sandbox::deploy().join("base/rbac.yaml"))?;
    let documents = serde_saphyr::from_multiple::<Value>(&text)?;
    let role = documents.iter().find(|object| object["kind"] == kind).context("no role")?;
    let list = |value: &Value| -> Vec<String> {
        let items = value.as_array().into_iter().flatten();
        items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let mut rights = BTreeSet::new();
    for rule in role["rules"].as_array().context("no rules")? {
        for group in list(&rule["apiGroups"]) {
            for resource in list(&rule["resources"]) {
                for verb in list(&rule["verbs"]) {
                    rights.insert((group.clone(), resource.clone(), verb));
                }
            }
        }
    }
    Ok(rights)
}

/// Node-c has no agent. The other two become ready all the same, and say so; node-b claims what is
/// not its own, and the mesh is given a password.
fn agents_tell_how_they_do_and_use_every_right_that_they_have(server: Server) -> Result<()> {
    let cluster = KubeCluster::build(server, "kube-told", 3)?;
    let api = &cluster.api;
    for number in 1..=3 {
        api.apply(&node_object(number))?;
        let unavailable = json!([{"type": "NetworkUnavailable", "status": "True",
                                  "reason": "NoRouteCreated", "message": "by the cloud"}]);
        api.patch_node_status(&node_name(number), &json!({"conditions": unavailable}))?;
    }
    let unavailable = |node: &str| -> Result<Value> {
        let node = api.get(&["node", node])?;
        let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
        Ok(conditions
            .into_iter()
            .find(|condition| condition["type"] == "NetworkUnavailable")
            .unwrap_or_default())
    };
    for node in &cluster.nodes[..2] {
        node.start()?;
    }
    for node in &cluster.nodes[..2] {
        node.wait_ready()?;
        wait("NetworkUnavailable to be cleared", WAIT, || {
            Ok(unavailable(node.name())?["status"] == "False")
        })?;
        assert!(node.host().read("/etc/cni/net.d/10-twill.conflist").is_ok());
    }
    assert_eq!(unavailable("node-c")?["status"], "True");
    wait("node-a's BGPNodeStatus to tell all", WAIT, || {
        let told = api.get(&["bgpnodestatuses", "node-a"])?;
        let status = &told["status"];
        Ok(status["peers"]["established"] == 1
            && status["peers"]["configured"] == 2
            && status["routes"]["installed"] == 4)
    })?;

    let annotation = "twill.dev/pod-cidrs=10.244.1.0/24,fd00:244:2::/64";
    api.kubectl(&["annotate", "node", "node-b", annotation], "")?;
    wait("an Event on node-b", WAIT, || {
        let events = api.get(&["events.events.k8s.io", "-A"])?;
        let events = events["items"].as_array().cloned().unwrap_or_default();
        Ok(events.iter().any(|event| {
            event["regarding"]["name"] == "node-b"
                && event["note"].to_string().contains("10.244.1.0/24")
        }))
    })?;

    api.apply(&json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"password": "lab"},
        "metadata": {"name": "twill-mesh", "namespace": NAMESPACE}}))?;
    let before = sessions(&cluster.nodes[0])?;
    api.apply(&json!({"apiVersion": "twill.dev/v1alpha1", "kind": "BGPConfiguration",
        "metadata": {"name": "default"},
        "spec": {"mesh": {"passwordSecretRef": {"name": "twill-mesh"}}}}))?;
    wait("the session to come back with a password", WAIT, || {
        Ok(cluster.nodes[0].peer("node-b")?["state"] == "Established"
            && sessions(&cluster.nodes[0])? != before)
    })?;

    // Services are asked for once a router is to be told of them.
    api.apply(&json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"ports": [{"port": 80}], "externalIPs": ["198.51.100.7"]}}))?;
    api.apply(&json!({"apiVersion": "twill.dev/v1alpha1", "kind": "BGPConfiguration",
        "metadata": {"name": "default"},
        "spec": {"mesh": {"passwordSecretRef": {"name": "twill-mesh"}},
                 "services": {"announce": ["externalIPs"]}}}))?;
    api.apply(&json!({"apiVersion": "twill.dev/v1alpha1", "kind": "BGPPeer",
        "metadata": {"name": "tor"},
        "spec": {"address": "10.0.0.254", "asn": 65000,
                 "export": {"prefixes": ["externalIPs"]}}}))?;
    wait("the Service's address among node-a's own routes", WAIT, || {
        let routes = cluster.nodes[0].json(&["routes", "198.51.100.7/32"])?;
        Ok(routes[0]["from"] == "local")
    })?;

    // A real server that refuses something is seen above, by what is missing then.
    if server == Server::Real {
        return cluster.lab.passed();
    }
    let (mut asked, mut of_secrets) = (BTreeSet::new(), BTreeSet::new());
    for one in api.asked_by_agents()? {
        assert_ne!(one.code, 403, "{one:?}");
        let right = (one.group, one.resource, one.verb);
        match right.1.as_str() {
            "secrets" => {
                assert_eq!((one.namespace.as_str(), one.name.as_str()), (NAMESPACE, "twill-mesh"));
                of_secrets.insert(right);
            }
            _ => {
                asked.insert(right);
            }
        }
    }
    assert_eq!(asked, granted("ClusterRole")?, "asked, and granted");
    assert_eq!(of_secrets, granted("Role")?, "asked, and granted");
    cluster.lab.passed()
}

/// A fourth node is created, gets other addresses, another pod CIDR, and is deleted.
fn a_node_comes_moves_and_goes_within_a_second_and_nobody_else_notices(
    server: Server,
) -> Result<()> {
    let mut cluster = KubeCluster::start(server, "kube-nodes", 4, 3)?;
    let knows = |cluster: &KubeCluster, address: Option<&str>| -> Result<bool> {
        let expected = address.map(|address| ("node-d".to_owned(), address.to_owned()));
        for node in &cluster.nodes[..3] {
            let found = sessions(node)?.into_iter().find(|(name, ..)| name == "node-d");
            if found.map(|(name, address, _)| (name, address)) != expected {
                return Ok(false);
            }
        }
        Ok(true)
    };
    cluster.api.apply(&node_object(4))?;
    taken("a node is created", || knows(&cluster, Some("10.0.0.4")))?;
    cluster.nodes[3].start()?;
    cluster.wait_mesh(4)?;
    cluster.attach_pods(3, 1)?;
    let newcomer = cluster.pods.last().context("no pod")?;
    for address in newcomer.addresses() {
        cluster.pods[0].ping(address)?;
    }

    let host = cluster.nodes[3].host();
    host.batch("addr del 10.0.0.4/24 dev eth0\naddr add 10.0.0.44/24 dev eth0")?;
    let addresses = json!([{"type": "InternalIP", "address": "10.0.0.44"},
                           {"type": "InternalIP", "address": "fd00::4"}]);
    cluster.api.patch_node_status("node-d", &json!({"addresses": addresses}))?;
    taken("a node has another address", || knows(&cluster, Some("10.0.0.44")))?;
    for node in &cluster.nodes[..3] {
        node.wait_route("10.244.4.0/24", "via 10.0.0.44")?;
    }
    for address in newcomer.addresses() {
        cluster.pods[0].ping(address)?;
    }

    // A pod CIDR is given once: a Node gets another by being made anew.
    cluster.api.kubectl(&["delete", "node", "node-d", "--wait=false"], "")?;
    taken("a node is deleted", || knows(&cluster, None))?;
    for node in &cluster.nodes[..3] {
        node.wait_no_route("10.244.4.0/24", WAIT)?;
    }
    let mut other = node_object(4);
    other["spec"] = json!({"podCIDR": "10.244.40.0/24", "podCIDRs": ["10.244.40.0/24"]});
    other["status"]["addresses"] = addresses;
    cluster.api.apply(&other)?;
    cluster.api.patch_node_status("node-d", &json!({"addresses": other["status"]["addresses"]}))?;
    for node in &cluster.nodes[..3] {
        node.wait_route("10.244.40.0/24", "via 10.0.0.44")?;
    }
    let annotation = "twill.dev/pod-cidrs=10.244.41.0/24";
    cluster.api.kubectl(&["annotate", "node", "node-d", annotation], "")?;
    for node in &cluster.nodes[..3] {
        node.wait_route("10.244.41.0/24", "via 10.0.0.44")?;
        node.wait_no_route("10.244.40.0/24", WAIT)?;
    }
    assert!(routes_stand(&cluster)?);
    assert_calm(&cluster)?;
    cluster.lab.passed()
}

/// A kubelet that claims another node's pod CIDR, or an address within it, by its own Node.
fn what_a_node_claims_of_another_is_refused_and_said(server: Server) -> Result<()> {
    let cluster = KubeCluster::start(server, "kube-claims", 3, 3)?;
    let annotation = "kube-router.io/pod-cidrs=10.244.2.0/25,fd00:244:3::/64";
    cluster.api.kubectl(&["annotate", "node", "node-c", annotation], "")?;
    wait("node-c to say that its claim is refused", WAIT, || {
        Ok(problems(&cluster.nodes[2])?.contains("10.244.2.0/2"))
    })?;
    println!("{}", problems(&cluster.nodes[2])?);
    hold("node-b's routes", Duration::from_secs(2), || {
        let victim = &cluster.nodes[0];
        Ok(has_routes(victim, 2)? && !victim.has_route("10.244.2.0/25", "")?)
    })?;
    assert_calm(&cluster)?;
    cluster.lab.passed()
}

/// Traffic flows all the while; nothing is lost, no session flaps, no route goes.
#[test]
fn an_api_server_on_a_bad_day_moves_nothing() -> Result<()> {
    skip_unless!(lab, kubectl);
    let cluster = KubeCluster::start(Server::StandIn, "kube-faults", 4, 3)?;
    let traffic = Traffic::start(&cluster.endpoints(), 100)?;
    let stands =
        |time: u64| hold("every route", Duration::from_secs(time), || routes_stand(&cluster));
    let api = &cluster.api;

    // Away: refused connections for a while.
    api.listen(false)?;
    wait("the agents to say so", WAIT, || {
        Ok(problems(&cluster.nodes[0])?.contains("API server does not answer"))
    })?;
    stands(2)?;
    // An agent that starts meanwhile has the world that it knew.
    cluster.nodes[1].kill()?;
    cluster.nodes[1].start()?;
    cluster.nodes[1].wait_ready()?;
    stands(2)?;
    api.listen(true)?;
    wait("the agents to have it back", WAIT, || {
        Ok(!problems(&cluster.nodes[0])?.contains("API server does not answer"))
    })?;

    // Expired watches, lists that break off after one Node of three, errors.
    api.fault(&Fault::new(Effect::Partial { items: 1 }).verb("list").resource("nodes").times(6))?;
    api.fault(&Fault::new(Effect::Status { code: 503, retry_after: None }).times(9))?;
    api.fault(&Fault::new(Effect::Gone).verb("watch").times(9))?;
    api.forget_history()?;
    stands(3)?;

    // A watch that is half open: what happens meanwhile is learned all the same.
    api.clear_faults()?;
    api.fault(&Fault::new(Effect::Silent).verb("watch").resource("nodes").times(3))?;
    api.apply(&node_object(4))?;
    api.clear_faults()?;
    wait("the agents to learn of node-d", WAIT, || {
        let known = |node: &Node| Ok(sessions(node)?.iter().any(|(name, ..)| name == "node-d"));
        let all: Result<Vec<bool>> = cluster.nodes[..3].iter().map(known).collect();
        Ok(all?.into_iter().all(|known| known))
    })?;
    stands(1)?;
    // The one that was killed was away twice for each of the others: it fell, and it came again.
    let flaps = sessions(&cluster.nodes[0])?;
    assert!(flaps.iter().all(|(name, _, flaps)| name == "node-b" || *flaps == 0), "{flaps:?}");
    let report = traffic.stop()?;
    println!("{report}");
    assert_eq!(report.lost(), 0, "{report}");
    cluster.lab.passed()
}

/// As the DaemonSet's rolling update does: each agent once the one before is ready.
#[test]
fn a_rolling_update_loses_no_packet() -> Result<()> {
    skip_unless!(lab, kubectl);
    let cluster = KubeCluster::start(Server::StandIn, "kube-rolling", 3, 3)?;
    let traffic = Traffic::start(&cluster.endpoints(), 100)?;
    for node in &cluster.nodes {
        node.terminate()?;
        node.start()?;
        cluster.wait_mesh(3)?;
    }
    hold("every route", Duration::from_secs(2), || routes_stand(&cluster))?;
    let report = traffic.stop()?;
    println!("{report}");
    assert_eq!(report.lost(), 0, "{report}");
    cluster.lab.passed()
}

/// Each scenario against the stand-in, and against a real API server where there is one.
mod against {
    macro_rules! against {
        ($server:ident, $part:ident, $name:ident: $($scenario:ident),+) => {
            mod $name {
                $(#[test]
                fn $scenario() -> anyhow::Result<()> {
                    twill_tests::skip_unless!(lab, kubectl, $part);
                    crate::$scenario(twill_tests::kube::Server::$server)
                })+
            }
        };
    }
    against!(StandIn, lab, the_stand_in:
        a_mesh_of_nodes_carries_packets_within_the_rights_of_the_daemon_set,
        agents_tell_how_they_do_and_use_every_right_that_they_have,
        a_node_comes_moves_and_goes_within_a_second_and_nobody_else_notices,
        what_a_node_claims_of_another_is_refused_and_said);
    against!(Real, apiserver, a_real_api_server:
        a_mesh_of_nodes_carries_packets_within_the_rights_of_the_daemon_set,
        agents_tell_how_they_do_and_use_every_right_that_they_have,
        a_node_comes_moves_and_goes_within_a_second_and_nobody_else_notices,
        what_a_node_claims_of_another_is_refused_and_said);
}
