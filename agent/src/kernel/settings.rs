//! Settings of interfaces: read from /proc/sys, written there where it is writable, else by
//! netlink where the kernel has a message for it (IPv4 settings by IFLA_INET_CONF, the neighbour
//! table's by RTM_SETNEIGHTBL). IPv6 settings have none.
//!
//! /proc/sys comes first because only there a change takes all its effects: forwarding by
//! netlink leaves large receive offload on.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::libc;

use super::error::KernelError;
use super::socket::Netlink;

const LINK_FIXED: usize = 16;
const IFLA_INET_CONF: u16 = 1;
const RTM_SETNEIGHTBL: u16 = 67;
const NDTA_NAME: u16 = 1;
const NDTA_PARMS: u16 = 6;
const NDTPA_IFINDEX: u16 = 1;
const NDTPA_PROXY_DELAY: u16 = 13;

/// Which family of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Room {
    /// net/ipv4/conf
    Ipv4,
    /// net/ipv6/conf
    Ipv6,
    /// net/ipv4/neigh
    Ipv4Neighbours,
    /// net/ipv6/neigh
    Ipv6Neighbours,
}

/// A setting of one interface, or of `all`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Setting {
    /// Which family of settings.
    pub room: Room,
    /// The interface.
    pub interface: Arc<str>,
    /// The setting's own name.
    pub key: &'static str,
}

impl fmt::Display for Setting {
    /// With slashes, as sysctl(8) takes it also where the interface's name has a dot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let room = match self.room {
            Room::Ipv4 => "net/ipv4/conf",
            Room::Ipv6 => "net/ipv6/conf",
            Room::Ipv4Neighbours => "net/ipv4/neigh",
            Room::Ipv6Neighbours => "net/ipv6/neigh",
        };
        write!(f, "{room}/{}/{}", self.interface, self.key)
    }
}

/// Why a setting could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// It is not there: the interface has gone, or this kernel does not know the setting.
    #[error("{0} does not exist: the interface has gone, or this kernel lacks the setting")]
    Absent(Setting),
    /// It could not be read.
    #[error("{setting} cannot be read: {source}")]
    Unreadable {
        /// Which.
        setting: Setting,
        /// The system's words.
        source: io::Error,
    },
    /// It could not be written, and netlink has no message for it.
    #[error(
        "{setting} cannot be set to {value} ({source}): run `sysctl -w {setting}={value}` on the \
         host, or mount the host's /proc/sys/net writable"
    )]
    ReadOnly {
        /// Which.
        setting: Setting,
        /// The value it should have.
        value: i64,
        /// The system's words.
        source: io::Error,
    },
    /// It could be written neither as a file nor by netlink.
    #[error("{setting} cannot be set to {value}: {source}")]
    Refused {
        /// Which.
        setting: Setting,
        /// The value it should have.
        value: i64,
        /// Netlink's answer.
        source: KernelError,
    },
}

/// Where the settings are.
#[derive(Debug, Clone)]
pub struct Settings {
    root: PathBuf,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings::at("/proc/sys")
    }
}

impl Settings {
    /// Settings under another path than /proc/sys: where a container has the host's mounted.
    pub fn at(root: impl Into<PathBuf>) -> Settings {
        Settings { root: root.into() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, setting: &Setting) -> PathBuf {
        self.root.join(Path::new(&setting.to_string()))
    }

    /// Reads a setting.
    pub fn read(&self, setting: &Setting) -> Result<i64, SettingError> {
        let unreadable = |source| SettingError::Unreadable { setting: setting.clone(), source };
        match std::fs::read_to_string(self.path(setting)) {
            Ok(text) => {
                text.trim().parse().map_err(|_| unreadable(io::ErrorKind::InvalidData.into()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(SettingError::Absent(setting.clone()))
            }
            Err(error) => Err(unreadable(error)),
        }
    }

    /// Sets a setting of the interface with this index.
    pub fn write(
        &self,
        netlink: &mut Netlink,
        setting: &Setting,
        index: u32,
        value: i64,
    ) -> Result<(), SettingError> {
        let Err(source) = std::fs::write(self.path(setting), value.to_string()) else {
            return Ok(());
        };
        let Some(request) = by_netlink(setting, index, value) else {
            return Err(SettingError::ReadOnly { setting: setting.clone(), value, source });
        };
        request(netlink).map_err(|source| SettingError::Refused {
            setting: setting.clone(),
            value,
            source,
        })
    }
}

type Message = Box<dyn FnOnce(&mut Netlink) -> Result<(), KernelError>>;

/// The netlink message for a setting, where there is one.
fn by_netlink(setting: &Setting, index: u32, value: i64) -> Option<Message> {
    let number = u32::try_from(value).ok()?;
    match setting.room {
        Room::Ipv4 => {
            let field = ipv4_field(setting.key)?;
            Some(Box::new(move |netlink| set_ipv4(netlink, index, field, number)))
        }
        // In milliseconds here, in ticks under /proc/sys: only zero is the same in both.
        Room::Ipv4Neighbours if setting.key == "proxy_delay" && value == 0 => {
            Some(Box::new(move |netlink| set_proxy_delay(netlink, libc::AF_INET, index)))
        }
        Room::Ipv6Neighbours if setting.key == "proxy_delay" && value == 0 => {
            Some(Box::new(move |netlink| set_proxy_delay(netlink, libc::AF_INET6, index)))
        }
        Room::Ipv6 | Room::Ipv4Neighbours | Room::Ipv6Neighbours => None,
    }
}

/// The number of an IPv4 setting in IFLA_INET_CONF (IPV4_DEVCONF_* of linux/ip.h).
fn ipv4_field(key: &str) -> Option<u16> {
    Some(match key {
        "forwarding" => 1,
        "proxy_arp" => 3,
        "accept_redirects" => 4,
        "send_redirects" => 6,
        "rp_filter" => 8,
        _ => return None,
    })
}

fn set_ipv4(netlink: &mut Netlink, index: u32, field: u16, value: u32) -> Result<(), KernelError> {
    let mut request = netlink.request(libc::RTM_SETLINK, 0);
    let mut fixed = [0; LINK_FIXED];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    request.fixed(&fixed);
    request.nested(libc::IFLA_AF_SPEC, |families| {
        families.nested(libc::AF_INET as u16, |family| {
            family.nested(IFLA_INET_CONF, |settings| settings.number(field, value));
        });
    });
    drop(request);
    netlink.commit_one("an IPv4 setting")
}

fn set_proxy_delay(netlink: &mut Netlink, family: i32, index: u32) -> Result<(), KernelError> {
    let (code, table) = if family == libc::AF_INET {
        (2, &b"arp_cache\0"[..])
    } else {
        (10, &b"ndisc_cache\0"[..])
    };
    let mut request = netlink.request(RTM_SETNEIGHTBL, 0);
    request.fixed(&[code, 0, 0, 0]);
    request.attribute(NDTA_NAME, table);
    request.nested(NDTA_PARMS, |parameters| {
        parameters.number(NDTPA_IFINDEX, index);
        parameters.attribute(NDTPA_PROXY_DELAY, &0u64.to_ne_bytes());
    });
    drop(request);
    netlink.commit_one("a setting of the neighbour table")
}
