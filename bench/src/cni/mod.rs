//! Attaching pods: our plugin, the reference's bridge with host-local, and the floor, in one run.
//!
//! All three are executed as a runtime does it, turn by turn, in a network namespace of this
//! program's own. The floor (`cni-floor`) makes the same kernel objects and nothing else.

mod contender;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use nix::sched::{CloneFlags, unshare};
use serde_json::Value;
use twill_cni::config::{BuiltIn, COOLDOWN, GatewayMode, Range};
use twill_cni::ipam::{Holder, Host, Network};
use twill_cni::link::LinkError;

use self::contender::{Contender, Pod};
use crate::stats::{percentile, sorted};

const REFERENCE: &str = "/usr/lib/cni/bridge";
const VERBS: [&str; 3] = ["ADD", "CHECK", "DEL"];
const PARALLEL: [usize; 3] = [1, 4, 16];

/// What `cni` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// Fewer rounds, and no 5,000 leases
    #[arg(long)]
    quick: bool,
    /// Rounds of each measurement of latency
    #[arg(long)]
    rounds: Option<usize>,
}

/// Runs all.
pub(crate) fn run(options: &Options) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET).context("this needs root, for network namespaces")?;
    let stage = Stage::new()?;
    let rounds = options.rounds.unwrap_or(if options.quick { 30 } else { 200 });
    let held: &[usize] = if options.quick { &[0, 250] } else { &[0, 250, 5000] };
    stage.costs()?;
    stage.throughput(if options.quick { 64 } else { 192 }, if options.quick { 1 } else { 3 })?;
    let mut seeded = 0;
    for count in held {
        stage.seed(seeded, *count)?;
        seeded = *count;
        stage.latency(rounds, *count)?;
    }
    Ok(())
}

/// A folder with leases, the bridges, who takes part.
struct Stage {
    folder: PathBuf,
    floor: PathBuf,
    contenders: Vec<Contender>,
}

impl Stage {
    fn new() -> Result<Self> {
        let programs = std::env::var_os("TWILL_BIN_DIR")
            .context("TWILL_BIN_DIR is not set: run `cargo xtask bench cni`")?;
        let programs = Path::new(&programs).join("static");
        let folder = std::env::temp_dir().join(format!("twill-bench-cni-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        for words in
            [["link", "add", "floor0", "type", "bridge"], ["link", "set", "floor0", "up", ""]]
        {
            let words = words.into_iter().filter(|word| !word.is_empty());
            if !Command::new("ip").args(words).status()?.success() {
                bail!("cannot make a bridge");
            }
        }
        let bridge = nix::net::if_::if_nametoindex("floor0")?;
        let floor = programs.join("cni-floor");
        let mut contenders = vec![
            Contender::floor(&floor, bridge),
            Contender::twill(&programs.join("twill-cni"), &folder),
        ];
        if Path::new(REFERENCE).exists() {
            contenders.push(Contender::reference(Path::new(REFERENCE), &folder));
        } else {
            println!("SKIPPED: the reference; install containernetworking-plugins");
        }
        let size = std::fs::metadata(programs.join("twill-cni"))?.len();
        println!("twill-cni: {size} bytes, static; leases in {}", folder.display());
        // Bridges are made, programs are read.
        let pod = Pod::new(1)?;
        for contender in &contenders {
            let (_, result) = contender.call("ADD", &pod, &Value::Null)?;
            contender.call("DEL", &pod, &result)?;
        }
        Ok(Self { folder, floor, contenders })
    }

    /// Memory and system calls of each verb.
    fn costs(&self) -> Result<()> {
        println!("\n{:<12}{:>6}{:>22}{:>18}", "", "", "peak memory, KiB", "system calls");
        let trace = self.folder.join("trace").display().to_string();
        let floor = self.floor.display().to_string();
        let strace = Command::new("strace").arg("-V").output().is_ok();
        let pod = Pod::new(2)?;
        for contender in &self.contenders {
            let mut counts = Vec::new();
            let mut result = Value::Null;
            for verb in VERBS.into_iter().filter(|_| strace) {
                let wrapper = ["strace", "-f", "-qq", "-o", &trace];
                let (answer, _) = contender.call_under(&wrapper, verb, &pod, &result)?;
                result = if verb == "ADD" { answer } else { result };
                let text = std::fs::read_to_string(&trace)?;
                let call = |line: &&str| line.contains('(') && !line.contains("resumed>");
                counts.push(text.lines().filter(call).count().to_string());
            }
            let mut result = Value::Null;
            for (place, verb) in VERBS.into_iter().enumerate() {
                let wrapper = [floor.as_str(), "measure"];
                let (answer, memory) = contender.call_under(&wrapper, verb, &pod, &result)?;
                result = if verb == "ADD" { answer } else { result };
                let memory = memory.trim();
                let calls = counts.get(place).map_or("no strace", String::as_str);
                println!("{:<12}{verb:>6}{memory:>22}{calls:>18}", contender.name);
            }
        }
        Ok(())
    }

    /// Pods by several runtimes at once.
    fn throughput(&self, pods: u16, times: usize) -> Result<()> {
        println!("\n{:<12}{:>12}{:>12}{:>12}", "in parallel", "", "ADD/s", "DEL/s");
        let pods: Vec<Pod> =
            (0..pods).map(|number| Pod::new(100 + number)).collect::<Result<_>>()?;
        for threads in PARALLEL {
            let mut rates = vec![(Vec::new(), Vec::new()); self.contenders.len()];
            for _ in 0..times {
                for (contender, (adds, dels)) in self.contenders.iter().zip(&mut rates) {
                    adds.push(rate(contender, "ADD", &pods, threads)?);
                    dels.push(rate(contender, "DEL", &pods, threads)?);
                }
            }
            for (contender, (adds, dels)) in self.contenders.iter().zip(rates) {
                let (add, del) = (percentile(&sorted(adds), 50), percentile(&sorted(dels), 50));
                println!("{threads:<12}{:>12}{add:>12.0}{del:>12.0}", contender.name);
            }
        }
        Ok(())
    }

    /// Leases of other pods.
    fn seed(&self, from: usize, to: usize) -> Result<()> {
        let subnet = "10.90.0.0/16".parse().map_err(|error| anyhow!("{error}"))?;
        let config = BuiltIn {
            sets: vec![vec![Range::of(subnet, GatewayMode::LinkLocal)]],
            data_dir: self.folder.clone(),
            cooldown: COOLDOWN,
            routes: Vec::new(),
            resolv_conf: None,
        };
        let network = Network::new("twill", config);
        for number in from..to {
            let container_id = format!("held-{number}");
            let holder = Holder { container_id: &container_id, interface: "eth0" };
            network.allocate(holder, &[], &mut Elsewhere)?;
            let place = u32::try_from(number)? + 0x8000;
            let address = std::net::Ipv4Addr::from_bits(0x0a5b_0000 + place);
            let lease = self.folder.join("reference").join(address.to_string());
            if lease.parent().is_some_and(Path::is_dir) {
                std::fs::write(lease, format!("{container_id}\r\neth0"))?;
            }
        }
        Ok(())
    }

    fn latency(&self, rounds: usize, held: usize) -> Result<()> {
        let pod = Pod::new(3)?;
        let mut times = vec![[const { Vec::new() }; 3]; self.contenders.len()];
        for round in 0..rounds {
            for turn in 0..self.contenders.len() {
                let place = (round + turn) % self.contenders.len();
                let contender = &self.contenders[place];
                let mut result = Value::Null;
                for (verb, times) in VERBS.into_iter().zip(&mut times[place]) {
                    let (took, answer) = contender.call(verb, &pod, &result)?;
                    result = if verb == "ADD" { answer } else { result };
                    times.push(took.as_secs_f64() * 1000.0);
                }
            }
        }
        println!(
            "\n{held} leases held, {rounds} rounds\n{:<12}{:>6}{:>10}{:>10}{:>10}{:>12}",
            "ms", "", "median", "p95", "p99", "of floor"
        );
        for (place, verb) in VERBS.into_iter().enumerate() {
            let of = |contender: &[Vec<f64>; 3]| sorted(contender[place].clone());
            let floor = times.first().map(|floor| percentile(&of(floor), 50)).unwrap_or_default();
            for (contender, times) in self.contenders.iter().zip(&times) {
                let times = of(times);
                let [median, p95, p99] = [50, 95, 99].map(|percent| percentile(&times, percent));
                let ratio = median / floor;
                let name = contender.name;
                println!("{name:<12}{verb:>6}{median:>10.2}{p95:>10.2}{p99:>10.2}{ratio:>12.2}");
            }
        }
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// Calls for all pods by so many threads; calls per second.
fn rate(contender: &Contender, verb: &str, pods: &[Pod], threads: usize) -> Result<f64> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(pod) = pods.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = contender.call(verb, pod, &Value::Null)
                        && let Ok(mut failed) = failed.lock()
                    {
                        *failed = Some(error);
                    }
                }
            });
        }
    });
    let took: Duration = start.elapsed();
    match failed.into_inner() {
        Ok(Some(error)) => Err(error),
        _ => Ok(pods.len() as f64 / took.as_secs_f64()),
    }
}

/// Where held leases are of: no address of them is this host's.
struct Elsewhere;

impl Host for Elsewhere {
    fn has(&mut self, _: IpAddr) -> Result<bool, LinkError> {
        Ok(false)
    }

    fn make_gateways(&mut self) -> Result<(), LinkError> {
        Ok(())
    }
}
