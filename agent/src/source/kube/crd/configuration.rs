//! `BGPConfiguration`: the cluster's settings.

#![allow(unreachable_pub, reason = "the derive repeats the type within a function")]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::peer::SecretKeySpec;
use super::schema;

/// Settings of the whole cluster; the one named `default` counts.
#[derive(Debug, Clone, Default, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "twill.dev",
    version = "v1alpha1",
    kind = "BGPConfiguration",
    plural = "bgpconfigurations",
    shortname = "bgpconf",
    category = "twill",
    doc = "Settings of the whole cluster; the one named default counts",
    validation = Rule::new("self.metadata.name == 'default'")
        .message("only the BGPConfiguration named default counts"),
    printcolumn(name = "ASN", type_ = "integer", json_path = ".spec.asn"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mesh.mode"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct BGPConfigurationSpec {
    /// AS of every node that names none of its own. Default 64512.
    #[serde(default)]
    #[schemars(schema_with = "schema::optional_asn")]
    pub asn: Option<u32>,
    /// How nodes peer with each other.
    #[serde(default)]
    pub mesh: Option<MeshSpec>,
    /// The host's part.
    #[serde(default)]
    pub dataplane: Option<DataplaneSpec>,
    /// Which addresses of Services are announced, to peers whose export names them.
    #[serde(default)]
    pub services: Option<ServicesSpec>,
    /// Further prefixes that every node announces.
    #[serde(default)]
    #[schemars(schema_with = "schema::ranges")]
    pub announce: Vec<String>,
}

/// Which addresses of Services are announced; annotations of a Service say otherwise.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServicesSpec {
    /// Of these kinds. Default none.
    #[serde(default)]
    #[schemars(length(max = 3))]
    pub announce: Vec<ServiceKind>,
    /// Of the Services with these labels. Default all.
    #[serde(default)]
    #[schemars(schema_with = "schema::selector")]
    pub selector: Option<serde_json::Value>,
    /// Of load balancers only those of this class. Default any.
    #[serde(default)]
    #[schemars(length(min = 1, max = 253))]
    pub load_balancer_class: Option<String>,
}

/// Kinds of addresses.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "they say it")]
pub enum ServiceKind {
    #[serde(rename = "clusterIPs")]
    ClusterIPs,
    #[serde(rename = "externalIPs")]
    ExternalIPs,
    #[serde(rename = "loadBalancerIPs")]
    LoadBalancerIPs,
}

/// How nodes peer with each other.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeshSpec {
    /// Every node with every other (full), clients with reflectors (reflector), nobody (none).
    /// Left out, annotations decide: reflector where a node of the AS is one, else full.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// TCP MD5: a key of a Secret of the agent's namespace.
    #[serde(default)]
    pub password_secret_ref: Option<SecretKeySpec>,
    /// Proposed hold time: 0s, or 3s and more. Default 90s.
    #[serde(default)]
    #[schemars(schema_with = "schema::duration")]
    pub hold_time: Option<String>,
    /// GTSM between nodes: auto, none, or the least TTL accepted. Default auto.
    #[serde(default)]
    #[schemars(schema_with = "schema::word_or_number")]
    pub gtsm: Option<serde_json::Value>,
    /// How long the others keep a node's routes while its agent is away. Default 120s.
    #[serde(default)]
    #[schemars(schema_with = "schema::duration")]
    pub restart_time: Option<String>,
    /// How long a node that restarted waits for its peers before it sweeps what they did not
    /// confirm. Default 120s.
    #[serde(default)]
    #[schemars(schema_with = "schema::duration")]
    pub deferral_time: Option<String>,
    /// What nodes may pass on from outside routers that are marked mesh: true.
    #[serde(default)]
    #[schemars(schema_with = "schema::ranges")]
    pub transit: Vec<String>,
    /// Which nodes are reflectors; the first that matches counts. Left out, the annotation
    /// rr.server says it.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub reflectors: Option<Vec<ReflectorSpec>>,
}

/// Who peers with whom.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "described where it is used")]
pub enum Mode {
    Full,
    Reflector,
    None,
}

/// Nodes that are reflectors of one cluster.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReflectorSpec {
    /// Which nodes.
    #[schemars(schema_with = "schema::selector")]
    pub node_selector: serde_json::Value,
    /// Their cluster id (RFC 4456), as 1.1.1.1.
    #[schemars(schema_with = "schema::dotted")]
    pub cluster_id: String,
}

/// The host's part.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataplaneSpec {
    /// Whether kernel routes are touched at all. Default true.
    #[serde(default)]
    pub install: Option<bool>,
    /// The bridge that pods hang on. Default twill0.
    #[serde(default)]
    #[schemars(length(min = 1, max = 15))]
    pub bridge: Option<String>,
    /// Proxy ARP and NDP towards pods: pods, none; lan and both are not built yet. Default pods.
    #[serde(default)]
    pub proxy_arp: Option<String>,
    /// never; cross-subnet and always are not built yet. Default never.
    #[serde(default)]
    pub overlay: Option<String>,
    /// Whether pods leave the cluster under their node's address. Default true.
    #[serde(default)]
    pub masquerade: Option<bool>,
    /// Destinations where they keep their own.
    #[serde(default)]
    #[schemars(schema_with = "schema::ranges")]
    pub masquerade_exempt: Vec<String>,
    /// auto, or octets from 1280 on. Default auto.
    #[serde(default)]
    #[schemars(schema_with = "schema::word_or_number")]
    pub mtu: Option<serde_json::Value>,
    /// main, default, or a number. Default main.
    #[serde(default)]
    #[schemars(schema_with = "schema::word_or_number")]
    pub table: Option<serde_json::Value>,
    /// Metric of our routes. Default 116.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub metric: Option<u32>,
    /// Protocol number of our routes, ours alone. Default 116.
    #[serde(default)]
    #[schemars(range(min = 1, max = 255))]
    pub route_protocol: Option<u32>,
}
