//! Routes to as few UPDATEs as they fit into (RFC 4271 section 9.2).
//!
//! ```text
//! IPv4            header | 0 | attributes                  | prefixes
//! by MP_REACH     header | 0 | MP_REACH (prefixes), attributes |
//! withdrawn IPv4  header | prefixes | 0                    |
//! by MP_UNREACH   header | 0 | MP_UNREACH (prefixes)       |
//! ```
//!
//! MP_REACH_NLRI and MP_UNREACH_NLRI come first, so that a receiver finds the routes even where
//! it cannot read the rest (RFC 7606 section 5.1); a message never holds both kinds of NLRI.

use std::iter::Peekable;

use bytes::{BufMut, BytesMut};

use super::Codec;
use super::attribute::{self, Target, encode_mp_reach_head, encode_mp_unreach_head, finish_long};
use super::error::Unsendable;
use super::frame::{self, Kind};
use super::nlri;
use crate::types::{Attributes, Family, NextHop, Prefix};

impl Codec {
    /// Appends UPDATEs that announce `prefixes` with `attributes` to `out`. Prefixes of one
    /// family should stand together; each change of family begins a new message.
    ///
    /// What the session does not allow is put right: AS_PATH and AGGREGATOR in two octets with
    /// their AS4 companions, no LOCAL_PREF, ORIGINATOR_ID and CLUSTER_LIST towards external
    /// peers, a LOCAL_PREF of 100 towards internal ones where there is none.
    ///
    /// # Errors
    ///
    /// Some prefixes cannot be sent. They were withdrawn instead, as RFC 8654 section 4 demands,
    /// unless their family was not negotiated; the others were announced.
    pub fn encode_updates(
        &self,
        attributes: &Attributes,
        prefixes: impl IntoIterator<Item = Prefix>,
        out: &mut BytesMut,
    ) -> Result<(), Unsendable> {
        let mut prefixes = prefixes.into_iter().peekable();
        let mut refusal = None;
        while let Some(family) = prefixes.peek().map(|prefix| prefix.family()) {
            match self.layout(family, attributes) {
                Ok(layout) => {
                    while prefixes.peek().is_some_and(|prefix| prefix.family() == family) {
                        self.encode_reach(&layout, &mut prefixes, out);
                    }
                }
                Err(reason) => {
                    self.encode_withdrawn_run(family, &mut prefixes, out);
                    refusal.get_or_insert(reason);
                }
            }
        }
        refusal.map_or(Ok(()), Err)
    }

    /// Appends UPDATEs that withdraw `prefixes` to `out`. Prefixes of one family should stand
    /// together; those of families that were not negotiated are left out.
    pub fn encode_withdrawals(
        &self,
        prefixes: impl IntoIterator<Item = Prefix>,
        out: &mut BytesMut,
    ) {
        let mut prefixes = prefixes.into_iter().peekable();
        while let Some(family) = prefixes.peek().map(|prefix| prefix.family()) {
            self.encode_withdrawn_run(family, &mut prefixes, out);
        }
    }

    /// Appends the End-of-RIB marker of `family` to `out` (RFC 4724 section 2); nothing where the
    /// family was not negotiated.
    pub fn encode_end_of_rib(&self, family: Family, out: &mut BytesMut) {
        if self.families.contains(family) {
            self.encode_unreach(family, &mut std::iter::empty().peekable(), out);
        }
    }

    /// All prefixes of `family` at the front.
    fn encode_withdrawn_run(
        &self,
        family: Family,
        prefixes: &mut Peekable<impl Iterator<Item = Prefix>>,
        out: &mut BytesMut,
    ) {
        if !self.families.contains(family) {
            while prefixes.next_if(|prefix| prefix.family() == family).is_some() {}
        }
        while prefixes.peek().is_some_and(|prefix| prefix.family() == family) {
            self.encode_unreach(family, prefixes, out);
        }
    }

    /// One message.
    fn encode_unreach(
        &self,
        family: Family,
        prefixes: &mut Peekable<impl Iterator<Item = Prefix>>,
        out: &mut BytesMut,
    ) {
        let maximum = self.max_message_len();
        let start = frame::begin(Kind::Update, out);
        let lengths_at = out.len();
        out.put_u16(0);
        match family {
            Family::Ipv4Unicast => {
                let room = maximum - frame::HEADER - LENGTHS;
                nlri::fill(family, prefixes, room, out);
                frame::patch_u16(out, lengths_at, out.len() - lengths_at - 2);
                out.put_u16(0);
            }
            Family::Ipv6Unicast => {
                out.put_u16(0);
                let value_at = encode_mp_unreach_head(family, out);
                let room = maximum - (out.len() - start);
                nlri::fill(family, prefixes, room, out);
                finish_long(value_at, out);
                frame::patch_u16(out, lengths_at + 2, out.len() - lengths_at - LENGTHS);
            }
        }
        frame::finish(start, out);
    }

    /// One message.
    fn encode_reach(
        &self,
        layout: &Layout,
        prefixes: &mut Peekable<impl Iterator<Item = Prefix>>,
        out: &mut BytesMut,
    ) {
        let maximum = self.max_message_len();
        let start = frame::begin(Kind::Update, out);
        out.put_u16(0);
        let length_at = out.len();
        out.put_u16(0);
        if let Some(next_hop) = layout.mp_next_hop {
            let value_at = encode_mp_reach_head(layout.family, next_hop, out);
            let room = maximum - (out.len() - start) - layout.attributes.len();
            nlri::fill(layout.family, prefixes, room, out);
            finish_long(value_at, out);
        }
        out.put_slice(&layout.attributes);
        frame::patch_u16(out, length_at, out.len() - length_at - 2);
        if layout.mp_next_hop.is_none() {
            let room = maximum - (out.len() - start);
            nlri::fill(layout.family, prefixes, room, out);
        }
        frame::finish(start, out);
    }

    /// How messages for `family` with `attributes` look; an error where there are none.
    fn layout(&self, family: Family, attributes: &Attributes) -> Result<Layout, Unsendable> {
        if !self.families.contains(family) {
            return Err(Unsendable::Family(family));
        }
        let next_hop = attributes.next_hop;
        let mp_next_hop = match (family, next_hop) {
            (Family::Ipv4Unicast, NextHop::V4(_)) => None,
            (Family::Ipv6Unicast, NextHop::V6 { .. }) => Some(next_hop),
            (Family::Ipv4Unicast, NextHop::V6 { .. }) if self.extended_next_hop => Some(next_hop),
            _ => return Err(Unsendable::NextHop { next_hop, family }),
        };
        if !attribute::is_host_address(next_hop.address()) {
            return Err(Unsendable::NextHop { next_hop, family });
        }
        let target = Target { codec: self, multiprotocol: mp_next_hop.is_some() };
        let mut encoded = BytesMut::new();
        attribute::encode_all(attributes, target, &mut encoded);
        let mp = if mp_next_hop.is_some() { MP_REACH_HEAD } else { 0 };
        let maximum = self.max_message_len();
        if frame::HEADER + LENGTHS + mp + encoded.len() + nlri::longest(family) > maximum {
            return Err(Unsendable::TooLong { length: encoded.len(), maximum });
        }
        Ok(Layout { family, mp_next_hop, attributes: encoded })
    }
}

/// The two length fields of an UPDATE.
const LENGTHS: usize = 4;
/// Attribute header, AFI, SAFI, the longest next hop with its length, and the reserved octet.
const MP_REACH_HEAD: usize = 4 + 3 + 1 + 32 + 1;

/// What is alike in the messages of one call.
struct Layout {
    family: Family,
    /// `None`: by NEXT_HOP and the NLRI field.
    mp_next_hop: Option<NextHop>,
    attributes: BytesMut,
}
