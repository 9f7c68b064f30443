//! A large cluster's objects, as heavy as real ones.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

/// Images that a kubelet lists by default, which make up most of a Node.
const IMAGES: usize = 50;
/// The reflector, beside the agent's own node 0.
pub(super) const REFLECTOR: usize = 1;

/// Of node `number`, within 10.0.0.0/16.
pub(super) fn address(number: usize) -> Ipv4Addr {
    let [_, _, high, low] = octets(256 + number);
    Ipv4Addr::new(10, 0, high, low)
}

/// Of node `number`, a /24 from 10.128.0.0 up.
pub(super) fn pod_cidr(number: usize) -> String {
    let [_, _, high, low] = octets(number);
    format!("10.{}.{low}.0/24", 128 + u32::from(high))
}

fn octets(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes()
}

/// The Node's name; each replacement of a node has another.
pub(super) fn name(number: usize, generation: usize) -> String {
    format!("node-{number}-{generation}")
}

/// A Node of about ten kilobytes.
pub(super) fn node(number: usize, generation: usize) -> Value {
    let name = name(number, generation);
    let images: Vec<Value> = (0..IMAGES)
        .map(|image| {
            json!({"names": [format!("registry.example/team-{image}/service-{image}@sha256:{image:064x}"),
                             format!("registry.example/team-{image}/service-{image}:v1.{image}")],
                   "sizeBytes": 100_000_000 + image})
        })
        .collect();
    let condition = |kind: &str| {
        json!({"type": kind, "status": "False", "lastHeartbeatTime": "2026-01-01T00:00:00Z",
               "lastTransitionTime": "2026-01-01T00:00:00Z", "reason": format!("Kubelet{kind}"),
               "message": format!("kubelet has sufficient resources for {kind}")})
    };
    let conditions = ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"].map(condition);
    let mut annotations = json!({"node.alpha.kubernetes.io/ttl": "0",
                                 "volumes.kubernetes.io/controller-managed-attach-detach": "true"});
    if number == REFLECTOR {
        annotations["twill.dev/rr.server"] = "1.1.1.1".into();
    }
    let zone = format!("zone-{}", number % 3);
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "annotations": annotations, "labels": {
            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64", "topology.kubernetes.io/zone": zone,
            "node.kubernetes.io/instance-type": "large", "pool": format!("pool-{}", number % 20)}},
        "spec": {"podCIDR": pod_cidr(number), "podCIDRs": [pod_cidr(number)],
                 "providerID": format!("example:///{zone}/{name}")},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address(number).to_string()},
                          {"type": "Hostname", "address": name}],
            "capacity": {"cpu": "16", "memory": "64Gi", "pods": "110"},
            "allocatable": {"cpu": "15", "memory": "60Gi", "pods": "110"},
            "conditions": conditions, "images": images,
            "nodeInfo": {"kernelVersion": "6.12.0", "osImage": "Linux", "architecture": "amd64",
                         "containerRuntimeVersion": "containerd://2.1.0",
                         "kubeletVersion": "v1.34.0", "machineID": name, "bootID": name,
                         "systemUUID": name, "operatingSystem": "linux",
                         "kubeProxyVersion": "v1.34.0"},
        },
    })
}

/// A Service and its one EndpointSlice.
pub(super) fn service(number: usize) -> [Value; 2] {
    let name = format!("service-{number}");
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80}]},
    });
    let endpoints: Vec<Value> = (0..3)
        .map(|endpoint| {
            let [_, _, high, low] = octets(number);
            json!({"addresses": [format!("10.{}.{low}.{}", 128 + u32::from(high % 16), 2 + endpoint)],
                   "conditions": {"ready": true, "serving": true, "terminating": false},
                   "nodeName": format!("node-{}-0", number % 1000)})
        })
        .collect();
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": format!("{name}-abcde"), "namespace": "default",
                     "labels": {"kubernetes.io/service-name": name}},
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}], "endpoints": endpoints,
    });
    [service, slice]
}
