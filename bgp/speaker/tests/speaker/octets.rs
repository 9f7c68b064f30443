//! A peer that is not one of ours: its octets come one at a time, and some of them are wrong.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use twill_bgp::PeerConfig;
use twill_bgp::proto::session::State;
use twill_bgp::proto::types::{AsPath, Attributes, Family, HoldTime, NextHop, RouterId};
use twill_bgp::proto::wire::{Capability, Codec, Message, Open};

use crate::common::{DEADLINE, Node, Table, address, asn, node, prefix};

/// The AS of the peer.
const THEIRS: u16 = 65001;

/// The peer's end of a session, after four-octet AS numbers were agreed on.
struct Raw {
    stream: TcpStream,
    codec: Codec,
    received: BytesMut,
}

impl Raw {
    /// Opens a session from 127.0.0.`number`; every message leaves octet by octet.
    async fn open(node: &Node, number: u8) -> Raw {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((address(number), 0).into()).unwrap();
        let stream = socket.connect((address(node.number), node.port).into()).await.unwrap();
        // So that each octet is a segment.
        stream.set_nodelay(true).unwrap();
        let codec = Codec { four_octet_asn: true, ..Codec::default() };
        let mut raw = Raw { stream, codec, received: BytesMut::new() };
        raw.say(&Message::Open(Open {
            asn: THEIRS,
            hold_time: HoldTime::DISABLED,
            router_id: RouterId::new([10, 0, 0, number].into()).unwrap(),
            capabilities: vec![
                Capability::Multiprotocol(Family::Ipv4Unicast),
                Capability::FourOctetAsn(u32::from(THEIRS)),
            ],
        }))
        .await;
        raw.say(&Message::Keepalive).await;
        raw
    }

    async fn say(&mut self, message: &Message) {
        let mut out = BytesMut::new();
        self.codec.encode(message, &mut out);
        self.dribble(&out).await;
    }

    async fn dribble(&mut self, octets: &[u8]) {
        for octet in octets {
            self.stream.write_all(std::slice::from_ref(octet)).await.unwrap();
            self.stream.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
    }

    async fn announce(&mut self, text: &str) {
        let mut attributes = Attributes::originated(NextHop::V4([192, 0, 2, 3].into()));
        attributes.as_path = AsPath::sequence([asn(u32::from(THEIRS))]);
        let mut out = BytesMut::new();
        self.codec.encode_updates(&attributes, [prefix(text)], &mut out).unwrap();
        self.dribble(&out).await;
    }

    /// All messages until the connection ends.
    async fn read_to_end(mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            while let Some(message) = self.codec.decode(&mut self.received).unwrap() {
                messages.push(message);
            }
            let read = self.stream.read_buf(&mut self.received);
            match tokio::time::timeout(DEADLINE, read).await {
                Ok(Ok(0) | Err(_)) => return messages,
                Ok(Ok(_)) => {}
                Err(_) => panic!("the connection stays; so far {messages:?}"),
            }
        }
    }
}

async fn scene(number: u8) -> (Node, Raw, Table) {
    let a = node(1, 64512).await;
    let peer = PeerConfig {
        name: "raw".to_owned(),
        address: address(number),
        asn: asn(u32::from(THEIRS)),
        ..a.peer(&a)
    };
    a.handle
        .set_peers(vec![peer.passive().connect_retry(Duration::from_millis(50))])
        .await
        .unwrap();
    let raw = Raw::open(&a, number).await;
    a.reaches("raw", State::Established).await;
    let table = a.table().await;
    (a, raw, table)
}

/// An UPDATE of an ORIGIN that does not exist, an empty path and a next hop, for 10.1.0.0/24.
const BAD_ORIGIN: &[u8] =
    &[0, 0, 0, 14, 0x40, 1, 1, 9, 0x40, 2, 0, 0x40, 3, 4, 192, 0, 2, 3, 24, 10, 1, 0];
/// The same without the prefix: nothing is left that could be treated as withdrawn.
const BAD_ORIGIN_ALONE: &[u8] = &[0, 0, 0, 14, 0x40, 1, 1, 9, 0x40, 2, 0, 0x40, 3, 4, 192, 0, 2, 3];

fn update(body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 19).unwrap().to_be_bytes();
    [&[0xFF; 16][..], &length, &[2], body].concat()
}

/// Split at every octet, sessions open and routes come; a route that is announced again with a
/// fault is withdrawn (RFC 7606 section 2), its neighbour stays, and so does the session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_takes_the_route_that_was_there() {
    let (a, mut raw, mut table) = scene(31).await;
    raw.announce("10.1.0.0/24").await;
    raw.announce("10.2.0.0/24").await;
    table.holds(&["10.1.0.0/24", "10.2.0.0/24"]).await;
    raw.dribble(&update(BAD_ORIGIN)).await;
    table.holds(&["10.2.0.0/24"]).await;
    let status = a.status("raw").await;
    assert_eq!((status.state, status.flaps), (State::Established, 0));
    raw.announce("10.1.0.0/24").await;
    table.holds(&["10.1.0.0/24", "10.2.0.0/24"]).await;
}

/// A fault that leaves no route to withdraw ends the session (RFC 7606 section 5.2); all that was
/// said until then, and the NOTIFICATION, is valid, and the routes are gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_without_routes_ends_the_session_with_valid_words() {
    let (a, mut raw, mut table) = scene(32).await;
    raw.announce("10.1.0.0/24").await;
    table.holds(&["10.1.0.0/24"]).await;
    a.announce("10.9.0.0/24").await;
    raw.dribble(&update(BAD_ORIGIN_ALONE)).await;
    let said = raw.read_to_end().await;
    let Some(Message::Notification(last)) = said.last() else { panic!("no reason: {said:?}") };
    assert_eq!((last.code, last.subcode), (3, 6), "Invalid ORIGIN Attribute");
    assert_eq!(*last.data, [0x40, 1, 1, 9], "the attribute");
    table.holds(&["10.9.0.0/24"]).await;
}
