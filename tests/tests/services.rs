//! Resources that make peers, keys and announcements: an outside router learns where Services are,
//! and its packets reach their pods.
//!
//! ```text
//! lan ── node-a 10.0.0.1 ── two pods
//!     ── node-b 10.0.0.2 ── two pods, one of them the Service's
//!     ── tor    10.0.0.254 ── FRR, a BGPPeer of the nodes labelled `edge`
//!     ── api    10.0.0.200
//! ```

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use twill_tests::kube::{KubeCluster, NAMESPACE, Server, has_routes};
use twill_tests::lab::{WAIT, wait};
use twill_tests::router::Frr;
use twill_tests::skip_unless;

/// Addresses of the Service, by kind.
const CLUSTER: &str = "10.96.0.77";
const EXTERNAL: &str = "198.51.100.11";
const BALANCER: &str = "198.51.100.10";

fn frr_config(password: &str) -> String {
    let neighbors = ["10.0.0.1", "10.0.0.2"].map(|node| {
        format!(
            " neighbor {node} remote-as 64512\n neighbor {node} password {password}\n \
             neighbor {node} timers connect 1\n"
        )
    });
    format!(
        "router bgp 65000\n bgp router-id 10.0.0.254\n no bgp ebgp-requires-policy\n{}",
        neighbors.concat()
    )
}

fn secret(password: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"password": password},
           "metadata": {"name": "tor", "namespace": NAMESPACE}})
}

fn service(policy: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"type": "LoadBalancer", "clusterIP": CLUSTER, "externalIPs": [EXTERNAL],
                 "externalTrafficPolicy": policy,
                 "ports": [{"name": "web", "port": 80, "protocol": "TCP"}]}})
}

/// One endpoint, on node-b.
fn endpoints(address: &str, ready: bool) -> Value {
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "web-1", "namespace": "default",
                     "labels": {"kubernetes.io/service-name": "web"}},
        "ports": [{"name": "web", "port": 80, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "nodeName": "node-b",
                       "conditions": {"ready": ready, "serving": true, "terminating": !ready}}]})
}

/// The next hops by which the router knows a prefix, in order.
fn next_hops(frr: &Frr, prefix: &str) -> Result<Vec<String>> {
    let text = frr.vtysh(&format!("show bgp ipv4 unicast {prefix} json"))?;
    let table: Value = serde_json::from_str(&text).unwrap_or_default();
    let paths = table["paths"].as_array().cloned().unwrap_or_default();
    let hops = paths.iter().filter_map(|path| path["nexthops"][0]["ip"].as_str());
    let mut hops: Vec<String> = hops.map(str::to_owned).collect();
    hops.sort();
    Ok(hops)
}

fn wait_hops(frr: &Frr, prefix: &str, expected: &[&str]) -> Result<()> {
    wait(format_args!("the router to know {prefix} by {expected:?}"), WAIT, || {
        Ok(next_hops(frr, prefix)? == expected)
    })
    .map(drop)
}

/// A peer of some nodes by a label, its password by a Secret that changes, what it is told of by
/// Services and their endpoints.
fn routers_learn_where_services_are(server: Server) -> Result<()> {
    let cluster = KubeCluster::start(server, "kube-services", 2, 2)?;
    let host = cluster.lab.host("tor")?;
    cluster.lab.plug(&host, "eth0", &cluster.lan, &["10.0.0.254/24"])?;
    let frr = Frr::start(host.clone(), &frr_config("first"))?;
    let api = &cluster.api;

    api.apply(&secret("first"))?;
    api.kubectl(&["label", "node", "node-a", "edge=yes"], "")?;
    let peer = |address: &str| {
        json!({"apiVersion": "twill.dev/v1alpha1", "kind": "BGPPeer", "metadata": {"name": "tor"},
            "spec": {"nodeSelector": {"matchLabels": {"edge": "yes"}},
                     "address": address, "asn": 65000, "passwordSecretRef": {"name": "tor"},
                     "export": {"prefixes":
                        ["podCIDRs", "clusterIPs", "externalIPs", "loadBalancerIPs"]}}})
    };
    for mistyped in ["10.0.0", "10.0.0.256", "tor"] {
        let refused = api.apply(&peer(mistyped)).err().context("it was taken")?.to_string();
        ensure!(refused.contains("spec.address"), "{mistyped}: {refused}");
    }
    api.apply(&peer("10.0.0.254"))?;
    cluster.nodes[0].wait_peer("tor", "Established")?;
    wait_hops(&frr, "10.244.1.0/24", &["10.0.0.1"])?;
    ensure!(cluster.nodes[1].peer("tor").is_err(), "node-b has no such label");
    api.kubectl(&["label", "node", "node-b", "edge=yes"], "")?;
    cluster.nodes[1].wait_peer("tor", "Established")?;
    wait_hops(&frr, "10.244.2.0/24", &["10.0.0.2"])?;

    services(&cluster, &frr)?;
    rotation(&cluster, &frr)?;
    cluster.lab.passed()
}

fn services(cluster: &KubeCluster, frr: &Frr) -> Result<()> {
    let api = &cluster.api;
    let pod = cluster.pods.iter().find(|pod| pod.name() == "pod-1-node-b").context("no pod")?;
    let address = pod.addresses().into_iter().find(std::net::IpAddr::is_ipv4).context("no IPv4")?;
    // What kube-proxy would do, on the node that has the endpoint.
    let translate = format!(
        "table ip service {{ chain in {{ type nat hook prerouting priority dstnat; \
         ip daddr {{ {CLUSTER}, {EXTERNAL}, {BALANCER} }} dnat to {address}\n}}\n}}\n"
    );
    cluster.nodes[1].host().run_with_input(&["nft", "-f", "-"], &translate)?;

    api.apply(&json!({"apiVersion": "twill.dev/v1alpha1", "kind": "BGPConfiguration",
        "metadata": {"name": "default"},
        "spec": {"services": {"announce": ["clusterIPs", "externalIPs", "loadBalancerIPs"]}}}))?;
    api.apply(&service("Cluster"))?;
    api.apply(&endpoints(&address.to_string(), true))?;
    let ingress = json!({"status": {"loadBalancer": {"ingress": [{"ip": BALANCER}]}}}).to_string();
    let patch = ["patch", "service", "web", "-n", "default", "--subresource=status"];
    api.kubectl(&[&patch[..], &["--type=merge", "-p", &ingress]].concat(), "")?;
    for address in [CLUSTER, EXTERNAL, BALANCER] {
        wait_hops(frr, &format!("{address}/32"), &["10.0.0.1", "10.0.0.2"])?;
    }

    // Local: only where the endpoint is. ClusterIPs have a policy of their own.
    api.apply(&service("Local"))?;
    for address in [EXTERNAL, BALANCER] {
        wait_hops(frr, &format!("{address}/32"), &["10.0.0.2"])?;
        frr.wait_route(&format!("{address}/32"))?;
        frr.host().run(&["ping", "-c", "1", "-W", "2", address])?;
    }
    wait_hops(frr, &format!("{CLUSTER}/32"), &["10.0.0.1", "10.0.0.2"])?;

    // A second endpoint elsewhere is ready, so the one here is withdrawn while it still serves.
    let mut both = endpoints(&address.to_string(), false);
    let other = json!({"addresses": ["10.244.1.9"], "nodeName": "node-a",
                       "conditions": {"ready": true, "serving": true, "terminating": false}});
    both["endpoints"].as_array_mut().context("no list")?.push(other);
    api.apply(&both)?;
    wait_hops(frr, &format!("{BALANCER}/32"), &["10.0.0.1"])?;
    pod.run(&["ip", "-br", "addr"])?;

    // None is left; then the Service goes.
    both["endpoints"] = json!([]);
    api.apply(&both)?;
    wait_hops(frr, &format!("{BALANCER}/32"), &[])?;
    api.kubectl(&["delete", "service", "web", "-n", "default"], "")?;
    wait_hops(frr, &format!("{CLUSTER}/32"), &[])
}

/// The router's operator and the Secret change the password; one session bounces, and only that.
fn rotation(cluster: &KubeCluster, frr: &Frr) -> Result<()> {
    let node = &cluster.nodes[0];
    let flaps = |name: &str| -> Result<Value> { Ok(node.peer(name)?["flaps"].clone()) };
    let mesh = flaps("node-b")?;
    cluster.api.apply(&secret("second"))?;
    for node in ["10.0.0.1", "10.0.0.2"] {
        frr.configure(&["router bgp 65000", &format!("neighbor {node} password second")])?;
    }
    wait("the sessions to come back with the new password", WAIT, || {
        Ok(flaps("tor")? != 0 && node.peer("tor")?["state"] == "Established")
    })?;
    wait_hops(frr, "10.244.1.0/24", &["10.0.0.1"])?;
    wait_hops(frr, "10.244.2.0/24", &["10.0.0.2"])?;
    ensure!(flaps("node-b")? == mesh, "the mesh has a password of its own");
    ensure!(has_routes(node, 2)?);
    Ok(())
}

#[test]
fn routers_learn_where_services_are_from_the_stand_in() -> Result<()> {
    skip_unless!(lab, kubectl, frr);
    routers_learn_where_services_are(Server::StandIn)
}

#[test]
fn routers_learn_where_services_are_from_a_real_api_server() -> Result<()> {
    skip_unless!(lab, kubectl, frr, apiserver);
    routers_learn_where_services_are(Server::Real)
}
