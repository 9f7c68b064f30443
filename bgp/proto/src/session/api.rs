use std::time::Duration;

use crate::types::{Asn, Families, HoldTime, Role, RouterId};
use crate::wire::{
    Capability, Cease, Codec, Message, MessageError, Notification, Open, RouteRefresh, Update,
};

/// The states of RFC 4271 section 8.2.2, as an operator knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// No resources, no connection; waiting for a start, or for the back-off to end.
    Idle,
    /// Dialling.
    Connect,
    /// Listening, and waiting to dial again.
    Active,
    /// Our OPEN is out.
    OpenSent,
    /// OPENs agreed on; waiting for the first KEEPALIVE.
    OpenConfirm,
    /// Routes flow.
    Established,
}

/// Which of a peer's possible connections. A connection keeps its name for all of its life, and
/// once [`Action::Close`] has named it, nothing more of it may be reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// We dialled.
    Outgoing,
    /// The peer dialled.
    Incoming,
    /// The peer dialled while `Incoming` was taken: it may have restarted without our knowing
    /// (RFC 4724 section 4.2). [`Session::admit`](super::Session::admit) says which of the two
    /// names a new connection gets.
    IncomingAgain,
}

impl Direction {
    /// All of them.
    pub const ALL: [Direction; 3] =
        [Direction::Outgoing, Direction::Incoming, Direction::IncomingAgain];

    /// Who dialled.
    pub const fn is_incoming(self) -> bool {
        !matches!(self, Direction::Outgoing)
    }

    /// Its place in a table of [`Direction::ALL`].
    pub(super) const fn index(self) -> usize {
        match self {
            Direction::Outgoing => 0,
            Direction::Incoming => 1,
            Direction::IncomingAgain => 2,
        }
    }
}

/// Whether we dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Passive {
    /// We dial, and accept as well.
    No,
    /// We only accept (PassiveTcpEstablishment).
    Yes,
}

/// What one session is configured with. Compared as a whole: what differs decides whether a live
/// session must bounce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// Ours, as this peer sees it.
    pub local_asn: Asn,
    /// The only AS that the peer may claim.
    pub peer_asn: Asn,
    /// Our BGP Identifier.
    pub router_id: RouterId,
    /// What we propose.
    pub hold_time: HoldTime,
    /// Base of the back-off before dialling again: doubled with each failure up to 120 s, with
    /// jitter. The first retry never waits longer than a second.
    pub connect_retry: Duration,
    /// Bounds the back-off where dialling failed, and the time that an attempt is given: how long
    /// a peer that is reachable again may have to wait for us.
    pub connect_retry_max: Duration,
    /// Families that we offer.
    pub families: Families,
    /// Who dials.
    pub passive: Passive,
    /// What we are to an external peer (RFC 9234); means nothing within the AS.
    pub role: Option<RoleOffer>,
    /// Offer IPv4 routes with IPv6 next hops (RFC 8950).
    pub extended_next_hop: bool,
    /// What we say in the graceful restart capability; `None` leaves it out, and we do not help
    /// this peer either.
    pub graceful_restart: Option<RestartingSide>,
}

/// The role that we offer (RFC 9234 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleOffer {
    /// What we are to the peer.
    pub role: Role,
    /// Strict mode: no session with a peer that does not say its own.
    pub required: bool,
}

/// Our side of graceful restart (RFC 4724 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartingSide {
    /// How long a peer may keep our routes, at most 4,095 s.
    pub restart_time: Duration,
    /// R: this process has restarted and its deferral is not over.
    pub restarted: bool,
    /// F: families whose routes we found in the kernel. Besides, F is set for what an earlier
    /// session of this process carried, because then nothing was restarted.
    pub forwarding: Families,
    /// N: a NOTIFICATION, or the hold timer, is no reason to stop forwarding, where the peer says
    /// so as well (RFC 8538). Without it a peer that falls silent loses its routes at once.
    pub notification: bool,
}

/// What both sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// Which connection won.
    pub direction: Direction,
    /// How to read and write this session's bytes.
    pub codec: Codec,
    /// The smaller of the two; HoldTime::DISABLED for none.
    pub hold_time: HoldTime,
    /// What the peer sent.
    pub open: Open,
    /// The peer can resend its routes (RFC 2918).
    pub route_refresh: bool,
    /// Whole tables that are sent again stand in brackets, in both directions (RFC 7313).
    pub enhanced_refresh: bool,
    /// Families whose routes we keep when the connection breaks: both sides sent the capability,
    /// and the peer listed the family.
    pub graceful_restart: Families,
    /// Families whose End-of-RIB the peer will send: all, where it sent the capability at all,
    /// since it may list no family and yet send the marker (RFC 4724 section 3).
    pub end_of_rib: Families,
    /// N bit of both sides: only a Hard Reset ends forwarding (RFC 8538).
    pub graceful_notification: bool,
    /// R bit: the peer has restarted itself; do not wait for its End-of-RIB.
    pub peer_restarted: bool,
    /// Of the families held as stale, those whose F bit the peer sent: they stay until its
    /// End-of-RIB. The others are forgotten now (RFC 4724 section 4.2).
    pub retained: Families,
    /// What the peer refused of our OPENs before this one, in which it was therefore left out.
    pub refused: Vec<Capability>,
}

/// The SendHoldTime is at least this (RFC 9687 section 4).
pub const SEND_HOLD_MINIMUM: Duration = Duration::from_secs(8 * 60);

impl Negotiated {
    /// How long writing may make no progress before [`Event::SendHoldExpired`]: as configured,
    /// where that is longer than the hold time, which it must be (RFC 9687 section 4.4); else eight
    /// minutes, or twice the hold time where that is more. `None` where sessions never time out.
    pub fn send_hold_time(&self, configured: Option<Duration>) -> Option<Duration> {
        let hold = self.hold_time.interval();
        let configured = configured.filter(|time| hold.is_none_or(|hold| *time > hold));
        configured.or_else(|| hold.map(|hold| (2 * hold).max(SEND_HOLD_MINIMUM)))
    }
}

/// Input of the state machine. Numbers are those of RFC 4271 section 8.1.
#[derive(Debug)]
pub enum Event {
    /// 1 ManualStart, 3 AutomaticStart, 4, 5.
    Start,
    /// 2 ManualStop: says why to the peer, and stays down until [`Event::Start`].
    Stop(Cease),
    /// 8 AutomaticStop: ends the session, and dials again by the usual back-off; where there is no
    /// session, forgets the failures so far and tries anew. Ignored after [`Event::Stop`].
    Reset(Cease),
    /// Closes without a NOTIFICATION, so that the peer keeps our routes while we restart
    /// (RFC 4724 section 4.1); stays down. The peer's own routes are kept as stale, so that what
    /// was forwarded stays forwarded.
    Leave,
    /// 16 Tcp_CR_Acked for `Outgoing`, 17 TcpConnectionConfirmed for `Incoming`.
    TcpOpened(Direction),
    /// 18 TcpConnectionFails: dialling failed, or an open connection ended. To be reported after
    /// all that was received before: a NOTIFICATION among it ends forwarding, and a broken
    /// connection does not.
    TcpClosed(Direction, TcpFailure),
    /// 19, 25 to 27: a message arrived.
    Received(Direction, Message),
    /// 21, 22, 28: bytes that are no message.
    Malformed(Direction, MessageError),
    /// 29 SendHoldTimer_Expires: nothing that we wrote was taken for too long (RFC 9687 section
    /// 3.1). The timer is the transport's, which alone sees progress; see
    /// [`Negotiated::send_hold_time`].
    SendHoldExpired(Direction, Duration),
    /// The peer may be reachable now, as after a link came up: dial at once where we would only
    /// wait. What the peer or we found fault with is damped as before.
    DialNow,
    /// Another configuration. Says by [`Action`]s what it bounces.
    Configure(Box<SessionConfig>),
    /// This process's deferral ended: OPENs from now on carry no R bit, whatever the
    /// configuration says.
    RestartOver,
}

/// How a TCP connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TcpFailure {
    /// The peer closed in good order, without a NOTIFICATION.
    #[error("the peer closed the connection")]
    Closed,
    /// Could not be opened, or broke; the operating system's words.
    #[error("{0}")]
    Io(String),
}

/// Output of the state machine, to be carried out in order.
#[derive(Debug)]
pub enum Action {
    /// Dial; answer with [`Event::TcpOpened`] or [`Event::TcpClosed`].
    Connect,
    /// Write a message.
    Send(Direction, Message),
    /// Flush what was sent and close; or give up dialling. No event is expected in return.
    Close(Direction),
    /// From now on read and write this connection's bytes by this codec.
    SetCodec(Direction, Codec),
    /// For display.
    State(State),
    /// Established. `Deliver` may follow; nothing was delivered before.
    Up(Box<Negotiated>),
    /// Established no more. Routes of `retained` families are stale, all others are forgotten.
    Down(DownReason, Retained),
    /// Routes from the peer.
    Deliver(Update),
    /// The peer wants our routes again, or brackets its own (RFC 7313).
    Refresh(RouteRefresh),
    /// Forget what is still stale of these families: the restart time of a peer that did not
    /// return is over; or it returned without having kept them, sent its End-of-RIB, failed to
    /// send it for too long, or restarted once more (RFC 4724 section 4.2).
    ForgetStale(Families),
    /// Not established: the reason that an attempt failed, for `lastError`.
    AttemptFailed(DownReason),
}

/// What survives the loss of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retained {
    /// Kept as stale.
    pub families: Families,
}

/// Why a session ended, or never began.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DownReason {
    /// We were told to stop or reset.
    #[error("{0}")]
    Local(Cease),
    /// We are restarting.
    #[error("this speaker is leaving for a restart")]
    Leaving,
    /// The peer sent a NOTIFICATION.
    #[error("the peer said: {0}")]
    Received(Notification),
    /// We sent one, because of what the peer sent or did.
    #[error("{what} (we said: {notification})")]
    Sent {
        /// What the peer was told.
        notification: Notification,
        /// In words.
        what: String,
    },
    /// The transport.
    #[error("{0}")]
    Tcp(TcpFailure),
    /// Nothing that we wrote was taken (RFC 9687); nothing more can be said.
    #[error("send hold timer expired: the peer read nothing for {} s", .0.as_secs())]
    SendHoldTimer(Duration),
    /// Nothing heard within the hold time.
    #[error("hold timer expired: nothing heard for {0}")]
    HoldTimer(HoldTime),
    /// The peer opened anew while the session was Established (RFC 4724 section 5).
    #[error("the peer restarted")]
    Replaced,
    /// The configuration changed.
    #[error("configuration changed: {0}")]
    Reconfigured(String),
}
