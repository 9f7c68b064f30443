//! The routing information base (RFC 4271 sections 3.2 and 9).
//!
//! ```text
//! Update -> adj_in -> policy -> decision -> loc -> Change -> adj_out -> bytes for update groups
//! ```

mod adj_in;
mod adj_out;
mod api;
mod claims;
mod decision;
mod intern;
mod loc;
mod next_hop;
mod peers;
pub mod policy;
mod refusals;
mod rib;
mod table;
mod view;

pub use api::{
    Change, LostBecause, PeerCounters, PeerKey, PeerKind, Refusal, RibPeer, Route, RouteView,
    RoutesFrom,
};
pub use claims::Claims;
pub use rib::Rib;
