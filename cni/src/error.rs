//! The one error that leaves the plugin: a code of the specification, a message, details.

use std::fmt;

use serde_json::{Value, json};

/// Error codes of the CNI specification 1.1, section 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// 1: the version asked for is not spoken.
    IncompatibleVersion,
    /// 2: a field that is understood but not built.
    UnsupportedField,
    /// 3: the container is gone; the runtime need not clean up.
    UnknownContainer,
    /// 4: an environment variable is missing or wrong.
    Environment,
    /// 5: input or output failed.
    Io,
    /// 6: not JSON, or not of the shape.
    Decoding,
    /// 7: the network configuration says what cannot be.
    NetworkConfig,
    /// 11: it will pass, try again.
    TryAgainLater,
    /// 50: ADD cannot be served yet.
    NotAvailable,
    /// 100: the kernel refused.
    Kernel,
    /// 101: CHECK found a pod that is not as ADD left it.
    Broken,
}

impl Code {
    /// The number.
    pub fn number(self) -> u32 {
        match self {
            Self::IncompatibleVersion => 1,
            Self::UnsupportedField => 2,
            Self::UnknownContainer => 3,
            Self::Environment => 4,
            Self::Io => 5,
            Self::Decoding => 6,
            Self::NetworkConfig => 7,
            Self::TryAgainLater => 11,
            Self::NotAvailable => 50,
            Self::Kernel => 100,
            Self::Broken => 101,
        }
    }
}

/// What a verb failed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    code: u32,
    message: String,
    details: String,
}

impl Error {
    /// A message that names the place and the remedy.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code: code.number(), message: message.into(), details: String::new() }
    }

    /// With a longer text.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<String>) -> Self {
        self.details = details.into();
        self
    }

    /// That of a delegated plugin, with its own code.
    pub fn passed_on(code: u32, message: String, details: String) -> Self {
        Self { code, message, details }
    }

    /// The number.
    pub fn code(&self) -> u32 {
        self.code
    }

    /// The short text.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The specification's error structure.
    pub fn to_json(&self, version: &str) -> Value {
        let mut error = json!({"cniVersion": version, "code": self.code, "msg": self.message});
        if !self.details.is_empty() {
            error["details"] = self.details.clone().into();
        }
        error
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        if self.details.is_empty() { Ok(()) } else { write!(f, ": {}", self.details) }
    }
}

impl std::error::Error for Error {}

impl From<crate::link::LinkError> for Error {
    fn from(error: crate::link::LinkError) -> Self {
        Self::new(Code::Kernel, error.to_string())
    }
}
