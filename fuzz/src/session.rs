//! The session machine, fed by a program of events: whatever comes in whatever order, nothing
//! panics, routes flow only while the session is up, and nobody is spoken to who is not there.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use twill_bgp_proto::session::{
    Action, Direction, Event, Passive, RestartingSide, RoleOffer, Session, SessionConfig, State,
    TcpFailure,
};
use twill_bgp_proto::types::{Asn, Families, Family, HoldTime, Role, RouterId};
use twill_bgp_proto::wire::{
    Capability, Cease, Codec, GracefulRestartFamily, Message, Open, RefreshKind, RouteRefresh,
    Update,
};

use super::{check_told, framed};

/// Octets, read one by one; 0 when they are over.
struct Program<'a>(&'a [u8]);

impl Program<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn take(&mut self, length: usize) -> &[u8] {
        let (front, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        front
    }

    fn direction(&mut self) -> Direction {
        Direction::ALL[usize::from(self.next() % 3)]
    }
}

fn asn(number: u32) -> Asn {
    Asn::new(number).expect("not 0")
}

/// Bits: 0 external, 1 graceful restart, 2 restarted, 3 N, 4 passive, 5 no hold time, 6 a role,
/// 7 IPv6 next hops.
fn config(octet: u8) -> SessionConfig {
    let bit = |at: u8| octet & 1 << at != 0;
    SessionConfig {
        local_asn: asn(64512),
        peer_asn: asn(if bit(0) { 65001 } else { 64512 }),
        router_id: RouterId::new([10, 0, 0, 2].into()).expect("not 0"),
        hold_time: if bit(5) { HoldTime::DISABLED } else { HoldTime::DEFAULT },
        connect_retry: Duration::from_secs(1),
        connect_retry_max: Duration::from_secs(2),
        families: Families::ALL,
        passive: if bit(4) { Passive::Yes } else { Passive::No },
        role: bit(6).then_some(RoleOffer { role: Role::Customer, required: bit(7) }),
        extended_next_hop: bit(7),
        graceful_restart: bit(1).then_some(RestartingSide {
            restart_time: Duration::from_secs(120),
            restarted: bit(2),
            forwarding: if bit(2) { Families::ALL } else { Families::NONE },
            notification: bit(3),
        }),
    }
}

/// An OPEN that fits a configuration of the same bits; bit 4 gives it the lower identifier.
fn open(octet: u8) -> Open {
    let bit = |at: u8| octet & 1 << at != 0;
    let as_number = if bit(0) { 65001 } else { 64512 };
    let forwarding = bit(2);
    let mut capabilities = vec![
        Capability::Multiprotocol(Family::Ipv4Unicast),
        Capability::RouteRefresh,
        Capability::FourOctetAsn(as_number),
    ];
    if bit(1) {
        let family = |family| GracefulRestartFamily { family, forwarding };
        capabilities.push(Capability::GracefulRestart {
            restarted: bit(2),
            notification: bit(3),
            restart_time: Duration::from_secs(60),
            families: Family::ALL.map(family).into(),
        });
    }
    if bit(5) {
        capabilities.push(Capability::Multiprotocol(Family::Ipv6Unicast));
        capabilities.push(Capability::EnhancedRouteRefresh);
        capabilities.push(Capability::ExtendedMessage);
    }
    if bit(6) {
        capabilities.push(Capability::Role(octet >> 7));
    }
    Open {
        asn: if bit(0) { 65001 } else { 64512 },
        hold_time: HoldTime::from_secs(if bit(7) { 3 } else { 90 }).expect("3 or more"),
        router_id: RouterId::new([10, 0, 0, if bit(4) { 1 } else { 3 }].into()).expect("not 0"),
        capabilities,
    }
}

struct Machine {
    session: Session,
    now: Instant,
    up: bool,
    open: [Option<Codec>; 3],
    stale: Families,
    told: State,
    ups: u32,
}

fn place(direction: Direction) -> usize {
    match direction {
        Direction::Outgoing => 0,
        Direction::Incoming => 1,
        Direction::IncomingAgain => 2,
    }
}

/// One program: a configuration, the jitter's seed, then events, each an octet and what it needs.
/// Returns how often the session came up, so that a test can see that programs get anywhere.
pub fn session(input: &[u8]) -> u32 {
    let mut program = Program(input);
    #[allow(clippy::disallowed_methods, reason = "where the fake clock starts")]
    let now = Instant::now();
    let mut machine = Machine {
        session: Session::new(config(program.next()), u64::from(program.next())),
        now,
        up: false,
        open: [None; 3],
        stale: Families::NONE,
        told: State::Idle,
        ups: 0,
    };
    while !program.0.is_empty() {
        machine.step(&mut program);
    }
    machine.ups
}

impl Machine {
    fn step(&mut self, program: &mut Program<'_>) {
        let event = match program.next() % 16 {
            0 => {
                self.now += Duration::from_millis(1 << (program.next() % 24));
                return;
            }
            1 => {
                self.session.handle_timeout(self.now);
                assert!(self.session.poll_timeout().is_none_or(|deadline| deadline > self.now));
                return self.listen();
            }
            2 => {
                let Some(direction) = self.session.admit(self.now) else { return self.listen() };
                self.listen();
                self.open[place(direction)] = Some(Codec::default());
                Event::TcpOpened(direction)
            }
            3 => Event::Start,
            4 => Event::Stop(Cease::AdministrativeShutdown("maintenance".to_owned())),
            5 => Event::Reset(Cease::AdministrativeReset(String::new())),
            6 => Event::Leave,
            7 => Event::RestartOver,
            8 => {
                self.open[0] = Some(Codec::default());
                Event::TcpOpened(Direction::Outgoing)
            }
            9 => {
                let direction = program.direction();
                self.open[place(direction)] = None;
                Event::TcpClosed(direction, TcpFailure::Closed)
            }
            10 => Event::Received(program.direction(), Message::Open(open(program.next()))),
            11 => Event::Received(program.direction(), Message::Keepalive),
            12 => {
                let (direction, kind) = (program.direction(), program.next());
                let length = usize::from(program.next());
                let Some(event) = self.bytes(direction, kind, program.take(length)) else { return };
                event
            }
            13 => {
                let (direction, what) = (program.direction(), program.next());
                let family = Family::ALL[usize::from(what & 1)];
                let kind = [RefreshKind::Request, RefreshKind::Begin, RefreshKind::End];
                Event::Received(
                    direction,
                    match kind.get(usize::from(what >> 1) % 4) {
                        Some(kind) => Message::RouteRefresh(RouteRefresh {
                            family: Some(family),
                            kind: *kind,
                        }),
                        None => Message::Update(Update {
                            end_of_rib: Some(family),
                            ..Update::default()
                        }),
                    },
                )
            }
            14 => Event::Configure(Box::new(config(program.next()))),
            _ if program.next() & 1 == 0 => Event::DialNow,
            _ => Event::SendHoldExpired(program.direction(), Duration::from_secs(480)),
        };
        self.session.handle(event, self.now);
        self.listen();
    }

    /// A message as it would come off the wire.
    fn bytes(&self, direction: Direction, kind: u8, body: &[u8]) -> Option<Event> {
        let codec = self.open[place(direction)]?;
        let mut message: BytesMut = framed(kind, body)?;
        match codec.decode(&mut message) {
            Ok(message) => Some(Event::Received(direction, message?)),
            Err(error) => {
                check_told(&error);
                Some(Event::Malformed(direction, error))
            }
        }
    }

    fn listen(&mut self) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Connect => assert!(self.open[0].is_none(), "dialled twice"),
                Action::Send(direction, message) => {
                    let codec = self.open[place(direction)].expect("said to nobody");
                    let mut out = BytesMut::new();
                    codec.encode(&message, &mut out);
                    assert_eq!(codec.decode(&mut out), Ok(Some(message)));
                }
                Action::SetCodec(direction, codec) => {
                    assert!(self.open[place(direction)].replace(codec).is_some());
                }
                Action::Close(direction) => self.open[place(direction)] = None,
                Action::State(state) => self.told = state,
                Action::Up(negotiated) => {
                    assert!(!std::mem::replace(&mut self.up, true), "up twice");
                    assert_eq!(negotiated.retained, self.stale);
                    self.ups += 1;
                }
                Action::Down(reason, retained) => {
                    assert!(std::mem::replace(&mut self.up, false), "down while not up");
                    assert!(!reason.to_string().is_empty());
                    self.stale = retained.families;
                }
                Action::Deliver(_) | Action::Refresh(_) => assert!(self.up, "routes while down"),
                Action::ForgetStale(families) => {
                    assert_eq!(families.minus(self.stale), Families::NONE);
                    self.stale = self.stale.minus(families);
                }
                Action::AttemptFailed(reason) => assert!(!reason.to_string().is_empty()),
            }
        }
        assert_eq!(self.told, self.session.state());
        assert_eq!(self.up, self.session.state() == State::Established);
        assert_eq!(self.stale, self.session.stale());
    }
}
