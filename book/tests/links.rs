//! The documentation holds together: as files, as somebody reads it in the repository, and as the
//! built book.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use twill_book::markdown::{anchors, targets};
use twill_book::{build, check, root};

fn pages() -> Result<Vec<PathBuf>> {
    let mut pages: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root().join(name)).into();
    pages.extend(check::files(&root().join("docs"), "md")?);
    Ok(pages)
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
fn every_relative_link_leads_somewhere() -> Result<()> {
    let mut seen = 0;
    let mut faults = Vec::new();
    for page in pages()? {
        let text = fs::read_to_string(&page)?;
        let targets = targets(&text);
        seen += targets.len();
        faults.extend(targets.iter().filter_map(|target| fault(&page, &text, target)));
    }
    ensure!(seen > 20, "only {seen} links were found");
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

#[test]
fn a_broken_link_is_found() {
    let page = root().join("docs/README.md");
    let text = "# A heading, in `code`\n[a](nowhere.md) [b](#a-heading-in-code) [c](#none)\n\
                ```\n[d](code.md)\n```\n`[e](code.md)` [f](https://example.com) [g](../README.md)";
    assert_eq!(targets(text).len(), 5);
    let broken: Vec<String> =
        targets(text).iter().filter_map(|target| fault(&page, text, target)).collect();
    assert_eq!(broken.len(), 2, "{broken:?}");
}

#[test]
fn every_page_is_in_the_summary() -> Result<()> {
    let missing = check::left_out(&root().join("docs"))?;
    ensure!(missing.is_empty(), "docs/SUMMARY.md lacks {missing:?}");
    Ok(())
}

/// The folder for what a test writes.
fn scratch(name: &str) -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// As a reader of the web has it: no link of a built page leads nowhere, also of those pages that
/// stand outside of `docs/`, and of what they link to.
#[test]
fn the_book_is_built_and_no_link_in_it_is_broken() -> Result<()> {
    let built = build(root(), Some(&scratch("book")?))?;
    let report = check::links(&built)?;
    ensure!(report.broken.is_empty(), "{}", report.broken.join("\n"));
    ensure!(report.followed > 1000, "only {} links were followed", report.followed);
    for page in ["project/architecture.html", "files/deploy/overlays/md5/kustomization.yaml.html"] {
        ensure!(built.join(page).is_file(), "{page} is not in the book");
    }
    let architecture = fs::read_to_string(built.join("project/architecture.html"))?;
    ensure!(architecture.contains("../index.html#not-built-yet"), "a link was not turned");
    Ok(())
}

/// The two checks above can fail: a small book with a page left out, a file that is not there, and
/// an anchor that no page has.
#[test]
fn a_page_left_out_and_a_link_broken_in_the_book_are_found() -> Result<()> {
    let root = scratch("small")?;
    fs::create_dir_all(root.join("docs"))?;
    fs::write(root.join("book.toml"), "[book]\nsrc = 'docs'\n")?;
    fs::write(root.join("docs/SUMMARY.md"), "- [One](one.md)\n")?;
    fs::write(root.join("docs/one.md"), "# One\n[a](#nothing) [b](../x.sh)\n")?;
    fs::write(root.join("docs/two.md"), "# Two\n")?;
    fs::write(root.join("x.sh"), "true\n")?;
    let missing = check::left_out(&root.join("docs"))?;
    assert_eq!(missing, [root.join("docs/two.md")]);

    let built = build(&root, None)?;
    let broken = check::links(&built)?.broken;
    ensure!(broken.iter().all(|line| line.contains("#nothing")), "{broken:?}");
    ensure!(!broken.is_empty(), "a link to no anchor was not found");
    ensure!(built.join("files/x.sh.html").is_file(), "the file outside was not brought in");

    fs::write(root.join("docs/one.md"), "# One\n[a](../nowhere)\n")?;
    let error = build(&root, None).err().map(|error| format!("{error:#}")).unwrap_or_default();
    ensure!(error.contains("docs/one.md: ../nowhere: no such file"), "{error}");
    Ok(())
}
