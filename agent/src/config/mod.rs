//! The configuration file: YAML in, a checked [`Snapshot`] out.
//!
//! ```text
//! text -> tree (every key and value with its line) -> sections that ask for the keys they know
//!      -> values, checked one by one -> cross: held against each other -> Snapshot
//! ```
//!
//! Nothing stops at the first error: a file comes back with all that is wrong with it, each with
//! line, key, what was expected and the remedy. An unknown key is an error, and so is a value
//! that is not built yet.

mod cross;
mod file;
mod host;
mod local;
mod mesh;
mod peer;
mod policy;
mod problem;
mod read;
pub mod resource;
mod secret;
mod session;
#[cfg(test)]
mod tests;
mod tree;
pub(crate) mod values;

use std::path::{Path, PathBuf};

use twill_bgp::proto::types::{Asn, Prefix, RouterId};

pub use local::{LOCAL_FILE, Local};
pub use problem::{ConfigError, Place, Problem};

use self::cross::Whole;
use self::mesh::NodeEntry;
use self::read::{Field, Section, Sink, Sited};
use crate::source::Snapshot;

/// Where the file is looked for.
pub const DEFAULT_FILE: &str = "/etc/twill/twill.yaml";
/// The largest file that is read: room for many thousand nodes.
pub const MAX_FILE: usize = 4 * 1024 * 1024;
/// The AS of a node that names none: the first for private use (RFC 6996).
const DEFAULT_ASN: Asn = Asn::new(64512).expect("not zero");
/// BGP's port.
const DEFAULT_PORT: u16 = 179;

/// A configuration that was understood.
#[derive(Debug, Clone)]
pub struct Config {
    /// All that the agent acts upon.
    pub snapshot: Snapshot,
    /// What is doubtful, but no error.
    pub warnings: Vec<Problem>,
    /// The password files that it names.
    pub secret_files: Vec<PathBuf>,
}

/// What a configuration takes from outside its file.
pub struct Environment<'a> {
    /// An environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// This host's name.
    pub host_name: Option<String>,
    /// What relative paths begin from: the folder of the file.
    pub directory: PathBuf,
}

impl Config {
    /// Reads and checks a file, with this process's environment.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text = text_of(path)?;
        with_process_environment(path, |environment| Config::parse(&text, path, environment))
    }

    /// Checks a text; `file` is only for the errors' sake.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(
        text: &str,
        file: &Path,
        environment: &Environment<'_>,
    ) -> Result<Config, ConfigError> {
        let refused =
            |problems, secret_files| ConfigError { file: file.to_owned(), problems, secret_files };
        let root = tree::parse(text).map_err(|problems| refused(problems, Vec::new()))?;
        let sink = Sink::default();
        let mut secret_files = Vec::new();
        let snapshot = Field::root(&root, &sink)
            .section(|section| top(section, environment, &mut secret_files));
        let (problems, warnings) = sink.into_parts();
        secret_files.sort();
        secret_files.dedup();
        match snapshot {
            Some(snapshot) if problems.is_empty() => {
                Ok(Config { snapshot, warnings, secret_files })
            }
            _ => Err(refused(problems, secret_files)),
        }
    }
}

/// The text of a file, within its limit.
fn text_of(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |message: String| ConfigError {
        file: path.to_owned(),
        problems: vec![Problem { place: None, key: String::new(), message }],
        secret_files: Vec::new(),
    };
    let (bytes, _) = file::read_bounded(path, MAX_FILE + 1)
        .map_err(|error| unreadable(format!("the configuration cannot be read: {error}")))?;
    if bytes.len() > MAX_FILE {
        return Err(unreadable(format!("the file is larger than {MAX_FILE} bytes")));
    }
    String::from_utf8(bytes)
        .map_err(|error| unreadable(format!("the file is not UTF-8 text: {error}")))
}

/// With the environment of this process, and paths that begin from the file's folder.
fn with_process_environment<T>(path: &Path, read: impl FnOnce(&Environment<'_>) -> T) -> T {
    let host_name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    read(&Environment {
        variable: &|name| std::env::var(name).ok(),
        host_name: host_name.map(|name| name.trim().to_owned()),
        directory: path.parent().map(Path::to_owned).unwrap_or_default(),
    })
}

/// The top level. `None` only where a problem was noted.
fn top(
    section: &mut Section<'_>,
    environment: &Environment<'_>,
    secret_files: &mut Vec<PathBuf>,
) -> Option<Snapshot> {
    let name = own_name(section, environment);
    let asn = section.get("asn").map_or(Some(DEFAULT_ASN), |field| asn(&field));
    let router_id = section.get("routerId").map(|field| {
        field.parse("a router id", values::router_id).map(|value| Sited { value, field })
    });
    let own = NodeEntry {
        name: name.clone().unwrap_or_default(),
        whole: section.field.clone(),
        addresses: mesh::addresses(section.get("addresses")),
        pod_cidrs: mesh::pod_cidrs(section.get("podCIDRs")),
        reflector: None,
        client_of: None,
    };
    let listen_port = listen_port(section);
    let mesh = match section.get("mesh") {
        Some(field) => field.section(|section| mesh::read(section, environment, secret_files)),
        None => mesh::MeshEntry::default(),
    };
    let mut mentioned = Vec::new();
    let peers = section.get("peers").map(|field| {
        field.list_of("routers", |peer| {
            let peer = peer.clone();
            peer.section(|section| {
                peer::read(section, asn, environment, secret_files, &mut mentioned)
            })
        })
    });
    let announce = section.get("announce").map(|field| {
        field.list_of("prefixes", |item| item.parse("a prefix", values::routable_prefix))
    });
    let dataplane = host::dataplane(section.get("dataplane"));
    let cni = host::cni(section.get("cni"));
    let http = host::http(section.get("http"));

    cross::check(Whole {
        name: name?,
        asn: asn?,
        router_id: match router_id {
            Some(given) => Some(given?),
            None => None,
        },
        own,
        listen_port: listen_port?,
        mesh,
        peers: peers.unwrap_or_default(),
        mentioned,
        announce: announce.unwrap_or_default(),
        dataplane: dataplane?,
        cni: cni?,
        http: http?,
    })
}

fn listen_port(section: &mut Section<'_>) -> Option<u16> {
    match section.get("listen") {
        Some(listen) => {
            listen.section(|listen| listen.get("port").map_or(Some(DEFAULT_PORT), port))
        }
        None => Some(DEFAULT_PORT),
    }
}

fn own_name(section: &mut Section<'_>, environment: &Environment<'_>) -> Option<String> {
    match section.get("node") {
        Some(field) => field.parse("a name", values::name),
        None => default_name(section, environment),
    }
}

fn default_name(section: &Section<'_>, environment: &Environment<'_>) -> Option<String> {
    let name = (environment.variable)("NODE_NAME").or_else(|| environment.host_name.clone());
    let name = values::name(name.as_deref().unwrap_or_default());
    if let Err(error) = &name {
        section.field.wrong(format!(
            "`node` is missing, and neither NODE_NAME nor the host name will do ({error}): set it"
        ));
    }
    name.ok()
}

fn asn(field: &Field<'_>) -> Option<Asn> {
    let number = field.number(0..=u32::MAX)?;
    values::usable_asn(number).map_err(|why| field.wrong(why)).ok()
}

#[allow(clippy::needless_pass_by_value, reason = "what Section::get gives is used up here")]
fn port(field: Field<'_>) -> Option<u16> {
    field.number(1..=65535).and_then(|number| u16::try_from(number).ok())
}

/// Of a field that is not there: its default. Of one that is: what could be read.
fn or<'a, T>(
    field: Option<Field<'a>>,
    default: T,
    read: impl FnOnce(&Field<'a>) -> Option<T>,
) -> Option<T> {
    field.map_or(Some(default), |field| read(&field))
}

/// What pod CIDRs and announcements are checked as.
type SitedPrefix<'a> = Sited<'a, Prefix>;
/// A router id, where one is given.
type SitedRouterId<'a> = Sited<'a, RouterId>;
