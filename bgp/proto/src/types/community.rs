use std::fmt;
use std::str::FromStr;

/// A community (RFC 1997): two octets of AS, two of meaning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Community(pub u32);

impl Community {
    /// GRACEFUL_SHUTDOWN (RFC 8326).
    pub const GRACEFUL_SHUTDOWN: Community = Community(0xFFFF_0000);
    /// NO_EXPORT: not beyond the AS (RFC 1997).
    pub const NO_EXPORT: Community = Community(0xFFFF_FF01);
    /// NO_ADVERTISE: to no peer at all (RFC 1997).
    pub const NO_ADVERTISE: Community = Community(0xFFFF_FF02);
    /// NO_EXPORT_SUBCONFED (RFC 1997).
    pub const NO_EXPORT_SUBCONFED: Community = Community(0xFFFF_FF03);
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Community::GRACEFUL_SHUTDOWN => f.write_str("graceful-shutdown"),
            Community::NO_EXPORT => f.write_str("no-export"),
            Community::NO_ADVERTISE => f.write_str("no-advertise"),
            Community::NO_EXPORT_SUBCONFED => f.write_str("no-export-subconfed"),
            Community(value) => write!(f, "{}:{}", value >> 16, value & 0xFFFF),
        }
    }
}

impl fmt::Debug for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Community {
    type Err = &'static str;

    /// `AS:VALUE`, each 0 to 65535, or a well-known name.
    fn from_str(text: &str) -> Result<Community, &'static str> {
        const EXPECTED: &str =
            "expected AS:VALUE, each 0 to 65535, or a well-known name such as no-export";
        match text {
            "graceful-shutdown" => return Ok(Community::GRACEFUL_SHUTDOWN),
            "no-export" => return Ok(Community::NO_EXPORT),
            "no-advertise" => return Ok(Community::NO_ADVERTISE),
            "no-export-subconfed" => return Ok(Community::NO_EXPORT_SUBCONFED),
            _ => {}
        }
        let (high, low) = text.split_once(':').ok_or(EXPECTED)?;
        let high: u16 = high.parse().map_err(|_| EXPECTED)?;
        let low: u16 = low.parse().map_err(|_| EXPECTED)?;
        Ok(Community(u32::from(high) << 16 | u32::from(low)))
    }
}

/// A large community (RFC 8092): three fields of four octets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LargeCommunity {
    /// Global administrator, an AS number.
    pub global: u32,
    /// First local field.
    pub local1: u32,
    /// Second local field.
    pub local2: u32,
}

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.global, self.local1, self.local2)
    }
}

impl FromStr for LargeCommunity {
    type Err = &'static str;

    /// `AS:VALUE:VALUE`, each 0 to 4294967295.
    fn from_str(text: &str) -> Result<LargeCommunity, &'static str> {
        const EXPECTED: &str = "expected AS:VALUE:VALUE, each 0 to 4294967295";
        let mut fields = text.split(':').map(str::parse::<u32>);
        match (fields.next(), fields.next(), fields.next(), fields.next()) {
            (Some(Ok(global)), Some(Ok(local1)), Some(Ok(local2)), None) => {
                Ok(LargeCommunity { global, local1, local2 })
            }
            _ => Err(EXPECTED),
        }
    }
}

/// An extended community (RFC 4360), kept as it came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ExtendedCommunity(pub [u8; 8]);
