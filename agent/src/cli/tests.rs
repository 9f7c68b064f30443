//! What people see, at two widths, and how each command ends.

use std::time::SystemTime;

use clap::Parser;
use insta::assert_snapshot;

use super::output::{Format, Screen, structured};
use super::{Cli, Exit, explain, fib, ipam, monitor, peers, routes, status};
use crate::control::api::{Event, EventKind, State};
use crate::control::testing::{self, Rig, TempDir};
use crate::control::{samples, timestamp};

fn now() -> SystemTime {
    timestamp::parse("2026-11-21T12:05:00.000Z").unwrap()
}

fn screen(width: usize) -> Screen {
    Screen { width: Some(width), colour: false, wide: false }
}

/// Everything at 80 and 160 columns; no line may be longer.
fn at_both_widths(name: &str, render: impl Fn(&Screen) -> String) {
    for width in [80, 160] {
        let text = render(&screen(width));
        let longest = text.lines().map(|line| line.chars().count()).max().unwrap_or_default();
        assert!(longest <= width, "{name}: {longest} columns of {width}\n{text}");
        assert_snapshot!(format!("{name}_{width}"), text);
    }
}

#[test]
fn status_on_a_screen() {
    at_both_widths("status", |screen| status::render(&samples::status(), screen, now()));
    at_both_widths("status_bad", |screen| status::render(&samples::status_bad(), screen, now()));
}

#[test]
fn peers_on_a_screen() {
    at_both_widths("peers", |screen| peers::list(&samples::peers(), screen));
    let wide = Screen { width: None, colour: false, wide: true };
    assert_snapshot!("peers_wide", peers::list(&samples::peers(), &wide));
    at_both_widths("peer_up", |screen| peers::detail(&samples::peer_up(), screen, now()));
    at_both_widths("peer_down", |screen| peers::detail(&samples::peer_down(), screen, now()));
}

#[test]
fn routes_on_a_screen() {
    at_both_widths("routes", |screen| routes::render(&samples::routes(), screen));
    let wide = Screen { width: None, colour: true, wide: true };
    assert_snapshot!("routes_wide", routes::render(&samples::routes(), &wide));
}

#[test]
fn fib_on_a_screen() {
    at_both_widths("fib", |screen| fib::render(&samples::fib(), screen, now()));
}

#[test]
fn explanation_on_a_screen() {
    at_both_widths("explain", |screen| explain::render(&samples::explanation(), screen));
    at_both_widths("explain_bad", |screen| explain::render(&samples::explanation_bad(), screen));
}

#[test]
fn ipam_on_a_screen() {
    at_both_widths("ipam", |screen| ipam::render(&samples::ipam(), screen, now()));
}

#[test]
fn events_on_a_screen() {
    let all = |events: Vec<Event>| {
        events.iter().map(|event| monitor::render(event, &screen(80))).collect::<String>()
    };
    assert_snapshot!("monitor", all(samples::events()));
    let evil = EventKind::Session {
        peer: "b\x1b[2J".to_owned(),
        state: State::Idle,
        reason: Some("bye\x07".to_owned()),
    };
    let line = all(vec![Event { time: String::new(), what: evil }]);
    assert!(!line.contains(['\x1b', '\x07']), "{line:?}");
}

#[test]
fn documents_for_scripts() {
    assert_snapshot!("peers_yaml", structured(&[&samples::peers()[0]], Format::Yaml, false));
    let watched = structured(&samples::fib(), Format::Json, true);
    assert_eq!(watched.lines().count(), 1);
    assert!(structured(&samples::fib(), Format::Yaml, true).starts_with("---\n"));
}

fn twill(socket: &std::path::Path, line: &str) -> Exit {
    let mut words = vec!["twill"];
    words.extend(line.split_whitespace());
    let socket = socket.to_str().unwrap();
    words.extend(["--socket", socket]);
    match Cli::try_parse_from(words) {
        Ok(cli) => super::execute(cli.command),
        Err(error) => {
            assert_eq!(error.exit_code(), 2, "{line}: {error}");
            Exit::Usage
        }
    }
}

const COMMANDS: [&str; 11] = [
    "status",
    "peers",
    "peers node-b",
    "routes",
    "fib",
    "explain 10.244.2.9",
    "monitor",
    "ipam",
    "announce 203.0.113.0/24",
    "withdraw 203.0.113.0/24",
    "reset node-b",
];

#[test]
fn nobody_there_is_3() {
    let dir = TempDir::new();
    let missing = dir.path().join("missing.sock");
    let stale = dir.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    for command in COMMANDS {
        assert_eq!(twill(&missing, command), Exit::Unreachable, "{command}");
        assert_eq!(twill(&stale, command), Exit::Unreachable, "{command}");
    }
}

#[test]
fn how_each_command_ends() {
    Rig::beside(|rig| {
        for (line, exit) in [
            // node-c is down, and that is no trouble of this node's.
            ("status", Exit::Yes),
            ("status -o json", Exit::Yes),
            ("peers", Exit::Yes),
            ("peers -o yaml", Exit::Yes),
            ("peers node-b", Exit::Yes),
            ("peers node-b -o json", Exit::Yes),
            ("peers nobody", Exit::No),
            ("routes", Exit::Yes),
            ("routes --all -o wide", Exit::Yes),
            ("routes 10.244.2.0/24", Exit::Yes),
            ("routes 10.244.2.9", Exit::Yes),
            ("routes fd00:244:1::/64", Exit::Yes),
            ("routes 198.51.100.0/24", Exit::No),
            ("routes 198.51.100.1/24", Exit::Usage),
            ("routes --peer nobody", Exit::No),
            ("routes --peer node-b --received", Exit::Yes),
            ("routes --peer node-b --advertised", Exit::Yes),
            ("routes --advertised", Exit::Usage),
            ("routes --all --received", Exit::Usage),
            ("fib", Exit::Yes),
            ("fib --watch=0", Exit::Usage),
            ("explain somewhere", Exit::Usage),
            ("announce 203.0.113.0/24 --community 64512:100 --med 5", Exit::Yes),
            ("announce 10.244.2.0/25", Exit::No),
            ("announce 203.0.113.1/24", Exit::Usage),
            ("announce 203.0.113.0/24 --next-hop fd00::1", Exit::Usage),
            ("announce 203.0.113.0/24 --community x", Exit::Usage),
            ("withdraw 203.0.113.0/24", Exit::Yes),
            ("withdraw 203.0.113.0/24", Exit::No),
            ("reset node-b", Exit::Yes),
            ("reset node-b --soft", Exit::Yes),
            ("reset node-c --soft", Exit::No),
            ("reset node-b --message rack-move,50%&soft=true", Exit::Yes),
            ("reset node-b --soft --message x", Exit::Usage),
            ("reset nobody", Exit::No),
            ("doctor", Exit::Usage),
        ] {
            assert_eq!(twill(&rig.socket, line), exit, "twill {line}");
        }
        assert_eq!(
            *rig.speaker.resets.lock().unwrap(),
            [
                ("node-b".into(), false),
                ("node-b".into(), true),
                ("node-c".into(), true),
                ("node-b".into(), false)
            ]
        );
        assert_eq!(*rig.speaker.words.lock().unwrap(), ["", "rack-move,50%&soft=true"]);
        *rig.speaker.peers.lock().unwrap() =
            vec![testing::established("node-b"), testing::established("tor")];
        assert_eq!(twill(&rig.socket, "status"), Exit::Yes);
        for down in [testing::peer("node-b"), testing::peer("tor")] {
            let name = down.config.name.clone();
            *rig.speaker.peers.lock().unwrap() = vec![down];
            assert_eq!(twill(&rig.socket, "status"), Exit::No, "{name}");
        }
        *rig.speaker.peers.lock().unwrap() = vec![testing::established("node-b")];
        rig.fib.send_modify(|fib| {
            let fib = std::sync::Arc::make_mut(fib);
            fib.missing.extend(fib.installed.pop());
        });
        assert_eq!(twill(&rig.socket, "fib"), Exit::No);
        assert_eq!(twill(&rig.socket, "status"), Exit::No);
        rig.speaker.stopped.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(twill(&rig.socket, "peers"), Exit::Unreachable);
        assert_eq!(twill(&rig.socket, "monitor"), Exit::Unreachable);
    });
}

#[test]
fn a_watch_ends_with_what_it_watches() {
    Rig::beside(|rig| {
        rig.speaker.peers.lock().unwrap().retain(|peer| peer.config.name != "node-b");
        assert_eq!(twill(&rig.socket, "peers node-b --watch"), Exit::No);
    });
}

#[test]
fn completions_name_every_command() {
    use clap::CommandFactory;
    Cli::command().debug_assert();
    let mut script = Vec::new();
    clap_complete::generate(clap_complete::Shell::Bash, &mut Cli::command(), "twill", &mut script);
    let script = String::from_utf8(script).unwrap();
    for command in ["status", "explain", "install-cni", "withdraw"] {
        assert!(script.contains(command), "{command}");
    }
}
