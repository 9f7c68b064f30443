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
