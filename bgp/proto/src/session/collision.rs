//! Which of two connections survives (RFC 4271 section 6.8, RFC 6286 section 2.3, RFC 4724
//! section 5), judged when an OPEN has been accepted on one of them.
//!
//! The connection dialled by the speaker with the higher identifier survives; among equal
//! identifiers, which only different ASes may have, the higher AS decides. Both sides must come to
//! the same end, or both connections die:
//!
//! - The higher side decides alone. If its own connection is open when the other's OPEN arrives,
//!   it refuses the other's at once; if it is only being dialled, it gives that up.
//! - The lower side waits for the higher's OPEN: that OPEN is sent only on a connection that the
//!   higher side prefers.
//! - Of two that the peer dialled, it means the later one.
//! - An Established session gives way only to a peer that returns after a restart, which graceful
//!   restart must have announced; a connection that crossed it on the wire is not that.

use std::time::{Duration, Instant};

use super::connection::Connection;
use super::{Direction, SessionConfig};
use crate::wire::Open;

/// How long two connections that were dialled at the same moment may cross on the wire. Within
/// this, an open connection of ours is expected to bring the peer's OPEN, and a connection that
/// the peer dialled is no sign of a restart.
pub const COLLISION_WINDOW: Duration = Duration::from_secs(5);

/// A connection on which an OPEN has just been accepted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) direction: Direction,
    pub(super) order: u64,
    /// What we dialled prevails.
    pub(super) ours_prevail: bool,
}

/// What becomes of the candidate and one other connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They do not collide, or not yet.
    Both,
    /// The other is closed.
    Candidate,
    /// The candidate is closed.
    Other,
}

/// Whether what we dial survives against what this peer dials.
pub(super) fn ours_prevail(config: &SessionConfig, open: &Open) -> bool {
    (config.router_id, config.local_asn) > (open.router_id, config.peer_asn)
}

impl Candidate {
    /// Judges the candidate against what fills another slot.
    pub(super) fn against(self, direction: Direction, other: &Connection, now: Instant) -> Verdict {
        let crossed = |since: Instant| now.saturating_duration_since(since) < COLLISION_WINDOW;
        let preferred = match (self.direction.is_incoming(), direction.is_incoming()) {
            (true, false) => !self.ours_prevail,
            (false, _) => self.ours_prevail,
            (true, true) => match other {
                Connection::OpenConfirm(other) => self.order > other.order,
                _ => true,
            },
        };
        match other {
            Connection::Closed => Verdict::Both,
            Connection::Dialing => Verdict::Candidate,
            Connection::OpenSent(other) => {
                if !direction.is_incoming() && self.ours_prevail && crossed(other.opened) {
                    Verdict::Other
                } else {
                    Verdict::Both
                }
            }
            Connection::OpenConfirm(_) if preferred => Verdict::Candidate,
            Connection::OpenConfirm(_) => Verdict::Other,
            Connection::Established(other) => {
                let restart = !other.agreed.end_of_rib.is_empty()
                    && self.direction.is_incoming()
                    && (direction.is_incoming() || !crossed(other.since));
                if restart { Verdict::Candidate } else { Verdict::Other }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Direction::{Incoming, IncomingAgain, Outgoing};
    use super::Verdict::{Both, Candidate as Newer, Other as Older};
    use super::*;
    use crate::session::connection::{Established, OpenConfirm, OpenSent};
    use crate::session::negotiation::negotiate;
    use crate::session::tests::{asn, config, epoch, graceful, open_of};

    const YOUNG: Duration = Duration::from_secs(1);
    const OLD: Duration = Duration::from_secs(60);

    fn open_sent(order: u64) -> Connection {
        Connection::OpenSent(OpenSent { opened: epoch(), order, sent: open_of(&config(1)) })
    }

    fn agreed(ours: &SessionConfig, theirs: &SessionConfig) -> Box<crate::session::Negotiated> {
        Box::new(negotiate(ours, Outgoing, &open_of(ours), open_of(theirs)).unwrap())
    }

    fn open_confirm(order: u64) -> Connection {
        let agreed = agreed(&config(1), &config(2));
        Connection::OpenConfirm(OpenConfirm { order, sent: open_of(&config(1)), agreed })
    }

    fn established(ours: &SessionConfig, theirs: &SessionConfig) -> Connection {
        Connection::Established(Established { since: epoch(), agreed: agreed(ours, theirs) })
    }

    /// The candidate is the second connection of the session.
    fn judge(
        candidate: Direction,
        ours_prevail: bool,
        direction: Direction,
        other: &Connection,
        age: Duration,
    ) -> Verdict {
        Candidate { direction: candidate, order: 2, ours_prevail }.against(
            direction,
            other,
            epoch() + age,
        )
    }

    #[test]
    fn the_table_of_collisions() {
        // What the OPEN came on; the other and its state; who survives if our id is the higher
        // one, and if it is the lower one.
        let table = [
            (Outgoing, Incoming, Connection::Closed, Both, Both),
            (Outgoing, Incoming, open_sent(1), Both, Both),
            (Outgoing, Incoming, open_confirm(1), Newer, Older),
            (Outgoing, IncomingAgain, open_confirm(3), Newer, Older),
            (Incoming, Outgoing, Connection::Closed, Both, Both),
            (Incoming, Outgoing, Connection::Dialing, Newer, Newer),
            (Incoming, Outgoing, open_sent(1), Older, Both),
            (Incoming, Outgoing, open_confirm(1), Older, Newer),
            (Incoming, IncomingAgain, open_sent(1), Both, Both),
            (Incoming, IncomingAgain, open_confirm(1), Newer, Newer),
            (Incoming, IncomingAgain, open_confirm(3), Older, Older),
        ];
        for (candidate, direction, other, higher, lower) in table {
            let row = format!("{candidate:?} against {direction:?} in {:?}", other.state());
            assert_eq!(judge(candidate, true, direction, &other, YOUNG), higher, "{row}, higher");
            assert_eq!(judge(candidate, false, direction, &other, YOUNG), lower, "{row}, lower");
        }
    }

    #[test]
    fn a_connection_of_ours_that_stays_silent_is_not_waited_for() {
        assert_eq!(judge(Incoming, true, Outgoing, &open_sent(1), OLD), Both);
    }

    #[test]
    fn only_a_restart_that_was_announced_ends_an_established_session() {
        let plain = established(&config(1), &config(2));
        let half = established(&graceful(1, false), &config(2));
        let both = established(&graceful(1, false), &graceful(2, false));
        for higher in [false, true] {
            for other in [Outgoing, Incoming] {
                for age in [YOUNG, OLD] {
                    assert_eq!(judge(IncomingAgain, higher, other, &plain, age), Older);
                    assert_eq!(judge(IncomingAgain, higher, other, &half, age), Older);
                }
            }
            assert_eq!(judge(IncomingAgain, higher, Incoming, &both, YOUNG), Newer);
            assert_eq!(judge(Incoming, higher, Outgoing, &both, OLD), Newer);
            // It may have crossed ours on the wire.
            assert_eq!(judge(Incoming, higher, Outgoing, &both, YOUNG), Older);
            // What we dial never replaces what is up.
            assert_eq!(judge(Outgoing, higher, Incoming, &both, OLD), Older);
        }
    }

    #[test]
    fn identifiers_are_compared_as_numbers_and_then_the_ases() {
        let ours = |id, local, peer| SessionConfig {
            local_asn: asn(local),
            peer_asn: asn(peer),
            ..config(id)
        };
        let theirs = |id, local| open_of(&SessionConfig { local_asn: asn(local), ..config(id) });
        assert!(ours_prevail(&ours(200, 1, 2), &theirs(9, 2)), "not as text");
        assert!(!ours_prevail(&ours(9, 2, 1), &theirs(200, 1)));
        assert!(ours_prevail(&ours(7, 2, 1), &theirs(7, 1)));
        assert!(!ours_prevail(&ours(7, 1, 2), &theirs(7, 2)));
    }
}
