//! CLUSTER_LIST, 10 (RFC 4456 section 8): within an AS only.

use std::net::Ipv4Addr;

use bytes::{BufMut, BytesMut};

use super::super::Codec;
use super::super::error::{Malformed, Verdict};
use super::{Decoded, Descriptor, OPTIONAL_NON_TRANSITIVE, Presence, Session, Target, items};
use crate::types::{Attributes, ClusterId};

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    code: 10,
    name: "CLUSTER_LIST",
    flags: OPTIONAL_NON_TRANSITIVE,
    session: Session::Internal,
    fault: Verdict::TreatAsWithdraw,
    decode,
    encode,
};

fn decode(decoded: &mut Decoded, _: &Codec, value: &[u8]) -> Result<(), Malformed> {
    let clusters = items::<4>(value)?;
    decoded.cluster_list =
        clusters.iter().map(|octets| ClusterId(Ipv4Addr::from(*octets))).collect();
    Ok(())
}

fn encode(attributes: &Attributes, _: Target<'_>, out: &mut BytesMut) -> Presence {
    if attributes.cluster_list.is_empty() {
        return Presence::Absent;
    }
    for cluster in &attributes.cluster_list {
        out.put_slice(&cluster.0.octets());
    }
    Presence::Present
}
