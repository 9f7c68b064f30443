//! The routing information base (RFC 4271 sections 3.2 and 9).
//!
//! ```text
//! Update -> adj_in -> policy -> decision -> loc -> Change -> adj_out -> bytes for update groups
//! ```

mod api;
mod claims;
pub mod policy;

pub use api::{Change, LostBecause, PeerKey, PeerKind, RibPeer, Route, RouteView, RoutesFrom};
pub use claims::Claims;
