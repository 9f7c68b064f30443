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
