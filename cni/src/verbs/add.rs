//! ADD: a pod gets its interface.
//!
//! What cannot be is found before anything is made: the namespace is entered, and the interface
//! must not be there. Then the addresses are put on disk, the pair is made, the pod's end is
//! configured. A step that fails undoes those before it; a process killed between two leaves what
//! DEL finds by container id and interface name alone.

use std::path::Path;

use serde_json::Value;

use crate::config::Ipam;
use crate::error::{Code, Error};
use crate::ipam::{Delegate, Holder, IpamError, Network};
use crate::link::PairNames;
use crate::netns::Netns;
use crate::result::AddResult;
use crate::verbs::Request;
use crate::verbs::attach::{Attach, Wanted};
use crate::verbs::plan::Allocation;

pub(crate) fn add(request: &Request) -> Result<Value, Error> {
    let config = request.config()?;
    let interface = request.interface()?;
    let previous = config.previous.as_ref().map(AddResult::read).transpose()?;
    let path = request.environment.netns.as_deref().unwrap_or(Path::new(""));
    let netns = Netns::open(path)?.ok_or_else(|| {
        let path = path.display();
        Error::new(Code::UnknownContainer, format!("CNI_NETNS: {path} does not exist"))
    })?;
    let mut names = PairNames::of(&request.environment.container_id, interface.as_str());
    if let Some(mac) = config.mac.or(request.environment.args.mac) {
        names.pod_mac = mac;
    }
    let wanted = Wanted { request, config: &config, interface, names, path, netns };
    let mut attach = Attach::new(wanted)?;
    let result = match &config.ipam {
        Ipam::BuiltIn(ipam) => {
            let network = Network::new(&config.name, ipam.clone());
            with_built_in(&mut attach, &network)
        }
        Ipam::Delegate(kind) => {
            let path = &request.environment.path;
            with_delegate(&mut attach, &Delegate::find(kind, path, &request.envelope.value)?)
        }
        Ipam::Layer2 => {
            let mut pod = attach.enter()?;
            attach.make(&mut pod, &Allocation::default())
        }
    }?;
    let result = previous.map_or(result.clone(), |previous| result.after(previous));
    Ok(result.to_json(config.version))
}

fn with_built_in(attach: &mut Attach<'_>, network: &Network) -> Result<AddResult, Error> {
    let mut pod = attach.enter()?;
    let Wanted { request, config, interface, .. } = attach.wanted;
    let environment = &request.environment;
    let holder = Holder { container_id: &environment.container_id, interface: interface.as_str() };
    let mut requested = config.requested.clone();
    requested.extend(environment.args.address);
    let assigned = match network.allocate(holder, &requested, attach) {
        Err(IpamError::Held(_)) => {
            attach.refuse_attached()?;
            // Of an ADD that was killed: nothing uses them.
            network.release(holder)?;
            network.allocate(holder, &requested, attach)
        }
        assigned => assigned,
    }?;
    let allocation = Allocation::of_built_in(&assigned);
    attach.make(&mut pod, &allocation).inspect_err(|_| {
        // What ADD failed with matters more; DEL, which must follow, tries again.
        let _ = network.give_back(holder);
    })
}

/// The interface is there and up before the delegate is asked, because dhcp talks through it. The
/// delegate runs where the runtime called us, so the pod is left before and entered again after.
fn with_delegate(attach: &mut Attach<'_>, delegate: &Delegate<'_>) -> Result<AddResult, Error> {
    let home = Netns::current()?;
    let mut pod = attach.enter()?;
    let bridge = attach.make_bare(&mut pod)?;
    let attached = home.return_to().and_then(|()| delegate.run("ADD")).and_then(|answer| {
        let allocation = Allocation::of_delegate(AddResult::read(&answer)?);
        attach.complete(&mut pod, &bridge, &allocation)
    });
    attached.inspect_err(|_| {
        // As DEL does it: dhcp gives its lease back through the interface.
        let _ = home.return_to().and_then(|()| delegate.run("DEL"));
        attach.undo();
    })
}
