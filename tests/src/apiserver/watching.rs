//! Watches: a cursor in a resource's history.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::fault::Effect;
use super::list::{check_version, selects};
use super::request::{Parameters, Target};
use super::status::Refusal;
use super::store::{Change, Stored};
use super::world::World;

/// Without `timeoutSeconds`; the real server takes half an hour to an hour.
const LONGEST: u64 = 1800;
/// How often the real server sends a bookmark to who allows it.
const BOOKMARKS: Duration = Duration::from_secs(60);
/// The annotation of the bookmark that ends the initial events.
const INITIAL_END: &str = "k8s.io/initial-events-end";

/// How a watch's body goes on.
pub(super) enum Next {
    /// With these lines.
    Lines(Bytes),
    /// It ends as it should.
    End,
    /// Its connection breaks.
    Break,
}

/// A running watch.
pub(super) struct Watch {
    world: Rc<RefCell<World>>,
    user: String,
    target: Target,
    parameters: Parameters,
    revision: u64,
    ready: VecDeque<Bytes>,
    changes: watch::Receiver<u64>,
    until: Instant,
    bookmark: Instant,
    silent: bool,
    ending: bool,
}

impl Watch {
    pub(super) fn start(
        world: &Rc<RefCell<World>>,
        user: String,
        target: Target,
        parameters: Parameters,
    ) -> Result<Watch, Refusal> {
        let mut ready = VecDeque::new();
        let revision = {
            let world = world.borrow();
            let asked = parameters.revision()?.filter(|revision| *revision > 0);
            if parameters.initial_events {
                initial(&world, &target, &parameters, &mut ready)?
            } else if let Some(asked) = asked {
                if asked > world.revision() {
                    return Err(Refusal::from_the_future(asked, world.revision()));
                }
                asked
            } else {
                for stored in world.selected(&target, &parameters) {
                    ready.push_back(line("ADDED", stored.text()));
                }
                world.revision()
            }
        };
        let seconds = parameters.timeout_seconds.unwrap_or(LONGEST).min(LONGEST);
        let changes = world.borrow().changes();
        let until = Instant::now() + Duration::from_secs(seconds);
        Ok(Watch {
            world: Rc::clone(world),
            user,
            target,
            parameters,
            revision,
            ready,
            changes,
            until,
            bookmark: Instant::now() + BOOKMARKS,
            silent: false,
            ending: false,
        })
    }

    /// Waits for the next lines.
    pub(super) async fn next(&mut self) -> Next {
        loop {
            self.changes.borrow_and_update();
            if let Some(next) = self.look() {
                return next;
            }
            tokio::select! {
                changed = self.changes.changed() => if changed.is_err() { return Next::Break },
                () = tokio::time::sleep_until(self.until), if !self.silent => {
                    self.ending = true;
                    if self.parameters.bookmarks {
                        return Next::Lines(self.make_bookmark());
                    }
                }
                () = tokio::time::sleep_until(self.bookmark),
                        if self.parameters.bookmarks && !self.silent => {
                    self.bookmark = Instant::now() + BOOKMARKS;
                    return Next::Lines(self.make_bookmark());
                }
            }
        }
    }

    fn look(&mut self) -> Option<Next> {
        if self.silent {
            return None;
        }
        if self.ending {
            return Some(Next::End);
        }
        let here = |effect: &Effect| {
            matches!(effect, Effect::Gone | Effect::Drop | Effect::Silent | Effect::Close)
        };
        let fault = self.world.borrow_mut().faults.strike(&self.user, &self.target, here);
        match fault {
            Some(Effect::Drop) => return Some(Next::Break),
            Some(Effect::Close) => return Some(Next::End),
            Some(Effect::Silent) => {
                self.silent = true;
                return None;
            }
            Some(_) => return Some(self.expire()),
            None => {}
        }
        self.read();
        let mut lines = BytesMut::new();
        for line in self.ready.drain(..) {
            lines.put_slice(&line);
        }
        if !lines.is_empty() {
            return Some(Next::Lines(lines.freeze()));
        }
        self.ending.then(|| self.expire())
    }

    /// The last line, by which a client knows that it has to list again.
    fn expire(&mut self) -> Next {
        self.ending = true;
        let why = format!("too old resource version: {}", self.revision);
        let status = Refusal::expired(why).object().to_string();
        Next::Lines(line("ERROR", status.as_bytes()))
    }

    /// Takes what has happened since the last look.
    fn read(&mut self) {
        let world = self.world.borrow();
        let Some(table) = world.table(&self.target.kind) else { return };
        let Some(changes) = table.since(self.revision) else {
            self.ending = true;
            return;
        };
        for change in changes {
            self.revision = change.revision;
            if let Some(line) = told(&self.target, &self.parameters, change) {
                self.ready.push_back(line);
            }
        }
    }

    fn make_bookmark(&self) -> Bytes {
        bookmark(&self.target, self.world.borrow().revision().max(self.revision), false)
    }
}

/// Everything as it is now, then the bookmark that says so.
fn initial(
    world: &World,
    target: &Target,
    parameters: &Parameters,
    ready: &mut VecDeque<Bytes>,
) -> Result<u64, Refusal> {
    let matching = parameters.resource_version_match.as_deref();
    if matching != Some("NotOlderThan") || !parameters.bookmarks {
        let problem = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to \
                       NotOlderThan, and allowWatchBookmarks";
        let cause = ("sendInitialEvents".to_owned(), problem.to_owned());
        return Err(Refusal::invalid(&target.kind, "", &[cause]));
    }
    check_version(parameters, world.revision())?;
    for stored in world.selected(target, parameters) {
        ready.push_back(line("ADDED", stored.text()));
    }
    ready.push_back(bookmark(target, world.revision(), true));
    Ok(world.revision())
}

/// What a watcher is told of a change: objects enter and leave its selection.
fn told(target: &Target, parameters: &Parameters, change: &Change) -> Option<Bytes> {
    let seen = |stored: &Stored| {
        let namespace = &stored.object["metadata"]["namespace"];
        target.namespace.as_ref().is_none_or(|wanted| namespace == wanted.as_str())
            && selects(parameters, &stored.object)
    };
    let before = change.before.as_ref().is_some_and(|before| seen(before));
    let now = !change.deleted && seen(&change.object);
    let kind = match (before, now) {
        (false, false) => return None,
        (false, true) => "ADDED",
        (true, true) => "MODIFIED",
        (true, false) => "DELETED",
    };
    match &change.before {
        // One that leaves the selection is told of as it was last seen.
        Some(before) if !now && !change.deleted => {
            let mut last = before.object.clone();
            last["metadata"]["resourceVersion"] = change.revision.to_string().into();
            Some(line(kind, last.to_string().as_bytes()))
        }
        _ => Some(line(kind, change.object.text())),
    }
}

fn bookmark(target: &Target, revision: u64, ends_initial: bool) -> Bytes {
    let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
    if ends_initial {
        metadata["annotations"] = json!({INITIAL_END: "true"});
    }
    let object: Value = json!({"kind": target.kind.kind, "apiVersion": target.kind.api_version(),
                               "metadata": metadata});
    line("BOOKMARK", object.to_string().as_bytes())
}

fn line(kind: &str, object: &[u8]) -> Bytes {
    let mut line = BytesMut::with_capacity(object.len() + 40);
    line.put_slice(format!("{{\"type\":\"{kind}\",\"object\":").as_bytes());
    line.put_slice(object);
    line.put_slice(b"}\n");
    line.freeze()
}
