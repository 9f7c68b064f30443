//! Routers that are not ours, as Debian packages them.

mod bird;
mod exabgp;
mod frr;
mod gobgp;
mod openbgpd;

pub use bird::Bird;
pub use exabgp::{Exabgp, ExabgpRoute};
pub use frr::Frr;
pub use gobgp::Gobgp;
pub use openbgpd::Openbgpd;

use std::path::PathBuf;

use anyhow::{Context, Result};

/// The first of `candidates` that is installed; the variable, where set, comes before.
fn program(variable: &str, candidates: &[&str]) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Some(PathBuf::from(path));
    }
    candidates.iter().map(PathBuf::from).find(|path| path.is_file())
}

/// The last word of a text: a version, where a program tells its own.
fn last_word(text: &str) -> Result<String> {
    Ok(text.split_whitespace().last().context("no version was shown")?.to_owned())
}
