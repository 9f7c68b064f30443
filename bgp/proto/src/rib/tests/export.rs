//! What each kind of peer is sent of each kind of route.

use std::sync::Arc;

use super::*;
use crate::rib::policy::{Set, Then};
use crate::types::{Aggregator, ClusterId, Community, ExtendedCommunity, UnknownAttribute};

const P: &str = "203.0.113.0/24";

/// What a peer of kind `to` is sent of `attributes` from a peer of kind `from`.
fn sent(from: PeerKind, to: PeerKind, attributes: &Attributes) -> Option<Attributes> {
    let mut rib = rib();
    rib.peer_up(PeerKey(1), peer(1, from));
    let mut reader = up(&mut rib, 2, &peer(2, to));
    rib.update(PeerKey(1), announce(attributes, &[P]));
    settle(&mut rib);
    reader.drain(&mut rib, PeerKey(2));
    reader.routes.remove(&prefix(P))
}

#[test]
fn who_is_sent_whose_routes() {
    use PeerKind::{Client, External, Internal};
    let cases = [
        (External, External, true),
        (External, Internal, true),
        (External, Client, true),
        (Internal, External, true),
        (Internal, Internal, false),
        (Internal, Client, true),
        (Client, External, true),
        (Client, Internal, true),
        (Client, Client, true),
    ];
    for (from, to, is_sent) in cases {
        let found = sent(from, to, &route(1, &[65001])).is_some();
        assert_eq!(found, is_sent, "from {from:?} to {to:?}");
    }
}

#[test]
fn communities_keep_a_route_in() {
    use PeerKind::{External, Internal};
    let cases = [
        (Community::NO_EXPORT, false, true),
        (Community::NO_EXPORT_SUBCONFED, false, true),
        (Community::NO_ADVERTISE, false, false),
        (Community(1), true, true),
    ];
    for (community, outside, inside) in cases {
        let mut attributes = route(1, &[65001]);
        attributes.communities = Box::new([community]);
        assert_eq!(sent(External, External, &attributes).is_some(), outside, "{community}");
        assert_eq!(sent(External, Internal, &attributes).is_some(), inside, "{community}");
    }
}

#[test]
fn an_external_peer_is_sent_our_as_and_next_hop_and_no_inner_matters() {
    let mut attributes = route(1, &[65001]);
    attributes.med = Some(7);
    attributes.local_pref = Some(300);
    attributes.originator_id = Some(router_id(9));
    attributes.cluster_list = Box::new([ClusterId(Ipv4Addr::new(9, 9, 9, 9))]);
    let (transitive, not) = ([0, 2, 0, 0, 0, 0, 0, 1], [0x40, 2, 0, 0, 0, 0, 0, 1]);
    attributes.extended_communities =
        Box::new([ExtendedCommunity(transitive), ExtendedCommunity(not)]);
    let sent = sent(PeerKind::Internal, PeerKind::External, &attributes).unwrap();
    assert_eq!(sent.as_path.to_string(), "64512 65001");
    assert_eq!(sent.next_hop.to_string(), "192.0.2.254");
    assert_eq!((sent.med, sent.local_pref, sent.originator_id), (None, None, None));
    assert!(sent.cluster_list.is_empty());
    assert_eq!(*sent.extended_communities, [ExtendedCommunity(transitive)]);
}

#[test]
fn an_internal_peer_is_sent_it_as_it_came_with_a_local_preference() {
    let mut attributes = route(1, &[65001]);
    attributes.med = Some(7);
    // An external peer has no say in it.
    attributes.local_pref = Some(300);
    let sent = sent(PeerKind::External, PeerKind::Internal, &attributes).unwrap();
    assert_eq!(sent, Attributes { local_pref: Some(100), ..attributes });
}

#[test]
fn what_we_do_not_know_is_passed_on() {
    let mut attributes = route(1, &[65001]);
    attributes.unknown = Box::new([UnknownAttribute { code: 200, value: Box::new([1, 2, 3]) }]);
    attributes.aggregator =
        Some(Aggregator { asn: asn(70000), address: Ipv4Addr::new(192, 0, 2, 9) });
    attributes.atomic_aggregate = true;
    let sent = sent(PeerKind::External, PeerKind::External, &attributes).unwrap();
    assert_eq!(sent.unknown, attributes.unknown);
    assert_eq!((sent.aggregator, sent.atomic_aggregate), (attributes.aggregator, true));
}

#[test]
fn a_reflected_route_names_its_originator_and_our_cluster() {
    let ours = ClusterId(Ipv4Addr::new(10, 0, 0, 1));
    let first = sent(PeerKind::Client, PeerKind::Internal, &route(1, &[])).unwrap();
    assert_eq!(first.originator_id, Some(router_id(101)));
    assert_eq!(*first.cluster_list, [ours]);
    let mut attributes = route(1, &[]);
    let other = ClusterId(Ipv4Addr::new(10, 0, 0, 77));
    attributes.originator_id = Some(router_id(77));
    attributes.cluster_list = Box::new([other]);
    let again = sent(PeerKind::Internal, PeerKind::Client, &attributes).unwrap();
    assert_eq!(again.originator_id, Some(router_id(77)));
    assert_eq!(*again.cluster_list, [ours, other]);
    assert_eq!(again.next_hop, attributes.next_hop, "a reflector stays out of the path");
}

#[test]
fn our_own_announcement_goes_to_everyone() {
    for kind in [PeerKind::External, PeerKind::Internal, PeerKind::Client] {
        let mut rib = rib();
        let mut listener = up(&mut rib, 1, &peer(1, kind));
        let mut unnamed = Attributes::originated(NextHop::V4(Ipv4Addr::UNSPECIFIED));
        unnamed.med = Some(5);
        rib.announce(prefix("10.244.1.0/24"), unnamed);
        let named = Attributes::originated(NextHop::V4(Ipv4Addr::new(192, 0, 2, 77)));
        rib.announce(prefix("10.244.2.0/24"), named);
        let v6 = Attributes::originated(IpAddr::from([0u16; 8]).into());
        rib.announce(prefix("fd00:244::/64"), v6);
        settle(&mut rib);
        listener.drain(&mut rib, PeerKey(1));
        let hop = |text: &str| listener.routes[&prefix(text)].next_hop.to_string();
        assert_eq!(hop("10.244.1.0/24"), "192.0.2.254");
        assert_eq!(hop("10.244.2.0/24"), "192.0.2.77");
        assert_eq!(hop("fd00:244::/64"), "2001:db8::254");
        assert_eq!(listener.routes[&prefix("10.244.1.0/24")].med, Some(5));
    }
}

#[test]
fn without_a_next_hop_of_the_family_nothing_is_sent() {
    let mut rib = rib();
    let mut info = peer(1, PeerKind::External);
    info.local_ipv4 = None;
    let mut listener = up(&mut rib, 1, &info);
    rib.announce(prefix(P), Attributes::originated(NextHop::V4(Ipv4Addr::UNSPECIFIED)));
    rib.announce(prefix("fd00::/64"), Attributes::originated(IpAddr::from([0u16; 8]).into()));
    settle(&mut rib);
    listener.drain(&mut rib, PeerKey(1));
    assert_eq!(listener.prefixes(), ["fd00::/64"]);
    assert_eq!(rib.counters(PeerKey(1), Family::Ipv4Unicast).advertised, 0);
}

#[test]
fn policy_can_prepend_set_the_med_and_the_next_hop() {
    let mut rib = rib();
    rib.peer_up(PeerKey(1), peer(1, PeerKind::External));
    let mut outside = peer(2, PeerKind::External);
    let mut export = Policy::accept_all();
    export.otherwise.then = Then::Accept(vec![Set::Prepend(2), Set::Med(Some(50))]);
    outside.export = Arc::new(export.clone());
    let mut inside = peer(3, PeerKind::Internal);
    export.otherwise.then = Then::Accept(vec![Set::NextHopSelf]);
    inside.export = Arc::new(export);
    let mut listeners = [up(&mut rib, 2, &outside), up(&mut rib, 3, &inside)];
    rib.update(PeerKey(1), announce(&route(1, &[65001]), &[P]));
    settle(&mut rib);
    for (listener, key) in listeners.iter_mut().zip([2, 3]) {
        listener.drain(&mut rib, PeerKey(key));
    }
    let sent = listeners.map(|listener| listener.routes[&prefix(P)].clone());
    assert_eq!(sent[0].as_path.to_string(), "64512 64512 64512 65001");
    assert_eq!(sent[0].med, Some(50));
    assert_eq!(sent[1].next_hop.to_string(), "192.0.2.254");
    assert_eq!(sent[1].as_path.to_string(), "65001");
}

/// RFC 2545: a link-local address means nothing on another link.
#[test]
fn a_link_local_next_hop_stays_behind() {
    let mut rib = rib();
    rib.peer_up(PeerKey(1), peer(1, PeerKind::External));
    let mut listener = up(&mut rib, 2, &peer(2, PeerKind::Internal));
    let link_local = Some("fe80::1".parse().unwrap());
    for (text, global) in [("2001:db8:1::/48", "2001:db8::1"), ("2001:db8:2::/48", "fe80::1")] {
        let next_hop = NextHop::V6 { global: global.parse().unwrap(), link_local };
        rib.update(PeerKey(1), announce(&Attributes::originated(next_hop), &[text]));
    }
    settle(&mut rib);
    listener.drain(&mut rib, PeerKey(2));
    assert_eq!(listener.prefixes(), ["2001:db8:1::/48"]);
    let sent = listener.routes[&prefix("2001:db8:1::/48")].next_hop;
    assert_eq!(sent, NextHop::V6 { global: "2001:db8::1".parse().unwrap(), link_local: None });
}

#[test]
fn ipv4_goes_out_by_an_ipv6_next_hop_where_that_was_agreed_on() {
    let own: std::net::Ipv6Addr = "2001:db8::254".parse().unwrap();
    let by = |extended: bool, ipv4: bool, prefer: bool| {
        let mut info = peer(2, PeerKind::External);
        info.codec.extended_next_hop = extended;
        info.rules.ipv6_next_hop = prefer;
        if !ipv4 {
            info.local_ipv4 = None;
        }
        let mut rib = rib();
        rib.announce(prefix(P), Attributes::originated(NextHop::V4(Ipv4Addr::UNSPECIFIED)));
        settle(&mut rib);
        up(&mut rib, 2, &info).routes.remove(&prefix(P)).map(|route| route.next_hop)
    };
    let v4 = Some(NextHop::V4(Ipv4Addr::new(192, 0, 2, 254)));
    let v6 = Some(NextHop::V6 { global: own, link_local: None });
    assert_eq!(by(false, true, false), v4);
    assert_eq!(by(false, false, false), None, "no address, nothing to say");
    assert_eq!(by(false, true, true), v4, "wished for, not agreed on");
    assert_eq!(by(true, true, false), v4);
    assert_eq!(by(true, false, false), v6);
    assert_eq!(by(true, true, true), v6);
}

#[test]
fn an_ipv6_next_hop_of_ipv4_is_passed_on_only_to_who_can_read_it() {
    let learned: std::net::Ipv6Addr = "2001:db8::1".parse().unwrap();
    for extended in [true, false] {
        let mut source = peer(1, PeerKind::External);
        source.codec.extended_next_hop = true;
        let mut rib = rib();
        rib.peer_up(PeerKey(1), source);
        let mut info = peer(2, PeerKind::Internal);
        info.codec.extended_next_hop = extended;
        let mut reader = up(&mut rib, 2, &info);
        let mut attributes = route(1, &[65001]);
        attributes.next_hop = NextHop::V6 { global: learned, link_local: None };
        rib.update(PeerKey(1), announce(&attributes, &[P]));
        settle(&mut rib);
        reader.drain(&mut rib, PeerKey(2));
        assert_eq!(reader.routes.contains_key(&prefix(P)), extended);
    }
}
