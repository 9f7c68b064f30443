use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use twill_bgp_proto::session::{Negotiated, State};
use twill_bgp_proto::types::{Families, Family, Prefix};

use crate::reasons::Reason;
use crate::settings::PeerConfig;

/// A peer as it is now.
#[derive(Debug, Clone)]
pub struct PeerStatus {
    /// As configured.
    pub config: Arc<PeerConfig>,
    /// Nobody listed it: it goes with its session.
    pub dynamic: bool,
    /// The state machine's.
    pub state: State,
    /// When it came up; `None` while it is down.
    pub since: Option<SystemTime>,
    /// What was agreed on, while Established.
    pub negotiated: Option<Arc<Negotiated>>,
    /// Our end of the connection.
    pub local: Option<SocketAddr>,
    /// The peer's end.
    pub remote: Option<SocketAddr>,
    /// Prefixes it sent, refused ones included, v4 then v6.
    pub received: [u32; 2],
    /// Of those, accepted by policy.
    pub accepted: [u32; 2],
    /// Of those, refused.
    pub rejected: [u32; 2],
    /// Of those, held as stale.
    pub stale: [u32; 2],
    /// Prefixes we announce to it.
    pub advertised: [u32; 2],
    /// How often Established was lost.
    pub flaps: u32,
    /// Why the session was lost last, and when; of a peer that never had one, why the last
    /// attempt failed.
    pub last_error: Option<(SystemTime, String)>,
    /// The last reasons for which sessions were lost and attempts failed, the newest first.
    pub reasons: Vec<Reason>,
    /// Families whose End-of-RIB has come in this session.
    pub end_of_rib: Families,
    /// Messages received, by type 1 to 5.
    pub messages_in: [u64; 5],
    /// Messages sent, by type 1 to 5.
    pub messages_out: [u64; 5],
}

/// What the speaker tells its listeners as it happens. May be lost by a slow listener, who then
/// reads the state itself.
#[derive(Debug, Clone)]
pub enum Notice {
    /// A session changed state.
    Peer {
        /// Which.
        name: String,
        /// To which state.
        state: State,
        /// Why, where it went down.
        reason: Option<String>,
    },
    /// A route was refused by policy.
    Refused {
        /// By whom it was sent.
        peer: String,
        /// Which.
        prefix: Prefix,
        /// The rule.
        rule: Arc<str>,
    },
    /// A peer has sent so many prefixes of a family that its limit is near. Told again once they
    /// have been fewer.
    NearLimit {
        /// Which.
        peer: String,
        /// Of which family.
        family: Family,
        /// So many.
        received: u32,
        /// More than this end the session.
        limit: u32,
    },
    /// A fault in an UPDATE was mended (RFC 7606).
    Fault {
        /// By whom it was sent.
        peer: String,
        /// In words.
        what: String,
    },
}

/// Whether the first exchange is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Waiting for the End-of-RIB of peers.
    Waiting,
    /// Every awaited peer has sent its End-of-RIB, or the deferral is over.
    InSync {
        /// The deferral timer had to end the wait.
        by_timer: bool,
    },
}
