//! MULTI_EXIT_DISC, 4 (RFC 4271 section 5.1.4).

use bytes::{BufMut, BytesMut};

use super::super::Codec;
use super::super::error::{Malformed, Verdict};
use super::{Decoded, Descriptor, OPTIONAL_NON_TRANSITIVE, Presence, Session, Target, fixed};
use crate::types::Attributes;

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    code: 4,
    name: "MULTI_EXIT_DISC",
    flags: OPTIONAL_NON_TRANSITIVE,
    session: Session::Any,
    fault: Verdict::TreatAsWithdraw,
    decode,
    encode,
};

fn decode(decoded: &mut Decoded, _: &Codec, value: &[u8]) -> Result<(), Malformed> {
    decoded.med = Some(u32::from_be_bytes(fixed(value)?));
    Ok(())
}

fn encode(attributes: &Attributes, _: Target<'_>, out: &mut BytesMut) -> Presence {
    let Some(med) = attributes.med else { return Presence::Absent };
    out.put_u32(med);
    Presence::Present
}
