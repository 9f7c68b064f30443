//! `twill agent`: runs the node agent in the foreground.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use tracing_subscriber::EnvFilter;

use super::Exit;
use crate::agent::{self, Options};
use crate::config::DEFAULT_FILE;

/// Arguments of `twill agent`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file.
    #[arg(long, default_value = DEFAULT_FILE)]
    config: PathBuf,
    /// Where the other commands reach this agent.
    #[arg(long, env = "TWILL_SOCKET", default_value = "/run/twill/twill.sock")]
    socket: PathBuf,
    /// How to log, to standard error; RUST_LOG says how much (`info` where unset).
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

/// How to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

pub(super) fn run(args: Args) -> Exit {
    log(args.log_format);
    // One thread: the RIB is one task, and a node's share of work fits on one core.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("twill: the runtime cannot be started: {error}");
            return Exit::Usage;
        }
    };
    let ended = runtime.block_on(agent::run(Options { config: args.config, socket: args.socket }));
    match ended {
        Ok(()) => Exit::Yes,
        Err(error) => {
            eprintln!("twill: {error}");
            Exit::Usage
        }
    }
}

fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Text => {
            let colour = io::stderr().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            builder.with_ansi(colour).with_target(false).init();
        }
        LogFormat::Json => builder.json().init(),
    }
}
