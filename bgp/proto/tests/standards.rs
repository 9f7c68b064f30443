//! The page of standards names only files and tests that there are.

#![allow(clippy::unwrap_used, reason = "an error here is a failed test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where a short name of the page lies.
fn file(short: &str) -> PathBuf {
    match short.split_once('/') {
        Some(("speaker", rest)) => root().join("bgp/speaker").join(rest),
        Some(("wire" | "session" | "rib" | "types", _)) => root().join("bgp/proto/src").join(short),
        _ => root().join(short),
    }
}

/// Every test below a folder by name: functions, and rows of the fault table.
fn tests(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            for line in fs::read_to_string(&path).unwrap().lines() {
                let line = line.trim();
                let function = line.split_once("fn ").and_then(|(_, rest)| rest.split_once('('));
                let row = line.split_once(": external").filter(|(name, _)| !name.contains(' '));
                found.extend(function.or(row).map(|(name, _)| name.to_owned()));
            }
        }
    }
}

#[test]
fn every_file_and_test_of_the_page_exists() {
    let page = fs::read_to_string(root().join("docs/reference/standards.md")).unwrap();
    let mut known = BTreeSet::new();
    for folder in ["bgp", "agent/src", "tests/tests"] {
        tests(&root().join(folder), &mut known);
    }
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| RFC |"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() > 25, "{} rows", rows.len());
    for row in rows {
        let [name, done, _left_out, files, tests] = row[..] else { panic!("{row:?}") };
        assert!(!done.is_empty(), "{name}: nothing is done");
        let ticked = |cell: &'_ str| -> Vec<String> {
            cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        };
        assert!(
            !ticked(files).is_empty() && !ticked(tests).is_empty(),
            "{name}: proved by nothing"
        );
        for path in ticked(files) {
            assert!(file(&path).is_file(), "{name}: there is no {path}");
        }
        for test in ticked(tests) {
            assert!(known.contains(&test), "{name}: there is no test {test}");
        }
    }
}
