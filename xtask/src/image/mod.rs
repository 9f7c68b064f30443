//! `cargo xtask image`: the container image, made without a container daemon.
//!
//! Two static programs on nothing at all. The archive is what `docker save` writes: an OCI image
//! layout that carries docker's own `manifest.json` beside it, so `docker load`,
//! `ctr images import` and `podman load` all take it. The same programs give the same octets.

mod archive;
#[cfg(test)]
mod load;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use self::archive::{Archive, Image};
use crate::cargo::{build_static, root, target};

/// Where the programs are in the image.
const BIN: &str = "bin";
/// The image's name, as the manifests have it.
pub(crate) const NAME: &str = concat!("twill:", env!("CARGO_PKG_VERSION"));

#[derive(Args)]
pub(crate) struct Options {
    /// Where the archive goes [default: target/image/twill-VERSION-ARCHITECTURE.tar]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The image's name and tag
    #[arg(long, default_value = NAME)]
    name: String,
    /// The profile that the programs are built with; `dev` is quick, and large
    #[arg(long, default_value = "release")]
    profile: String,
}

/// As images and Debian name this machine's processor.
pub(crate) fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("no name is known for packages of {other}"),
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let files = static_programs(&options.profile)?
        .into_iter()
        .map(|(program, content)| (format!("{BIN}/{program}"), content))
        .collect();
    let image = Image { name: options.name.clone(), architecture: architecture()?, files };
    let archive = Archive::of(&image)?;
    let output = match &options.output {
        Some(output) => output.clone(),
        None => default_output()?,
    };
    if let Some(parent) = output.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(&output, &archive.content)
        .with_context(|| format!("cannot write {}", output.display()))?;
    println!("{}", output.display());
    println!(
        "  {}: {:.1} MB to unpack, {:.1} MB to pull",
        options.name,
        mb(archive.unpacked),
        mb(archive.packed)
    );
    println!(
        "  docker load --input {0}\n  ctr --namespace k8s.io images import {0}",
        shown(&output)
    );
    Ok(())
}

/// `twill` and `twill-cni`, built with this profile for machines that have nothing else.
pub(crate) fn static_programs(profile: &str) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let folder = match profile {
        "dev" => "debug",
        other => other,
    };
    let directory = target(folder)?;
    let mut files = Vec::new();
    for (package, program) in [("twill-agent", "twill"), ("twill-cni", "twill-cni")] {
        println!("building {program}, static");
        let path = build_static(package, program, profile, &directory)?;
        let content = std::fs::read(&path).with_context(|| format!("cannot read {path:?}"))?;
        check_static(program, &content)?;
        println!("  {} octets", content.len());
        files.push((program, content));
    }
    Ok(files)
}

fn default_output() -> Result<PathBuf> {
    let name = format!("twill-{}-{}.tar", env!("CARGO_PKG_VERSION"), architecture()?);
    Ok(target("image")?.join(name))
}

pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn mb(octets: usize) -> f64 {
    octets as f64 / 1e6
}

/// On an empty image there is no loader: a program that names one could not be run.
fn check_static(program: &str, content: &[u8]) -> Result<()> {
    /// Program header type of an ELF file that names its loader (PT_INTERP).
    const INTERPRETER: u32 = 3;
    let word = |at: usize, size: usize| -> Option<u64> {
        let bytes = content.get(at..at + size)?;
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    // A 64-bit little-endian ELF header: where program headers begin, how long and how many.
    let headers = || Some((word(32, 8)?, word(54, 2)?, word(56, 2)?));
    let Some((begin, size, count)) = headers().filter(|_| content.starts_with(b"\x7fELF\x02\x01"))
    else {
        bail!("{program} is no 64-bit ELF file");
    };
    for number in 0..count {
        let at = usize::try_from(begin + number * size)?;
        if word(at, 4) == Some(u64::from(INTERPRETER)) {
            bail!("{program} is not static: it wants a loader, which the image does not have");
        }
    }
    Ok(())
}
