//! One function per verb.
//!
//! In: the environment, stdin. Out: what goes to stdout, and whether it is an error. Nothing here
//! but [`run`] reads or writes the process's own. CNI specification 1.1.0, section 2.

mod add;
mod attach;
mod check;
mod del;
mod gc;
mod loopback;
mod plan;
mod status;

use std::ffi::OsString;
use std::io::Read;

use serde_json::{Value, json};

use crate::config::{Envelope, Environment, NetworkConfig, SpecVersion, Verb};
use crate::error::{Code, Error};
use crate::link::InterfaceName;

/// The longest configuration that is read.
pub const MAX_STDIN: u64 = 16 << 20;

/// What a verb writes to stdout, and whether it went well.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// JSON; `None`: nothing.
    pub stdout: Option<Value>,
    /// False: exit code 1, and `stdout` is the error structure.
    pub success: bool,
}

/// A request whose environment and envelope are in order.
pub(crate) struct Request {
    pub(crate) environment: Environment,
    pub(crate) envelope: Envelope,
}

impl Request {
    /// The interface; the environment is checked for it where the verb needs one.
    pub(crate) fn interface(&self) -> Result<InterfaceName, Error> {
        let missing = || Error::new(Code::Environment, "missing in the environment: CNI_IFNAME");
        self.environment.interface.ok_or_else(missing)
    }

    pub(crate) fn config(&self) -> Result<NetworkConfig, Error> {
        NetworkConfig::read(&self.envelope)
    }

    /// CHECK came with 0.4.0, GC and STATUS with 1.1.0.
    fn check_version(&self) -> Result<(), Error> {
        let needed = match self.environment.verb {
            Verb::Check => SpecVersion::V0_4_0,
            Verb::Gc | Verb::Status => SpecVersion::V1_1_0,
            Verb::Add | Verb::Del | Verb::Version => SpecVersion::V0_3_0,
        };
        if self.envelope.version >= needed {
            return Ok(());
        }
        Err(Error::new(
            Code::IncompatibleVersion,
            format!(
                "network configuration: cniVersion: {} has no {:?}; it came with {needed}",
                self.envelope.version, self.environment.verb
            ),
        ))
    }

    fn is_loopback(&self) -> bool {
        self.envelope.value.get("type").and_then(Value::as_str) == Some("loopback")
    }
}

/// Serves one call of a runtime.
pub fn run(variable: impl Fn(&str) -> Option<OsString>, stdin: impl Read) -> Answer {
    let mut version = SpecVersion::NEWEST;
    match serve(variable, stdin, &mut version) {
        Ok(stdout) => Answer { stdout, success: true },
        Err(error) => Answer { stdout: Some(error.to_json(version.as_str())), success: false },
    }
}

fn serve(
    variable: impl Fn(&str) -> Option<OsString>,
    stdin: impl Read,
    version: &mut SpecVersion,
) -> Result<Option<Value>, Error> {
    let environment = Environment::read(variable)?;
    let mut bytes = Vec::new();
    stdin.take(MAX_STDIN).read_to_end(&mut bytes).map_err(|error| {
        Error::new(Code::Io, format!("cannot read the network configuration on stdin: {error}"))
    })?;
    if environment.verb == Verb::Version {
        return Ok(Some(versions(&bytes)));
    }
    let envelope = Envelope::read(&bytes)?;
    *version = envelope.version;
    let request = Request { environment, envelope };
    request.check_version()?;
    if request.is_loopback() {
        return loopback::serve(&request);
    }
    match request.environment.verb {
        Verb::Add => add::add(&request).map(Some),
        Verb::Del => del::del(&request).map(|()| None),
        Verb::Check => check::check(&request).map(|()| None),
        Verb::Gc => gc::gc(&request).map(|()| None),
        Verb::Status => status::status(&request).map(|()| None),
        Verb::Version => Ok(Some(versions(&bytes))),
    }
}

/// The version asked in, where it is a string, and ours. Never fails: it is what a runtime asks
/// first, some of them with nothing on stdin.
fn versions(stdin: &[u8]) -> Value {
    let asked: Option<Value> = serde_json::from_slice(stdin).ok();
    let asked = asked.as_ref().and_then(|config| config.get("cniVersion")).and_then(Value::as_str);
    json!({
        "cniVersion": asked.filter(|asked| !asked.is_empty()).unwrap_or(SpecVersion::NEWEST.as_str()),
        "supportedVersions": SpecVersion::ALL.map(SpecVersion::as_str),
    })
}
