//! DEL: a pod loses its interface, and its addresses go to rest.
//!
//! All it needs are container id and interface name. The pair goes first, so that an address is
//! never free while packets of its pod still travel. Whatever is gone already is no error.

use crate::config::Ipam;
use crate::error::Error;
use crate::ipam::{Delegate, Holder, Network};
use crate::link::{self, Netlink, PairNames};
use crate::netns::Netns;
use crate::verbs::Request;

pub(crate) fn del(request: &Request) -> Result<(), Error> {
    let config = request.config()?;
    // Each is tried, whatever became of the other; the first error is the answer.
    match &config.ipam {
        Ipam::BuiltIn(ipam) => {
            let unlinked = unlink(request);
            let network = Network::new(&config.name, ipam.clone());
            let released = network.release(holder(request));
            unlinked.and(released.map(drop).map_err(Error::from))
        }
        Ipam::Delegate(kind) => delegated(request, kind),
        Ipam::Layer2 => unlink(request),
    }
}

/// A delegate such as dhcp talks through the interface, so it comes first, as in the reference.
fn delegated(request: &Request, kind: &str) -> Result<(), Error> {
    let path = &request.environment.path;
    let delegate = Delegate::find(kind, path, &request.envelope.value);
    let released = delegate.and_then(|delegate| delegate.run("DEL")).map(drop);
    released.and(unlink(request))
}

fn holder(request: &Request) -> Holder<'_> {
    let interface = request.environment.interface.as_ref();
    Holder {
        container_id: &request.environment.container_id,
        interface: interface.map(link::InterfaceName::as_str).unwrap_or_default(),
    }
}

/// Deletes the pair by the name of the host's end. Where there is none, the pod's end is looked
/// for: the pair may be another plugin's, of before this one was installed.
fn unlink(request: &Request) -> Result<(), Error> {
    let interface = request.interface()?;
    let names = PairNames::of(&request.environment.container_id, interface.as_str());
    let mut host = Netlink::open()?;
    if link::delete_existing(&mut host, names.host)? {
        return Ok(());
    }
    let Some(path) = request.environment.netns.as_deref() else { return Ok(()) };
    // A namespace that cannot be entered has nothing of ours either.
    let Ok(Some(netns)) = Netns::open(path) else { return Ok(()) };
    let Ok(mut pod) = netns.enter(path, &host) else { return Ok(()) };
    match link::find_link(&mut pod, interface)? {
        Some(link) if link.kind == "veth" => Ok(link::delete(&mut pod, interface)?),
        _ => Ok(()),
    }
}
