//! Running cargo.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The checkout that this program was built from.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// A cargo command at the root of the checkout.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// Runs a command, its output shown; an error where it fails.
pub(crate) fn run(what: &str, command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {what}"))?;
    if !status.success() {
        bail!("{what} failed ({status})");
    }
    Ok(())
}

/// Where cargo puts the programs of a profile.
pub(crate) fn target(profile: &str) -> Result<PathBuf> {
    let output = cargo(&["metadata", "--no-deps", "--format-version", "1"]).output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let directory = metadata["target_directory"].as_str().context("cargo names no target")?;
    Ok(Path::new(directory).join(profile))
}

/// Builds all programs for the lab; the folder that they are in.
pub(crate) fn build_programs() -> Result<PathBuf> {
    // Without the running program itself: its file must stay.
    let build = ["build", "--quiet", "--workspace", "--exclude", "xtask", "--bins"];
    run("cargo build", &mut cargo(&build))?;
    target("debug")
}

/// Builds the simulation, and hands over to it.
pub(crate) fn sim(arguments: &[String]) -> Result<()> {
    let build = ["build", "--quiet", "--profile", "sim", "--package", "twill-bgp-sim"];
    run("cargo build", &mut cargo(&build))?;
    run("the simulation", Command::new(target("sim")?.join("twill-sim")).args(arguments))
}

/// Builds the book, by a program of its own: mdBook would make this one slow to build.
pub(crate) fn book(output: Option<&Path>) -> Result<()> {
    let mut command = cargo(&["run", "--quiet", "--package", "twill-book", "--", "build"]);
    if let Some(output) = output {
        // From where this was called, not from the root of the checkout.
        command.arg("--output").arg(std::path::absolute(output)?);
    }
    run("the book", &mut command)
}

/// Builds what users would run, and hands over to the bench program.
pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    println!("Building the release programs; with link-time optimisation this takes a while.");
    let cni = arguments.first().is_some_and(|name| name == "cni");
    let what: &[&str] =
        if cni { &["--package", "twill-bench"] } else { &["--workspace", "--exclude", "xtask"] };
    let build = [&["build", "--quiet", "--bins", "--release"], what].concat();
    run("cargo build", &mut cargo(&build))?;
    let directory = target("release")?;
    if cni {
        build_static("twill-cni", "twill-cni", "release", &directory)?;
        build_static("twill-bench", "cni-floor", "release", &directory)?;
    }
    run(
        "the bench program",
        Command::new(directory.join("twill-bench"))
            .args(arguments)
            .current_dir(root())
            .env("TWILL_BIN_DIR", &directory),
    )
}

/// Builds one program as users get it, into `static` beside the others of its profile; its path.
pub(crate) fn build_static(
    package: &str,
    program: &str,
    profile: &str,
    directory: &Path,
) -> Result<PathBuf> {
    let build = ["rustc", "--quiet", "--profile", profile, "--package", package, "--bin", program];
    // Relative relocations packed: a thirtieth of their size, in the file and, as they are read at
    // every start, in memory.
    let packed = "link-arg=-Wl,-z,pack-relative-relocs";
    let flags = ["--", "-C", "target-feature=+crt-static", "-C", packed];
    run("cargo rustc", &mut cargo(&[&build[..], &flags].concat()))?;
    let to = directory.join("static");
    std::fs::create_dir_all(&to)?;
    std::fs::copy(directory.join(program), to.join(program))
        .with_context(|| format!("cannot copy {program}"))?;
    Ok(to.join(program))
}
