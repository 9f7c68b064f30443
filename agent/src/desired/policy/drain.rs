//! What a drained node says of the ways that lead through it (RFC 8326).

use twill_bgp::proto::rib::policy::{Policy, Set, Then};
use twill_bgp::proto::types::Community;

use super::reject;
use crate::drain::Drain;

/// Changes an export policy to what draining asks for. Marks come last, after whatever the
/// operator's rules make of a route, and change nothing about what is announced.
pub(super) fn apply(drain: Option<Drain>, policy: &mut Policy) {
    match drain {
        None => {}
        Some(Drain::Marked) => {
            let rules = policy.rules.iter_mut().chain([&mut policy.otherwise]);
            for rule in rules {
                if let Then::Accept(sets) = &mut rule.then {
                    sets.extend(marks());
                }
            }
        }
        Some(Drain::Withdrawn) => {
            let withdrawn = reject("this node is drained: see `twill drain --undo`", Vec::new());
            policy.rules.insert(0, withdrawn);
        }
    }
}

fn marks() -> [Set; 2] {
    [Set::AddCommunities([Community::GRACEFUL_SHUTDOWN].as_slice().into()), Set::LocalPref(0)]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use twill_bgp::proto::types::ClusterId;

    use super::*;
    use crate::desired::fixture::{THREE, snapshot};
    use crate::desired::policy::Policies;

    /// The policies of a reflector towards the mesh and towards its router.
    fn policies(drain: Option<Drain>) -> [Arc<Policy>; 2] {
        let mut snapshot = snapshot(THREE);
        snapshot.node.reflector = Some(ClusterId([1, 1, 1, 1].into()));
        snapshot.drain = drain;
        let policies = Policies::new(&snapshot);
        [policies.export_to_mesh(), policies.export_to_outside(&snapshot.peers["tor-a"], false)]
    }

    fn is_marked(then: &Then) -> bool {
        matches!(then, Then::Accept(sets) if sets.ends_with(&marks()))
    }

    #[test]
    fn all_but_what_is_reflected_is_marked() {
        let [mesh, outside] = policies(Some(Drain::Marked));
        let mut seen = 0;
        for rule in mesh.rules.iter().chain(&outside.rules) {
            if matches!(rule.then, Then::Accept(_)) {
                seen += 1;
                assert_eq!(is_marked(&rule.then), &*rule.name != "reflected", "{}", rule.name);
            }
        }
        assert!(seen >= 4, "reflected, our own, mesh.transit, and what the router is sent");
        for policy in policies(None) {
            assert!(!policy.rules.iter().any(|rule| is_marked(&rule.then)));
        }
    }

    #[test]
    fn all_but_what_is_reflected_is_withdrawn() {
        let [mesh, outside] = policies(Some(Drain::Withdrawn));
        let refuses = |policy: &Policy, at: usize| {
            let rule = &policy.rules[at];
            rule.when.is_empty() && rule.then == Then::Reject
        };
        assert_eq!(&*mesh.rules[0].name, "reflected");
        assert!(refuses(&mesh, 1) && refuses(&outside, 0));
    }
}
