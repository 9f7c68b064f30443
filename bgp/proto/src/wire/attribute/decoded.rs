use std::net::Ipv4Addr;

use super::super::Codec;
use super::super::error::{MessageError, Subcode, Verdict};
use super::super::fault::{Faults, Place};
use super::{Codes, aggregator, as_path, as4_path, mp_unreach, next_hop, origin};
use crate::types::{
    Aggregator, AsPath, Asn, Attributes, ClusterId, Community, ExtendedCommunity, Family,
    LargeCommunity, NextHop, Origin, Partial, Prefix, RouterId, UnknownAttribute,
};

/// MP_REACH_NLRI of a family that the session carries.
#[derive(Debug)]
pub(in super::super) struct MpReach {
    pub(in super::super) next_hop: NextHop,
    pub(in super::super) prefixes: Vec<Prefix>,
}

/// What the attributes of one UPDATE said, before it is known whether they are enough.
#[derive(Debug, Default)]
pub(in super::super) struct Decoded {
    pub(super) seen: Codes,
    pub(super) origin: Option<Origin>,
    pub(super) as_path: Option<AsPath>,
    pub(in super::super) next_hop: Option<Ipv4Addr>,
    pub(super) med: Option<u32>,
    pub(super) local_pref: Option<u32>,
    pub(super) atomic_aggregate: bool,
    pub(super) aggregator: Option<Aggregator>,
    pub(super) communities: Box<[Community]>,
    pub(super) originator_id: Option<RouterId>,
    pub(super) cluster_list: Box<[ClusterId]>,
    pub(super) extended_communities: Box<[ExtendedCommunity]>,
    pub(super) as4_path: Option<AsPath>,
    pub(super) as4_aggregator: Option<Aggregator>,
    pub(super) large_communities: Box<[LargeCommunity]>,
    pub(super) only_to_customer: Option<Asn>,
    pub(super) unknown: Vec<UnknownAttribute>,
    pub(super) partial: Partial,
    /// MP_REACH_NLRI holds prefixes, of whatever family.
    pub(in super::super) announces: bool,
    pub(in super::super) mp_reach: Option<MpReach>,
    pub(in super::super) mp_withdrawn: Vec<Prefix>,
    /// MP_UNREACH_NLRI of this family was there and held no prefix.
    pub(super) mp_unreach_empty: Option<Family>,
}

impl Decoded {
    /// Which family's End-of-RIB marker these attributes are, in a message without withdrawn
    /// routes and NLRI (RFC 4724 section 2): none at all, or an empty MP_UNREACH_NLRI alone.
    pub(in super::super) fn end_of_rib(&self) -> Option<Family> {
        if self.seen.is_empty() {
            return Some(Family::Ipv4Unicast);
        }
        self.mp_unreach_empty.filter(|_| self.seen.only(mp_unreach::CODE))
    }

    /// Routes without ORIGIN, AS_PATH or, in the NLRI field, NEXT_HOP are treated as withdrawn
    /// (RFC 7606 section 3 d). LOCAL_PREF is not demanded of internal peers: a default does less
    /// harm than a lost route.
    pub(in super::super) fn demand_mandatory(
        &self,
        nlri: bool,
        faults: &mut Faults,
    ) -> Result<(), MessageError> {
        if !nlri && self.mp_reach.as_ref().is_none_or(|reach| reach.prefixes.is_empty()) {
            return Ok(());
        }
        let wanted = [
            (&origin::DESCRIPTOR, true),
            (&as_path::DESCRIPTOR, true),
            (&next_hop::DESCRIPTOR, nlri),
        ];
        for (descriptor, wanted) in wanted {
            if wanted && !self.seen.contains(descriptor.code) {
                let data = &[descriptor.code];
                let place = Place { code: descriptor.code, name: Some(descriptor.name), data };
                let verdict = Verdict::TreatAsWithdraw;
                faults.add(place, verdict, Subcode::MissingWellKnown, "missing")?;
            }
        }
        Ok(())
    }

    /// `None` where something mandatory is missing, which [`Decoded::demand_mandatory`] tells.
    pub(in super::super) fn into_attributes(
        self,
        codec: &Codec,
        next_hop: NextHop,
    ) -> Option<Attributes> {
        let (mut as_path, mut aggregator) = (self.as_path?, self.aggregator);
        if !codec.four_octet_asn {
            (as_path, aggregator) =
                as4_path::merge(as_path, self.as4_path, aggregator, self.as4_aggregator);
        }
        let mut partial = self.partial;
        if aggregator.is_none() {
            partial = partial.without(aggregator::DESCRIPTOR.code);
        }
        let mut unknown = self.unknown;
        unknown.sort_by_key(|unknown| unknown.code);
        Some(Attributes {
            origin: self.origin?,
            as_path,
            next_hop,
            med: self.med,
            local_pref: self.local_pref,
            atomic_aggregate: self.atomic_aggregate,
            aggregator,
            communities: self.communities,
            extended_communities: self.extended_communities,
            large_communities: self.large_communities,
            originator_id: self.originator_id,
            cluster_list: self.cluster_list,
            only_to_customer: self.only_to_customer,
            unknown: unknown.into_boxed_slice(),
            partial,
        })
    }
}
