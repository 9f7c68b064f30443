//! `twill announce PREFIX` and `twill withdraw PREFIX`.

use std::net::IpAddr;

use hyper::Method;
use twill_bgp::proto::types::{Community, Prefix};

use super::Exit;
use super::client::{self, Agent, Client, block_on};
use super::output::print;
use crate::control::api::{AnnounceOptions, Done};

/// Arguments of `twill announce`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to announce, until the agent restarts.
    prefix: Prefix,
    /// The next hop instead of our own address towards each peer.
    #[arg(long, value_name = "ADDRESS")]
    next_hop: Option<IpAddr>,
    /// Local preference towards internal peers, 100 if not given.
    #[arg(long, value_name = "NUMBER")]
    local_pref: Option<u32>,
    /// MED.
    #[arg(long, value_name = "NUMBER")]
    med: Option<u32>,
    /// A community, as 64512:100 or by name; may be repeated.
    #[arg(long = "community", value_name = "COMMUNITY")]
    communities: Vec<Community>,
    #[command(flatten)]
    agent: Agent,
}

/// Arguments of `twill withdraw`.
#[derive(Debug, clap::Args)]
pub struct WithdrawArgs {
    /// What `twill announce` announced.
    prefix: Prefix,
    #[command(flatten)]
    agent: Agent,
}

pub(super) fn run(args: &Args) -> Exit {
    let options = AnnounceOptions {
        next_hop: args.next_hop,
        local_pref: args.local_pref,
        med: args.med,
        communities: args.communities.iter().map(ToString::to_string).collect(),
    };
    // Texts and numbers always serialize.
    let body = serde_json::to_vec(&options).unwrap_or_default();
    act(&args.agent, Method::PUT, &format!("/v1/announcements/{}", args.prefix), body)
}

pub(super) fn withdraw(args: &WithdrawArgs) -> Exit {
    act(&args.agent, Method::DELETE, &format!("/v1/announcements/{}", args.prefix), Vec::new())
}

/// Has something done, and says what was.
pub(super) fn act(agent: &client::Agent, method: Method, uri: &str, body: Vec<u8>) -> Exit {
    block_on(async {
        let answer = async {
            let mut client = Client::connect(agent).await?;
            client.document::<Done>(method, uri, body).await
        };
        match answer.await {
            Ok(Done { done, notes }) => {
                print(&format!("{done}\n"));
                for note in notes {
                    eprintln!("note: {note}");
                }
                Exit::Yes
            }
            Err(error) => error.end(),
        }
    })
}
