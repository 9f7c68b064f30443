//! Scenarios over the whole RIB: peers that speak and listen in bytes.

mod decision;
mod export;
mod groups;
mod model;
mod outside;
mod policies;
mod refresh;
mod restart;
mod views;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::BytesMut;

use super::policy::Policy;
use super::{Change, PeerKey, PeerKind, PeerRules, Rib, RibPeer};
use crate::types::{
    AsPath, Asn, Attributes, ClusterId, Families, Family, NextHop, Prefix, RouterId,
};
use crate::wire::{Codec, Message, Reach, RefreshKind, RouteRefresh, Update};

/// Ours.
const AS: u32 = 64512;

fn asn(number: u32) -> Asn {
    Asn::new(number).unwrap()
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn router_id(last: u8) -> RouterId {
    RouterId::new(Ipv4Addr::new(10, 0, 0, last)).unwrap()
}

fn rib() -> Rib {
    Rib::new(asn(AS), router_id(1), ClusterId(Ipv4Addr::new(10, 0, 0, 1)))
}

/// A peer at 192.0.2.NUMBER.
fn peer(number: u8, kind: PeerKind) -> RibPeer {
    let external = kind == PeerKind::External;
    RibPeer {
        kind,
        asn: asn(if external { 65000 + u32::from(number) } else { AS }),
        router_id: router_id(100 + number),
        address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, number)),
        families: Families::ALL,
        codec: Codec {
            four_octet_asn: true,
            ibgp: !external,
            families: Families::ALL,
            ..Codec::default()
        },
        local_ipv4: Some(Ipv4Addr::new(192, 0, 2, 254)),
        local_ipv6: Some("2001:db8::254".parse().unwrap()),
        local_link_local: None,
        rules: PeerRules::default(),
        import: Arc::new(Policy::accept_all()),
        export: Arc::new(Policy::accept_all()),
    }
}

/// A route of `path`, by way of 192.0.2.NUMBER.
fn route(number: u8, path: &[u32]) -> Attributes {
    let mut attributes = Attributes::originated(NextHop::V4(Ipv4Addr::new(192, 0, 2, number)));
    attributes.as_path = AsPath::sequence(path.iter().map(|number| asn(*number)));
    attributes
}

fn announce(attributes: &Attributes, prefixes: &[&str]) -> Update {
    let prefixes = prefixes.iter().map(|text| prefix(text)).collect();
    let reach = Reach { attributes: Arc::new(attributes.clone()), prefixes };
    Update { reach: vec![reach], ..Update::default() }
}

fn withdraw(prefixes: &[&str]) -> Update {
    Update { withdrawn: prefixes.iter().map(|text| prefix(text)).collect(), ..Update::default() }
}

fn end_of_rib(family: Family) -> Update {
    Update { end_of_rib: Some(family), ..Update::default() }
}

fn settle(rib: &mut Rib) -> Vec<Change> {
    let mut changes = Vec::new();
    while rib.settle(100, Some(&mut changes)) {}
    changes
}

/// The far end of a session: what it has been told.
#[derive(Default)]
struct Listener {
    codec: Codec,
    routes: BTreeMap<Prefix, Attributes>,
    ended: Families,
    messages: usize,
    octets: usize,
    /// Brackets around what was sent again (RFC 7313), each with the messages before it.
    brackets: Vec<(Family, RefreshKind, usize)>,
    /// Withdrawals of what it never had.
    needless: usize,
}

impl Listener {
    fn new(peer: &RibPeer) -> Listener {
        Listener { codec: peer.codec, ..Listener::default() }
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.octets += bytes.len();
        let mut buffer = BytesMut::from(bytes);
        while let Some(message) = self.codec.decode(&mut buffer).unwrap() {
            let update = match message {
                Message::Update(update) => update,
                Message::RouteRefresh(RouteRefresh { family: Some(family), kind }) => {
                    self.brackets.push((family, kind, self.messages));
                    continue;
                }
                other => panic!("{other:?}"),
            };
            assert!(update.faults.is_empty(), "{:?}", update.faults);
            self.messages += 1;
            for prefix in update.withdrawn {
                self.needless += usize::from(self.routes.remove(&prefix).is_none());
            }
            for reach in update.reach {
                for prefix in reach.prefixes {
                    self.routes.insert(prefix, (*reach.attributes).clone());
                }
            }
            if let Some(family) = update.end_of_rib {
                self.ended = self.ended.with(family);
            }
        }
        assert!(buffer.is_empty(), "a message was cut");
    }

    /// Reads all there is.
    fn drain(&mut self, rib: &mut Rib, key: PeerKey) {
        for _ in 0..100_000 {
            match rib.poll_transmit(key, 4096) {
                Some(bytes) => self.hear(&bytes),
                None => return,
            }
        }
        panic!("there is always more");
    }

    fn prefixes(&self) -> Vec<String> {
        self.routes.keys().map(ToString::to_string).collect()
    }
}

/// Brings a peer up and reads what it is sent at once.
fn up(rib: &mut Rib, key: u32, info: &RibPeer) -> Listener {
    rib.peer_up(PeerKey(key), info.clone());
    let mut listener = Listener::new(info);
    listener.drain(rib, PeerKey(key));
    listener
}
