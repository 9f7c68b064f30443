//! `twill reset PEER [--soft | --message TEXT]`.

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
    /// What the peer is told, and shows to its operator: at most 255 bytes (RFC 9003).
    #[arg(long, value_name = "TEXT", conflicts_with = "soft")]
    message: Option<String>,
    #[command(flatten)]
    agent: client::Agent,
}

pub(super) fn run(args: &Args) -> Exit {
    let mut uri = format!("/v1/peers/{}/reset?soft={}", client::escape(&args.peer), args.soft);
    if let Some(message) = &args.message {
        uri.push_str(&format!("&message={}", client::escape(message)));
    }
    act(&args.agent, Method::POST, &uri, Vec::new())
}
