//! Prefixes on the wire: a length in bits, then as many octets as it needs (RFC 4271 section 4.3,
//! RFC 4760 section 5). Bits behind the length mean nothing and are cleared.

use std::iter::Peekable;
use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::{BufMut, BytesMut};

use crate::types::{Family, Ipv4Prefix, Ipv6Prefix, Prefix};

/// Why a field of prefixes cannot be read; then none of it can be used (RFC 7606 section 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NlriFault {
    #[error("prefix length {length} is over {maximum}")]
    Length { length: u8, maximum: u8 },
    #[error("a prefix of length {length} reaches beyond its field")]
    Overrun { length: u8 },
}

/// The octets that the longest prefix of a family takes.
pub(super) const fn longest(family: Family) -> usize {
    match family {
        Family::Ipv4Unicast => 5,
        Family::Ipv6Unicast => 17,
    }
}

/// Appends every prefix of `field` to `out`.
pub(super) fn decode(family: Family, field: &[u8], out: &mut Vec<Prefix>) -> Result<(), NlriFault> {
    // A /24 takes four octets, a /48 seven: a fair guess for most fields.
    match family {
        Family::Ipv4Unicast => {
            out.reserve(field.len().div_ceil(4));
            each::<4>(field, |octets, length| {
                Ipv4Prefix::truncating(Ipv4Addr::from(octets), length)
                    .map(|prefix| out.push(Prefix::V4(prefix)))
            })
        }
        Family::Ipv6Unicast => {
            out.reserve(field.len().div_ceil(7));
            each::<16>(field, |octets, length| {
                Ipv6Prefix::truncating(Ipv6Addr::from(octets), length)
                    .map(|prefix| out.push(Prefix::V6(prefix)))
            })
        }
    }
}

fn each<const OCTETS: usize>(
    mut field: &[u8],
    mut found: impl FnMut([u8; OCTETS], u8) -> Option<()>,
) -> Result<(), NlriFault> {
    while let Some((&length, rest)) = field.split_first() {
        let size = usize::from(length).div_ceil(8);
        let mut octets = [0; OCTETS];
        let fault =
            NlriFault::Length { length, maximum: u8::try_from(OCTETS * 8).unwrap_or(u8::MAX) };
        let target = octets.get_mut(..size).ok_or(fault)?;
        let (head, tail) = rest.split_at_checked(size).ok_or(NlriFault::Overrun { length })?;
        target.copy_from_slice(head);
        found(octets, length).ok_or(fault)?;
        field = tail;
    }
    Ok(())
}

/// The octets that `prefix` takes.
const fn encoded_len(prefix: Prefix) -> usize {
    1 + (prefix.len() as usize).div_ceil(8)
}

fn put(prefix: Prefix, out: &mut BytesMut) {
    let octets: &[u8] = match &prefix {
        Prefix::V4(prefix) => prefix.octets(),
        Prefix::V6(prefix) => prefix.octets(),
    };
    out.put_u8(prefix.len());
    out.put_slice(octets.get(..encoded_len(prefix) - 1).unwrap_or(octets));
}

/// Writes prefixes of `family` from the front of `prefixes` as long as `room` octets last.
pub(super) fn fill(
    family: Family,
    prefixes: &mut Peekable<impl Iterator<Item = Prefix>>,
    mut room: usize,
    out: &mut BytesMut,
) {
    while let Some(prefix) =
        prefixes.next_if(|prefix| prefix.family() == family && encoded_len(*prefix) <= room)
    {
        room -= encoded_len(prefix);
        put(prefix, out);
    }
}
