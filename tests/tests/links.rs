//! The documentation's links lead somewhere: every relative one of README.md, ARCHITECTURE.md,
//! CONTRIBUTING.md and docs/, and its anchor, where it names one.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root().join(name)).into();
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages
}

/// The targets of `[text](target)`, outside of code.
fn targets(text: &str) -> Vec<String> {
    let prose: String = text.split("```").step_by(2).collect();
    let prose: String = prose.split('`').step_by(2).collect();
    let ends = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    ends.map(|(target, _)| target.to_owned()).collect()
}

/// The anchors of a page's headings, as they are made from their words.
fn anchors(text: &str) -> Vec<String> {
    let prose = text.split("```").step_by(2);
    let headings = prose.flat_map(str::lines).filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let words = line.trim_start_matches('#').trim().to_lowercase();
            let kept = words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// What is wrong with one link, if anything.
fn fault(page: &Path, text: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() { page.to_owned() } else { page.parent()?.join(file) };
    if !path.exists() {
        return Some(format!("{}: {target}: no such file", page.display()));
    }
    if anchor.is_empty() {
        return None;
    }
    let there = if file.is_empty() { text.to_owned() } else { fs::read_to_string(&path).ok()? };
    (!anchors(&there).iter().any(|heading| heading == anchor))
        .then(|| format!("{}: {target}: no such heading", page.display()))
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut seen = 0;
    let mut faults = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let targets = targets(&text);
        seen += targets.len();
        faults.extend(targets.iter().filter_map(|target| fault(&page, &text, target)));
    }
    assert!(seen > 20, "only {seen} links were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_broken_link_is_found() {
    let page = root().join("docs/README.md");
    let text = "# A heading, in `code`\n[a](nowhere.md) [b](#a-heading-in-code) [c](#none)\n\
                ```\n[d](code.md)\n``` `[e](code.md)` [f](https://example.com) [g](../README.md)";
    assert_eq!(targets(text).len(), 5);
    let broken: Vec<String> =
        targets(text).iter().filter_map(|target| fault(&page, text, target)).collect();
    assert_eq!(broken.len(), 2, "{broken:?}");
}
