//! Bytes to messages and back (RFC 4271 section 4 and its successors).
//!
//! ```text
//! bytes -> frame -> Message::{Open, Update, Notification, Keepalive, RouteRefresh}
//!                      |
//!                   update -> attribute/*: each path attribute by its descriptor
//!
//! Message -> codec, or routes -> pack (prefixes that share attributes) -> bytes
//! ```
//!
//! A [`Codec`] holds what a session has negotiated and turns bytes into [`Message`]s and back.
//! What is wrong with bytes is one of two things: a [`MessageError`], which ends the session with
//! the NOTIFICATION that it carries, or an [`AttributeFault`], which RFC 7606 answers within the
//! session and which a decoded [`Update`] only reports. What cannot be said in valid bytes is
//! never written: it is [`Unsendable`].
//!
//! | room | RFCs |
//! |---|---|
//! | `frame` | 4271 section 4.1, 8654 |
//! | `open`, `capability` | 4271 section 4.2, 5492, 9072, 6793, 6286, 7607 |
//! | `update`, `nlri`, `fault` | 4271 section 4.3, 4760, 7606, 4724 section 2 |
//! | `attribute` | 4271 section 5, 1997, 2545, 4360, 4456, 4760, 6793, 7606, 7607, 8092, 8950, 9234 |
//! | `pack` | 4271 section 9.2, 7606 section 5.1, 8654 |
//! | `notification`, `cease` | 4271 section 4.5, 4486, 6608, 8538, 9003, 9234, 9384, 9687 |
//! | `refresh` | 2918, 7313 |

mod attribute;
mod capability;
mod cease;
mod codec;
mod error;
mod fault;
mod frame;
mod message;
mod nlri;
mod notification;
mod open;
mod pack;
mod reader;
mod refresh;
#[cfg(test)]
mod tests;
mod update;

pub use capability::{Capability, GracefulRestartFamily};
pub use cease::Cease;
pub use codec::Codec;
pub use error::{AttributeFault, MessageError, Unsendable, Verdict};
pub use message::Message;
pub use notification::Notification;
pub use open::Open;
pub use refresh::{RefreshKind, RouteRefresh};
pub use update::{Reach, Update};
