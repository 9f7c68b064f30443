//! What few sessions need: the keys of a peer beyond who it is and what it may say.

use std::net::IpAddr;
use std::time::Duration;

use twill_bgp::proto::session::RoleOffer;
use twill_bgp::proto::types::{Asn, Families, Family, HoldTime, Prefix};

use super::read::{Field, Section};
use super::{asn, or, values};
use crate::source::peer::SessionOptions;

/// The longest operator's text, in octets of UTF-8 (RFC 9003 section 2).
const MAX_WORDS: usize = 255;
/// The longest back-off: what waits longer than a day is forgotten.
const MAX_RETRY: Duration = Duration::from_secs(24 * 60 * 60);

/// What the keys are held against; each `None` where it could not be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct About {
    pub(super) own: Option<Asn>,
    pub(super) asn: Option<Asn>,
    pub(super) address: Option<IpAddr>,
    pub(super) hold_time: Option<HoldTime>,
    pub(super) families: Option<Families>,
}

impl About {
    fn internal(&self) -> bool {
        self.asn.is_some() && self.asn == self.own
    }
}

pub(super) fn read(section: &mut Section<'_>, about: About) -> Option<SessionOptions> {
    let default = SessionOptions::default();
    let local_asn = or(section.get("localAsn"), None, |field| local_asn(field, about).map(Some));
    let local_address =
        or(section.get("localAddress"), None, |field| local_address(field, about).map(Some));
    let role = role(section, about);
    let retry = |field: &Field<'_>| back_off(field).map(Some);
    let connect_retry = or(section.get("connectRetry"), None, retry);
    let longest = section.get("connectRetryMax");
    let connect_retry_max = or(longest.clone(), None, retry);
    if let (Some(longest), Some(Some(base)), Some(Some(max))) =
        (longest, connect_retry, connect_retry_max)
        && max < base
    {
        longest.wrong(format!("it is less than connectRetry, {}s", base.as_secs()));
    }
    let send_hold_time =
        or(section.get("sendHoldTime"), None, |field| send_hold_time(field, about).map(Some));
    let extended_next_hop = section.get("extendedNextHop");
    let extended = or(extended_next_hop.clone(), false, Field::flag);
    if let (Some(field), Some(true), Some(families)) = (extended_next_hop, extended, about.families)
        && !families.contains(Family::Ipv4Unicast)
    {
        field.wrong("it is about IPv4 routes, and the session carries none: add ipv4 to families");
    }
    let graceful_notification = or(section.get("gracefulNotification"), false, Field::flag);
    let mut external_flag = |key, default| {
        let field = section.get(key);
        if let Some(field) = field.as_ref().filter(|_| about.internal()) {
            field.wrong("it is for peers of another AS, and this one is of ours: remove it");
        }
        or(field, default, Field::flag)
    };
    let enforce_first_as = external_flag("enforceFirstAs", default.enforce_first_as);
    let honor = external_flag("honorGracefulShutdown", default.honor_graceful_shutdown);
    let shutdown = or(section.get("shutdown"), None, |field| words(field).map(Some));
    Some(SessionOptions {
        local_asn: local_asn?,
        local_address: local_address?,
        role: role?,
        connect_retry: connect_retry?,
        connect_retry_max: connect_retry_max?,
        send_hold_time: send_hold_time?,
        extended_next_hop: extended?,
        graceful_notification: graceful_notification?,
        enforce_first_as: enforce_first_as?,
        honor_graceful_shutdown: honor?,
        shutdown: shutdown?,
    })
}

fn local_asn(field: &Field<'_>, about: About) -> Option<Asn> {
    let number = asn(field)?;
    if about.internal() {
        field.wrong("another AS is shown to peers of other ASes only (RFC 7705): remove it");
        return None;
    }
    if Some(number) == about.asn {
        field.wrong("it is the peer's own AS, which would take every route for a loop");
        return None;
    }
    if Some(number) == about.own {
        field.doubt("it is our AS anyway: remove it");
    }
    Some(number)
}

fn local_address(field: &Field<'_>, about: About) -> Option<IpAddr> {
    let local: IpAddr = field.parse("an address of this node", values::host_address)?;
    let family = |address| Prefix::host(address).family();
    if let Some(address) = about.address.filter(|address| family(*address) != family(local)) {
        field
            .wrong(format!("{address} cannot be dialled from {local}: give one of its IP version"));
        return None;
    }
    Some(local)
}

fn role(section: &mut Section<'_>, about: About) -> Option<Option<RoleOffer>> {
    let role = section.get("role");
    let strict = section.get("roleStrict");
    let required = or(strict.clone(), false, Field::flag);
    if let (Some(strict), None) = (&strict, &role) {
        strict.wrong("without a role there is nothing to insist on: give `role`, or remove it");
    }
    let offered = or(role.clone(), None, |field| field.parse("a role", str::parse).map(Some));
    if let Some(role) = role.filter(|_| about.internal()) {
        role.wrong("roles are between ASes (RFC 9234), and this peer is of ours: remove it");
        return None;
    }
    let required = required?;
    Some(offered?.map(|role| RoleOffer { role, required }))
}

fn back_off(field: &Field<'_>) -> Option<Duration> {
    let time = field.parse("a duration", values::duration)?;
    if !(Duration::from_secs(1)..=MAX_RETRY).contains(&time) {
        field.wrong(format!("expected 1s to {}h", MAX_RETRY.as_secs() / 3600));
        return None;
    }
    Some(time)
}

fn send_hold_time(field: &Field<'_>, about: About) -> Option<Duration> {
    let time = field.parse("a duration", values::duration)?;
    let hold = about.hold_time.map(|hold| Duration::from_secs(hold.as_secs().into()));
    if let Some(hold) = hold.filter(|hold| time <= *hold) {
        field.wrong(format!(
            "it must be longer than the hold time, {}s (RFC 9687), or the session ends before the \
             peer can",
            hold.as_secs()
        ));
        return None;
    }
    Some(time)
}

/// What the peer is told, which may be nothing.
fn words(field: &Field<'_>) -> Option<String> {
    let words = field.text("words for the peer, or '' for none")?;
    if matches!(words, "true" | "false") {
        field.wrong(
            "write words for the peer, or '' for none, to shut the session down; remove the key \
             to have it up",
        );
        return None;
    }
    if words.len() > MAX_WORDS {
        field.wrong(format!(
            "the words have {} bytes, and a NOTIFICATION takes {MAX_WORDS} (RFC 9003)",
            words.len()
        ));
        return None;
    }
    Some(words.to_owned())
}
