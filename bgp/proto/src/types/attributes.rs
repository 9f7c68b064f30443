use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Asn, ClusterId, Community, ExtendedCommunity, LargeCommunity, RouterId};

/// How a prefix came into BGP (RFC 4271 section 5.1.1); the lower wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Origin {
    /// From an interior protocol; what we announce ourselves.
    Igp = 0,
    /// From EGP.
    Egp = 1,
    /// By other means, such as redistribution.
    Incomplete = 2,
}

/// The kind of an AS_PATH segment (RFC 4271 section 4.3; confederations by RFC 5065).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SegmentKind {
    /// Unordered: counts as one hop.
    Set = 1,
    /// Ordered.
    Sequence = 2,
}

/// One segment of an AS_PATH: 1 to 255 AS numbers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Segment {
    /// Ordered or not.
    pub kind: SegmentKind,
    /// At least one; the encoder splits what is over 255.
    pub asns: Box<[Asn]>,
}

/// An AS_PATH (RFC 4271 section 5.1.2), always in four-octet form.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct AsPath {
    /// As received, nearest AS first.
    pub segments: Box<[Segment]>,
}

impl AsPath {
    /// A path of one ordered segment; empty for no hop.
    pub fn sequence(asns: impl IntoIterator<Item = Asn>) -> AsPath {
        let asns: Box<[Asn]> = asns.into_iter().collect();
        if asns.is_empty() {
            return AsPath::default();
        }
        AsPath { segments: Box::new([Segment { kind: SegmentKind::Sequence, asns }]) }
    }

    /// Hops as the decision process counts them: a set is one (RFC 4271 section 9.1.2.2 a).
    pub fn hops(&self) -> usize {
        self.segments
            .iter()
            .map(|segment| match segment.kind {
                SegmentKind::Set => 1,
                SegmentKind::Sequence => segment.asns.len(),
            })
            .sum()
    }

    /// Whether `asn` stands anywhere in the path: a loop, if it is our own.
    pub fn contains(&self, asn: Asn) -> bool {
        self.segments.iter().any(|segment| segment.asns.contains(&asn))
    }

    /// Every AS of the path, nearest first; those of a set in the order they came in.
    pub fn iter(&self) -> impl Iterator<Item = Asn> {
        self.segments.iter().flat_map(|segment| segment.asns.iter().copied())
    }

    /// The neighbouring AS: the first of a leading sequence. `None` for an empty path and for
    /// one that begins with a set.
    pub fn first(&self) -> Option<Asn> {
        let segment = self.segments.first()?;
        match segment.kind {
            SegmentKind::Sequence => segment.asns.first().copied(),
            SegmentKind::Set => None,
        }
    }

    /// The AS that originated the route, where it is told.
    pub fn origin(&self) -> Option<Asn> {
        let segment = self.segments.last()?;
        match segment.kind {
            SegmentKind::Sequence => segment.asns.last().copied(),
            SegmentKind::Set => None,
        }
    }

    /// The path with `asn` put in front `times` times.
    #[must_use]
    pub fn prepend(&self, asn: Asn, times: usize) -> AsPath {
        if times == 0 {
            return self.clone();
        }
        let mut asns = vec![asn; times];
        let mut rest = &*self.segments;
        if let Some((Segment { kind: SegmentKind::Sequence, asns: head }, tail)) =
            self.segments.split_first()
        {
            asns.extend_from_slice(head);
            rest = tail;
        }
        let first = Segment { kind: SegmentKind::Sequence, asns: asns.into() };
        AsPath { segments: std::iter::once(first).chain(rest.iter().cloned()).collect() }
    }
}

impl fmt::Display for AsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.segments.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            let (open, separator, close) = match segment.kind {
                SegmentKind::Set => ("{", ",", "}"),
                SegmentKind::Sequence => ("", " ", ""),
            };
            f.write_str(open)?;
            for (index, asn) in segment.asns.iter().enumerate() {
                if index > 0 {
                    f.write_str(separator)?;
                }
                write!(f, "{asn}")?;
            }
            f.write_str(close)?;
        }
        Ok(())
    }
}

/// Where packets for a route go next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NextHop {
    /// By NEXT_HOP or MP_REACH.
    V4(Ipv4Addr),
    /// By MP_REACH, with the link-local address beside the global one where the peer shares our
    /// link (RFC 2545 section 3).
    V6 {
        /// The global address; a link-local one only where the peer sent nothing else.
        global: Ipv6Addr,
        /// Of the shared link.
        link_local: Option<Ipv6Addr>,
    },
}

impl NextHop {
    /// The address to route by: the global one.
    pub fn address(self) -> IpAddr {
        match self {
            NextHop::V4(address) => IpAddr::V4(address),
            NextHop::V6 { global, .. } => IpAddr::V6(global),
        }
    }
}

impl From<IpAddr> for NextHop {
    fn from(address: IpAddr) -> NextHop {
        match address {
            IpAddr::V4(address) => NextHop::V4(address),
            IpAddr::V6(global) => NextHop::V6 { global, link_local: None },
        }
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address().fmt(f)
    }
}

impl fmt::Debug for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Who formed an aggregate (RFC 4271 section 5.1.7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Aggregator {
    /// The AS of the aggregating speaker.
    pub asn: Asn,
    /// Its identifier.
    pub address: Ipv4Addr,
}

/// An optional transitive attribute that we do not know: passed on with the Partial bit set
/// (RFC 4271 section 5).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UnknownAttribute {
    /// The attribute type code.
    pub code: u8,
    /// As received.
    pub value: Box<[u8]>,
}

/// Which of the optional transitive attributes that we know came with the Partial bit: somebody on
/// the way passed them on without knowing them. The bit stays for good (RFC 4271 section 5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Partial(u8);

impl Partial {
    /// The attributes that can have it: AGGREGATOR, the three kinds of communities, and Only to
    /// Customer, by type code.
    pub const CODES: [u8; 5] = [7, 8, 16, 32, 35];

    fn bit(code: u8) -> u8 {
        Partial::CODES.iter().position(|known| *known == code).map_or(0, |place| 1 << place)
    }

    /// With the attribute of type `code`, where it is one of [`Partial::CODES`].
    #[must_use]
    pub fn with(self, code: u8) -> Partial {
        Partial(self.0 | Partial::bit(code))
    }

    /// Without it.
    #[must_use]
    pub fn without(self, code: u8) -> Partial {
        Partial(self.0 & !Partial::bit(code))
    }

    /// Whether the attribute of type `code` has it.
    pub fn contains(self, code: u8) -> bool {
        self.0 & Partial::bit(code) != 0
    }
}

/// The path attributes of a route, decoded. Equal values are the same route towards any peer,
/// so a RIB keeps each once.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Attributes {
    /// ORIGIN.
    pub origin: Origin,
    /// AS_PATH, with AS4_PATH merged in where the peer has two-octet AS numbers.
    pub as_path: AsPath,
    /// NEXT_HOP, or the next hop of MP_REACH_NLRI.
    pub next_hop: NextHop,
    /// MULTI_EXIT_DISC; the lower wins.
    pub med: Option<u32>,
    /// LOCAL_PREF; the higher wins. Ignored from external peers.
    pub local_pref: Option<u32>,
    /// ATOMIC_AGGREGATE.
    pub atomic_aggregate: bool,
    /// AGGREGATOR.
    pub aggregator: Option<Aggregator>,
    /// COMMUNITIES, sorted, each once.
    pub communities: Box<[Community]>,
    /// EXTENDED COMMUNITIES, sorted, each once.
    pub extended_communities: Box<[ExtendedCommunity]>,
    /// LARGE_COMMUNITY, sorted, each once.
    pub large_communities: Box<[LargeCommunity]>,
    /// ORIGINATOR_ID: who brought the route into the AS (RFC 4456).
    pub originator_id: Option<RouterId>,
    /// CLUSTER_LIST: the clusters it was reflected through, nearest first (RFC 4456).
    pub cluster_list: Box<[ClusterId]>,
    /// Only to Customer (RFC 9234).
    pub only_to_customer: Option<Asn>,
    /// What we do not know but pass on, by code.
    pub unknown: Box<[UnknownAttribute]>,
    /// What of the rest came with the Partial bit.
    pub partial: Partial,
}

impl Attributes {
    /// A route of our own: ORIGIN IGP, an empty AS_PATH, nothing optional.
    pub fn originated(next_hop: NextHop) -> Attributes {
        Attributes {
            origin: Origin::Igp,
            as_path: AsPath::default(),
            next_hop,
            med: None,
            local_pref: None,
            atomic_aggregate: false,
            aggregator: None,
            communities: Box::default(),
            extended_communities: Box::default(),
            large_communities: Box::default(),
            originator_id: None,
            cluster_list: Box::default(),
            only_to_customer: None,
            unknown: Box::default(),
            partial: Partial::default(),
        }
    }
}
