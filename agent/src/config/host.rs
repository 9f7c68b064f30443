//! `dataplane`, `cni` and `http`: what touches this host.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::read::{Field, Section};
use super::{or, values};
use crate::source::{Cni, Dataplane};

/// Table id of `main`.
const MAIN_TABLE: u32 = 254;
/// Metric and protocol number of our routes: `t`.
const OURS: u32 = 116;
const OUR_PROTOCOL: u8 = 116;
/// IPv6 asks for this MTU at least (RFC 8200 section 5).
const MIN_MTU: u32 = 1280;

pub(super) fn dataplane(field: Option<Field<'_>>) -> Option<Dataplane> {
    match field {
        Some(field) => field.section(read_dataplane),
        None => Some(Dataplane {
            install: true,
            bridge: "twill0".to_owned(),
            proxy_arp: true,
            masquerade: true,
            masquerade_exempt: Vec::new(),
            mtu: None,
            table: MAIN_TABLE,
            metric: OURS,
            protocol: OUR_PROTOCOL,
        }),
    }
}

fn read_dataplane(section: &mut Section<'_>) -> Option<Dataplane> {
    let install = or(section.get("install"), true, Field::flag);
    let bridge = or(section.get("bridge"), "twill0".to_owned(), |field| {
        field.parse("an interface name", values::interface)
    });
    let proxy_arp = or(section.get("proxyArp"), true, |field| {
        let known = [("pods", Some(true)), ("none", Some(false)), ("lan", None), ("both", None)];
        let built = field.choice(&known)?;
        if built.is_none() {
            not_built(field, "pods or none");
        }
        built
    });
    let overlay = or(section.get("overlay"), true, |field| {
        let built = field.choice(&[("never", true), ("cross-subnet", false), ("always", false)])?;
        if !built {
            not_built(field, "never");
        }
        built.then_some(true)
    });
    let masquerade = or(section.get("masquerade"), true, Field::flag);
    let masquerade_exempt = section.get("masqueradeExempt").map(|field| {
        field.list_of("prefixes", |item| item.parse("a prefix", values::routable_prefix))
    });
    let mtu = or(section.get("mtu"), None, |field| match field.scalar() {
        Some("auto") => Some(None),
        Some(text) if text.parse::<u32>().is_ok() => field.number(MIN_MTU..=65535).map(Some),
        _ => {
            field.expected("auto or a number of bytes");
            None
        }
    });
    let table = or(section.get("table"), MAIN_TABLE, table);
    let metric = or(section.get("metric"), OURS, |field| field.number(1..=u32::MAX));
    let protocol = or(section.get("routeProtocol"), OUR_PROTOCOL, protocol);
    overlay?;
    Some(Dataplane {
        install: install?,
        bridge: bridge?,
        proxy_arp: proxy_arp?,
        masquerade: masquerade?,
        masquerade_exempt: masquerade_exempt
            .unwrap_or_default()
            .into_iter()
            .map(|prefix| prefix.value)
            .collect(),
        mtu: mtu?,
        table: table?,
        metric: metric?,
        protocol: protocol?,
    })
}

fn not_built(field: &Field<'_>, built: &str) {
    let value = field.scalar().unwrap_or_default();
    field.wrong(format!("`{value}` is not built yet in this version: use {built}"));
}

fn table(field: &Field<'_>) -> Option<u32> {
    let number = match field.scalar() {
        Some("main") => return Some(MAIN_TABLE),
        Some("default") => return Some(253),
        Some(text) if text.parse::<u32>().is_ok() => field.number(0..=u32::MAX)?,
        _ => {
            field.expected("main or a table number");
            return None;
        }
    };
    match number {
        0 => field.wrong("table 0 means all tables: use main or another number"),
        255 => field.wrong("table 255 (local) is the kernel's own: use main or another number"),
        _ => return Some(number),
    }
    None
}

fn protocol(field: &Field<'_>) -> Option<u8> {
    let number = field.number(1..=255)?;
    if let Some(owner) = values::protocol_owner(number) {
        field.wrong(format!(
            "protocol {number} marks the routes of {owner}: ours must be ours alone, so that what \
             is swept is never another's; use {OUR_PROTOCOL}"
        ));
        return None;
    }
    u8::try_from(number).ok()
}

pub(super) fn cni(field: Option<Field<'_>>) -> Option<Cni> {
    let conf_file = PathBuf::from("/etc/cni/net.d/10-twill.conflist");
    let bin_dir = PathBuf::from("/opt/cni/bin");
    let Some(field) = field else {
        return Some(Cni { conf_file, bin_dir, write: true });
    };
    field.section(|section| {
        let conf_file = or(section.get("confFile"), conf_file, |field| {
            let path = absolute(field)?;
            if path.extension().is_none_or(|extension| extension != "conflist") {
                field.wrong("runtimes take a list of plugins only from a file named *.conflist");
                return None;
            }
            Some(path)
        });
        let bin_dir = or(section.get("binDir"), bin_dir, absolute);
        let write = or(section.get("write"), true, Field::flag);
        Some(Cni { conf_file: conf_file?, bin_dir: bin_dir?, write: write? })
    })
}

fn absolute(field: &Field<'_>) -> Option<PathBuf> {
    field.accept("an absolute path", |text| {
        let path = PathBuf::from(text);
        path.is_absolute().then_some(path)
    })
}

/// `None` where a problem was noted; `Some(None)` for nowhere.
#[expect(clippy::option_option, reason = "absent, and wrong, are two things")]
pub(super) fn http(field: Option<Field<'_>>) -> Option<Option<SocketAddr>> {
    let default = SocketAddr::from(([127, 0, 0, 1], 9179));
    or(field, Some(default), |field| {
        field.accept("ADDRESS:PORT, such as 127.0.0.1:9179 or [::1]:9179, or none", |text| {
            match text {
                "none" => Some(None),
                address => address.parse().ok().map(Some),
            }
        })
    })
}
