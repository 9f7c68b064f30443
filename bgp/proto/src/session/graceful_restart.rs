//! Graceful restart (RFC 4724), the helper's memory: which families of a lost peer are kept as
//! stale, and until when; and RFC 8538, which widens what counts as a restart.
//!
//! ```text
//! connection breaks -> keep, for the restart time that the peer announced
//!   peer is back    -> keep what it preserved (F), until its End-of-RIB or for STALE_PATH_TIME
//!   breaks again    -> forget what is still stale, keep the rest anew
//! ```
//!
//! Where both sides sent the N bit, a NOTIFICATION and the hold timer end the session as a broken
//! connection does, and a Hard Reset (Cease, subcode 9) is what ends forwarding: received, or sent
//! because we are told to stay down. A configuration that bounces a session ends it for us, too:
//! what the peer sent under the old one may mean another thing under the new one.

use std::time::Duration;

use super::{DownReason, Negotiated};
use crate::types::Families;
use crate::wire::{Capability, Cease, Open};

/// How long the routes of a returned peer stay stale while its End-of-RIB does not come: the
/// bound on what RFC 4724 section 4.2 lets a receiver keep.
pub const STALE_PATH_TIME: Duration = Duration::from_secs(360);

/// A graceful restart capability, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RestartOffer {
    /// R.
    pub(super) restarted: bool,
    /// N.
    pub(super) notification: bool,
    /// How long to keep its routes.
    pub(super) restart_time: Duration,
    /// Listed.
    pub(super) families: Families,
    /// Of those, with F.
    pub(super) forwarding: Families,
}

/// What an OPEN says about graceful restart; of several capabilities the last counts
/// (RFC 4724 section 3).
pub(super) fn offer_of(open: &Open) -> Option<RestartOffer> {
    open.capabilities.iter().rev().find_map(|capability| match capability {
        Capability::GracefulRestart { restarted, notification, restart_time, families } => {
            let listed = families.iter();
            Some(RestartOffer {
                restarted: *restarted,
                notification: *notification,
                restart_time: *restart_time,
                families: listed.clone().map(|entry| entry.family).collect(),
                forwarding: listed
                    .filter(|entry| entry.forwarding)
                    .map(|entry| entry.family)
                    .collect(),
            })
        }
        _ => None,
    })
}

/// Whether a session that ended for `reason` ended as a restart does; `for_good`: we stay down.
pub(super) fn is_graceful(reason: &DownReason, agreed: &Negotiated, for_good: bool) -> bool {
    match reason {
        DownReason::Tcp(_) | DownReason::Replaced => true,
        DownReason::Reconfigured(_) | DownReason::Leaving => false,
        DownReason::Received(notification) | DownReason::Sent { notification, .. } => {
            agreed.graceful_notification && !notification.is_hard_reset()
        }
        DownReason::Local(cease) => {
            agreed.graceful_notification && !for_good && *cease != Cease::HardReset
        }
        DownReason::HoldTimer(_) | DownReason::SendHoldTimer(_) => agreed.graceful_notification,
    }
}

/// What is kept of a session whose connection broke, and for how long.
pub(super) fn kept_after_loss(agreed: &Negotiated) -> (Families, Duration) {
    let restart_time = offer_of(&agreed.open).map_or(Duration::ZERO, |offer| offer.restart_time);
    if restart_time.is_zero() {
        (Families::NONE, restart_time)
    } else {
        (agreed.graceful_restart, restart_time)
    }
}

/// Of the `stale` families, those that stay as the peer returns with what was `agreed` on.
pub(super) fn kept_after_return(stale: Families, agreed: &Negotiated) -> Families {
    let forwarding = offer_of(&agreed.open).map_or(Families::NONE, |offer| offer.forwarding);
    stale.and(agreed.graceful_restart).and(forwarding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::{config, open_of};
    use crate::types::Family;
    use crate::wire::GracefulRestartFamily;

    fn capability(restarted: bool, families: &[(Family, bool)]) -> Capability {
        Capability::GracefulRestart {
            restarted,
            notification: false,
            restart_time: Duration::from_secs(120),
            families: families
                .iter()
                .map(|&(family, forwarding)| GracefulRestartFamily { family, forwarding })
                .collect(),
        }
    }

    #[test]
    fn the_last_capability_counts() {
        let mut open = open_of(&config(1));
        open.capabilities = vec![
            capability(true, &[(Family::Ipv4Unicast, true)]),
            capability(false, &[(Family::Ipv6Unicast, false)]),
        ];
        let offer = offer_of(&open).unwrap();
        assert!(!offer.restarted);
        assert_eq!(offer.families, Families::NONE.with(Family::Ipv6Unicast));
        assert_eq!(offer.forwarding, Families::NONE);
    }

    #[test]
    fn no_capability_says_nothing() {
        let mut open = open_of(&config(1));
        open.capabilities.clear();
        assert_eq!(offer_of(&open), None);
    }
}
