//! Every value that can be sent, at random, in the form that the decoder gives it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use crate::types::{
    Aggregator, AsPath, Asn, Attributes, ClusterId, Community, ExtendedCommunity, Families, Family,
    HoldTime, LargeCommunity, NextHop, Origin, Partial, Prefix, RouterId, Segment, SegmentKind,
    UnknownAttribute,
};
use crate::wire::{
    Capability, Codec, GracefulRestartFamily, Notification, Open, Reach, RefreshKind, RouteRefresh,
    Update,
};

pub(super) fn codec() -> impl Strategy<Value = Codec> {
    any::<[bool; 4]>().prop_map(|[four_octet_asn, ibgp, extended_message, extended_next_hop]| {
        let families = Families::ALL;
        Codec { four_octet_asn, ibgp, extended_message, families, extended_next_hop }
    })
}

fn asn() -> impl Strategy<Value = Asn> {
    prop_oneof![1..=65_535u32, 65_536..=u32::MAX].prop_map(|number| Asn::new(number).unwrap())
}

fn router_id() -> impl Strategy<Value = RouterId> {
    (1..=u32::MAX).prop_map(|id| RouterId::new(Ipv4Addr::from(id)).unwrap())
}

pub(super) fn family() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::Ipv4Unicast), Just(Family::Ipv6Unicast)]
}

pub(super) fn prefix(family: Family) -> BoxedStrategy<Prefix> {
    match family {
        Family::Ipv4Unicast => (any::<Ipv4Addr>(), 0..=32u8)
            .prop_map(|(address, length)| Prefix::truncating(IpAddr::V4(address), length).unwrap())
            .boxed(),
        Family::Ipv6Unicast => (any::<Ipv6Addr>(), 0..=128u8)
            .prop_map(|(address, length)| Prefix::truncating(IpAddr::V6(address), length).unwrap())
            .boxed(),
    }
}

fn as_path() -> impl Strategy<Value = AsPath> {
    let kind = prop_oneof![Just(SegmentKind::Set), Just(SegmentKind::Sequence)];
    let segment = (kind, vec(asn(), 1..20))
        .prop_map(|(kind, asns)| Segment { kind, asns: asns.into_boxed_slice() });
    vec(segment, 0..4).prop_map(|segments| AsPath { segments: segments.into_boxed_slice() })
}

fn next_hop(family: Family, codec: Codec) -> BoxedStrategy<NextHop> {
    let v4 = (1..=126u8, any::<[u8; 3]>())
        .prop_map(|(first, [b, c, d])| NextHop::V4(Ipv4Addr::new(first, b, c, d)));
    let link_local = any::<u64>().prop_map(|low| Ipv6Addr::from((0xFE80 << 112) | u128::from(low)));
    let v6 = (any::<u64>(), of(link_local)).prop_map(|(low, link_local)| NextHop::V6 {
        global: Ipv6Addr::from((0xFD00 << 112) | u128::from(low)),
        link_local,
    });
    match family {
        Family::Ipv4Unicast if codec.extended_next_hop => prop_oneof![v4, v6].boxed(),
        Family::Ipv4Unicast => v4.boxed(),
        Family::Ipv6Unicast => v6.boxed(),
    }
}

fn set<T: Ord + std::fmt::Debug>(
    item: impl Strategy<Value = T>,
) -> impl Strategy<Value = Box<[T]>> {
    vec(item, 0..12).prop_map(|mut items| {
        items.sort();
        items.dedup();
        items.into_boxed_slice()
    })
}

fn unknown() -> impl Strategy<Value = Box<[UnknownAttribute]>> {
    let codes = prop_oneof![Just(0u8), 11..=13u8, 19..=31u8, 33..=34u8, 36..=255u8];
    let value = prop_oneof![3 => vec(any::<u8>(), 0..20), 1 => vec(any::<u8>(), 250..300)];
    vec((codes, value), 0..3).prop_map(|mut items| {
        items.sort();
        items.dedup_by_key(|(code, _)| *code);
        items
            .into_iter()
            .map(|(code, value)| UnknownAttribute { code, value: value.into_boxed_slice() })
            .collect()
    })
}

fn origin() -> impl Strategy<Value = Origin> {
    prop_oneof![Just(Origin::Igp), Just(Origin::Egp), Just(Origin::Incomplete)]
}

/// The Partial bit on some of the attributes that are there.
fn marked(attributes: &Attributes, marks: [bool; 5]) -> Partial {
    let there = [
        attributes.aggregator.is_some(),
        !attributes.communities.is_empty(),
        !attributes.extended_communities.is_empty(),
        !attributes.large_communities.is_empty(),
        attributes.only_to_customer.is_some(),
    ];
    let marked = Partial::CODES.into_iter().zip(there).zip(marks);
    marked
        .filter(|((_, there), mark)| *there && *mark)
        .fold(Partial::default(), |partial, ((code, _), _)| partial.with(code))
}

/// In the form that a session of this kind keeps: LOCAL_PREF and the marks of reflection only
/// between internal peers, and LOCAL_PREF always there.
pub(super) fn attributes(codec: Codec, family: Family) -> impl Strategy<Value = Attributes> {
    let large = any::<[u32; 3]>().prop_map(|[global, local1, local2]| LargeCommunity {
        global,
        local1,
        local2,
    });
    let aggregator =
        (asn(), any::<Ipv4Addr>()).prop_map(|(asn, address)| Aggregator { asn, address });
    let common = (origin(), as_path(), next_hop(family, codec), of(any::<u32>()), any::<bool>());
    let communities = (
        set(any::<u32>().prop_map(Community)),
        set(any::<[u8; 8]>().prop_map(ExtendedCommunity)),
        set(large),
    );
    let internal =
        (any::<u32>(), of(router_id()), vec(any::<Ipv4Addr>().prop_map(ClusterId), 0..5));
    let rest = (of(aggregator), of(asn()), unknown(), any::<[bool; 5]>());
    (common, communities, internal, rest).prop_map(move |(common, communities, internal, rest)| {
        let mut attributes = Attributes::originated(common.2);
        attributes.origin = common.0;
        attributes.as_path = common.1;
        attributes.med = common.3;
        attributes.atomic_aggregate = common.4;
        attributes.communities = communities.0;
        attributes.extended_communities = communities.1;
        attributes.large_communities = communities.2;
        let partial;
        (attributes.aggregator, attributes.only_to_customer, attributes.unknown, partial) = rest;
        attributes.partial = marked(&attributes, partial);
        if codec.ibgp {
            attributes.local_pref = Some(internal.0);
            attributes.originator_id = internal.1;
            attributes.cluster_list = internal.2.into_boxed_slice();
        }
        attributes
    })
}

fn reach(codec: Codec) -> impl Strategy<Value = Reach> {
    family().prop_flat_map(move |family| {
        (attributes(codec, family), vec(prefix(family), 1..40))
            .prop_map(|(attributes, prefixes)| Reach { attributes: Arc::new(attributes), prefixes })
    })
}

/// One that fits into a single message.
pub(super) fn update(codec: Codec) -> impl Strategy<Value = Update> {
    let withdrawn = family()
        .prop_flat_map(|family| vec(prefix(family), 1..60))
        .prop_map(|withdrawn| Update { withdrawn, ..Update::default() });
    let reach = reach(codec).prop_map(|reach| Update { reach: vec![reach], ..Update::default() });
    let end = family().prop_map(|family| Update { end_of_rib: Some(family), ..Update::default() });
    prop_oneof![withdrawn, reach, end]
}

fn capability() -> impl Strategy<Value = Capability> {
    let member = (family(), any::<bool>())
        .prop_map(|(family, forwarding)| GracefulRestartFamily { family, forwarding });
    let graceful_restart = (any::<[bool; 2]>(), 0..=4095u64, vec(member, 0..3)).prop_map(
        |([restarted, notification], seconds, families)| Capability::GracefulRestart {
            restarted,
            notification,
            restart_time: Duration::from_secs(seconds),
            families,
        },
    );
    let unknown = (71..=255u8, vec(any::<u8>(), 0..=255))
        .prop_map(|(code, value)| Capability::Unknown { code, value: Bytes::from(value) });
    prop_oneof![
        family().prop_map(Capability::Multiprotocol),
        Just(Capability::RouteRefresh),
        (0..3usize).prop_map(|n| Capability::ExtendedNextHop(vec![Family::Ipv4Unicast; n])),
        Just(Capability::ExtendedMessage),
        any::<u8>().prop_map(Capability::Role),
        graceful_restart,
        (1..=u32::MAX).prop_map(Capability::FourOctetAsn),
        Just(Capability::EnhancedRouteRefresh),
        unknown,
    ]
}

/// Up to fifteen capabilities: with large unknown ones, the extended form of RFC 9072.
pub(super) fn open() -> impl Strategy<Value = Open> {
    let hold_time = prop_oneof![Just(0), 3..=u16::MAX]
        .prop_map(|seconds| HoldTime::from_secs(seconds).unwrap());
    (1..=u16::MAX, hold_time, router_id(), vec(capability(), 0..15)).prop_map(
        |(asn, hold_time, router_id, capabilities)| Open {
            asn,
            hold_time,
            router_id,
            capabilities,
        },
    )
}

pub(super) fn notification() -> impl Strategy<Value = Notification> {
    (0..=10u8, 0..=12u8, vec(any::<u8>(), 0..300)).prop_map(|(code, subcode, data)| Notification {
        code,
        subcode,
        data: Bytes::from(data),
    })
}

pub(super) fn refresh() -> impl Strategy<Value = RouteRefresh> {
    let kind = prop_oneof![
        Just(RefreshKind::Request),
        Just(RefreshKind::Begin),
        Just(RefreshKind::End),
        (3..=255u8).prop_map(RefreshKind::Unknown),
    ];
    (of(family()), kind).prop_map(|(family, kind)| RouteRefresh { family, kind })
}
