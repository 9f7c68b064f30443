//! PATCH, in all its forms; faults and addresses, for the one who runs the server.

use std::rc::Rc;

use serde_json::{Value, json};

use super::apply::applied;
use super::fault::Fault;
use super::patch::{Format, patched};
use super::record::Asked;
use super::request::{Parameters, Target};
use super::status::Refusal;
use super::store::{Managers, Stored};
use super::world::{World, Write, key};

impl World {
    /// The object after a patch, and whether that created it.
    pub(super) fn patch(
        &mut self,
        target: &Target,
        format: Format,
        patch: Value,
        parameters: &Parameters,
    ) -> Result<(Rc<Stored>, bool), Refusal> {
        let before = self.find(&target.kind, &key(target));
        if format == Format::Apply {
            return self.apply(target, before, patch, parameters);
        }
        let before = before?;
        let object = patched(&target.kind, format, &before.object, &patch)?;
        let write = Write { object, managers: before.managers.clone() };
        Ok((self.replace(target, &before, write, parameters.dry_run)?, false))
    }

    fn apply(
        &mut self,
        target: &Target,
        before: Result<Rc<Stored>, Refusal>,
        mut config: Value,
        parameters: &Parameters,
    ) -> Result<(Rc<Stored>, bool), Refusal> {
        let kind = &target.kind;
        let Some(name) = parameters.field_manager.clone() else {
            return Err(Refusal::bad_request("fieldManager is required for apply patch"));
        };
        super::admit::identity(kind, target.namespace.as_deref(), &mut config)?;
        let manager = (name, target.status);
        let before = match before {
            Ok(before) => before,
            // A status needs an object to stand on.
            Err(refusal) if target.status => return Err(refusal),
            Err(_) => {
                config["metadata"]["name"] = target.name.clone().into();
                let nothing = Stored::new(json!({}), Managers::new());
                let write = applied(kind, &nothing, &config, manager, parameters.force)?;
                let namespace = target.namespace.as_deref();
                return Ok((self.create(kind, namespace, write, parameters.dry_run)?, true));
            }
        };
        let write = applied(kind, &before, &config, manager, parameters.force)?;
        Ok((self.replace(target, &before, write, parameters.dry_run)?, false))
    }

    /// Adds a fault; running watches take note.
    pub fn add_fault(&mut self, fault: Fault) {
        self.faults.add(fault);
        self.pulse();
    }

    /// Ends all faults. Watches that fell silent stay so.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// Whether the address answers: without, connections are refused, and those that stand break.
    pub fn listen(&mut self, yes: bool) {
        self.listening = yes;
        self.pulse();
    }

    /// What was asked so far.
    pub fn asked(&self) -> &[Asked] {
        &self.asked
    }

    /// Forgets what was asked.
    pub fn forget_asked(&mut self) {
        self.asked.clear();
    }

    /// An object by the plural of its resource, its namespace (empty where there are none) and
    /// name.
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let kind = self.registry.named(plural)?;
        let key = (namespace.to_owned(), name.to_owned());
        self.find(&kind, &key).ok().map(|stored| stored.object.clone())
    }

    /// All objects of a resource.
    pub fn all(&self, plural: &str) -> Vec<Value> {
        let kind = self.registry.named(plural);
        let table = kind.and_then(|kind| self.table(&kind));
        let objects = table.into_iter().flat_map(|table| table.objects.values());
        objects.map(|stored| stored.object.clone()).collect()
    }

    /// Changes an object as `change` says, status included.
    ///
    /// # Errors
    /// Where it is not there, or the change is refused.
    pub fn edit(
        &mut self,
        plural: &str,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<Value, Refusal> {
        let kind = self.registry.named(plural).ok_or_else(Refusal::no_such_resource)?;
        let stored = self.find(&kind, &(namespace.to_owned(), name.to_owned()))?;
        let mut object = stored.object.clone();
        change(&mut object);
        self.put(object)
    }

    /// Deletes an object at once.
    ///
    /// # Errors
    /// Where it is not there.
    pub fn take_away(&mut self, plural: &str, namespace: &str, name: &str) -> Result<(), Refusal> {
        let kind = self.registry.named(plural).ok_or_else(Refusal::no_such_resource)?;
        let target = Target {
            verb: super::request::Verb::Delete,
            namespace: kind.namespaced.then(|| namespace.to_owned()),
            name: Some(name.to_owned()),
            named: None,
            kind,
            status: false,
        };
        self.delete(&target, &Value::Null).map(drop)
    }
}
