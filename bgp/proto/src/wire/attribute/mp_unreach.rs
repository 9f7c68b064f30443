//! MP_UNREACH_NLRI, 15 (RFC 4760 section 4): routes of any family that went; empty, the
//! End-of-RIB marker of its family (RFC 4724 section 2).

use bytes::{BufMut, BytesMut};

use super::super::Codec;
use super::super::error::{Malformed, Subcode, Truncated, Verdict};
use super::super::nlri;
use super::super::reader::Reader;
use super::mp_reach::not_negotiated;
use super::{Decoded, Descriptor, OPTIONAL_NON_TRANSITIVE, Presence, Session, begin_long};
use crate::types::Family;

pub(super) const CODE: u8 = 15;

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    code: CODE,
    name: "MP_UNREACH_NLRI",
    flags: OPTIONAL_NON_TRANSITIVE,
    session: Session::Any,
    // Routes that cannot be found cannot be withdrawn (RFC 7606 section 7.12).
    fault: Verdict::SessionReset,
    decode,
    encode: |_, _, _| Presence::Absent,
};

fn decode(decoded: &mut Decoded, codec: &Codec, value: &[u8]) -> Result<(), Malformed> {
    let malformed = |what: String| Malformed::new(Subcode::OptionalAttribute, what);
    let mut reader = Reader::new(value);
    let head = reader.u16().and_then(|afi| reader.u8().map(|safi| (afi, safi)));
    let (afi, safi) =
        head.map_err(|Truncated| malformed("the attribute ends within AFI and SAFI".to_owned()))?;
    let family = Family::from_afi_safi(afi, safi)
        .filter(|family| codec.families.contains(*family))
        .ok_or_else(|| not_negotiated(afi, safi))?;
    let field = reader.remaining();
    if field.is_empty() {
        decoded.mp_unreach_empty = Some(family);
    }
    let withdrawn = &mut decoded.mp_withdrawn;
    nlri::decode(family, field, withdrawn).map_err(|fault| malformed(fault.to_string()))
}

/// Begins the attribute up to its NLRI; returns what `finish_long` wants.
pub(in super::super) fn encode_head(family: Family, out: &mut BytesMut) -> usize {
    let value_at = begin_long(CODE, out);
    out.put_u16(family.afi());
    out.put_u8(family.safi());
    value_at
}
