//! The kernel's packet filter over nfnetlink: one table of our own, in which pods' packets that
//! leave the cluster get this node's address.
//!
//! ```text
//! table inet twill {
//!     set pods4   { ... }   set exempt4 { ... }   and the same of IPv6
//!     chain postrouting { type nat hook postrouting priority srcnat
//!         meta nfproto ipv4 ip saddr @pods4 ip daddr != @exempt4 masquerade fully-random
//!         meta nfproto ipv6 ip6 saddr @pods6 ip6 daddr != @exempt6 masquerade fully-random
//!     }
//! }
//! ```
//!
//! Every change is one transaction: no packet sees a half of it. What stands in the kernel is
//! compared with what stood there right after our last change ([`Print`]), since a kernel says of
//! a rule more than it was told, and every version something else.

mod dropping;
mod message;
mod print;
mod watch;

use std::collections::BTreeSet;

pub use dropping::DroppingChain;
pub use print::Print;
pub use watch::{FilterEvent, FilterWatch};

use self::message::Batch;
use super::error::KernelError;
use super::socket::Netlink;
use crate::desired::masquerade::{Interval, Masquerade};

/// The name of our table.
pub const TABLE: &str = "twill";

/// A socket to the packet filter, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Filter {
    netlink: Netlink,
}

impl Filter {
    /// Opens a socket.
    ///
    /// # Errors
    /// Where the kernel has no nfnetlink.
    pub fn open() -> Result<Filter, KernelError> {
        Ok(Filter { netlink: Netlink::open_netfilter()? })
    }

    /// The number by which the kernel knows this socket.
    pub fn port(&self) -> u32 {
        self.netlink.port()
    }

    /// Whether this kernel can do what [`Filter::replace`] asks for; changes nothing.
    ///
    /// # Errors
    /// With its refusal: a part of nf_tables is missing, or the privilege.
    pub fn check(&mut self) -> Result<(), KernelError> {
        let mut batch = Batch::begin(&mut self.netlink);
        batch.whole_table(&Masquerade::default());
        batch.give_up("this kernel cannot masquerade by nf_tables")
    }

    /// Puts our table in place, whatever was there under its name.
    ///
    /// # Errors
    /// Where it is refused; then nothing has changed.
    pub fn replace(&mut self, wanted: &Masquerade) -> Result<(), KernelError> {
        let mut batch = Batch::begin(&mut self.netlink);
        batch.no_table();
        batch.whole_table(wanted);
        batch.commit("the table for masquerade is refused")
    }

    /// Changes only the sets of our table, which must hold `before`.
    ///
    /// # Errors
    /// Where it is refused, as where it does not hold that; then nothing has changed.
    pub fn update(&mut self, before: &Masquerade, wanted: &Masquerade) -> Result<(), KernelError> {
        let mut batch = Batch::begin(&mut self.netlink);
        for (set, before, wanted) in
            [("pods", &before.pods, &wanted.pods), ("exempt", &before.exempt, &wanted.exempt)]
        {
            let (before, wanted): (BTreeSet<&Interval>, BTreeSet<&Interval>) =
                (before.iter().collect(), wanted.iter().collect());
            batch.elements(set, before.difference(&wanted).copied(), message::Change::Remove);
            batch.elements(set, wanted.difference(&before).copied(), message::Change::Add);
        }
        batch.commit("a change of the table for masquerade is refused")
    }

    /// Takes our table away, where it is.
    ///
    /// # Errors
    /// Where that is refused.
    pub fn remove(&mut self) -> Result<(), KernelError> {
        let mut batch = Batch::begin(&mut self.netlink);
        batch.no_table();
        batch.commit("the table for masquerade cannot be removed")
    }

    /// Our table as it stands; `None`: there is none.
    ///
    /// # Errors
    /// Where it cannot be listed.
    pub fn print(&mut self) -> Result<Option<Print>, KernelError> {
        print::print(&mut self.netlink)
    }

    /// The chains that drop what is forwarded to or from `bridge`, as far as can be told.
    ///
    /// # Errors
    /// Where chains or rules cannot be listed.
    pub fn dropping(&mut self, bridge: &str) -> Result<Vec<DroppingChain>, KernelError> {
        dropping::dropping(&mut self.netlink, bridge)
    }
}

#[cfg(test)]
mod tests;
