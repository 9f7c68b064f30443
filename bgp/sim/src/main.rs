//! `twill-sim`: many speakers on a fake clock. See `--help`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use twill_bgp_sim::{Failure, Plan, Report, Shape, World, run};

/// Plays many BGP speakers against each other on a fake clock and a fake network, through faults
/// that a seed draws, and checks what they come to
#[derive(Parser)]
#[command(name = "cargo xtask sim", version)]
struct Arguments {
    /// The first seed; the same seed and options replay the same run
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many speakers; of random topologies, at most [default: 9 of random ones, else 50]
    #[arg(long)]
    speakers: Option<u32>,
    /// Who speaks with whom
    #[arg(long, value_enum, default_value_t = Topology::Random)]
    topology: Topology,
    /// Seed after seed is run for so long; without it, one seed
    #[arg(long)]
    minutes: Option<u64>,
    /// How often faults are followed by a rest and a check
    #[arg(long)]
    rounds: Option<u64>,
    /// Faults before each rest
    #[arg(long)]
    faults: Option<u64>,
    /// Prefixes of each speaker, at most 8: IPv4 and IPv6 in turns
    #[arg(long)]
    prefixes: Option<u32>,
    /// How many speakers reflect
    #[arg(long)]
    reflectors: Option<u32>,
    /// With how many reflectors each of the others speaks
    #[arg(long)]
    homes: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Topology {
    /// A small one that the seed draws, with delays and bounds that it draws as well
    Random,
    /// Everyone with everyone
    Full,
    /// Everyone with the reflectors
    Reflectors,
    /// Several ASes
    Ases,
}

impl Arguments {
    fn plan(&self) -> Plan {
        let speakers = self.speakers.unwrap_or(50);
        let base = match self.topology {
            Topology::Random => {
                Plan { speakers: self.speakers.unwrap_or(Plan::small().speakers), ..Plan::small() }
            }
            Topology::Full => Plan::large(Shape::Full, speakers),
            Topology::Reflectors => Plan::large(Shape::Reflectors, speakers),
            Topology::Ases => Plan::large(Shape::Ases, speakers),
        };
        Plan {
            rounds: self.rounds.unwrap_or(base.rounds),
            faults: self.faults.unwrap_or(base.faults),
            prefixes: self.prefixes.unwrap_or(base.prefixes),
            reflectors: self.reflectors.unwrap_or(base.reflectors),
            homes: self.homes.unwrap_or(base.homes),
            ..base
        }
    }

    /// The options that lead to the same run.
    fn again(&self, seed: u64) -> String {
        let mut words = format!("cargo xtask sim --seed {seed}");
        let topology = match self.topology {
            Topology::Random => "random",
            Topology::Full => "full",
            Topology::Reflectors => "reflectors",
            Topology::Ases => "ases",
        };
        if self.topology != Topology::Random {
            words += &format!(" --topology {topology}");
        }
        let numbers = [
            ("speakers", self.speakers.map(u64::from)),
            ("rounds", self.rounds),
            ("faults", self.faults),
            ("prefixes", self.prefixes.map(u64::from)),
            ("reflectors", self.reflectors.map(u64::from)),
            ("homes", self.homes.map(u64::from)),
        ];
        for (name, value) in numbers {
            if let Some(value) = value {
                words += &format!(" --{name} {value}");
            }
        }
        words
    }
}

/// The most memory that this process had, in MB, as the kernel counts it.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0) / 1024
}

fn told(world: &World, round: u64, begin: Instant) {
    let counters = world.counters;
    println!(
        "  round {round}: {:.0} s in there, {:.1} s here; {} events, {} messages, {} sides of \
         sessions up, {} changes; {} MB at most",
        world.now as f64 / 1e6,
        begin.elapsed().as_secs_f64(),
        counters.events,
        counters.messages,
        world.sides_up(),
        counters.changes,
        peak(),
    );
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let plan = arguments.plan();
    let begin = Instant::now();
    let long = arguments.minutes.map(|minutes| Duration::from_secs(60 * minutes));
    let quietly = arguments.topology == Topology::Random;
    let (mut seeds, mut events) = (0u64, 0u64);
    let mut seed = arguments.seed;
    loop {
        let outcome = run(&plan, seed, |world, round| {
            if !quietly || long.is_none() {
                told(world, round, begin);
            }
        });
        match outcome {
            Ok(report) => {
                seeds += 1;
                events += report.counters.events;
                if !quietly || long.is_none() {
                    print_report(seed, &report);
                }
            }
            Err(failure) => {
                print_failure(&arguments, seed, &failure);
                return ExitCode::FAILURE;
            }
        }
        if long.is_none_or(|long| begin.elapsed() >= long) {
            break;
        }
        seed += 1;
    }
    println!(
        "{seeds} seeds from {}, {events} events, {:.0} s: nothing was wrong",
        arguments.seed,
        begin.elapsed().as_secs_f64()
    );
    ExitCode::SUCCESS
}

fn print_report(seed: u64, report: &Report) {
    let (speakers, sessions) = report.size;
    let counters = report.counters;
    println!(
        "seed {seed}: {speakers} speakers, {sessions} sessions, {:.0} s in there, {} events, {} \
         sessions came up and {} were lost, {} routes lost, trace {:016x}",
        report.simulated as f64 / 1e6,
        counters.events,
        counters.ups / 2,
        counters.downs / 2,
        counters.losses,
        report.trace,
    );
}

fn print_failure(arguments: &Arguments, seed: u64, failure: &Failure) {
    println!("{failure}");
    println!("seed {seed} failed; again by: {}", arguments.again(seed));
}
