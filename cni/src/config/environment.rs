//! The environment: which verb, for whom.
//!
//! CNI specification 1.1.0, section 2 (Parameters).

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::config::is_identifier;
use crate::error::{Code, Error};
use crate::link::{InterfaceName, Mac};

/// CNI_COMMAND.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Attach.
    Add,
    /// Detach.
    Del,
    /// See whether an attachment is as ADD left it.
    Check,
    /// Free what belongs to no attachment.
    Gc,
    /// Say whether ADD can be served.
    Status,
    /// Say which versions are spoken.
    Version,
}

impl Verb {
    fn read(text: &str) -> Option<Self> {
        Some(match text {
            "ADD" => Self::Add,
            "DEL" => Self::Del,
            "CHECK" => Self::Check,
            "GC" => Self::Gc,
            "STATUS" => Self::Status,
            "VERSION" => Self::Version,
            _ => return None,
        })
    }

    /// Which variables it cannot do without.
    fn required(self) -> &'static [&'static str] {
        match self {
            Self::Add | Self::Check => &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
            Self::Del => &["CNI_CONTAINERID", "CNI_IFNAME"],
            Self::Gc | Self::Status | Self::Version => &[],
        }
    }
}

/// The variables, checked. What the verb does not need may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// CNI_COMMAND.
    pub verb: Verb,
    /// CNI_CONTAINERID.
    pub container_id: String,
    /// CNI_NETNS.
    pub netns: Option<PathBuf>,
    /// CNI_IFNAME.
    pub interface: Option<InterfaceName>,
    /// CNI_ARGS.
    pub args: ExtraArgs,
    /// CNI_PATH, in parts.
    pub path: Vec<PathBuf>,
}

/// CNI_ARGS, as far as they mean something to us.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExtraArgs {
    /// `IP`.
    pub address: Option<IpAddr>,
    /// `MAC`.
    pub mac: Option<Mac>,
}

impl Environment {
    /// Reads and checks all variables.
    ///
    /// # Errors
    /// Code 4, naming each variable that is missing or wrong.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let text = |name: &str| -> Result<String, Error> {
            variable(name)
                .unwrap_or_default()
                .into_string()
                .map_err(|value| wrong(name, &value.to_string_lossy(), "UTF-8"))
        };
        let command = text("CNI_COMMAND")?;
        if command.is_empty() {
            return Err(missing(&["CNI_COMMAND"]));
        }
        let verb = Verb::read(&command).ok_or_else(|| {
            wrong("CNI_COMMAND", &command, "ADD, DEL, CHECK, GC, STATUS or VERSION")
        })?;
        let absent = |name: &&&str| variable(name).is_none_or(|value| value.is_empty());
        let absent: Vec<&str> = verb.required().iter().filter(absent).copied().collect();
        if !absent.is_empty() {
            return Err(missing(&absent));
        }
        if verb.required().is_empty() {
            return Ok(Self { path: path(variable("CNI_PATH")), ..Self::of(verb) });
        }
        let container_id = text("CNI_CONTAINERID")?;
        if !is_identifier(&container_id) {
            let expected = "a letter or digit, then letters, digits, _ . -";
            return Err(wrong("CNI_CONTAINERID", &container_id, expected));
        }
        let interface = text("CNI_IFNAME")?;
        let interface = InterfaceName::new(&interface)
            .map_err(|error| Error::new(Code::Environment, format!("CNI_IFNAME: {error}")))?;
        Ok(Self {
            verb,
            container_id,
            netns: variable("CNI_NETNS").filter(|path| !path.is_empty()).map(PathBuf::from),
            interface: Some(interface),
            args: ExtraArgs::read(&text("CNI_ARGS")?)?,
            path: path(variable("CNI_PATH")),
        })
    }

    fn of(verb: Verb) -> Self {
        Self {
            verb,
            container_id: String::new(),
            netns: None,
            interface: None,
            args: ExtraArgs::default(),
            path: Vec::new(),
        }
    }
}

impl ExtraArgs {
    /// Reads `KEY=VALUE;KEY=VALUE`. An unknown key is an error unless `IgnoreUnknown` is true.
    fn read(text: &str) -> Result<Self, Error> {
        let mut args = Self::default();
        let mut unknown = None;
        let mut ignore = false;
        for pair in text.split(';').filter(|pair| !pair.is_empty()) {
            let bad = |expected: &str| wrong("CNI_ARGS", pair, expected);
            let (key, value) = pair.split_once('=').ok_or_else(|| bad("KEY=VALUE;KEY=VALUE"))?;
            match key {
                "IgnoreUnknown" => {
                    ignore = match value.to_ascii_lowercase().as_str() {
                        "1" | "true" => true,
                        "0" | "false" => false,
                        _ => return Err(bad("IgnoreUnknown=1 or IgnoreUnknown=0")),
                    }
                }
                "IP" => args.address = Some(value.parse().map_err(|_| bad("IP=an address"))?),
                "MAC" => {
                    let expected = "MAC=a unicast hardware address";
                    args.mac = Some(Mac::parse(value).ok_or_else(|| bad(expected))?);
                }
                _ => unknown = unknown.or(Some(pair)),
            }
        }
        match unknown {
            Some(pair) if !ignore => Err(wrong(
                "CNI_ARGS",
                pair,
                "IP, MAC or IgnoreUnknown; others pass with IgnoreUnknown=1",
            )),
            _ => Ok(args),
        }
    }
}

fn path(variable: Option<OsString>) -> Vec<PathBuf> {
    let path = variable.unwrap_or_default();
    std::env::split_paths(&path).filter(|dir| dir.is_absolute()).collect()
}

fn missing(names: &[&str]) -> Error {
    let names = names.join(", ");
    Error::new(Code::Environment, format!("missing in the environment: {names}"))
}

fn wrong(name: &str, value: &str, expected: &str) -> Error {
    Error::new(Code::Environment, format!("{name}: expected {expected}, found \"{value}\""))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Environment, Error> {
        let map: HashMap<&str, &str> = pairs.iter().copied().collect();
        Environment::read(|name| map.get(name).map(OsString::from))
    }

    const ADD: [(&str, &str); 4] = [
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", "c1"),
        ("CNI_NETNS", "/run/netns/a"),
        ("CNI_IFNAME", "eth0"),
    ];

    fn with(name: &'static str, value: &'static str) -> Result<Environment, Error> {
        let mut pairs = ADD.to_vec();
        pairs.push((name, value));
        read(&pairs)
    }

    #[test]
    fn each_missing_variable_is_named() {
        assert_eq!(read(&[]).unwrap_err().message(), "missing in the environment: CNI_COMMAND");
        assert_eq!(
            read(&[("CNI_COMMAND", "ADD"), ("CNI_NETNS", "")]).unwrap_err().message(),
            "missing in the environment: CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME"
        );
        assert_eq!(
            read(&[("CNI_COMMAND", "DEL")]).unwrap_err().message(),
            "missing in the environment: CNI_CONTAINERID, CNI_IFNAME"
        );
        for verb in ["GC", "STATUS", "VERSION"] {
            assert!(read(&[("CNI_COMMAND", verb)]).is_ok(), "{verb}");
        }
    }

    #[test]
    fn wrong_values_are_code_4_and_name_the_variable() {
        for (name, value) in [
            ("CNI_COMMAND", "add"),
            ("CNI_CONTAINERID", "../../etc"),
            ("CNI_CONTAINERID", "-a"),
            ("CNI_CONTAINERID", "a/b"),
            ("CNI_CONTAINERID", "a b"),
            ("CNI_IFNAME", "a/b"),
            ("CNI_IFNAME", ".."),
            ("CNI_IFNAME", "sixteen-bytes-16"),
            ("CNI_ARGS", "IP"),
            ("CNI_ARGS", "IP=10.0.0.0/8"),
            ("CNI_ARGS", "MAC=ff:ff:ff:ff:ff:ff"),
            ("CNI_ARGS", "K8S_POD_NAME=a"),
            ("CNI_ARGS", "IgnoreUnknown=maybe"),
        ] {
            let error = with(name, value).unwrap_err();
            assert_eq!(error.code(), 4, "{name}={value}");
            assert!(error.message().contains(name), "{error}");
        }
    }

    #[test]
    fn args_are_read() {
        let args = "IgnoreUnknown=1;K8S_POD_NAME=a;IP=10.0.0.9;MAC=02:00:00:00:00:09";
        let environment = with("CNI_ARGS", args).unwrap();
        assert_eq!(environment.args.address, "10.0.0.9".parse().ok());
        assert_eq!(environment.args.mac, Mac::parse("02:00:00:00:00:09"));
        let path = with("CNI_PATH", "/a:relative:/b").unwrap().path;
        assert_eq!(path, [PathBuf::from("/a"), PathBuf::from("/b")]);
    }
}
