//! The specs of custom resources, by the readers that the file has: the same keys, the same
//! checks, the same words. What only the API server has (selectors, references to Secrets) is
//! passed over here and read by the source.

use serde_json::Value as Json;
use twill_bgp::proto::types::{Asn, Prefix};

use super::problem::{Place, Problem};
use super::read::{Field, Section, Sink};
use super::tree::{Key, Node, Value};
use super::{DEFAULT_ASN, asn, host, mesh, or, peer, values};
use crate::source::policy::ServiceKinds;
use crate::source::{Dataplane, Mesh, MeshMode, OutsidePeer};

/// What was read, and what is doubtful about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked<T> {
    /// What was read.
    pub value: T,
    /// No errors.
    pub doubts: Vec<String>,
}

/// The cluster's settings: a BGPConfiguration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Of every node that names none of its own.
    pub asn: Asn,
    /// Without its password.
    pub mesh: Mesh,
    /// Whether `mesh.mode` is given: then annotations do not choose it.
    pub mode: Option<MeshMode>,
    /// Further prefixes of every node.
    pub announce: Vec<Prefix>,
    /// The host's part.
    pub dataplane: Dataplane,
    /// Which addresses of Services are announced.
    pub services: ServiceKinds,
    /// Only load balancers of this class.
    pub load_balancer_class: Option<String>,
}

/// Reads the spec of a BGPConfiguration.
///
/// # Errors
/// All that is wrong with it, each with its key.
pub fn cluster(spec: &Json) -> Result<Checked<Cluster>, Vec<String>> {
    read(spec, |section| {
        let asn = or(section.get("asn"), DEFAULT_ASN, asn);
        let (mesh, mode) = match section.get("mesh") {
            Some(mesh) => mesh.section(|section| {
                for elsewhere in ["passwordSecretRef", "reflectors"] {
                    let _known = section.get(elsewhere);
                }
                mesh::settings(section)
            }),
            None => mesh::settings(&mut Section::empty(&section.field)),
        };
        let mode = mode.map(|_| mesh.mode);
        let announce = section.get("announce").map(|field| {
            field.list_of("prefixes", |item| item.parse("a prefix", values::routable_prefix))
        });
        let dataplane = host::dataplane(section.get("dataplane"));
        let (services, load_balancer_class) = match section.get("services") {
            Some(field) => field.section(services),
            None => Default::default(),
        };
        let announce = announce.unwrap_or_default().into_iter().map(|item| item.value).collect();
        Some(Cluster {
            asn: asn?,
            mesh,
            mode,
            announce,
            dataplane: dataplane?,
            services,
            load_balancer_class,
        })
    })
}

fn services(section: &mut Section<'_>) -> (ServiceKinds, Option<String>) {
    let _known = section.get("selector");
    let class = section.get("loadBalancerClass");
    let class = class.and_then(|field| field.text("a load balancer class").map(str::to_owned));
    let mut kinds = ServiceKinds::default();
    let announce = section.get("announce").map(|field| field.list("kinds of addresses"));
    for item in announce.unwrap_or_default() {
        match item.choice(&[("clusterIPs", 0), ("externalIPs", 1), ("loadBalancerIPs", 2)]) {
            Some(0) => kinds.cluster = true,
            Some(1) => kinds.external = true,
            Some(_) => kinds.load_balancer = true,
            None => {}
        }
    }
    (kinds, class)
}

/// Reads the spec of a BGPPeer, without its password. `own`: this node's AS.
///
/// # Errors
/// All that is wrong with it, each with its key.
pub fn peer(name: &str, spec: &Json, own: Asn) -> Result<Checked<OutsidePeer>, Vec<String>> {
    let checked = read(spec, |section| {
        for elsewhere in ["nodeSelector", "passwordSecretRef"] {
            let _known = section.get(elsewhere);
        }
        // A rule that names nobody who is there matches nothing, and the one it names may come.
        let place = peer::listed(section);
        peer::read_rest(section, Some(own), Some(name), place, true, &mut Vec::new())
    })?;
    let value = OutsidePeer { name: name.to_owned(), ..checked.value.peer };
    Ok(Checked { value, doubts: checked.doubts })
}

fn read<T>(
    spec: &Json,
    read: impl FnOnce(&mut Section<'_>) -> Option<T>,
) -> Result<Checked<T>, Vec<String>> {
    let root = node(spec);
    let sink = Sink::default();
    let value = Field::root(&root, &sink).section(read);
    let (problems, doubts) = sink.into_parts();
    // Of an object there are no lines to be named.
    let words = |problems: Vec<Problem>| -> Vec<String> {
        let bare = problems.into_iter().map(|problem| Problem { place: None, ..problem });
        bare.map(|problem| problem.to_string()).collect()
    };
    match value {
        Some(value) if problems.is_empty() => Ok(Checked { value, doubts: words(doubts) }),
        _ => Err(words(problems)),
    }
}

/// The tree that the readers ask.
fn node(json: &Json) -> Node {
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Scalar(flag.to_string()),
        Json::Number(number) => Value::Scalar(number.to_string()),
        Json::String(text) => Value::Scalar(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(node).collect()),
        Json::Object(entries) => Value::Map(
            entries
                .iter()
                .map(|(text, value)| (Key { text: text.clone(), place: Place::START }, node(value)))
                .collect(),
        ),
    };
    Node { place: Place::START, value }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_empty_configuration_is_the_default() {
        let read = cluster(&json!({})).unwrap().value;
        assert_eq!(read.asn, DEFAULT_ASN);
        assert_eq!((read.mode, read.mesh.mode), (None, MeshMode::Full));
        assert_eq!(cluster(&Json::Null).unwrap().value, read);
    }

    #[test]
    fn a_resource_is_checked_as_the_file_is() {
        let read = cluster(&json!({
            "asn": 64600,
            "mesh": {"mode": "reflector", "holdTime": "9s", "passwordSecretRef": {"name": "mesh"}},
            "announce": ["203.0.113.0/24"],
            "dataplane": {"mtu": 1400},
        }));
        let read = read.unwrap().value;
        assert_eq!(read.mode, Some(MeshMode::Reflector));
        assert_eq!(read.mesh.hold_time.as_secs(), 9);
        assert_eq!(read.dataplane.mtu, Some(1400));
        for (spec, expected) in [
            (json!({"asn": 0}), "asn: AS 0 is reserved"),
            (
                json!({"mesh": {"holdtime": "9s"}}),
                "mesh.holdtime: unknown key: did you mean `holdTime`?",
            ),
            (json!({"mesh": {"nodes": []}}), "mesh.nodes: unknown key"),
            (json!({"mesh": {"holdTime": "2s"}}), "RFC 4271 forbids"),
            (json!({"dataplane": {"overlay": "always"}}), "not built yet"),
            (json!("text"), "expected a mapping"),
        ] {
            let problems = cluster(&spec).unwrap_err();
            assert!(problems[0].contains(expected), "{problems:?}");
        }
    }

    #[test]
    fn a_peer_is_checked_as_in_the_file() {
        let own = Asn::new(64512).unwrap();
        let read = peer(
            "tor",
            &json!({
                "address": "10.0.0.254", "asn": 65000, "nodeSelector": {"matchLabels": {"rack": "a"}},
                "export": {"prefixes": ["podCIDRs"]}, "import": {"prefixes": ["0.0.0.0/0"]},
            }),
            own,
        );
        let read = read.unwrap();
        assert_eq!(read.doubts, [""; 0]);
        assert_eq!(read.value.name, "tor");
        assert!(read.value.export.pod_cidrs);
        let silent = peer("tor", &json!({"address": "10.0.0.254", "asn": 65000}), own).unwrap();
        assert_eq!(silent.doubts.len(), 2, "RFC 8212 asks that this be told: {:?}", silent.doubts);
        let wrong = json!({"address": "10.0.0.254", "asn": 65000, "name": "x", "port": 0});
        let problems = peer("tor", &wrong, own).unwrap_err();
        assert_eq!(problems.len(), 2, "{problems:?}");
    }
}
