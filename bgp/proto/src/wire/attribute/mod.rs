//! Path attributes (RFC 4271 section 5): each is one file with one [`Descriptor`], and [`TABLE`]
//! is the list of them.
//!
//! In: [`decode_all`] walks the attribute field of an UPDATE, finds each attribute's descriptor,
//! checks the flags and hands the value to its decoder, which fills [`Decoded`]. Faults are
//! gathered by what the descriptor, or the decoder itself, says about them (RFC 7606 section 7).
//! Out: [`encode_all`] writes attributes in ascending order of their codes; MP_REACH_NLRI and
//! MP_UNREACH_NLRI are written by `pack`, since prefixes share their room.
//!
//! The Partial bit of optional transitive attributes that we know is kept as it came; on those
//! that we do not know it is always set.

mod aggregator;
mod as4_aggregator;
mod as4_path;
mod as_path;
mod atomic_aggregate;
mod cluster_list;
mod communities;
mod decoded;
mod extended_communities;
mod large_communities;
mod local_pref;
mod med;
mod mp_reach;
mod mp_unreach;
mod next_hop;
mod only_to_customer;
mod origin;
mod originator_id;

use bytes::{BufMut, BytesMut};

use super::Codec;
use super::error::{Malformed, MessageError, Subcode, Truncated, Verdict};
use super::fault::{Faults, Place};
use super::frame;
use super::reader::Reader;
use crate::types::{Attributes, UnknownAttribute};

pub(super) use decoded::{Decoded, MpReach};
pub(super) use mp_reach::encode_head as encode_mp_reach_head;
pub(super) use mp_unreach::encode_head as encode_mp_unreach_head;
pub(super) use next_hop::is_host as is_host_address;

const OPTIONAL: u8 = 0x80;
const TRANSITIVE: u8 = 0x40;
const PARTIAL: u8 = 0x20;
const EXTENDED_LENGTH: u8 = 0x10;

/// The kinds of attribute (RFC 4271 section 5).
const WELL_KNOWN: u8 = TRANSITIVE;
const OPTIONAL_TRANSITIVE: u8 = OPTIONAL | TRANSITIVE;
const OPTIONAL_NON_TRANSITIVE: u8 = OPTIONAL;

/// Everything about one attribute type.
struct Descriptor {
    code: u8,
    name: &'static str,
    /// The Optional and Transitive bits that it must have.
    flags: u8,
    /// Where it means something; elsewhere it is discarded.
    session: Session,
    /// What a fault in its value means, unless the decoder says otherwise.
    fault: Verdict,
    /// Reads the whole value.
    decode: fn(&mut Decoded, &Codec, &[u8]) -> Result<(), Malformed>,
    /// Writes the value, if there is one.
    encode: fn(&Attributes, Target<'_>, &mut BytesMut) -> Presence,
}

/// In which sessions an attribute means something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Session {
    Any,
    /// Of one AS (RFC 7606 sections 7.5, 7.9, 7.10).
    Internal,
    /// With a peer of two-octet AS numbers (RFC 6793 section 3).
    TwoOctet,
}

impl Session {
    /// Why the attribute is to be discarded; `None` where it is not.
    const fn objection(self, codec: &Codec) -> Option<&'static str> {
        match self {
            Session::Internal if !codec.ibgp => Some("not valid from an external peer"),
            Session::TwoOctet if codec.four_octet_asn => {
                Some("not valid between speakers of four-octet AS numbers")
            }
            _ => None,
        }
    }
}

/// Whether an encoder wrote a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Absent,
    Present,
}

/// What attributes are written for.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) codec: &'a Codec,
    /// The next hop stands in MP_REACH_NLRI, not in NEXT_HOP.
    pub(super) multiprotocol: bool,
}

/// Every attribute that we know, by code.
const TABLE: [&Descriptor; 17] = [
    &origin::DESCRIPTOR,
    &as_path::DESCRIPTOR,
    &next_hop::DESCRIPTOR,
    &med::DESCRIPTOR,
    &local_pref::DESCRIPTOR,
    &atomic_aggregate::DESCRIPTOR,
    &aggregator::DESCRIPTOR,
    &communities::DESCRIPTOR,
    &originator_id::DESCRIPTOR,
    &cluster_list::DESCRIPTOR,
    &mp_reach::DESCRIPTOR,
    &mp_unreach::DESCRIPTOR,
    &extended_communities::DESCRIPTOR,
    &as4_path::DESCRIPTOR,
    &as4_aggregator::DESCRIPTOR,
    &large_communities::DESCRIPTOR,
    &only_to_customer::DESCRIPTOR,
];

static BY_CODE: [Option<&Descriptor>; 256] = {
    let mut by_code = [None; 256];
    let mut index = 0;
    while index < TABLE.len() {
        by_code[TABLE[index].code as usize] = Some(TABLE[index]);
        index += 1;
    }
    by_code
};

fn descriptor(code: u8) -> Option<&'static Descriptor> {
    BY_CODE.get(usize::from(code)).copied().flatten()
}

/// Codes that a message has shown.
#[derive(Debug, Default)]
struct Codes([u64; 4]);

impl Codes {
    /// Whether the code is new.
    fn insert(&mut self, code: u8) -> bool {
        let bit = 1 << (code & 63);
        self.0.get_mut(usize::from(code >> 6)).is_some_and(|word| {
            let new = *word & bit == 0;
            *word |= bit;
            new
        })
    }

    fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    /// Whether `code` is there and nothing else.
    fn only(&self, code: u8) -> bool {
        self.contains(code) && self.0.iter().map(|word| word.count_ones()).sum::<u32>() == 1
    }

    fn contains(&self, code: u8) -> bool {
        self.0.get(usize::from(code >> 6)).is_some_and(|word| word & (1 << (code & 63)) != 0)
    }
}

/// One attribute, cut out of the field but not yet understood.
struct Raw<'a> {
    flags: u8,
    code: u8,
    value: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Raw<'a> {
    fn read(field: &mut Reader<'a>) -> Result<Raw<'a>, Truncated> {
        let start = *field;
        let [flags, code] = field.array()?;
        let length = if flags & EXTENDED_LENGTH == 0 {
            usize::from(field.u8()?)
        } else {
            usize::from(field.u16()?)
        };
        let value = field.take(length)?;
        let mut start = start;
        let whole = start.take(start.len() - field.len())?;
        Ok(Raw { flags, code, value, whole })
    }

    fn place(&self, descriptor: Option<&Descriptor>) -> Place<'a> {
        Place { code: self.code, name: descriptor.map(|known| known.name), data: self.whole }
    }
}

/// Reads the path attribute field of one UPDATE.
///
/// # Errors
///
/// A fault that ends the session; all others go to `faults`.
pub(super) fn decode_all(
    codec: &Codec,
    field: &[u8],
    faults: &mut Faults,
) -> Result<Decoded, MessageError> {
    let mut decoded = Decoded::default();
    let mut field = Reader::new(field);
    while !field.is_empty() {
        let mut start = field;
        match Raw::read(&mut field) {
            Ok(raw) => decode_one(codec, &raw, &mut decoded, faults)?,
            Err(Truncated) => {
                overrun(start.remaining(), &mut decoded, faults)?;
                break;
            }
        }
    }
    Ok(decoded)
}

/// The last attribute reaches beyond the field, or is no whole header (RFC 7606 section 4). The
/// routes are still known, unless it is the one that holds them.
#[cold]
fn overrun(data: &[u8], decoded: &mut Decoded, faults: &mut Faults) -> Result<(), MessageError> {
    let code = data.get(1).copied().unwrap_or(0);
    decoded.seen.insert(code);
    let known = descriptor(code);
    let verdict =
        if is_multiprotocol(code) { Verdict::SessionReset } else { Verdict::TreatAsWithdraw };
    let place = Place { code, name: known.map(|known| known.name), data };
    faults.add(place, verdict, Subcode::AttributeLength, "reaches beyond the path attributes")
}

const fn is_multiprotocol(code: u8) -> bool {
    matches!(code, mp_reach::CODE | mp_unreach::CODE)
}

fn decode_one(
    codec: &Codec,
    raw: &Raw<'_>,
    decoded: &mut Decoded,
    faults: &mut Faults,
) -> Result<(), MessageError> {
    let known = descriptor(raw.code);
    if !decoded.seen.insert(raw.code) {
        // RFC 7606 section 3 g.
        let verdict = if is_multiprotocol(raw.code) {
            Verdict::SessionReset
        } else {
            Verdict::DiscardAttribute
        };
        let what = "comes more than once";
        return faults.add(raw.place(known), verdict, Subcode::MalformedAttributeList, what);
    }
    let Some(known) = known else { return decode_unknown(raw, decoded, faults) };
    let place = raw.place(Some(known));
    if let Some(objection) = known.session.objection(codec) {
        let verdict = Verdict::DiscardAttribute;
        return faults.add(place, verdict, Subcode::AttributeFlags, objection);
    }
    if (raw.flags ^ known.flags) & OPTIONAL_TRANSITIVE != 0 {
        // RFC 7606 section 3 c. The routes within are read all the same: they are withdrawn.
        let what = format!("flags are {:#04x}, not {:#04x}", raw.flags, known.flags);
        faults.add(place, Verdict::TreatAsWithdraw, Subcode::AttributeFlags, &what)?;
        if !is_multiprotocol(raw.code) {
            return Ok(());
        }
    }
    match (known.decode)(decoded, codec, raw.value) {
        Ok(()) => {
            if raw.flags & PARTIAL != 0 {
                decoded.partial = decoded.partial.with(raw.code);
            }
            Ok(())
        }
        Err(malformed) => faults.add_malformed(place, known.fault, &malformed),
    }
}

fn decode_unknown(
    raw: &Raw<'_>,
    decoded: &mut Decoded,
    faults: &mut Faults,
) -> Result<(), MessageError> {
    if raw.flags & OPTIONAL == 0 {
        return faults.add(
            raw.place(None),
            Verdict::SessionReset,
            Subcode::UnrecognizedWellKnown,
            "well-known, but not known to us",
        );
    }
    if raw.flags & TRANSITIVE != 0 {
        decoded.unknown.push(UnknownAttribute { code: raw.code, value: raw.value.into() });
    }
    Ok(())
}

/// Writes all attributes but MP_REACH_NLRI, in ascending order of their codes.
pub(super) fn encode_all(attributes: &Attributes, target: Target<'_>, out: &mut BytesMut) {
    let mut unknown: Vec<&UnknownAttribute> =
        attributes.unknown.iter().filter(|unknown| descriptor(unknown.code).is_none()).collect();
    unknown.sort_by_key(|unknown| unknown.code);
    unknown.dedup_by_key(|unknown| unknown.code);
    let mut unknown = unknown.into_iter().peekable();
    for known in TABLE {
        while let Some(other) = unknown.next_if(|other| other.code < known.code) {
            encode_unknown(other, out);
        }
        if known.session.objection(target.codec).is_none() {
            let partial = if attributes.partial.contains(known.code) { PARTIAL } else { 0 };
            encode_one(known.flags | partial, known.code, out, |out| {
                (known.encode)(attributes, target, out)
            });
        }
    }
    for other in unknown {
        encode_unknown(other, out);
    }
}

fn encode_unknown(unknown: &UnknownAttribute, out: &mut BytesMut) {
    encode_one(OPTIONAL_TRANSITIVE | PARTIAL, unknown.code, out, |out| {
        out.put_slice(&unknown.value);
        Presence::Present
    });
}

/// Writes header and value, with a length of two octets where one is too short.
fn encode_one(
    flags: u8,
    code: u8,
    out: &mut BytesMut,
    value: impl FnOnce(&mut BytesMut) -> Presence,
) {
    let start = out.len();
    out.put_slice(&[flags, code, 0]);
    let value_at = out.len();
    if value(out) == Presence::Absent {
        out.truncate(start);
        return;
    }
    let length = out.len() - value_at;
    if let Ok(length) = u8::try_from(length) {
        if let Some(field) = out.get_mut(value_at - 1) {
            *field = length;
        }
        return;
    }
    out.put_u8(0);
    out.copy_within(value_at..value_at + length, value_at + 1);
    if let Some(field) = out.get_mut(start) {
        *field |= EXTENDED_LENGTH;
    }
    frame::patch_u16(out, value_at - 1, length);
}

/// Begins an attribute whose length of two octets [`finish_long`] fills in.
pub(super) fn begin_long(code: u8, out: &mut BytesMut) -> usize {
    out.put_slice(&[OPTIONAL_NON_TRANSITIVE | EXTENDED_LENGTH, code, 0, 0]);
    out.len()
}

/// Ends the attribute whose value begins at `value_at`.
pub(super) fn finish_long(value_at: usize, out: &mut BytesMut) {
    let length = out.len() - value_at;
    frame::patch_u16(out, value_at - 2, length);
}

/// A value of exactly `N` octets.
fn fixed<const N: usize>(value: &[u8]) -> Result<[u8; N], Malformed> {
    value.try_into().map_err(|_| Malformed::length(value.len(), &N.to_string()))
}

/// A value of one or more items of `N` octets each.
fn items<const N: usize>(value: &[u8]) -> Result<&[[u8; N]], Malformed> {
    match value.as_chunks() {
        (items, []) if !items.is_empty() => Ok(items),
        _ => Err(Malformed::length(value.len(), &format!("a positive multiple of {N}"))),
    }
}

/// Sorted, each once.
fn set<T: Ord>(mut items: Vec<T>) -> Box<[T]> {
    if !items.is_sorted_by(|a, b| a < b) {
        items.sort_unstable();
        items.dedup();
    }
    items.into_boxed_slice()
}
