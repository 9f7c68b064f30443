//! ORIGINATOR_ID, 9 (RFC 4456 section 8): within an AS only.

use std::net::Ipv4Addr;

use bytes::{BufMut, BytesMut};

use super::super::Codec;
use super::super::error::{Malformed, Subcode, Verdict};
use super::{Decoded, Descriptor, OPTIONAL_NON_TRANSITIVE, Presence, Session, Target, fixed};
use crate::types::{Attributes, RouterId};

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    code: 9,
    name: "ORIGINATOR_ID",
    flags: OPTIONAL_NON_TRANSITIVE,
    session: Session::Internal,
    fault: Verdict::TreatAsWithdraw,
    decode,
    encode,
};

fn decode(decoded: &mut Decoded, _: &Codec, value: &[u8]) -> Result<(), Malformed> {
    let id = RouterId::new(Ipv4Addr::from(fixed::<4>(value)?));
    decoded.originator_id = Some(id.ok_or_else(|| {
        Malformed::new(Subcode::OptionalAttribute, "0.0.0.0 is no BGP Identifier (RFC 6286)")
    })?);
    Ok(())
}

fn encode(attributes: &Attributes, _: Target<'_>, out: &mut BytesMut) -> Presence {
    let Some(id) = attributes.originator_id else { return Presence::Absent };
    out.put_slice(&id.to_ipv4().octets());
    Presence::Present
}
