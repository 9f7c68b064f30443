use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::types::{Asn, Community, LargeCommunity};

/// Any number, in the text of a pattern.
const ANY: &str = "*";

/// AS numbers, singly and by ranges: `65001`, `64512-65534`. Built once, cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AsnSet(Arc<[AsnRange]>);

impl AsnSet {
    /// Whether one of the ranges holds it.
    pub fn contains(&self, asn: Asn) -> bool {
        self.0.iter().any(|range| range.contains(asn))
    }
}

impl FromIterator<AsnRange> for AsnSet {
    fn from_iter<I: IntoIterator<Item = AsnRange>>(ranges: I) -> AsnSet {
        AsnSet(ranges.into_iter().collect())
    }
}

impl From<Asn> for AsnSet {
    fn from(asn: Asn) -> AsnSet {
        AsnSet(Arc::new([AsnRange { first: asn, last: asn }]))
    }
}

/// AS numbers that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AsnRange {
    /// The least.
    pub first: Asn,
    /// The greatest.
    pub last: Asn,
}

impl AsnRange {
    /// Whether it lies within.
    pub fn contains(&self, asn: Asn) -> bool {
        (self.first..=self.last).contains(&asn)
    }
}

impl FromStr for AsnRange {
    type Err = &'static str;

    /// `65001` or `64512-65534`.
    fn from_str(text: &str) -> Result<AsnRange, &'static str> {
        const EXPECTED: &str =
            "expected an AS number, or the first and last of a range as in 64512-65534";
        let number = |text: &str| text.trim().parse().ok().and_then(Asn::new).ok_or(EXPECTED);
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(text)?, number(text)?),
        };
        if first > last {
            return Err("the range ends before it begins");
        }
        Ok(AsnRange { first, last })
    }
}

/// Communities of a form: `64512:100`, `64512:*`, `*:666`, `*:*`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CommunityPattern {
    value: u32,
    /// The bits that count.
    mask: u32,
}

impl CommunityPattern {
    /// All communities there are.
    pub const ANY: CommunityPattern = CommunityPattern { value: 0, mask: 0 };

    /// Whether a community is of the form.
    pub const fn matches(self, community: Community) -> bool {
        community.0 & self.mask == self.value
    }
}

impl From<Community> for CommunityPattern {
    fn from(community: Community) -> CommunityPattern {
        CommunityPattern { value: community.0, mask: u32::MAX }
    }
}

impl FromStr for CommunityPattern {
    type Err = &'static str;

    /// As a community, where `*` stands for any number.
    fn from_str(text: &str) -> Result<CommunityPattern, &'static str> {
        const EXPECTED: &str =
            "expected AS:VALUE, each 0 to 65535 or *, or a well-known name such as no-export";
        let Some((high, low)) =
            text.split_once(':').filter(|(high, low)| *high == ANY || *low == ANY)
        else {
            return text.parse::<Community>().map(Into::into).map_err(|_| EXPECTED);
        };
        let half = |text: &str| match text {
            ANY => Ok((0, 0)),
            number => number.parse::<u16>().map(|number| (u32::from(number), 0xFFFF)),
        };
        let (high, high_mask) = half(high).map_err(|_| EXPECTED)?;
        let (low, low_mask) = half(low).map_err(|_| EXPECTED)?;
        Ok(CommunityPattern { value: high << 16 | low, mask: high_mask << 16 | low_mask })
    }
}

impl fmt::Debug for CommunityPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let half = |value: u32, mask: u32| match mask & 0xFFFF {
            0 => ANY.to_owned(),
            _ => (value & 0xFFFF).to_string(),
        };
        write!(f, "{}:{}", half(self.value >> 16, self.mask >> 16), half(self.value, self.mask))
    }
}

/// Large communities of a form: `64512:1:2`, `64512:*:*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LargeCommunityPattern {
    /// Each `None` is any number.
    fields: [Option<u32>; 3],
}

impl LargeCommunityPattern {
    /// Whether a large community is of the form.
    pub fn matches(self, community: LargeCommunity) -> bool {
        let LargeCommunity { global, local1, local2 } = community;
        let wanted = self.fields.into_iter().zip([global, local1, local2]);
        wanted.into_iter().all(|(wanted, is)| wanted.is_none_or(|wanted| wanted == is))
    }
}

impl From<LargeCommunity> for LargeCommunityPattern {
    fn from(LargeCommunity { global, local1, local2 }: LargeCommunity) -> LargeCommunityPattern {
        LargeCommunityPattern { fields: [Some(global), Some(local1), Some(local2)] }
    }
}

impl FromStr for LargeCommunityPattern {
    type Err = &'static str;

    /// As a large community, where `*` stands for any number.
    fn from_str(text: &str) -> Result<LargeCommunityPattern, &'static str> {
        const EXPECTED: &str = "expected AS:VALUE:VALUE, each 0 to 4294967295 or *";
        let mut fields = text.split(':').map(|field| match field {
            ANY => Ok(None),
            number => number.parse::<u32>().map(Some),
        });
        match (fields.next(), fields.next(), fields.next(), fields.next()) {
            (Some(Ok(global)), Some(Ok(local1)), Some(Ok(local2)), None) => {
                Ok(LargeCommunityPattern { fields: [global, local1, local2] })
            }
            _ => Err(EXPECTED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_as_numbers() {
        for (text, asn, holds) in [
            ("65001", 65001, true),
            ("65001", 65002, false),
            ("64512-65534", 64512, true),
            ("64512-65534", 65534, true),
            ("64512-65534", 65535, false),
            ("4200000000-4294967294", 4_200_000_001, true),
        ] {
            let range: AsnRange = text.parse().unwrap();
            assert_eq!(range.contains(Asn::new(asn).unwrap()), holds, "{text} {asn}");
        }
        for text in ["", "0", "0-5", "5-", "-5", "9-5", "AS65001", "4294967296", "1-2-3"] {
            assert!(text.parse::<AsnRange>().is_err(), "{text}");
        }
    }

    #[test]
    fn forms_of_communities() {
        for (pattern, community, matches) in [
            ("64512:100", "64512:100", true),
            ("64512:100", "64512:101", false),
            ("64512:*", "64512:7", true),
            ("64512:*", "64513:7", false),
            ("*:666", "1:666", true),
            ("*:666", "666:1", false),
            ("*:*", "no-export", true),
            ("no-export", "no-export", true),
            ("no-export", "no-advertise", false),
        ] {
            let found: CommunityPattern = pattern.parse().unwrap();
            assert_eq!(found.matches(community.parse().unwrap()), matches, "{pattern} {community}");
        }
        for text in ["", "*", "*:", "64512:*:*", "65536:*", "noexport", "**:1"] {
            assert!(text.parse::<CommunityPattern>().is_err(), "{text}");
        }
        assert_eq!(format!("{:?}", "64512:*".parse::<CommunityPattern>().unwrap()), "64512:*");
        assert_eq!(format!("{:?}", "64512:0".parse::<CommunityPattern>().unwrap()), "64512:0");
    }

    #[test]
    fn forms_of_large_communities() {
        for (pattern, community, matches) in [
            ("1:2:3", "1:2:3", true),
            ("1:2:3", "1:2:4", false),
            ("1:*:3", "1:9:3", true),
            ("1:*:*", "2:2:3", false),
            ("*:*:*", "2:2:3", true),
        ] {
            let found: LargeCommunityPattern = pattern.parse().unwrap();
            assert_eq!(found.matches(community.parse().unwrap()), matches, "{pattern} {community}");
        }
        for text in ["", "1:2", "1:2:3:4", "1:2:x", "*"] {
            assert!(text.parse::<LargeCommunityPattern>().is_err(), "{text}");
        }
    }
}
