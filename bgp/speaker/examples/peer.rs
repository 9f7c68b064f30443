//! Peers with any router: announces a prefix, prints best-path changes.
//!
//! `cargo run -p twill-bgp --example peer -- OUR-AS OUR-ROUTER-ID PEER-ADDRESS PEER-AS PREFIX`

use std::error::Error;

use twill_bgp::proto::rib::policy::Policy;
use twill_bgp::proto::types::{Asn, RouterId};
use twill_bgp::{Announcement, PeerConfig, Settings, Speaker};

const USAGE: &str = "expected OUR-AS OUR-ROUTER-ID PEER-ADDRESS PEER-AS PREFIX";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [asn, router_id, address, peer_asn, prefix] = &*arguments else { return Err(USAGE.into()) };
    let asn = Asn::new(asn.parse()?).ok_or("AS 0 is reserved")?;
    let peer_asn = Asn::new(peer_asn.parse()?).ok_or("AS 0 is reserved")?;
    let router_id = RouterId::new(router_id.parse()?).ok_or("0.0.0.0 is no router id")?;

    let speaker = Speaker::start(Settings::new(asn, router_id)).await?;
    let handle = speaker.handle();
    let peer = PeerConfig::new("router", address.parse()?, peer_asn)
        .import(Policy::accept_all())
        .export(Policy::accept_all());
    handle.set_peers(vec![peer]).await?;
    handle.announce(Announcement::new(prefix.parse()?)).await?;

    let mut best_paths = handle.subscribe().await?;
    while let Some(changes) = best_paths.next().await {
        for change in changes {
            match change.route {
                Some(route) => println!("{} via {}", change.prefix, route.attributes.next_hop),
                None => println!("{} is gone", change.prefix),
            }
        }
    }
    Ok(())
}
