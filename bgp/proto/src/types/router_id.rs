use std::fmt;
use std::net::Ipv4Addr;
use std::num::NonZeroU32;

/// A BGP Identifier: four octets, unique within the AS, never 0 (RFC 6286).
///
/// Ordered as an unsigned integer in host byte order, as the collision rule
/// (RFC 4271 section 6.8) and the decision process (section 9.1.2.2 f) compare it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterId(NonZeroU32);

impl RouterId {
    /// `None` for 0.0.0.0.
    pub fn new(id: Ipv4Addr) -> Option<RouterId> {
        NonZeroU32::new(u32::from(id)).map(RouterId)
    }

    /// In dotted form.
    pub fn to_ipv4(self) -> Ipv4Addr {
        Ipv4Addr::from(self.0.get())
    }
}

impl From<NonZeroU32> for RouterId {
    fn from(id: NonZeroU32) -> RouterId {
        RouterId(id)
    }
}

impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ipv4().fmt(f)
    }
}

impl fmt::Debug for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ipv4().fmt(f)
    }
}

/// A route reflector's CLUSTER_ID (RFC 4456 section 8); any four octets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClusterId(pub Ipv4Addr);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
