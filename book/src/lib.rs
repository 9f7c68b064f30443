//! The documentation as a book.
//!
//! mdBook builds it, here as a library, so that nothing needs to be installed. `docs/` holds the
//! chapters; what they link to outside of it ([`Outside`]) is brought in, so that no link of the
//! book leaves it for a file that a reader of the web does not have. [`check`] holds the built
//! pages to that.

pub mod check;
pub mod markdown;
mod outside;
mod paths;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use mdbook_driver::MDBook;

pub use outside::Outside;

/// The repository.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Builds the book of the repository at `root` into `output`, or where its `book.toml` says;
/// returns where it stands.
///
/// # Errors
/// What mdBook says of `book.toml`, `docs/SUMMARY.md` or a chapter; a link to a file that is not
/// there.
pub fn build(root: &Path, output: Option<&Path>) -> Result<PathBuf> {
    let mut book = MDBook::load(root).context("the book cannot be read")?;
    if let Some(output) = output {
        book.config.build.build_dir = std::path::absolute(output)?;
    }
    // In the place of the command of the same name in book.toml: the same code, in this process.
    book.with_preprocessor(Outside);
    book.build().context("the book cannot be built")?;
    Ok(root.join(&book.config.build.build_dir))
}
