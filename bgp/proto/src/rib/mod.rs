//! The routing information base (RFC 4271 sections 3.2 and 9).
//!
//! ```text
//! Update -> adj_in -> policy -> decision -> loc -> Change -> adj_out -> bytes for update groups
//! ```
//!
//! An [`Update`](crate::wire::Update) goes in by [`Rib::update`]: `adj_in` interns its attributes
//! once, asks the peer's import policy, and puts one path of twelve octets for each prefix into
//! the `table` of its family; `decision` picks the best path, and `loc` notes the prefix where
//! that changed something. [`Rib::settle`] tells what was noted: as [`Change`]s for whoever acts
//! on the best routes, and to the update groups of `adj_out`, where `export` and `next_hop` make
//! of it what peers of a kind are sent. [`Rib::poll_transmit`] yields each peer's bytes.
//!
//! | room | what it holds | RFCs |
//! |---|---|---|
//! | `intern` | every attribute set once, counted | |
//! | `table` | prefixes and their paths | |
//! | `adj_in` | judging what peers send; policies replaced live | 4271 sections 3.2 and 6.3, 4456 section 8, 8326, 9234 |
//! | [`policy`] | rules, prefix sets, the one evaluation for import and export | 8212 |
//! | `claims` | whom a prefix belongs to | |
//! | `decision` | the numbered list of steps | 4271 section 9.1.2, 4456 section 9 |
//! | `loc` | the best of each prefix, and what of it is to be told | 4271 section 9.1 |
//! | `export`, `next_hop` | what a kind of peer is sent | 4271 section 5.1 and 9.2, 1997, 2545, 4360, 4456, 7705, 8950, 9234 |
//! | `adj_out` | update groups, their logs, walks, End-of-RIB, brackets | 4271 section 9.2, 2918, 4724, 7313 |
//! | `view`, `refusals` | what an operator sees | |
//!
//! Nothing here reads a clock, and no order of a hash table reaches the outside: the same calls
//! lead to the same bytes.

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
    Change, LostBecause, PeerCounters, PeerKey, PeerKind, PeerRules, Refusal, RibPeer, Route,
    RouteView, RoutesFrom,
};
pub use base::Rib;
pub use claims::Claims;
