//! ORIGIN, 1 (RFC 4271 section 5.1.1).

use bytes::{BufMut, BytesMut};

use super::super::Codec;
use super::super::error::{Malformed, Subcode, Verdict};
use super::{Decoded, Descriptor, Presence, Session, Target, WELL_KNOWN, fixed};
use crate::types::{Attributes, Origin};

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    code: 1,
    name: "ORIGIN",
    flags: WELL_KNOWN,
    session: Session::Any,
    fault: Verdict::TreatAsWithdraw,
    decode,
    encode,
};

fn decode(decoded: &mut Decoded, _: &Codec, value: &[u8]) -> Result<(), Malformed> {
    decoded.origin = Some(match fixed(value)? {
        [0] => Origin::Igp,
        [1] => Origin::Egp,
        [2] => Origin::Incomplete,
        [other] => {
            return Err(Malformed::new(
                Subcode::InvalidOrigin,
                format!("value {other} is not 0, 1 or 2"),
            ));
        }
    });
    Ok(())
}

fn encode(attributes: &Attributes, _: Target<'_>, out: &mut BytesMut) -> Presence {
    out.put_u8(attributes.origin as u8);
    Presence::Present
}
