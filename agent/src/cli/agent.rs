//! `twill agent`: runs the node agent in the foreground.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use tracing_subscriber::EnvFilter;

use super::Exit;
use crate::agent::{self, Options, SourceOptions};
use crate::config::DEFAULT_FILE;
use crate::kernel::settings::Settings;
use crate::source::kube::{self, client::in_pod};

/// Arguments of `twill agent`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file [default: /etc/twill/twill.yaml; in a pod with a service account
    /// the world comes from the API server instead].
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kubeconfig", "node_config"])]
    config: Option<PathBuf>,
    /// Takes the world from the API server that this file names.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// With the API server: what belongs to this node alone [default: /etc/twill/node.yaml, which
    /// need not be there].
    #[arg(long, value_name = "FILE")]
    node_config: Option<PathBuf>,
    /// With the API server: the namespace of the Secrets that resources name [default: that of the
    /// service account, or of the kubeconfig].
    #[arg(long, env = "POD_NAMESPACE")]
    namespace: Option<String>,
    /// With the API server: where its last word is kept, for a start without it.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/twill")]
    state_dir: PathBuf,
    /// Where the other commands reach this agent.
    #[arg(long, env = "TWILL_SOCKET", default_value = "/run/twill/twill.sock")]
    socket: PathBuf,
    /// Where the kernel's settings are written: in a container, where the host's are mounted.
    #[arg(long, value_name = "DIR", env = "TWILL_PROC_SYS", default_value = "/proc/sys")]
    proc_sys: PathBuf,
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
    let (socket, settings) = (args.socket.clone(), Settings::at(args.proc_sys.clone()));
    let ended = runtime.block_on(agent::run(Options { source: source(args), socket, settings }));
    match ended {
        Ok(()) => Exit::Yes,
        Err(error) => {
            eprintln!("twill: {error}");
            Exit::Usage
        }
    }
}

/// A file that is named wins; then a kubeconfig; then a pod's service account.
fn source(args: Args) -> SourceOptions {
    let kube = args.kubeconfig.is_some() || args.node_config.is_some() || in_pod();
    match args.config {
        None if kube => SourceOptions::Kube(kube::Options {
            kubeconfig: args.kubeconfig,
            node_config: args.node_config,
            namespace: args.namespace,
            state_dir: args.state_dir,
            // Beside the socket, which lies in memory.
            run_dir: args.socket.parent().map(Path::to_owned).unwrap_or_default(),
        }),
        config => SourceOptions::File(config.unwrap_or_else(|| DEFAULT_FILE.into())),
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
