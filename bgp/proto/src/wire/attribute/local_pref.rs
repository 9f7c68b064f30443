//! LOCAL_PREF, 5 (RFC 4271 section 5.1.5): towards internal peers only, and there always.

use bytes::{BufMut, BytesMut};

use super::super::Codec;
use super::super::error::{Malformed, Verdict};
use super::{Decoded, Descriptor, Presence, Session, Target, WELL_KNOWN, fixed};
use crate::types::Attributes;

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    code: 5,
    name: "LOCAL_PREF",
    flags: WELL_KNOWN,
    session: Session::Internal,
    fault: Verdict::TreatAsWithdraw,
    decode,
    encode,
};

/// What a route without one is sent with: internal peers must be told one.
const DEFAULT: u32 = 100;

fn decode(decoded: &mut Decoded, _: &Codec, value: &[u8]) -> Result<(), Malformed> {
    decoded.local_pref = Some(u32::from_be_bytes(fixed(value)?));
    Ok(())
}

fn encode(attributes: &Attributes, _: Target<'_>, out: &mut BytesMut) -> Presence {
    out.put_u32(attributes.local_pref.unwrap_or(DEFAULT));
    Presence::Present
}
