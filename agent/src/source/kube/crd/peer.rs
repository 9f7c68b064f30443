//! `BGPPeer`: a router outside the mesh.

#![allow(unreachable_pub, reason = "the derive repeats the type within a function")]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// A router outside the mesh, and the nodes that peer with it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "twill.dev",
    version = "v1alpha1",
    kind = "BGPPeer",
    plural = "bgppeers",
    shortname = "bgpp",
    category = "twill",
    doc = "A router outside the mesh, and the nodes that peer with it",
    printcolumn(name = "Address", type_ = "string", json_path = ".spec.address"),
    printcolumn(name = "ASN", type_ = "integer", json_path = ".spec.asn"),
    printcolumn(name = "Mesh", type_ = "boolean", json_path = ".spec.mesh", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.multihop) && has(self.gtsm))")
    .message("gtsm and multihop exclude each other"))]
#[x_kube(validation = Rule::new("self.asn != 23456 && self.asn != 65535")
    .message("this AS number is reserved"))]
pub struct BGPPeerSpec {
    /// Which nodes peer with it; left out, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::selector")]
    pub node_selector: Option<serde_json::Value>,
    /// Its address.
    #[schemars(schema_with = "schema::address")]
    pub address: String,
    /// Its AS.
    #[schemars(schema_with = "schema::asn")]
    pub asn: u32,
    /// Its port. Default 179.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u32>,
    /// TCP MD5: a key of a Secret of the agent's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<SecretKeySpec>,
    /// It dials, the nodes do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passive: Option<bool>,
    /// TTL of what is sent. Default 1; to a peer of the same AS 255.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 255))]
    pub multihop: Option<u32>,
    /// The least TTL accepted (RFC 5082).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 255))]
    pub gtsm: Option<u32>,
    /// What it announces may be passed on into the mesh, within mesh.transit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mesh: Option<bool>,
    /// Proposed hold time: 0s, or 3s and more. Default 90s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub hold_time: Option<String>,
    /// Default both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::families")]
    pub families: Option<Vec<String>>,
    /// What it is dialled from. Default as the kernel chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::optional_address")]
    pub local_address: Option<String>,
    /// Our AS towards a peer of another AS (RFC 7705). Default the node's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::optional_asn")]
    pub local_asn: Option<u32>,
    /// What we are to a peer of another AS (RFC 9234).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^(provider|customer|peer|rs-server|rs-client)$"))]
    pub role: Option<String>,
    /// No session where it does not say its own role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_strict: Option<bool>,
    /// Paths of a peer of another AS must begin with its AS. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforce_first_as: Option<bool>,
    /// Its routes with the community graceful-shutdown are the last choice. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub honor_graceful_shutdown: Option<bool>,
    /// The wait between attempts at first. Default 5s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub connect_retry: Option<String>,
    /// The longest wait between attempts. Default 120s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub connect_retry_max: Option<String>,
    /// How long it may read nothing (RFC 9687). Default 8m, or twice the hold time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub send_hold_time: Option<String>,
    /// IPv4 routes by IPv6 next hops, where it offers them too (RFC 8950).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended_next_hop: Option<bool>,
    /// A NOTIFICATION does not end forwarding, where it offers that too (RFC 8538).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graceful_notification: Option<bool>,
    /// Keeps the session down; the text is for the peer's operator (RFC 9003).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub shutdown: Option<String>,
    /// What it may send; without a policy nothing (RFC 8212).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<ImportSpec>,
    /// What it is sent; without a policy nothing (RFC 8212).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export: Option<ExportSpec>,
}

/// A key of a Secret of the agent's namespace.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct SecretKeySpec {
    /// The Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its key. Default password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
}

/// Where nothing matches.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "they say it")]
pub enum Otherwise {
    Accept,
    Reject,
}

/// What an outside router may send.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportSpec {
    /// Where nothing matches. Default reject.
    #[serde(default)]
    pub default: Option<Otherwise>,
    /// What is accepted, as 192.0.2.0/24 le 32.
    #[serde(default)]
    #[schemars(schema_with = "schema::ranges")]
    pub prefixes: Vec<String>,
    /// The session ends where there are more.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_prefixes: Option<u32>,
    /// A percentage of it, from which on it is told that the limit is near.
    #[serde(default)]
    #[schemars(schema_with = "schema::word_or_number")]
    pub max_prefixes_warning: Option<serde_json::Value>,
    /// The session is tried again after this time. Default when it is reset.
    #[serde(default)]
    #[schemars(schema_with = "schema::duration")]
    pub max_prefixes_restart: Option<String>,
    /// In order, before all of this.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub rules: Vec<RuleSpec>,
}

/// What an outside router is sent.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportSpec {
    /// Where nothing matches. Default reject.
    #[serde(default)]
    pub default: Option<Otherwise>,
    /// What is sent: prefixes; podCIDRs for the node's own; clusterIPs, externalIPs and
    /// loadBalancerIPs for the addresses of Services that it announces.
    #[serde(default)]
    #[schemars(schema_with = "schema::ranges")]
    pub prefixes: Vec<String>,
    /// Added.
    #[serde(default)]
    #[schemars(schema_with = "schema::communities")]
    pub communities: Vec<String>,
    /// Our AS in front this many times more.
    #[serde(default)]
    #[schemars(range(max = 255))]
    pub prepend: Option<u32>,
    /// MED.
    #[serde(default)]
    pub med: Option<u32>,
    /// In order, before all of this.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub rules: Vec<RuleSpec>,
}

/// One rule of a policy; its `match` and `set` are those of the configuration file.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct RuleSpec {
    /// Shown beside a route that it refused.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// All of it must hold.
    #[serde(default)]
    #[schemars(schema_with = "schema::open")]
    pub r#match: Option<serde_json::Value>,
    /// What changes.
    #[serde(default)]
    #[schemars(schema_with = "schema::open")]
    pub set: Option<serde_json::Value>,
    /// accept, reject or continue.
    #[schemars(regex(pattern = "^(accept|reject|continue)$"))]
    pub action: String,
}
