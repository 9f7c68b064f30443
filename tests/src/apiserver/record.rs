//! What was asked of the server, in the words of RBAC.

use serde::{Deserialize, Serialize};

/// One request, once its answer was known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// Who asked: a service account's full name, or `anonymous`.
    pub user: String,
    /// As RBAC writes it: get, list, watch...
    pub verb: String,
    /// API group; empty for the core.
    pub group: String,
    /// Resource, with its subresource: `nodes/status`.
    pub resource: String,
    /// Namespace; empty for all of them, or none.
    pub namespace: String,
    /// Name, also that of a collection selected by `metadata.name`; empty without.
    pub name: String,
    /// The HTTP status of the answer; 0 where a fault let there be none.
    pub code: u16,
    /// What the query string said.
    pub query: String,
}

impl Asked {
    /// Whether it is this verb on this resource (`nodes`, `bgppeers.twill.dev`).
    pub fn is(&self, verb: &str, resource: &str) -> bool {
        let qualified = match self.group.as_str() {
            "" => self.resource.clone(),
            group => format!("{}.{group}", self.resource),
        };
        self.verb == verb && (self.resource == resource || qualified == resource)
    }
}
