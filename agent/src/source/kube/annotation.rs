//! Annotations of Nodes: kube-router's names under `kube-router.io/`, and the same under
//! `twill.dev/`, which win.
//!
//! Each group (the AS, the reflector, the pod CIDRs, the peers) is taken or refused by itself; a
//! refused one stays as it was. A Node's annotations can be written by its own kubelet, so what
//! they claim is held against the other Nodes later.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use serde::Deserialize;
use twill_bgp::Secret;
use twill_bgp::proto::types::{Asn, ClusterId, Prefix};

use super::node::NodeRefusal;
use crate::config::values;

/// Where our annotations are.
pub const OURS: &str = "twill.dev/";
/// Where kube-router's are.
pub const THEIRS: &str = "kube-router.io/";
/// The longest password that TCP MD5 takes (TCP_MD5SIG_MAXKEYLEN).
const MAX_PASSWORD: usize = 80;
/// Peers that one Node may name.
const MAX_PEERS: usize = 64;

const ASN: &str = "node.asn";
const REFLECTOR: &str = "rr.server";
const CLIENT: &str = "rr.client";
const POD_CIDR: &str = "pod-cidr";
const POD_CIDRS: &str = "pod-cidrs";
const PEERS: &str = "peers";
const PEER_IPS: &str = "peer.ips";
const PEER_ASNS: &str = "peer.asns";
const PEER_PORTS: &str = "peer.ports";
const PEER_PASSWORDS: &str = "peer.passwords";
const PEER_LOCAL_IPS: &str = "peer.localips";
const PEER_KEYS: [&str; 6] =
    [PEERS, PEER_IPS, PEER_ASNS, PEER_PORTS, PEER_PASSWORDS, PEER_LOCAL_IPS];
/// Known to kube-router, and not acted upon here.
const NOT_BUILT: [&str; 3] = ["path-prepend.as", "path-prepend.repeat-n", "node.bgp.communities"];
/// What can hold passwords, and so never goes to the disk.
const SECRET: [&str; 2] = [PEERS, PEER_PASSWORDS];

/// What the annotations of a Node say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeAnnotations {
    /// As written, by name without its prefix; of a refused group, as it was before.
    written: BTreeMap<String, String>,
    /// Its AS.
    pub asn: Option<Asn>,
    /// It is a reflector of this cluster.
    pub reflector: Option<ClusterId>,
    /// It is a client of this cluster's reflectors.
    pub client: Option<ClusterId>,
    /// In place of those of `spec`.
    pub pod_cidrs: Option<Vec<Prefix>>,
    /// Routers that it peers with.
    pub peers: Vec<AnnotatedPeer>,
    /// Those that are not acted upon.
    pub idle: Vec<String>,
}

/// A router that a Node's annotations name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnotatedPeer {
    /// Its address.
    pub address: IpAddr,
    /// Its AS.
    pub asn: Asn,
    /// Its port; `None`: BGP's.
    pub port: Option<u16>,
    /// TCP MD5.
    pub password: Option<Secret>,
    /// What the session is to come from.
    pub local: Option<IpAddr>,
}

type Fault = (&'static str, String);

impl NodeAnnotations {
    /// Reads them. What is refused is as it was `before`.
    pub fn read(
        annotations: &BTreeMap<String, String>,
        before: Option<&NodeAnnotations>,
    ) -> (NodeAnnotations, Vec<NodeRefusal>) {
        let mut written = BTreeMap::new();
        for prefix in [THEIRS, OURS] {
            for (key, value) in annotations {
                if let Some(name) = key.strip_prefix(prefix).filter(|name| is_known(name)) {
                    written.insert(name.to_owned(), value.clone());
                }
            }
        }
        let mut refusals = Vec::new();
        let mut read = NodeAnnotations { written, ..NodeAnnotations::default() };
        let groups: [(&[&str], Group); 4] = [
            (&[ASN], |read, text| {
                read.asn = text(ASN).map(asn).transpose()?;
                Ok(())
            }),
            (&[REFLECTOR, CLIENT], |read, text| {
                read.reflector = text(REFLECTOR).map(|id| cluster(REFLECTOR, id)).transpose()?;
                read.client = text(CLIENT).map(|id| cluster(CLIENT, id)).transpose()?;
                Ok(())
            }),
            (&[POD_CIDR, POD_CIDRS], |read, text| {
                read.pod_cidrs = pod_cidrs(text)?;
                Ok(())
            }),
            (&PEER_KEYS, |read, text| {
                read.peers = peers(text)?;
                Ok(())
            }),
        ];
        for (keys, take) in groups {
            let as_written = read.written.clone();
            if let Err((key, why)) =
                take(&mut read, &|name| as_written.get(name).map(String::as_str))
            {
                refusals.push(NodeRefusal::Annotation { key: spelled(annotations, key), why });
                let Some(before) = before else { continue };
                for key in keys {
                    read.written.remove(*key);
                    if let Some(value) = before.written.get(*key) {
                        read.written.insert((*key).to_owned(), value.clone());
                    }
                }
                let as_before = before.written.clone();
                // It was taken once, so it is taken again.
                drop(take(&mut read, &|name| as_before.get(name).map(String::as_str)));
            }
        }
        let idle = NOT_BUILT.iter().filter(|name| read.written.contains_key(**name));
        read.idle = idle.map(|name| spelled(annotations, name)).collect();
        (read, refusals)
    }

    /// As a Node would carry them; without what can hold passwords, where `public`.
    pub fn as_written(&self, public: bool) -> BTreeMap<String, String> {
        let shown =
            self.written.iter().filter(|(name, _)| !public || !SECRET.contains(&name.as_str()));
        shown.map(|(name, value)| (format!("{OURS}{name}"), value.clone())).collect()
    }
}

type Text<'a> = &'a dyn Fn(&str) -> Option<&'a str>;
type Group = fn(&mut NodeAnnotations, Text<'_>) -> Result<(), Fault>;

fn is_known(name: &str) -> bool {
    [ASN, REFLECTOR, CLIENT, POD_CIDR, POD_CIDRS].contains(&name)
        || PEER_KEYS.contains(&name)
        || NOT_BUILT.contains(&name)
}

/// The name with the prefix that it was found under.
fn spelled(annotations: &BTreeMap<String, String>, name: &str) -> String {
    let ours = format!("{OURS}{name}");
    if annotations.contains_key(&ours) { ours } else { format!("{THEIRS}{name}") }
}

fn asn(text: &str) -> Result<Asn, Fault> {
    values::asn(text.trim()).map_err(|why| (ASN, why))
}

/// kube-router takes a number or an IPv4 address; both mean the same 32 bits (RFC 4456).
fn cluster(key: &'static str, text: &str) -> Result<ClusterId, Fault> {
    let text = text.trim();
    let id = text.parse::<u32>().map(Ipv4Addr::from).or_else(|_| text.parse::<Ipv4Addr>());
    match id {
        Ok(id) => Ok(ClusterId(id)),
        Err(_) => {
            Err((key, format!("`{text}` is no cluster id: write a number, or as in 1.1.1.1")))
        }
    }
}

fn pod_cidrs(text: Text<'_>) -> Result<Option<Vec<Prefix>>, Fault> {
    let (key, text) = match (text(POD_CIDRS), text(POD_CIDR)) {
        (Some(text), _) => (POD_CIDRS, text),
        (None, Some(text)) => (POD_CIDR, text),
        (None, None) => return Ok(None),
    };
    let read = |cidr: &str| values::pod_cidr(cidr).map_err(|why| (key, format!("`{cidr}`: {why}")));
    Ok(Some(text.split(',').map(str::trim).map(read).collect::<Result<_, _>>()?))
}

/// `peers`, a YAML list; or the lists of the `peer.*` family, which belong together by place.
fn peers(text: Text<'_>) -> Result<Vec<AnnotatedPeer>, Fault> {
    let peers = match text(PEERS) {
        Some(listed) => from_yaml(listed)?,
        None => from_lists(text)?,
    };
    if peers.len() > MAX_PEERS {
        return Err((PEERS, format!("more than {MAX_PEERS} peers")));
    }
    Ok(peers)
}

fn from_yaml(text: &str) -> Result<Vec<AnnotatedPeer>, Fault> {
    #[derive(Deserialize)]
    struct Listed {
        remoteip: String,
        remoteasn: u32,
        password: Option<String>,
        localip: Option<String>,
        port: Option<u16>,
    }
    let listed: Vec<Listed> = serde_saphyr::from_str(text).map_err(|error| {
        // The first line says what; the rest would repeat what may be a password.
        let error = error.to_string();
        let what = error.lines().next().unwrap_or_default().to_owned();
        (
            PEERS,
            format!("expected a list of {{remoteip, remoteasn, password, localip, port}}: {what}"),
        )
    })?;
    let read = |listed: Listed| {
        Ok(AnnotatedPeer {
            address: address(PEERS, &listed.remoteip)?,
            asn: values::asn(&listed.remoteasn.to_string()).map_err(|why| (PEERS, why))?,
            port: listed.port.filter(|port| *port > 0),
            password: listed.password.as_deref().map_or(Ok(None), |text| password(PEERS, text))?,
            local: listed.localip.as_deref().map_or(Ok(None), |text| local(PEERS, text))?,
        })
    };
    listed.into_iter().map(read).collect()
}

fn from_lists(text: Text<'_>) -> Result<Vec<AnnotatedPeer>, Fault> {
    let list = |name| match text(name) {
        Some(text) => text.split(',').map(str::trim).collect(),
        None => Vec::new(),
    };
    let addresses = list(PEER_IPS);
    for (name, needed) in
        [(PEER_ASNS, true), (PEER_PORTS, false), (PEER_PASSWORDS, false), (PEER_LOCAL_IPS, false)]
    {
        let count = list(name).len();
        if count != addresses.len() && (needed || count > 0) {
            return Err((
                name,
                format!(
                    "it has {count} entries, and {PEER_IPS} has {}: they belong together by place",
                    addresses.len()
                ),
            ));
        }
    }
    let at = |name, index: usize| list(name).get(index).copied().unwrap_or_default();
    let mut peers = Vec::new();
    for (index, written) in addresses.iter().enumerate() {
        let port = match at(PEER_PORTS, index) {
            "" => None,
            text => Some(text.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
                (PEER_PORTS, format!("`{text}` is no port: expected 1 to 65535"))
            })?),
        };
        peers.push(AnnotatedPeer {
            address: address(PEER_IPS, written)?,
            asn: values::asn(at(PEER_ASNS, index)).map_err(|why| (PEER_ASNS, why))?,
            port,
            password: password(PEER_PASSWORDS, at(PEER_PASSWORDS, index))?,
            local: local(PEER_LOCAL_IPS, at(PEER_LOCAL_IPS, index))?,
        });
    }
    Ok(peers)
}

fn address(key: &'static str, text: &str) -> Result<IpAddr, Fault> {
    values::host_address(text).map_err(|why| (key, format!("`{text}`: {why}")))
}

fn local(key: &'static str, text: &str) -> Result<Option<IpAddr>, Fault> {
    if text.is_empty() { Ok(None) } else { address(key, text).map(Some) }
}

/// Base64. What is wrong with it is told without a word of it.
fn password(key: &'static str, text: &str) -> Result<Option<Secret>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    let decoded = serde_json::from_value(serde_json::Value::String(text.to_owned()));
    let k8s_openapi::ByteString(bytes) =
        decoded.map_err(|_| (key, "a password is not in base64".to_owned()))?;
    match bytes.len() {
        0 => Ok(None),
        1..=MAX_PASSWORD => Ok(Some(Secret(bytes.into()))),
        _ => Err((key, format!("a password is too long: TCP MD5 takes at most {MAX_PASSWORD}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn good(pairs: &[(&str, &str)]) -> NodeAnnotations {
        let (read, refusals) = NodeAnnotations::read(&map(pairs), None);
        assert_eq!(refusals, []);
        read
    }

    #[test]
    fn both_prefixes_are_read_and_ours_wins() {
        let read = good(&[("kube-router.io/node.asn", "64600"), ("other.io/node.asn", "1")]);
        assert_eq!(read.asn.map(Asn::get), Some(64600));
        let read = good(&[("kube-router.io/node.asn", "64600"), ("twill.dev/node.asn", "64601")]);
        assert_eq!(read.asn.map(Asn::get), Some(64601));
    }

    #[test]
    fn a_cluster_id_is_a_number_or_an_address() {
        for (text, expected) in [("42", "0.0.0.42"), ("1.2.3.4", "1.2.3.4")] {
            let read = good(&[("kube-router.io/rr.server", text)]);
            assert_eq!(read.reflector.unwrap().0.to_string(), expected);
        }
        assert!(good(&[("kube-router.io/rr.client", "42")]).client.is_some());
    }

    #[test]
    fn peers_by_lists_and_by_yaml() {
        let lists = good(&[
            ("kube-router.io/peer.ips", "192.0.2.1, 2001:db8::1"),
            ("kube-router.io/peer.asns", "65000,65001"),
            ("kube-router.io/peer.ports", ",1790"),
            ("kube-router.io/peer.passwords", "c2VjcmV0,"),
            ("kube-router.io/peer.localips", ",2001:db8::2"),
        ]);
        let yaml = good(&[(
            "kube-router.io/peers",
            "- remoteip: 192.0.2.1\n  remoteasn: 65000\n  password: c2VjcmV0\n\
             - {remoteip: '2001:db8::1', remoteasn: 65001, port: 1790, localip: '2001:db8::2'}\n",
        )]);
        assert_eq!(lists.peers, yaml.peers);
        let [one, two] = lists.peers.as_slice() else { panic!("{:?}", lists.peers) };
        assert_eq!(one.password, Some(Secret::new("secret")));
        assert_eq!((one.port, two.port), (None, Some(1790)));
        assert_eq!(two.local.unwrap().to_string(), "2001:db8::2");
    }

    #[test]
    fn what_is_wrong_is_named_and_no_password_is_repeated() {
        for (pairs, key, expected) in [
            (&[("twill.dev/node.asn", "0")][..], "twill.dev/node.asn", "reserved"),
            (&[("kube-router.io/rr.server", "x")], "kube-router.io/rr.server", "cluster id"),
            (
                &[("kube-router.io/pod-cidr", "10.0.0.1/24")],
                "kube-router.io/pod-cidr",
                "10.0.0.0/24",
            ),
            (&[("kube-router.io/peer.ips", "192.0.2.1")], "kube-router.io/peer.asns", "0 entries"),
            (
                &[("kube-router.io/peer.ips", "nowhere"), ("kube-router.io/peer.asns", "1")],
                "kube-router.io/peer.ips",
                "nowhere",
            ),
            (
                &[
                    ("kube-router.io/peer.ips", "192.0.2.1"),
                    ("kube-router.io/peer.asns", "65000"),
                    ("kube-router.io/peer.passwords", "hunter!2"),
                ],
                "kube-router.io/peer.passwords",
                "not in base64",
            ),
            (&[("kube-router.io/peers", "password: hunter2")], "kube-router.io/peers", "a list of"),
        ] {
            let (_, refusals) = NodeAnnotations::read(&map(pairs), None);
            let [NodeRefusal::Annotation { key: found, why }] = refusals.as_slice() else {
                panic!("{pairs:?}: {refusals:?}")
            };
            assert_eq!(found, key);
            assert!(why.contains(expected), "{why}");
            assert!(!why.contains("hunter"), "{why}");
        }
    }

    #[test]
    fn a_refused_group_stays_as_it_was_and_the_others_move_on() {
        let before =
            good(&[("twill.dev/node.asn", "64600"), ("twill.dev/pod-cidr", "10.1.0.0/24")]);
        let now = map(&[("twill.dev/node.asn", "x"), ("twill.dev/pod-cidr", "10.2.0.0/24")]);
        let (read, refusals) = NodeAnnotations::read(&now, Some(&before));
        assert_eq!(refusals.len(), 1);
        assert_eq!(read.asn.map(Asn::get), Some(64600));
        assert_eq!(read.pod_cidrs.clone().unwrap()[0].to_string(), "10.2.0.0/24");
        // What stands is also what would be read again from the disk.
        let again = good(
            &read
                .as_written(false)
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .collect::<Vec<_>>(),
        );
        assert_eq!(again, read);
        // Removed is not refused.
        assert_eq!(NodeAnnotations::read(&map(&[]), Some(&read)).0, NodeAnnotations::default());
    }

    #[test]
    fn what_is_not_acted_upon_is_told() {
        let read = good(&[("kube-router.io/path-prepend.as", "64512")]);
        assert_eq!(read.idle, ["kube-router.io/path-prepend.as"]);
    }
}
