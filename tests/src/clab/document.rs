//! A topology file as it is written: every key of the format is read, ignored or refused by name.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

/// A key that has no meaning here, and changes none.
type Ignored = Option<IgnoredAny>;

/// A key that would mean something we do not do.
#[derive(Debug, Clone)]
pub(super) enum Refused {}

impl<'de> Deserialize<'de> for Refused {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Refused, D::Error> {
        Err(D::Error::custom(
            "the lab in namespaces does not know what this key asks for: remove it, or run the \
             file by containerlab",
        ))
    }
}

/// A value that programs get as text; a number or a truth value is taken as it reads.
#[derive(Debug, Clone)]
pub(super) struct Text(pub(super) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, a number or a truth value")
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<Text, E> {
                Ok(Text(value.to_owned()))
            }
            fn visit_bool<E: Error>(self, value: bool) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Document {
    pub(super) name: Spanned<String>,
    pub(super) topology: Topology,
    #[serde(default, rename = "prefix")]
    _prefix: Ignored,
    /// There is no management network: nobody needs an address to enter a namespace.
    #[serde(default, rename = "mgmt")]
    _mgmt: Ignored,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Topology {
    #[serde(default)]
    pub(super) defaults: Node,
    #[serde(default)]
    pub(super) kinds: BTreeMap<String, Node>,
    pub(super) nodes: BTreeMap<String, Spanned<Option<Node>>>,
    #[serde(default)]
    pub(super) links: Vec<Link>,
    #[serde(default, rename = "groups")]
    _groups: Option<Refused>,
}

/// What a node says, or `defaults` and `kinds` say for it.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct Node {
    pub(super) kind: Option<Spanned<String>>,
    pub(super) image: Option<Spanned<String>>,
    pub(super) entrypoint: Option<Spanned<String>>,
    pub(super) cmd: Option<Spanned<String>>,
    pub(super) binds: Vec<Spanned<String>>,
    pub(super) exec: Vec<Spanned<String>>,
    pub(super) env: BTreeMap<String, Text>,
    pub(super) sysctls: BTreeMap<String, Spanned<Text>>,
    // What containers and their management have, and namespaces have not.
    #[serde(rename = "image-pull-policy")]
    _image_pull_policy: Ignored,
    #[serde(rename = "labels")]
    _labels: Ignored,
    /// Where pictures draw the node.
    #[serde(rename = "group")]
    _group: Ignored,
    #[serde(rename = "mgmt-ipv4")]
    _mgmt_ipv4: Ignored,
    #[serde(rename = "mgmt-ipv6")]
    _mgmt_ipv6: Ignored,
    #[serde(rename = "ports")]
    _ports: Ignored,
    #[serde(rename = "memory")]
    _memory: Ignored,
    #[serde(rename = "cpu")]
    _cpu: Ignored,
    #[serde(rename = "cpu-set")]
    _cpu_set: Ignored,
    #[serde(rename = "restart-policy")]
    _restart_policy: Ignored,
    #[serde(rename = "auto-remove")]
    _auto_remove: Ignored,
    // What would make another network of it.
    #[serde(rename = "type")]
    _type: Option<Refused>,
    #[serde(rename = "network-mode")]
    _network_mode: Option<Refused>,
    #[serde(rename = "startup-config")]
    _startup_config: Option<Refused>,
    #[serde(rename = "startup-delay")]
    _startup_delay: Option<Refused>,
    #[serde(rename = "stages")]
    _stages: Option<Refused>,
    #[serde(rename = "user")]
    _user: Option<Refused>,
    #[serde(rename = "env-files")]
    _env_files: Option<Refused>,
    #[serde(rename = "runtime")]
    _runtime: Option<Refused>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Link {
    pub(super) endpoints: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    pub(super) mtu: Option<u32>,
    #[serde(default, rename = "labels")]
    _labels: Ignored,
    #[serde(default, rename = "vars")]
    _vars: Ignored,
    /// The long form of a link.
    #[serde(default, rename = "type")]
    _type: Option<Refused>,
}
