//! ATOMIC_AGGREGATE, 6 (RFC 4271 section 5.1.6): a flag without a value.

use bytes::BytesMut;

use super::super::Codec;
use super::super::error::{Malformed, Verdict};
use super::{Decoded, Descriptor, Presence, Session, Target, WELL_KNOWN, fixed};
use crate::types::Attributes;

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    code: 6,
    name: "ATOMIC_AGGREGATE",
    flags: WELL_KNOWN,
    session: Session::Any,
    fault: Verdict::DiscardAttribute,
    decode,
    encode,
};

fn decode(decoded: &mut Decoded, _: &Codec, value: &[u8]) -> Result<(), Malformed> {
    fixed::<0>(value)?;
    decoded.atomic_aggregate = true;
    Ok(())
}

fn encode(attributes: &Attributes, _: Target<'_>, _: &mut BytesMut) -> Presence {
    if attributes.atomic_aggregate { Presence::Present } else { Presence::Absent }
}
