//! One entry of `peers`: a router outside the mesh.

use std::net::IpAddr;
use std::path::PathBuf;

use twill_bgp::Ttl;
use twill_bgp::proto::types::{Asn, Families, Family, HoldTime, Prefix};

use super::read::{Field, Section, Sited};
use super::{DEFAULT_PORT, Environment, asn, or, policy, port, secret, session, values};
use crate::source::OutsidePeer;
use crate::source::policy::{ExportRules, ImportRules, PolicyRule, RuleAction};

/// Peers that a range admits, unless it says otherwise.
const DEFAULT_LIMIT: u32 = 100;
/// What only a peer that is listed has: who comes from a prefix is never dialled.
const NOT_OF_A_RANGE: [&str; 7] =
    ["port", "passive", "password", "localAddress", "connectRetry", "connectRetryMax", "shutdown"];

/// An entry of `peers`: one router, or where routers may come from that nobody lists.
#[derive(Debug)]
pub(super) struct PeerEntry {
    pub(super) peer: OutsidePeer,
    /// Of a range: where they may come from, and how many.
    pub(super) range: Option<(Prefix, u32)>,
}

/// `own`: our AS, where it could be read.
/// `mentioned`: gathers the names that its rules match on.
pub(super) fn read<'a>(
    section: &mut Section<'a>,
    own: Option<Asn>,
    environment: &Environment<'_>,
    secret_files: &mut Vec<PathBuf>,
    mentioned: &mut Vec<Sited<'a, String>>,
) -> Option<PeerEntry> {
    let name = section.need("name", "how the peer is called here");
    let name = name.and_then(|field| field.parse("a name", values::name));
    let password = section.get("password");
    let password = password.map(|field| secret::read(&field, environment, secret_files));
    let password = match password {
        Some(read) => read.map(Some),
        None => Some(None),
    };
    let place = place(section);
    let rest = read_rest(section, own, name.as_deref(), place, false, mentioned);
    let PeerEntry { peer, range } = rest?;
    let peer = OutsidePeer { name: name?, password: password?, ..peer };
    Some(PeerEntry { peer, range })
}

/// All but the name and the password, which a resource has elsewhere, and its place. `name` is
/// for the doubts' sake. `services`: they are known, and can be announced.
pub(super) fn read_rest<'a>(
    section: &mut Section<'a>,
    own: Option<Asn>,
    name: Option<&str>,
    place: Option<Location>,
    services: bool,
    mentioned: &mut Vec<Sited<'a, String>>,
) -> Option<PeerEntry> {
    let number = section.need("asn", "the peer's AS number");
    let number = number.and_then(|field| asn(&field));
    let internal = number.is_some() && number == own;

    let port = section.get("port").map_or(Some(DEFAULT_PORT), port);
    let passive = or(section.get("passive"), false, Field::flag);
    let ttl = ttl(section, internal);
    let mesh = mesh(section, internal);
    let hold_time = or(section.get("holdTime"), HoldTime::DEFAULT, |field| {
        field.parse("a hold time", values::hold_time)
    });
    let families = or(section.get("families"), Families::ALL, families);
    let address = place.map(|place| place.address);
    let session =
        session::read(section, session::About { own, asn: number, address, hold_time, families });
    let mut rules = policy::Reader { internal, services, mentioned };
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
    let Location { address, range } = place?;
    let peer = OutsidePeer {
        name: String::new(),
        address,
        asn: number?,
        port: port?,
        password: None,
        passive: passive?,
        ttl: ttl?,
        mesh: mesh?,
        hold_time: hold_time?,
        families: families?,
        session: session?,
        import: import?,
        export: export?,
    };
    Some(PeerEntry { peer, range })
}

/// Where it is, or where they may come from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Location {
    address: IpAddr,
    range: Option<(Prefix, u32)>,
}

/// `address`, and nothing else.
pub(super) fn listed(section: &mut Section<'_>) -> Option<Location> {
    let address = section.need("address", "the peer's address")?;
    let address = address.parse("a peer's address", values::host_address)?;
    Some(Location { address, range: None })
}

/// `address`, or `prefix` with `limit`.
fn place(section: &mut Section<'_>) -> Option<Location> {
    let address = section.get("address");
    let prefix = section.get("prefix");
    let limit = section.get("limit");
    match (address, prefix) {
        (Some(address), None) => {
            if let Some(limit) = limit {
                limit.wrong("it limits those that come from a prefix, and this is one peer");
            }
            let address = address.parse("a peer's address", values::host_address)?;
            Some(Location { address, range: None })
        }
        (None, Some(prefix)) => {
            let limit = or(limit, DEFAULT_LIMIT, |field| field.number(1..=u32::MAX));
            for key in NOT_OF_A_RANGE {
                if let Some(field) = section.get(key) {
                    field.wrong(
                        "it has no meaning for a prefix, whose peers dial and are never dialled: \
                         remove it, or list the peer by its address",
                    );
                }
            }
            let prefix = prefix.parse("a prefix of peers", values::routable_prefix)?;
            Some(Location { address: prefix.address(), range: Some((prefix, limit?)) })
        }
        (None, None) => {
            section.field.wrong(
                "`address` is missing: expected the peer's address, or `prefix` for all that dial \
                 from there",
            );
            None
        }
        (Some(_), Some(prefix)) => {
            prefix.wrong("a peer has an address or comes from a prefix: keep one of the two");
            None
        }
    }
}

fn mesh(section: &mut Section<'_>, internal: bool) -> Option<bool> {
    let marked = section.get("mesh");
    let mesh = or(marked.clone(), false, Field::flag);
    if let (Some(marked), Some(true), true) = (marked, mesh, internal) {
        marked.wrong(
            "this peer is of our own AS, and routes of internal peers are not passed on to \
             internal peers (RFC 4271 section 9.2): remove it",
        );
    }
    mesh
}

/// RFC 8212 asks that this be told.
fn doubts(section: &Section<'_>, name: &str, import: &ImportRules, export: &ExportRules) {
    let accepts = |rules: &[PolicyRule]| rules.iter().any(|rule| rule.action == RuleAction::Accept);
    if !import.accept_by_default && import.prefixes.is_empty() && !accepts(&import.rules) {
        let why = format!("nothing is taken from {name} (RFC 8212): list import.prefixes");
        section.field.doubt(why);
    }
    let listed = export.pod_cidrs || export.services.any() || !export.prefixes.is_empty();
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
