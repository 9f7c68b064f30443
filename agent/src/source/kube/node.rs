//! A Node object, parsed once: what counts of it, or why it cannot be.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::{Deserialize, Serialize};
use twill_bgp::proto::types::Prefix;

use super::annotation::NodeAnnotations;
use super::object;
use crate::config::values;

/// What counts of a Node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// Unique.
    pub name: Box<str>,
    /// Of this object: a Node made anew under the same name has another.
    pub uid: Box<str>,
    /// Seconds since the epoch: between two that claim the same, the older is right.
    pub created: i64,
    /// For selectors.
    pub labels: Labels,
    /// InternalIPs, then ExternalIPs; the first of each family counts.
    pub addresses: Vec<IpAddr>,
    /// From `spec`, which the control plane writes and a kubelet cannot change.
    pub pod_cidrs: Vec<Prefix>,
    /// Of kube-router and ours.
    pub annotations: NodeAnnotations,
    /// Its condition NetworkUnavailable, and why.
    pub network: Option<Network>,
}

/// The condition NetworkUnavailable of a Node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Pods are to stay away.
    pub unavailable: bool,
    /// It was this agent's doing, or that of one before.
    pub ours: bool,
}

/// What begins the reasons that we give for it.
pub const OUR_REASON: &str = "Twill";
/// The condition.
pub const NETWORK: &str = "NetworkUnavailable";

/// What is wrong with one part of a Node; that part stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeRefusal {
    /// An address.
    #[error("its address {address} is no use as a next hop: {why}")]
    Address {
        /// As written.
        address: String,
        /// What was expected.
        why: String,
    },
    /// A pod CIDR.
    #[error("its pod CIDR {cidr} is refused: {why}")]
    PodCidr {
        /// As written.
        cidr: String,
        /// What was expected.
        why: String,
    },
    /// An annotation.
    #[error("its annotation {key} is refused: {why}")]
    Annotation {
        /// Its whole name.
        key: String,
        /// What was expected.
        why: String,
    },
}

/// Parses an object. What is refused is taken from `before`, the last state that was valid.
pub fn parse(object: &object::Node, before: Option<&NodeFacts>) -> (NodeFacts, Vec<NodeRefusal>) {
    let mut refusals = Vec::new();
    let meta = &object.metadata;
    let addresses = addresses(&object.status.addresses).unwrap_or_else(|refusal| {
        refusals.push(refusal);
        before.map(|before| before.addresses.clone()).unwrap_or_default()
    });
    let pod_cidrs = pod_cidrs(&object.spec).unwrap_or_else(|refusal| {
        refusals.push(refusal);
        before.map(|before| before.pod_cidrs.clone()).unwrap_or_default()
    });
    let none = BTreeMap::new();
    let (annotations, refused) = NodeAnnotations::read(
        meta.annotations.as_ref().unwrap_or(&none),
        before.map(|before| &before.annotations),
    );
    refusals.extend(refused);
    let facts = NodeFacts {
        name: meta.name.clone().unwrap_or_default().into(),
        uid: meta.uid.clone().unwrap_or_default().into(),
        created: meta.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second()),
        labels: Labels::new(meta.labels.as_ref().unwrap_or(&none)),
        addresses,
        pod_cidrs,
        annotations,
        network: network(&object.status.conditions),
    };
    (facts, refusals)
}

fn network(conditions: &[object::NodeCondition]) -> Option<Network> {
    let condition = conditions.iter().find(|condition| condition.kind == NETWORK)?;
    let ours = condition.reason.as_ref().is_some_and(|reason| reason.starts_with(OUR_REASON));
    Some(Network { unavailable: condition.status != "False", ours })
}

fn addresses(listed: &[object::NodeAddress]) -> Result<Vec<IpAddr>, NodeRefusal> {
    let mut addresses = Vec::new();
    for kind in ["InternalIP", "ExternalIP"] {
        for listed in listed.iter().filter(|listed| listed.kind == kind) {
            let address = values::host_address(&listed.address)
                .map_err(|why| NodeRefusal::Address { address: listed.address.clone(), why })?;
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    Ok(addresses)
}

fn pod_cidrs(spec: &object::NodeSpec) -> Result<Vec<Prefix>, NodeRefusal> {
    let listed = if spec.pod_cidrs.is_empty() {
        spec.pod_cidr.as_slice()
    } else {
        spec.pod_cidrs.as_slice()
    };
    let read = |cidr: &String| {
        values::pod_cidr(cidr)
            .map_err(|why| NodeRefusal::PodCidr { cidr: cidr.clone(), why: why.to_string() })
    };
    listed.iter().filter(|cidr| !cidr.is_empty()).map(read).collect()
}

/// Labels in one string: thousands of nodes have the same twenty keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels(Box<str>);

impl Labels {
    /// Packs them. Neither keys nor values can hold `=` or a line end.
    pub fn new(labels: &BTreeMap<String, String>) -> Labels {
        let lines: Vec<String> =
            labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        Labels(lines.join("\n").into())
    }

    /// As a selector wants them.
    pub fn map(&self) -> BTreeMap<String, String> {
        let pairs = self.0.lines().filter_map(|line| line.split_once('='));
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }
}

impl NodeFacts {
    /// The object that these facts were read from, without what does not count: for the disk.
    pub fn to_object(&self) -> object::Node {
        let address = |address: &IpAddr| object::NodeAddress {
            kind: "InternalIP".to_owned(),
            address: address.to_string(),
        };
        let created = k8s_openapi::jiff::Timestamp::from_second(self.created).ok();
        object::Node {
            metadata: ObjectMeta {
                name: Some(self.name.to_string()),
                uid: Some(self.uid.to_string()),
                creation_timestamp: created.map(Time),
                labels: Some(self.labels.map()),
                annotations: Some(self.annotations.as_written(true)),
                ..Default::default()
            },
            spec: object::NodeSpec {
                pod_cidr: None,
                pod_cidrs: self.pod_cidrs.iter().map(ToString::to_string).collect(),
            },
            status: object::NodeStatus {
                addresses: self.addresses.iter().map(address).collect(),
                conditions: Vec::new(),
            },
        }
    }
}
