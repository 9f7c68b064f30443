//! The last known world on disk, for an agent that starts while the API server is away.
//!
//! Objects are kept as the API server has them, without what does not count, and are read again
//! by the same code. Of an object whose newest state was invalid, the one that stood is kept.
//! Passwords are not among them: they lie in a file of their own under /run, which is memory,
//! mode 0600.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use k8s_openapi::ByteString;
use serde::{Deserialize, Serialize};

use super::object;
use super::service::{ServiceFacts, SliceFacts};
use super::settings::SecretKey;
use super::world::World;

/// Of the files' form; another one is passed over.
const FORM: u32 = 1;
/// The largest file that is read.
const LARGEST: u64 = 256 << 20;

/// Where the world is kept.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    world: PathBuf,
    secrets: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    form: u32,
    /// Of which node: passwords and peers of another are not ours.
    node: String,
    nodes: Vec<object::Node>,
    configurations: Vec<object::Configuration>,
    peers: Vec<object::Peer>,
    services: BTreeMap<String, ServiceFacts>,
    slices: BTreeMap<String, SliceFacts>,
}

#[derive(Serialize, Deserialize)]
struct KeptSecrets {
    form: u32,
    node: String,
    passwords: Vec<Password>,
    /// Annotations of this node's object that can hold passwords.
    annotations: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct Password {
    name: String,
    key: String,
    value: ByteString,
}

/// What is to be written.
pub(super) struct Image {
    world: Vec<u8>,
    secrets: Vec<u8>,
}

impl Cache {
    /// `state`: on disk; `run`: in memory.
    pub(super) fn new(state: &Path, run: &Path) -> Cache {
        Cache { world: state.join("world.json"), secrets: run.join("secrets.json") }
    }

    /// What was kept for this node; `None` where there is nothing.
    pub(super) fn load(&self, node: &str) -> Option<World> {
        let kept: Kept = read(&self.world)?;
        let secrets: Option<KeptSecrets> = read(&self.secrets);
        if kept.form != FORM || kept.node != node {
            return None;
        }
        let secrets = secrets.filter(|kept| kept.form == FORM && kept.node == node);
        let mut world = World::default();
        for mut object in kept.nodes {
            if let (Some(secrets), Some(name)) = (&secrets, &object.metadata.name)
                && name == node
            {
                let annotations = object.metadata.annotations.get_or_insert_default();
                annotations.extend(secrets.annotations.clone());
            }
            world.node(&object);
        }
        kept.configurations.iter().for_each(|object| world.configuration(object));
        kept.peers.iter().for_each(|object| world.peer(object));
        kept.services.into_iter().for_each(|(key, facts)| world.service(key, facts));
        kept.slices.into_iter().for_each(|(key, facts)| world.slice(key, Some(facts)));
        for Password { name, key, value } in secrets.into_iter().flat_map(|kept| kept.passwords) {
            world.password_stood(SecretKey { name, key }, twill_bgp::Secret::new(value.0));
        }
        tracing::info!("the world as it was known last is there: {}", self.world.display());
        Some(world)
    }

    /// What [`Cache::save`] writes of a world.
    pub(super) fn image(world: &World, node: &str) -> Image {
        let (services, slices) = world.kept_services();
        let mut kept = Kept {
            form: FORM,
            node: node.to_owned(),
            nodes: Vec::new(),
            configurations: world.kept_configurations(),
            peers: world.kept_peers(),
            services: services.clone(),
            slices: slices.clone(),
        };
        let mut annotations = BTreeMap::new();
        for facts in world.facts() {
            kept.nodes.push(facts.to_object());
            if &*facts.name == node {
                annotations = facts.annotations.as_written(false);
                for key in facts.annotations.as_written(true).keys() {
                    annotations.remove(key);
                }
            }
        }
        let password = |(reference, secret): (&SecretKey, &twill_bgp::Secret)| Password {
            name: reference.name.clone(),
            key: reference.key.clone(),
            value: ByteString(secret.0.to_vec()),
        };
        let secrets = KeptSecrets {
            form: FORM,
            node: node.to_owned(),
            passwords: world.standing_passwords().map(password).collect(),
            annotations,
        };
        // Strings, numbers, lists and maps can be written.
        Image {
            world: serde_json::to_vec(&kept).unwrap_or_default(),
            secrets: serde_json::to_vec(&secrets).unwrap_or_default(),
        }
    }

    /// Writes both files, each whole or not at all. Blocks.
    ///
    /// # Errors
    /// Of the file system, with the file.
    pub(super) fn save(&self, image: &Image) -> Result<(), String> {
        for (path, bytes, mode) in
            [(&self.secrets, &image.secrets, 0o600), (&self.world, &image.world, 0o644)]
        {
            put(path, bytes, mode).map_err(|error| {
                format!("the world cannot be kept in {}: {error}", path.display())
            })?;
        }
        Ok(())
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    let fault = |error: &dyn std::fmt::Display| {
        tracing::warn!("{} is passed over: {error}", path.display());
    };
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > LARGEST => {
            fault(&"it is too large");
            return None;
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            fault(&error);
            return None;
        }
    }
    let read = fs::read(path).map_err(io::Error::other);
    match read.and_then(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::other)) {
        Ok(value) => Some(value),
        Err(error) => {
            fault(&error);
            None
        }
    }
}

fn put(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let directory = path.parent().ok_or_else(|| io::Error::other("it is no file name"))?;
    fs::create_dir_all(directory)?;
    let temporary = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&temporary)?;
    // One that lay there already keeps its mode otherwise.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    fs::File::open(directory)?.sync_all()
}
