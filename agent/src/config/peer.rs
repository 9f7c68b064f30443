//! One entry of `peers`: a router outside the mesh.

use std::net::IpAddr;
use std::path::PathBuf;

use twill_bgp::Ttl;
use twill_bgp::proto::types::{Asn, Families, Family, HoldTime};

use super::read::{Field, Section, Sited};
use super::{DEFAULT_PORT, Environment, asn, or, policy, port, secret, values};
use crate::source::OutsidePeer;
use crate::source::policy::{ExportRules, ImportRules, PolicyRule, RuleAction};

/// `own`: our AS, where it could be read.
/// `mentioned`: gathers the names that its rules match on.
pub(super) fn read<'a>(
    section: &mut Section<'a>,
    own: Option<Asn>,
    environment: &Environment<'_>,
    secret_files: &mut Vec<PathBuf>,
    mentioned: &mut Vec<Sited<'a, String>>,
) -> Option<OutsidePeer> {
    let name = section.need("name", "how the peer is called here");
    let name = name.and_then(|field| field.parse("a name", values::name));
    let password = section.get("password");
    let password = password.map(|field| secret::read(&field, environment, secret_files));
    let password = match password {
        Some(read) => read.map(Some),
        None => Some(None),
    };
    let rest = read_rest(section, own, name.as_deref(), mentioned);
    Some(OutsidePeer { name: name?, password: password?, ..rest? })
}

/// All but the name and the password, which a resource has elsewhere. `name` is for the doubts'
/// sake.
pub(super) fn read_rest<'a>(
    section: &mut Section<'a>,
    own: Option<Asn>,
    name: Option<&str>,
    mentioned: &mut Vec<Sited<'a, String>>,
) -> Option<OutsidePeer> {
    let address = section.need("address", "the peer's address");
    let number = section.need("asn", "the peer's AS number");
    let address: Option<IpAddr> =
        address.and_then(|field| field.parse("a peer's address", values::host_address));
    let number = number.and_then(|field| asn(&field));
    let internal = number.is_some() && number == own;

    let port = section.get("port").map_or(Some(DEFAULT_PORT), port);
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
    let mut rules = policy::Reader { internal, mentioned };
    let import = match section.get("import") {
        Some(field) => field.section(|section| rules.import(section)),
        None => Some(ImportRules::default()),
    };
    let export = match section.get("export") {
        Some(field) => field.section(|section| rules.export(section)),
        None => Some(ExportRules::default()),
    };
    if let (Some(name), Some(import), Some(export)) = (name, &import, &export) {
        doubts(section, name, import, export);
    }
    Some(OutsidePeer {
        name: String::new(),
        address: address?,
        asn: number?,
        port: port?,
        password: None,
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
    let accepts = |rules: &[PolicyRule]| rules.iter().any(|rule| rule.action == RuleAction::Accept);
    if !import.accept_by_default && import.prefixes.is_empty() && !accepts(&import.rules) {
        let why = format!("nothing is taken from {name} (RFC 8212): list import.prefixes");
        section.field.doubt(why);
    }
    let listed = export.pod_cidrs || !export.prefixes.is_empty();
    if !export.accept_by_default && !listed && !accepts(&export.rules) {
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
