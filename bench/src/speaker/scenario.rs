//! One round of one scenario with one daemon.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use twill_bgp_proto::types::Prefix;
use twill_tests::lab::{Host, Lab, Process, WAIT, wait_for};
use twill_tests::node::binary;

use super::Options;
use super::daemon::{Daemon, Setup};
use super::player::{Answer, address, daemon, now, table};
use super::probe::{Probe, samples};
use super::usage::{Usage, kernel_routes};
use crate::stats::{percentile, sorted};

/// See the table in the module above.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Scenario {
    A,
    B,
    C,
    D,
    E,
    Mesh,
    Storm,
    Slow,
    Overlap,
}

/// What a round came to, by the names of [`Scenario::columns`].
pub(super) type Figures = Vec<f64>;

/// How long a command of the player may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Single changes in a round of d: as many announcements as withdrawals.
const CHANGES: usize = 100;

/// From the last session's opening to the first announcement of c. FRR holds what it has to say
/// to a new session of many back for ten seconds; what is measured is a reflector at work.
fn settling(daemon: Daemon) -> Duration {
    Duration::from_secs(if daemon == Daemon::Frr { 12 } else { 1 })
}

/// Between two looks at the kernel.
const LOOK: Duration = Duration::from_millis(2);

/// How long a member of the mesh is watched being idle.
const IDLE: Duration = Duration::from_secs(10);

struct Shape {
    peers: usize,
    senders: usize,
    receivers: usize,
    prefixes: usize,
}

impl Scenario {
    pub(super) const ALL: [Scenario; 9] = [
        Scenario::A,
        Scenario::B,
        Scenario::C,
        Scenario::D,
        Scenario::E,
        Scenario::Mesh,
        Scenario::Storm,
        Scenario::Slow,
        Scenario::Overlap,
    ];

    /// The figures of a round; the first decides who is fastest.
    pub(super) fn columns(self) -> &'static [&'static str] {
        match self {
            Scenario::A | Scenario::B | Scenario::Overlap => {
                &["announce s", "withdraw s", "CPU s", "peak MB"]
            }
            Scenario::C => &["announce ms", "CPU ms", "peak MB"],
            Scenario::D => &["median ms", "p99 ms"],
            Scenario::E => &["install s", "remove s", "CPU s", "peak MB"],
            Scenario::Mesh => &["routes ms", "sessions s", "resident MB", "idle CPU %"],
            Scenario::Storm => &["all s", "sessions s", "resident MB", "idle CPU %"],
            Scenario::Slow => &["change s", "all read s", "slow: change s", "peak MB"],
        }
    }

    pub(super) fn needs_kernel(self) -> bool {
        matches!(self, Scenario::E | Scenario::Mesh | Scenario::Storm)
    }

    fn shape(self, options: &Options) -> Shape {
        let (peers, senders, receivers, prefixes) = match self {
            Scenario::A => (2, 1, 1, options.prefixes),
            Scenario::B => (10, 10, 10, options.prefixes),
            Scenario::C => (options.clients, options.clients, options.clients, options.clients * 4),
            Scenario::D => (2, 1, 1, 1),
            Scenario::E => (1, 1, 0, options.prefixes.min(1_000_000) / 5),
            Scenario::Mesh | Scenario::Storm => {
                let others = options.nodes.saturating_sub(1).max(1);
                (others, others, 0, others * 2)
            }
            Scenario::Slow => (11, 1, 10, options.prefixes),
            Scenario::Overlap => (11, 10, 1, options.prefixes),
        };
        Shape { peers, senders, receivers, prefixes }
    }

    fn ibgp(self) -> bool {
        matches!(self, Scenario::C | Scenario::Mesh | Scenario::Storm)
    }

    /// What is played, for the table's caption.
    pub(super) fn caption(self, options: &Options) -> String {
        let Shape { peers, senders, receivers, prefixes } = self.shape(options);
        let family = if options.ipv6 { "IPv6" } else { "IPv4" };
        format!("{prefixes} {family} prefixes; of {peers} peers {senders} send, {receivers} check")
    }
}

/// The daemon and its peers.
struct Stage {
    player: Process,
    answers: usize,
    host: std::rc::Rc<Host>,
    ipv6: bool,
    /// Routes in the kernel before anything was announced.
    before: usize,
    probe: Probe,
    samples: Vec<Prefix>,
}

impl Stage {
    /// The next answer, of what was asked before.
    fn answer(&mut self) -> Result<Answer> {
        self.answers += 1;
        let place = self.answers - 1;
        let (player, answers) = (&mut self.player, place);
        let text = wait_for("the player's answer", PATIENCE + WAIT, || {
            let output = player.output();
            let mut lines = output.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            if let Some(line) = lines.nth(answers) {
                return Ok(Some(line.to_owned()));
            }
            Ok((!player.is_running()).then(|| output.clone()))
        })?;
        serde_json::from_str(&text).with_context(|| format!("the player said: {text}"))
    }

    fn ask(&mut self, command: &str) -> Result<Answer> {
        self.player.write(&format!("{command}\n"))?;
        let answer = self.answer().with_context(|| command.to_owned())?;
        if answer.strange > 0 {
            bail!("{command}: {} prefixes that nobody announced", answer.strange);
        }
        Ok(answer)
    }

    fn usage(&self) -> Result<Usage> {
        Usage::of(&self.host)
    }

    /// Waits until the kernel has so many routes; when that was. First only some are looked for:
    /// counting all slows those down who write.
    fn in_kernel(&self, wanted: usize) -> Result<f64> {
        let deadline = Instant::now() + PATIENCE;
        for sample in &self.samples {
            while self.probe.holds(*sample)? != (wanted > self.before) {
                if Instant::now() > deadline {
                    bail!("{sample} is not as it should be in the kernel");
                }
                rest(LOOK);
            }
        }
        loop {
            let found = kernel_routes(&self.host, self.ipv6)?;
            if found == wanted {
                return now();
            }
            if Instant::now() > deadline {
                bail!("{found} routes in the kernel instead of {wanted}");
            }
            rest(LOOK);
        }
    }

    /// Seconds from the command's first octet until the kernel has so many routes.
    fn until_in_kernel(&mut self, command: &str, wanted: usize) -> Result<f64> {
        self.player.write(&format!("{command}\n"))?;
        let done = self.in_kernel(wanted).with_context(|| command.to_owned())?;
        Ok(done - self.answer()?.began)
    }

    /// Resident memory in MB, and the share of a core, while nothing happens.
    fn idle(&self) -> Result<[f64; 2]> {
        let before = self.usage()?;
        rest(IDLE);
        let after = self.usage()?;
        Ok([after.resident, (after.cpu - before.cpu) / IDLE.as_secs_f64() * 100.0])
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement takes the time it is told to take")]
fn rest(time: Duration) {
    std::thread::sleep(time);
}

/// Builds the lab, starts the daemon, opens the sessions.
fn stage(lab: &Lab, scenario: Scenario, under_test: Daemon, options: &Options) -> Result<Stage> {
    let Shape { peers, senders, receivers, prefixes } = scenario.shape(options);
    let (ipv6, ibgp) = (options.ipv6, scenario.ibgp());
    let lan = lab.switch("lan")?;
    let (host, load) = (lab.host("dut")?, lab.host("load")?);
    let length = if ipv6 { 64 } else { 16 };
    lab.plug(&host, "eth0", &lan, &[&format!("{}/{length}", daemon(ipv6))])?;
    let own: Vec<String> =
        (0..peers).map(|peer| format!("{}/{length}", address(peer, ipv6))).collect();
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    lab.plug(&load, "eth0", &lan, &own)?;
    let (mut owned, mut looked_for) = (Vec::new(), Vec::new());
    if scenario.needs_kernel() {
        let mrt = options.mrt.as_deref();
        let table = table(prefixes, senders, (ibgp, ipv6), mrt)?;
        looked_for = samples(table.prefixes(), ipv6)?;
    }
    if ibgp {
        let table = table(prefixes, senders, (ibgp, ipv6), None)?;
        let share = prefixes.div_ceil(senders);
        owned = table.prefixes().chunks(share).map(<[_]>::to_vec).collect();
    }
    let reflector = scenario == Scenario::C;
    let setup = Setup { peers, reflector, ibgp, ipv6, kernel: scenario.needs_kernel(), owned };
    under_test.start(&host, &setup)?;
    let before = kernel_routes(&host, ipv6)?;
    let program = binary("twill-bench")?.to_string_lossy().into_owned();
    let mut words = vec![program, "player".to_owned()];
    for (key, value) in [
        ("--peers", peers),
        ("--senders", senders),
        ("--receivers", receivers),
        ("--prefixes", prefixes),
    ] {
        words.extend([key.to_owned(), value.to_string()]);
    }
    words.extend(ibgp.then(|| "--ibgp".to_owned()));
    words.extend(ipv6.then(|| "--ipv6".to_owned()));
    words.extend((scenario == Scenario::Overlap).then(|| "--overlap".to_owned()));
    words.extend((scenario == Scenario::Storm).then(|| "--at-once".to_owned()));
    if let Some(file) = options.mrt.as_ref().filter(|_| !ibgp) {
        words.extend(["--mrt".to_owned(), file.to_string_lossy().into_owned()]);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let player = load.spawn("player", &words)?;
    let probe = Probe::open(&host)?;
    Ok(Stage { player, answers: 0, host, ipv6, before, probe, samples: looked_for })
}

pub(super) fn round(scenario: Scenario, under_test: Daemon, options: &Options) -> Result<Figures> {
    let lab = Lab::new("speaker")?;
    let mut stage = stage(&lab, scenario, under_test, options)?;
    let Shape { prefixes, .. } = scenario.shape(options);
    let all = stage.before + prefixes;
    if scenario == Scenario::Storm {
        let done = stage.in_kernel(all)?;
        let opened = stage.answer().context("opening the sessions")?;
        let [resident, share] = stage.idle()?;
        lab.passed()?;
        return Ok(vec![done - opened.began, opened.seconds, resident, share]);
    }
    let opened = stage.answer().context("opening the sessions")?.seconds;
    let idle = stage.usage()?;
    let figures = match scenario {
        Scenario::A | Scenario::B | Scenario::Overlap => {
            let announce = stage.ask("announce")?;
            let withdraw = stage.ask("withdraw")?;
            let usage = stage.usage()?;
            vec![announce.seconds, withdraw.seconds, usage.cpu - idle.cpu, usage.peak]
        }
        Scenario::C => {
            rest(settling(under_test));
            let idle = stage.usage()?;
            let announce = stage.ask("announce")?;
            let usage = stage.usage()?;
            vec![announce.seconds * 1000.0, (usage.cpu - idle.cpu) * 1000.0, usage.peak]
        }
        Scenario::D => {
            let each = sorted(stage.ask(&format!("single {CHANGES}"))?.each);
            vec![percentile(&each, 50), percentile(&each, 99)]
        }
        Scenario::E => {
            let install = stage.until_in_kernel("announce", all)?;
            let remove = stage.until_in_kernel("withdraw", stage.before)?;
            let usage = stage.usage()?;
            vec![install, remove, usage.cpu - idle.cpu, usage.peak]
        }
        Scenario::Mesh | Scenario::Storm => {
            let routes = stage.until_in_kernel("announce", all)?;
            let [resident, share] = stage.idle()?;
            vec![routes * 1000.0, opened, resident, share]
        }
        Scenario::Slow => slow(&mut stage, options)?,
    };
    lab.passed()?;
    Ok(figures)
}

/// The routes of e by a writer without a daemon: the least that anybody needs.
pub(super) fn bare(scenario: Scenario, options: &Options) -> Result<Figures> {
    let Shape { prefixes, .. } = scenario.shape(options);
    let lab = Lab::new("speaker-floor")?;
    let lan = lab.switch("lan")?;
    let (host, load) = (lab.host("dut")?, lab.host("load")?);
    let length = if options.ipv6 { 64 } else { 16 };
    lab.plug(&host, "eth0", &lan, &[&format!("{}/{length}", daemon(options.ipv6))])?;
    lab.plug(&load, "eth0", &lan, &[&format!("{}/{length}", address(0, options.ipv6))])?;
    let program = binary("twill-bench")?.to_string_lossy().into_owned();
    let prefixes = prefixes.to_string();
    let mut words = vec![&*program, "writer", "--prefixes", &prefixes];
    words.extend(options.ipv6.then_some("--ipv6"));
    let text = host.run(&words)?;
    let times: Vec<f64> =
        serde_json::from_str(&text).with_context(|| format!("the writer said: {text}"))?;
    lab.passed()?;
    Ok([times, vec![f64::NAN; 2]].concat())
}

/// First a change with all reading, then the same with one that does not.
fn slow(stage: &mut Stage, options: &Options) -> Result<Figures> {
    stage.ask("announce")?;
    let all = stage.ask("change")?.seconds;
    stage.ask("announce")?;
    stage.ask("deafen")?;
    let begin = Instant::now();
    let others = stage.ask("change")?.seconds;
    rest(Duration::from_secs(options.deaf).saturating_sub(begin.elapsed()));
    stage.ask("listen")?;
    let settled = stage.ask("settle")?.seconds;
    Ok(vec![all, settled, others, stage.usage()?.peak])
}
