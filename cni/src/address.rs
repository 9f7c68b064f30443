//! Addresses with a prefix length, and arithmetic on addresses of both families.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// An address and a prefix length: a subnet, or an interface's address in one. Host bits are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    address: IpAddr,
    length: u8,
}

/// A text that is no address with a prefix length.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("\"{0}\" is not an address with a prefix length, such as 10.244.1.0/24")]
pub struct CidrError(String);

impl Cidr {
    /// The default route of IPv4.
    pub const DEFAULT_V4: Self = Self { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), length: 0 };
    /// The default route of IPv6.
    pub const DEFAULT_V6: Self = Self { address: IpAddr::V6(Ipv6Addr::UNSPECIFIED), length: 0 };

    /// `None` where the length exceeds the family's.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        (length <= width(address)).then_some(Self { address, length })
    }

    /// /32 or /128.
    pub fn host(address: IpAddr) -> Self {
        Self { address, length: width(address) }
    }

    /// The address, host bits and all.
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// The prefix length.
    pub fn length(self) -> u8 {
        self.length
    }

    /// Whether it is IPv6.
    pub fn is_ipv6(self) -> bool {
        self.address.is_ipv6()
    }

    /// The same with host bits zero.
    pub fn network(self) -> Self {
        Self { address: from_number(self.first(), self.is_ipv6()), length: self.length }
    }

    /// Whether the address lies within.
    pub fn contains(self, address: IpAddr) -> bool {
        address.is_ipv6() == self.is_ipv6()
            && (self.first()..=self.last()).contains(&to_number(address))
    }

    /// Lowest address, as a number.
    pub fn first(self) -> u128 {
        to_number(self.address) & !self.host_mask()
    }

    /// Highest address, as a number.
    pub fn last(self) -> u128 {
        to_number(self.address) | self.host_mask()
    }

    fn host_mask(self) -> u128 {
        let bits = u32::from(width(self.address) - self.length);
        1u128.checked_shl(bits).map_or(u128::MAX, |value| value - 1)
    }
}

/// 32 or 128.
pub fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address as a number; only comparable within a family.
pub fn to_number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Back again. A number too large for IPv4 is cut.
pub fn from_number(number: u128, ipv6: bool) -> IpAddr {
    if ipv6 {
        IpAddr::V6(Ipv6Addr::from_bits(number))
    } else {
        IpAddr::V4(Ipv4Addr::from_bits(number as u32))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split_once('/')
            .and_then(|(address, length)| Self::new(address.parse().ok()?, length.parse().ok()?))
            .ok_or_else(|| CidrError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_subnets() {
        for (text, first, last) in [
            ("10.1.2.3/24", "10.1.2.0", "10.1.2.255"),
            ("10.1.2.3/32", "10.1.2.3", "10.1.2.3"),
            ("0.0.0.0/0", "0.0.0.0", "255.255.255.255"),
            ("fd00::5/64", "fd00::", "fd00::ffff:ffff:ffff:ffff"),
            ("::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ] {
            let cidr: Cidr = text.parse().unwrap();
            assert_eq!(from_number(cidr.first(), cidr.is_ipv6()).to_string(), first);
            assert_eq!(from_number(cidr.last(), cidr.is_ipv6()).to_string(), last);
            assert_eq!(cidr.to_string(), text);
        }
    }

    #[test]
    fn bad_texts_are_refused() {
        for text in ["", "10.0.0.0", "10.0.0.0/33", "fd00::/129", "10.0.0/8", "x/8", "10.0.0.0/"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
        assert!(!"10.0.0.0/8".parse::<Cidr>().unwrap().contains("fd00::1".parse().unwrap()));
    }
}
