//! The library alone under load: accepts the peers of a file, takes and passes on everything.
//!
//! ```text
//! cargo run --release -p twill-bgp --example under_load -- THREADS PEERS
//! ```
//!
//! PEERS has a line `ADDRESS AS` for each, of AS 64512 for a client that is reflected to; THREADS
//! is 0 for a runtime on the one thread, else how many worker threads there are. It runs until it
//! is killed. `cargo xtask bench speaker` starts it in place of the agent where the variable
//! `TWILL_SPEAKER` has its command line, without PEERS.

use std::error::Error;
use std::net::Ipv4Addr;

use tokio::runtime::{Builder, Runtime};
use twill_bgp::proto::rib::PeerKind;
use twill_bgp::proto::rib::policy::Policy;
use twill_bgp::proto::types::{Asn, RouterId};
use twill_bgp::{PORT, PeerConfig, Settings, Speaker};

fn runtime(threads: usize) -> Result<Runtime, std::io::Error> {
    match threads {
        0 => Builder::new_current_thread().enable_all().build(),
        threads => Builder::new_multi_thread().worker_threads(threads).enable_all().build(),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let threads = arguments.next().ok_or("say how many THREADS")?.parse()?;
    let file = arguments.next().ok_or("name the file of PEERS")?;
    let mut peers = Vec::new();
    for line in std::fs::read_to_string(file)?.lines() {
        let (address, asn) = line.split_once(' ').ok_or("a line is ADDRESS AS")?;
        let asn = Asn::new(asn.parse()?).ok_or("AS 0")?;
        peers.push(
            PeerConfig::new(format!("peer-{address}"), address.parse()?, asn)
                .passive()
                .kind(PeerKind::Client)
                .import(Policy::accept_all())
                .export(Policy::accept_all()),
        );
    }
    let asn = Asn::new(64512).ok_or("AS 0")?;
    let id = RouterId::new(Ipv4Addr::new(10, 0, 0, 1)).ok_or("router id 0")?;
    runtime(threads)?.block_on(async {
        let speaker = Speaker::start(Settings::new(asn, id).listen_on_all(PORT)).await?;
        speaker.handle().set_peers(peers).await?;
        std::future::pending().await
    })
}
