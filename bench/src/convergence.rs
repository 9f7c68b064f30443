//! One change on an idle node: from the packet with the UPDATE, as captured, to RTM_NEWROUTE, as
//! another process sees it.
//!
//! ```text
//! sender AS 65001, 10.0.0.2 ── 10.0.0.1 the daemon under test, AS 64512, and the watcher
//! ```
//!
//! Rounds of the daemons alternate, so that what disturbs the machine disturbs each alike.

use std::rc::Rc;

use anyhow::{Context, Result, bail};
use clap::Args;
use twill_tests::lab::{Host, Lab, WAIT, wait, wait_for};
use twill_tests::node::{Node, binary};
use twill_tests::router::{Bird, Frr};

use crate::stats::{percentile, sorted};

#[derive(Args)]
pub(crate) struct Options {
    /// Changes a round.
    #[arg(long, default_value_t = 200)]
    count: u16,
    /// Rounds of each daemon.
    #[arg(long, default_value_t = 3)]
    rounds: u16,
    /// Milliseconds between two changes.
    #[arg(long, default_value_t = 20)]
    pause: u16,
    /// One round of fifty changes.
    #[arg(long)]
    quick: bool,
}

/// A daemon under test.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Daemon {
    Twill,
    Bird,
    Frr,
}

/// Held while a round runs.
enum Running {
    Twill(Node),
    Bird(Bird),
    Frr(Frr),
}

const TWILL: &str = "\
node: dut
addresses: [10.0.0.1]
mesh: {mode: none}
cni: {write: false}
peers:
  - name: sender
    address: 10.0.0.2
    asn: 65001
    passive: true
    import: {default: accept}
    export: {default: reject}
";

const BIRD: &str = "\
router id 10.0.0.1;
protocol device {}
protocol kernel { scan time 60; ipv4 { import none; export all; }; }
protocol bgp sender {
  local 10.0.0.1 as 64512; neighbor 10.0.0.2 as 65001; passive on;
  ipv4 { import all; export none; };
}
";

const FRR: &str = "\
router bgp 64512
 bgp router-id 10.0.0.1
 no bgp ebgp-requires-policy
 neighbor 10.0.0.2 remote-as 65001
 neighbor 10.0.0.2 passive
";

impl Daemon {
    fn name(self) -> &'static str {
        match self {
            Daemon::Twill => "twill",
            Daemon::Bird => "BIRD",
            Daemon::Frr => "FRR",
        }
    }

    fn start(self, host: Rc<Host>) -> Result<Running> {
        Ok(match self {
            Daemon::Twill => {
                let node = Node::new(host, TWILL)?;
                node.start()?;
                Running::Twill(node)
            }
            Daemon::Bird => Running::Bird(Bird::start(host, BIRD)?),
            Daemon::Frr => Running::Frr(Frr::start(host, FRR)?),
        })
    }
}

impl Running {
    fn host(&self) -> &Host {
        match self {
            Running::Twill(node) => node.host(),
            Running::Bird(bird) => bird.host(),
            Running::Frr(frr) => frr.host(),
        }
    }
}

/// One round: the latencies in milliseconds.
fn round(daemon: Daemon, count: u16, pause: u16) -> Result<Vec<f64>> {
    let lab = Lab::new(&format!("convergence-{}", daemon.name()))?;
    let lan = lab.switch("lan")?;
    let (dut, peer) = (lab.host("dut")?, lab.host("sender")?);
    lab.plug(&dut, "eth0", &lan, &["10.0.0.1/24"])?;
    lab.plug(&peer, "eth0", &lan, &["10.0.0.2/24"])?;
    let running = daemon.start(dut)?;
    let program = binary("twill-bench")?;
    let program = program.to_str().context("the path is no text")?;
    let (count_text, pause_text) = (count.to_string(), pause.to_string());
    let watcher = running.host().spawn("watcher", &[program, "watcher", "--count", &count_text])?;
    wait("the watcher", WAIT, || Ok(watcher.output().starts_with("ready")))?;
    wait("port 179", WAIT, || Ok(running.host().run(&["ss", "-Hltn"])?.contains(":179")))?;
    let mut sender = peer.spawn(
        "sender",
        &[
            program,
            "sender",
            "--to",
            "10.0.0.1",
            "--own",
            "10.0.0.2",
            "--asn",
            "65001",
            "--count",
            &count_text,
            "--pause",
            &pause_text,
        ],
    )?;
    let within = WAIT + std::time::Duration::from_millis(2 * u64::from(count) * u64::from(pause));
    let latencies = wait_for("the watcher's report", within, || {
        let output = watcher.output();
        let line = output.lines().nth(1).filter(|_| output.ends_with('\n'));
        Ok(line.map(serde_json::from_str::<Vec<f64>>).transpose()?)
    })?;
    let ended = sender.wait(WAIT)?;
    if ended != 0 || latencies.len() < usize::from(count) {
        bail!(
            "{}: {} of {count} routes seen; the sender said: {}",
            daemon.name(),
            latencies.len(),
            sender.output()
        );
    }
    lab.passed()?;
    Ok(latencies)
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let (count, rounds) = if options.quick { (50, 1) } else { (options.count, options.rounds) };
    let mut daemons = vec![Daemon::Twill];
    for (daemon, missing) in
        [(Daemon::Bird, Bird::unavailable()), (Daemon::Frr, Frr::unavailable())]
    {
        match missing {
            None => daemons.push(daemon),
            Some(why) => println!("without {}: {why}", daemon.name()),
        }
    }
    let mut results = vec![Vec::new(); daemons.len()];
    for _ in 0..rounds {
        for (daemon, result) in daemons.iter().zip(&mut results) {
            result.extend(round(*daemon, count, options.pause)?);
        }
    }
    let own = sorted(results[0].clone());
    println!("{count} changes a round, {rounds} rounds each; milliseconds from packet to route");
    println!("{:8} {:>9} {:>9} {:>9}  {:>16}", "", "median", "p99", "worst", "median, twill=1");
    for (daemon, result) in daemons.iter().zip(results) {
        let values = sorted(result);
        println!(
            "{:8} {:9.3} {:9.3} {:9.3}  {:16.2}",
            daemon.name(),
            percentile(&values, 50),
            percentile(&values, 99),
            percentile(&values, 100),
            percentile(&values, 50) / percentile(&own, 50)
        );
    }
    Ok(())
}
