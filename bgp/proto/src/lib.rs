//! BGP-4 as pure code: bytes and messages, one peer's state machine, and the routing
//! information base. Nothing here reads a clock, opens a socket or spawns a task: time is an
//! argument, deadlines are data, effects are returned.
//!
//! | room | what it holds | RFCs |
//! |---|---|---|
//! | [`types`] | values that cannot be built wrong: AS numbers, prefixes, attributes | 4271, 6793, 6286, 7607 |
//! | [`wire`] | bytes to messages and back | 4271, 4760, 2545, 5492, 6793, 2918, 7313, 7606, 8654, 8950, 9003, 9072 |
//! | [`session`] | one peer's state machine, its timers, collisions, graceful restart | 4271 section 8, 4724 |
//! | [`rib`] | Adj-RIB-In, policy, decision, Loc-RIB, Adj-RIB-Out | 4271 section 9, 4456 |
//! | [`deferral`] | when the first exchange with all peers is complete | 4724 section 4.1 |
//!
//! Imports run one way: `types <- wire <- {session, rib}`, and `types <- deferral`; session, rib and
//! deferral do not know each other.

pub mod deferral;
pub mod rib;
pub mod session;
pub mod types;
pub mod wire;
