//! Objects and their history: what etcd and the watch cache are to a real API server.

use std::cell::OnceCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use bytes::Bytes;
use serde_json::Value;

/// Namespace (empty where there are none) and name.
pub(super) type Key = (String, String);

/// An object as it was at one revision.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) object: Value,
    /// Who applied which fields.
    pub(super) managers: Managers,
    text: OnceCell<Bytes>,
}

/// Field manager (with `status` where it applied that) to the paths of the fields it applied.
pub(super) type Managers = BTreeMap<(String, bool), Vec<Vec<String>>>;

impl Stored {
    pub(super) fn new(object: Value, managers: Managers) -> Rc<Stored> {
        Rc::new(Stored { object, managers, text: OnceCell::new() })
    }

    /// As JSON, made once.
    pub(super) fn text(&self) -> &Bytes {
        self.text.get_or_init(|| self.object.to_string().into())
    }
}

/// One write.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) revision: u64,
    pub(super) before: Option<Rc<Stored>>,
    /// What is there now; of a deletion, what was there, with the revision of the deletion.
    pub(super) object: Rc<Stored>,
    pub(super) deleted: bool,
}

/// All objects of a resource, and what happened to them of late.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) objects: BTreeMap<Key, Rc<Stored>>,
    changes: VecDeque<Rc<Change>>,
    /// Changes up to here are forgotten.
    pub(super) forgotten: u64,
}

impl Table {
    /// Changes after a revision, oldest first; `None` where they are forgotten.
    pub(super) fn since(&self, revision: u64) -> Option<impl Iterator<Item = &Rc<Change>>> {
        if revision < self.forgotten {
            return None;
        }
        let from = self.changes.partition_point(|change| change.revision <= revision);
        Some(self.changes.range(from..))
    }

    pub(super) fn record(&mut self, change: Change, keep: usize) {
        self.changes.push_back(Rc::new(change));
        while self.changes.len() > keep {
            self.forget_one();
        }
    }

    fn forget_one(&mut self) {
        if let Some(change) = self.changes.pop_front() {
            self.forgotten = change.revision;
        }
    }

    /// Compaction: nobody can watch from before now any more.
    pub(super) fn forget(&mut self, now: u64) {
        self.changes.clear();
        self.forgotten = now;
    }
}
