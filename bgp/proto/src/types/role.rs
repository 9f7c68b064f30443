use std::fmt;
use std::str::FromStr;

/// What we are to an external neighbour (RFC 9234 section 3). A route that a provider, peer or
/// route server gave is for customers only; roles and the Only to Customer attribute see to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// We give the neighbour transit.
    Provider = 0,
    /// We are the route server.
    RouteServer = 1,
    /// The neighbour is the route server.
    RouteServerClient = 2,
    /// The neighbour gives us transit.
    Customer = 3,
    /// Neither gives the other transit.
    Peer = 4,
}

impl Role {
    /// All of them, by number.
    pub const ALL: [Role; 5] =
        [Role::Provider, Role::RouteServer, Role::RouteServerClient, Role::Customer, Role::Peer];

    /// `None` for a number that is not assigned.
    pub fn from_u8(number: u8) -> Option<Role> {
        Role::ALL.get(usize::from(number)).copied()
    }

    /// The number on the wire.
    pub const fn to_u8(self) -> u8 {
        self as u8
    }

    /// What the neighbour must be (RFC 9234 section 4.2).
    #[must_use]
    pub const fn counterpart(self) -> Role {
        match self {
            Role::Provider => Role::Customer,
            Role::Customer => Role::Provider,
            Role::RouteServer => Role::RouteServerClient,
            Role::RouteServerClient => Role::RouteServer,
            Role::Peer => Role::Peer,
        }
    }

    /// Whether what we send the neighbour is for its customers alone, and gets the attribute on
    /// the way out (RFC 9234 section 5).
    pub const fn marks_on_export(self) -> bool {
        matches!(self, Role::Provider | Role::Peer | Role::RouteServer)
    }

    /// Whether what the neighbour sends us is for our customers alone: it gets the attribute on
    /// the way in, and what has it already is not sent back up.
    pub const fn marks_on_import(self) -> bool {
        matches!(self, Role::Customer | Role::Peer | Role::RouteServerClient)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Provider => "provider",
            Role::RouteServer => "rs-server",
            Role::RouteServerClient => "rs-client",
            Role::Customer => "customer",
            Role::Peer => "peer",
        })
    }
}

impl FromStr for Role {
    type Err = &'static str;

    /// The names that [`Role`] is displayed by.
    fn from_str(text: &str) -> Result<Role, &'static str> {
        Role::ALL
            .into_iter()
            .find(|role| role.to_string() == text)
            .ok_or("expected provider, customer, peer, rs-server or rs-client")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_go_both_ways() {
        for (number, role) in (0..).zip(Role::ALL) {
            assert_eq!((role.to_u8(), Role::from_u8(number)), (number, Some(role)));
            assert_eq!(role.to_string().parse(), Ok(role));
            assert_eq!(role.counterpart().counterpart(), role);
        }
        assert_eq!(Role::from_u8(5), None);
        assert!("Provider".parse::<Role>().is_err());
    }
}
