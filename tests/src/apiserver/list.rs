//! Lists, whole or page by page.

use std::rc::Rc;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};

use super::request::{Parameters, Target};
use super::resource::Kind;
use super::status::Refusal;
use super::store::Stored;
use super::world::World;

/// Lists that can be read on at once; older ones have expired.
const PAGES: usize = 256;

/// What is still to come of a list, as it was when the list began.
#[derive(Debug)]
pub(super) struct Rest {
    token: String,
    revision: u64,
    items: Vec<Rc<Stored>>,
}

impl World {
    /// The body of a list; no more than `most` items of it where that is given, broken off then.
    pub(super) fn list(
        &mut self,
        target: &Target,
        parameters: &Parameters,
        most: Option<usize>,
    ) -> Result<Bytes, Refusal> {
        let (revision, mut items) = match &parameters.next {
            Some(token) => self.rest(token)?,
            None => {
                check_version(parameters, self.revision())?;
                (self.revision(), self.selected(target, parameters))
            }
        };
        // From its cache the real server answers whole, whatever the limit.
        let cached = parameters.resource_version.as_deref() == Some("0");
        let limit = if cached || parameters.limit == 0 { usize::MAX } else { parameters.limit };
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if items.len() > limit {
            let rest = items.split_off(limit);
            metadata["remainingItemCount"] = rest.len().into();
            metadata["continue"] = self.keep(revision, rest).into();
        }
        Ok(body(&target.kind, &metadata, &items, most))
    }

    pub(super) fn selected(&self, target: &Target, parameters: &Parameters) -> Vec<Rc<Stored>> {
        let Some(table) = self.table(&target.kind) else { return Vec::new() };
        let here = |namespace: &String| target.namespace.as_ref().is_none_or(|n| n == namespace);
        table
            .objects
            .iter()
            .filter(|((namespace, _), _)| here(namespace))
            .filter(|(_, stored)| selects(parameters, &stored.object))
            .map(|(_, stored)| Rc::clone(stored))
            .collect()
    }

    fn keep(&mut self, revision: u64, items: Vec<Rc<Stored>>) -> String {
        let number = self.pages.back().map_or(1, |last| {
            last.token.rsplit('-').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) + 1
        });
        let token = format!("{revision}-{number}");
        self.pages.push_back(Rest { token: token.clone(), revision, items });
        while self.pages.len() > PAGES {
            self.pages.pop_front();
        }
        token
    }

    fn rest(&mut self, token: &str) -> Result<(u64, Vec<Rc<Stored>>), Refusal> {
        // Kept: a page whose answer was lost is asked for again.
        let rest = self.pages.iter().find(|rest| rest.token == token).ok_or_else(|| {
            Refusal::expired(
                "The provided continue parameter is too old to display a consistent list result. \
                 You can start a new list without the continue parameter.",
            )
        })?;
        Ok((rest.revision, rest.items.clone()))
    }
}

pub(super) fn selects(parameters: &Parameters, object: &Value) -> bool {
    parameters.labels.selects(object) && parameters.fields.selects(object)
}

/// A list cannot be of a version that is not there yet, nor exactly of one that is gone.
pub(super) fn check_version(parameters: &Parameters, current: u64) -> Result<(), Refusal> {
    let Some(asked) = parameters.revision()? else { return Ok(()) };
    if asked > current {
        return Err(Refusal::from_the_future(asked, current));
    }
    if parameters.resource_version_match.as_deref() == Some("Exact") && asked != current {
        return Err(Refusal::expired(format!(
            "The resourceVersion for the provided list is too old: {asked} ({current})"
        )));
    }
    Ok(())
}

fn body(kind: &Kind, metadata: &Value, items: &[Rc<Stored>], most: Option<usize>) -> Bytes {
    let size: usize = items.iter().map(|item| item.text().len() + 1).sum();
    let mut body = BytesMut::with_capacity(size + 256);
    let head = json!({"kind": format!("{}List", kind.kind), "apiVersion": kind.api_version(),
                      "metadata": metadata});
    let head = head.to_string();
    body.put_slice(head.trim_end_matches('}').as_bytes());
    // The braces of the metadata, which went with the last.
    let closed = head.len() - head.trim_end_matches('}').len() - 1;
    body.put_bytes(b'}', closed);
    body.put_slice(b",\"items\":[");
    for (place, item) in items.iter().enumerate() {
        if most == Some(place) {
            return body.freeze();
        }
        if place > 0 {
            body.put_u8(b',');
        }
        body.put_slice(item.text());
    }
    if most.is_none() {
        body.put_slice(b"]}");
    }
    body.freeze()
}
