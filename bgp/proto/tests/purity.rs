//! The core is pure, and its manifest proves it: a crate that is not named there cannot be used.
//!
//! The manifest is read as text, so that nothing has to run or be resolved. The list of what may
//! be named is closed: a new dependency is a decision that is made here as well.

use std::fs;
use std::path::Path;

/// What the core may be built from. None of them can open a socket, spawn a task or read a clock
/// by itself.
const DEPENDENCIES: [&str; 3] = ["bytes", "hashbrown", "thiserror"];

/// What its tests may use besides. bgpkit-parser reads messages and nothing else here: its
/// features that fetch files are off.
const DEV_DEPENDENCIES: [&str; 2] = ["bgpkit-parser", "proptest"];

/// What would end the proof, wherever it stood: runtimes, sockets, netlink, Kubernetes.
const BANNED: [&str; 20] = [
    "async-std",
    "axum",
    "futures",
    "hyper",
    "k8s-openapi",
    "kube",
    "libc",
    "mio",
    "netlink",
    "nix",
    "reqwest",
    "rtnetlink",
    "rustix",
    "smol",
    "socket2",
    "tokio",
    "tower",
    "tracing",
    "twill-agent",
    "twill-bgp",
];

fn manifest() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    fs::read_to_string(path).expect("the crate's own manifest")
}

/// Crates named by the manifest, each with the table it stands in. Understands
/// `name = ...`, `name.workspace = true`, `"name" = ...`, `[dependencies.name]`, and tables for
/// one target; `package = "..."` names what a key only renames.
fn named(manifest: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut table = String::new();
    for line in manifest.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(header) = line.strip_prefix('[').and_then(|line| line.split(']').next()) {
            table = header.trim_matches('[').trim().to_owned();
            let parts: Vec<&str> = table.split('.').collect();
            if let Some(at) = parts.iter().position(|part| part.ends_with("dependencies")) {
                let name = parts[at + 1..].join(".");
                if !name.is_empty() {
                    found.push((parts[..=at].join("."), unquoted(&name)));
                }
            }
            continue;
        }
        if !table.contains("dependencies") {
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        if table.ends_with("dependencies") {
            let name = key.trim().split('.').next().unwrap_or_default();
            found.push((table.clone(), unquoted(name)));
        }
        let package = if key.trim() == "package" {
            Some(value)
        } else {
            value.split_once("package").and_then(|(_, rest)| rest.split_once('=')).map(|(_, v)| v)
        };
        if let Some(package) = package.and_then(|package| package.split('"').nth(1)) {
            found.push((table.clone(), package.to_owned()));
        }
    }
    found
}

fn unquoted(name: &str) -> String {
    name.trim().trim_matches('"').to_owned()
}

/// A crate of the list, or one of its family: `tokio-util`, `netlink-sys`.
fn is_banned(name: &str) -> bool {
    name != "twill-bgp-proto"
        && BANNED.iter().any(|banned| {
            name.strip_prefix(banned).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        })
}

#[test]
fn the_manifest_names_nothing_that_could_act() {
    let named = named(&manifest());
    for (table, name) in &named {
        assert!(!is_banned(name), "[{table}] names {name}: the core must stay pure");
        let allowed: &[&str] = match table.as_str() {
            "dependencies" => &DEPENDENCIES,
            "dev-dependencies" => &DEV_DEPENDENCIES,
            other => panic!("[{other}] names {name}: the core has no such dependencies"),
        };
        assert!(
            allowed.contains(&name.as_str()),
            "[{table}] names {name}: say in {} why the core may use it",
            file!()
        );
    }
    assert!(!named.is_empty(), "the manifest was not understood");
}

#[test]
fn the_manifest_has_no_build_script() {
    let manifest = manifest();
    assert!(!manifest.lines().any(|line| line.trim_start().starts_with("build")));
    assert!(!Path::new(env!("CARGO_MANIFEST_DIR")).join("build.rs").exists());
}

#[test]
fn a_dependency_is_found_however_it_is_written() {
    let names = |text| -> Vec<String> { named(text).into_iter().map(|(_, name)| name).collect() };
    assert_eq!(names("[dependencies]\ntokio = \"1\"\n"), ["tokio"]);
    assert_eq!(names("[dependencies]\n\"tokio\" = { version = \"1\" }\n"), ["tokio"]);
    assert_eq!(names("[dependencies]\ntokio.workspace = true # pure?\n"), ["tokio"]);
    assert_eq!(names("[dependencies.tokio]\nversion = \"1\"\n"), ["tokio"]);
    assert_eq!(names("[target.'cfg(unix)'.dependencies]\nnix = \"1\"\n"), ["nix"]);
    assert_eq!(names("[dev-dependencies]\ntokio = \"1\"\n"), ["tokio"]);
    assert_eq!(names("[dependencies]\nt = { package = \"tokio\" }\n"), ["t", "tokio"]);
    assert_eq!(names("[dependencies.t]\npackage = \"tokio\"\n"), ["t", "tokio"]);
    assert_eq!(names("[package]\nname = \"tokio\"\n"), [""; 0]);
    assert!(is_banned("tokio") && is_banned("tokio-util") && is_banned("netlink-sys"));
    assert!(!is_banned("nom") && !is_banned("twill-bgp-proto"));
}
