//! Peers and subscribers that take their time hold nobody else up.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::common::{DEADLINE, Node, address, node, prefix};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use twill_bgp::proto::session::State;
use twill_bgp::proto::types::{Family, HoldTime, LargeCommunity, RouterId};
use twill_bgp::proto::wire::{Capability, Codec, Message, Open};
use twill_bgp::{Announcement, PeerConfig};

const ROUTES: u32 = 100_000;

/// Opens a session with `node` from 127.0.0.`number`, as AS 64512, and reads nothing after that.
async fn mute(node: &Node, number: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind((address(number), 0).into()).unwrap();
    let mut stream = socket.connect((address(node.number), node.port).into()).await.unwrap();
    let open = Open {
        asn: 64512,
        hold_time: HoldTime::DISABLED,
        router_id: RouterId::new(Ipv4Addr::new(10, 0, 0, number)).unwrap(),
        capabilities: vec![
            Capability::Multiprotocol(Family::Ipv4Unicast),
            Capability::FourOctetAsn(64512),
            Capability::ExtendedMessage,
        ],
    };
    let mut out = BytesMut::new();
    let codec = Codec::default();
    codec.encode(&Message::Open(open), &mut out);
    codec.encode(&Message::Keepalive, &mut out);
    stream.write_all(&out).await.unwrap();
    // Its OPEN and its KEEPALIVE.
    let mut header = [0; 19];
    for kind in [1, 4] {
        stream.read_exact(&mut header).await.unwrap();
        assert_eq!(header[18], kind);
        let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
        let mut rest = vec![0; length - 19];
        stream.read_exact(&mut rest).await.unwrap();
    }
    stream
}

async fn announce_many(node: &Node) {
    let routes = (0..ROUTES).map(|index| {
        let network = Ipv4Addr::from(0x1400_0000 + (index << 8));
        Announcement::new(prefix(&format!("{network}/24")))
    });
    node.handle.set_announcements(routes.collect()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_read_holds_nobody_up() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    let deaf = PeerConfig { address: address(3), name: "deaf".to_owned(), ..a.peer(&b) }.passive();
    a.handle.set_peers(vec![a.peer(&b), deaf]).await.unwrap();
    b.handle.set_peers(vec![b.peer(&a)]).await.unwrap();
    let stream = mute(&a, 3).await;
    a.reaches("deaf", State::Established).await;
    a.reaches("node-2", State::Established).await;

    announce_many(&a).await;
    let all = |status: &twill_bgp::PeerStatus| status.received[0] == ROUTES;
    b.shows("node-1", "all routes", all).await;
    let sent = a.status("deaf").await.messages_out[1];
    let complete = a.status("node-2").await.messages_out[1];
    assert!(sent < complete, "{sent} of {complete} UPDATEs went to a peer that reads none");

    // Changes go on, to the others at once, and commands are answered.
    let before = Instant::now();
    a.announce("10.244.1.0/24").await;
    b.shows("node-1", "one more route", |status| status.received[0] == ROUTES + 1).await;
    assert!(before.elapsed() < Duration::from_secs(5));
    drop(stream);
    a.shows("deaf", "the end", |status| status.flaps == 1).await;
}

/// RFC 9687: a peer whose window stays shut is given up, however lively it is otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_never_reads_is_given_up() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    let deaf = PeerConfig { address: address(3), name: "deaf".to_owned(), ..a.peer(&b) }
        .passive()
        .send_hold_time(Duration::from_millis(500));
    a.handle.set_peers(vec![deaf]).await.unwrap();
    let stream = mute(&a, 3).await;
    a.reaches("deaf", State::Established).await;
    // 16 MB: more than the kernel would hold for it.
    let routes = (0..20_000).map(|index: u32| {
        let network = Ipv4Addr::from(0x1400_0000 + (index << 8));
        let large = |local1| LargeCommunity { global: index, local1, local2: 0 };
        Announcement {
            large_communities: (0..60).map(large).collect(),
            ..Announcement::new(prefix(&format!("{network}/24")))
        }
    });
    a.handle.set_announcements(routes.collect()).await.unwrap();
    let down = a.shows("deaf", "the end", |status| status.flaps == 1).await;
    let (_, why) = down.last_error.unwrap();
    assert!(why.contains("send hold timer expired"), "{why}");
    drop(stream);
}

#[tokio::test]
async fn a_peer_is_dialled_when_somebody_knows_better() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    let slow = Duration::from_secs(3600);
    a.handle.set_peers(vec![a.peer(&b).connect_retry(slow)]).await.unwrap();
    a.shows("node-2", "two failures", |status| status.last_error.is_some()).await;
    assert!(!a.handle.retry_now(Some("nobody")).await.unwrap());
    b.handle.set_peers(vec![b.peer(&a).passive()]).await.unwrap();
    assert!(a.handle.retry_now(Some("node-2")).await.unwrap());
    a.reaches("node-2", State::Established).await;
    assert!(a.handle.retry_now(None).await.unwrap());
}

/// What the deaf peer gets once it listens is the table as it is then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_reads_late_gets_the_table_as_it_is() {
    let (a, b) = (node(1, 64512).await, node(2, 64512).await);
    let late = PeerConfig { address: address(3), name: "late".to_owned(), ..a.peer(&b) }.passive();
    a.handle.set_peers(vec![late]).await.unwrap();
    let mut stream = mute(&a, 3).await;
    a.reaches("late", State::Established).await;
    announce_many(&a).await;
    a.shows("late", "a full pipe", |status| status.advertised[0] == ROUTES).await;
    a.handle.set_announcements(Vec::new()).await.unwrap();
    a.announce("10.244.1.0/24").await;

    let codec =
        Codec { four_octet_asn: true, ibgp: true, extended_message: true, ..Codec::default() };
    let mut bytes = BytesMut::new();
    let mut held = std::collections::BTreeSet::new();
    let reading = async {
        while held.iter().ne([&prefix("10.244.1.0/24")]) {
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
            while let Some(message) = codec.decode(&mut bytes).unwrap() {
                let Message::Update(update) = message else { continue };
                for gone in &update.withdrawn {
                    held.remove(gone);
                }
                held.extend(update.reach.iter().flat_map(|reach| reach.prefixes.iter().copied()));
            }
        }
    };
    tokio::time::timeout(DEADLINE, reading).await.expect("the table as it is");
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_sees_the_last_of_many_changes() {
    let a = node(1, 64512).await;
    let mut subscription = a.handle.subscribe().await.unwrap();
    for _ in 0..100 {
        a.announce("10.244.1.0/24").await;
        a.handle.withdraw(prefix("10.244.1.0/24")).await.unwrap();
    }
    a.announce("10.244.1.0/24").await;
    let mut seen = 0;
    for there in [true, false] {
        let reading = async {
            loop {
                let changes = subscription.next().await.unwrap();
                seen += changes.len();
                if changes.last().is_some_and(|change| change.route.is_some() == there) {
                    return;
                }
            }
        };
        tokio::time::timeout(DEADLINE, reading).await.unwrap();
        a.handle.withdraw(prefix("10.244.1.0/24")).await.unwrap();
    }
    assert!(seen <= 4, "{seen} changes of one prefix");
}
