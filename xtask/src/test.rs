//! `cargo xtask test`: all that must hold before a change lands.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::cargo::{build_programs, cargo, run as run_program};
use crate::{fuzz, packages};

#[derive(Args)]
pub(crate) struct Options {
    /// Parts whose absence fails the run instead of skipping tests: frr,bird,lab,...
    #[arg(long, value_delimiter = ',')]
    require: Vec<String>,
    /// Fuzzes as well, each target for so many seconds; without it, the tests run the seeds and
    /// some hundred thousand mutations of them
    #[arg(long, value_name = "SECONDS")]
    fuzz: Option<u64>,
    /// Runs only tests whose name contains this, and neither formats nor lints
    filter: Option<String>,
}

/// One step, its time said when it is done.
fn step(name: &str, act: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("── {name}");
    let begin = Instant::now();
    let result = act();
    println!("── {name}: {:.0} s", begin.elapsed().as_secs_f64());
    result
}

fn nextest_installed() -> bool {
    cargo(&["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn tests(options: &Options, skipped: &std::path::Path) -> Result<()> {
    let programs = build_programs()?;
    let mut command: Command = if nextest_installed() {
        cargo(&["nextest", "run", "--workspace"])
    } else {
        // Whole networks run in each of these tests: few at a time.
        let mut command = cargo(&["test", "--workspace", "--lib", "--bins", "--tests"]);
        command.env("RUST_TEST_THREADS", "3");
        command
    };
    if let Some(filter) = &options.filter {
        command.arg(filter);
    }
    command
        .env("TWILL_BIN_DIR", programs)
        .env("TWILL_REQUIRE", options.require.join(","))
        .env("TWILL_SKIPPED", skipped)
        .env("RUST_LIB_BACKTRACE", "0");
    run_program("the tests", &mut command)
}

fn run_steps(options: &Options, skipped: &std::path::Path) -> Result<()> {
    if options.filter.is_none() {
        step("format", || run_program("cargo fmt", &mut cargo(&["fmt", "--all", "--check"])))?;
        step("lint", || {
            let clippy =
                ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
            run_program("cargo clippy", &mut cargo(&clippy))
        })?;
    }
    step("tests", || tests(options, skipped))?;
    if let Some(seconds) = options.fuzz {
        step("fuzz", || fuzz::all(seconds))?;
    }
    if options.filter.is_none() {
        step("documentation", || {
            let mut doc =
                cargo(&["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items"]);
            // The rooms are read from within: links to what is private are welcome.
            let strict = "-D warnings -A rustdoc::private_intra_doc_links";
            run_program("cargo doc", doc.env("RUSTDOCFLAGS", strict))?;
            run_program(
                "the examples in the documentation",
                &mut cargo(&["test", "--quiet", "--workspace", "--doc"]),
            )
        })?;
    }
    Ok(())
}

/// The kernel's limit on packets that wait for a processor, shared by all namespaces. Its default
/// is for a host with one network, not for a dozen of hosts on two busy cores, whose packets it
/// would drop: a loss that no agent could prevent.
const BACKLOG: &str = "/proc/sys/net/core/netdev_max_backlog";
const BACKLOG_OF_A_LAB: u32 = 30_000;

/// Raises [`BACKLOG`] while it lives, where that is allowed.
struct Backlog {
    before: String,
}

impl Backlog {
    fn raise() -> Option<Backlog> {
        let before = std::fs::read_to_string(BACKLOG).ok()?.trim().to_owned();
        if before.parse::<u32>().ok()? >= BACKLOG_OF_A_LAB {
            return None;
        }
        std::fs::write(BACKLOG, BACKLOG_OF_A_LAB.to_string()).ok()?;
        println!("net.core.netdev_max_backlog: {before} -> {BACKLOG_OF_A_LAB} while the tests run");
        Some(Backlog { before })
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        // What could be written a moment ago can be written now; if not, the words above tell.
        let _ = std::fs::write(BACKLOG, &self.before);
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    packages::install()?;
    let _backlog = Backlog::raise();
    let skipped = std::env::temp_dir().join(format!("twill-skipped-{}", std::process::id()));
    let result = run_steps(options, &skipped);
    let list = std::fs::read_to_string(&skipped).unwrap_or_default();
    if !list.is_empty() {
        std::fs::remove_file(&skipped).context("cannot remove the list of skipped tests")?;
    }
    println!("\n── skipped");
    if list.is_empty() {
        println!("nothing");
    }
    let mut lines: Vec<&str> = list.lines().collect();
    lines.sort_unstable();
    for line in lines {
        println!("{line}");
    }
    if let Err(error) = result {
        bail!("{error:#}");
    }
    Ok(())
}
