//! What stands outside of `docs/` and is linked from it, brought into the book.
//!
//! The pages of the repository's root are chapters of their own, files under `docs/project` that
//! include them; their links are turned from where the page stands to where the chapter does. Any
//! other file becomes a chapter that shows it, and a folder one that lists it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use mdbook_preprocessor::book::{Book, BookItem, Chapter};
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};

use crate::markdown::change_links;
use crate::paths::{relative, resolve};

/// Pages of the root, each with the chapter that includes it.
const PAGES: [(&str, &str); 3] = [
    ("README.md", "project/repository.md"),
    ("ARCHITECTURE.md", "project/architecture.md"),
    ("CONTRIBUTING.md", "project/contributing.md"),
];

/// The preprocessor; mdBook calls it `outside`.
#[derive(Debug, Clone, Copy)]
pub struct Outside;

impl Preprocessor for Outside {
    fn name(&self) -> &'static str {
        "outside"
    }

    fn run(&self, context: &PreprocessorContext, mut book: Book) -> Result<Book> {
        let source = text(&context.config.book.src);
        let mut links = Links::of(&book, &source, &context.root);
        let mut fault = None;
        book.for_each_chapter_mut(|chapter| {
            if let Err(error) = links.turn(chapter) {
                fault.get_or_insert(error);
            }
        });
        if let Some(fault) = fault {
            return Err(fault);
        }
        let files: Vec<String> = links.files.into_iter().collect();
        if !files.is_empty() {
            book.push_item(BookItem::PartTitle("Files".to_owned()));
        }
        for file in files {
            let shown = show(&context.root, &file)?;
            book.push_item(Chapter::new(&file, shown, chapter_of(&file), Vec::new()));
        }
        Ok(book)
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

/// Where the chapter that shows a file stands in the book.
fn chapter_of(file: &str) -> String {
    format!("files/{file}.md")
}

/// Where links lead.
struct Links<'a> {
    root: &'a Path,
    /// The folder of the chapters.
    source: &'a str,
    /// By path within the repository, the path within the book.
    chapters: BTreeMap<String, String>,
    /// Files and folders without a chapter that somebody links to.
    files: BTreeSet<String>,
}

impl<'a> Links<'a> {
    fn of(book: &Book, source: &'a str, root: &'a Path) -> Links<'a> {
        let mut chapters: BTreeMap<String, String> = book
            .chapters()
            .filter_map(|chapter| {
                let file = text(chapter.source_path.as_ref()?);
                Some((format!("{source}/{file}"), text(chapter.path.as_ref()?)))
            })
            .collect();
        for (page, chapter) in PAGES {
            chapters.insert(page.to_owned(), chapter.to_owned());
        }
        Links { root, source, chapters, files: BTreeSet::new() }
    }

    /// Turns the links of a chapter to where they lead in the book.
    fn turn(&mut self, chapter: &mut Chapter) -> Result<()> {
        let (Some(file), Some(place)) = (&chapter.source_path, &chapter.path) else {
            return Ok(());
        };
        let (file, place) = (text(file), text(place));
        let stands = PAGES.iter().find(|(_, chapter)| *chapter == file);
        let stands = stands
            .map_or_else(|| format!("{}/{file}", self.source), |(page, _)| (*page).to_owned());
        let mut fault = None;
        chapter.content = change_links(&chapter.content, |target| {
            self.target(&stands, &place, target).unwrap_or_else(|error| {
                fault.get_or_insert(error);
                None
            })
        });
        fault.map_or(Ok(()), Err)
    }

    /// What a link of the page at `stands` becomes in the chapter at `place`; `None` where it
    /// stays.
    fn target(&mut self, stands: &str, place: &str, target: &str) -> Result<Option<String>> {
        if target.contains("://") || target.starts_with("mailto:") || target.starts_with('#') {
            return Ok(None);
        }
        let (file, anchor) = target.split_once('#').map_or((target, None), |(f, a)| (f, Some(a)));
        let meant = resolve(stands, file)
            .with_context(|| format!("{stands}: {target} leaves the repository"))?;
        let index = format!("{meant}/README.md");
        let chapter = match self.chapters.get(&meant).or_else(|| self.chapters.get(&index)) {
            Some(chapter) => chapter.clone(),
            None if !self.root.join(&meant).exists() => bail!("{stands}: {target}: no such file"),
            // A picture, say, which mdBook copies to the same place.
            None if meant.starts_with(&format!("{}/", self.source)) => return Ok(None),
            None => {
                self.files.insert(meant.clone());
                chapter_of(&meant)
            }
        };
        let anchor = anchor.map(|anchor| format!("#{anchor}")).unwrap_or_default();
        Ok(Some(relative(place, &chapter) + &anchor))
    }
}

/// The content of the chapter that shows a file or a folder.
fn show(root: &Path, file: &str) -> Result<String> {
    let path = root.join(file);
    let (language, text) = if path.is_dir() {
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).with_context(|| format!("cannot list {file}"))? {
            let entry = entry?;
            let mark = if entry.file_type()?.is_dir() { "/" } else { "" };
            names.push(format!("{}{mark}\n", entry.file_name().to_string_lossy()));
        }
        names.sort();
        ("text", names.concat())
    } else {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))?;
        let language = match path.extension().and_then(|extension| extension.to_str()) {
            Some("yml" | "yaml") => "yaml",
            Some("rs") => "rust,ignore",
            Some("toml") => "toml",
            Some("sh") => "sh",
            _ => "text",
        };
        (language, text)
    };
    Ok(format!("# `{file}`\n\n`````{language}\n{}\n`````\n", text.trim_end()))
}
