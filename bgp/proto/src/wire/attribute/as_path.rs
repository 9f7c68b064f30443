//! AS_PATH, 2 (RFC 4271 section 5.1.2), with AS numbers of two or four octets (RFC 6793).
//!
//! AS 0 makes it malformed (RFC 7607), and so do confederation segments, as we are member of no
//! confederation (RFC 5065 section 5).

use bytes::{BufMut, BytesMut};

use super::super::Codec;
use super::super::error::{Malformed, Subcode, Truncated, Verdict};
use super::super::reader::Reader;
use super::{Decoded, Descriptor, Presence, Session, Target, WELL_KNOWN};
use crate::types::{AsPath, Asn, Attributes, Segment, SegmentKind};

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    code: 2,
    name: "AS_PATH",
    flags: WELL_KNOWN,
    session: Session::Any,
    fault: Verdict::TreatAsWithdraw,
    decode,
    encode,
};

/// How wide AS numbers are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Two,
    Four,
}

impl Width {
    pub(super) const fn of(codec: &Codec) -> Width {
        if codec.four_octet_asn { Width::Four } else { Width::Two }
    }
}

/// What to do about confederation segments.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Confederation {
    Refuse,
    /// RFC 6793 section 6, for AS4_PATH.
    Skip,
}

fn decode(decoded: &mut Decoded, codec: &Codec, value: &[u8]) -> Result<(), Malformed> {
    decoded.as_path = Some(decode_path(value, Width::of(codec), Confederation::Refuse)?);
    Ok(())
}

pub(super) fn decode_path(
    value: &[u8],
    width: Width,
    confederation: Confederation,
) -> Result<AsPath, Malformed> {
    let malformed = |what: String| Malformed::new(Subcode::MalformedAsPath, what);
    let mut segments = Vec::new();
    let mut reader = Reader::new(value);
    while !reader.is_empty() {
        let (kind, asns) = decode_segment(&mut reader, width)
            .map_err(|Truncated| malformed("a segment reaches beyond the attribute".to_owned()))?;
        if asns.is_empty() {
            return Err(malformed("a segment without AS numbers".to_owned()));
        }
        let kind = match kind {
            1 => SegmentKind::Set,
            2 => SegmentKind::Sequence,
            3 | 4 if confederation == Confederation::Skip => continue,
            3 | 4 => return Err(malformed("a confederation segment".to_owned())),
            other => return Err(malformed(format!("segment type {other} is unknown"))),
        };
        let asns = match width {
            Width::Two => collect::<2>(asns, |octets| u32::from(u16::from_be_bytes(octets))),
            Width::Four => collect::<4>(asns, u32::from_be_bytes),
        };
        let asns = asns.ok_or_else(|| malformed("AS 0 is reserved (RFC 7607)".to_owned()))?;
        segments.push(Segment { kind, asns });
    }
    Ok(AsPath { segments: segments.into_boxed_slice() })
}

/// The type of the next segment and the octets of its AS numbers.
fn decode_segment<'a>(reader: &mut Reader<'a>, width: Width) -> Result<(u8, &'a [u8]), Truncated> {
    let [kind, count] = reader.array()?;
    let octets = match width {
        Width::Two => 2,
        Width::Four => 4,
    };
    Ok((kind, reader.take(usize::from(count) * octets)?))
}

/// `None` where one is 0.
fn collect<const N: usize>(octets: &[u8], number: impl Fn([u8; N]) -> u32) -> Option<Box<[Asn]>> {
    let (numbers, _) = octets.as_chunks();
    numbers.iter().map(|octets| Asn::new(number(*octets))).collect()
}

fn encode(attributes: &Attributes, target: Target<'_>, out: &mut BytesMut) -> Presence {
    encode_path(&attributes.as_path, Width::of(target.codec), out);
    Presence::Present
}

/// Segments of more than 255 AS numbers are split, empty ones are left out.
pub(super) fn encode_path(path: &AsPath, width: Width, out: &mut BytesMut) {
    for segment in &path.segments {
        for asns in segment.asns.chunks(255) {
            out.put_u8(segment.kind as u8);
            out.put_u8(u8::try_from(asns.len()).unwrap_or(u8::MAX));
            for asn in asns {
                match width {
                    Width::Two => out.put_u16(asn.to_u16_or_trans()),
                    Width::Four => out.put_u32(asn.get()),
                }
            }
        }
    }
}
