//! Routers that are not ours, as Debian packages them.

mod bird;
mod frr;

pub use bird::Bird;
pub use frr::Frr;

use std::path::PathBuf;

/// The first of `candidates` that is installed; the variable, where set, comes before.
fn program(variable: &str, candidates: &[&str]) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Some(PathBuf::from(path));
    }
    candidates.iter().map(PathBuf::from).find(|path| path.is_file())
}
