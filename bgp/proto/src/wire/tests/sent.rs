//! The very octets that we send, and what we refuse to send.

use std::net::IpAddr;

use bytes::BytesMut;

use super::notation::bytes;
use crate::types::{
    AsPath, Asn, Attributes, Community, Families, Family, HoldTime, NextHop, Prefix, RouterId,
    UnknownAttribute,
};
use crate::wire::{Capability, Codec, Message, Notification, Open, Unsendable};

fn codec() -> Codec {
    Codec { four_octet_asn: true, families: Families::ALL, ..Codec::default() }
}

fn attributes(next_hop: &str) -> Attributes {
    let next_hop: IpAddr = next_hop.parse().unwrap();
    Attributes::originated(next_hop.into())
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn announced(codec: &Codec, attributes: &Attributes, prefixes: &[&str]) -> Vec<u8> {
    let mut out = BytesMut::new();
    let prefixes = prefixes.iter().map(|text| prefix(text));
    codec.encode_updates(attributes, prefixes, &mut out).unwrap();
    out.to_vec()
}

#[test]
fn ipv4_by_next_hop() {
    assert_eq!(
        announced(&codec(), &attributes("192.0.2.1"), &["10.1.0.0/24", "10.2.0.0/16"]),
        bytes("update[l[] l[@4001[00] @4002[] @4003[c0000201]] 10.1.0.0/24 10.2.0.0/16]"),
    );
}

#[test]
fn ipv6_by_mp_reach_which_comes_first() {
    assert_eq!(
        announced(&codec(), &attributes("fd00::1"), &["fd00:1::/48"]),
        bytes("update[l[] l[@900e[ipv6 via6 fd00:1::/48] @4001[00] @4002[]]]"),
    );
}

#[test]
fn a_link_local_next_hop_stands_beside_the_global_one() {
    let mut route = attributes("fd00::1");
    route.next_hop = NextHop::V6 {
        global: "fd00::1".parse().unwrap(),
        link_local: Some("fe80::1".parse().unwrap()),
    };
    assert_eq!(
        announced(&codec(), &route, &["fd00:1::/48"]),
        bytes(
            "update[l[] l[@900e[ipv6 20 fd00 00*13 01 fe80 00*13 01 00 fd00:1::/48] @4001[00] @4002[]]]"
        ),
    );
}

#[test]
fn internal_peers_are_told_a_local_preference() {
    let internal = Codec { ibgp: true, ..codec() };
    let mut route = attributes("192.0.2.1");
    let wanted = |value: &str| {
        bytes(&format!(
            "update[l[] l[@4001[00] @4002[] @4003[c0000201] @4005[{value}]] 10.1.0.0/24]"
        ))
    };
    assert_eq!(announced(&internal, &route, &["10.1.0.0/24"]), wanted("00000064"));
    route.local_pref = Some(7);
    assert_eq!(announced(&internal, &route, &["10.1.0.0/24"]), wanted("00000007"));
}

#[test]
fn external_peers_are_not_told_what_is_internal() {
    let mut route = attributes("192.0.2.1");
    route.local_pref = Some(7);
    route.originator_id = RouterId::new([192, 0, 2, 9].into());
    route.cluster_list = Box::new([crate::types::ClusterId([192, 0, 2, 9].into())]);
    assert_eq!(
        announced(&codec(), &route, &["10.1.0.0/24"]),
        announced(&codec(), &attributes("192.0.2.1"), &["10.1.0.0/24"]),
    );
}

#[test]
fn unknown_attributes_go_on_with_partial_in_order_of_codes() {
    let mut route = attributes("192.0.2.1");
    route.only_to_customer = Asn::new(65001);
    let unknown = |code: u8| UnknownAttribute { code, value: Box::new([code]) };
    // 8 is COMMUNITIES: what has a decoder is never passed on unread.
    route.unknown = Box::new([unknown(200), unknown(8), unknown(21), unknown(21)]);
    assert_eq!(
        announced(&codec(), &route, &["10.1.0.0/24"]),
        bytes(
            "update[l[] l[@4001[00] @4002[] @4003[c0000201] @e015[15] @c023[0000fde9] @e0c8[c8]] 10.1.0.0/24]"
        ),
    );
}

/// RFC 4271 section 5: once set, the bit stays; nobody else's attribute gets it.
#[test]
fn the_partial_bit_of_known_attributes_is_kept() {
    let text = "update[l[] l[good @e008[fde90001] @c023[0000fde9]] 10.1.0.0/24]";
    let read = codec().decode(&mut BytesMut::from(&*bytes(text))).unwrap().unwrap();
    let Message::Update(update) = read else { panic!("{read:?}") };
    let mut out = BytesMut::new();
    codec().encode(&Message::Update(update), &mut out);
    assert_eq!(&out[..], bytes(text));
}

#[test]
fn a_segment_of_256_is_split() {
    let mut route = attributes("192.0.2.1");
    let asn = Asn::new(65001).unwrap();
    route.as_path = AsPath::sequence([asn]).prepend(asn, 255);
    assert_eq!(
        announced(&codec(), &route, &["10.1.0.0/24"]),
        bytes(
            "update[l[] l[@4001[00] @5002[02 ff 0000fde9*255 02 01 0000fde9] @4003[c0000201]] 10.1.0.0/24]"
        ),
    );
}

#[test]
fn withdrawals() {
    let mut out = BytesMut::new();
    codec().encode_withdrawals([prefix("10.1.0.0/24"), prefix("fd00:1::/48")], &mut out);
    let wanted = ["update[l[10.1.0.0/24] l[]]", "update[l[] l[@900f[ipv6 fd00:1::/48]]]"];
    assert_eq!(out.to_vec(), wanted.map(bytes).concat());
}

#[test]
fn end_of_rib() {
    for (family, wanted) in [
        (Family::Ipv4Unicast, "update[l[] l[]]"),
        (Family::Ipv6Unicast, "update[l[] l[@900f[ipv6]]]"),
    ] {
        let mut out = BytesMut::new();
        codec().encode_end_of_rib(family, &mut out);
        assert_eq!(out.to_vec(), bytes(wanted));
    }
}

#[test]
fn families_that_were_not_agreed_on_are_not_sent() {
    let only = Codec { families: Families::NONE.with(Family::Ipv4Unicast), ..codec() };
    let mut out = BytesMut::new();
    let refusal = only.encode_updates(&attributes("fd00::1"), [prefix("fd00:1::/48")], &mut out);
    assert_eq!(refusal, Err(Unsendable::Family(Family::Ipv6Unicast)));
    only.encode_withdrawals([prefix("fd00:1::/48")], &mut out);
    only.encode_end_of_rib(Family::Ipv6Unicast, &mut out);
    assert!(out.is_empty(), "{out:?}");
}

#[test]
fn what_cannot_be_sent_is_withdrawn() {
    let mut long = attributes("192.0.2.1");
    long.communities = (0..1100).map(Community).collect();
    let mut just_too_long = attributes("192.0.2.1");
    // Origin 4, path 3, next hop 7, communities 4 + 4 * 1012 octets, one prefix of up to 5.
    just_too_long.communities = (0..1013).map(Community).collect();
    let rows = [
        (long, "10.1.0.0/24"),
        (just_too_long, "10.1.0.0/24"),
        (attributes("fd00::1"), "10.1.0.0/24"),
        (attributes("192.0.2.1"), "fd00:1::/48"),
        (attributes("0.0.0.0"), "10.1.0.0/24"),
        (attributes("224.0.0.1"), "10.1.0.0/24"),
        (attributes("::"), "fd00:1::/48"),
    ];
    for (route, text) in rows {
        let mut out = BytesMut::new();
        let refusal = codec().encode_updates(&route, [prefix(text)], &mut out);
        assert!(refusal.is_err(), "{text} via {}", route.next_hop);
        let mut wanted = BytesMut::new();
        codec().encode_withdrawals([prefix(text)], &mut wanted);
        assert_eq!(out, wanted);
    }
}

#[test]
fn the_longest_attributes_that_fit_are_sent() {
    let mut route = attributes("192.0.2.1");
    route.communities = (0..1012).map(Community).collect();
    let message = announced(&codec(), &route, &["10.1.0.0/32"]);
    assert!(message.len() <= 4096 && message.len() > 4090, "{} octets", message.len());
    route.communities = (0..10_000).map(Community).collect();
    let long = Codec { extended_message: true, ..codec() };
    assert!(announced(&long, &route, &["10.1.0.0/32"]).len() > 40_000);
}

fn open(capabilities: Vec<Capability>) -> BytesMut {
    let open = Open {
        asn: 65001,
        hold_time: HoldTime::DEFAULT,
        router_id: RouterId::new([192, 0, 2, 1].into()).unwrap(),
        capabilities,
    };
    let mut out = BytesMut::new();
    Codec::default().encode(&Message::Open(open), &mut out);
    out
}

#[test]
fn capabilities_stand_in_one_parameter() {
    let all = vec![Capability::FourOctetAsn(65001), Capability::RouteRefresh];
    assert_eq!(open(all).to_vec(), bytes("open[hello 0a #02[#41[0000fde9] #02[]]]"));
    assert_eq!(open(Vec::new()).to_vec(), bytes("open[hello 00]"));
}

#[test]
fn capabilities_over_253_octets_take_the_extended_form() {
    let large = |size: usize| Capability::Unknown { code: 99, value: vec![0; size].into() };
    let classic = open(vec![large(251)]);
    assert_eq!(classic[28..32], [255, 2, 253, 99]);
    let extended = open(vec![large(252)]);
    assert_eq!(extended[28..38], [255, 255, 1, 1, 2, 0, 254, 99, 252, 0]);
}

#[test]
fn an_open_never_exceeds_4096_octets() {
    let many = vec![Capability::Unknown { code: 99, value: vec![0; 200].into() }; 30];
    let mut message = open(many);
    assert!(message.len() <= 4096);
    let read = Codec::default().decode(&mut message).unwrap();
    let Some(Message::Open(read)) = read else { panic!("{read:?}") };
    assert_eq!(read.capabilities.len(), 20);
}

#[test]
fn a_notification_never_exceeds_4096_octets() {
    let told = Notification { code: 6, subcode: 2, data: vec![0; 5000].into() };
    let mut out = BytesMut::new();
    Codec::default().encode(&Message::Notification(told), &mut out);
    assert_eq!(out.len(), 4096);
}
