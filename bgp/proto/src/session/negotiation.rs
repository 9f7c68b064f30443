//! What we offer, what of the peer's OPEN we accept, and what follows from both
//! (RFC 4271 sections 4.2 and 6.2, RFC 5492, RFC 4760 section 8, RFC 6793).

use super::fault::{self, Fault};
use super::graceful_restart::offer_of;
use super::refusal::Refused;
use super::{Direction, Negotiated, RestartingSide, SessionConfig};
use crate::types::{Families, Family};
use crate::wire::{Capability, Codec, GracefulRestartFamily, Open};

/// The OPEN that we send: all that is configured, less what the peer has refused before.
///
/// `carried` are the families of an earlier session of this process: nothing was restarted since,
/// so their forwarding is preserved as well (RFC 4724 section 3, F).
pub(super) fn our_open(config: &SessionConfig, carried: Families, refused: &Refused) -> Open {
    let mut capabilities: Vec<Capability> =
        config.families.iter().map(Capability::Multiprotocol).collect();
    capabilities.push(Capability::RouteRefresh);
    if let Some(side) = config.graceful_restart {
        capabilities.push(restart_capability(config.families, side, carried));
    }
    capabilities.push(Capability::FourOctetAsn(config.local_asn.get()));
    capabilities.retain(|capability| !refused.covers(capability));
    Open {
        asn: config.local_asn.to_u16_or_trans(),
        hold_time: config.hold_time,
        router_id: config.router_id,
        capabilities,
    }
}

fn restart_capability(families: Families, side: RestartingSide, carried: Families) -> Capability {
    let forwarding = |family| side.forwarding.contains(family) || carried.contains(family);
    Capability::GracefulRestart {
        restarted: side.restarted,
        notification: false,
        restart_time: side.restart_time,
        families: families
            .iter()
            .map(|family| GracefulRestartFamily { family, forwarding: forwarding(family) })
            .collect(),
    }
}

/// Judges the peer's OPEN against the configuration and against what we `sent` on the same
/// connection.
pub(super) fn negotiate(
    config: &SessionConfig,
    direction: Direction,
    sent: &Open,
    open: Open,
) -> Result<Negotiated, Fault> {
    let claimed = open.asn();
    if claimed != Some(config.peer_asn) {
        return Err(fault::bad_peer_as(config.peer_asn, claimed));
    }
    let ibgp = config.local_asn == config.peer_asn;
    if ibgp && open.router_id == config.router_id {
        return Err(fault::bad_identifier(config.router_id));
    }
    let (ours, theirs) = (families_of(sent), families_of(&open));
    let families = ours.and(theirs);
    if families.is_empty() {
        return Err(fault::no_common_family(ours, theirs));
    }
    let restart = offer_of(sent).and(offer_of(&open));
    Ok(Negotiated {
        direction,
        codec: Codec {
            four_octet_asn: has_four_octet_asn(sent) && has_four_octet_asn(&open),
            ibgp,
            extended_message: false,
            families,
            extended_next_hop: false,
        },
        hold_time: sent.hold_time.negotiate(open.hold_time),
        route_refresh: open.capabilities.contains(&Capability::RouteRefresh),
        graceful_restart: restart.map_or(Families::NONE, |offer| offer.families.and(families)),
        end_of_rib: restart.map_or(Families::NONE, |_| families),
        peer_restarted: restart.is_some_and(|offer| offer.restarted),
        retained: Families::NONE,
        open,
    })
}

/// The families that an OPEN offers: without a multiprotocol capability IPv4 unicast alone.
pub(super) fn families_of(open: &Open) -> Families {
    let mut families = open.capabilities.iter().filter_map(|capability| match capability {
        Capability::Multiprotocol(family) => Some(Some(*family)),
        Capability::Unknown { code: 1, .. } => Some(None),
        _ => None,
    });
    match families.next() {
        None => Families::NONE.with(Family::Ipv4Unicast),
        Some(first) => std::iter::once(first).chain(families).flatten().collect(),
    }
}

fn has_four_octet_asn(open: &Open) -> bool {
    open.capabilities.iter().any(|capability| matches!(capability, Capability::FourOctetAsn(_)))
}
