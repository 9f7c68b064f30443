//! One peer, whole: what was offered, what was agreed on, what was counted. Pure.

use twill_bgp::proto::session::{Direction, Negotiated, Passive};
use twill_bgp::proto::types::{Asn, Family};
use twill_bgp::proto::wire::Capability;
use twill_bgp::{PeerStatus, Ttl};

use super::view::families;
use super::{api, view};

/// Everything that the list of peers leaves out.
pub(super) fn detail(status: &PeerStatus) -> api::PeerDetail {
    let config = &status.config;
    api::PeerDetail {
        port: config.port,
        passive: config.passive == Passive::Yes,
        addresses: config.addresses().into_iter().collect(),
        ttl: match config.ttl_towards(view::address(status)) {
            Ttl::Gtsm(255) => "GTSM, 255 only".to_owned(),
            Ttl::Gtsm(least) => format!("GTSM, {least} and up"),
            Ttl::Hops(hops) => format!("TTL {hops}"),
        },
        password: config.password.is_some(),
        local: status.local,
        remote: status.remote,
        max_prefixes: config.max_prefixes.map(|maximum| maximum.limit),
        max_prefixes_warning: config.max_prefixes.and_then(|maximum| maximum.warn_at),
        max_prefixes_restart_seconds: config
            .max_prefixes
            .and_then(|maximum| maximum.restart_after)
            .map(|after| after.as_secs()),
        dynamic: status.dynamic,
        local_asn: config.local_asn.map(Asn::get),
        role: config.role.map(|offer| match offer.required {
            true => format!("{}, strict", offer.role),
            false => offer.role.to_string(),
        }),
        hold_time_seconds: config.hold_time.as_secs(),
        connect_retry_seconds: config.connect_retry.as_secs(),
        negotiated: status.negotiated.as_ref().map(|agreed| negotiated(agreed, status)),
        by_family: Family::ALL.into_iter().zip(0..).map(|of| counts(status, of)).collect(),
        messages_received: messages(status.messages_in),
        messages_sent: messages(status.messages_out),
    }
}

fn counts(status: &PeerStatus, (family, index): (Family, usize)) -> api::FamilyCounts {
    let of = |counts: [u32; 2]| counts.get(index).copied().unwrap_or_default();
    api::FamilyCounts {
        family: family.to_string(),
        received: of(status.received),
        accepted: of(status.accepted),
        rejected: of(status.rejected),
        stale: of(status.stale),
        advertised: of(status.advertised),
    }
}

fn messages(
    [open, update, notification, keepalive, route_refresh]: [u64; 5],
) -> api::MessageCounts {
    api::MessageCounts { open, update, notification, keepalive, route_refresh }
}

fn negotiated(agreed: &Negotiated, status: &PeerStatus) -> api::Negotiated {
    api::Negotiated {
        direction: match agreed.direction {
            Direction::Outgoing => "outgoing",
            Direction::Incoming | Direction::IncomingAgain => "incoming",
        }
        .to_owned(),
        router_id: agreed.open.router_id.to_ipv4(),
        hold_time_seconds: agreed.hold_time.as_secs(),
        keepalive_seconds: agreed.hold_time.keepalive().unwrap_or_default().as_secs(),
        capabilities: agreed.open.capabilities.iter().map(capability).collect(),
        in_use: in_use(agreed),
        refused: agreed.refused.iter().map(capability).collect(),
        end_of_rib: families(status.end_of_rib),
    }
}

/// What both sides use, in words.
fn in_use(agreed: &Negotiated) -> Vec<String> {
    let codec = &agreed.codec;
    let mut used = families(codec.families);
    used.extend(codec.four_octet_asn.then(|| "4-octet AS numbers".to_owned()));
    used.extend(agreed.route_refresh.then(|| "route refresh".to_owned()));
    used.extend(agreed.enhanced_refresh.then(|| "enhanced route refresh".to_owned()));
    used.extend(codec.extended_message.then(|| "extended messages".to_owned()));
    used.extend(codec.extended_next_hop.then(|| "IPv4 over IPv6 next hops".to_owned()));
    if !agreed.graceful_restart.is_empty() {
        used.push(format!("graceful restart ({})", families(agreed.graceful_restart).join(", ")));
    }
    if agreed.graceful_notification {
        used.push("graceful restart on NOTIFICATION".to_owned());
    }
    if agreed.peer_restarted {
        used.push("the peer said that it had restarted".to_owned());
    }
    used
}

/// One capability of the peer's OPEN, in words.
fn capability(capability: &Capability) -> String {
    match capability {
        Capability::Multiprotocol(family) => format!("{family} unicast"),
        Capability::RouteRefresh => "route refresh".to_owned(),
        Capability::ExtendedNextHop(_) => "IPv4 over IPv6 next hops".to_owned(),
        Capability::ExtendedMessage => "extended messages".to_owned(),
        Capability::Role(role) => format!("role {role}"),
        Capability::GracefulRestart { restarted, restart_time, families, .. } => {
            let of: Vec<String> = families
                .iter()
                .map(|entry| {
                    let kept = if entry.forwarding { " forwarding kept" } else { "" };
                    format!("{}{kept}", entry.family)
                })
                .collect();
            let restarted = if *restarted { ", has restarted" } else { "" };
            let of = if of.is_empty() { "as helper only".to_owned() } else { of.join(", ") };
            format!("graceful restart {} s ({of}{restarted})", restart_time.as_secs())
        }
        Capability::FourOctetAsn(number) => match Asn::new(*number) {
            Some(asn) => format!("4-octet AS {asn}"),
            None => "4-octet AS 0, which is reserved".to_owned(),
        },
        Capability::EnhancedRouteRefresh => "enhanced route refresh".to_owned(),
        Capability::Unknown { code, .. } => format!("code {code} (not used by us)"),
    }
}
