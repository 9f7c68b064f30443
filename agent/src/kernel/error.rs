use std::fmt;
use std::io;

use nix::errno::Errno;

/// Why the kernel could not be asked, listed or changed.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A socket could not be made or used.
    #[error("netlink: {what}: {source}")]
    Socket {
        /// What was tried.
        what: &'static str,
        /// The system's words.
        source: io::Error,
    },
    /// The kernel refused a request.
    #[error("{what}: {refusal}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// Its answer.
        refusal: Refusal,
    },
    /// Messages were lost because the receive buffer was full: list again.
    #[error("netlink: messages were lost, the receive buffer was full")]
    Lost,
    /// The objects changed while they were listed, every time it was tried.
    #[error("netlink: the {what} kept changing while they were listed")]
    Unsteady {
        /// What was listed.
        what: &'static str,
    },
}

/// The kernel's answer to a request that it did not fulfil.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The error number.
    pub errno: Errno,
    /// The kernel's own words (NLMSGERR_ATTR_MSG), where it gave some.
    pub words: Option<Box<str>>,
}

impl Refusal {
    /// What an operator can do about it, where that is known.
    pub fn remedy(&self) -> Option<&'static str> {
        Some(match self.errno {
            Errno::EPERM | Errno::EACCES => {
                "give the agent CAP_NET_ADMIN in this network namespace"
            }
            Errno::ENETUNREACH | Errno::EHOSTUNREACH => {
                "the kernel has no connected route to the next hop: check the address and prefix \
                 length of the interface (an address with noprefixroute connects nothing)"
            }
            Errno::ENETDOWN => "bring the interface up",
            Errno::ENODEV | Errno::ENXIO => "the interface has gone: wait for it or make it again",
            Errno::ENOSPC | Errno::ENOMEM | Errno::ENOBUFS => {
                "the kernel has no room for more routes: check memory limits and \
                 net.ipv6.route.max_size"
            }
            Errno::EOPNOTSUPP | Errno::EAFNOSUPPORT => {
                "this kernel lacks the feature or the address family: check \
                 net.ipv6.conf.all.disable_ipv6"
            }
            _ => return None,
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.errno.desc())?;
        if let Some(words) = &self.words {
            write!(f, " ({words})")?;
        }
        if let Some(remedy) = self.remedy() {
            write!(f, "; {remedy}")?;
        }
        Ok(())
    }
}
