//! Looking at the host; nothing is changed. What could not be looked at is said, not guessed.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::net::if_::if_indextoname;
use twill_bgp::proto::types::Prefix;

use super::facts::{CniFile, Facts, Interface, Known, Listener, Peer, TcpDrops, Want};
use crate::config::Config;
use crate::kernel::nft::Filter;
use crate::kernel::routes::{self, Listed, Scope};
use crate::kernel::settings::{Room, Setting, Settings};
use crate::kernel::{self, Netlink, features, host};
use crate::source::{Dataplane, MeshMode, Snapshot};

/// The largest file of others that is read.
const LARGEST: u64 = 1 << 20;
/// Routes and files that are named at most.
const NAMED: usize = 20;

/// Where to look.
#[derive(Debug, Clone)]
pub struct Options {
    /// The configuration file; the defaults are taken where there is none.
    pub config: PathBuf,
    /// Whether it was named, and so must be there.
    pub config_named: bool,
    /// Where container runtimes look for networks, where no configuration says so.
    pub cni_dir: PathBuf,
    /// Process id of a running agent, and its sessions.
    pub agent: Option<(Known<u32>, Vec<Peer>)>,
}

/// Looks at everything.
pub async fn gather(options: &Options) -> Facts {
    let mut unseen = Vec::new();
    let (snapshot, bad_config) = configuration(options, &mut unseen);
    let want = want(snapshot.as_ref());
    let cni_dir = snapshot.as_ref().and_then(|one| one.cni.conf_file.parent().map(Path::to_owned));
    let mut facts = Facts {
        bad_config,
        agent: options.agent.is_some(),
        ip_forward: flag("/proc/sys/net/ipv4/ip_forward"),
        interfaces: Vec::new(),
        listeners: listeners(want.port),
        missing_capabilities: capabilities(options.agent.as_ref().and_then(|one| one.0), &want),
        hiding: Vec::new(),
        protocol_names: protocol_names(want.protocol),
        odd_routes: Vec::new(),
        dropping: dropping(&want.bridge, &mut unseen),
        legacy_drop: legacy(&want, &mut unseen),
        bridge_netfilter: flag("/proc/sys/net/bridge/bridge-nf-call-iptables"),
        kube_proxy: kube_proxy(),
        missing_features: snapshot.as_ref().map(missing_features).unwrap_or_default(),
        drops: drops(),
        peers: options.agent.as_ref().map(|one| one.1.clone()).unwrap_or_default(),
        cni: cni(&cni_dir.unwrap_or_else(|| options.cni_dir.clone())),
        unseen: Vec::new(),
        want,
    };
    if facts.drops.is_none() {
        unseen.push("what TCP drops: /proc/net/netstat cannot be read".to_owned());
    }
    match Netlink::open() {
        Ok(mut netlink) => {
            match host::list(&mut netlink) {
                Ok(view) => facts.interfaces = interfaces(&view, &facts.want),
                Err(error) => unseen.push(format!("interfaces: {error}")),
            }
            let listed = list_routes(&mut netlink, &mut facts, snapshot.as_ref()).await;
            unseen.extend(listed.err().map(|error| format!("routes: {error}")));
        }
        Err(error) => unseen.push(format!("interfaces and routes: {error}")),
    }
    facts.unseen = unseen;
    facts
}

fn configuration(
    options: &Options,
    unseen: &mut Vec<String>,
) -> (Option<Snapshot>, Option<String>) {
    let path = &options.config;
    if !path.exists() && !options.config_named {
        unseen.push(format!(
            "what this node should be: there is no {}, so the defaults are taken; name it with \
             --config",
            path.display()
        ));
        return (None, None);
    }
    match Config::load(path) {
        Ok(config) => (Some(config.snapshot), None),
        Err(error) => (None, Some(error.to_string())),
    }
}

fn want(snapshot: Option<&Snapshot>) -> Want {
    let Some(snapshot) = snapshot else {
        return Want {
            install: true,
            ipv4: true,
            ipv6: false,
            bridge: "twill0".to_owned(),
            mtu: None,
            port: 179,
            protocol: 116,
            metric: 116,
            addresses: Vec::new(),
            pod_cidrs: Vec::new(),
            cni_file: "10-twill.conflist".to_owned(),
            signed: Vec::new(),
        };
    };
    let Dataplane { install, bridge, mtu, protocol, metric, .. } = &snapshot.dataplane;
    let family = |ipv4: bool| {
        let mut cidrs = snapshot.node.pod_cidrs.iter();
        cidrs.any(|cidr| matches!(cidr, Prefix::V4(_)) == ipv4)
            || snapshot.node.addresses.iter().any(|address| address.is_ipv4() == ipv4)
    };
    let others = snapshot.nodes.values();
    let meshed = snapshot.mesh.mode != MeshMode::None;
    let nodes = others.clone().filter(|_| meshed);
    let signed = nodes.map(|node| (node.name.clone(), snapshot.mesh.password.is_some()));
    let peers = snapshot.peers.values();
    let file = snapshot.cni.conf_file.file_name();
    Want {
        install: *install,
        ipv4: family(true),
        ipv6: family(false),
        bridge: bridge.clone(),
        mtu: *mtu,
        port: snapshot.listen_port,
        protocol: *protocol,
        metric: *metric,
        addresses: snapshot.node.addresses.clone(),
        pod_cidrs: others
            .flat_map(|node| node.pod_cidrs.iter().map(|cidr| (*cidr, node.name.clone())))
            .collect(),
        cni_file: file.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        signed: signed
            .chain(peers.map(|peer| (peer.name.clone(), peer.password.is_some())))
            .collect(),
    }
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn flag(path: &str) -> Known<bool> {
    read(path).map(|text| text.trim() != "0")
}

fn interfaces(view: &kernel::HostView, want: &Want) -> Vec<Interface> {
    let settings = Settings::default();
    let number = |room, interface: &str, key| {
        settings.read(&Setting { room, interface: interface.into(), key }).ok()
    };
    let all6 = number(Room::Ipv6, "all", "forwarding");
    let all_rp = number(Room::Ipv4, "all", "rp_filter");
    let of = |link: &host::Link| {
        let mut addresses = view.addresses.iter();
        let addressed = addresses.any(|one| one.interface == link.index && !one.is_link_local());
        let forced = number(Room::Ipv6, &link.name, "force_forwarding");
        let uplink = link.up && !link.loopback && addressed && *link.name != *want.bridge;
        let mut holders = view.holders(&want.addresses);
        Interface {
            name: link.name.to_string(),
            mtu: link.mtu,
            uplink,
            ours: match want.addresses.is_empty() {
                true => uplink,
                false => holders.any(|holder| holder.index == link.index),
            },
            forwarding4: number(Room::Ipv4, &link.name, "forwarding").map(|value| value != 0),
            forwarding6: all6.map(|all| all != 0 || forced.is_some_and(|value| value != 0)),
            rp_filter: number(Room::Ipv4, &link.name, "rp_filter")
                .and_then(|own| u8::try_from(own.max(all_rp?)).ok()),
        }
    };
    view.links.values().map(of).collect()
}

async fn list_routes(
    netlink: &mut Netlink,
    facts: &mut Facts,
    snapshot: Option<&Snapshot>,
) -> Result<(), kernel::KernelError> {
    let table = snapshot.map_or(254, |one| one.dataplane.table);
    let want = facts.want.clone();
    routes::list(netlink, Scope::Table(table), |route| {
        if route.protocol == want.protocol {
            if route.metric != want.metric && facts.odd_routes.len() < NAMED {
                facts.odd_routes.push(written(&route));
            }
            return;
        }
        let hidden = want.pod_cidrs.iter().find(|(cidr, _)| {
            let longer = route.prefix.len() > cidr.len();
            cidr.covers(route.prefix) && (longer || route.metric < want.metric)
        });
        if let Some((_, owner)) = hidden
            && facts.hiding.len() < NAMED
        {
            facts.hiding.push((written(&route), owner.clone()));
        }
    })
    .await
}

/// As `ip route` takes it.
fn written(route: &Listed) -> String {
    let mut text = route.prefix.to_string();
    if let Some(next_hop) = route.via.next_hop {
        text.push_str(&format!(" via {next_hop}"));
    }
    if let Ok(name) = if_indextoname(route.via.device) {
        text.push_str(&format!(" dev {}", name.to_string_lossy()));
    }
    text.push_str(&format!(" proto {} metric {}", route.protocol, route.metric));
    if route.table != 254 {
        text.push_str(&format!(" table {}", route.table));
    }
    text
}

/// Sockets in LISTEN, and whose they are.
fn listeners(port: u16) -> Vec<Listener> {
    let mut found = BTreeMap::new();
    for (path, wide) in [("/proc/net/tcp", false), ("/proc/net/tcp6", true)] {
        for line in read(path).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, local, _, "0A", _, _, _, _, _, inode, ..] = fields.as_slice() else { continue };
            let Some((address, hex)) = local.split_once(':') else { continue };
            if u16::from_str_radix(hex, 16) == Ok(port) {
                found.insert((*inode).to_owned(), format!("{}:{port}", address_of(address, wide)));
            }
        }
    }
    if found.is_empty() {
        return Vec::new();
    }
    let owners = owners(&found);
    let listener = |(inode, at)| Listener { at, process: owners.get(&inode).cloned() };
    found.into_iter().map(listener).collect()
}

/// /proc writes addresses as words of the machine's own order.
fn address_of(hex: &str, wide: bool) -> String {
    let words: Vec<u32> = (0..hex.len() / 8)
        .filter_map(|word| u32::from_str_radix(hex.get(word * 8..word * 8 + 8)?, 16).ok())
        .collect();
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    if wide {
        let bytes = <[u8; 16]>::try_from(bytes);
        return bytes.map_or_else(|_| hex.to_owned(), |all| format!("[{}]", Ipv6Addr::from(all)));
    }
    <[u8; 4]>::try_from(bytes)
        .map_or_else(|_| hex.to_owned(), |all| Ipv4Addr::from(all).to_string())
}

fn owners(inodes: &BTreeMap<String, String>) -> BTreeMap<String, (u32, String)> {
    let mut owners = BTreeMap::new();
    for pid in processes() {
        let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for file in files.flatten() {
            let Ok(target) = fs::read_link(file.path()) else { continue };
            let target = target.to_string_lossy();
            let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
            if let Some(inode) = inode.filter(|inode| inodes.contains_key(*inode)) {
                owners.insert(inode.to_owned(), (pid, name_of(pid)));
            }
        }
    }
    owners
}

fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn name_of(pid: u32) -> String {
    read(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// What the agent, or without one this process, lacks.
fn capabilities(agent: Option<u32>, want: &Want) -> Known<Vec<&'static str>> {
    let path = agent.map_or("/proc/self/status".to_owned(), |pid| format!("/proc/{pid}/status"));
    let status = read(path)?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    let set = u64::from_str_radix(line.trim(), 16).ok()?;
    let free = read("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let free: u16 = free.and_then(|text| text.trim().parse().ok()).unwrap_or(1024);
    let needed = [
        (12, "CAP_NET_ADMIN", want.install || want.signed.iter().any(|(_, signed)| *signed)),
        (10, "CAP_NET_BIND_SERVICE", want.port < free),
        (13, "CAP_NET_RAW", want.install && want.ipv6),
    ];
    let lacks = needed.into_iter().filter(|(bit, _, due)| *due && set & (1 << bit) == 0);
    Some(lacks.map(|(_, name, _)| name).collect())
}

/// Names of others for a protocol number, from the files of iproute2.
fn protocol_names(protocol: u8) -> Vec<String> {
    let folders = ["/etc/iproute2", "/usr/share/iproute2", "/usr/lib/iproute2"];
    let mut files: Vec<PathBuf> =
        folders.iter().map(|dir| Path::new(dir).join("rt_protos")).collect();
    for folder in folders {
        let entries = fs::read_dir(Path::new(folder).join("rt_protos.d"));
        files.extend(entries.into_iter().flatten().flatten().map(|entry| entry.path()));
    }
    let mut names: Vec<String> =
        files.iter().filter_map(read).flat_map(|text| names_in(&text, protocol)).collect();
    names.sort();
    names.dedup();
    names
}

pub(super) fn names_in(text: &str, protocol: u8) -> Vec<String> {
    let name = |line: &str| {
        let mut words = line.split('#').next()?.split_whitespace();
        let number = words.next()?;
        let number = match number.strip_prefix("0x") {
            Some(hex) => u8::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        let name = words.next()?;
        (number == protocol && name != "twill").then(|| name.to_owned())
    };
    text.lines().filter_map(name).collect()
}

fn dropping(bridge: &str, unseen: &mut Vec<String>) -> Known<Vec<String>> {
    match Filter::open().and_then(|mut filter| filter.dropping(bridge)) {
        Ok(chains) => {
            let name = |one: kernel::nft::DroppingChain| {
                format!("{} {} {}", one.family, one.table, one.name)
            };
            Some(chains.into_iter().map(name).collect())
        }
        Err(error) => {
            unseen.push(format!("chains of nftables: {error}"));
            None
        }
    }
}

/// The chains of the old kind, which only their own tool can list; asked where the kernel says
/// that there is a table.
fn legacy(want: &Want, unseen: &mut Vec<String>) -> Vec<String> {
    let mut found = Vec::new();
    for (names, command) in [
        ("/proc/net/ip_tables_names", "iptables-legacy"),
        ("/proc/net/ip6_tables_names", "ip6tables-legacy"),
    ] {
        if !read(names).is_some_and(|text| text.lines().any(|line| line == "filter")) {
            continue;
        }
        match Command::new(command).args(["-S", "FORWARD"]).output() {
            Ok(output) if output.status.success() => {
                let rules = String::from_utf8_lossy(&output.stdout);
                let drops = rules.lines().any(|line| line == "-P FORWARD DROP");
                if drops && !rules.contains(&want.bridge) {
                    found.push(command.to_owned());
                }
            }
            _ => unseen.push(format!("chains of {command}, which cannot be run")),
        }
    }
    found
}

/// What shows that kube-proxy works here: its process, or its dummy interface of IPVS mode.
fn kube_proxy() -> Option<String> {
    if let Some(pid) = processes().into_iter().find(|pid| name_of(*pid) == "kube-proxy") {
        return Some(format!("kube-proxy runs as process {pid}"));
    }
    let dummy = Path::new("/sys/class/net/kube-ipvs0").exists();
    dummy.then(|| "kube-proxy's interface kube-ipvs0 is there".to_owned())
}

fn missing_features(snapshot: &Snapshot) -> Vec<String> {
    let settings = Settings::default();
    let lack = features::check(snapshot, &settings).err().map(|lack| lack.to_string());
    let wants_filter = snapshot.dataplane.install && snapshot.dataplane.masquerade;
    let filter = wants_filter.then(|| Filter::open().and_then(|mut filter| filter.check()));
    let filter = filter.and_then(Result::err).map(|error| format!("dataplane.masquerade: {error}"));
    lack.into_iter().chain(filter).collect()
}

fn drops() -> Known<TcpDrops> {
    drops_in(&read("/proc/net/netstat")?)
}

/// A line of names is followed by a line of numbers.
pub(super) fn drops_in(text: &str) -> Known<TcpDrops> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let all: BTreeMap<&str, u64> = names
        .split(' ')
        .zip(numbers.split(' '))
        .filter_map(|(name, number)| Some((name, number.parse().ok()?)))
        .collect();
    let of = |name| all.get(name).copied().unwrap_or(0);
    Some(TcpDrops {
        md5_missing: of("TCPMD5NotFound"),
        md5_unexpected: of("TCPMD5Unexpected"),
        md5_wrong: of("TCPMD5Failure"),
        ttl: of("TCPMinTTLDrop"),
    })
}

/// The files that a container runtime would look at, in its order.
fn cni(directory: &Path) -> Vec<CniFile> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    let wanted = |path: &PathBuf| {
        let kind = path.extension().and_then(|kind| kind.to_str());
        let small = fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= LARGEST);
        matches!(kind, Some("conf" | "conflist" | "json")) && small
    };
    let parse = |path: &PathBuf| cni_file(path.file_name()?.to_str()?, &read(path)?);
    paths.iter().filter(|path| wanted(path)).filter_map(parse).take(NAMED).collect()
}

pub(super) fn cni_file(name: &str, text: &str) -> Option<CniFile> {
    let document: serde_json::Value = serde_json::from_str(text).ok()?;
    let whole = [document.clone()];
    let plugins = document["plugins"].as_array().map_or(whole.as_slice(), Vec::as_slice);
    let types = plugins.iter().filter_map(|plugin| plugin["type"].as_str().map(str::to_owned));
    let ours = plugins.iter().find(|plugin| plugin["type"] == "twill-cni");
    let gateway = ours.and_then(|plugin| plugin["gateway"].as_str().map(str::to_owned));
    Some(CniFile { name: name.to_owned(), types: types.collect(), gateway })
}

/// The sessions that an agent tells of.
pub fn peer(peer: &crate::control::api::Peer) -> Peer {
    let detail = peer.detail.as_deref();
    let ttl = detail.map(|detail| detail.ttl.clone());
    Peer {
        name: peer.name.clone(),
        address: IpAddr::to_canonical(&peer.address),
        up: peer.state == crate::control::api::State::Established,
        signed: detail.is_some_and(|detail| detail.password),
        gtsm: ttl.filter(|ttl| ttl.starts_with("GTSM")),
    }
}
