//! Names and hardware addresses of interfaces, and how ours are derived.
//!
//! The host's end of a pod's pair is named after container id and interface name, so that DEL and
//! the sweep find it with nothing but those two, whatever was lost. So are both hardware addresses:
//! a veth that is given its addresses is left alone by udev, and nobody has to ask for them.

use std::fmt;

use thiserror::Error;

use crate::hash::{digest, mix};

/// Longest interface name: IFNAMSIZ without the zero.
pub const MAX_NAME: usize = 15;

/// What the host's end of a pod's pair begins with.
pub const HOST_PREFIX: &str = "twp";

/// A name that the kernel takes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InterfaceName {
    bytes: [u8; MAX_NAME],
    length: u8,
}

/// A name that it does not take.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "\"{0}\" is no interface name: 1 to 15 bytes, not . or .., without / : white space or control characters"
)]
pub struct NameError(String);

impl InterfaceName {
    /// Checks the kernel's rules (dev_valid_name) and the specification's.
    pub fn new(name: &str) -> Result<Self, NameError> {
        let bad = |byte: u8| !byte.is_ascii_graphic() || byte == b'/' || byte == b':';
        if name.is_empty()
            || name.len() > MAX_NAME
            || name == "."
            || name == ".."
            || name.bytes().any(bad)
        {
            return Err(NameError(name.to_owned()));
        }
        let mut bytes = [0; MAX_NAME];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Ok(Self { bytes, length: name.len() as u8 })
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// A hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// A stable address for a bridge, the same on every start of this node.
    pub fn of_bridge(node: &str, bridge: &str) -> Self {
        Self::local(digest(&["bridge", node, bridge]))
    }

    /// Reads `aa:bb:cc:dd:ee:ff`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2)?;
            *byte = u8::from_str_radix(part, 16).ok()?;
        }
        (parts.next().is_none() && bytes[0] & 1 == 0 && bytes != [0; 6]).then_some(Self(bytes))
    }

    /// Of a digest: locally administered, unicast.
    fn local(digest: u64) -> Self {
        let [_, _, a, b, c, d, e, f] = digest.to_be_bytes();
        Self([(a & 0xfc) | 2, b, c, d, e, f])
    }

    /// The link-local IPv6 address that follows from it (RFC 4291 appendix A).
    pub fn link_local(self) -> std::net::Ipv6Addr {
        let [a, b, c, d, e, f] = self.0;
        [0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f].into()
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Names and addresses of one pod's pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairNames {
    /// The host's end.
    pub host: InterfaceName,
    /// Its hardware address.
    pub host_mac: Mac,
    /// That of the pod's end.
    pub pod_mac: Mac,
}

impl PairNames {
    /// Those of this attachment.
    pub fn of(container_id: &str, interface: &str) -> Self {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let digest = digest(&["pod", container_id, interface]);
        let mut bytes = [0; MAX_NAME];
        let (prefix, rest) = bytes.split_at_mut(HOST_PREFIX.len());
        prefix.copy_from_slice(HOST_PREFIX.as_bytes());
        for (place, byte) in rest.iter_mut().enumerate() {
            *byte = ALPHABET[((digest >> (5 * place)) & 31) as usize];
        }
        Self {
            host: InterfaceName { bytes, length: MAX_NAME as u8 },
            host_mac: Mac::local(mix(digest ^ 1)),
            pod_mac: Mac::local(mix(digest ^ 2)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_follow_the_kernel() {
        for good in ["eth0", "a", "123456789012345", "net1", "eth0.5"] {
            assert_eq!(InterfaceName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "1234567890123456", "a/b", "a:b", "a b", "a\tb", "é"] {
            assert!(InterfaceName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn derived_names_never_change() {
        let names = PairNames::of("0123456789abcdef", "eth0");
        assert_eq!(names, PairNames::of("0123456789abcdef", "eth0"));
        assert_eq!(names.host.as_str(), "twp3s5sxufaolp6");
        assert_eq!(names.pod_mac.to_string(), "8a:f5:e8:49:b6:5a");
    }

    #[test]
    fn derived_names_differ() {
        let names: HashSet<_> = (0..20_000)
            .flat_map(|id| ["eth0", "net1"].map(|name| PairNames::of(&format!("{id:x}"), name)))
            .flat_map(|names| [names.host.to_string(), names.host_mac.to_string()])
            .collect();
        assert_eq!(names.len(), 80_000);
    }

    #[test]
    fn macs_are_read() {
        assert_eq!(Mac::parse("02:00:00:00:00:ff"), Some(Mac([2, 0, 0, 0, 0, 255])));
        for bad in ["", "02:00:00:00:00", "01:00:00:00:00:00", "00:00:00:00:00:00", "2:0:0:0:0:0:0"]
        {
            assert_eq!(Mac::parse(bad), None, "{bad}");
        }
        assert_eq!(Mac([2, 0, 0, 0, 0, 1]).link_local().to_string(), "fe80::ff:fe00:1");
    }
}
