//! `cargo xtask fuzz`: the targets of `fuzz/` under libFuzzer, for as long as wanted.
//!
//! Built here as cargo-fuzz builds them with `-s none`, so that nothing needs to be installed but a
//! C++ compiler, and the stable toolchain is enough. See docs/decisions/0011.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::cargo::{cargo, root, run as run_program};

/// What the compiler adds for libFuzzer: counters on every edge, and the operands of comparisons.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Clink-dead-code -Ccodegen-units=1";

/// Longer than any message, with its octet of session.
const LONGEST_INPUT: u32 = 8192;

#[derive(Args)]
pub(crate) struct Options {
    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Those to run; all of them unless named
    targets: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    if options.targets.is_empty() {
        return all(options.seconds);
    }
    let programs = build()?;
    options.targets.iter().try_for_each(|target| search(&programs, target, options.seconds))
}

/// Every target, each for so many seconds.
pub(crate) fn all(seconds: u64) -> Result<()> {
    let programs = build()?;
    targets()?.iter().try_for_each(|target| search(&programs, target, seconds))
}

/// The folder of the fuzz workspace.
fn folder() -> PathBuf {
    root().join("fuzz")
}

fn targets() -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder().join("fuzz_targets"))?;
    let mut targets = Vec::new();
    for entry in entries {
        let path = entry?.path();
        targets.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    targets.sort();
    Ok(targets)
}

/// Builds all targets; the folder they are in.
fn build() -> Result<PathBuf> {
    let compiler = Command::new("c++").arg("--version").stdout(Stdio::null()).status();
    if !compiler.is_ok_and(|status| status.success()) {
        bail!("libFuzzer is C++, and there is no `c++` here: install a compiler (package g++)");
    }
    let host = host()?;
    // A target of its own name, so that the flags do not reach build scripts.
    let build = ["build", "--quiet", "--release", "--bins", "--target", &host];
    let mut command = cargo(&build);
    command.current_dir(folder()).env("RUSTFLAGS", FLAGS).env_remove("CARGO_TARGET_DIR");
    run_program("cargo build of the fuzz targets", &mut command)?;
    Ok(folder().join("target").join(host).join("release"))
}

/// The triple of this machine, as rustc names it.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc names no host")?.to_owned())
}

/// Runs one target. What it finds is kept in `fuzz/corpus`, what breaks it in `fuzz/artifacts`.
fn search(programs: &Path, target: &str, seconds: u64) -> Result<()> {
    println!("── fuzz {target}, {seconds} s");
    let (corpus, artifacts) = (folder().join("corpus").join(target), folder().join("artifacts"));
    std::fs::create_dir_all(&corpus)?;
    std::fs::create_dir_all(&artifacts)?;
    let mut command = Command::new(programs.join(target));
    command
        .arg(corpus)
        .arg(folder().join("seeds").join(target))
        .arg(format!("-max_len={LONGEST_INPUT}"))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/{target}-", artifacts.display()))
        .args(["-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1", "-verbosity=0"]);
    run_program(&format!("the fuzz target {target}"), &mut command)
}
