//! What must hold of a built book: every page of `docs/` is in it, and no link of it is broken.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use regex::Regex;

use crate::markdown::targets;

/// The files below a folder that end in `.extension`, sorted.
///
/// # Errors
/// A folder that cannot be listed.
pub fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ends| ends == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The pages of `docs/` that its `SUMMARY.md` does not name.
///
/// # Errors
/// A file that cannot be read.
pub fn left_out(docs: &Path) -> Result<Vec<PathBuf>> {
    let summary = fs::read_to_string(docs.join("SUMMARY.md")).context("cannot read SUMMARY.md")?;
    let named: BTreeSet<PathBuf> =
        targets(&summary).iter().map(|target| docs.join(target)).collect();
    let pages = files(docs, "md")?;
    Ok(pages
        .into_iter()
        .filter(|page| !page.ends_with("SUMMARY.md") && !named.contains(page))
        .collect())
}

/// A built page: its anchors, and where its links lead.
struct Page {
    anchors: BTreeSet<String>,
    links: Vec<String>,
}

fn read(path: &Path, attribute: &Regex) -> Result<Page> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut page = Page { anchors: BTreeSet::new(), links: Vec::new() };
    for found in attribute.captures_iter(&text) {
        let value = found[2].replace("&amp;", "&");
        match &found[1] {
            "id" => {
                page.anchors.insert(value);
            }
            _ => page.links.push(value),
        }
    }
    Ok(page)
}

/// What a look at all links of a built book came to.
#[derive(Debug)]
pub struct Report {
    /// How many links were followed.
    pub followed: usize,
    /// Each broken one, with its page.
    pub broken: Vec<String>,
}

/// Follows every link within the built book at `built`, of pages, pictures, styles and scripts.
///
/// # Errors
/// A page that cannot be read.
pub fn links(built: &Path) -> Result<Report> {
    let attribute = Regex::new(r#"\s(id|href|src)="([^"]*)""#)?;
    let mut pages = BTreeMap::new();
    for path in files(built, "html")? {
        pages.insert(path.clone(), read(&path, &attribute)?);
    }
    let mut report = Report { followed: 0, broken: Vec::new() };
    for (path, page) in &pages {
        // The page for what is not found is served under any path, and names all by the site's
        // own address.
        if path.ends_with("404.html") {
            continue;
        }
        for link in &page.links {
            if link.contains("://") || link.starts_with("mailto:") || link.starts_with("data:") {
                continue;
            }
            report.followed += 1;
            if let Some(why) = fault(path, link, &pages) {
                let page = path.strip_prefix(built).unwrap_or(path);
                report.broken.push(format!("{}: {link}: {why}", page.display()));
            }
        }
    }
    Ok(report)
}

fn fault(from: &Path, link: &str, pages: &BTreeMap<PathBuf, Page>) -> Option<&'static str> {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { from.to_owned() } else { normal(&from.parent()?.join(file)) };
    if !target.is_file() {
        return Some("no such file");
    }
    let missing =
        !anchor.is_empty() && pages.get(&target).is_some_and(|page| !page.anchors.contains(anchor));
    missing.then_some("no such anchor")
}

/// Without `..`, as the pages are listed.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                out.pop();
            }
            std::path::Component::CurDir => {}
            part => out.push(part),
        }
    }
    out
}
