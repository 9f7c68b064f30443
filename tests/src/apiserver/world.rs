//! All that the server knows, owned by its one thread.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::fault::Faults;
use super::record::Asked;
use super::request::{Parameters, Target};
use super::resource::{Kind, Registry};
use super::status::{self, Refusal};
use super::store::{Change, Key, Managers, Stored, Table};
use super::{admit, custom, defaults, list};

/// Changes of a resource that can be watched from, unless told otherwise.
const HISTORY: usize = 20_000;

/// Objects, faults, and what was asked.
pub struct World {
    pub(super) registry: Registry,
    tables: BTreeMap<(String, String), Table>,
    /// One counter for all, as etcd has it.
    revision: u64,
    /// Lists that are read page by page.
    pub(super) pages: VecDeque<list::Rest>,
    pub(super) faults: Faults,
    pub(super) asked: Vec<Asked>,
    /// Whether its address answers at all.
    pub(super) listening: bool,
    history: usize,
    uids: u64,
    pulse: watch::Sender<u64>,
}

/// How an object comes to be written.
pub(super) struct Write {
    pub(super) object: Value,
    pub(super) managers: Managers,
}

impl Write {
    /// What nobody applied.
    pub(super) fn of(object: Value) -> Write {
        Write { object, managers: Managers::new() }
    }
}

impl World {
    pub(super) fn new() -> World {
        let mut world = World {
            registry: Registry::new(),
            tables: BTreeMap::new(),
            revision: 1,
            pages: VecDeque::new(),
            faults: Faults::default(),
            asked: Vec::new(),
            listening: true,
            history: HISTORY,
            uids: 0,
            pulse: watch::Sender::new(0),
        };
        for name in ["default", "kube-system"] {
            let object =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            world.put(object).expect("a namespace can be made");
        }
        world
    }

    /// Completes whenever something has changed: objects, faults, or whether it listens.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.pulse.subscribe()
    }

    pub(super) fn pulse(&self) {
        self.pulse.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn table(&self, kind: &Kind) -> Option<&Table> {
        self.tables.get(&kind.table())
    }

    pub(super) fn find(&self, kind: &Kind, key: &Key) -> Result<Rc<Stored>, Refusal> {
        let table = self.table(kind).and_then(|table| table.objects.get(key));
        table.cloned().ok_or_else(|| Refusal::not_found(kind, &key.1))
    }

    /// Changes can be watched from no earlier than now.
    pub fn forget_history(&mut self) {
        let now = self.revision;
        self.pages.clear();
        self.tables.values_mut().for_each(|table| table.forget(now));
        self.pulse();
    }

    /// Creates an object, or replaces the one of its name, status included: the way in for tests
    /// that only want it to be there.
    ///
    /// # Errors
    /// As a client would be told.
    pub fn put(&mut self, mut object: Value) -> Result<Value, Refusal> {
        let kind = self.registry.of_object(&object).ok_or_else(Refusal::no_such_resource)?;
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        let key = (namespace, name_of(&object).to_owned());
        match self.find(&kind, &key) {
            Err(_) => {
                let wanted = object.get("status").cloned();
                let namespace = kind.namespaced.then_some(key.0.as_str());
                let stored = self.create(&kind, namespace, Write::of(object), false)?;
                let Some(wanted) = wanted else { return Ok(stored.object.clone()) };
                let mut whole = stored.object.clone();
                whole["status"] = wanted;
                Ok(self.store(&kind, &key, Write::of(whole), false)?.object.clone())
            }
            Ok(before) => {
                keep_identity(&before.object, &mut object);
                let write = Write { object, managers: before.managers.clone() };
                Ok(self.store(&kind, &key, write, false)?.object.clone())
            }
        }
    }

    /// Creates what is not there.
    pub(super) fn create(
        &mut self,
        kind: &Rc<Kind>,
        namespace: Option<&str>,
        write: Write,
        dry_run: bool,
    ) -> Result<Rc<Stored>, Refusal> {
        let Write { mut object, managers } = write;
        admit::identity(kind, namespace, &mut object)?;
        if !object["metadata"]["resourceVersion"].is_null() {
            let message = "resourceVersion should not be set on objects to be created";
            return Err(Refusal::bad_request(message));
        }
        if let Some(namespace) = namespace {
            let known = self.registry.find("", "v1", "namespaces");
            let key = (String::new(), namespace.to_owned());
            known.map_or(Err(Refusal::no_such_resource()), |known| self.find(&known, &key))?;
        }
        self.uids += 1;
        let uids = self.uids;
        admit::name(kind, &mut object, uids)?;
        let key = key_of(&object);
        if self.find(kind, &key).is_ok() {
            return Err(Refusal::already_exists(kind, &key.1));
        }
        let metadata = metadata(&mut object)?;
        metadata.insert("uid".to_owned(), format!("00000000-0000-4000-8000-{uids:012x}").into());
        metadata.insert("creationTimestamp".to_owned(), admit::now().into());
        if kind.custom.is_some() || kind.group == "apps" {
            metadata.insert("generation".to_owned(), 1.into());
        }
        // A kubelet registers its Node with a status; everything else is born without.
        if kind.status && kind.kind != "Node" {
            object.as_object_mut().map(|object| object.remove("status"));
        }
        defaults::fill(kind, &mut object, uids);
        let write = Write { object, managers };
        self.store(kind, &key, write, dry_run)
    }

    /// PUT: the object as a whole, or its status.
    pub(super) fn update(
        &mut self,
        target: &Target,
        mut object: Value,
        parameters: &Parameters,
    ) -> Result<Rc<Stored>, Refusal> {
        let (kind, key) = (&target.kind, key(target));
        admit::identity(kind, target.namespace.as_deref(), &mut object)?;
        if name_of(&object) != key.1 {
            let message = "the name of the object does not match the name on the URL";
            return Err(Refusal::bad_request(message));
        }
        let before = self.find(kind, &key)?;
        if kind.custom.is_some() && object["metadata"]["resourceVersion"].is_null() {
            let problem = "Invalid value: 0x0: must be specified for an update";
            let cause = ("metadata.resourceVersion".to_owned(), problem.to_owned());
            return Err(Refusal::invalid(kind, &key.1, &[cause]));
        }
        let write = Write { object, managers: before.managers.clone() };
        self.replace(target, &before, write, parameters.dry_run)
    }

    /// Puts `write` in the place of what is there, as far as the target may write it.
    pub(super) fn replace(
        &mut self,
        target: &Target,
        before: &Rc<Stored>,
        mut write: Write,
        dry_run: bool,
    ) -> Result<Rc<Stored>, Refusal> {
        let (kind, key) = (&target.kind, key(target));
        admit::same_version(kind, &before.object, &write.object)?;
        keep_identity(&before.object, &mut write.object);
        if target.status {
            // Only the status is written, and of the metadata nothing that identifies.
            let status = write.object.get("status").cloned();
            write.object = before.object.clone();
            if let (Some(object), Some(status)) = (write.object.as_object_mut(), status) {
                object.insert("status".to_owned(), status);
            }
        } else if kind.status {
            let object = write.object.as_object_mut();
            if let Some(object) = object {
                match before.object.get("status") {
                    Some(status) => object.insert("status".to_owned(), status.clone()),
                    None => object.remove("status"),
                };
            }
        }
        defaults::change(kind, &mut write.object);
        admit::change(kind, &before.object, &mut write.object)?;
        self.store(kind, &key, write, dry_run)
    }

    /// Checks, and writes unless nothing would change.
    fn store(
        &mut self,
        kind: &Rc<Kind>,
        key: &Key,
        mut write: Write,
        dry_run: bool,
    ) -> Result<Rc<Stored>, Refusal> {
        let before = self.find(kind, key).ok();
        if let Some(schema) = &kind.custom {
            custom::admit(schema, &mut write.object)
                .map_err(|causes| Refusal::invalid(kind, &key.1, &causes))?;
        }
        if let Some(before) = &before
            && before.object == write.object
            && before.managers == write.managers
        {
            return Ok(Rc::clone(before));
        }
        let revision = self.revision + 1;
        metadata(&mut write.object)?
            .insert("resourceVersion".to_owned(), revision.to_string().into());
        let stored = Stored::new(write.object, write.managers);
        if dry_run {
            return Ok(stored);
        }
        if before.is_some() && is_done(&stored.object) {
            self.remove(kind, key, &stored);
            return Ok(stored);
        }
        self.revision = revision;
        if kind.plural == "customresourcedefinitions" {
            self.registry.define(&stored.object);
        }
        let keep = self.history;
        let table = self.tables.entry(kind.table()).or_default();
        table.objects.insert(key.clone(), Rc::clone(&stored));
        let change = Change { revision, before, object: Rc::clone(&stored), deleted: false };
        table.record(change, keep);
        self.pulse();
        Ok(stored)
    }

    /// DELETE: at once, or once its finalizers are gone.
    pub(super) fn delete(&mut self, target: &Target, options: &Value) -> Result<Value, Refusal> {
        let (kind, key) = (&target.kind, key(target));
        let before = self.find(kind, &key)?;
        let metadata = &before.object["metadata"];
        for (field, said) in [
            ("uid", "the UID in the precondition"),
            ("resourceVersion", "the ResourceVersion in the precondition"),
        ] {
            let wanted = &options["preconditions"][field];
            if !wanted.is_null() && *wanted != metadata[field] {
                let why = format!(
                    "Precondition failed: {said} ({wanted}) does not match the record's ({})",
                    metadata[field]
                );
                return Err(Refusal::conflict(kind, &key.1, &why));
            }
        }
        let finalized = metadata["finalizers"].as_array().is_none_or(Vec::is_empty);
        if finalized {
            let answer = status::deleted(kind, &key.1, &metadata["uid"]);
            self.remove(kind, &key, &before);
            return Ok(answer);
        }
        let mut object = before.object.clone();
        if object["metadata"]["deletionTimestamp"].is_null() {
            object["metadata"]["deletionTimestamp"] = admit::now().into();
        }
        let write = Write { object, managers: before.managers.clone() };
        Ok(self.store(kind, &key, write, false)?.object.clone())
    }

    fn remove(&mut self, kind: &Rc<Kind>, key: &Key, last: &Rc<Stored>) {
        self.revision += 1;
        let revision = self.revision;
        let mut object = last.object.clone();
        object["metadata"]["resourceVersion"] = revision.to_string().into();
        if kind.plural == "customresourcedefinitions" {
            self.registry.undefine(&object);
            let spec = &object["spec"];
            let name = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            self.tables.remove(&(name(&spec["group"]), name(&spec["names"]["plural"])));
        }
        let keep = self.history;
        let table = self.tables.entry(kind.table()).or_default();
        let before = table.objects.remove(key);
        let object = Stored::new(object, Managers::new());
        table.record(Change { revision, before, object, deleted: true }, keep);
        self.pulse();
    }
}

pub(super) fn key(target: &Target) -> Key {
    (target.namespace.clone().unwrap_or_default(), target.name.clone().unwrap_or_default())
}

fn key_of(object: &Value) -> Key {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    (namespace.to_owned(), name_of(object).to_owned())
}

pub(super) fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// The metadata, made where there is none.
pub(super) fn metadata(object: &mut Value) -> Result<&mut Map<String, Value>, Refusal> {
    let Some(object) = object.as_object_mut() else {
        return Err(Refusal::bad_request("the body is no object"));
    };
    let metadata = object.entry("metadata").or_insert_with(|| json!({}));
    metadata.as_object_mut().ok_or_else(|| Refusal::bad_request("metadata is no object"))
}

/// What no write changes.
fn keep_identity(before: &Value, object: &mut Value) {
    let Some(kept) = before["metadata"].as_object() else { return };
    let Ok(metadata) = metadata(object) else { return };
    metadata.remove("managedFields");
    for field in ["uid", "creationTimestamp", "generation", "resourceVersion", "deletionTimestamp"]
    {
        match kept.get(field) {
            Some(value) => metadata.insert(field.to_owned(), value.clone()),
            None => metadata.remove(field),
        };
    }
}

/// Whether nothing holds a deletion up any more.
fn is_done(object: &Value) -> bool {
    let metadata = &object["metadata"];
    !metadata["deletionTimestamp"].is_null()
        && metadata["finalizers"].as_array().is_none_or(Vec::is_empty)
}
