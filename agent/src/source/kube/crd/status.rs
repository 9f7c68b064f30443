//! `BGPNodeStatus`: how a node does, written by its agent.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// How the node of the same name does; written by its agent, and gone with its Node.
#[derive(Debug, Clone, Default, Serialize, Deserialize, CustomResource, JsonSchema)]
#[kube(
    group = "twill.dev",
    version = "v1alpha1",
    kind = "BGPNodeStatus",
    plural = "bgpnodestatuses",
    shortname = "bgpns",
    category = "twill",
    status = "BGPNodeStatusStatus",
    doc = "How the node of the same name does; written by its agent",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "ASN", type_ = "integer", json_path = ".status.asn"),
    printcolumn(name = "Sessions", type_ = "integer", json_path = ".status.peers.established"),
    printcolumn(name = "Of", type_ = "integer", json_path = ".status.peers.configured"),
    printcolumn(name = "Routes", type_ = "integer", json_path = ".status.routes.installed"),
    printcolumn(name = "Missing", type_ = "integer", json_path = ".status.routes.missing"),
    printcolumn(
        name = "Refused",
        type_ = "integer",
        json_path = ".status.routes.rejected",
        priority = 1
    ),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
pub struct BGPNodeStatusSpec {}

/// How a node does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BGPNodeStatusStatus {
    /// Its AS.
    #[schemars(schema_with = "schema::asn")]
    pub asn: u32,
    /// Its BGP identifier.
    pub router_id: String,
    /// Of its agent.
    pub version: String,
    /// Sessions, counted.
    pub peers: SessionCounts,
    /// Those with outside routers, and those that are down; the first hundred.
    #[serde(default)]
    pub sessions: Vec<Session>,
    /// Routes, counted.
    pub routes: RouteCounts,
    /// What is wrong, worst first; the first ten.
    #[serde(default)]
    pub problems: Vec<String>,
    /// Ready, SessionsEstablished, RoutesInstalled.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

/// Sessions, counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionCounts {
    /// That there should be.
    pub configured: u32,
    /// That are established.
    pub established: u32,
}

/// One session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Of the peer.
    pub name: String,
    /// Of the peer.
    pub address: String,
    /// Of the peer.
    #[schemars(schema_with = "schema::asn")]
    pub asn: u32,
    /// mesh or external.
    pub kind: String,
    /// As RFC 4271 calls it.
    pub state: String,
    /// Why it is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Routes, counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RouteCounts {
    /// That should be in the kernel.
    pub expected: u32,
    /// That are.
    pub installed: u32,
    /// That are not.
    pub missing: u32,
    /// That should not be.
    pub unexpected: u32,
    /// Of the agent's run before.
    pub stale: u32,
    /// That policy refused.
    pub rejected: u32,
}

/// A condition, as everywhere in Kubernetes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: String,
    /// True, False, Unknown.
    pub status: String,
    /// As one word.
    pub reason: String,
    /// In words.
    pub message: String,
    /// When `status` changed last.
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,
}
