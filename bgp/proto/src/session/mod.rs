//! One peer's state machine (RFC 4271 section 8), for both of its possible connections.
//!
//! [`Session::handle`] takes an [`Event`] and the time; [`Session::poll_action`] yields what is to
//! be done, in order; [`Session::poll_timeout`] says when [`Session::handle_timeout`] wants to be
//! called. One task drives one peer, so that collisions (section 6.8) need no lock.

mod api;

pub use api::{
    Action, Direction, DownReason, Event, Negotiated, Passive, RestartingSide, Retained,
    SessionConfig, State, TcpFailure,
};
