//! Every state and event of RFC 4271 section 8.2.2 and what follows, as one table.
//!
//! `table.txt` holds the table: a paragraph for each state, a line for each event. An event that
//! is ignored has `-`. It was read line by line against the RFC; where a change of the state
//! machine is meant, write it anew with `TWILL_WRITE_TABLE=1 cargo test` and read the difference.

use std::fmt::Write;
use std::time::{Duration, Instant};

use super::{config, epoch, open_of};
use crate::session::{Action, Direction, Event, Session, SessionConfig, State, TcpFailure, Timer};
use crate::types::{Family, HoldTime};
use crate::wire::{Cease, Message, MessageError, Notification, RefreshKind, RouteRefresh, Update};

const TABLE: &str = include_str!("table.txt");
const OUT: Direction = Direction::Outgoing;
const IN: Direction = Direction::Incoming;

/// The session, with its one connection, if any, in the slot `Outgoing`.
fn in_state(state: &str) -> Session {
    let mut session = Session::new(config(2), 1);
    let now = epoch();
    let path: Vec<Event> = match state {
        "Idle, stopped" => vec![],
        "Idle, held" => vec![Event::Start, Event::TcpOpened(OUT), malformed()],
        "Connect" => vec![Event::Start],
        "Active" => vec![Event::Start, refused()],
        "OpenSent" => vec![Event::Start, Event::TcpOpened(OUT)],
        "OpenConfirm" => vec![Event::Start, Event::TcpOpened(OUT), open()],
        "Established" => vec![Event::Start, Event::TcpOpened(OUT), open(), keepalive()],
        other => panic!("no such state: {other}"),
    };
    for event in path {
        session.handle(event, now);
    }
    while session.poll_action().is_some() {}
    session
}

fn received(message: Message) -> Event {
    Event::Received(OUT, message)
}

fn open() -> Event {
    received(Message::Open(open_of(&config(1))))
}

fn keepalive() -> Event {
    received(Message::Keepalive)
}

fn notification(code: u8, subcode: u8) -> Event {
    let data = bytes::Bytes::new();
    received(Message::Notification(Notification { code, subcode, data }))
}

fn malformed() -> Event {
    Event::Malformed(OUT, MessageError::new(Notification::bad_message_type(9), "type 9"))
}

fn refused() -> Event {
    Event::TcpClosed(OUT, TcpFailure::Io("refused".to_owned()))
}

/// What happens to the session.
enum Stimulus {
    Event(Event),
    Expires(Timer),
}

fn stimuli() -> Vec<(&'static str, Stimulus)> {
    use Stimulus::{Event as Ev, Expires};
    let down = || Cease::AdministrativeShutdown(String::new());
    let refresh = RouteRefresh { family: Some(Family::Ipv4Unicast), kind: RefreshKind::Request };
    let slower = SessionConfig { hold_time: HoldTime::from_secs(30).unwrap(), ..config(2) };
    let mut stranger = open_of(&config(1));
    stranger.asn = 1;
    stranger.capabilities.clear();
    vec![
        ("1, 3 to 7  start", Ev(Event::Start)),
        ("2  manual stop", Ev(Event::Stop(down()))),
        ("8  automatic stop", Ev(Event::Reset(down()))),
        ("9  ConnectRetryTimer expires", Expires(Timer::ConnectRetry)),
        ("10  HoldTimer expires", Expires(Timer::Hold(OUT))),
        ("11  KeepaliveTimer expires", Expires(Timer::Keepalive(OUT))),
        ("13  IdleHoldTimer expires", Expires(Timer::IdleHold)),
        ("16  our connection opens", Ev(Event::TcpOpened(OUT))),
        ("17  the peer's connection opens", Ev(Event::TcpOpened(IN))),
        ("18  our connection fails", Ev(refused())),
        ("19  OPEN", Ev(open())),
        ("21  message header error", Ev(malformed())),
        ("22  OPEN that is refused", Ev(received(Message::Open(stranger)))),
        ("23, 25  NOTIFICATION, lost collision", Ev(notification(6, 7))),
        ("24  NOTIFICATION, version error", Ev(notification(2, 1))),
        ("25  NOTIFICATION", Ev(notification(6, 2))),
        ("26  KEEPALIVE", Ev(keepalive())),
        ("27  UPDATE", Ev(received(Message::Update(Update::default())))),
        ("28  malformed UPDATE", Ev(malformed())),
        ("ROUTE-REFRESH", Ev(received(Message::RouteRefresh(refresh)))),
        ("29  SendHoldTimer expires", Ev(Event::SendHoldExpired(OUT, Duration::from_secs(480)))),
        ("dial now", Ev(Event::DialNow)),
        ("leave", Ev(Event::Leave)),
        ("restart over", Ev(Event::RestartOver)),
        ("other hold time", Ev(Event::Configure(Box::new(slower)))),
    ]
}

fn words(action: &Action) -> String {
    match action {
        Action::Connect => "dial".to_owned(),
        Action::Send(direction, Message::Notification(said)) => {
            format!("say {}/{}{}", said.code, said.subcode, on(*direction))
        }
        Action::Send(direction, Message::Open(_)) => format!("OPEN{}", on(*direction)),
        Action::Send(direction, Message::Keepalive) => format!("KEEPALIVE{}", on(*direction)),
        Action::Send(_, message) => panic!("never sent by a session: {message:?}"),
        Action::Close(direction) => format!("close{}", on(*direction)),
        Action::SetCodec(direction, _) => format!("codec{}", on(*direction)),
        Action::State(state) => format!("-> {state:?}"),
        Action::Up(_) => "up".to_owned(),
        Action::Down(..) => "down".to_owned(),
        Action::Deliver(_) => "deliver".to_owned(),
        Action::Refresh(_) => "refresh".to_owned(),
        Action::ForgetStale(_) => "forget stale".to_owned(),
        Action::AttemptFailed(_) => "failed".to_owned(),
    }
}

fn on(direction: Direction) -> &'static str {
    if direction == OUT { "" } else { " (theirs)" }
}

fn timers(session: &Session, now: Instant) -> String {
    let names: Vec<String> = session
        .timers(now)
        .map(|(timer, _)| match timer {
            Timer::Hold(direction) => format!("Hold{}", on(direction)),
            Timer::Keepalive(direction) => format!("Keepalive{}", on(direction)),
            other => format!("{other:?}"),
        })
        .collect();
    names.join(", ")
}

fn written() -> String {
    let states = [
        "Idle, stopped",
        "Idle, held",
        "Connect",
        "Active",
        "OpenSent",
        "OpenConfirm",
        "Established",
    ];
    let mut table = String::new();
    for state in states {
        let session = in_state(state);
        writeln!(table, "{state} [{}]", timers(&session, epoch())).unwrap();
        for (name, stimulus) in stimuli() {
            let mut session = in_state(state);
            let before = (session.state(), timers(&session, epoch()));
            match stimulus {
                Stimulus::Event(event) => session.handle(event, epoch()),
                Stimulus::Expires(timer) => {
                    let Some(deadline) = session.timers.deadline(timer) else {
                        writeln!(table, "    {name:38} not running").unwrap();
                        continue;
                    };
                    session.timers.only(timer);
                    session.handle_timeout(deadline);
                }
            }
            let done: Vec<String> =
                std::iter::from_fn(|| session.poll_action()).map(|act| words(&act)).collect();
            let after = (session.state(), timers(&session, epoch()));
            assert!(session.poll_timeout().is_none_or(|deadline| deadline > epoch()));
            let mut what = if done.is_empty() { "-".to_owned() } else { done.join(", ") };
            if after.1 != before.1 {
                write!(what, " [{}]", after.1).unwrap();
            }
            if !done.iter().any(|word| word.starts_with("->")) {
                assert_eq!(after.0, before.0, "{state}, {name}: a silent change of state");
            }
            writeln!(table, "    {name:38} {what}").unwrap();
        }
        table.push('\n');
    }
    table
}

#[test]
fn every_state_answers_every_event_as_the_table_says() {
    let written = written();
    if std::env::var_os("TWILL_WRITE_TABLE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/session/tests/table.txt");
        std::fs::write(path, &written).unwrap();
        return;
    }
    for (line, (expected, found)) in TABLE.lines().zip(written.lines()).enumerate() {
        assert_eq!(expected, found, "table.txt line {}", line + 1);
    }
    assert_eq!(TABLE.lines().count(), written.lines().count());
}

#[test]
fn the_states_of_the_table_are_those_of_the_rfc() {
    for (name, state) in [
        ("Idle, stopped", State::Idle),
        ("Idle, held", State::Idle),
        ("Connect", State::Connect),
        ("Active", State::Active),
        ("OpenSent", State::OpenSent),
        ("OpenConfirm", State::OpenConfirm),
        ("Established", State::Established),
    ] {
        assert_eq!(in_state(name).state(), state, "{name}");
    }
}
