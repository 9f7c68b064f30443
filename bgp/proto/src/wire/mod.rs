//! Bytes to messages and back (RFC 4271 section 4 and its successors).
//!
//! ```text
//! bytes -> frame -> Message::{Open, Update, Notification, Keepalive, RouteRefresh}
//!                      |
//!                   update -> attribute/*: each path attribute by its descriptor
//! ```
//!
//! A [`Codec`] holds what a session has negotiated and turns bytes into [`Message`]s. What is
//! wrong with bytes is one of two things: a [`MessageError`], which ends the session with the
//! NOTIFICATION that it carries, or an [`AttributeFault`], which RFC 7606 answers within the
//! session and which a decoded [`Update`] only reports.

mod message;

pub use message::{
    AttributeFault, Capability, Cease, Codec, GracefulRestartFamily, Message, MessageError,
    Notification, Open, Reach, RefreshKind, RouteRefresh, Update, Verdict,
};
