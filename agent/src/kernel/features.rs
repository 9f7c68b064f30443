//! What a configuration needs of the kernel, tried before it is put in force: each thing that is
//! missing is one line, with the key that asks for it and the remedy.
//!
//! Nothing is changed by trying: sockets are closed again, and the request for an interface is one
//! that no kernel fulfils.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use twill_bgp::proto::types::Prefix;
use twill_bgp::{Lacking, Ttl, probe};

use super::error::{KernelError, Refusal};
use super::settings::{Room, Setting, SettingError, Settings};
use super::socket::Netlink;
use crate::source::{MeshGtsm, MeshMode, Snapshot};

const LINK_FIXED: usize = 16;

/// Something that the configuration asks for and this kernel does not have.
#[derive(Debug, thiserror::Error)]
pub enum MissingFeature {
    /// For sessions.
    #[error("{key}: {lacking}; {remedy}")]
    Session {
        /// What asks for it.
        key: String,
        /// What is missing.
        lacking: Lacking,
        /// What can be done.
        remedy: &'static str,
    },
    /// No interface may speak IPv6.
    #[error(
        "{key}: IPv6 is switched off on this host (net.ipv6.conf.all.disable_ipv6 is 1); run \
         `sysctl -w net.ipv6.conf.all.disable_ipv6=0`, or take IPv6 out of the configuration"
    )]
    Ipv6SwitchedOff {
        /// What asks for it.
        key: &'static str,
    },
    /// IPv6 is forwarded by the global setting alone, which is off.
    #[error(
        "podCIDRs: IPv6 packets of pods would not be forwarded: before Linux 6.17 the kernel \
         forwards IPv6 by the global setting alone; run `sysctl -w {setting}=1` (interfaces that \
         learn their default route by router advertisements need accept_ra=2 then), or take \
         IPv6 out of podCIDRs"
    )]
    Ipv6Forwarding {
        /// The global setting.
        setting: Setting,
    },
    /// It cannot make interfaces of a kind.
    #[error(
        "podCIDRs: this kernel cannot make interfaces of the kind {kind} ({words}), which pods \
         are attached by; load the module `{kind}`, boot a kernel that has it, or take podCIDRs \
         out"
    )]
    LinkKind {
        /// `bridge` or `veth`.
        kind: &'static str,
        /// The kernel's words.
        words: Refusal,
    },
    /// Netlink as a whole.
    #[error("routes and interfaces of this kernel cannot be read: {0}")]
    Netlink(KernelError),
}

/// Tries all that a snapshot asks for.
///
/// # Errors
/// The first thing that is missing.
pub fn check(snapshot: &Snapshot, settings: &Settings) -> Result<(), MissingFeature> {
    let mut netlink = Netlink::open().map_err(MissingFeature::Netlink)?;
    ipv6(snapshot, settings)?;
    sessions(snapshot)?;
    if !snapshot.dataplane.install || snapshot.node.pod_cidrs.is_empty() {
        return Ok(());
    }
    for kind in ["bridge", "veth"] {
        has_link_kind(&mut netlink, kind)?;
    }
    forwards_ipv6(snapshot, settings)
}

/// The key that asks for IPv6 on this node, if one does.
fn asks_for_ipv6(snapshot: &Snapshot) -> Option<&'static str> {
    let node = &snapshot.node;
    if node.addresses.iter().any(IpAddr::is_ipv6) {
        return Some("addresses");
    }
    let pods = node.pod_cidrs.iter().any(|prefix| matches!(prefix, Prefix::V6(_)));
    pods.then_some("podCIDRs")
}

fn ipv6(snapshot: &Snapshot, settings: &Settings) -> Result<(), MissingFeature> {
    let Some(key) = asks_for_ipv6(snapshot) else { return Ok(()) };
    let remedy = "boot without ipv6.disable=1, or take IPv6 out of the configuration";
    probe(Ipv6Addr::LOCALHOST.into(), false, Ttl::Hops(1))
        .map_err(|lacking| MissingFeature::Session { key: key.to_owned(), lacking, remedy })?;
    // Without pods and routes it is the business of those who address the interfaces.
    if snapshot.dataplane.install && settings.ipv6_is_off() {
        return Err(MissingFeature::Ipv6SwitchedOff { key });
    }
    Ok(())
}

fn sessions(snapshot: &Snapshot) -> Result<(), MissingFeature> {
    let mesh = &snapshot.mesh;
    if mesh.mode != MeshMode::None && !snapshot.nodes.is_empty() {
        let ttl = match mesh.gtsm {
            MeshGtsm::None => Ttl::Hops(255),
            MeshGtsm::Auto => Ttl::Gtsm(255),
            MeshGtsm::Least(least) => Ttl::Gtsm(least),
        };
        for family in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            if snapshot.node.addresses.iter().any(|own| own.is_ipv4() == family.is_ipv4()) {
                session("mesh", family, mesh.password.is_some(), ttl)?;
            }
        }
    }
    for peer in snapshot.peers.values() {
        let place = format!("peers: {}", peer.name);
        session(&place, peer.address, peer.password.is_some(), peer.ttl)?;
    }
    Ok(())
}

fn session(place: &str, peer: IpAddr, password: bool, ttl: Ttl) -> Result<(), MissingFeature> {
    probe(peer, password, ttl).map_err(|lacking| {
        let (key, remedy) = match lacking {
            Lacking::Family { .. } => ("address", "boot a kernel that has it, or take it out"),
            Lacking::Md5 => {
                ("password", "boot a kernel that can, or take the password out on both sides")
            }
            Lacking::MinimumTtl { .. } => {
                ("gtsm", "boot a kernel that can, or do without GTSM (`gtsm: none` in the mesh)")
            }
        };
        MissingFeature::Session { key: format!("{place}.{key}"), lacking, remedy }
    })
}

/// Asks for an interface of a kind with a hardware address that none can have: a kernel that has
/// the kind refuses the address, one that has it not refuses the kind.
fn has_link_kind(netlink: &mut Netlink, kind: &'static str) -> Result<(), MissingFeature> {
    let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    let mut request = netlink.request(libc::RTM_NEWLINK, flags as u16);
    request.fixed(&[0; LINK_FIXED]);
    request.attribute(libc::IFLA_ADDRESS, &[1, 0, 0, 0, 0, 0]);
    request.nested(libc::IFLA_LINKINFO, |info| {
        info.attribute(libc::IFLA_INFO_KIND, format!("{kind}\0").as_bytes());
    });
    drop(request);
    match netlink.commit_one("a kind of interface") {
        Err(KernelError::Refused { refusal: words, .. }) if words.errno == Errno::EOPNOTSUPP => {
            Err(MissingFeature::LinkKind { kind, words })
        }
        // It has the kind; or this is not the place to tell of other trouble.
        _ => Ok(()),
    }
}

fn forwards_ipv6(snapshot: &Snapshot, settings: &Settings) -> Result<(), MissingFeature> {
    if !snapshot.node.pod_cidrs.iter().any(|prefix| matches!(prefix, Prefix::V6(_))) {
        return Ok(());
    }
    let of_all = |key| Setting { room: Room::Ipv6, interface: "all".into(), key };
    let setting = of_all("forwarding");
    let by_interface =
        !matches!(settings.read(&of_all("force_forwarding")), Err(SettingError::Absent(_)));
    match settings.read(&setting) {
        Ok(0) if !by_interface => Err(MissingFeature::Ipv6Forwarding { setting }),
        _ => Ok(()),
    }
}

impl Settings {
    /// Whether IPv6 is switched off for all interfaces, those to come included, but loopback.
    fn ipv6_is_off(&self) -> bool {
        let Ok(rooms) = fs::read_dir(self.root().join("net/ipv6/conf")) else { return false };
        let off = |path: &Path| {
            fs::read_to_string(path.join("disable_ipv6")).is_ok_and(|text| text.trim() == "1")
        };
        rooms
            .filter_map(Result::ok)
            .filter(|room| room.file_name() != "lo")
            .all(|room| off(&room.path()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::fixture::{THREE, snapshot};
    use crate::kernel::testing::{in_namespace, ip};

    #[test]
    fn this_kernel_has_what_a_whole_configuration_asks_for() {
        in_namespace(|| async {
            ip("link add eth0 type veth peer name far");
            let forwards = Path::new("/proc/sys/net/ipv6/conf/all/force_forwarding").exists();
            match check(&snapshot(THREE), &Settings::default()) {
                Err(MissingFeature::Ipv6Forwarding { .. }) if !forwards => {}
                other => other.unwrap(),
            }
            assert_eq!(ip("-br link").lines().count(), 3, "nothing was made by trying");
        });
    }

    #[test]
    fn a_kind_of_interface_that_the_kernel_lacks_is_named() {
        in_namespace(|| async {
            let mut netlink = Netlink::open().unwrap();
            let missing = has_link_kind(&mut netlink, "twillnone").unwrap_err();
            assert!(matches!(missing, MissingFeature::LinkKind { .. }), "{missing}");
            assert!(missing.to_string().contains("load the module `twillnone`"), "{missing}");
        });
    }
}
