//! Who asks, and whether they may: bearer tokens, and RBAC from the roles and bindings that were
//! created here.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

use super::request::Target;
use super::status::Refusal;
use super::store::Stored;
use super::world::World;

/// Who may do everything.
const ADMINISTRATORS: &str = "system:masters";

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// `system:serviceaccount:NAMESPACE:NAME`, or a name.
    pub name: String,
    /// Groups.
    pub groups: Vec<String>,
}

impl User {
    /// Of no name, in no group that may do anything.
    pub fn anonymous() -> User {
        let groups = vec!["system:unauthenticated".to_owned()];
        User { name: "system:anonymous".to_owned(), groups }
    }

    /// May do everything.
    pub fn administrator() -> User {
        User { name: "admin".to_owned(), groups: vec![ADMINISTRATORS.to_owned()] }
    }

    /// A pod that runs under a service account.
    pub fn service_account(namespace: &str, name: &str) -> User {
        User {
            name: format!("system:serviceaccount:{namespace}:{name}"),
            groups: vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ],
        }
    }

    fn is(&self, subject: &Value) -> bool {
        let name = subject["name"].as_str().unwrap_or_default();
        match subject["kind"].as_str() {
            Some("User") => self.name == name,
            Some("Group") => self.groups.iter().any(|group| group == name),
            Some("ServiceAccount") => {
                let namespace = subject["namespace"].as_str().unwrap_or_default();
                self.name == format!("system:serviceaccount:{namespace}:{name}")
            }
            _ => false,
        }
    }
}

/// Tokens and their users. Without any, everybody is let in, and may do everything.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    known: BTreeMap<String, User>,
}

impl Tokens {
    pub(super) fn allow(&mut self, token: &str, user: User) {
        self.known.insert(token.to_owned(), user);
    }

    /// The user of an `Authorization` header.
    pub(super) fn user(&self, header: Option<&str>) -> Result<User, Refusal> {
        if self.known.is_empty() {
            return Ok(User::administrator());
        }
        let Some(header) = header else { return Ok(User::anonymous()) };
        let token = header.strip_prefix("Bearer ").unwrap_or_default();
        self.known.get(token).cloned().ok_or_else(Refusal::unauthorized)
    }
}

impl World {
    /// RBAC: somebody bound the user to a role that allows it.
    pub(super) fn authorise(&self, user: &User, target: &Target) -> Result<(), Refusal> {
        if user.groups.iter().any(|group| group == ADMINISTRATORS) || self.allows(user, target) {
            return Ok(());
        }
        let place = match (&target.namespace, target.kind.namespaced) {
            (Some(namespace), _) => format!(" in the namespace {namespace:?}"),
            (None, _) => " at the cluster scope".to_owned(),
        };
        let why = format!(
            "User {:?} cannot {} resource {:?} in API group {:?}{place}",
            user.name,
            target.verb.as_str(),
            target.resource(),
            target.kind.group
        );
        let name = target.name.as_deref().unwrap_or_default();
        Err(Refusal::forbidden(&target.kind, name, &why))
    }

    fn allows(&self, user: &User, target: &Target) -> bool {
        let wide = self.objects("clusterrolebindings").any(|(_, binding)| {
            bound(user, &binding.object) && self.role_allows("", &binding.object, target)
        });
        wide || target.namespace.as_ref().is_some_and(|namespace| {
            self.objects("rolebindings").any(|(place, binding)| {
                place == namespace
                    && bound(user, &binding.object)
                    && self.role_allows(namespace, &binding.object, target)
            })
        })
    }

    fn objects(&self, plural: &str) -> impl Iterator<Item = (&String, &Rc<Stored>)> {
        let kind = self.registry.named(plural);
        let table = kind.and_then(|kind| self.table(&kind));
        let objects = table.into_iter().flat_map(|table| &table.objects);
        objects.map(|((namespace, _), stored)| (namespace, stored))
    }

    fn role_allows(&self, namespace: &str, binding: &Value, target: &Target) -> bool {
        let role = &binding["roleRef"];
        let (plural, place) = match role["kind"].as_str() {
            Some("ClusterRole") => ("clusterroles", ""),
            _ => ("roles", namespace),
        };
        self.objects(plural).any(|(here, stored)| {
            here == place
                && stored.object["metadata"]["name"] == role["name"]
                && stored.object["rules"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|rule| rule_allows(rule, target))
        })
    }
}

fn bound(user: &User, binding: &Value) -> bool {
    binding["subjects"].as_array().into_iter().flatten().any(|subject| user.is(subject))
}

fn rule_allows(rule: &Value, target: &Target) -> bool {
    let has = |field: &str, wanted: &str| {
        let list = rule[field].as_array();
        list.into_iter().flatten().any(|item| item == "*" || item == wanted)
    };
    let names = rule["resourceNames"].as_array().filter(|names| !names.is_empty());
    has("verbs", target.verb.as_str())
        && has("apiGroups", &target.kind.group)
        && has("resources", &target.resource())
        && names.is_none_or(|names| {
            target.named.as_ref().is_some_and(|name| names.iter().any(|known| known == name))
        })
}
