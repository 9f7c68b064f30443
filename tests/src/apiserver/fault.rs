//! Faults on demand: what a real API server and the network to it do on a bad day.

use serde::{Deserialize, Serialize};

use super::request::Target;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Effect {
    /// The request is answered with this HTTP status: 429, 500, 503...
    Status {
        /// The HTTP status.
        code: u16,
        /// Seconds, for the Retry-After header.
        retry_after: Option<u32>,
    },
    /// The answer begins only so many milliseconds later.
    Delay {
        /// Milliseconds.
        millis: u64,
    },
    /// The connection ends without an answer; a running watch ends in the middle.
    Drop,
    /// The request is never answered.
    Hang,
    /// A watch, also one that runs, is told that its resource version is too old.
    Gone,
    /// A watch ends as if its time were over.
    Close,
    /// A watch, also one that runs, says nothing any more, and never ends: its connection is half
    /// open.
    Silent,
    /// A list breaks off after so many items, in the middle of its body.
    Partial {
        /// Whole items that are still sent.
        items: usize,
    },
}

/// An effect, and the requests that it befalls: those that fit all that is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// As RBAC writes it.
    pub verb: Option<String>,
    /// Plural, with its subresource: `nodes/status`.
    pub resource: Option<String>,
    /// Who asks.
    pub user: Option<String>,
    /// What happens.
    pub effect: Effect,
    /// How often; without it, until the faults are cleared.
    pub times: Option<u32>,
}

impl Fault {
    /// Every request, until cleared.
    pub fn new(effect: Effect) -> Fault {
        Fault { verb: None, resource: None, user: None, effect, times: None }
    }

    /// Only this verb.
    pub fn verb(mut self, verb: &str) -> Fault {
        self.verb = Some(verb.to_owned());
        self
    }

    /// Only this resource.
    pub fn resource(mut self, resource: &str) -> Fault {
        self.resource = Some(resource.to_owned());
        self
    }

    /// Only so often.
    pub fn times(mut self, times: u32) -> Fault {
        self.times = Some(times);
        self
    }

    fn befalls(&self, user: &str, target: &Target) -> bool {
        let fits = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|w| w == is);
        fits(&self.verb, target.verb.as_str())
            && fits(&self.resource, &target.resource())
            && fits(&self.user, user)
    }
}

/// Those in force.
#[derive(Debug, Default)]
pub(super) struct Faults {
    list: Vec<Fault>,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.list.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
    }

    /// The first fault that befalls a request, of those that `here` can act out; one time less is
    /// left of it.
    pub(super) fn strike(
        &mut self,
        user: &str,
        target: &Target,
        here: impl Fn(&Effect) -> bool,
    ) -> Option<Effect> {
        let place = self
            .list
            .iter()
            .position(|fault| here(&fault.effect) && fault.befalls(user, target))?;
        let fault = &mut self.list[place];
        let effect = fault.effect.clone();
        if let Some(times) = &mut fault.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                self.list.remove(place);
            }
        }
        Some(effect)
    }
}
