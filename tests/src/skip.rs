//! Skipping, loudly. What a machine cannot do is said on the test's output and collected for the
//! last lines of the whole run; `TWILL_REQUIRE` (`frr,bird`, as given to `--require`) makes it a
//! failure instead.

use std::io::Write;

use crate::lab;
use crate::router::{Bird, Exabgp, Frr, Gobgp, Openbgpd};

/// Why `part` cannot be had here; `None` where it can.
pub fn missing(part: &str) -> Option<String> {
    match part {
        "lab" => lab::unavailable(),
        "frr" => Frr::unavailable(),
        "bird" => Bird::unavailable(),
        "gobgp" => Gobgp::unavailable(),
        "openbgpd" => Openbgpd::unavailable(),
        "exabgp" => Exabgp::unavailable(),
        "docker" => installed("dockerd", "docker.io"),
        "compose" => installed("docker-compose", "docker-compose"),
        "debootstrap" => installed("debootstrap", "debootstrap"),
        "containerd" => installed("containerd", "containerd"),
        "apiserver" => crate::kube::real::unavailable(),
        "systemd" => crate::booted::unavailable(),
        "jq" => installed("jq", "jq"),
        "kubectl" => installed("kubectl", "kubernetes-client"),
        other => Some(format!("nobody knows how to look for {other}")),
    }
}

/// Why a program of a package cannot be run.
fn installed(program: &str, package: &str) -> Option<String> {
    let found = std::process::Command::new(program)
        .arg("--help")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();
    match found {
        Ok(status) if status.success() => None,
        _ => Some(format!("`{program}` is not installed (package {package})")),
    }
}

/// Whether the running test must be left out for want of `part`; says so.
///
/// # Panics
/// Where the part was required.
pub fn skipped(part: &str) -> bool {
    let Some(why) = missing(part) else { return false };
    left_out(part, &why);
    true
}

/// Says that the running test is left out for want of `part`.
///
/// # Panics
/// Where the part was required.
#[allow(clippy::panic, reason = "a required part that is missing fails the test that needs it")]
pub fn left_out(part: &str, why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let required = std::env::var("TWILL_REQUIRE").unwrap_or_default();
    if required.split(',').any(|required| required == part) {
        panic!("{part} is required: {why}");
    }
    eprintln!("SKIPPED {test}: {why}");
    if let Some(path) = std::env::var_os("TWILL_SKIPPED")
        && let Ok(mut file) = std::fs::File::options().append(true).create(true).open(path)
    {
        // The list is for the reader of the run; the skip itself was said above.
        let _ = writeln!(file, "{test}: {why}");
    }
}

/// Leaves a test out, loudly, where one of its parts is missing: `skip_unless!(lab, frr)`.
#[macro_export]
macro_rules! skip_unless {
    ($($part:ident),+) => {
        $(if $crate::skip::skipped(stringify!($part)) {
            return Ok(());
        })+
    };
}
