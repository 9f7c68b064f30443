//! AS4_AGGREGATOR, 18 (RFC 6793): AGGREGATOR's AS number in full, across two-octet speakers.

use bytes::BytesMut;

use super::super::Codec;
use super::super::error::{Malformed, Verdict};
use super::{Decoded, Descriptor, OPTIONAL_TRANSITIVE, Presence, Session, Target, aggregator};
use crate::types::Attributes;

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    code: 18,
    name: "AS4_AGGREGATOR",
    flags: OPTIONAL_TRANSITIVE,
    session: Session::TwoOctet,
    fault: Verdict::DiscardAttribute,
    decode,
    encode,
};

fn decode(decoded: &mut Decoded, _: &Codec, value: &[u8]) -> Result<(), Malformed> {
    decoded.as4_aggregator = Some(aggregator::decode_wide(value)?);
    Ok(())
}

fn encode(attributes: &Attributes, _: Target<'_>, out: &mut BytesMut) -> Presence {
    match attributes.aggregator {
        Some(wide) if !wide.asn.fits_two_octets() => {
            aggregator::encode_wide(wide, out);
            Presence::Present
        }
        _ => Presence::Absent,
    }
}
