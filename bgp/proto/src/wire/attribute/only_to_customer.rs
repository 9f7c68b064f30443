//! Only to Customer, 35 (RFC 9234 section 5).

use bytes::{BufMut, BytesMut};

use super::super::Codec;
use super::super::error::{Malformed, Subcode, Verdict};
use super::{Decoded, Descriptor, OPTIONAL_TRANSITIVE, Presence, Session, Target, fixed};
use crate::types::{Asn, Attributes};

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    code: 35,
    name: "ONLY_TO_CUSTOMER",
    flags: OPTIONAL_TRANSITIVE,
    session: Session::Any,
    fault: Verdict::TreatAsWithdraw,
    decode,
    encode,
};

fn decode(decoded: &mut Decoded, _: &Codec, value: &[u8]) -> Result<(), Malformed> {
    let asn = Asn::new(u32::from_be_bytes(fixed(value)?));
    decoded.only_to_customer = Some(asn.ok_or_else(|| {
        Malformed::new(Subcode::OptionalAttribute, "AS 0 is reserved (RFC 7607)")
    })?);
    Ok(())
}

fn encode(attributes: &Attributes, _: Target<'_>, out: &mut BytesMut) -> Presence {
    let Some(asn) = attributes.only_to_customer else { return Presence::Absent };
    out.put_u32(asn.get());
    Presence::Present
}
