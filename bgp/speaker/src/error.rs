use std::io;
use std::net::SocketAddr;

/// Why a speaker could not be started. Each names the place and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum SpeakerError {
    /// Another process listens there.
    #[error(
        "cannot listen on {address}: the port is taken; find the other BGP daemon with \
         `ss -ltnp 'sport = :{}'` and stop it, or listen on another port", address.port()
    )]
    PortTaken {
        /// Where we wanted to listen.
        address: SocketAddr,
    },
    /// The host has no such address.
    #[error(
        "cannot listen on {address}: no interface of this host has the address {}; \
         listen on an address that `ip address` shows, or on 0.0.0.0 and [::]", address.ip()
    )]
    NoSuchAddress {
        /// Where we wanted to listen.
        address: SocketAddr,
    },
    /// The port is privileged and we are not.
    #[error(
        "cannot listen on {address}: ports below {first_free} need the capability \
         CAP_NET_BIND_SERVICE; grant it, or listen on a higher port"
    )]
    Privileged {
        /// Where we wanted to listen.
        address: SocketAddr,
        /// The first port that needs no capability.
        first_free: u16,
    },
    /// The kernel does not speak this version of IP.
    #[error(
        "cannot listen on {address}: this kernel has no {}; leave the address out",
        if address.is_ipv6() { "IPv6" } else { "IPv4" }
    )]
    FamilyUnavailable {
        /// Where we wanted to listen.
        address: SocketAddr,
    },
    /// Anything else that the operating system said.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where we wanted to listen.
        address: SocketAddr,
        /// The operating system's words.
        source: io::Error,
    },
    /// RFC 4724 gives the restart time twelve bits.
    #[error("restart time {seconds} s is over 4095 s, the longest that RFC 4724 can say")]
    RestartTime {
        /// What was asked for.
        seconds: u64,
    },
}

/// The speaker has ended; there is nobody to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the BGP speaker has stopped")]
pub struct Stopped;
