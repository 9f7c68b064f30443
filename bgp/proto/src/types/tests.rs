//! What types accept, refuse and say.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

fn asn(number: u32) -> Asn {
    Asn::new(number).unwrap()
}

fn path(text: &str) -> AsPath {
    AsPath::sequence(text.split_whitespace().map(|number| asn(number.parse().unwrap())))
}

fn set(numbers: &[u32]) -> Segment {
    Segment { kind: SegmentKind::Set, asns: numbers.iter().map(|number| asn(*number)).collect() }
}

#[test]
fn prefixes_from_text() {
    let syntax = "expected ADDRESS/LENGTH, such as 10.244.1.0/24 or fd00::/64";
    let rows = [
        ("10.1.0.0/24", Ok("10.1.0.0/24")),
        ("0.0.0.0/0", Ok("0.0.0.0/0")),
        ("10.1.0.1/32", Ok("10.1.0.1/32")),
        ("::/0", Ok("::/0")),
        ("FD00:0::/64", Ok("fd00::/64")),
        ("fd00::1/128", Ok("fd00::1/128")),
        ("10.1.0.1/24", Err("host bits are set: did you mean 10.1.0.0/24?")),
        ("1.0.0.0/0", Err("host bits are set: did you mean 0.0.0.0/0?")),
        ("fd00::1/64", Err("host bits are set: did you mean fd00::/64?")),
        ("10.1.0.0/33", Err("prefix length 33 is over 32")),
        ("fd00::/129", Err("prefix length 129 is over 128")),
        ("fd00::/255", Err("prefix length 255 is over 128")),
        ("10.1.0.0/256", Err(syntax)),
        ("10.1.0.0", Err(syntax)),
        ("10.1.0.0/", Err(syntax)),
        ("10.1.0.0/+8", Err(syntax)),
        ("10.1.0.0/ 8", Err(syntax)),
        ("10.1.0.0/0024", Err(syntax)),
        ("10.1.0.0/24/24", Err(syntax)),
        ("10.1.0/24", Err(syntax)),
        ("fd00::%eth0/64", Err(syntax)),
        ("/24", Err(syntax)),
        ("", Err(syntax)),
    ];
    for (text, wanted) in rows {
        let parsed = text.parse::<Prefix>().map(|prefix| prefix.to_string());
        let parsed = parsed.map_err(|error| error.to_string());
        assert_eq!(parsed, wanted.map(str::to_owned).map_err(str::to_owned), "{text:?}");
    }
}

#[test]
fn prefixes_that_cover_and_overlap() {
    let rows = [
        ("10.0.0.0/8", "10.1.0.0/16", true, true),
        ("10.1.0.0/16", "10.0.0.0/8", false, true),
        ("10.1.0.0/16", "10.1.0.0/16", true, true),
        ("10.1.0.0/16", "10.2.0.0/16", false, false),
        ("0.0.0.0/0", "255.255.255.255/32", true, true),
        ("0.0.0.0/0", "::/0", false, false),
        ("::/0", "fd00::/8", true, true),
        ("fd00::/64", "fd00:0:0:1::/64", false, false),
    ];
    for (one, other, covers, overlaps) in rows {
        let (a, b): (Prefix, Prefix) = (one.parse().unwrap(), other.parse().unwrap());
        assert_eq!((a.covers(b), a.overlaps(b)), (covers, overlaps), "{one} and {other}");
    }
}

#[test]
fn a_host_is_the_longest_prefix() {
    for address in ["10.1.0.1", "fd00::1"] {
        let address: IpAddr = address.parse().unwrap();
        let host = Prefix::host(address);
        assert_eq!(host.len(), host.max_len());
        assert_eq!(Prefix::new(address, host.len()), Ok(host));
        assert!(host.contains(address));
    }
}

proptest! {
    #[test]
    fn any_prefix_returns_from_its_text(address: IpAddr, length in 0..=128u8) {
        match Prefix::truncating(address, length) {
            Ok(prefix) => {
                prop_assert!(prefix.contains(address) && prefix.contains(prefix.address()));
                prop_assert_eq!(prefix.to_string().parse(), Ok(prefix));
            }
            Err(error) => {
                prop_assert!(address.is_ipv4() && length > 32);
                prop_assert_eq!(error, PrefixError::Length { length, maximum: 32 });
            }
        }
    }

    #[test]
    fn any_text_is_read_without_panic(text in ".{0,24}") {
        let _ = text.parse::<Prefix>();
        let _ = text.parse::<Community>();
        let _ = text.parse::<LargeCommunity>();
    }
}

#[test]
fn as_numbers() {
    assert_eq!(Asn::new(0), None);
    assert_eq!((asn(65_535).to_u16_or_trans(), asn(65_535).fits_two_octets()), (65_535, true));
    assert_eq!((asn(65_536).to_u16_or_trans(), asn(65_536).fits_two_octets()), (23_456, false));
    assert_eq!(format!("{} {:?}", Asn::TRANS, Asn::TRANS), "23456 AS23456");
}

#[test]
fn hold_times() {
    let seconds = |hold_time: HoldTime| hold_time.as_secs();
    assert_eq!([1, 2].map(HoldTime::from_secs), [None, None]);
    assert_eq!(HoldTime::from_secs(0), Some(HoldTime::DISABLED));
    let three = HoldTime::from_secs(3).unwrap();
    assert_eq!(three.keepalive(), Some(std::time::Duration::from_secs(1)));
    assert_eq!((HoldTime::DISABLED.interval(), HoldTime::DISABLED.keepalive()), (None, None));
    assert_eq!(seconds(three.negotiate(HoldTime::DEFAULT)), 3);
    assert_eq!(seconds(HoldTime::DEFAULT.negotiate(HoldTime::DISABLED)), 0);
    assert_eq!(three.to_string(), "3s");
}

#[test]
fn router_ids_compare_as_numbers() {
    let id = |text: &str| RouterId::new(text.parse().unwrap());
    assert_eq!(id("0.0.0.0"), None);
    assert!(id("9.255.255.255") < id("10.0.0.1"));
    assert!(id("10.0.0.1") < id("200.0.0.1"));
    assert_eq!(id("10.0.0.1").map(|id| id.to_string()), Some("10.0.0.1".to_owned()));
}

#[test]
fn paths_are_counted_and_shown() {
    let mixed = AsPath {
        segments: Box::new([path("65001 65002").segments[0].clone(), set(&[65003, 65004])]),
    };
    let only_set = AsPath { segments: Box::new([set(&[65003])]) };
    let rows = [
        (AsPath::default(), "", 0, None, None),
        (path("65001"), "65001", 1, Some(65001), Some(65001)),
        (path("65001 65002 65001"), "65001 65002 65001", 3, Some(65001), Some(65001)),
        (mixed, "65001 65002 {65003,65004}", 3, Some(65001), None),
        (only_set, "{65003}", 1, None, None),
    ];
    for (path, text, hops, first, origin) in rows {
        assert_eq!(path.to_string(), text);
        assert_eq!(path.hops(), hops, "{text}");
        assert_eq!(path.first(), first.and_then(Asn::new), "{text}");
        assert_eq!(path.origin(), origin.and_then(Asn::new), "{text}");
    }
}

#[test]
fn paths_hold_what_stands_in_a_set() {
    let path = path("65001").prepend(asn(65000), 1);
    assert!(path.contains(asn(65000)) && path.contains(asn(65001)) && !path.contains(asn(1)));
    assert!(AsPath { segments: Box::new([set(&[65003])]) }.contains(asn(65003)));
}

#[test]
fn prepending() {
    let own = asn(65000);
    let only_set = AsPath { segments: Box::new([set(&[65003])]) };
    let rows = [
        (AsPath::default(), 1, "65000", 1),
        (AsPath::default(), 0, "", 0),
        (path("65001"), 0, "65001", 1),
        (path("65001"), 3, "65000 65000 65000 65001", 1),
        (only_set, 1, "65000 {65003}", 2),
    ];
    for (path, times, text, segments) in rows {
        let longer = path.prepend(own, times);
        assert_eq!(longer.to_string(), text);
        assert_eq!(longer.hops(), path.hops() + times);
        assert_eq!(longer.segments.len(), segments, "{text}");
    }
}

#[test]
fn communities() {
    let rows = [
        ("65001:100", Some("65001:100")),
        ("0:0", Some("0:0")),
        ("65535:65281", Some("no-export")),
        ("no-export", Some("no-export")),
        ("no-advertise", Some("no-advertise")),
        ("no-export-subconfed", Some("no-export-subconfed")),
        ("graceful-shutdown", Some("graceful-shutdown")),
        ("65536:1", None),
        ("1:65536", None),
        ("1", None),
        ("1:2:3", None),
        (":", None),
        ("no-such", None),
    ];
    for (text, wanted) in rows {
        let parsed = text.parse::<Community>().ok().map(|community| community.to_string());
        assert_eq!(parsed.as_deref(), wanted, "{text}");
    }
    let rows = [
        ("65536:1:2", Some("65536:1:2")),
        ("4294967295:0:4294967295", Some("4294967295:0:4294967295")),
        ("4294967296:0:0", None),
        ("1:2", None),
        ("1:2:3:4", None),
        ("1:2:", None),
    ];
    for (text, wanted) in rows {
        let parsed = text.parse::<LargeCommunity>().ok().map(|community| community.to_string());
        assert_eq!(parsed.as_deref(), wanted, "{text}");
    }
}

#[test]
fn families() {
    let both = Families::ALL;
    let ipv4 = Families::NONE.with(Family::Ipv4Unicast);
    let ipv6 = both.without(Family::Ipv4Unicast);
    assert_eq!(ipv6.iter().collect::<Vec<_>>(), [Family::Ipv6Unicast]);
    assert_eq!((both.and(ipv6), both.minus(ipv6), ipv4.and(ipv6)), (ipv6, ipv4, Families::NONE));
    assert_eq!(Family::ALL.into_iter().collect::<Families>(), both);
    assert!(Families::NONE.is_empty() && !ipv4.is_empty() && !ipv4.contains(Family::Ipv6Unicast));
    for family in Family::ALL {
        assert_eq!(Family::from_afi_safi(family.afi(), family.safi()), Some(family));
    }
    assert_eq!(
        [(1, 2), (2, 128), (25, 65), (0, 0)].map(|(a, s)| Family::from_afi_safi(a, s)),
        [None; 4]
    );
    assert_eq!(format!("{both:?}"), "{ipv4, ipv6}");
}
