//! The conformance page tells the truth about which tests there are.

#![allow(clippy::unwrap_used, reason = "a test's helpers are tests")]

use std::fs;
use std::path::{Path, PathBuf};

/// `tests/attach.rs` for `attach::x`, or `src/config/environment.rs` and its like for `config::...`.
fn source_of(modules: &[&str]) -> Option<PathBuf> {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let modules: PathBuf = modules.iter().filter(|module| **module != "tests").collect();
    let candidates = [
        crate_dir.join("tests").join(&modules).with_extension("rs"),
        crate_dir.join("src").join(&modules).with_extension("rs"),
        crate_dir.join("src").join(&modules).join("tests.rs"),
    ];
    candidates.into_iter().find(|path| path.exists())
}

fn exists(name: &str) -> bool {
    let parts: Vec<&str> = name.split("::").collect();
    let (last, modules) = parts.split_last().unwrap();
    let Some(file) = source_of(modules) else { return false };
    let text = fs::read_to_string(&file).unwrap();
    let of_file = format!("\n#[test]\nfn {last}()");
    let of_module = format!("\n    #[test]\n    fn {last}()");
    let whole = *last == "tests" && file.ends_with("tests.rs");
    whole || text.contains(&of_file) || text.contains(&of_module)
}

#[test]
fn every_named_test_exists() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/cni-conformance.md");
    let page = fs::read_to_string(page).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| section"));
    let mut named = 0;
    for row in rows {
        let tests = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let mut of_row = 0;
        for name in tests.split('`').skip(1).step_by(2) {
            assert!(exists(name), "{name} is named by the page and is no test: {row}");
            of_row += 1;
        }
        assert!(of_row > 0, "no test is named: {row}");
        named += of_row;
    }
    assert!(named > 40, "the page was not read");
    assert!(!exists("attach::no_such_test"));
}
