//! The binary `twill`: see [`twill_agent::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    twill_agent::cli::run()
}
