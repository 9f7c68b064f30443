//! Objects for tests.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::node::{self, NodeFacts};
use super::object;

/// A Node with InternalIPs and pod CIDRs.
pub(crate) fn node(name: &str, addresses: &[&str], pod_cidrs: &[&str]) -> object::Node {
    object::Node {
        metadata: metadata(name),
        spec: object::NodeSpec {
            pod_cidr: None,
            pod_cidrs: pod_cidrs.iter().map(|cidr| (*cidr).to_owned()).collect(),
        },
        status: object::NodeStatus {
            addresses: addresses
                .iter()
                .map(|address| object::NodeAddress {
                    kind: "InternalIP".to_owned(),
                    address: (*address).to_owned(),
                })
                .collect(),
            conditions: Vec::new(),
        },
    }
}

/// What identifies an object.
pub(crate) fn metadata(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        uid: Some(format!("uid-of-{name}")),
        ..ObjectMeta::default()
    }
}

/// The facts of a Node that nothing is wrong with.
pub(crate) fn parsed(object: &object::Node) -> NodeFacts {
    let (facts, refusals) = node::parse(object, None);
    assert_eq!(refusals, []);
    facts
}
