//! What we offer, what of the peer's OPEN we accept, and what follows from both
//! (RFC 4271 sections 4.2 and 6.2, RFC 5492, RFC 4760 section 8, RFC 6793).

use super::fault::{self, Fault};
use super::graceful_restart::offer_of;
use super::refusal::Refused;
use super::{Direction, Negotiated, RestartingSide, RoleOffer, SessionConfig};
use crate::types::{Families, Family, Role};
use crate::wire::{Capability, Codec, GracefulRestartFamily, Open};

/// The OPEN that we send: all that is configured, less what the peer has refused before.
///
/// `carried` are the families of an earlier session of this process: nothing was restarted since,
/// so their forwarding is preserved as well (RFC 4724 section 3, F).
pub(super) fn our_open(config: &SessionConfig, carried: Families, refused: &Refused) -> Open {
    let mut capabilities: Vec<Capability> =
        config.families.iter().map(Capability::Multiprotocol).collect();
    capabilities.push(Capability::RouteRefresh);
    if config.extended_next_hop && config.families.contains(Family::Ipv4Unicast) {
        capabilities.push(Capability::ExtendedNextHop(vec![Family::Ipv4Unicast]));
    }
    capabilities.push(Capability::ExtendedMessage);
    if let Some(offer) = config.role.filter(|_| !is_internal(config)) {
        capabilities.push(Capability::Role(offer.role.to_u8()));
    }
    if let Some(side) = config.graceful_restart {
        capabilities.push(restart_capability(config.families, side, carried));
    }
    capabilities.push(Capability::FourOctetAsn(config.local_asn.get()));
    capabilities.push(Capability::EnhancedRouteRefresh);
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
        notification: side.notification,
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
    let ibgp = is_internal(config);
    if ibgp && open.router_id == config.router_id {
        return Err(fault::bad_identifier(config.router_id));
    }
    let (ours, theirs) = (families_of(sent), families_of(&open));
    let families = ours.and(theirs);
    if families.is_empty() {
        return Err(fault::no_common_family(ours, theirs));
    }
    if let Some(offer) = config.role.filter(|_| !ibgp) {
        judge_role(offer, &open)?;
    }
    let our_restart = offer_of(sent);
    let restart = our_restart.and(offer_of(&open));
    let both_notify = our_restart.is_some_and(|ours| ours.notification)
        && restart.is_some_and(|theirs| theirs.notification);
    Ok(Negotiated {
        direction,
        codec: Codec {
            four_octet_asn: both(sent, &open, |of| matches!(of, Capability::FourOctetAsn(_))),
            ibgp,
            extended_message: both(sent, &open, |of| *of == Capability::ExtendedMessage),
            families,
            extended_next_hop: both(sent, &open, is_extended_next_hop),
        },
        hold_time: sent.hold_time.negotiate(open.hold_time),
        route_refresh: open.capabilities.contains(&Capability::RouteRefresh),
        enhanced_refresh: both(sent, &open, |of| *of == Capability::EnhancedRouteRefresh),
        graceful_restart: restart.map_or(Families::NONE, |offer| offer.families.and(families)),
        end_of_rib: restart.map_or(Families::NONE, |_| families),
        graceful_notification: both_notify,
        peer_restarted: restart.is_some_and(|offer| offer.restarted),
        retained: Families::NONE,
        refused: Vec::new(),
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

fn is_internal(config: &SessionConfig) -> bool {
    config.local_asn == config.peer_asn
}

/// RFC 9234 section 4.2. Several capabilities that say the same are one.
fn judge_role(ours: RoleOffer, open: &Open) -> Result<(), Fault> {
    let mut theirs: Vec<u8> = open
        .capabilities
        .iter()
        .filter_map(|capability| match capability {
            Capability::Role(role) => Some(*role),
            _ => None,
        })
        .collect();
    theirs.sort_unstable();
    theirs.dedup();
    let fits = match theirs[..] {
        [] => !ours.required,
        [only] => Role::from_u8(only) == Some(ours.role.counterpart()),
        _ => false,
    };
    if fits { Ok(()) } else { Err(fault::role_mismatch(ours.role, &theirs)) }
}

/// Whether both OPENs offer what `is` asks for.
fn both(sent: &Open, received: &Open, is: impl Fn(&Capability) -> bool) -> bool {
    [sent, received].into_iter().all(|open| open.capabilities.iter().any(&is))
}

/// RFC 8950 section 4: for IPv4 unicast, the one family for which it means something here.
fn is_extended_next_hop(capability: &Capability) -> bool {
    matches!(capability, Capability::ExtendedNextHop(families)
        if families.contains(&Family::Ipv4Unicast))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::session::tests::{asn, config, graceful, open_of};
    use crate::types::HoldTime;

    fn agree(ours: &SessionConfig, theirs: Open) -> Result<Negotiated, Fault> {
        negotiate(ours, Direction::Outgoing, &open_of(ours), theirs)
    }

    /// The code and subcode that answer an OPEN.
    fn refusal(ours: &SessionConfig, theirs: Open) -> (u8, u8) {
        let fault = agree(ours, theirs).unwrap_err();
        (fault.notification.code, fault.notification.subcode)
    }

    #[test]
    fn our_open_says_what_is_configured() {
        let open = open_of(&SessionConfig { local_asn: asn(4_200_000_000), ..graceful(1, true) });
        assert_eq!(open.asn, 23456);
        let family = |family| GracefulRestartFamily { family, forwarding: true };
        assert_eq!(
            open.capabilities,
            [
                Capability::Multiprotocol(Family::Ipv4Unicast),
                Capability::Multiprotocol(Family::Ipv6Unicast),
                Capability::RouteRefresh,
                Capability::ExtendedMessage,
                Capability::GracefulRestart {
                    restarted: true,
                    notification: false,
                    restart_time: Duration::from_secs(120),
                    families: vec![family(Family::Ipv4Unicast), family(Family::Ipv6Unicast)],
                },
                Capability::FourOctetAsn(4_200_000_000),
                Capability::EnhancedRouteRefresh,
            ]
        );
    }

    #[test]
    fn the_peer_must_be_of_the_configured_as() {
        let ours = SessionConfig { peer_asn: asn(70000), ..config(1) };
        let theirs = SessionConfig { local_asn: asn(70000), ..config(2) };
        assert!(agree(&ours, open_of(&theirs)).is_ok(), "by the capability, not the field");
        let mut old = open_of(&theirs);
        old.capabilities.retain(|capability| capability.code() != 65);
        assert_eq!(refusal(&ours, old), (2, 2), "AS_TRANS alone is nobody");
        assert_eq!(refusal(&ours, open_of(&config(2))), (2, 2));
        let mut zero = open_of(&theirs);
        zero.capabilities = vec![Capability::FourOctetAsn(0)];
        assert_eq!(refusal(&ours, zero), (2, 2));
    }

    #[test]
    fn an_id_may_be_shared_between_ases_but_not_within() {
        assert_eq!(refusal(&config(1), open_of(&config(1))), (2, 3));
        let ours = SessionConfig { peer_asn: asn(65001), ..config(1) };
        let theirs = SessionConfig { local_asn: asn(65001), ..config(1) };
        assert!(!agree(&ours, open_of(&theirs)).unwrap().codec.ibgp);
    }

    #[test]
    fn families_are_those_of_both() {
        let mut open = open_of(&config(2));
        let table: [(Vec<Capability>, Families); 4] = [
            (vec![], Families::NONE.with(Family::Ipv4Unicast)),
            (vec![Capability::RouteRefresh], Families::NONE.with(Family::Ipv4Unicast)),
            (
                vec![Capability::Multiprotocol(Family::Ipv6Unicast)],
                Families::NONE.with(Family::Ipv6Unicast),
            ),
            (
                vec![
                    Capability::Unknown { code: 1, value: Bytes::from_static(&[0, 25, 0, 70]) },
                    Capability::Multiprotocol(Family::Ipv4Unicast),
                ],
                Families::NONE.with(Family::Ipv4Unicast),
            ),
        ];
        for (capabilities, families) in table {
            open.capabilities = capabilities;
            assert_eq!(agree(&config(1), open.clone()).unwrap().codec.families, families);
        }
        open.capabilities =
            vec![Capability::Unknown { code: 1, value: Bytes::from_static(&[0, 25, 0, 70]) }];
        assert_eq!(refusal(&config(1), open), (2, 7), "multiprotocol, but nothing of ours");
    }

    #[test]
    fn the_codec_follows_both() {
        let mut theirs = open_of(&config(2));
        assert!(agree(&config(1), theirs.clone()).unwrap().codec.four_octet_asn);
        theirs.capabilities.retain(|capability| capability.code() != 65);
        let negotiated = agree(&config(1), theirs).unwrap();
        assert!(!negotiated.codec.four_octet_asn);
        assert!(negotiated.codec.ibgp);
    }

    #[test]
    fn what_one_side_alone_offers_is_not_used() {
        let extended = |id| SessionConfig { extended_next_hop: true, ..config(id) };
        let used = |ours: &SessionConfig, theirs: Open| {
            let agreed = agree(ours, theirs).unwrap();
            let codec = agreed.codec;
            (codec.extended_message, codec.extended_next_hop, agreed.enhanced_refresh)
        };
        assert_eq!(used(&extended(1), open_of(&extended(2))), (true, true, true));
        assert_eq!(used(&extended(1), open_of(&config(2))), (true, false, true));
        assert_eq!(used(&config(1), open_of(&extended(2))), (true, false, true));
        let mut old = open_of(&extended(2));
        old.capabilities.retain(|capability| !matches!(capability.code(), 5 | 6 | 70));
        assert_eq!(used(&extended(1), old.clone()), (false, false, false));
        let sent = Open { asn: 64512, router_id: config(1).router_id, ..old };
        let theirs = open_of(&extended(2));
        let agreed = negotiate(&extended(1), Direction::Outgoing, &sent, theirs).unwrap();
        assert!(!agreed.codec.extended_message && !agreed.enhanced_refresh);
    }

    #[test]
    fn roles_go_together_or_there_is_no_session() {
        let external = |id, local, peer, role: Option<Role>, required| SessionConfig {
            local_asn: asn(local),
            peer_asn: asn(peer),
            role: role.map(|role| RoleOffer { role, required }),
            ..config(id)
        };
        for ours in Role::ALL {
            let config = external(1, 1, 2, Some(ours), false);
            for theirs in Role::ALL {
                let fits = agree(&config, open_of(&external(2, 2, 1, Some(theirs), false))).is_ok();
                assert_eq!(fits, theirs == ours.counterpart(), "{ours} and {theirs}");
            }
            let silent = external(2, 2, 1, None, false);
            assert!(agree(&config, open_of(&silent)).is_ok());
            let strict = external(1, 1, 2, Some(ours), true);
            assert_eq!(refusal(&strict, open_of(&silent)), (2, 11));
        }
        let config = external(1, 1, 2, Some(Role::Customer), false);
        let mut open = open_of(&external(2, 2, 1, Some(Role::Provider), false));
        open.capabilities.push(Capability::Role(0));
        assert!(agree(&config, open.clone()).is_ok(), "said twice");
        open.capabilities.push(Capability::Role(3));
        let fault = agree(&config, open.clone()).unwrap_err();
        assert_eq!(
            fault.what,
            "we are customer to the peer, so it must be provider; it is provider and customer"
        );
        open.capabilities.retain(|capability| capability.code() != 9);
        open.capabilities.push(Capability::Role(77));
        assert_eq!(refusal(&config, open), (2, 11));
    }

    #[test]
    fn within_the_as_there_are_no_roles() {
        let offer = Some(RoleOffer { role: Role::Peer, required: true });
        let ours = SessionConfig { role: offer, ..config(1) };
        assert!(!open_of(&ours).capabilities.iter().any(|capability| capability.code() == 9));
        assert!(agree(&ours, open_of(&config(2))).is_ok());
    }

    #[test]
    fn next_hops_of_ipv6_are_offered_only_with_ipv4() {
        let families = Families::NONE.with(Family::Ipv6Unicast);
        let open = open_of(&SessionConfig { extended_next_hop: true, families, ..config(1) });
        assert!(!open.capabilities.iter().any(is_extended_next_hop));
    }

    #[test]
    fn graceful_restart_needs_both() {
        let none = agree(&config(1), open_of(&graceful(2, true))).unwrap();
        assert_eq!((none.graceful_restart, none.end_of_rib), (Families::NONE, Families::NONE));
        assert!(!none.peer_restarted);
        let both = agree(&graceful(1, false), open_of(&graceful(2, true))).unwrap();
        assert_eq!((both.graceful_restart, both.end_of_rib), (Families::ALL, Families::ALL));
        assert!(both.peer_restarted);
    }

    #[test]
    fn the_hold_time_is_the_smaller_one() {
        let with = |id, seconds| SessionConfig {
            hold_time: HoldTime::from_secs(seconds).unwrap(),
            ..config(id)
        };
        for (ours, theirs, agreed) in [(90, 30, 30), (3, 90, 3), (90, 0, 0), (0, 90, 0)] {
            let negotiated = agree(&with(1, ours), open_of(&with(2, theirs))).unwrap();
            assert_eq!(negotiated.hold_time.as_secs(), agreed);
        }
    }
}
