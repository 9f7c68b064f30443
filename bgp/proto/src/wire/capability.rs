//! Capabilities: what a speaker can do, told in its OPEN (RFC 5492).
//!
//! A capability whose code we know and whose length it cannot have makes the OPEN malformed
//! (RFC 4271 section 6.2); the contents of those that are mere flags are ignored.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::error::Truncated;
use super::reader::Reader;
use crate::types::Family;

/// A capability (RFC 5492).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Capability {
    /// 1: a family (RFC 4760); one that we do not carry is kept as `Unknown`.
    Multiprotocol(Family),
    /// 2: ROUTE-REFRESH (RFC 2918).
    RouteRefresh,
    /// 5: IPv4 routes with IPv6 next hops (RFC 8950); only the family triples that we know.
    ExtendedNextHop(Vec<Family>),
    /// 6: messages up to 65,535 octets (RFC 8654).
    ExtendedMessage,
    /// 9: role (RFC 9234), as sent.
    Role(u8),
    /// 64: graceful restart (RFC 4724).
    GracefulRestart {
        /// R: the sender has restarted.
        restarted: bool,
        /// N: NOTIFICATION does not end forwarding (RFC 8538).
        notification: bool,
        /// How long to keep its routes, at most 4,095 s.
        restart_time: Duration,
        /// Families whose forwarding may be kept. Families that we do not carry are left out.
        families: Vec<GracefulRestartFamily>,
    },
    /// 65: the AS number in four octets (RFC 6793), as sent, so that 0 can be refused by name.
    FourOctetAsn(u32),
    /// 70: enhanced route refresh (RFC 7313).
    EnhancedRouteRefresh,
    /// Anything else, or a known code whose value we do not use.
    Unknown {
        /// Capability code.
        code: u8,
        /// As received.
        value: Bytes,
    },
}

/// One family of the graceful restart capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GracefulRestartFamily {
    /// Which family.
    pub family: Family,
    /// F: the sender kept its forwarding state across the restart.
    pub forwarding: bool,
}

const MULTIPROTOCOL: u8 = 1;
const ROUTE_REFRESH: u8 = 2;
const EXTENDED_NEXT_HOP: u8 = 5;
const EXTENDED_MESSAGE: u8 = 6;
const ROLE: u8 = 9;
const GRACEFUL_RESTART: u8 = 64;
const FOUR_OCTET_ASN: u8 = 65;
const ENHANCED_ROUTE_REFRESH: u8 = 70;

const IPV6_AFI: u16 = 2;
const RESTARTED: u16 = 0x8000;
const NOTIFICATION: u16 = 0x4000;
const RESTART_TIME: u16 = 0x0FFF;
const FORWARDING: u8 = 0x80;

impl Capability {
    /// The code it has on the wire.
    pub const fn code(&self) -> u8 {
        match self {
            Capability::Multiprotocol(_) => MULTIPROTOCOL,
            Capability::RouteRefresh => ROUTE_REFRESH,
            Capability::ExtendedNextHop(_) => EXTENDED_NEXT_HOP,
            Capability::ExtendedMessage => EXTENDED_MESSAGE,
            Capability::Role(_) => ROLE,
            Capability::GracefulRestart { .. } => GRACEFUL_RESTART,
            Capability::FourOctetAsn(_) => FOUR_OCTET_ASN,
            Capability::EnhancedRouteRefresh => ENHANCED_ROUTE_REFRESH,
            Capability::Unknown { code, .. } => *code,
        }
    }

    /// The value of one capability of the code `code`, whole.
    pub(super) fn decode(code: u8, value: &[u8]) -> Result<Capability, Truncated> {
        let mut reader = Reader::new(value);
        let capability = match code {
            MULTIPROTOCOL => {
                let (afi, _reserved, safi) = (reader.u16()?, reader.u8()?, reader.u8()?);
                match Family::from_afi_safi(afi, safi) {
                    Some(family) => Capability::Multiprotocol(family),
                    None => Capability::unknown(code, value),
                }
            }
            EXTENDED_NEXT_HOP => {
                let mut families = Vec::new();
                while !reader.is_empty() {
                    let (afi, safi, next_hop) = (reader.u16()?, reader.u16()?, reader.u16()?);
                    let family =
                        u8::try_from(safi).ok().and_then(|s| Family::from_afi_safi(afi, s));
                    match family {
                        Some(Family::Ipv4Unicast) if next_hop == IPV6_AFI => {
                            families.push(Family::Ipv4Unicast);
                        }
                        _ => {}
                    }
                }
                Capability::ExtendedNextHop(families)
            }
            ROLE => Capability::Role(reader.u8()?),
            GRACEFUL_RESTART => Capability::decode_graceful_restart(&mut reader)?,
            FOUR_OCTET_ASN => Capability::FourOctetAsn(reader.u32()?),
            ROUTE_REFRESH => return Ok(Capability::RouteRefresh),
            EXTENDED_MESSAGE => return Ok(Capability::ExtendedMessage),
            ENHANCED_ROUTE_REFRESH => return Ok(Capability::EnhancedRouteRefresh),
            _ => return Ok(Capability::unknown(code, value)),
        };
        reader.end()?;
        Ok(capability)
    }

    fn unknown(code: u8, value: &[u8]) -> Capability {
        Capability::Unknown { code, value: Bytes::copy_from_slice(value) }
    }

    /// RFC 4724 section 3, with the N bit of RFC 8538 section 2.
    fn decode_graceful_restart(reader: &mut Reader<'_>) -> Result<Capability, Truncated> {
        let head = reader.u16()?;
        let mut families = Vec::new();
        while !reader.is_empty() {
            let (afi, safi, flags) = (reader.u16()?, reader.u8()?, reader.u8()?);
            if let Some(family) = Family::from_afi_safi(afi, safi) {
                families
                    .push(GracefulRestartFamily { family, forwarding: flags & FORWARDING != 0 });
            }
        }
        Ok(Capability::GracefulRestart {
            restarted: head & RESTARTED != 0,
            notification: head & NOTIFICATION != 0,
            restart_time: Duration::from_secs(u64::from(head & RESTART_TIME)),
            families,
        })
    }

    /// Writes code, length and value. Writes nothing where the value is over 255 octets, which
    /// no capability of ours is.
    pub(super) fn encode(&self, out: &mut BytesMut) {
        let mut value = BytesMut::new();
        match self {
            Capability::Multiprotocol(family) => {
                value.put_u16(family.afi());
                value.put_u8(0);
                value.put_u8(family.safi());
            }
            Capability::ExtendedNextHop(families) => {
                for family in families {
                    value.put_u16(family.afi());
                    value.put_u16(u16::from(family.safi()));
                    value.put_u16(IPV6_AFI);
                }
            }
            Capability::Role(role) => value.put_u8(*role),
            Capability::GracefulRestart { restarted, notification, restart_time, families } => {
                let seconds = u16::try_from(restart_time.as_secs()).unwrap_or(u16::MAX);
                let mut head = seconds.min(RESTART_TIME);
                head |= if *restarted { RESTARTED } else { 0 };
                head |= if *notification { NOTIFICATION } else { 0 };
                value.put_u16(head);
                for GracefulRestartFamily { family, forwarding } in families {
                    value.put_u16(family.afi());
                    value.put_u8(family.safi());
                    value.put_u8(if *forwarding { FORWARDING } else { 0 });
                }
            }
            Capability::FourOctetAsn(asn) => value.put_u32(*asn),
            Capability::Unknown { value: bytes, .. } => value.put_slice(bytes),
            Capability::RouteRefresh
            | Capability::ExtendedMessage
            | Capability::EnhancedRouteRefresh => {}
        }
        if let Ok(length) = u8::try_from(value.len()) {
            out.put_u8(self.code());
            out.put_u8(length);
            out.put_slice(&value);
        }
    }
}
