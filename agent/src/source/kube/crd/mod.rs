//! Our own resources as types: what `twill crds` prints the definitions of.
//!
//! The API server checks shapes, ranges and forms before anybody sees an object; what a schema
//! cannot say (overlaps, clashes, what is built) the agent checks with the readers of the
//! configuration file. A test holds the two against each other, key by key.

#![allow(clippy::duplicated_attributes, reason = "columns of a table are alike")]

mod configuration;
mod peer;
mod schema;
mod status;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub use configuration::{
    BGPConfiguration, BGPConfigurationSpec, DataplaneSpec, MeshSpec, Mode, ReflectorSpec,
    ServiceKind, ServicesSpec,
};
pub use peer::{BGPPeer, BGPPeerSpec, ExportSpec, ImportSpec, Otherwise, RuleSpec, SecretKeySpec};
pub use status::{
    BGPNodeStatus, BGPNodeStatusSpec, BGPNodeStatusStatus, Condition, RouteCounts, Session,
    SessionCounts,
};

/// All definitions.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![BGPConfiguration::crd(), BGPPeer::crd(), BGPNodeStatus::crd()]
}

/// All definitions as YAML, each a document of its own.
///
/// # Panics
/// Never: the definitions are made of strings, numbers, lists and maps.
pub fn yaml() -> String {
    let document = |definition: &CustomResourceDefinition| {
        let yaml = serde_saphyr::to_string(definition).expect("plain values can be written");
        format!("---\n{}\n", yaml.trim_end())
    };
    all().iter().map(document).collect()
}

#[cfg(test)]
mod page;
#[cfg(test)]
mod tests;
