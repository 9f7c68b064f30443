use std::fmt;

/// An address family this speaker carries: unicast of one IP version (RFC 4760).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// AFI 1, SAFI 1.
    Ipv4Unicast,
    /// AFI 2, SAFI 1.
    Ipv6Unicast,
}

impl Family {
    /// Every family, in wire order.
    pub const ALL: [Family; 2] = [Family::Ipv4Unicast, Family::Ipv6Unicast];

    /// `None` for a family this speaker does not carry.
    pub const fn from_afi_safi(afi: u16, safi: u8) -> Option<Family> {
        match (afi, safi) {
            (1, 1) => Some(Family::Ipv4Unicast),
            (2, 1) => Some(Family::Ipv6Unicast),
            _ => None,
        }
    }

    /// Address Family Identifier.
    pub const fn afi(self) -> u16 {
        match self {
            Family::Ipv4Unicast => 1,
            Family::Ipv6Unicast => 2,
        }
    }

    /// Subsequent Address Family Identifier.
    pub const fn safi(self) -> u8 {
        1
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Ipv4Unicast => "ipv4",
            Family::Ipv6Unicast => "ipv6",
        })
    }
}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A set of families.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Families(u8);

impl Families {
    /// No family.
    pub const NONE: Families = Families(0);
    /// Every family this speaker carries.
    pub const ALL: Families = Families(0b11);

    const fn bit(family: Family) -> u8 {
        match family {
            Family::Ipv4Unicast => 1,
            Family::Ipv6Unicast => 2,
        }
    }

    /// Whether the set holds `family`.
    pub const fn contains(self, family: Family) -> bool {
        self.0 & Families::bit(family) != 0
    }

    /// The set with `family`.
    #[must_use]
    pub const fn with(self, family: Family) -> Families {
        Families(self.0 | Families::bit(family))
    }

    /// The set without `family`.
    #[must_use]
    pub const fn without(self, family: Family) -> Families {
        Families(self.0 & !Families::bit(family))
    }

    /// What both sets hold.
    #[must_use]
    pub const fn and(self, other: Families) -> Families {
        Families(self.0 & other.0)
    }

    /// What `self` holds and `other` does not.
    #[must_use]
    pub const fn minus(self, other: Families) -> Families {
        Families(self.0 & !other.0)
    }

    /// Whether the set holds nothing.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In wire order.
    pub fn iter(self) -> impl Iterator<Item = Family> {
        Family::ALL.into_iter().filter(move |family| self.contains(*family))
    }
}

impl FromIterator<Family> for Families {
    fn from_iter<I: IntoIterator<Item = Family>>(families: I) -> Families {
        families.into_iter().fold(Families::NONE, Families::with)
    }
}

impl fmt::Debug for Families {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
