//! Tests of the state machine as a whole; those of one room stand in the room.

use std::net::Ipv4Addr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::negotiation::our_open;
use super::refusal::Refused;
use super::{Passive, SessionConfig};
use crate::types::{Asn, Families, HoldTime, RouterId};
use crate::wire::Open;

/// Where the fake clock starts. An `Instant` cannot be made from nothing.
pub(super) fn epoch() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "the origin of a fake clock, read once")]
    static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
    *EPOCH
}

/// A router of AS 64512 with the identifier 10.0.0.`local`, and its peer 10.0.0.`peer` of the
/// same AS.
pub(super) fn config(local: u8, _peer: u8) -> SessionConfig {
    SessionConfig {
        local_asn: Asn::new(64512).unwrap(),
        peer_asn: Asn::new(64512).unwrap(),
        router_id: RouterId::new(Ipv4Addr::new(10, 0, 0, local)).unwrap(),
        hold_time: HoldTime::DEFAULT,
        connect_retry: Duration::from_secs(5),
        families: Families::ALL,
        passive: Passive::No,
        graceful_restart: None,
    }
}

/// The OPEN of a router so configured.
pub(super) fn open_of(config: &SessionConfig) -> Open {
    our_open(config, Families::NONE, &Refused::default())
}
