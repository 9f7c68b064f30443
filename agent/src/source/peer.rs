//! Routers outside the mesh, as configured.

use std::net::IpAddr;
use std::time::Duration;

use twill_bgp::proto::session::RoleOffer;
use twill_bgp::proto::types::{Asn, Families, HoldTime, Prefix};
use twill_bgp::{Secret, Ttl};

use super::policy::{ExportRules, ImportRules};

/// A router outside the mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsidePeer {
    /// Unique.
    pub name: String,
    /// Its address; of what a [`PeerRange`] is like, the first of its prefix.
    pub address: IpAddr,
    /// Its AS.
    pub asn: Asn,
    /// Its port.
    pub port: u16,
    /// TCP MD5.
    pub password: Option<Secret>,
    /// It dials, we do not.
    pub passive: bool,
    /// TTL or GTSM.
    pub ttl: Ttl,
    /// What it announces may be passed on into the mesh, with our next hop.
    pub mesh: bool,
    /// Proposed hold time.
    pub hold_time: HoldTime,
    /// Offered families.
    pub families: Families,
    /// What else holds with its session.
    pub session: SessionOptions,
    /// What it may send.
    pub import: ImportRules,
    /// What it is sent.
    pub export: ExportRules,
}

/// What few sessions need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOptions {
    /// Our AS towards it, in place of our own (RFC 7705).
    pub local_asn: Option<Asn>,
    /// What it is dialled from; `None`: as the kernel chooses.
    pub local_address: Option<IpAddr>,
    /// What we are to it (RFC 9234).
    pub role: Option<RoleOffer>,
    /// Base of the back-off between attempts; `None`: the speaker's.
    pub connect_retry: Option<Duration>,
    /// The longest wait between attempts; `None`: the speaker's.
    pub connect_retry_max: Option<Duration>,
    /// How long it may read nothing (RFC 9687); `None`: the speaker's.
    pub send_hold_time: Option<Duration>,
    /// IPv4 routes by IPv6 next hops are offered (RFC 8950).
    pub extended_next_hop: bool,
    /// That a NOTIFICATION does not end forwarding is offered (RFC 8538).
    pub graceful_notification: bool,
    /// Its paths must begin with its AS (RFC 4271 section 6.3).
    pub enforce_first_as: bool,
    /// Its GRACEFUL_SHUTDOWN makes a route the last choice (RFC 8326).
    pub honor_graceful_shutdown: bool,
    /// Administratively down, with words for it (RFC 9003).
    pub shutdown: Option<String>,
}

impl Default for SessionOptions {
    fn default() -> SessionOptions {
        SessionOptions {
            local_asn: None,
            local_address: None,
            role: None,
            connect_retry: None,
            connect_retry_max: None,
            send_hold_time: None,
            extended_next_hop: false,
            graceful_notification: false,
            enforce_first_as: true,
            honor_graceful_shutdown: true,
            shutdown: None,
        }
    }
}

/// Routers that nobody lists: who dials from a prefix is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerRange {
    /// Where they may dial from.
    pub prefix: Prefix,
    /// How many there may be at the same time.
    pub limit: u32,
    /// What they are like; its name is the range's.
    pub template: OutsidePeer,
}

impl PeerRange {
    /// The address of one of its peers, by the peer's name: that of the range, a dash, and the
    /// address.
    pub fn address_of(&self, peer: &str) -> Option<IpAddr> {
        let address = peer.strip_prefix(&self.template.name)?.strip_prefix('-')?;
        address.parse().ok().filter(|address| self.prefix.contains(*address))
    }
}
