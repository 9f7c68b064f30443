//! The small languages of single values: durations, prefix ranges, addresses.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use twill_bgp::proto::rib::policy::PrefixRange;
use twill_bgp::proto::types::{Asn, HoldTime, Prefix, RouterId};

/// `90s`, `2m`, `1h`: a whole number and its unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "write a whole number and its unit, as in 90s, 2m or 1h";
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u32 = digits.parse().map_err(|_| {
        if text.is_empty() { EXPECTED.to_owned() } else { format!("`{text}`: {EXPECTED}") }
    })?;
    let seconds = match text.get(digits.len()..) {
        Some("s") => 1,
        Some("m") => 60,
        Some("h") => 3600,
        Some("") => return Err(format!("it has no unit: did you mean {number}s?")),
        _ => return Err(EXPECTED.to_owned()),
    };
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

/// A hold time (RFC 4271 section 4.2): 0, or 3 s to 65,535 s.
pub(crate) fn hold_time(text: &str) -> Result<HoldTime, String> {
    let seconds = duration(text)?.as_secs();
    let seconds = u16::try_from(seconds)
        .map_err(|_| "the longest hold time is 65535s; 0s is none at all".to_owned())?;
    HoldTime::from_secs(seconds).ok_or_else(|| {
        "RFC 4271 forbids hold times of 1s and 2s: use 3s or more, or 0s for none at all".to_owned()
    })
}

/// `10.0.0.0/8`, `10.0.0.0/8 le 24`, `10.0.0.0/8 ge 16 le 24`. Without `ge` and `le` only the
/// prefix itself; with `ge` alone, everything from that length on.
pub(crate) fn prefix_range(text: &str) -> Result<PrefixRange, String> {
    let mut words = text.split_ascii_whitespace();
    let prefix: Prefix =
        words.next().unwrap_or_default().parse().map_err(|error| format!("{error}"))?;
    let (mut ge, mut le) = (None, None);
    while let Some(word) = words.next() {
        let bound = match word {
            "ge" if ge.is_none() && le.is_none() => &mut ge,
            "le" if le.is_none() => &mut le,
            _ => return Err(format!("`{word}`: expected `ge LENGTH`, then `le LENGTH`")),
        };
        let length: u8 = words
            .next()
            .and_then(|length| length.parse().ok())
            .filter(|length| *length <= prefix.max_len())
            .ok_or_else(|| format!("`{word}` wants a length from 0 to {}", prefix.max_len()))?;
        *bound = Some(length);
    }
    let shortest = ge.unwrap_or(prefix.len());
    let longest = le.unwrap_or(if ge.is_some() { prefix.max_len() } else { prefix.len() });
    if shortest < prefix.len() {
        return Err(format!("ge {shortest} is shorter than the prefix's own /{}", prefix.len()));
    }
    if longest < shortest {
        return Err(format!("no length is at least {shortest} and at most {longest}"));
    }
    Ok(PrefixRange { prefix, ge: shortest, le: longest })
}

/// `10.0.0.254`, or `10.0.0.0/24` for all addresses in it.
pub(super) fn address_or_prefix(text: &str) -> Result<Prefix, String> {
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(Prefix::host(address)),
        Err(_) => text.parse().map_err(|error| format!("{error}")),
    }
}

/// An AS number as text.
pub(crate) fn asn(text: &str) -> Result<Asn, String> {
    let number = text
        .parse()
        .map_err(|_| format!("`{text}` is no AS number: expected a number from 1 to 4294967295"))?;
    usable_asn(number)
}

/// An AS number: never 0 (RFC 7607), nor AS_TRANS (RFC 6793), nor the last one (RFC 7300).
pub(crate) fn usable_asn(number: u32) -> Result<Asn, String> {
    match number {
        23456 => Err("AS 23456 stands for others (AS_TRANS, RFC 6793): nobody owns it".to_owned()),
        65535 | u32::MAX => Err(format!("AS {number} is reserved (RFC 7300)")),
        _ => Asn::new(number).ok_or_else(|| {
            "AS 0 is reserved (RFC 7607): expected 1 to 4294967295; private are 64512 to 65534"
                .to_owned()
        }),
    }
}

/// An address that another host can send packets to: a next hop, or a peer.
pub(crate) fn host_address(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| {
        if text.contains('/') {
            "it has a prefix length: write the address alone".to_owned()
        } else {
            "write it as 10.0.0.1 or fd00::1".to_owned()
        }
    })?;
    let what = match address {
        IpAddr::V4(v4) if v4.octets()[0] == 0 => "it is of 0.0.0.0/8, which means no address",
        IpAddr::V4(v4) if v4.is_broadcast() => "it is the broadcast address",
        IpAddr::V4(v4) if v4.is_link_local() => "it is link-local, which no router passes on",
        IpAddr::V4(v4) if v4.octets()[0] >= 240 => "it is of the reserved 240.0.0.0/4",
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            "link-local addresses are not built yet: use a global or unique local one (fd00::/8)"
        }
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
            "it is an IPv4 address in IPv6 clothes: write the IPv4 address"
        }
        _ if address.is_unspecified() => "it means no address",
        _ if address.is_loopback() => "it is a loopback address, which no other host can reach",
        _ if address.is_multicast() => "it is a multicast address",
        _ => return Ok(address),
    };
    Err(what.to_owned())
}

/// Prefixes that unicast routing never carries.
pub(crate) fn routable_prefix(text: &str) -> Result<Prefix, String> {
    let prefix: Prefix = text.parse().map_err(|error| format!("{error}"))?;
    let never =
        ["127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::1/128", "fe80::/10", "ff00::/8"];
    for text in never {
        if text.parse().is_ok_and(|never: Prefix| never.covers(prefix)) {
            return Err(format!("it lies within {text}, which is never routed"));
        }
    }
    Ok(prefix)
}

/// A pod CIDR: routable, and not everything.
pub(crate) fn pod_cidr(text: &str) -> Result<Prefix, String> {
    let prefix = routable_prefix(text)?;
    if prefix.len() < 4 {
        return Err("it is wider than any pod network: expected a /4 or longer".to_owned());
    }
    Ok(prefix)
}

/// Four octets, not all zero (RFC 6286).
pub(crate) fn router_id(text: &str) -> Result<RouterId, &'static str> {
    const EXPECTED: &str = "write it as an IPv4 address other than 0.0.0.0";
    text.parse::<Ipv4Addr>().ok().and_then(RouterId::new).ok_or(EXPECTED)
}

/// A BGP Identifier from a name, for nodes that have no IPv4 address (RFC 6286 asks only for
/// uniqueness within the AS): the 32-bit FNV-1a hash, never 0.
pub(crate) fn router_id_of_name(name: &str) -> RouterId {
    let hash = name
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    RouterId::new(Ipv4Addr::from(hash.max(1))).expect("at least 1")
}

/// A name of a node or peer: it stands in tables, paths and URLs.
pub(crate) fn name(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.len() > 253 {
        return Err("it must have 1 to 253 characters");
    }
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    if !text.bytes().all(plain) {
        return Err("it may hold letters, digits, `-`, `_`, `.` and `:`");
    }
    Ok(text.to_owned())
}

/// An interface's name, as the kernel takes it.
pub(crate) fn interface(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.len() > 15 {
        return Err("it must have 1 to 15 characters");
    }
    if matches!(text, "." | ".." | "all" | "default" | "lo") {
        return Err("the kernel has another use for this name");
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':' | b'%')) {
        return Err("it may hold no spaces and none of `/`, `:`, `%`");
    }
    Ok(text.to_owned())
}

/// The names of the protocol numbers that others use (linux/rtnetlink.h, rt_protos).
pub(crate) fn protocol_owner(number: u32) -> Option<&'static str> {
    Some(match number {
        1 => "redirects",
        2 => "the kernel",
        3 => "boot",
        4 => "static routes",
        8 => "gated",
        9 => "router advertisements",
        10 => "mrt",
        11 => "zebra",
        12 => "bird",
        13 => "dnrouted",
        14 => "xorp",
        15 => "ntk",
        16 => "dhcp",
        17 => "mrouted",
        18 => "keepalived",
        42 => "babel",
        84 => "ovn",
        99 => "openr",
        186..=189 | 192 => "FRR (bgp, isis, ospf, rip, eigrp)",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        for (text, expected) in [
            ("90", "did you mean 90s"),
            ("90 s", "write a whole number"),
            ("1.5h", "write a whole number"),
            ("-3s", "write a whole number"),
            ("", "write a whole number"),
            ("s", "write a whole number"),
            ("3d", "write a whole number"),
            ("99999999999s", "write a whole number"),
        ] {
            let error = duration(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn hold_times() {
        assert_eq!(hold_time("0s"), Ok(HoldTime::DISABLED));
        assert_eq!(hold_time("3s").map(HoldTime::as_secs), Ok(3));
        assert!(hold_time("1s").unwrap_err().contains("forbids"));
        assert!(hold_time("2s").unwrap_err().contains("forbids"));
        assert!(hold_time("65536s").unwrap_err().contains("65535s"));
    }

    #[test]
    fn prefix_ranges() {
        for (text, ge, le) in [
            ("10.0.0.0/8", 8, 8),
            ("10.0.0.0/8 le 24", 8, 24),
            ("10.0.0.0/8 ge 16", 16, 32),
            ("10.0.0.0/8  ge 16  le 24", 16, 24),
            ("0.0.0.0/0", 0, 0),
            ("fd00::/8 le 64", 8, 64),
        ] {
            let range = prefix_range(text).unwrap();
            assert_eq!((range.ge, range.le), (ge, le), "{text}");
        }
        for (text, expected) in [
            ("10.0.0.1/8", "did you mean 10.0.0.0/8"),
            ("10.0.0.0", "ADDRESS/LENGTH"),
            ("10.0.0.0/8 le 33", "from 0 to 32"),
            ("10.0.0.0/8 le", "from 0 to 32"),
            ("10.0.0.0/16 ge 8", "shorter than"),
            ("10.0.0.0/8 ge 24 le 16", "no length"),
            ("10.0.0.0/8 le 16 ge 12", "then `le LENGTH`"),
            ("10.0.0.0/8 to 24", "`to`"),
            ("10.0.0.0/16 le 8", "no length"),
        ] {
            let error = prefix_range(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn addresses_that_can_be_reached() {
        for text in ["10.0.0.1", "fd00::1", "2001:db8::1", "198.51.100.7"] {
            assert!(host_address(text).is_ok(), "{text}");
        }
        for text in [
            "0.0.0.0",
            "127.0.0.1",
            "::",
            "::1",
            "fe80::1",
            "224.0.0.5",
            "255.255.255.255",
            "ff02::1",
            "169.254.1.1",
            "::ffff:10.0.0.1",
            "10.0.0.1/24",
            "node-b",
            "0.1.2.3",
            "250.0.0.1",
            "",
        ] {
            assert!(host_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_of_interfaces() {
        assert!(interface("twill0").is_ok());
        for text in ["", "a-name-that-is-long", "a/b", "a b", ".", "lo", "all"] {
            assert!(interface(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_router_id_of_a_name_is_stable() {
        assert_eq!(router_id_of_name("node-a"), router_id_of_name("node-a"));
        assert_ne!(router_id_of_name("node-a"), router_id_of_name("node-b"));
    }
}
