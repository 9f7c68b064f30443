//! `cargo xtask deb`: a package for Debian and what derives from it, made with `dpkg-deb`.
//!
//! Two static programs, a unit for systemd with few privileges, and the scripts that install the
//! plugin and replace an agent that runs. All but the programs lies in `deploy/`, as it is shipped.

#[cfg(test)]
mod tests;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::cargo::{root, run as run_program, target};
use crate::image::{architecture, shown, static_programs};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What is shipped as it lies in the repository.
const FILES: [(&str, &str, u32); 5] = [
    ("deploy/systemd/twill.service", "usr/lib/systemd/system/twill.service", 0o644),
    ("deploy/debian/twill.yaml", "usr/share/doc/twill/examples/twill.yaml", 0o644),
    ("deploy/debian/postinst", "DEBIAN/postinst", 0o755),
    ("deploy/debian/prerm", "DEBIAN/prerm", 0o755),
    ("deploy/debian/postrm", "DEBIAN/postrm", 0o755),
];

/// Folders that the unit lets the agent write in: it may not make them.
const FOLDERS: [&str; 4] = ["etc/twill", "etc/cni/net.d", "var/lib/cni/networks", "opt/cni/bin"];

#[derive(Args)]
pub(crate) struct Options {
    /// Where the package goes [default: target/deb/twill_VERSION_ARCHITECTURE.deb]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The profile that the programs are built with; `dev` is quick, and large
    #[arg(long, default_value = "release")]
    profile: String,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let programs = static_programs(&options.profile)?;
    let output = match &options.output {
        Some(output) => output.clone(),
        None => target("deb")?.join(format!("twill_{VERSION}_{}.deb", architecture()?)),
    };
    if let Some(parent) = output.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent)?;
    }
    let package = Package { version: VERSION, programs: &programs, compress: true };
    package.build(&target("deb")?.join("tree"), &output)?;
    // `apt` takes a name without a slash for a package's.
    println!("  apt install {}", Path::new(".").join(shown(&output)).display());
    Ok(())
}

/// What goes into the package beside the files of the repository.
struct Package<'a> {
    version: &'a str,
    /// Names and contents.
    programs: &'a [(&'static str, Vec<u8>)],
    /// Off for a package that is unpacked again at once.
    compress: bool,
}

impl Package<'_> {
    /// Lays the files out in `tree`, which is emptied first, and packs them.
    fn build(&self, tree: &Path, output: &Path) -> Result<()> {
        match fs::remove_dir_all(tree) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot empty {}", tree.display()));
            }
            _ => {}
        }
        for folder in FOLDERS {
            fs::create_dir_all(tree.join(folder))?;
        }
        for (from, to, mode) in FILES {
            let content = fs::read(root().join(from)).with_context(|| format!("no {from}"))?;
            put(&tree.join(to), &content, mode)?;
        }
        let mut octets = 0;
        for (program, content) in self.programs {
            // The plugin is no command; what runs it is a copy where runtimes look.
            let place = if *program == "twill" { "usr/bin" } else { "usr/lib/twill" };
            put(&tree.join(place).join(program), content, 0o755)?;
            octets += content.len();
        }
        if self.programs.iter().any(|(program, _)| *program == "twill") {
            texts(tree)?;
        }
        put(&tree.join("usr/share/doc/twill/copyright"), copyright()?.as_bytes(), 0o644)?;
        put(&tree.join("DEBIAN/control"), self.control(octets)?.as_bytes(), 0o644)?;
        let method = if self.compress { "-Zxz" } else { "-Znone" };
        run_program(
            "dpkg-deb (package dpkg)",
            Command::new("dpkg-deb")
                .args(["--root-owner-group", method, "--build"])
                .args([tree, output])
                .stdout(std::process::Stdio::null()),
        )
    }

    fn control(&self, octets: usize) -> Result<String> {
        Ok(format!(
            "Package: twill\n\
             Version: {}\n\
             Architecture: {}\n\
             Maintainer: Twill maintainers <maintainers@twill.invalid>\n\
             Installed-Size: {}\n\
             Section: net\n\
             Priority: optional\n\
             Suggests: containerd | cri-o\n\
             Description: routes of pods by BGP\n \
             Every node announces its pod CIDRs over BGP to all others, installs what it learns\n \
             into the kernel, and attaches pods with a thin CNI plugin.\n",
            self.version,
            architecture()?,
            octets.div_ceil(1024),
        ))
    }
}

/// Completions, and where the shells of Debian look for them.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/twill"),
    ("zsh", "usr/share/zsh/vendor-completions/_twill"),
    ("fish", "usr/share/fish/vendor_completions.d/twill.fish"),
];

/// Man pages and completions, written by the program that they are of.
fn texts(tree: &Path) -> Result<()> {
    let twill = tree.join("usr/bin/twill");
    let run = |arguments: &[&str]| {
        let output = Command::new(&twill).args(arguments).output();
        let output = output.with_context(|| format!("cannot run {}", twill.display()))?;
        anyhow::ensure!(output.status.success(), "`twill {}` failed", arguments.join(" "));
        Ok(output.stdout)
    };
    run(&["man", &tree.join("usr/share/man/man1").to_string_lossy()])?;
    for (shell, place) in COMPLETIONS {
        put(&tree.join(place), &run(&["completions", shell])?, 0o644)?;
    }
    Ok(())
}

fn copyright() -> Result<String> {
    let license = fs::read_to_string(root().join("LICENSE"))?;
    Ok(format!("Twill is licensed under the Apache License, version 2.0:\n\n{license}"))
}

fn put(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok(())
}
