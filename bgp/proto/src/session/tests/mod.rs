//! Tests of the state machine as a whole; those of one room stand in the room.

mod chaos;
mod collisions;
mod damping;
mod notifications;
mod property;
mod restarts;
mod scripted;
mod table;
mod world;

use std::net::Ipv4Addr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::negotiation::our_open;
use super::refusal::Refused;
use super::{Passive, RestartingSide, SessionConfig};
use crate::types::{Asn, Families, HoldTime, RouterId};
use crate::wire::Open;

/// Where the fake clock starts. An `Instant` cannot be made from nothing.
pub(super) fn epoch() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "the origin of a fake clock, read once")]
    static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
    *EPOCH
}

pub(super) fn asn(number: u32) -> Asn {
    Asn::new(number).unwrap()
}

/// A router of AS 64512 with the identifier 10.0.0.`id`, whose peer is of the same AS.
pub(super) fn config(id: u8) -> SessionConfig {
    SessionConfig {
        local_asn: asn(64512),
        peer_asn: asn(64512),
        router_id: RouterId::new(Ipv4Addr::new(10, 0, 0, id)).unwrap(),
        hold_time: HoldTime::DEFAULT,
        connect_retry: Duration::from_secs(5),
        connect_retry_max: Duration::from_secs(120),
        families: Families::ALL,
        passive: Passive::No,
        role: None,
        extended_next_hop: false,
        graceful_restart: None,
    }
}

/// As [`config`], with graceful restart; `forwarding` and `restarted` as after a restart that
/// found all routes in the kernel.
pub(super) fn graceful(id: u8, restarted: bool) -> SessionConfig {
    let forwarding = if restarted { Families::ALL } else { Families::NONE };
    let restart_time = Duration::from_secs(120);
    let side = RestartingSide { restart_time, restarted, forwarding, notification: false };
    SessionConfig { graceful_restart: Some(side), ..config(id) }
}

/// As [`graceful`], with the N bit.
pub(super) fn notifying(id: u8, restarted: bool) -> SessionConfig {
    let mut config = graceful(id, restarted);
    if let Some(side) = &mut config.graceful_restart {
        side.notification = true;
    }
    config
}

/// The OPEN of a router so configured.
pub(super) fn open_of(config: &SessionConfig) -> Open {
    our_open(config, Families::NONE, &Refused::default())
}
