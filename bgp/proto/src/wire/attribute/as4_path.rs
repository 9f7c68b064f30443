//! AS4_PATH, 17 (RFC 6793): the AS_PATH in full, across speakers of two-octet AS numbers.

use bytes::BytesMut;

use super::super::Codec;
use super::super::error::{Malformed, Verdict};
use super::as_path::{Confederation, Width, decode_path, encode_path};
use super::{Decoded, Descriptor, OPTIONAL_TRANSITIVE, Presence, Session, Target};
use crate::types::{Aggregator, AsPath, Asn, Attributes, Segment, SegmentKind};

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    code: 17,
    name: "AS4_PATH",
    flags: OPTIONAL_TRANSITIVE,
    session: Session::TwoOctet,
    fault: Verdict::DiscardAttribute,
    decode,
    encode,
};

fn decode(decoded: &mut Decoded, _: &Codec, value: &[u8]) -> Result<(), Malformed> {
    decoded.as4_path = Some(decode_path(value, Width::Four, Confederation::Skip)?);
    Ok(())
}

/// Only where AS_PATH alone would not tell the whole (RFC 6793 section 4.2.2).
fn encode(attributes: &Attributes, _: Target<'_>, out: &mut BytesMut) -> Presence {
    let mut asns = attributes.as_path.segments.iter().flat_map(|segment| &segment.asns);
    if asns.all(|asn| asn.fits_two_octets()) {
        return Presence::Absent;
    }
    encode_path(&attributes.as_path, Width::Four, out);
    Presence::Present
}

/// The path and aggregator proper of a route from a two-octet speaker (RFC 6793 section 4.2.3).
///
/// An AGGREGATOR other than AS_TRANS was set by someone who knows nothing of AS4_PATH, which is
/// then out of date. An AS4_PATH longer than AS_PATH is none of its own.
pub(super) fn merge(
    as_path: AsPath,
    as4_path: Option<AsPath>,
    aggregator: Option<Aggregator>,
    as4_aggregator: Option<Aggregator>,
) -> (AsPath, Option<Aggregator>) {
    if as4_aggregator.is_some() && aggregator.is_some_and(|old| old.asn != Asn::TRANS) {
        return (as_path, aggregator);
    }
    let aggregator = aggregator.map(|old| as4_aggregator.unwrap_or(old));
    match as4_path {
        Some(wide) if !wide.segments.is_empty() => match as_path.hops().checked_sub(wide.hops()) {
            Some(surplus) => (spliced(&as_path, surplus, &wide), aggregator),
            None => (as_path, aggregator),
        },
        _ => (as_path, aggregator),
    }
}

/// The first `surplus` hops of `as_path`, then all of `wide`.
fn spliced(as_path: &AsPath, mut surplus: usize, wide: &AsPath) -> AsPath {
    let mut segments: Vec<Segment> = Vec::new();
    for segment in &as_path.segments {
        if surplus == 0 {
            break;
        }
        let asns: Box<[Asn]> = match segment.kind {
            SegmentKind::Set => segment.asns.clone(),
            SegmentKind::Sequence => segment.asns.iter().copied().take(surplus).collect(),
        };
        surplus -= match segment.kind {
            SegmentKind::Set => 1,
            SegmentKind::Sequence => asns.len(),
        };
        segments.push(Segment { kind: segment.kind, asns });
    }
    let mut rest = wide.segments.iter();
    // One sequence that was split between the two becomes one again.
    if let (Some(last), Some(first)) = (segments.last_mut(), wide.segments.first())
        && last.kind == SegmentKind::Sequence
        && first.kind == SegmentKind::Sequence
        && last.asns.len() + first.asns.len() <= 255
    {
        last.asns = last.asns.iter().chain(&first.asns).copied().collect();
        rest.next();
    }
    segments.extend(rest.cloned());
    AsPath { segments: segments.into_boxed_slice() }
}
