//! The routing information base (RFC 4271 sections 3.2 and 9).
//!
//! ```text
//! Update -> adj_in -> policy -> decision -> loc -> Change -> adj_out -> bytes for update groups
//! ```

mod adj_in;
mod adj_out;
mod api;
mod base;
mod claims;
mod decision;
mod export;
mod intern;
mod loc;
mod next_hop;
mod peers;
pub mod policy;
mod refusals;
mod table;
#[cfg(test)]
mod tests;
mod view;

pub use api::{
    Change, LostBecause, PeerCounters, PeerKey, PeerKind, Refusal, RibPeer, Route, RouteView,
    RoutesFrom,
};
pub use base::Rib;
pub use claims::Claims;
