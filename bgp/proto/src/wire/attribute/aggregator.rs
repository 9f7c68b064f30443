//! AGGREGATOR, 7 (RFC 4271 section 5.1.7), with an AS number of two or four octets (RFC 6793).

use std::net::Ipv4Addr;

use bytes::{BufMut, BytesMut};

use super::super::Codec;
use super::super::error::{Malformed, Subcode, Verdict};
use super::{Decoded, Descriptor, OPTIONAL_TRANSITIVE, Presence, Session, Target, fixed};
use crate::types::{Aggregator, Asn, Attributes};

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    code: 7,
    name: "AGGREGATOR",
    flags: OPTIONAL_TRANSITIVE,
    session: Session::Any,
    fault: Verdict::DiscardAttribute,
    decode,
    encode,
};

fn decode(decoded: &mut Decoded, codec: &Codec, value: &[u8]) -> Result<(), Malformed> {
    decoded.aggregator = Some(if codec.four_octet_asn {
        decode_wide(value)?
    } else {
        let [high, low, address @ ..] = fixed::<6>(value)?;
        aggregator(u32::from(u16::from_be_bytes([high, low])), address)?
    });
    Ok(())
}

/// The form with four octets of AS number.
pub(super) fn decode_wide(value: &[u8]) -> Result<Aggregator, Malformed> {
    let [a, b, c, d, address @ ..] = fixed::<8>(value)?;
    aggregator(u32::from_be_bytes([a, b, c, d]), address)
}

fn aggregator(asn: u32, address: [u8; 4]) -> Result<Aggregator, Malformed> {
    let asn = Asn::new(asn)
        .ok_or_else(|| Malformed::new(Subcode::OptionalAttribute, "AS 0 is reserved (RFC 7607)"))?;
    Ok(Aggregator { asn, address: Ipv4Addr::from(address) })
}

fn encode(attributes: &Attributes, target: Target<'_>, out: &mut BytesMut) -> Presence {
    let Some(aggregator) = attributes.aggregator else { return Presence::Absent };
    if target.codec.four_octet_asn {
        encode_wide(aggregator, out);
    } else {
        out.put_u16(aggregator.asn.to_u16_or_trans());
        out.put_slice(&aggregator.address.octets());
    }
    Presence::Present
}

/// The form with four octets of AS number.
pub(super) fn encode_wide(aggregator: Aggregator, out: &mut BytesMut) {
    out.put_u32(aggregator.asn.get());
    out.put_slice(&aggregator.address.octets());
}
