//! EXTENDED COMMUNITIES, 16 (RFC 4360).

use bytes::{BufMut, BytesMut};

use super::super::Codec;
use super::super::error::{Malformed, Verdict};
use super::{Decoded, Descriptor, OPTIONAL_TRANSITIVE, Presence, Session, Target, items, set};
use crate::types::{Attributes, ExtendedCommunity};

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    code: 16,
    name: "EXTENDED COMMUNITIES",
    flags: OPTIONAL_TRANSITIVE,
    session: Session::Any,
    fault: Verdict::TreatAsWithdraw,
    decode,
    encode,
};

fn decode(decoded: &mut Decoded, _: &Codec, value: &[u8]) -> Result<(), Malformed> {
    let communities = items(value)?;
    decoded.extended_communities =
        set(communities.iter().map(|octets| ExtendedCommunity(*octets)).collect());
    Ok(())
}

fn encode(attributes: &Attributes, _: Target<'_>, out: &mut BytesMut) -> Presence {
    if attributes.extended_communities.is_empty() {
        return Presence::Absent;
    }
    for community in &attributes.extended_communities {
        out.put_slice(&community.0);
    }
    Presence::Present
}
