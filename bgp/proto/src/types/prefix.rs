use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::Family;

/// Why a text or a pair of values is no prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// The length is over 32 or 128.
    #[error("prefix length {length} is over {maximum}")]
    Length {
        /// The length that was asked for.
        length: u8,
        /// The family's longest.
        maximum: u8,
    },
    /// Bits behind the length are set.
    #[error("host bits are set: did you mean {expected}?")]
    HostBits {
        /// The prefix with the host bits cleared.
        expected: Prefix,
    },
    /// Not of the form address/length.
    #[error("expected ADDRESS/LENGTH, such as 10.244.1.0/24 or fd00::/64")]
    Syntax,
}

macro_rules! prefix_type {
    ($name:ident, $address:ty, $bits:ty, $max:literal, $doc:literal) => {
        #[doc = $doc]
        /// Host bits are always zero; ordered by address, then by length.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name {
            octets: [u8; $max / 8],
            length: u8,
        }

        impl $name {
            /// The longest length of the family.
            pub const MAX_LENGTH: u8 = $max;

            /// Clears host bits; `None` where the length is too long.
            pub fn truncating(address: $address, length: u8) -> Option<$name> {
                (length <= $max).then(|| {
                    let bits = <$bits>::from(address) & Self::mask(length);
                    $name { octets: bits.to_be_bytes(), length }
                })
            }

            fn mask(length: u8) -> $bits {
                <$bits>::MAX.checked_shl($max - u32::from(length)).unwrap_or(0)
            }

            /// The network address.
            pub fn address(self) -> $address {
                <$address>::from(self.octets)
            }

            /// The number of significant bits.
            #[allow(clippy::len_without_is_empty, reason = "a length in bits, not a count")]
            pub const fn len(self) -> u8 {
                self.length
            }

            /// The network address in network byte order.
            pub const fn octets(&self) -> &[u8; $max / 8] {
                &self.octets
            }

            /// Whether `address` lies within.
            pub fn contains(self, address: $address) -> bool {
                <$bits>::from(address) & Self::mask(self.length)
                    == <$bits>::from_be_bytes(self.octets)
            }

            /// Whether `other` is the same or more specific.
            pub fn covers(self, other: $name) -> bool {
                self.length <= other.length && self.contains(other.address())
            }
        }

        // By one or two words, not octet by octet: whole tables are keyed by prefixes.
        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                (<$bits>::from_be_bytes(self.octets), self.length).hash(state);
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}/{}", self.address(), self.length)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

prefix_type!(Ipv4Prefix, Ipv4Addr, u32, 32, "An IPv4 prefix.");
prefix_type!(Ipv6Prefix, Ipv6Addr, u128, 128, "An IPv6 prefix.");

/// A prefix of either family. Host bits are always zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Prefix {
    /// IPv4.
    V4(Ipv4Prefix),
    /// IPv6.
    V6(Ipv6Prefix),
}

impl Prefix {
    /// Refuses host bits that are set, and names the prefix that was probably meant.
    pub fn new(address: IpAddr, length: u8) -> Result<Prefix, PrefixError> {
        let prefix = Prefix::truncating(address, length)?;
        if prefix.address() == address {
            Ok(prefix)
        } else {
            Err(PrefixError::HostBits { expected: prefix })
        }
    }

    /// Clears host bits.
    pub fn truncating(address: IpAddr, length: u8) -> Result<Prefix, PrefixError> {
        let (prefix, maximum) = match address {
            IpAddr::V4(address) => {
                (Ipv4Prefix::truncating(address, length).map(Prefix::V4), Ipv4Prefix::MAX_LENGTH)
            }
            IpAddr::V6(address) => {
                (Ipv6Prefix::truncating(address, length).map(Prefix::V6), Ipv6Prefix::MAX_LENGTH)
            }
        };
        prefix.ok_or(PrefixError::Length { length, maximum })
    }

    /// The prefix that holds `address` alone.
    pub fn host(address: IpAddr) -> Prefix {
        match address {
            IpAddr::V4(address) => Prefix::V4(Ipv4Prefix { octets: address.octets(), length: 32 }),
            IpAddr::V6(address) => Prefix::V6(Ipv6Prefix { octets: address.octets(), length: 128 }),
        }
    }

    /// The unicast family it belongs to.
    pub const fn family(self) -> Family {
        match self {
            Prefix::V4(_) => Family::Ipv4Unicast,
            Prefix::V6(_) => Family::Ipv6Unicast,
        }
    }

    /// The network address.
    pub fn address(self) -> IpAddr {
        match self {
            Prefix::V4(prefix) => IpAddr::V4(prefix.address()),
            Prefix::V6(prefix) => IpAddr::V6(prefix.address()),
        }
    }

    /// The number of significant bits.
    #[allow(clippy::len_without_is_empty, reason = "a length in bits, not a count")]
    pub const fn len(self) -> u8 {
        match self {
            Prefix::V4(prefix) => prefix.len(),
            Prefix::V6(prefix) => prefix.len(),
        }
    }

    /// 32 or 128.
    pub const fn max_len(self) -> u8 {
        match self {
            Prefix::V4(_) => Ipv4Prefix::MAX_LENGTH,
            Prefix::V6(_) => Ipv6Prefix::MAX_LENGTH,
        }
    }

    /// Whether `address` lies within; never across families.
    pub fn contains(self, address: IpAddr) -> bool {
        match (self, address) {
            (Prefix::V4(prefix), IpAddr::V4(address)) => prefix.contains(address),
            (Prefix::V6(prefix), IpAddr::V6(address)) => prefix.contains(address),
            _ => false,
        }
    }

    /// Whether `other` is the same or more specific; never across families.
    pub fn covers(self, other: Prefix) -> bool {
        match (self, other) {
            (Prefix::V4(prefix), Prefix::V4(other)) => prefix.covers(other),
            (Prefix::V6(prefix), Prefix::V6(other)) => prefix.covers(other),
            _ => false,
        }
    }

    /// Whether the two share an address.
    pub fn overlaps(self, other: Prefix) -> bool {
        self.covers(other) || other.covers(self)
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Prefix, PrefixError> {
        let (address, length) = text.split_once('/').ok_or(PrefixError::Syntax)?;
        let address: IpAddr = address.parse().map_err(|_| PrefixError::Syntax)?;
        if length.len() > 3 || !length.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(PrefixError::Syntax);
        }
        let length = length.parse().map_err(|_| PrefixError::Syntax)?;
        Prefix::new(address, length)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Prefix::V4(prefix) => prefix.fmt(f),
            Prefix::V6(prefix) => fmt::Display::fmt(prefix, f),
        }
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
