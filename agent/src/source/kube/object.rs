//! The API server's objects as far as they are used: what is not named here is not decoded.
//!
//! Nodes weigh ten kilobytes and more, most of it images and managed fields, and there may be
//! thousands of them. Custom resources keep their `spec` as it came, so that one that is wrong
//! in its shape is a fault of that one and not of the whole list.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::Resource;
use serde::{Deserialize, Deserializer, Serialize};

/// Group of our resources.
pub const GROUP: &str = "twill.dev";
/// Version of our resources.
pub const VERSION: &str = "v1alpha1";

/// The metadata that counts; managed fields, often half of an object, are passed over.
fn slim<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Slim {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        creation_timestamp: Option<Time>,
        #[serde(default)]
        labels: Option<BTreeMap<String, String>>,
        #[serde(default)]
        annotations: Option<BTreeMap<String, String>>,
    }
    let slim = Slim::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: slim.name,
        namespace: slim.namespace,
        uid: slim.uid,
        resource_version: slim.resource_version,
        creation_timestamp: slim.creation_timestamp,
        labels: slim.labels,
        annotations: slim.annotations,
        ..ObjectMeta::default()
    })
}

/// Says of a type which resource of the API server it decodes.
macro_rules! resource {
    ($type:ident, $scope:ty, $group:expr, $version:expr, $kind:literal, $plural:literal) => {
        impl Resource for $type {
            type DynamicType = ();
            type Scope = $scope;

            fn kind((): &()) -> Cow<'_, str> {
                $kind.into()
            }

            fn group((): &()) -> Cow<'_, str> {
                $group.into()
            }

            fn version((): &()) -> Cow<'_, str> {
                $version.into()
            }

            fn plural((): &()) -> Cow<'_, str> {
                $plural.into()
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

/// A Node.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Node {
    #[allow(missing_docs, reason = "the same in every object")]
    #[serde(deserialize_with = "slim")]
    pub metadata: ObjectMeta,
    /// What was decided for it.
    #[serde(default)]
    pub spec: NodeSpec,
    /// What its kubelet says.
    #[serde(default)]
    pub status: NodeStatus,
}
resource!(Node, ClusterResourceScope, "", "v1", "Node", "nodes");

/// What was decided for a Node.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeSpec {
    /// The first pod CIDR; where `podCIDRs` is there, it says the same.
    #[serde(rename = "podCIDR")]
    pub pod_cidr: Option<String>,
    /// At most one of each family.
    #[serde(rename = "podCIDRs", default)]
    pub pod_cidrs: Vec<String>,
}

/// What a kubelet says of its Node.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct NodeStatus {
    /// In the kubelet's order.
    #[serde(default)]
    pub addresses: Vec<NodeAddress>,
    /// Only this node's own are ever read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<NodeCondition>,
}

/// One address of a Node.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct NodeAddress {
    /// `InternalIP`, `ExternalIP`, `Hostname`...
    #[serde(rename = "type")]
    pub kind: String,
    /// The address, or a name.
    pub address: String,
}

/// One condition of a Node.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct NodeCondition {
    /// `NetworkUnavailable`, `Ready`...
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False`, `Unknown`.
    pub status: String,
    /// Why, as one word.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A resource of ours, with its `spec` as it came.
macro_rules! custom {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $plural:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, Serialize, Deserialize)]
        pub struct $type {
            #[allow(missing_docs, reason = "the same in every object")]
            #[serde(deserialize_with = "slim")]
            pub metadata: ObjectMeta,
            /// Checked by whoever reads it.
            #[serde(default)]
            pub spec: serde_json::Value,
        }
        resource!($type, ClusterResourceScope, GROUP, VERSION, $kind, $plural);
    };
}

custom!(
    /// A `BGPConfiguration`.
    Configuration, "BGPConfiguration", "bgpconfigurations"
);
custom!(
    /// A `BGPPeer`.
    Peer, "BGPPeer", "bgppeers"
);

/// A Secret.
#[derive(Clone, Default, Deserialize)]
pub struct Secret {
    #[allow(missing_docs, reason = "the same in every object")]
    #[serde(deserialize_with = "slim")]
    pub metadata: ObjectMeta,
    /// By key, in base64.
    #[serde(default)]
    pub data: Option<BTreeMap<String, k8s_openapi::ByteString>>,
}
resource!(Secret, NamespaceResourceScope, "", "v1", "Secret", "secrets");

/// Without what it holds.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("name", &self.metadata.name).finish_non_exhaustive()
    }
}

/// A Service.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Service {
    #[allow(missing_docs, reason = "the same in every object")]
    #[serde(deserialize_with = "slim")]
    pub metadata: ObjectMeta,
    /// What is wanted.
    #[serde(default)]
    pub spec: ServiceSpec,
    /// What it has.
    #[serde(default)]
    pub status: ServiceStatus,
}
resource!(Service, NamespaceResourceScope, "", "v1", "Service", "services");

/// What is wanted of a Service.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "as in the API")]
pub struct ServiceSpec {
    #[serde(rename = "clusterIP")]
    pub cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs", default)]
    pub cluster_ips: Vec<String>,
    #[serde(rename = "externalIPs", default)]
    pub external_ips: Vec<String>,
    pub load_balancer_class: Option<String>,
    pub external_traffic_policy: Option<String>,
    pub internal_traffic_policy: Option<String>,
}

/// What a Service has.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "as in the API")]
pub struct ServiceStatus {
    #[serde(default)]
    pub load_balancer: LoadBalancer,
}

/// A Service's load balancer.
#[derive(Debug, Clone, Default, Deserialize)]
#[allow(missing_docs, reason = "as in the API")]
pub struct LoadBalancer {
    #[serde(default)]
    pub ingress: Vec<Ingress>,
}

/// One way in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "as in the API")]
pub struct Ingress {
    pub ip: Option<String>,
    pub ip_mode: Option<String>,
}

/// An EndpointSlice.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct EndpointSlice {
    #[allow(missing_docs, reason = "the same in every object")]
    #[serde(deserialize_with = "slim")]
    pub metadata: ObjectMeta,
    /// Some of a Service's endpoints.
    #[serde(default, deserialize_with = "or_none")]
    pub endpoints: Vec<Endpoint>,
}
resource!(
    EndpointSlice,
    NamespaceResourceScope,
    "discovery.k8s.io",
    "v1",
    "EndpointSlice",
    "endpointslices"
);

/// A slice without endpoints may say `null`.
fn or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Endpoint>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// One endpoint.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "as in the API")]
pub struct Endpoint {
    #[serde(default)]
    pub conditions: EndpointConditions,
    pub node_name: Option<String>,
}

/// How an endpoint does.
#[derive(Debug, Clone, Default, Deserialize)]
#[allow(missing_docs, reason = "as in the API")]
pub struct EndpointConditions {
    pub ready: Option<bool>,
    pub serving: Option<bool>,
}
