//! `twill reset PEER`.

use hyper::Method;

use super::announce::act;
use super::{Exit, client};

/// Arguments of `twill reset`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whose session.
    peer: String,
    /// Only asks for its routes again and sends it ours (route refresh): the session stays.
    #[arg(long)]
    soft: bool,
    #[command(flatten)]
    agent: client::Agent,
}

pub(super) fn run(args: &Args) -> Exit {
    let uri = format!("/v1/peers/{}/reset?soft={}", client::escape(&args.peer), args.soft);
    act(&args.agent, Method::POST, &uri, Vec::new())
}
