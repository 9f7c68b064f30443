//! MP_REACH_NLRI, 14 (RFC 4760 section 3): routes of any family with their next hop, IPv6 by
//! RFC 2545, IPv4 with IPv6 next hops by RFC 8950.

use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::{BufMut, BytesMut};

use super::super::Codec;
use super::super::error::{Malformed, Subcode, Truncated, Verdict};
use super::super::nlri;
use super::super::reader::Reader;
use super::decoded::MpReach;
use super::next_hop::is_host;
use super::{Decoded, Descriptor, OPTIONAL_NON_TRANSITIVE, Presence, Session, begin_long};
use crate::types::{Family, NextHop};

pub(super) const CODE: u8 = 14;

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    code: CODE,
    name: "MP_REACH_NLRI",
    flags: OPTIONAL_NON_TRANSITIVE,
    session: Session::Any,
    // Routes that cannot be found cannot be withdrawn (RFC 7606 section 7.11).
    fault: Verdict::SessionReset,
    decode,
    encode: |_, _, _| Presence::Absent,
};

/// AFI, SAFI, next hop and NLRI, not yet understood.
struct Parts<'a> {
    afi: u16,
    safi: u8,
    next_hop: &'a [u8],
    nlri: &'a [u8],
}

impl<'a> Parts<'a> {
    fn split(value: &'a [u8]) -> Result<Parts<'a>, Truncated> {
        let mut reader = Reader::new(value);
        let (afi, safi, length) = (reader.u16()?, reader.u8()?, reader.u8()?);
        let next_hop = reader.take(usize::from(length))?;
        let _reserved = reader.u8()?;
        Ok(Parts { afi, safi, next_hop, nlri: reader.remaining() })
    }
}

fn decode(decoded: &mut Decoded, codec: &Codec, value: &[u8]) -> Result<(), Malformed> {
    let malformed = |what: String| Malformed::new(Subcode::OptionalAttribute, what);
    let parts = Parts::split(value)
        .map_err(|Truncated| malformed("the next hop reaches beyond the attribute".to_owned()))?;
    decoded.announces = !parts.nlri.is_empty();
    let family = Family::from_afi_safi(parts.afi, parts.safi)
        .filter(|family| codec.families.contains(*family))
        .ok_or_else(|| not_negotiated(parts.afi, parts.safi))?;
    let mut prefixes = Vec::new();
    nlri::decode(family, parts.nlri, &mut prefixes)
        .map_err(|fault| malformed(fault.to_string()))?;
    let next_hop = decode_next_hop(family, codec, parts.next_hop).ok_or_else(|| {
        malformed(format!("a next hop of {} octets for {family}", parts.next_hop.len()))
    })?;
    decoded.mp_reach = Some(MpReach { next_hop, prefixes });
    if is_host(next_hop.address()) {
        return Ok(());
    }
    let what = format!("next hop {next_hop} is no host's address");
    Err(malformed(what).with(Verdict::TreatAsWithdraw))
}

/// Prefixes of a family that was not agreed on are ignored.
pub(super) fn not_negotiated(afi: u16, safi: u8) -> Malformed {
    let what = format!("AFI {afi}, SAFI {safi} was not negotiated: ignored");
    Malformed::new(Subcode::OptionalAttribute, what).with(Verdict::Keep)
}

/// `None` for a length that the family cannot have in this session.
fn decode_next_hop(family: Family, codec: &Codec, octets: &[u8]) -> Option<NextHop> {
    if family == Family::Ipv4Unicast {
        if let Ok(octets) = <[u8; 4]>::try_from(octets) {
            return Some(NextHop::V4(Ipv4Addr::from(octets)));
        }
        if !codec.extended_next_hop {
            return None;
        }
    }
    let (global, rest) = octets.split_first_chunk::<16>()?;
    let global = Ipv6Addr::from(*global);
    if rest.is_empty() {
        return Some(NextHop::V6 { global, link_local: None });
    }
    let second = Ipv6Addr::from(<[u8; 16]>::try_from(rest).ok()?);
    let link_local = Some(second).filter(|second| is_link_local(*second, global));
    // Some send :: where they have no global address.
    match link_local {
        Some(only) if global.is_unspecified() => {
            Some(NextHop::V6 { global: only, link_local: None })
        }
        _ => Some(NextHop::V6 { global, link_local }),
    }
}

/// Whether `second` may stand beside `global`.
fn is_link_local(second: Ipv6Addr, global: Ipv6Addr) -> bool {
    second.is_unicast_link_local() && second != global
}

/// Begins the attribute up to its NLRI; returns what `finish_long` wants.
pub(in super::super) fn encode_head(
    family: Family,
    next_hop: NextHop,
    out: &mut BytesMut,
) -> usize {
    let value_at = begin_long(CODE, out);
    out.put_u16(family.afi());
    out.put_u8(family.safi());
    match next_hop {
        NextHop::V4(address) => {
            out.put_u8(4);
            out.put_slice(&address.octets());
        }
        NextHop::V6 { global, link_local } => {
            // RFC 2545 section 3: a link-local address never stands without the global one.
            let link_local = link_local.filter(|second| is_link_local(*second, global));
            out.put_u8(if link_local.is_some() { 32 } else { 16 });
            out.put_slice(&global.octets());
            if let Some(link_local) = link_local {
                out.put_slice(&link_local.octets());
            }
        }
    }
    out.put_u8(0);
    value_at
}
