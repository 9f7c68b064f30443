//! Which resources there are: those a cluster is born with, and those that
//! CustomResourceDefinitions add.

use std::rc::Rc;

use serde_json::{Value, json};

/// One resource of one group and version.
#[derive(Debug, Clone)]
pub struct Kind {
    /// API group; empty for the core.
    pub group: String,
    /// Version, such as `v1`.
    pub version: String,
    /// As it stands in paths.
    pub plural: String,
    /// As an object calls itself.
    pub kind: String,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Whether there is a status subresource: then the main resource does not write it.
    pub status: bool,
    /// What kubectl takes for it.
    pub short: Vec<String>,
    /// By a CustomResourceDefinition, whose schema this is.
    pub custom: Option<Rc<Value>>,
}

impl Kind {
    /// `apiVersion` of its objects.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// As messages name it: `nodes`, `bgppeers.twill.dev`.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// As messages on validity name it: `Node`, `BGPPeer.twill.dev`.
    pub(super) fn kind_and_group(&self) -> String {
        if self.group.is_empty() {
            self.kind.clone()
        } else {
            format!("{}.{}", self.kind, self.group)
        }
    }

    /// Its place among the tables: versions of a resource share one.
    pub(super) fn table(&self) -> (String, String) {
        (self.group.clone(), self.plural.clone())
    }

    fn verbs() -> Value {
        json!(["create", "delete", "get", "list", "patch", "update", "watch"])
    }

    /// Its lines in the group's resource list.
    fn discovered(&self) -> Vec<Value> {
        let mut main = json!({
            "name": self.plural, "singularName": self.kind.to_lowercase(),
            "namespaced": self.namespaced, "kind": self.kind, "verbs": Kind::verbs(),
        });
        if !self.short.is_empty() {
            main["shortNames"] = self.short.clone().into();
        }
        let mut lines = vec![main];
        if self.status {
            lines.push(json!({
                "name": format!("{}/status", self.plural), "singularName": "",
                "namespaced": self.namespaced, "kind": self.kind,
                "verbs": ["get", "patch", "update"],
            }));
        }
        lines
    }
}

/// Group, version, kind, plural, short name, in a namespace, with a status subresource.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str, bool, bool);

const RBAC: &str = "rbac.authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";

#[rustfmt::skip]
const BUILT_IN: [Row; 23] = [
    ("", "v1", "Namespace", "namespaces", "ns", false, true),
    ("", "v1", "Node", "nodes", "no", false, true),
    ("", "v1", "Pod", "pods", "po", true, true),
    ("", "v1", "Service", "services", "svc", true, true),
    ("", "v1", "Secret", "secrets", "", true, false),
    ("", "v1", "ConfigMap", "configmaps", "cm", true, false),
    ("", "v1", "ServiceAccount", "serviceaccounts", "sa", true, false),
    ("", "v1", "Event", "events", "ev", true, false),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", "crd", false, true),
    ("apps", "v1", "DaemonSet", "daemonsets", "ds", true, true),
    ("apps", "v1", "Deployment", "deployments", "deploy", true, true),
    ("coordination.k8s.io", "v1", "Lease", "leases", "", true, false),
    ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", "", true, false),
    ("events.k8s.io", "v1", "Event", "events", "ev", true, false),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", "pdb", true, true),
    ("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", "pc", false, false),
    (RBAC, "v1", "ClusterRole", "clusterroles", "", false, false),
    (RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", "", false, false),
    (RBAC, "v1", "Role", "roles", "", true, false),
    (RBAC, "v1", "RoleBinding", "rolebindings", "", true, false),
    (ADMISSION, "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", "", false, true),
    (ADMISSION, "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", "", false, false),
    ("networking.k8s.io", "v1", "ServiceCIDR", "servicecidrs", "", false, true),
];

/// All resources, those of custom definitions included.
#[derive(Debug)]
pub(super) struct Registry {
    kinds: Vec<Rc<Kind>>,
}

impl Registry {
    pub(super) fn new() -> Registry {
        let kinds = BUILT_IN.map(|(group, version, kind, plural, short, namespaced, status)| {
            Rc::new(Kind {
                group: group.to_owned(),
                version: version.to_owned(),
                plural: plural.to_owned(),
                kind: kind.to_owned(),
                namespaced,
                status,
                short: Some(short)
                    .filter(|short| !short.is_empty())
                    .map(str::to_owned)
                    .into_iter()
                    .collect(),
                custom: None,
            })
        });
        Registry { kinds: kinds.into() }
    }

    pub(super) fn find(&self, group: &str, version: &str, plural: &str) -> Option<Rc<Kind>> {
        let same = |kind: &&Rc<Kind>| {
            kind.group == group && kind.version == version && kind.plural == plural
        };
        self.kinds.iter().find(same).cloned()
    }

    /// By what an object says of itself.
    pub(super) fn of_object(&self, object: &Value) -> Option<Rc<Kind>> {
        let (version, kind) = (object["apiVersion"].as_str()?, object["kind"].as_str()?);
        self.kinds
            .iter()
            .find(|known| known.kind == kind && known.api_version() == version)
            .cloned()
    }

    /// By its plural, or with its group (`events.events.k8s.io`): the core before others.
    pub(super) fn named(&self, name: &str) -> Option<Rc<Kind>> {
        self.kinds.iter().find(|kind| kind.plural == name || kind.qualified() == name).cloned()
    }

    /// Adds what a CustomResourceDefinition defines, in place of what it defined before.
    pub(super) fn define(&mut self, definition: &Value) {
        self.undefine(definition);
        let (spec, names) = (&definition["spec"], &definition["spec"]["names"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let short = names["shortNames"].as_array().into_iter().flatten().map(text).collect();
        let base = Kind {
            group: text(&spec["group"]),
            version: String::new(),
            plural: text(&names["plural"]),
            kind: text(&names["kind"]),
            namespaced: spec["scope"] == "Namespaced",
            status: false,
            short,
            custom: None,
        };
        for version in spec["versions"].as_array().into_iter().flatten() {
            if version["served"] != true {
                continue;
            }
            self.kinds.push(Rc::new(Kind {
                version: text(&version["name"]),
                status: version["subresources"]["status"].is_object(),
                custom: Some(Rc::new(version["schema"]["openAPIV3Schema"].clone())),
                ..base.clone()
            }));
        }
    }

    pub(super) fn undefine(&mut self, definition: &Value) {
        let spec = &definition["spec"];
        self.kinds.retain(|kind| {
            kind.custom.is_none()
                || spec["group"] != kind.group.as_str()
                || spec["names"]["plural"] != kind.plural.as_str()
        });
    }

    /// What discovery answers at `path`; `None` where it is no path of discovery.
    pub(super) fn discover(&self, path: &str) -> Option<Value> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        match parts.as_slice() {
            ["api"] => Some(json!({"kind": "APIVersions", "versions": ["v1"]})),
            ["apis"] => {
                let groups: Vec<Value> =
                    self.groups().iter().filter_map(|group| self.group(group)).collect();
                Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
            }
            ["api", version] => self.resources("", version),
            ["apis", group] => self.group(group).map(|mut answer| {
                answer["kind"] = "APIGroup".into();
                answer["apiVersion"] = "v1".into();
                answer
            }),
            ["apis", group, version] => self.resources(group, version),
            ["version"] => Some(json!({
                "major": "1", "minor": "34", "gitVersion": "v1.34.0", "gitCommit": "",
                "gitTreeState": "clean", "buildDate": "2025-08-27T00:00:00Z", "goVersion": "none",
                "compiler": "none", "platform": "linux/amd64",
            })),
            ["openapi", "v3"] => Some(json!({"paths": {}})),
            _ => None,
        }
    }

    fn groups(&self) -> Vec<&str> {
        let mut groups: Vec<&str> = Vec::new();
        for kind in &self.kinds {
            if !kind.group.is_empty() && !groups.contains(&kind.group.as_str()) {
                groups.push(&kind.group);
            }
        }
        groups
    }

    fn group(&self, group: &str) -> Option<Value> {
        let mut versions: Vec<Value> = Vec::new();
        for kind in self.kinds.iter().filter(|kind| kind.group == group && !group.is_empty()) {
            let version =
                json!({"groupVersion": kind.api_version(), "version": kind.version.as_str()});
            if !versions.contains(&version) {
                versions.push(version);
            }
        }
        let preferred = versions.first()?.clone();
        Some(json!({"name": group, "versions": versions, "preferredVersion": preferred}))
    }

    fn resources(&self, group: &str, version: &str) -> Option<Value> {
        let kinds: Vec<&Rc<Kind>> = self
            .kinds
            .iter()
            .filter(|kind| kind.group == group && kind.version == version)
            .collect();
        let first = kinds.first()?;
        let resources: Vec<Value> = kinds.iter().flat_map(|kind| kind.discovered()).collect();
        Some(json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": first.api_version(),
            "resources": resources,
        }))
    }
}
