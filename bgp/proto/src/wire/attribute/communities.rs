//! COMMUNITIES, 8 (RFC 1997).

use bytes::{BufMut, BytesMut};

use super::super::Codec;
use super::super::error::{Malformed, Verdict};
use super::{Decoded, Descriptor, OPTIONAL_TRANSITIVE, Presence, Session, Target, items, set};
use crate::types::{Attributes, Community};

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    code: 8,
    name: "COMMUNITIES",
    flags: OPTIONAL_TRANSITIVE,
    session: Session::Any,
    fault: Verdict::TreatAsWithdraw,
    decode,
    encode,
};

fn decode(decoded: &mut Decoded, _: &Codec, value: &[u8]) -> Result<(), Malformed> {
    let communities = items(value)?;
    decoded.communities =
        set(communities.iter().map(|octets| Community(u32::from_be_bytes(*octets))).collect());
    Ok(())
}

fn encode(attributes: &Attributes, _: Target<'_>, out: &mut BytesMut) -> Presence {
    if attributes.communities.is_empty() {
        return Presence::Absent;
    }
    for community in &attributes.communities {
        out.put_u32(community.0);
    }
    Presence::Present
}
