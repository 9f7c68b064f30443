//! A BGP speaker on tokio, over the pure core of `twill-bgp-proto`.
//!
//! One task owns the RIB, one task drives each peer, one listens. A [`Handle`] speaks to them;
//! when the [`Speaker`] is dropped they all end.

mod api;

pub use api::{
    Announcement, MaxPrefixes, Notice, PeerConfig, PeerStatus, Readiness, Secret, Settings, Ttl,
};
pub use twill_bgp_proto as proto;
