//! One entry of `peers`: a router outside the mesh.

use std::net::IpAddr;
use std::path::PathBuf;

use twill_bgp::proto::types::{Asn, Families, Family, HoldTime};
use twill_bgp::{MaxPrefixes, Ttl};

use super::read::{Field, Section};
use super::{DEFAULT_PORT, Environment, asn, mesh, or, port, secret, values};
use crate::source::{ExportRules, ImportRules, OutsidePeer};

/// `own`: our AS, where it could be read.
pub(super) fn read(
    section: &mut Section<'_>,
    own: Option<Asn>,
    environment: &Environment<'_>,
    secret_files: &mut Vec<PathBuf>,
) -> Option<OutsidePeer> {
    let name = section.need("name", "how the peer is called here");
    let address = section.need("address", "the peer's address");
    let number = section.need("asn", "the peer's AS number");
    let name = name.and_then(|field| field.parse("a name", values::name));
    let address: Option<IpAddr> =
        address.and_then(|field| field.parse("a peer's address", values::host_address));
    let number = number.and_then(|field| asn(&field));
    let internal = number.is_some() && number == own;

    let port = section.get("port").map_or(Some(DEFAULT_PORT), port);
    let password = section.get("password");
    let password = password.map(|field| secret::read(&field, environment, secret_files));
    let passive = or(section.get("passive"), false, Field::flag);
    let ttl = ttl(section, internal);
    let marked = section.get("mesh");
    let mesh = or(marked.clone(), false, Field::flag);
    if let (Some(marked), Some(true), true) = (marked, mesh, internal) {
        marked.wrong(
            "this peer is of our own AS, and routes of internal peers are not passed on to \
             internal peers (RFC 4271 section 9.2): remove it",
        );
    }
    let hold_time = or(section.get("holdTime"), HoldTime::DEFAULT, |field| {
        field.parse("a hold time", values::hold_time)
    });
    let families = or(section.get("families"), Families::ALL, families);
    let import = match section.get("import") {
        Some(field) => field.section(import),
        None => {
            Some(ImportRules { accept_by_default: false, prefixes: Vec::new(), max_prefixes: None })
        }
    };
    let export = match section.get("export") {
        Some(field) => field.section(export),
        None => Some(ExportRules {
            accept_by_default: false,
            pod_cidrs: false,
            prefixes: Vec::new(),
            communities: Vec::new(),
            prepend: 0,
            med: None,
        }),
    };
    if let (Some(name), Some(import), Some(export)) = (&name, &import, &export) {
        doubts(section, name, import, export);
    }
    Some(OutsidePeer {
        name: name?,
        address: address?,
        asn: number?,
        port: port?,
        password: match password {
            Some(read) => Some(read?),
            None => None,
        },
        passive: passive?,
        ttl: ttl?,
        mesh: mesh?,
        hold_time: hold_time?,
        families: families?,
        import: import?,
        export: export?,
    })
}

/// RFC 8212 asks that this be told.
fn doubts(section: &Section<'_>, name: &str, import: &ImportRules, export: &ExportRules) {
    if !import.accept_by_default && import.prefixes.is_empty() {
        let why = format!("nothing is taken from {name} (RFC 8212): list import.prefixes");
        section.field.doubt(why);
    }
    if !export.accept_by_default && !export.pod_cidrs && export.prefixes.is_empty() {
        let why = format!("nothing is announced to {name} (RFC 8212): list export.prefixes");
        section.field.doubt(why);
    }
}

/// `multihop` or `gtsm`. A neighbour of another AS is on the link unless told otherwise, one of
/// ours may be anywhere.
fn ttl(section: &mut Section<'_>, internal: bool) -> Option<Ttl> {
    let multihop = section.get("multihop");
    let gtsm = section.get("gtsm");
    let number =
        |field: &Field<'_>| field.number(1..=255).and_then(|number| u8::try_from(number).ok());
    match (multihop, gtsm) {
        (None, None) => Some(Ttl::Hops(if internal { 255 } else { 1 })),
        (Some(hops), None) => number(&hops).map(Ttl::Hops),
        (None, Some(least)) => number(&least).map(Ttl::Gtsm),
        (Some(_), Some(least)) => {
            least.wrong(
                "gtsm and multihop exclude each other: keep gtsm (the least TTL accepted) where \
                 the peer sends TTL 255, else multihop (the TTL sent)",
            );
            None
        }
    }
}

fn families(field: &Field<'_>) -> Option<Families> {
    let choices = [("ipv4", Family::Ipv4Unicast), ("ipv6", Family::Ipv6Unicast)];
    let given = field.list("families, ipv4 and ipv6");
    let count = given.len();
    let read: Vec<Family> = given.iter().filter_map(|item| item.choice(&choices)).collect();
    if count == 0 {
        field.wrong("a session needs a family: expected ipv4, ipv6 or both");
        return None;
    }
    (read.len() == count).then(|| read.into_iter().collect())
}

fn accept_by_default(section: &mut Section<'_>) -> Option<bool> {
    or(section.get("default"), false, |field| field.choice(&[("reject", false), ("accept", true)]))
}

fn import(section: &mut Section<'_>) -> Option<ImportRules> {
    let accept_by_default = accept_by_default(section);
    let prefixes = section.get("prefixes").map(|field| mesh::ranges(&field)).unwrap_or_default();
    let max_prefixes = or(section.get("maxPrefixes"), None, |field| {
        let limit = field.number(1..=u32::MAX)?;
        Some(Some(MaxPrefixes { limit, restart_after: None }))
    });
    Some(ImportRules {
        accept_by_default: accept_by_default?,
        prefixes,
        max_prefixes: max_prefixes?,
    })
}

fn export(section: &mut Section<'_>) -> Option<ExportRules> {
    let accept_by_default = accept_by_default(section);
    let mut pod_cidrs = false;
    let mut prefixes = Vec::new();
    let listed = section.get("prefixes").map(|field| field.list("prefix ranges or podCIDRs"));
    for item in listed.unwrap_or_default() {
        if item.scalar() == Some("podCIDRs") {
            pod_cidrs = true;
        } else {
            prefixes.extend(item.parse("a prefix range or podCIDRs", values::prefix_range));
        }
    }
    let communities = section
        .get("communities")
        .map(|field| field.list_of("communities", |item| item.parse("a community", str::parse)));
    let number =
        |field: &Field<'_>| field.number(0..=255).and_then(|number| u8::try_from(number).ok());
    let prepend = or(section.get("prepend"), 0, number);
    let med = or(section.get("med"), None, |field| field.number(0..=u32::MAX).map(Some));
    let communities = communities.unwrap_or_default();
    Some(ExportRules {
        accept_by_default: accept_by_default?,
        pod_cidrs,
        prefixes,
        communities: communities.into_iter().map(|community| community.value).collect(),
        prepend: prepend?,
        med: med?,
    })
}
