//! Versions of the CNI specification.

use std::fmt;

use crate::error::{Code, Error};

/// A version we speak. Older ones are ordered before newer ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpecVersion {
    /// 0.3.0: interfaces in results, chains.
    V0_3_0,
    /// 0.3.1: the same.
    V0_3_1,
    /// 0.4.0: CHECK.
    V0_4_0,
    /// 1.0.0: addresses without `version`.
    V1_0_0,
    /// 1.1.0: GC, STATUS, more in interfaces and routes.
    V1_1_0,
}

impl SpecVersion {
    /// All, oldest first.
    pub const ALL: [Self; 5] =
        [Self::V0_3_0, Self::V0_3_1, Self::V0_4_0, Self::V1_0_0, Self::V1_1_0];
    /// The newest.
    pub const NEWEST: Self = Self::V1_1_0;

    /// As text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V0_3_0 => "0.3.0",
            Self::V0_3_1 => "0.3.1",
            Self::V0_4_0 => "0.4.0",
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_0 => "1.1.0",
        }
    }

    /// Reads one of ours.
    ///
    /// # Errors
    /// Code 1 for any other, absent ones included: what names no version means 0.1.0.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|version| version.as_str() == text).ok_or_else(|| {
            let asked = if text.is_empty() { "none (0.1.0)" } else { text };
            Error::new(
                Code::IncompatibleVersion,
                format!(
                    "network configuration: cniVersion: asked for {asked}; supported are {}",
                    Self::ALL.map(Self::as_str).join(", ")
                ),
            )
        })
    }
}

impl fmt::Display for SpecVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
