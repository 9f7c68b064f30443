//! What the tests of control and of the command line stand on: a speaker that answers from a
//! list, the channels of an agent, and a server on a socket of its own.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use twill_bgp::proto::rib::{LostBecause, PeerKey, PeerKind, RouteView, RoutesFrom};
use twill_bgp::proto::session::{Direction, Negotiated, State};
use twill_bgp::proto::types::{
    AsPath, Asn, Attributes, Community, Families, Family, HoldTime, Prefix, RouterId,
};
use twill_bgp::proto::wire::{Capability, Codec, GracefulRestartFamily, Open};
use twill_bgp::{
    Announcement, BestChange, Notice, PeerConfig, PeerStatus, Reset, RouteEntry, RouteQuery,
    RouteSelection, Secret, Stopped,
};

use super::{Answer, Backend, ControlSocket, InstallTimes, Speaker};
use crate::drain::Drainage;
use crate::reconcile::report::{
    CniReport, ConfigReport, FibReport, FibRoute, HostReport, KernelNotice, ShadowReport,
};
use crate::source::Snapshot;

/// A directory that goes when it is dropped.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> TempDir {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("twill-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).expect("a new name");
        TempDir(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

pub(crate) fn prefix(text: &str) -> Prefix {
    text.parse().expect("a prefix")
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn asn(number: u32) -> Asn {
    Asn::new(number).expect("not 0")
}

fn id(text: &str) -> RouterId {
    RouterId::new(text.parse().expect("an id")).expect("not 0")
}

/// Long enough ago for every clock.
pub(crate) fn moment() -> SystemTime {
    super::timestamp::parse("2026-11-21T09:00:00.000Z").expect("a time")
}

/// A node's configuration, as it is read from a file.
pub(crate) fn snapshot() -> Snapshot {
    let text = "
node: node-a
addresses: [10.0.0.1, 'fd00::1']
podCIDRs: [10.244.1.0/24, 'fd00:244:1::/64']
mesh:
  transit: [203.0.113.0/24 le 32]
  nodes:
    - {name: node-b, addresses: [10.0.0.2, 'fd00::2'], podCIDRs: [10.244.2.0/24]}
    - {name: node-c, addresses: [10.0.0.3], podCIDRs: [10.244.3.0/24]}
peers:
  - name: tor
    address: 10.0.0.254
    asn: 65000
    import: {prefixes: [0.0.0.0/0]}
    export: {prefixes: [podCIDRs]}
";
    let dir = TempDir::new();
    let path = dir.path().join("twill.yaml");
    std::fs::write(&path, text).expect("writable");
    crate::config::Config::load(&path).expect("a good configuration").snapshot
}

/// A peer that never came up.
pub(crate) fn peer(name: &str) -> PeerStatus {
    let (where_, number) = match name {
        "node-b" => ("10.0.0.2", 64512),
        "node-c" => ("10.0.0.3", 64512),
        _ => ("10.0.0.254", 65000),
    };
    let mut config = PeerConfig::new(name, address(where_), asn(number));
    config.kind = if number == 64512 { PeerKind::Internal } else { PeerKind::External };
    PeerStatus {
        config: Arc::new(config),
        dynamic: false,
        state: State::Idle,
        since: None,
        negotiated: None,
        local: None,
        remote: None,
        received: [0; 2],
        accepted: [0; 2],
        rejected: [0; 2],
        stale: [0; 2],
        advertised: [0; 2],
        flaps: 0,
        last_error: None,
        reasons: Vec::new(),
        end_of_rib: Families::NONE,
        messages_in: [0; 5],
        messages_out: [0; 5],
    }
}

/// A peer with which everything was agreed on.
pub(crate) fn established(name: &str) -> PeerStatus {
    let mut status = peer(name);
    let config = Arc::make_mut(&mut status.config);
    config.password = Some(Secret::new("hunter2"));
    let families = vec![
        GracefulRestartFamily { family: Family::Ipv4Unicast, forwarding: true },
        GracefulRestartFamily { family: Family::Ipv6Unicast, forwarding: false },
    ];
    let open = Open {
        asn: config.asn.to_u16_or_trans(),
        hold_time: HoldTime::DEFAULT,
        router_id: id("10.0.0.2"),
        capabilities: vec![
            Capability::Multiprotocol(Family::Ipv4Unicast),
            Capability::Multiprotocol(Family::Ipv6Unicast),
            Capability::RouteRefresh,
            Capability::GracefulRestart {
                restarted: false,
                notification: false,
                restart_time: Duration::from_secs(120),
                families,
            },
            Capability::FourOctetAsn(config.asn.get()),
            Capability::Unknown { code: 73, value: bytes::Bytes::new() },
        ],
    };
    let codec = Codec {
        four_octet_asn: true,
        ibgp: config.kind != PeerKind::External,
        families: Families::ALL,
        ..Codec::default()
    };
    status.negotiated = Some(Arc::new(Negotiated {
        direction: Direction::Outgoing,
        codec,
        hold_time: HoldTime::DEFAULT,
        open,
        route_refresh: true,
        enhanced_refresh: false,
        graceful_restart: Families::ALL,
        graceful_notification: false,
        peer_restarted: false,
        end_of_rib: Families::ALL,
        retained: Families::NONE,
        refused: vec![Capability::ExtendedMessage],
    }));
    let remote = std::net::SocketAddr::new(config.address, 179);
    status.state = State::Established;
    status.since = Some(moment());
    status.local = Some("10.0.0.1:43210".parse().expect("an address"));
    status.remote = Some(remote);
    status.received = [3, 1];
    status.accepted = [2, 1];
    status.rejected = [1, 0];
    status.advertised = [1, 1];
    status.end_of_rib = Families::ALL;
    status.messages_in = [1, 4, 0, 200, 0];
    status.messages_out = [1, 3, 0, 201, 0];
    status
}

/// A best route.
pub(crate) fn entry(text: &str, next_hop: &str, from: Option<&str>) -> RouteEntry {
    let mut attributes = Attributes::originated(address(next_hop).into());
    if from == Some("tor") {
        attributes.as_path = AsPath::sequence([asn(65000), asn(65001)]);
        attributes.communities = Box::new([Community(65000 << 16 | 100), Community::NO_EXPORT]);
        attributes.med = Some(20);
    } else {
        attributes.local_pref = Some(100);
    }
    RouteEntry {
        view: RouteView {
            prefix: prefix(text),
            attributes: Arc::new(attributes),
            from: if from.is_some() { RoutesFrom::Peer(PeerKey(1)) } else { RoutesFrom::Local },
            stale: false,
            lost: None,
        },
        peer: from.map(Into::into),
    }
}

pub(crate) fn fib_route(text: &str, next_hop: Option<&str>, device: &str) -> FibRoute {
    FibRoute {
        prefix: prefix(text),
        next_hop: next_hop.map(address),
        device: Some(device.to_owned()),
        reason: None,
    }
}

/// All is well.
pub(crate) fn fib() -> FibReport {
    FibReport {
        installed: vec![
            fib_route("10.244.1.0/24", None, "twill0"),
            fib_route("10.244.2.0/24", Some("10.0.0.2"), "eth0"),
            fib_route("10.244.3.0/24", Some("10.0.0.3"), "eth0"),
            fib_route("0.0.0.0/0", Some("10.0.0.254"), "eth0"),
        ],
        ready: true,
        last_sync: Duration::from_millis(2),
        synced_at: Some(moment()),
        ..FibReport::default()
    }
}

/// What the RIB holds: a route of each kind.
pub(crate) fn table() -> Vec<RouteEntry> {
    let mut refused = entry("10.244.2.128/25", "10.0.0.2", Some("node-c"));
    refused.view.lost = Some(LostBecause::Policy("the pod CIDR of node-b".into()));
    let mut loser = entry("10.244.2.0/24", "10.0.0.3", Some("node-c"));
    loser.view.lost = Some(LostBecause::RouterId);
    vec![
        entry("0.0.0.0/0", "10.0.0.254", Some("tor")),
        entry("10.244.1.0/24", "0.0.0.0", None),
        entry("10.244.2.0/24", "10.0.0.2", Some("node-b")),
        loser,
        refused,
        entry("10.244.3.0/24", "10.0.0.3", Some("node-c")),
        entry("fd00:244:1::/64", "::", None),
    ]
}

/// Answers from lists.
pub(crate) struct FakeSpeaker {
    pub(crate) peers: Mutex<Vec<PeerStatus>>,
    pub(crate) table: Mutex<Vec<RouteEntry>>,
    pub(crate) announced: Mutex<Vec<Announcement>>,
    /// By name, and whether softly.
    pub(crate) resets: Mutex<Vec<(String, bool)>>,
    /// What peers were told with it.
    pub(crate) words: Mutex<Vec<String>>,
    pub(crate) notices: broadcast::Sender<Notice>,
    pub(crate) changes: broadcast::Sender<Vec<BestChange>>,
    pub(crate) stopped: AtomicBool,
}

impl FakeSpeaker {
    fn answer<T>(&self, value: T) -> Result<T, Stopped> {
        if self.stopped.load(Ordering::Relaxed) { Err(Stopped) } else { Ok(value) }
    }

    fn select(&self, query: &RouteQuery) -> Vec<RouteEntry> {
        let table = self.table.lock().unwrap();
        let asked = |entry: &&RouteEntry| {
            query.address.is_none_or(|address| entry.view.prefix.contains(address))
                && query.prefix.is_none_or(|prefix| entry.view.prefix == prefix)
                && match query.view {
                    RouteSelection::Best => entry.view.lost.is_none(),
                    RouteSelection::All | RouteSelection::Advertised => true,
                    RouteSelection::Received => entry.peer.is_some(),
                }
                && (query.view == RouteSelection::Advertised
                    || query.peer.is_none()
                    || query.peer.as_deref() == entry.peer.as_deref())
        };
        let mut found: Vec<RouteEntry> = table.iter().filter(asked).cloned().collect();
        if query.address.is_some() {
            let longest = found.iter().map(|entry| entry.view.prefix.len()).max();
            found.retain(|entry| Some(entry.view.prefix.len()) == longest);
        }
        found
    }
}

impl Speaker for FakeSpeaker {
    fn peers(&self) -> Answer<'_, Vec<PeerStatus>> {
        async { self.answer(self.peers.lock().unwrap().clone()) }.boxed()
    }

    fn routes(&self, query: RouteQuery) -> Answer<'_, Vec<RouteEntry>> {
        async move { self.answer(self.select(&query)) }.boxed()
    }

    fn announce(&self, route: Announcement) -> Answer<'_, ()> {
        async {
            self.announced.lock().unwrap().push(route);
            self.answer(())
        }
        .boxed()
    }

    fn withdraw(&self, prefix: Prefix) -> Answer<'_, bool> {
        async move {
            let mut announced = self.announced.lock().unwrap();
            let before = announced.len();
            announced.retain(|route| route.prefix != prefix);
            self.answer(announced.len() != before)
        }
        .boxed()
    }

    fn reset(&self, peer: Arc<str>, how: Reset) -> Answer<'_, bool> {
        async move {
            let soft = how == Reset::Soft;
            if let Reset::Hard(words) = how {
                self.words.lock().unwrap().push(words);
            }
            let up = self.peers.lock().unwrap().iter().any(|status| {
                *status.config.name == *peer && (!soft || status.state == State::Established)
            });
            self.resets.lock().unwrap().push((peer.to_string(), soft));
            self.answer(up)
        }
        .boxed()
    }

    fn changes(&self) -> Answer<'_, BoxStream<'static, Vec<BestChange>>> {
        async {
            let receiver = self.changes.subscribe();
            self.answer(
                stream::unfold(receiver, async |mut receiver| {
                    Some((receiver.recv().await.ok()?, receiver))
                })
                .boxed(),
            )
        }
        .boxed()
    }

    fn notices(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }
}

/// An agent's control on a socket of its own; gone when dropped.
pub(crate) struct Rig {
    pub(crate) speaker: Arc<FakeSpeaker>,
    pub(crate) snapshot: watch::Sender<Arc<Snapshot>>,
    pub(crate) config: watch::Sender<Arc<ConfigReport>>,
    pub(crate) fib: watch::Sender<Arc<FibReport>>,
    pub(crate) shadows: watch::Sender<Arc<ShadowReport>>,
    pub(crate) host: watch::Sender<Arc<HostReport>>,
    pub(crate) cni: watch::Sender<Arc<CniReport>>,
    pub(crate) kernel: broadcast::Sender<KernelNotice>,
    pub(crate) installs: InstallTimes,
    pub(crate) socket: PathBuf,
    pub(crate) backend: Backend,
    _server: JoinSet<()>,
    _dir: TempDir,
}

impl Rig {
    /// Runs a test that blocks, as the command line does, beside an agent.
    pub(crate) fn beside(test: impl FnOnce(&Rig)) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let rig = runtime.block_on(async { Rig::start() });
        std::thread::scope(|scope| {
            scope.spawn(move || runtime.block_on(ended));
            // Dropped also where the test fails, so that the runtime ends.
            let _end = end;
            test(&rig);
        });
    }

    /// Three peers, of which one is down. Must be called within a runtime.
    pub(crate) fn start() -> Rig {
        Rig::start_with(FakeSpeaker {
            peers: Mutex::new(vec![established("node-b"), peer("node-c"), established("tor")]),
            table: Mutex::new(table()),
            announced: Mutex::default(),
            resets: Mutex::default(),
            words: Mutex::default(),
            notices: broadcast::channel(8).0,
            changes: broadcast::channel(8).0,
            stopped: AtomicBool::new(false),
        })
    }

    fn start_with(speaker: FakeSpeaker) -> Rig {
        let dir = TempDir::new();
        let speaker = Arc::new(speaker);
        let mut world = snapshot();
        world.http = None;
        let (snapshot, snapshots) = watch::channel(Arc::new(world));
        let config = ConfigReport { loaded_at: Some(moment()), ..ConfigReport::default() };
        let (config, configs) = watch::channel(Arc::new(config));
        let (fib, fibs) = watch::channel(Arc::new(fib()));
        let (shadows, shadow_reports) = watch::channel(Arc::default());
        let host = HostReport { ready: true, ..HostReport::default() };
        let (host, hosts) = watch::channel(Arc::new(host));
        let (cni, cnis) = watch::channel(Arc::new(CniReport { written: true, problem: None }));
        let kernel = broadcast::channel(8).0;
        let installs = InstallTimes::default();
        let backend = Backend {
            speaker: speaker.clone(),
            snapshot: snapshots,
            config: configs,
            fib: fibs,
            shadows: shadow_reports,
            host: hosts,
            cni: cnis,
            masquerade: watch::channel(Arc::default()).1,
            kernel: kernel.clone(),
            installs: installs.clone(),
            restarts: Default::default(),
            drain: Drainage::open(dir.path().join("drain")),
            started: Instant::now(),
            version: "0.1.0",
        };
        let socket = dir.path().join("twill.sock");
        let mut server = JoinSet::new();
        let bound = ControlSocket::bind(&socket).expect("a new socket");
        server.spawn(super::run(backend.clone(), bound, None));
        Rig {
            speaker,
            snapshot,
            config,
            fib,
            shadows,
            host,
            cni,
            kernel,
            installs,
            socket,
            backend,
            _server: server,
            _dir: dir,
        }
    }

    /// Changes the world as it is configured.
    pub(crate) fn configure(&self, change: impl FnOnce(&mut Snapshot)) {
        self.snapshot.send_modify(|snapshot| change(Arc::make_mut(snapshot)));
    }
}
