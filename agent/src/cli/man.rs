//! `twill man DIR`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::CommandFactory;

use super::output::print;
use super::{Cli, Exit};

/// Arguments of `twill man`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the pages go: a folder, made where it is missing.
    directory: PathBuf,
}

pub(super) fn run(args: &Args) -> Exit {
    let shown = args.directory.display();
    match write(&args.directory) {
        Ok(()) => {
            print(&format!("man pages are in {shown}; read them with `man -l {shown}/twill.1`\n"));
            Exit::Yes
        }
        Err(error) => {
            eprintln!("twill: cannot write man pages to {shown}: {error}; name a folder of yours");
            Exit::No
        }
    }
}

/// `twill.1`, and a page for each command.
pub(super) fn write(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    // `help` would have pages of its own for each command.
    let command = Cli::command().disable_help_subcommand(true);
    clap_mangen::generate_to(command, directory)
}
