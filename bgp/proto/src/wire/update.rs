//! UPDATE: routes that came and went (RFC 4271 section 4.3).
//!
//! ```text
//! withdrawn | path attributes | NLRI -> attribute::decode_all -> verdict -> Update
//! ```
//!
//! Faults are answered by RFC 7606: the strongest verdict of a message decides. "Treat as
//! withdraw" moves every prefix that the message announces into [`Update::withdrawn`]; it becomes
//! a reset where the message announces none, since then nobody knows what to withdraw (section
//! 5.2). Prefixes that cannot be read, an attribute list of the wrong length, and MP_REACH_NLRI
//! or MP_UNREACH_NLRI that cannot be read or come twice end the session (sections 3, 5.3).

use std::sync::Arc;

use super::Codec;
use super::attribute::{self, Decoded, MpReach};
use super::error::{AttributeFault, MessageError, Subcode, Truncated, Verdict, update_error};
use super::fault::Faults;
use super::nlri;
use super::reader::Reader;
use crate::types::{Attributes, Family, NextHop, Prefix};

/// UPDATE, as RFC 7606 left it: whatever was treated as withdrawn stands in `withdrawn` already.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Update {
    /// No longer reachable by this peer, of either family.
    pub withdrawn: Vec<Prefix>,
    /// Reachable; at most two entries, one for each next hop (NEXT_HOP and MP_REACH_NLRI).
    pub reach: Vec<Reach>,
    /// The End-of-RIB marker of a family (RFC 4724 section 2). Then the rest is empty.
    pub end_of_rib: Option<Family>,
    /// What was wrong and mended, at most 16 entries. For counters, logs and `lastError`.
    pub faults: Vec<AttributeFault>,
}

/// Prefixes that share attributes and next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Shared by every prefix of the entry.
    pub attributes: Arc<Attributes>,
    /// All of one family.
    pub prefixes: Vec<Prefix>,
}

/// The three fields of the message.
struct Fields<'a> {
    withdrawn: &'a [u8],
    attributes: &'a [u8],
    nlri: &'a [u8],
}

impl<'a> Fields<'a> {
    fn split(body: &'a [u8]) -> Result<Fields<'a>, Truncated> {
        let mut reader = Reader::new(body);
        let length = reader.u16()?;
        let withdrawn = reader.take(usize::from(length))?;
        let length = reader.u16()?;
        let attributes = reader.take(usize::from(length))?;
        Ok(Fields { withdrawn, attributes, nlri: reader.remaining() })
    }
}

/// `body` is the message behind its header.
pub(super) fn decode(codec: &Codec, body: &[u8]) -> Result<Update, MessageError> {
    let fields = Fields::split(body).map_err(|_| {
        MessageError::new(
            update_error(Subcode::MalformedAttributeList, &[]),
            "UPDATE: withdrawn routes and path attributes reach beyond the message",
        )
    })?;
    let withdrawn = classic(codec, "withdrawn routes", fields.withdrawn)?;
    let nlri = classic(codec, "NLRI", fields.nlri)?;
    let mut faults = Faults::default();
    let mut decoded = attribute::decode_all(codec, fields.attributes, &mut faults)?;
    if fields.withdrawn.is_empty()
        && fields.nlri.is_empty()
        && faults.is_empty()
        && let Some(family) = decoded.end_of_rib()
    {
        let end_of_rib = codec.families.contains(family).then_some(family);
        return Ok(Update { end_of_rib, ..Update::default() });
    }
    decoded.demand_mandatory(!nlri.is_empty(), &mut faults)?;
    let (verdict, faults) = faults.settle(!fields.nlri.is_empty() || decoded.announces)?;

    let withdrawn = joined(withdrawn, std::mem::take(&mut decoded.mp_withdrawn));
    let mp_reach = decoded.mp_reach.take().filter(|reach| !reach.prefixes.is_empty());
    if verdict == Verdict::TreatAsWithdraw {
        let announced = mp_reach.map(|reach| reach.prefixes).unwrap_or_default();
        let withdrawn = joined(withdrawn, joined(nlri, announced));
        return Ok(Update { withdrawn, faults, ..Update::default() });
    }
    let reach = reach(codec, decoded, nlri, mp_reach);
    Ok(Update { withdrawn, reach, end_of_rib: None, faults })
}

/// One of the two IPv4 fields; empty where the session does not carry IPv4.
fn classic(codec: &Codec, name: &str, field: &[u8]) -> Result<Vec<Prefix>, MessageError> {
    let mut prefixes = Vec::new();
    if field.is_empty() {
        return Ok(prefixes);
    }
    nlri::decode(Family::Ipv4Unicast, field, &mut prefixes).map_err(|fault| {
        MessageError::new(
            update_error(Subcode::InvalidNetworkField, &[]),
            format!("UPDATE: {name}: {fault}"),
        )
    })?;
    if !codec.families.contains(Family::Ipv4Unicast) {
        prefixes.clear();
    }
    Ok(prefixes)
}

/// The longer list usually is the only one: nothing is copied then.
fn joined(mut first: Vec<Prefix>, mut second: Vec<Prefix>) -> Vec<Prefix> {
    if first.is_empty() {
        return second;
    }
    first.append(&mut second);
    first
}

/// The entries for NLRI and MP_REACH_NLRI. What is mandatory for each was demanded before.
fn reach(
    codec: &Codec,
    mut decoded: Decoded,
    nlri: Vec<Prefix>,
    mp_reach: Option<MpReach>,
) -> Vec<Reach> {
    let next_hop = decoded.next_hop.take().filter(|_| !nlri.is_empty()).map(NextHop::V4);
    let mut entries = Vec::with_capacity(1);
    match (next_hop, mp_reach) {
        (Some(next_hop), Some(mp)) => {
            let Some(attributes) = decoded.into_attributes(codec, next_hop) else { return entries };
            let other = Attributes { next_hop: mp.next_hop, ..attributes.clone() };
            entries.push(Reach { attributes: Arc::new(attributes), prefixes: nlri });
            entries.push(Reach { attributes: Arc::new(other), prefixes: mp.prefixes });
        }
        (Some(next_hop), None) => {
            entries.extend(
                decoded
                    .into_attributes(codec, next_hop)
                    .map(|attributes| Reach { attributes: Arc::new(attributes), prefixes: nlri }),
            );
        }
        (None, Some(mp)) => {
            entries.extend(decoded.into_attributes(codec, mp.next_hop).map(|attributes| Reach {
                attributes: Arc::new(attributes),
                prefixes: mp.prefixes,
            }));
        }
        (None, None) => {}
    }
    entries
}
