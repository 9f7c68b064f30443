//! `twill completions SHELL`.

use clap::CommandFactory;

use super::{Cli, Exit};

/// Arguments of `twill completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// For which shell.
    shell: clap_complete::Shell,
}

pub(super) fn run(args: &Args) -> Exit {
    let mut command = Cli::command();
    clap_complete::generate(args.shell, &mut command, "twill", &mut std::io::stdout());
    Exit::Yes
}
