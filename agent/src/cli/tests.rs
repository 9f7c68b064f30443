//! What people see, at two widths, and how each command ends.

use std::time::SystemTime;

use clap::Parser;
use insta::assert_snapshot;

use super::output::{Format, Screen, structured};
use super::{Cli, Exit, doctor, explain, fib, ipam, monitor, peers, routes, status};
use crate::control::api::{Event, EventKind, State, Status};
use crate::control::testing::{self, Rig, TempDir};
use crate::control::{samples, timestamp};
use crate::doctor::{Finding, Severity};
use crate::drain::Drain;

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
            ("physician", Exit::Usage),
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
fn findings_of_the_doctor_on_a_screen() {
    let finding = |severity, check| Finding {
        severity,
        check,
        what: "packets of pods are larger than an uplink takes: they are fragmented, or lost \
               where ICMP is filtered"
            .to_owned(),
        evidence: "pods have MTU 1500 (twill0), eth0 has 1450".to_owned(),
        remedy: "set dataplane.mtu to auto or to at most 1450, and make the pods anew".to_owned(),
    };
    let report = doctor::Report {
        agent: false,
        healthy: false,
        findings: vec![finding(Severity::Problem, "mtu"), finding(Severity::Doubt, "sessions")],
        unseen: vec!["chains of nftables: not permitted".to_owned()],
    };
    at_both_widths("doctor", |screen| doctor::render(&report, screen));
    let clean = doctor::Report { agent: true, healthy: true, findings: vec![], unseen: vec![] };
    at_both_widths("doctor_clean", |screen| doctor::render(&clean, screen));
}

#[test]
fn a_drained_node_on_a_screen() {
    for state in [Drain::Marked, Drain::Withdrawn] {
        let status = Status { drain: Some(state), ..samples::status() };
        at_both_widths(&format!("status_{state:?}"), |screen| {
            status::render(&status, screen, now())
        });
    }
}

/// Each command shows how it is used; each example is one that clap takes.
#[test]
fn every_help_has_an_example_that_parses() {
    use clap::CommandFactory;
    for command in Cli::command().get_subcommands() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples = help.strip_prefix("Example:\n").unwrap_or_else(|| panic!("{command}"));
        for line in examples.lines() {
            let line = line.split(['|', '&', '>']).next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(words.get(1), Some(&command.get_name()));
            assert!(Cli::try_parse_from(&words).is_ok(), "{line}");
        }
    }
}

/// `docs/reference/commands.md` as it should be: every command's help.
fn reference() -> String {
    use clap::CommandFactory;
    let mut whole = Cli::command().disable_help_subcommand(true);
    whole.build();
    let mut text = "# Every command and option\n\n\
                    What `twill COMMAND --help` says, made from the program and checked by its \
                    tests. What they are for: [the command line](cli.md).\n"
        .to_owned();
    for command in whole.get_subcommands() {
        let help = command.clone().term_width(100).render_long_help().to_string();
        let help: Vec<&str> = help.lines().map(str::trim_end).collect();
        let (name, help) = (command.get_name(), help.join("\n"));
        text.push_str(&format!("\n## twill {name}\n\n```text\n{}\n```\n", help.trim_end()));
    }
    text
}

/// With TWILL_REGENERATE set, the page is written anew.
#[test]
fn the_reference_of_commands_is_current() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference");
    let page = docs.join("commands.md");
    if std::env::var_os("TWILL_REGENERATE").is_some() {
        std::fs::write(&page, reference()).unwrap();
    }
    let shown = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(shown == reference(), "commands.md is old: run this test with TWILL_REGENERATE=1");
    let guide = std::fs::read_to_string(docs.join("cli.md")).unwrap();
    use clap::CommandFactory;
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        assert!(guide.contains(&format!("| `{name}")), "{name} is not in cli.md");
    }
}

#[test]
fn every_command_has_a_man_page() {
    use clap::CommandFactory;
    let dir = TempDir::new();
    let pages = dir.path().join("man1");
    super::man::write(&pages).unwrap();
    let whole = std::fs::read_to_string(pages.join("twill.1")).unwrap();
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        let page = std::fs::read_to_string(pages.join(format!("twill-{name}.1"))).unwrap();
        assert!(page.contains("Example:"), "{name}: {page}");
        assert!(whole.contains(&name.replace('-', "\\-")), "{name}");
    }
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
