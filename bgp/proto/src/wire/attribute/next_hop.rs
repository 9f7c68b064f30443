//! NEXT_HOP, 3 (RFC 4271 section 5.1.3): of the routes in the NLRI field.

use std::net::{IpAddr, Ipv4Addr};

use bytes::{BufMut, BytesMut};

use super::super::Codec;
use super::super::error::{Malformed, Subcode, Verdict};
use super::{Decoded, Descriptor, Presence, Session, Target, WELL_KNOWN, fixed};
use crate::types::{Attributes, NextHop};

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    code: 3,
    name: "NEXT_HOP",
    flags: WELL_KNOWN,
    session: Session::Any,
    fault: Verdict::TreatAsWithdraw,
    decode,
    encode,
};

/// Whether packets can be sent to it: a host's address, of whatever scope.
pub(in super::super) fn is_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.octets()[0] != 0
                && !address.is_loopback()
                && !address.is_multicast()
                && !address.is_broadcast()
        }
        IpAddr::V6(address) => {
            !address.is_unspecified() && !address.is_loopback() && !address.is_multicast()
        }
    }
}

fn decode(decoded: &mut Decoded, _: &Codec, value: &[u8]) -> Result<(), Malformed> {
    let address = Ipv4Addr::from(fixed::<4>(value)?);
    if !is_host(IpAddr::V4(address)) {
        return Err(Malformed::new(
            Subcode::InvalidNextHop,
            format!("{address} is no host's address"),
        ));
    }
    decoded.next_hop = Some(address);
    Ok(())
}

fn encode(attributes: &Attributes, target: Target<'_>, out: &mut BytesMut) -> Presence {
    match attributes.next_hop {
        NextHop::V4(address) if !target.multiprotocol => {
            out.put_slice(&address.octets());
            Presence::Present
        }
        _ => Presence::Absent,
    }
}
