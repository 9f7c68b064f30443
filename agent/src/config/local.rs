//! What belongs to one node alone where all the rest comes from the API server: a small optional
//! file, of the same form as the whole one.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use twill_bgp::proto::types::RouterId;

use super::read::{Field, Section, Sink};
use super::{ConfigError, Environment, host, or, own_name, text_of, tree, values};
use super::{listen_port, with_process_environment};
use crate::source::Cni;

/// Where it is looked for, unless told otherwise.
pub const LOCAL_FILE: &str = "/etc/twill/node.yaml";
/// How long the API server is asked to let a watch stand, which is also how long one may be
/// silent before it is taken for dead: what client libraries ask for.
const WATCH_TIMEOUT: Duration = Duration::from_secs(290);

/// What belongs to one node alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// The name of its Node object.
    pub node: String,
    /// In place of its first IPv4 address.
    pub router_id: Option<RouterId>,
    /// Where to listen.
    pub listen_port: u16,
    /// The CNI file.
    pub cni: Cni,
    /// Where metrics, health and the looking glass listen.
    pub http: Option<SocketAddr>,
    /// How long a watch may be silent.
    pub watch_timeout: Duration,
}

impl Local {
    /// Reads a file. `None`: the usual one, which need not be there.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn load(path: Option<&Path>) -> Result<Local, ConfigError> {
        let usual = Path::new(LOCAL_FILE);
        let text = match path {
            Some(path) => text_of(path)?,
            None if usual.exists() => text_of(usual)?,
            None => String::new(),
        };
        let path = path.unwrap_or(usual);
        with_process_environment(path, |environment| Local::parse(&text, path, environment))
    }

    /// Checks a text; `file` is only for the errors' sake.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(
        text: &str,
        file: &Path,
        environment: &Environment<'_>,
    ) -> Result<Local, ConfigError> {
        let refused =
            |problems| ConfigError { file: file.to_owned(), problems, secret_files: Vec::new() };
        let root = tree::parse(text).map_err(refused)?;
        let sink = Sink::default();
        let local = Field::root(&root, &sink).section(|section| read(section, environment));
        match (local, sink.into_parts().0) {
            (Some(local), problems) if problems.is_empty() => Ok(local),
            (_, problems) => Err(refused(problems)),
        }
    }
}

fn read(section: &mut Section<'_>, environment: &Environment<'_>) -> Option<Local> {
    let node = own_name(section, environment);
    let router_id = or(section.get("routerId"), None, |field| {
        field.parse("a router id", values::router_id).map(Some)
    });
    let listen_port = listen_port(section);
    let cni = host::cni(section.get("cni"));
    let http = host::http(section.get("http"));
    let watch_timeout = match section.get("apiServer") {
        Some(field) => field.section(|section| {
            or(section.get("watchTimeout"), WATCH_TIMEOUT, |field| {
                let time = field.parse("a duration", values::duration)?;
                if time.is_zero() {
                    field.wrong("expected 1s or more");
                    return None;
                }
                Some(time)
            })
        }),
        None => Some(WATCH_TIMEOUT),
    };
    Some(Local {
        node: node?,
        router_id: router_id?,
        listen_port: listen_port?,
        cni: cni?,
        http: http?,
        watch_timeout: watch_timeout?,
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn parse(text: &str) -> Result<Local, ConfigError> {
        let environment = Environment {
            variable: &|name| (name == "NODE_NAME").then(|| "node-a".to_owned()),
            host_name: Some("host".to_owned()),
            directory: PathBuf::new(),
        };
        Local::parse(text, Path::new("node.yaml"), &environment)
    }

    #[test]
    fn an_empty_file_is_no_error() {
        let local = parse("").unwrap();
        assert_eq!((local.node.as_str(), local.listen_port), ("node-a", 179));
        assert_eq!(local.watch_timeout, WATCH_TIMEOUT);
        let local =
            parse("{node: b, listen: {port: 1179}, apiServer: {watchTimeout: 5s}}").unwrap();
        assert_eq!((local.node.as_str(), local.listen_port), ("b", 1179));
        assert_eq!(local.watch_timeout, Duration::from_secs(5));
    }

    #[test]
    fn what_belongs_to_the_cluster_is_unknown_here() {
        for (text, expected) in [
            ("asn: 64512", "asn: unknown key"),
            ("apiServer: {watchTimeout: 0s}", "1s or more"),
            ("lisen: {port: 1}", "did you mean `listen`?"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
