//! One peer's state machine (RFC 4271 section 8), for all of its possible connections.
//!
//! [`Session::handle`] takes an [`Event`] and the time; [`Session::poll_action`] yields what is to
//! be done, in order; [`Session::poll_timeout`] says when [`Session::handle_timeout`] wants to be
//! called. One task drives one peer, so that collisions (section 6.8) need no lock.
//!
//! ```text
//!            Stop, Leave                          the peer dials
//!   Stopped <------------ any                 admit -> TcpOpened(Incoming)
//!      | Start                                         |
//!      v     dial          TcpOpened(Outgoing)         v     OPEN            KEEPALIVE
//!   Running ------> Connect ------------------> OpenSent ---> OpenConfirm ---> Established
//!    ^   ^            | TCP fails                 |               |                |
//!    |   +-- Active <-+----- ConnectRetryTimer ---+---------------+----------------+
//!    |                            a fault, a NOTIFICATION, the hold timer          |
//!    +---- Held (Idle) <--------- IdleHoldTimer -----------------------------------+
//! ```
//!
//! Each connection has its own state and its own hold and keepalive timers (`connection`,
//! `timer`); the session has the timers for dialling and for graceful restart, and its state is
//! the furthest that a connection has come. Where TCP fails, the session goes on listening and
//! dials again after a back-off (`backoff`); where the peer or we found fault, it also refuses the
//! peer's connections for the first seconds of that time, so that two speakers that disagree do so
//! slowly, and one that was put right is heard soon. RFC 4271
//! sends a broken session to Idle as well; that is an IdleHoldTimer of no length here, followed by
//! AutomaticStart_with_PassiveTcpEstablishment (event 5), so that a restarted peer is let in at
//! once. What each state does with each event stands in `tests/table.txt`.
//!
//! | room | what it holds |
//! |---|---|
//! | `api` | events in, actions out |
//! | `machine` | the session, and the steps that events share |
//! | `operator`, `transport`, `messages` | one event each: administrative; TCP and timers; messages |
//! | `negotiation`, `refusal` | what is offered, accepted, and not offered again |
//! | `collision` | which of two connections survives |
//! | `graceful_restart` | what is kept of a lost session |
//! | `fault` | what the peer is told |
//!
//! RFCs: 4271 sections 6 and 8, 6608 (FSM errors), 5492 (capabilities), 6793 (four-octet AS),
//! 6286 (identifiers), 4724 and 8538 (graceful restart), 4486 and 9003 (Cease), 2918 and 7313 (refresh), 9687 (send
//! hold timer), 8654
//! (extended messages), 8950 (next hops), 9234 (roles).
//! Mandatory parts of section 8 only: of the optional session attributes DampPeerOscillations,
//! IdleHoldTimer and PassiveTcpEstablishment are built; DelayOpen, TrackTcpState,
//! SendNOTIFICATIONwithoutOPEN and the optional collision detection in Established are not.

mod api;
mod backoff;
mod collision;
mod connection;
mod fault;
mod graceful_restart;
mod machine;
mod messages;
mod negotiation;
mod operator;
mod refusal;
#[cfg(test)]
mod tests;
mod timer;
mod transport;

pub use api::{
    Action, Direction, DownReason, Event, Negotiated, Passive, RestartingSide, Retained, RoleOffer,
    SEND_HOLD_MINIMUM, SessionConfig, State, TcpFailure,
};
pub use backoff::{FIRST_RETRY, MAX_BACKOFF};
pub use collision::COLLISION_WINDOW;
pub use graceful_restart::STALE_PATH_TIME;
pub use machine::{
    DEFAULT_RESTART_TIME, DIAL_LIMIT, MAX_REFUSAL, OPEN_HOLD_TIME, REASONS_KEPT, STABLE_AFTER,
    Session,
};
pub use messages::REFRESH_TIME;
pub use timer::Timer;
