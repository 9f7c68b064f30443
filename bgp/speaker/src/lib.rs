//! A BGP speaker on tokio, over the pure core of `twill-bgp-proto`.
//!
//! ```text
//!             Handle ── commands ──┐
//!                                  v
//!  listener ── connections ──> peer task ── deliveries ──> core (owns the RIB)
//!                                  ^                         │   │
//!                                  └──── encoded bytes ──────┘   └── Subscription, notices
//! ```
//!
//! One task owns the RIB, one task drives each peer with its state machine and both of its
//! possible connections, one task listens. No lock stands between them: the core is reached by
//! bounded channels, and what a slow peer or subscriber has not taken yet is a map keyed by
//! prefix, never a queue. A [`Handle`] speaks to the core; when the [`Speaker`] is dropped, every
//! task ends.
//!
//! | room | what it holds | RFCs |
//! |---|---|---|
//! | `settings` | what a speaker, a peer and an announcement are | 8212 |
//! | `plan` | the difference between two sets of peers | |
//! | `socket` | TCP as BGP wants it | 2385, 5082 |
//! | `probe` | whether this kernel can do it | 2385, 5082 |
//! | `dynamic` | peers that nobody lists, by a prefix and a template | |
//! | `listener` | connections of configured peers, and of nobody else | |
//! | `peer` | one peer's task | 4271 section 8 |
//! | `core` | the RIB's owner | 4271 section 9 |
//! | `reasons` | why sessions were lost, and did not come up | |
//! | `subscription` | best paths for those who install them | |

mod core;
mod dynamic;
mod error;
mod handle;
mod interface;
mod listener;
mod peer;
mod plan;
mod probe;
mod reasons;
mod settings;
mod socket;
mod speaker;
mod status;
mod subscription;
mod turns;

pub use dynamic::DynamicPeers;
pub use error::{SpeakerError, Stopped};
pub use handle::{Handle, Reset, RouteEntry, RouteQuery, RouteSelection};
pub use plan::{Outcome, PeerChange};
pub use probe::{Lacking, probe};
pub use reasons::{Ended, Reason};
pub use settings::{Announcement, Endpoint, MaxPrefixes, PORT, PeerConfig, Secret, Settings, Ttl};
pub use speaker::Speaker;
pub use status::{Notice, PeerStatus, Readiness};
pub use subscription::{BestChange, BestRoute, Subscription};
pub use twill_bgp_proto as proto;
