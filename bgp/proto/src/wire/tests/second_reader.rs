//! What we write, another parser (bgpkit-parser) reads as the same routes. Attributes that
//! neither of us names are left to the round trip.

use bgpkit_parser::models::capabilities::BgpCapabilityType;
use bgpkit_parser::models::{
    AsPathSegment, AsnLength, BgpMessage, BgpUpdateMessage, CapabilityValue, Community as Other,
    MetaCommunity, NetworkPrefix, NextHopAddress, Origin as OtherOrigin, ParamValue,
};
use bgpkit_parser::parser::bgp::parse_bgp_message;
use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;

use super::strategy;
use crate::types::{
    AsPath, Asn, Attributes, Community, Family, NextHop, Origin, Prefix, RouterId, SegmentKind,
};
use crate::wire::{Capability, Codec, Message, Open};

fn read_any(codec: &Codec, message: BytesMut) -> BgpMessage {
    let width = if codec.four_octet_asn { AsnLength::Bits32 } else { AsnLength::Bits16 };
    let mut message = message.freeze();
    let read = parse_bgp_message(&mut message, false, &width).unwrap();
    assert!(message.is_empty(), "{read:?}, {} octets left", message.len());
    read
}

fn read(codec: &Codec, message: BytesMut) -> BgpUpdateMessage {
    match read_any(codec, message) {
        BgpMessage::Update(update) => update,
        other => panic!("{other:?}"),
    }
}

/// Written by us, read by the other.
fn passed(message: &Message) -> BgpMessage {
    let mut out = BytesMut::new();
    Codec::default().encode(message, &mut out);
    read_any(&Codec::default(), out)
}

/// A capability as both sides can say it: its code, and what is in it where the other looks.
fn capability(capability: &Capability) -> (u8, Vec<u32>) {
    match capability {
        Capability::Multiprotocol(family) => {
            (1, vec![u32::from(family.afi()), u32::from(family.safi())])
        }
        Capability::RouteRefresh => (2, vec![]),
        Capability::ExtendedNextHop(_) => (5, vec![]),
        Capability::ExtendedMessage => (6, vec![]),
        Capability::Role(_) => (9, vec![]),
        Capability::GracefulRestart { restart_time, families, .. } => {
            let seconds = u32::try_from(restart_time.as_secs()).unwrap();
            (64, vec![seconds, u32::try_from(families.len()).unwrap()])
        }
        Capability::FourOctetAsn(asn) => (65, vec![*asn]),
        Capability::EnhancedRouteRefresh => (70, vec![]),
        Capability::Unknown { code, value } => {
            (*code, value.iter().copied().map(u32::from).collect())
        }
    }
}

/// The same of the other's.
fn other_capability(kind: BgpCapabilityType, value: &CapabilityValue) -> (u8, Vec<u32>) {
    let code = u8::from(kind);
    let values = match value {
        CapabilityValue::MultiprotocolExtensions(family) => {
            vec![family.afi as u32, family.safi as u32]
        }
        CapabilityValue::GracefulRestart(restart) => {
            let families = u32::try_from(restart.address_families.len()).unwrap();
            vec![u32::from(restart.restart_time), families]
        }
        CapabilityValue::FourOctetAs(asn) => vec![asn.asn],
        CapabilityValue::Raw(value) if code > 70 => value.iter().copied().map(u32::from).collect(),
        _ => vec![],
    };
    (code, values)
}

fn texts(prefixes: &[NetworkPrefix]) -> Vec<String> {
    prefixes.iter().map(|prefix| prefix.prefix.to_string()).collect()
}

fn wanted_texts(prefixes: &[Prefix]) -> Vec<String> {
    prefixes.iter().map(ToString::to_string).collect()
}

fn numbers(asns: &[bgpkit_parser::models::Asn]) -> Vec<u32> {
    asns.iter().copied().map(u32::from).collect()
}

type Segments = Vec<(SegmentKind, Vec<u32>)>;

fn segments(path: &bgpkit_parser::models::AsPath) -> Segments {
    path.iter_segments()
        .map(|segment| match segment {
            AsPathSegment::AsSequence(asns) => (SegmentKind::Sequence, numbers(asns)),
            AsPathSegment::AsSet(asns) => (SegmentKind::Set, numbers(asns)),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn wanted_segments(path: &AsPath) -> Segments {
    path.segments
        .iter()
        .map(|segment| (segment.kind, segment.asns.iter().copied().map(Asn::get).collect()))
        .collect()
}

/// Communities of all three kinds as the octets they are.
fn communities(update: &BgpUpdateMessage) -> (Vec<u32>, usize, Vec<[u32; 3]>) {
    let (mut plain, mut extended, mut large) = (Vec::new(), 0, Vec::new());
    for community in update.attributes.iter_communities() {
        match community {
            MetaCommunity::Plain(community) => plain.push(plain_community(community)),
            MetaCommunity::Large(community) => {
                let [local1, local2] = community.local_data;
                large.push([community.global_admin, local1, local2]);
            }
            MetaCommunity::Extended(_) | MetaCommunity::Ipv6Extended(_) => extended += 1,
        }
    }
    (plain, extended, large)
}

fn plain_community(community: Other) -> u32 {
    match community {
        Other::NoExport => Community::NO_EXPORT.0,
        Other::NoAdvertise => Community::NO_ADVERTISE.0,
        Other::NoExportSubConfed => Community::NO_EXPORT_SUBCONFED.0,
        Other::Custom(asn, value) => asn.to_u32() << 16 | u32::from(value),
    }
}

fn same(
    update: &BgpUpdateMessage,
    attributes: &Attributes,
    codec: &Codec,
) -> Result<(), TestCaseError> {
    let read = &update.attributes;
    let origin = match read.origin() {
        OtherOrigin::IGP => Origin::Igp,
        OtherOrigin::EGP => Origin::Egp,
        OtherOrigin::INCOMPLETE => Origin::Incomplete,
    };
    prop_assert_eq!(origin, attributes.origin);
    if codec.four_octet_asn {
        prop_assert_eq!(segments(read.as_path().unwrap()), wanted_segments(&attributes.as_path));
        prop_assert_eq!(
            read.aggregator().map(|(asn, id)| (u32::from(asn), id)),
            attributes.aggregator.map(|ours| (ours.asn.get(), ours.address))
        );
    } else if let Some(wide) = read.as4_path() {
        prop_assert_eq!(segments(wide), wanted_segments(&attributes.as_path));
    }
    prop_assert_eq!(read.multi_exit_discriminator(), attributes.med);
    prop_assert_eq!(read.local_preference(), attributes.local_pref);
    prop_assert_eq!(read.atomic_aggregate(), attributes.atomic_aggregate);
    prop_assert_eq!(
        read.only_to_customer().map(u32::from),
        attributes.only_to_customer.map(Asn::get)
    );
    prop_assert_eq!(read.origin_id(), attributes.originator_id.map(RouterId::to_ipv4));
    let clusters: Vec<u32> = attributes.cluster_list.iter().map(|id| u32::from(id.0)).collect();
    prop_assert_eq!(read.clusters().unwrap_or_default(), &*clusters);
    let (plain, extended, large) = communities(update);
    let wanted: Vec<u32> = attributes.communities.iter().map(|community| community.0).collect();
    prop_assert_eq!(plain, wanted);
    prop_assert_eq!(extended, attributes.extended_communities.len());
    let wanted: Vec<[u32; 3]> = attributes
        .large_communities
        .iter()
        .map(|community| [community.global, community.local1, community.local2])
        .collect();
    prop_assert_eq!(large, wanted);
    Ok(())
}

fn next_hop(address: NextHopAddress) -> NextHop {
    match address {
        NextHopAddress::Ipv4(address) => NextHop::V4(address),
        NextHopAddress::Ipv6(global) => NextHop::V6 { global, link_local: None },
        NextHopAddress::Ipv6LinkLocal(global, link_local) => {
            NextHop::V6 { global, link_local: Some(link_local) }
        }
        other => panic!("{other:?}"),
    }
}

/// Without default routes: the other parser takes a field that begins with the octet 0 for one
/// with path identifiers.
fn prefixes(family: Family) -> impl Strategy<Value = Vec<Prefix>> {
    let prefix = strategy::prefix(family).prop_filter("a default route", |prefix| prefix.len() > 0);
    vec(prefix, 1..40)
}

fn routes() -> impl Strategy<Value = (Codec, Attributes, Vec<Prefix>)> {
    (strategy::codec(), strategy::family()).prop_flat_map(|(codec, family)| {
        let attributes = strategy::attributes(codec, family);
        (Just(codec), attributes, prefixes(family))
    })
}

proptest! {
    #[test]
    fn opens(open in strategy::open()) {
        let BgpMessage::Open(read) = passed(&Message::Open(open.clone())) else {
            panic!("not an OPEN")
        };
        let Open { asn, hold_time, router_id, capabilities } = open;
        prop_assert_eq!(read.version, 4);
        prop_assert_eq!(read.asn.to_u32(), u32::from(asn));
        prop_assert_eq!(read.hold_time, hold_time.as_secs());
        prop_assert_eq!(read.bgp_identifier, router_id.to_ipv4());
        let mut theirs = Vec::new();
        for parameter in &read.opt_params {
            let ParamValue::Capacities(list) = &parameter.param_value else {
                panic!("no capabilities: {parameter:?}")
            };
            theirs.extend(list.iter().map(|one| other_capability(one.ty, &one.value)));
        }
        let ours: Vec<_> = capabilities.iter().map(capability).collect();
        prop_assert_eq!(theirs, ours);
    }

    #[test]
    fn notifications(notification in strategy::notification()) {
        let read = passed(&Message::Notification(notification.clone()));
        let BgpMessage::Notification(read) = read else { panic!("not a NOTIFICATION: {read:?}") };
        prop_assert_eq!(read.error.get_codes(), (notification.code, notification.subcode));
        prop_assert_eq!(&read.data[..], &notification.data[..]);
    }

    #[test]
    fn refreshes(refresh in strategy::refresh()) {
        let read = passed(&Message::RouteRefresh(refresh));
        let BgpMessage::RouteRefresh(read) = read else { panic!("no ROUTE-REFRESH: {read:?}") };
        prop_assert_eq!(read.subtype, refresh.kind.to_u8());
        if let Some(family) = refresh.family {
            prop_assert_eq!((read.afi, read.safi), (family.afi(), family.safi()));
        }
        prop_assert!(read.data.is_empty());
    }

    #[test]
    fn announcements((codec, mut attributes, prefixes) in routes()) {
        attributes.unknown = Box::default();
        let mut out = BytesMut::new();
        codec.encode_updates(&attributes, prefixes.iter().copied(), &mut out).unwrap();
        let update = read(&codec, out);
        prop_assert!(update.withdrawn_prefixes.is_empty());
        match update.attributes.get_reachable_nlri() {
            Some(nlri) => {
                prop_assert_eq!(texts(&nlri.prefixes), wanted_texts(&prefixes));
                prop_assert_eq!(nlri.next_hop.map(next_hop), Some(attributes.next_hop));
                prop_assert!(update.announced_prefixes.is_empty());
            }
            None => {
                prop_assert_eq!(texts(&update.announced_prefixes), wanted_texts(&prefixes));
                prop_assert_eq!(update.attributes.next_hop(), Some(attributes.next_hop.address()));
            }
        }
        same(&update, &attributes, &codec)?;
    }

    #[test]
    fn withdrawals(
        codec in strategy::codec(),
        (family, prefixes) in strategy::family()
            .prop_flat_map(|family| (Just(family), prefixes(family))),
    ) {
        let mut out = BytesMut::new();
        codec.encode_withdrawals(prefixes.iter().copied(), &mut out);
        let update = read(&codec, out);
        let read = match family {
            Family::Ipv4Unicast => &update.withdrawn_prefixes,
            Family::Ipv6Unicast => &update.attributes.get_unreachable_nlri().unwrap().prefixes,
        };
        prop_assert_eq!(texts(read), wanted_texts(&prefixes));
    }
}
