//! `twill completions SHELL`.

use clap::CommandFactory;

use super::output::print;
use super::{Cli, Exit};

/// Arguments of `twill completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// For which shell.
    shell: clap_complete::Shell,
}

pub(super) fn run(args: &Args) -> Exit {
    let mut command = Cli::command();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "twill", &mut script);
    // A reader that goes away, as `head` does, has what it wanted.
    print(&String::from_utf8_lossy(&script));
    Exit::Yes
}
