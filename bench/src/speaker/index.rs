//! From a prefix to its number, with one look into memory for each receiver's prefix: the tool
//! must not be slower than what it measures.

use std::net::IpAddr;

use anyhow::{Result, bail};
use twill_bgp_proto::types::Prefix;

const NUMBER_BITS: u32 = 24;
const EMPTY: u64 = u64::MAX;

/// Open addressing; an entry is 40 bits of the prefix's hash and 24 bits of its number.
pub(super) struct Index {
    entries: Vec<u64>,
}

fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    value = (value ^ (value >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    value ^ (value >> 32)
}

fn hash(address: IpAddr, length: u8) -> u64 {
    match address {
        IpAddr::V4(address) => mix(u64::from(u32::from(address)) << 8 | u64::from(length)),
        IpAddr::V6(address) => {
            let bits = u128::from(address);
            mix(mix((bits >> 64) as u64) ^ (bits as u64).rotate_left(17) ^ u64::from(length))
        }
    }
}

impl Index {
    pub(super) fn new(prefixes: &[Prefix]) -> Result<Index> {
        if prefixes.len() >= 1 << NUMBER_BITS {
            bail!("more than {} prefixes", 1 << NUMBER_BITS);
        }
        let size = (prefixes.len() * 2).next_power_of_two().max(2);
        let mut index = Index { entries: vec![EMPTY; size] };
        for (number, prefix) in prefixes.iter().enumerate() {
            let hash = hash(prefix.address(), prefix.len());
            let slot = index.slot(hash);
            if index.entries[slot] != EMPTY {
                bail!("{prefix} comes twice");
            }
            index.entries[slot] = hash >> NUMBER_BITS << NUMBER_BITS | number as u64;
        }
        Ok(index)
    }

    /// Where a hash stands, or where it would.
    fn slot(&self, hash: u64) -> usize {
        let mask = self.entries.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            let entry = self.entries[slot];
            if entry == EMPTY || entry >> NUMBER_BITS == hash >> NUMBER_BITS {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    pub(super) fn find(&self, address: IpAddr, length: u8) -> Option<usize> {
        let entry = self.entries[self.slot(hash(address, length))];
        (entry != EMPTY).then_some((entry & ((1 << NUMBER_BITS) - 1)) as usize)
    }
}
