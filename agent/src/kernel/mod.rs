//! The kernel over rtnetlink: list, diff, apply, watch. It is listed, never assumed.
//!
//! In go requests, many to a send ([`Netlink`]); out come listings ([`routes::list`],
//! [`host::list`]) and hints ([`Watch`]). Nothing here decides: what should be comes from
//! [`desired`](crate::desired), and who acts is in [`reconcile`](crate::reconcile).
//!
//! Sockets live in the network namespace of the thread that opens them.

mod error;
pub mod features;
pub mod host;
mod message;
pub mod nft;
pub mod routes;
pub mod settings;
mod socket;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod watch;

use twill_bgp::proto::types::Families;

pub use error::{KernelError, Refusal};
pub use host::HostView;
pub use nix::errno::Errno;
pub use socket::{Failure, Netlink, Sent};
pub use watch::{Event, Group, Watch};

use crate::source::Dataplane;

/// What marks the routes of this agent.
pub fn marks(dataplane: &Dataplane) -> routes::Marks {
    let Dataplane { table, metric, protocol, .. } = *dataplane;
    routes::Marks { table, metric, protocol }
}

/// The families of which routes of the run before are still in the kernel, so that forwarding
/// goes on while we start: what the restart and forwarding bits of our OPEN may say (RFC 4724
/// section 3). None where kernel routes are not ours to touch.
pub fn preserved(dataplane: &Dataplane) -> Result<Families, KernelError> {
    if !dataplane.install {
        return Ok(Families::NONE);
    }
    routes::families_of_ours(&mut Netlink::open()?, &marks(dataplane))
}

/// Whether the kernel has routes that bear our marks, where that can be told.
pub fn holds_routes_of(dataplane: &Dataplane) -> bool {
    let listed = |mut netlink| routes::families_of_ours(&mut netlink, &marks(dataplane));
    Netlink::open().and_then(listed).is_ok_and(|families| !families.is_empty())
}
