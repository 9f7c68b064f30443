//! Services and their endpoints, as far as announcing their addresses needs them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use kube::core::SelectorExt;
use serde::{Deserialize, Serialize};
use twill_bgp::proto::types::Prefix;

use super::annotation::{OURS, THEIRS};
use super::doubt::{About, Doubt, Kind, Reason};
use super::node::Labels;
use super::object;
use super::settings::ServiceChoice;
use crate::source::policy::ServiceKinds;
use crate::source::{NodeView, ServiceAddresses};

/// What counts of a Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceFacts {
    uid: Box<str>,
    labels: Labels,
    class: Option<Box<str>>,
    cluster: Vec<IpAddr>,
    external: Vec<IpAddr>,
    load_balancer: Vec<IpAddr>,
    /// Traffic to its cluster addresses stays on the node that it comes to.
    cluster_local: bool,
    /// The same of its other addresses.
    external_local: bool,
    /// What its annotations choose, by kind; `None`: what the configuration chooses.
    chosen: [Option<bool>; 3],
    /// Annotations that are neither true nor false.
    wrong: Vec<String>,
}

/// What counts of an EndpointSlice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceFacts {
    /// `namespace/name` of its Service.
    service: Box<str>,
    ready_here: bool,
    serving_here: bool,
    ready_anywhere: bool,
}

/// How a Service is reached on this node, for a traffic policy of Local.
#[derive(Debug, Clone, Copy, Default)]
struct Endpoints {
    ready_here: bool,
    serving_here: bool,
    ready_anywhere: bool,
}

impl Endpoints {
    /// As kube-proxy has it: ready ones, or, where there are none at all, those that end but
    /// still serve. So an address goes while its last endpoint here can still answer.
    fn usable(self) -> bool {
        self.ready_here || self.serving_here && !self.ready_anywhere
    }
}

impl ServiceFacts {
    /// Parses an object.
    pub fn parse(object: &object::Service) -> ServiceFacts {
        let none = BTreeMap::new();
        let annotations = object.metadata.annotations.as_ref().unwrap_or(&none);
        let mut wrong = Vec::new();
        let mut flag = |name: &str| {
            let found = [OURS, THEIRS].into_iter().find_map(|prefix| {
                let key = format!("{prefix}{name}");
                annotations.get(&key).map(|value| (key, value.trim()))
            });
            match found {
                None => None,
                Some((_, "true")) => Some(true),
                Some((_, "false")) => Some(false),
                Some((key, _)) => {
                    wrong.push(key);
                    None
                }
            }
        };
        let local = flag("service.local") == Some(true);
        let mut chosen = [
            flag("service.advertise.clusterip"),
            flag("service.advertise.externalip"),
            flag("service.advertise.loadbalancerip"),
        ];
        if flag("service.skiplbips") == Some(true) {
            chosen[2] = Some(false);
        }
        let spec = &object.spec;
        let cluster = if spec.cluster_ips.is_empty() {
            spec.cluster_ip.as_slice()
        } else {
            spec.cluster_ips.as_slice()
        };
        let addresses =
            |listed: &[String]| listed.iter().filter_map(|ip| ip.parse().ok()).collect();
        let ingress = object.status.load_balancer.ingress.iter();
        ServiceFacts {
            uid: object.metadata.uid.clone().unwrap_or_default().into(),
            labels: Labels::new(object.metadata.labels.as_ref().unwrap_or(&none)),
            class: spec.load_balancer_class.as_deref().map(Into::into),
            cluster: addresses(cluster),
            external: addresses(&spec.external_ips),
            load_balancer: ingress
                .filter(|ingress| ingress.ip_mode.as_deref() != Some("Proxy"))
                .filter_map(|ingress| ingress.ip.as_ref()?.parse().ok())
                .collect(),
            cluster_local: local || spec.internal_traffic_policy.as_deref() == Some("Local"),
            external_local: local || spec.external_traffic_policy.as_deref() == Some("Local"),
            chosen,
            wrong,
        }
    }
}

impl SliceFacts {
    /// Parses an object; `None` where it belongs to no Service.
    pub fn parse(object: &object::EndpointSlice, node: &str) -> Option<SliceFacts> {
        let labels = object.metadata.labels.as_ref()?;
        let name = labels.get("kubernetes.io/service-name")?;
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let mut facts = SliceFacts {
            service: format!("{namespace}/{name}").into(),
            ready_here: false,
            serving_here: false,
            ready_anywhere: false,
        };
        for endpoint in &object.endpoints {
            // Unknown is to be taken for ready, and serving follows ready.
            let ready = endpoint.conditions.ready.unwrap_or(true);
            let serving = endpoint.conditions.serving.unwrap_or(ready);
            let here = endpoint.node_name.as_deref() == Some(node);
            facts.ready_anywhere |= ready;
            facts.ready_here |= ready && here;
            facts.serving_here |= serving && here;
        }
        Some(facts)
    }
}

/// The addresses that this node announces.
pub(super) fn addresses(
    services: &BTreeMap<String, ServiceFacts>,
    slices: &BTreeMap<String, SliceFacts>,
    choice: &ServiceChoice,
    own: &NodeView,
    views: &BTreeMap<String, NodeView>,
    doubts: &mut Vec<Doubt>,
) -> ServiceAddresses {
    let mut endpoints: BTreeMap<&str, Endpoints> = BTreeMap::new();
    for slice in slices.values() {
        let of = endpoints.entry(&slice.service).or_default();
        of.ready_here |= slice.ready_here;
        of.serving_here |= slice.serving_here;
        of.ready_anywhere |= slice.ready_anywhere;
    }
    let taken = Taken::new(views);
    let mut found = ServiceAddresses::default();
    for (key, facts) in services {
        let about = about(key, facts);
        doubts.extend(facts.wrong.iter().map(|key| Doubt {
            about: about.clone(),
            reason: Reason::Invalid,
            note: format!("its annotation {key} is passed over: expected true or false"),
        }));
        let usable = endpoints.get(key.as_str()).copied().unwrap_or_default().usable();
        let chosen = chosen(facts, choice);
        let kinds = [
            (chosen.cluster, &facts.cluster, facts.cluster_local, &mut found.cluster),
            (chosen.external, &facts.external, facts.external_local, &mut found.external),
            (
                chosen.load_balancer,
                &facts.load_balancer,
                facts.external_local,
                &mut found.load_balancer,
            ),
        ];
        for (wanted, addresses, local, announced) in kinds {
            for address in addresses {
                let host = Prefix::host(*address);
                if let Some(owner) = taken.by(host) {
                    if wanted {
                        doubts.push(Doubt {
                            about: about.clone(),
                            reason: Reason::ClaimRefused,
                            note: format!("its address {address} is not announced: it is {owner}"),
                        });
                    }
                    continue;
                }
                found.all.push(host);
                let routed = own.addresses.iter().any(|own| own.is_ipv4() == address.is_ipv4());
                if wanted && routed && (usable || !local) {
                    announced.push(host);
                }
            }
        }
    }
    for list in [&mut found.cluster, &mut found.external, &mut found.load_balancer, &mut found.all]
    {
        list.sort_unstable();
        list.dedup();
    }
    found
}

/// What is chosen of a Service: by its annotations, else by the configuration.
fn chosen(facts: &ServiceFacts, choice: &ServiceChoice) -> ServiceKinds {
    let selected =
        choice.selector.as_ref().is_none_or(|selector| selector.matches(&facts.labels.map()));
    let of_class =
        choice.class.as_deref().is_none_or(|class| facts.class.as_deref() == Some(class));
    let by_configuration = |kind: bool| kind && selected;
    ServiceKinds {
        cluster: facts.chosen[0].unwrap_or(by_configuration(choice.kinds.cluster)),
        external: facts.chosen[1].unwrap_or(by_configuration(choice.kinds.external)),
        load_balancer: facts.chosen[2]
            .unwrap_or(by_configuration(choice.kinds.load_balancer) && of_class),
    }
}

fn about(key: &str, facts: &ServiceFacts) -> About {
    let (namespace, name) = key.split_once('/').unwrap_or(("default", key));
    About {
        kind: Kind::Service,
        namespace: Some(namespace.into()),
        name: name.into(),
        uid: facts.uid.clone(),
    }
}

/// What belongs to Nodes: an address of theirs is no Service's, whoever wrote it there.
struct Taken<'a>(BTreeMap<Prefix, &'a str>);

impl Taken<'_> {
    fn new(views: &BTreeMap<String, NodeView>) -> Taken<'_> {
        let claims = views.values().flat_map(|view| {
            let hosts = view.addresses.iter().map(|address| Prefix::host(*address));
            let all = view.pod_cidrs.iter().copied().chain(hosts);
            all.map(|prefix| (prefix, view.name.as_str()))
        });
        Taken(claims.collect())
    }

    fn by(&self, host: Prefix) -> Option<String> {
        // They share no address, so what covers it sorts right before it.
        let (held, owner) = self.0.range(..=host).next_back()?;
        held.covers(host).then(|| format!("within {held} of Node {owner}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(spec: &Value, annotations: &Value) -> ServiceFacts {
        let object = json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "u",
                "labels": {"tier": "front"}, "annotations": annotations},
            "spec": spec,
            "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.3"}]}},
        });
        ServiceFacts::parse(&serde_json::from_value(object).unwrap())
    }

    fn slice(endpoints: &Value) -> SliceFacts {
        let object = json!({
            "metadata": {"name": "web-1", "namespace": "shop",
                "labels": {"kubernetes.io/service-name": "web"}},
            "endpoints": endpoints,
        });
        SliceFacts::parse(&serde_json::from_value(object).unwrap(), "a").unwrap()
    }

    fn spec(more: &[(&str, Value)]) -> Value {
        let mut spec = json!({"clusterIPs": ["10.96.0.7"], "externalIPs": ["198.51.100.2"]});
        for (key, value) in more {
            spec[*key] = value.clone();
        }
        spec
    }

    fn all() -> ServiceChoice {
        let kinds = ServiceKinds { cluster: true, external: true, load_balancer: true };
        ServiceChoice { kinds, ..ServiceChoice::default() }
    }

    fn announced(
        facts: ServiceFacts,
        slices: Vec<SliceFacts>,
        choice: &ServiceChoice,
    ) -> (Vec<String>, Vec<Doubt>) {
        let snapshot = crate::desired::fixture::snapshot(
            "{node: a, addresses: [10.0.0.1], podCIDRs: [10.244.1.0/24]}",
        );
        let views = BTreeMap::from([("a".to_owned(), snapshot.node.clone())]);
        let services = BTreeMap::from([("shop/web".to_owned(), facts)]);
        let slices =
            slices.into_iter().enumerate().map(|(n, slice)| (n.to_string(), slice)).collect();
        let mut doubts = Vec::new();
        let found = addresses(&services, &slices, choice, &snapshot.node, &views, &mut doubts);
        let all = [found.cluster, found.external, found.load_balancer].concat();
        (all.iter().map(ToString::to_string).collect(), doubts)
    }

    /// Each row: annotations, what the configuration chooses, what is announced.
    #[test]
    fn what_is_chosen() {
        let (cluster, external, balanced) = ("10.96.0.7/32", "198.51.100.2/32", "198.51.100.3/32");
        let selecting = |tier: &str| ServiceChoice {
            selector: Some([("tier".to_owned(), tier.to_owned())].into_iter().collect()),
            ..all()
        };
        let of_class = |class: &str| ServiceChoice { class: Some(class.into()), ..all() };
        for (annotations, choice, expected) in [
            (json!({}), ServiceChoice::default(), vec![]),
            (json!({}), all(), vec![cluster, external, balanced]),
            (json!({}), selecting("front"), vec![cluster, external, balanced]),
            (json!({}), selecting("back"), vec![]),
            (json!({}), of_class("ours"), vec![cluster, external]),
            (
                json!({"kube-router.io/service.advertise.clusterip": "true"}),
                ServiceChoice::default(),
                vec![cluster],
            ),
            (
                json!({"kube-router.io/service.advertise.externalip": "false"}),
                all(),
                vec![cluster, balanced],
            ),
            (
                json!({"twill.dev/service.advertise.loadbalancerip": "true",
                "kube-router.io/service.advertise.loadbalancerip": "false"}),
                ServiceChoice::default(),
                vec![balanced],
            ),
            (json!({"kube-router.io/service.skiplbips": "true"}), all(), vec![cluster, external]),
            // Local, and no endpoint.
            (json!({"kube-router.io/service.local": "true"}), all(), vec![]),
        ] {
            let facts = service(&spec(&[]), &annotations);
            assert_eq!(announced(facts, vec![], &choice).0, expected, "{annotations} {choice:?}");
        }
    }

    #[test]
    fn an_annotation_that_is_neither_is_told() {
        let wrong = json!({"kube-router.io/service.advertise.clusterip": "yes"});
        let (_, doubts) = announced(service(&spec(&[]), &wrong), vec![], &all());
        assert!(doubts[0].note.contains("expected true or false"), "{doubts:?}");
        assert_eq!(doubts[0].about.to_string(), "Service shop/web");
    }

    /// The traffic policy Local, as endpoints come and go.
    #[test]
    fn local_follows_the_endpoints() {
        let ready = |node: &str| json!({"nodeName": node, "conditions": {"ready": true}});
        let ending = |node: &str| {
            json!({"nodeName": node,
                "conditions": {"ready": false, "serving": true, "terminating": true}})
        };
        let gone = json!({"nodeName": "a", "conditions": {"ready": false, "serving": false}});
        for (endpoints, expected) in [
            (vec![ready("a")], true),
            (vec![ready("b")], false),
            // The last one here ends, and another node has one: withdrawn while it still serves.
            (vec![ending("a"), ready("b")], false),
            // Nobody has another: better one that ends than none.
            (vec![ending("a"), ending("b")], true),
            (vec![gone.clone(), ending("b")], false),
            (vec![gone], false),
            (vec![json!({"nodeName": "a"})], true),
            (vec![], false),
        ] {
            let local = spec(&[("externalTrafficPolicy", json!("Local"))]);
            let slices = endpoints.iter().map(|endpoint| slice(&json!([endpoint]))).collect();
            let (found, _) = announced(service(&local, &json!({})), slices, &all());
            assert_eq!(found.contains(&"198.51.100.2/32".to_owned()), expected, "{endpoints:?}");
            assert!(found.contains(&"10.96.0.7/32".to_owned()), "its other policy is Cluster");
        }
    }

    #[test]
    fn what_belongs_to_a_node_is_no_services() {
        for address in ["10.0.0.1", "10.244.1.9"] {
            let stolen = spec(&[("externalIPs", json!([address]))]);
            let (found, doubts) = announced(service(&stolen, &json!({})), vec![], &all());
            assert!(!found.iter().any(|found| found.starts_with(address)), "{found:?}");
            assert_eq!(doubts[0].reason, Reason::ClaimRefused);
        }
    }
}
