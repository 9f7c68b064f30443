//! Called as `loopback`: brings up the pod's lo, as the reference plugin of that name. containerd
//! asks for one before the network proper.

use std::path::Path;

use serde_json::Value;

use crate::address::Cidr;
use crate::config::Verb;
use crate::error::{Code, Error};
use crate::link::{self, InterfaceName, Netlink};
use crate::netns::Netns;
use crate::result::{AddResult, Address, Interface};
use crate::verbs::Request;

pub(crate) fn serve(request: &Request) -> Result<Option<Value>, Error> {
    match request.environment.verb {
        Verb::Add => add(request).map(Some),
        Verb::Check => check(request).map(|()| None),
        // The loopback goes with its namespace.
        Verb::Del | Verb::Gc | Verb::Status | Verb::Version => Ok(None),
    }
}

fn enter(request: &Request) -> Result<(Netlink, InterfaceName, &Path), Error> {
    let path = request.environment.netns.as_deref().unwrap_or(Path::new(""));
    let netns = Netns::open(path)?.ok_or_else(|| {
        let path = path.display();
        Error::new(Code::UnknownContainer, format!("CNI_NETNS: {path} does not exist"))
    })?;
    let pod = netns.enter(path, &Netlink::open()?)?;
    let loopback = InterfaceName::new("lo")
        .map_err(|error| Error::new(Code::Environment, error.to_string()))?;
    Ok((pod, loopback, path))
}

fn add(request: &Request) -> Result<Value, Error> {
    let (mut pod, name, path) = enter(request)?;
    link::set_up(&mut pod, name)?;
    let previous = request.envelope.value.get("prevResult").filter(|value| !value.is_null());
    if let Some(previous) = previous {
        return AddResult::read(previous).map(|result| result.to_json(request.envelope.version));
    }
    let found = link::find_link(&mut pod, name)?;
    let addresses = match &found {
        Some(link) => link::addresses(&mut pod, name, link.index)?,
        None => Vec::new(),
    };
    let address = |address: Cidr| Address { address, gateway: None, interface: Some(0) };
    let result = AddResult {
        interfaces: vec![Interface {
            name: name.to_string(),
            mac: found.as_ref().and_then(|link| link.mac),
            mtu: found.as_ref().map(|link| link.mtu),
            sandbox: path.display().to_string(),
        }],
        addresses: addresses.into_iter().map(address).collect(),
        ..AddResult::default()
    };
    Ok(result.to_json(request.envelope.version))
}

fn check(request: &Request) -> Result<(), Error> {
    let (mut pod, name, path) = enter(request)?;
    match link::find_link(&mut pod, name)? {
        Some(link) if link.up => Ok(()),
        _ => Err(Error::new(Code::Broken, format!("lo is down in {}", path.display()))),
    }
}
