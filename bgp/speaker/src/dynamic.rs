use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use twill_bgp_proto::session::Passive;
use twill_bgp_proto::types::{Asn, Prefix};

use crate::settings::PeerConfig;

/// Neighbours that nobody lists: whoever dials from `prefix` becomes a peer after the `template`,
/// and is one until its session is over and nothing of it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DynamicPeers {
    /// Unique among these; a peer is called by it and its address: `racks-192.0.2.7`.
    pub name: String,
    /// Where they may dial from.
    pub prefix: Prefix,
    /// How many of them there may be at the same time.
    pub limit: u32,
    /// What they are like. Its name, address and port mean nothing; such a peer is never dialled,
    /// and its End-of-RIB is not waited for.
    pub template: PeerConfig,
}

/// As many as a range may have unless it says otherwise.
const LIMIT: u32 = 100;

impl DynamicPeers {
    /// Up to 100 peers of the AS `asn`, else as [`PeerConfig::new`].
    pub fn new(name: impl Into<String>, prefix: Prefix, asn: Asn) -> DynamicPeers {
        let template = PeerConfig::new(String::new(), prefix.address(), asn);
        DynamicPeers { name: name.into(), prefix, limit: LIMIT, template }
    }

    /// How many there may be.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> DynamicPeers {
        self.limit = limit;
        self
    }

    /// What they are like.
    #[must_use]
    pub fn template(mut self, template: PeerConfig) -> DynamicPeers {
        self.template = template;
        self
    }

    /// The peer at `address`.
    pub(crate) fn peer(&self, address: IpAddr) -> PeerConfig {
        PeerConfig {
            name: format!("{}-{address}", self.name),
            address,
            passive: Passive::Yes,
            awaited: false,
            ..self.template.clone()
        }
    }

    /// What makes it impossible for a speaker of the AS `ours`, in words.
    pub(crate) fn fault(&self, ours: Asn) -> Option<String> {
        if self.name.is_empty() {
            return Some("the name is empty".to_owned());
        }
        if self.limit == 0 {
            return Some("a limit of 0 admits nobody".to_owned());
        }
        if self.template.password.is_some() {
            return Some(
                "a password for a whole prefix is not built; list the peers that have one"
                    .to_owned(),
            );
        }
        if self.template.shutdown.is_some() {
            return Some("a range that is shut down admits nobody; remove it".to_owned());
        }
        self.peer(first_host(self.prefix)).fault_of(ours)
    }
}

/// Some address of the prefix that a host can have.
fn first_host(prefix: Prefix) -> IpAddr {
    let inside = u8::from(prefix.len() < prefix.max_len());
    match prefix.address() {
        IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from(u32::from(address) | u32::from(inside))),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) | u128::from(inside))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Secret;

    fn asn() -> Asn {
        Asn::new(64512).unwrap()
    }

    fn range(prefix: &str) -> DynamicPeers {
        DynamicPeers::new("racks", prefix.parse().unwrap(), asn())
    }

    #[test]
    fn a_peer_of_a_range_is_named_after_both() {
        let range = range("192.0.2.0/24");
        let peer = range.peer("192.0.2.7".parse().unwrap());
        assert_eq!((peer.name.as_str(), peer.passive), ("racks-192.0.2.7", Passive::Yes));
        assert!(!peer.awaited);
    }

    #[test]
    fn impossible_ranges_are_told_why() {
        for possible in ["0.0.0.0/0", "192.0.2.0/24", "192.0.2.7/32", "fd00::/8", "fd00::7/128"] {
            assert_eq!(range(possible).fault(asn()), None, "{possible}");
        }
        let template = range("192.0.2.0/24").template;
        let rows = [
            (range("192.0.2.0/24").limit(0), "nobody"),
            (DynamicPeers { name: String::new(), ..range("192.0.2.0/24") }, "name"),
            (range("224.0.0.0/4"), "not the address of one host"),
            (range("fe80::/10"), "interface"),
            (
                range("192.0.2.0/24").template(template.clone().password(Secret::new("x"))),
                "list the peers",
            ),
            (range("192.0.2.0/24").template(template.shutdown("")), "remove it"),
        ];
        for (range, expected) in rows {
            let fault = range.fault(asn()).unwrap();
            assert!(fault.contains(expected), "{fault} does not say {expected}");
        }
    }
}
