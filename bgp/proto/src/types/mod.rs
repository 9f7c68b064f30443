//! Values that cannot be built wrong. Every type here has one door, and what is inside is valid.

mod asn;
mod attributes;
mod community;
mod family;
mod hold_time;
mod prefix;
mod role;
mod router_id;
#[cfg(test)]
mod tests;

pub use asn::Asn;
pub use attributes::{
    Aggregator, AsPath, Attributes, NextHop, Origin, Partial, Segment, SegmentKind,
    UnknownAttribute,
};
pub use community::{Community, ExtendedCommunity, LargeCommunity};
pub use family::{Families, Family};
pub use hold_time::HoldTime;
pub use prefix::{Ipv4Prefix, Ipv6Prefix, Prefix, PrefixError};
pub use role::Role;
pub use router_id::{ClusterId, RouterId};
