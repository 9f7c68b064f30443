//! Builds the book, checks it, and is the command by which an installed mdBook builds it the same
//! way (`book.toml`).

use std::io::stdout;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use mdbook_preprocessor::{Preprocessor, parse_input};
use twill_book::{Outside, build, check, root};

#[derive(Parser)]
#[command(name = "twill-book", about = "Twill's documentation as a book")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Builds the book and follows its links
    Build {
        /// Where to; otherwise target/book
        #[arg(long, value_name = "DIR")]
        output: Option<PathBuf>,
    },
    /// Asked by mdBook: whether a renderer is served. Every one is
    Supports {
        /// Its name
        renderer: String,
    },
}

fn run() -> Result<()> {
    match Arguments::parse().command {
        Some(Command::Supports { .. }) => Ok(()),
        Some(Command::Build { output }) => {
            let built = build(root(), output.as_deref())?;
            let report = check::links(&built)?;
            if !report.broken.is_empty() {
                bail!("links are broken:\n{}", report.broken.join("\n"));
            }
            println!("{}: {} links hold", built.join("index.html").display(), report.followed);
            Ok(())
        }
        None => {
            let (context, book) = parse_input(std::io::stdin())
                .context("expected a book from mdBook on standard input")?;
            serde_json::to_writer(stdout(), &Outside.run(&context, book)?)?;
            Ok(())
        }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
