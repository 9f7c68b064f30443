//! CHECK: is the pod as ADD left it?
//!
//! `prevResult` says what to expect. Routes that a later plugin added are left alone; those of ours
//! must be there. CNI specification 1.1.0, section 2 (CHECK).

use std::path::Path;

use crate::config::{Ipam, NetworkConfig};
use crate::error::{Code, Error};
use crate::ipam::{Delegate, Holder, Network};
use crate::link::{self, InterfaceName, Link, Netlink, PairNames};
use crate::netns::Netns;
use crate::result::{AddResult, Address};
use crate::verbs::Request;

pub(crate) fn check(request: &Request) -> Result<(), Error> {
    let config = request.config()?;
    let interface = request.interface()?;
    let previous = config.previous.as_ref().ok_or_else(|| {
        let message = "network configuration: prevResult: missing; CHECK compares with it";
        Error::new(Code::NetworkConfig, message)
    })?;
    let previous = AddResult::read(previous)?;
    let path = request.environment.netns.as_deref().unwrap_or(Path::new(""));
    let own = own_addresses(&previous, interface, path);
    if own.is_empty() && config.ipam != Ipam::Layer2 {
        let message = format!("prevResult has no address for {interface} in {}", path.display());
        return Err(broken(&message));
    }
    check_leases(request, &config, interface, &own)?;

    let names = PairNames::of(&request.environment.container_id, interface.as_str());
    let mut host = Netlink::open()?;
    let host_end = check_port(&mut host, &config, names.host)?;
    let netns = Netns::open(path)?;
    let netns = netns.ok_or_else(|| broken(&format!("CNI_NETNS: {} is gone", path.display())))?;
    let mut pod = netns.enter(path, &host)?;
    let end = check_state(&mut pod, &config, interface, host_end.index)?;
    check_addresses(&mut pod, interface, &end, &previous, &own)
}

fn broken(message: &str) -> Error {
    Error::new(Code::Broken, format!("{message}; delete the pod, its controller makes another"))
}

/// Those of the pod's interface; in a chain there may be others.
fn own_addresses(previous: &AddResult, interface: InterfaceName, path: &Path) -> Vec<Address> {
    let path = path.display().to_string();
    let own = |address: &&Address| {
        let place = address.interface.and_then(|place| previous.interfaces.get(place));
        place.is_none_or(|found| found.name == interface.as_str() && found.sandbox == path)
    };
    previous.addresses.iter().filter(own).copied().collect()
}

fn check_leases(
    request: &Request,
    config: &NetworkConfig,
    interface: InterfaceName,
    own: &[Address],
) -> Result<(), Error> {
    let environment = &request.environment;
    match &config.ipam {
        Ipam::Layer2 => Ok(()),
        Ipam::Delegate(kind) => {
            let configuration = &request.envelope.value;
            Delegate::find(kind, &environment.path, configuration)?.run("CHECK").map(drop)
        }
        Ipam::BuiltIn(ipam) => {
            let network = Network::new(&config.name, ipam.clone());
            let holder =
                Holder { container_id: &environment.container_id, interface: interface.as_str() };
            let addresses: Vec<_> = own.iter().map(|own| own.address.address()).collect();
            match network.first_not_held(holder, &addresses)? {
                None => Ok(()),
                Some(address) => Err(broken(&format!(
                    "{address} is not leased to {} {interface} in {}",
                    environment.container_id,
                    ipam.data_dir.join(&config.name).display()
                ))),
            }
        }
    }
}

fn check_port(
    host: &mut Netlink,
    config: &NetworkConfig,
    name: InterfaceName,
) -> Result<Link, Error> {
    let bridge = link::find_link(host, config.bridge)?
        .filter(|bridge| bridge.kind == "bridge" && bridge.up)
        .ok_or_else(|| {
            let message = format!("bridge {} is missing or down; start the agent", config.bridge);
            Error::new(Code::Broken, message)
        })?;
    let port = link::find_link(host, name)?;
    let port = port.ok_or_else(|| broken(&format!("{name} is missing on the host")))?;
    if !port.up {
        return Err(broken(&format!("{name} is down on the host")));
    }
    if port.master != Some(bridge.index) {
        return Err(broken(&format!("{name} is no port of {}", config.bridge)));
    }
    Ok(port)
}

fn check_state(
    pod: &mut Netlink,
    config: &NetworkConfig,
    interface: InterfaceName,
    host_index: u32,
) -> Result<Link, Error> {
    let found = link::find_link(pod, interface)?;
    let found = found.ok_or_else(|| broken(&format!("{interface} is missing in the pod")))?;
    match (found.up, config.disable_interface) {
        (false, false) => Err(broken(&format!("{interface} is down in the pod"))),
        (true, true) => Err(broken(&format!(
            "{interface} is up in the pod, in spite of disableContainerInterface"
        ))),
        _ if found.peer != Some(host_index) => {
            Err(broken(&format!("{interface} is not the other end of the host's interface")))
        }
        _ => Ok(found),
    }
}

fn check_addresses(
    pod: &mut Netlink,
    interface: InterfaceName,
    found: &Link,
    previous: &AddResult,
    own: &[Address],
) -> Result<(), Error> {
    let of_pod =
        |i: &&crate::result::Interface| i.name == interface.as_str() && !i.sandbox.is_empty();
    let expected = previous.interfaces.iter().find(of_pod).and_then(|interface| interface.mac);
    if let (Some(expected), Some(mac)) = (expected, found.mac)
        && expected != mac
    {
        return Err(broken(&format!("{interface} has hardware address {mac}, not {expected}")));
    }
    let addresses = link::addresses(pod, interface, found.index)?;
    if let Some(missing) = own.iter().find(|own| !addresses.contains(&own.address)) {
        return Err(broken(&format!("{interface} lacks address {}", missing.address)));
    }
    let routes = link::routes(pod, interface, found.index)?;
    let there = |route: &&crate::result::ResultRoute| {
        let wanted = (route.route.to.network(), route.route.gateway);
        // Where a result names no gateway, the pod's own counts (specification, section 5).
        routes.iter().any(|(to, by)| *to == wanted.0 && (wanted.1.is_none() || *by == wanted.1))
    };
    match previous.routes.iter().find(|route| !there(route)) {
        None => Ok(()),
        Some(missing) => {
            Err(broken(&format!("{interface} lacks the route to {}", missing.route.to)))
        }
    }
}
