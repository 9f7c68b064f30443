//! The cluster's settings, from the BGPConfiguration named `default`.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};
use serde::Deserialize;
use serde_json::Value as Json;
use twill_bgp::proto::types::ClusterId;

use super::doubt::{About, Doubt, Kind, Reason};
use super::node::Labels;
use super::world::{Held, about_resource};
use crate::config::resource::{self, Checked, Cluster};
use crate::source::policy::ServiceKinds;

/// The longest password that TCP MD5 takes (TCP_MD5SIG_MAXKEYLEN).
pub(super) const MAX_PASSWORD: usize = 80;

/// A key of a Secret of our own namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct SecretKey {
    /// The Secret.
    pub(super) name: String,
    /// Its key.
    #[serde(default = "password")]
    pub(super) key: String,
}

fn password() -> String {
    "password".to_owned()
}

/// Which addresses of Services are announced.
#[derive(Debug, Default)]
pub(super) struct ServiceChoice {
    /// Of these kinds.
    pub(super) kinds: ServiceKinds,
    /// Of these Services; `None`: of all.
    pub(super) selector: Option<Selector>,
    /// Load balancers of this class; `None`: of any.
    pub(super) class: Option<String>,
}

/// The cluster's settings.
#[derive(Debug)]
pub(super) struct Settings {
    /// What the file has as well.
    pub(super) cluster: Cluster,
    /// The mesh's password.
    pub(super) password: Option<SecretKey>,
    /// Reflectors by selector; `None`: by annotation.
    reflectors: Option<Vec<(Selector, ClusterId)>>,
    /// Which addresses of Services are announced.
    pub(super) services: ServiceChoice,
    /// Where they come from; `None`: the defaults.
    pub(super) about: Option<About>,
}

impl Settings {
    /// Whether the resource says who is a reflector.
    pub(super) fn chooses_reflectors(&self) -> bool {
        self.reflectors.is_some()
    }

    /// The cluster of the first selector that matches.
    pub(super) fn reflector(&self, labels: &Labels) -> Option<ClusterId> {
        let reflectors = self.reflectors.as_ref()?;
        let labels = labels.map();
        reflectors.iter().find(|(selector, _)| selector.matches(&labels)).map(|(_, id)| *id)
    }
}

/// Reads the one that counts; what is wrong gives way to what stood before, or to the defaults.
pub(super) fn read(
    all: &mut BTreeMap<String, Held>,
    counts: &str,
    doubts: &mut Vec<Doubt>,
) -> Settings {
    for (name, held) in all.iter().filter(|(name, _)| *name != counts) {
        doubts.push(Doubt {
            about: about_resource(Kind::Configuration, name, held),
            reason: Reason::NotActedUpon,
            note: format!("only the BGPConfiguration named {counts} counts"),
        });
    }
    let defaults = || parse(&Json::Null).map(|checked| checked.value);
    let Some(held) = all.get_mut(counts) else {
        return defaults().expect("nothing given, nothing wrong");
    };
    let about = about_resource(Kind::Configuration, counts, held);
    let mut settings = match parse(&held.spec) {
        Ok(Checked { value, doubts: doubtful }) => {
            held.standing = Some(held.spec.clone());
            doubts.extend(doubtful.into_iter().map(|note| Doubt {
                about: about.clone(),
                reason: Reason::Doubtful,
                note,
            }));
            value
        }
        Err(problems) => {
            let standing = held.standing.as_ref().and_then(|spec| parse(spec).ok());
            let stands = if standing.is_some() { "what it was before" } else { "the default" };
            doubts.push(Doubt {
                about: about.clone(),
                reason: Reason::Invalid,
                note: format!("{}; {stands} stands", problems.join("; ")),
            });
            match standing {
                Some(standing) => standing.value,
                None => defaults().expect("nothing given, nothing wrong"),
            }
        }
    };
    settings.about = Some(about);
    settings
}

fn parse(spec: &Json) -> Result<Checked<Settings>, Vec<String>> {
    let Checked { value: cluster, doubts } = resource::cluster(spec)?;
    let mesh = spec.get("mesh");
    let password = field(mesh, "mesh", "passwordSecretRef")?;
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Reflectors {
        node_selector: LabelSelector,
        cluster_id: std::net::Ipv4Addr,
    }
    let listed: Option<Vec<Reflectors>> = field(mesh, "mesh", "reflectors")?;
    let mut reflectors = None;
    for listed in listed.into_iter().flatten() {
        let selector = selector(listed.node_selector, "mesh.reflectors.nodeSelector")?;
        let all: &mut Vec<_> = reflectors.get_or_insert_default();
        all.push((selector, ClusterId(listed.cluster_id)));
    }
    let chosen: Option<LabelSelector> = field(spec.get("services"), "services", "selector")?;
    let services = ServiceChoice {
        kinds: cluster.services,
        selector: chosen.map(|chosen| selector(chosen, "services.selector")).transpose()?,
        class: cluster.load_balancer_class.clone(),
    };
    let value = Settings { cluster, password, reflectors, services, about: None };
    Ok(Checked { value, doubts })
}

/// A value that only the API server has.
pub(super) fn field<T: serde::de::DeserializeOwned>(
    section: Option<&Json>,
    path: &str,
    key: &str,
) -> Result<Option<T>, Vec<String>> {
    match section.and_then(|section| section.get(key)) {
        None | Some(Json::Null) => Ok(None),
        Some(value) => serde_json::from_value(value.clone()).map(Some).map_err(|error| {
            let dot = if path.is_empty() { "" } else { "." };
            vec![format!("{path}{dot}{key}: {error}")]
        }),
    }
}

/// A selector that can be asked.
pub(super) fn selector(selector: LabelSelector, path: &str) -> Result<Selector, Vec<String>> {
    selector.try_into().map_err(|error| vec![format!("{path}: {error}")])
}
