//! Many speakers in one process, on a fake clock and a fake network, replayed from a seed.
//!
//! ```text
//!            script: faults, and what is true          oracle: what is right
//!               |                                              |
//!               v                                              v
//!   clock -> world -> task: Session, sockets -> core: Rib, Deferral -> check
//!               ^        |
//!               +- network: bytes, delays, cuts
//! ```
//!
//! The speakers are made of the same pure code as the real one: [`Session`], [`Rib`] and
//! [`Deferral`] of `twill-bgp-proto`. What tokio does for the real one, tasks and channels and
//! sockets, is done here by `task` and `core`, with the same bounds, in an order that the seed
//! draws. Every byte that is sent is encoded, cut, delayed and decoded.
//!
//! Nothing depends on the real clock, on the order of a hash table, or on chance: the same seed
//! gives the same [`World::trace`].
//!
//! | room | what it holds |
//! |---|---|
//! | `clock`, `random` | the fake clock and its queue; the seed; the hash of what happened |
//! | `topology`, `settings` | who speaks with whom, by which policies; delays and bounds |
//! | `network` | connections, packets, partitions |
//! | `speaker`, `boot` | one speaker; how its process begins |
//! | `task`, `output`, `core` | what its peers' tasks hear and write; what its core does |
//! | `world` | one event after the other |
//! | `script` | faults |
//! | `oracle`, `check` | the right routes, by rules written a second time; what must hold when |
//! | `run` | whole runs by a seed |
//!
//! [`Session`]: twill_bgp_proto::session::Session
//! [`Rib`]: twill_bgp_proto::rib::Rib
//! [`Deferral`]: twill_bgp_proto::deferral::Deferral

mod boot;
mod check;
mod clock;
mod core;
mod network;
mod oracle;
mod output;
mod random;
mod run;
mod script;
mod settings;
mod speaker;
mod task;
#[cfg(test)]
mod tests;
mod topology;
mod world;

pub use clock::{Micros, SECOND};
pub use random::{Random, Trace};
pub use run::{Failure, Plan, Report, run};
pub use script::{Fault, Script};
pub use settings::Settings;
pub use topology::{Member, Shape, Topology};
pub use world::{Counters, Violation, World};
