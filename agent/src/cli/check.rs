//! `twill check FILE`: all that is wrong with a configuration, without touching anything.

use std::path::PathBuf;

use super::Exit;
use crate::config::Config;

/// Arguments of `twill check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file.
    file: PathBuf,
}

pub(super) fn run(args: &Args) -> Exit {
    let shown = args.file.display();
    match Config::load(&args.file) {
        Ok(config) => {
            for warning in &config.warnings {
                eprintln!("warning: {shown}:{warning}");
            }
            let snapshot = &config.snapshot;
            println!(
                "{shown}: OK: node {} of AS {} with {} and {}, {} in the mesh, {}",
                snapshot.node.name,
                snapshot.node.asn,
                count(snapshot.node.addresses.len(), "address", "addresses"),
                count(snapshot.node.pod_cidrs.len(), "pod CIDR", "pod CIDRs"),
                count(snapshot.nodes.len(), "other node", "other nodes"),
                count(snapshot.peers.len(), "outside peer", "outside peers"),
            );
            Exit::Yes
        }
        Err(error) => {
            eprintln!("{error}");
            Exit::No
        }
    }
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
