//! What is wrong with an object, for its Event and for `twill status`.

use std::fmt;

/// An object that something is wrong with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct About {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace, where it has one.
    pub namespace: Option<Box<str>>,
    /// Its name.
    pub name: Box<str>,
    /// Which of all that ever had this name.
    pub uid: Box<str>,
}

/// Kinds of objects that Events are written about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `v1` Node.
    Node,
    /// `twill.dev/v1alpha1` BGPConfiguration.
    Configuration,
    /// `twill.dev/v1alpha1` BGPPeer.
    Peer,
    /// `v1` Service.
    Service,
}

impl Kind {
    /// Its `apiVersion` and `kind`.
    pub fn names(self) -> (&'static str, &'static str) {
        match self {
            Kind::Node => ("v1", "Node"),
            Kind::Configuration => ("twill.dev/v1alpha1", "BGPConfiguration"),
            Kind::Peer => ("twill.dev/v1alpha1", "BGPPeer"),
            Kind::Service => ("v1", "Service"),
        }
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.names().1)?;
        f.write_str(" ")?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

/// Why an Event is written: its `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A change is invalid: the last valid state stands.
    Invalid,
    /// It claims what belongs to another.
    ClaimRefused,
    /// It clashes with another object.
    Conflict,
    /// Something that it refers to is not there.
    Missing,
    /// It is valid, and probably not what was meant.
    Doubtful,
    /// It asks for what this version does not do.
    NotActedUpon,
    /// A route that this node announces was refused by another.
    RouteRefused,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An Event's reason is a word in capitals; the names of the variants are just that.
        fmt::Debug::fmt(self, f)
    }
}

/// Something that is wrong with an object, or doubtful.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Doubt {
    /// With which.
    pub about: About,
    /// As one word.
    pub reason: Reason,
    /// What, and the remedy. Never a password.
    pub note: String,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.about, self.note)
    }
}
