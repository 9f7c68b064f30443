use std::fmt;
use std::num::NonZeroU32;

/// An autonomous system number, four octets wide (RFC 6793), never 0 (RFC 7607).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asn(NonZeroU32);

impl Asn {
    /// AS_TRANS: stands for an AS that does not fit into two octets (RFC 6793 section 9).
    pub const TRANS: Asn = Asn(NonZeroU32::new(23456).expect("not zero"));

    /// `None` for 0, which RFC 7607 reserves.
    pub const fn new(value: u32) -> Option<Asn> {
        match NonZeroU32::new(value) {
            Some(value) => Some(Asn(value)),
            None => None,
        }
    }

    /// The number itself.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// Whether a two-octet field can hold it.
    pub const fn fits_two_octets(self) -> bool {
        self.get() <= u16::MAX as u32
    }

    /// What goes into a two-octet field: the number, or AS_TRANS where it does not fit.
    pub fn to_u16_or_trans(self) -> u16 {
        u16::try_from(self.get()).unwrap_or(23456)
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AS{}", self.0)
    }
}
