//! LARGE_COMMUNITY, 32 (RFC 8092).

use bytes::{BufMut, BytesMut};

use super::super::Codec;
use super::super::error::{Malformed, Verdict};
use super::{Decoded, Descriptor, OPTIONAL_TRANSITIVE, Presence, Session, Target, items, set};
use crate::types::{Attributes, LargeCommunity};

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    code: 32,
    name: "LARGE_COMMUNITY",
    flags: OPTIONAL_TRANSITIVE,
    session: Session::Any,
    fault: Verdict::TreatAsWithdraw,
    decode,
    encode,
};

fn decode(decoded: &mut Decoded, _: &Codec, value: &[u8]) -> Result<(), Malformed> {
    let communities = items::<12>(value)?.iter();
    let communities = communities.map(|&[a, b, c, d, e, f, g, h, i, j, k, l]| LargeCommunity {
        global: u32::from_be_bytes([a, b, c, d]),
        local1: u32::from_be_bytes([e, f, g, h]),
        local2: u32::from_be_bytes([i, j, k, l]),
    });
    decoded.large_communities = set(communities.collect());
    Ok(())
}

fn encode(attributes: &Attributes, _: Target<'_>, out: &mut BytesMut) -> Presence {
    if attributes.large_communities.is_empty() {
        return Presence::Absent;
    }
    for community in &attributes.large_communities {
        out.put_u32(community.global);
        out.put_u32(community.local1);
        out.put_u32(community.local2);
    }
    Presence::Present
}
