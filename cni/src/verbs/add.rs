//! ADD: a pod gets its interface.
//!
//! What cannot be is found before anything is made: the namespace is entered, and the interface
//! must not be there. Then the addresses are put on disk, the pair is made, the pod's end is
//! configured. A step that fails undoes those before it; a process killed between two leaves what
//! DEL finds by container id and interface name alone.

use std::net::IpAddr;
use std::path::Path;

use nix::libc;
use serde_json::Value;

use crate::address::Cidr;
use crate::config::{Ipam, NetworkConfig};
use crate::error::{Code, Error};
use crate::ipam::{Delegate, Holder, Host, IpamError, Network};
use crate::link::{
    self, BridgeSpec, BridgeState, HostEnd, InterfaceName, LinkError, Mac, Netlink, PairNames,
    PodEnd,
};
use crate::netns::Netns;
use crate::result::{AddResult, Address, Interface, ResultRoute};
use crate::verbs::Request;
use crate::verbs::plan::{Allocation, Plan, dns, gateways};

/// What all steps of one ADD need.
struct Attach<'a> {
    request: &'a Request,
    config: &'a NetworkConfig,
    interface: InterfaceName,
    names: PairNames,
    path: &'a Path,
    netns: Netns,
    host: Netlink,
    /// Routes to addresses that were asked about.
    routes: Vec<link::Answer>,
}

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
    let host = Netlink::open()?;
    let routes = Vec::new();
    let mut attach =
        Attach { request, config: &config, interface, names, path, netns, host, routes };
    let result = match &config.ipam {
        Ipam::BuiltIn(ipam) => {
            let network = Network::new(&config.name, ipam.clone());
            attach.with_built_in(&network)
        }
        Ipam::Delegate(kind) => {
            let path = &request.environment.path;
            attach.with_delegate(&Delegate::find(kind, path, &request.envelope.value)?)
        }
        Ipam::Layer2 => {
            let mut pod = attach.enter()?;
            attach.make(&mut pod, &Allocation::default())
        }
    }?;
    let result = previous.map_or(result.clone(), |previous| result.after(previous));
    Ok(result.to_json(config.version))
}

impl Attach<'_> {
    fn with_built_in(&mut self, network: &Network) -> Result<AddResult, Error> {
        let mut pod = self.enter()?;
        let (request, interface) = (self.request, self.interface);
        let environment = &request.environment;
        let holder =
            Holder { container_id: &environment.container_id, interface: interface.as_str() };
        let mut requested = self.config.requested.clone();
        requested.extend(environment.args.address);
        let assigned = match network.allocate(holder, &requested, self) {
            Err(IpamError::Held(_)) => {
                self.refuse_attached()?;
                // Of an ADD that was killed: nothing uses them.
                network.release(holder)?;
                network.allocate(holder, &requested, self)
            }
            assigned => assigned,
        }?;
        let allocation = Allocation::of_built_in(&assigned);
        self.make(&mut pod, &allocation).inspect_err(|_| {
            // What ADD failed with matters more; DEL, which must follow, tries again.
            let _ = network.give_back(holder);
        })
    }

    /// The delegate runs where the runtime called us, so the pod is entered after its ADD and left
    /// before its DEL.
    fn with_delegate(&mut self, delegate: &Delegate<'_>) -> Result<AddResult, Error> {
        let home = Netns::current()?;
        let attached = delegate.run("ADD").and_then(|answer| {
            let allocation = Allocation::of_delegate(AddResult::read(&answer)?);
            let mut pod = self.enter()?;
            self.make(&mut pod, &allocation)
        });
        attached.inspect_err(|_| {
            let _ = home.return_to().and_then(|()| delegate.run("DEL"));
        })
    }

    /// A socket in the pod, where the interface must not be.
    fn enter(&self) -> Result<Netlink, Error> {
        let pod = self.netns.enter(self.path, &self.host)?;
        if pod.index_of(self.interface)?.is_some() {
            return Err(Error::new(
                Code::Environment,
                format!(
                    "CNI_IFNAME: {} exists in {}; DEL comes before another ADD",
                    self.interface,
                    self.path.display()
                ),
            ));
        }
        Ok(pod)
    }

    /// The holder has addresses, and the host's end of its pair says whether it uses them.
    fn refuse_attached(&mut self) -> Result<(), Error> {
        if link::find_link(&mut self.host, self.names.host)?.is_none() {
            return Ok(());
        }
        Err(self.attached_elsewhere())
    }

    fn attached_elsewhere(&self) -> Error {
        Error::new(
            Code::Environment,
            format!(
                "CNI_CONTAINERID: {} is attached already, by {} on the host; DEL comes before another ADD",
                self.request.environment.container_id, self.names.host
            ),
        )
    }

    fn make(&mut self, pod: &mut Netlink, allocation: &Allocation) -> Result<AddResult, Error> {
        let plan = Plan::new(self.config, allocation)?;
        let dns = dns(self.config, allocation)?;
        let (bridge, own) = self.bridge(&plan.bridge)?;
        let has_subnet = |subnet: &Cidr| {
            let route = |route: &link::Answer| {
                route.to == *subnet
                    && route.device == Some(bridge.index)
                    && route.on_link
                    && route.mark == self.config.host_routes
            };
            self.routes.iter().any(route)
        };
        let lacks = |has: &dyn Fn(&Cidr) -> bool, all: &[Cidr]| -> Vec<Cidr> {
            all.iter().filter(|one| !has(one)).copied().collect()
        };
        let mtu = self.config.mtu.unwrap_or(bridge.mtu);
        let host_end = HostEnd {
            names: self.names,
            interface: self.interface,
            netns: std::os::fd::AsFd::as_fd(&self.netns),
            bridge: self.config.bridge,
            bridge_index: bridge.index,
            mtu,
            port: self.config.port,
            promiscuous: self.config.promiscuous,
            ipv6: plan.subnets.iter().any(|subnet| subnet.is_ipv6()),
            gateways: &lacks(&|gateway| own.contains(gateway), &plan.bridge.addresses),
            subnets: &lacks(&has_subnet, &plan.subnets),
            routes: self.config.host_routes,
        };
        host_end.attach(&mut self.host).map_err(|error| match error {
            LinkError::Refused { step: link::message::Step::CreatePair(_), errno, .. }
                if errno == libc::EEXIST =>
            {
                self.attached_elsewhere()
            }
            error => error.into(),
        })?;
        self.configure(pod, &plan).inspect_err(|_| {
            let _ = link::delete(&mut self.host, self.names.host);
        })?;
        Ok(self.result(&plan, &bridge, mtu, dns))
    }

    /// The bridge as it is where that is good enough, else as it should be; and which of its
    /// addresses it is known to have.
    fn bridge(&mut self, spec: &BridgeSpec) -> Result<(BridgeState, Vec<Cidr>), LinkError> {
        let (found, own) = link::find_link_with(&mut self.host, spec.name, &spec.addresses)?;
        if let Some(bridge) = &found
            && bridge.kind == "bridge"
            && bridge.up
            && !spec.exclusive
            && let Some(mac) = bridge.mac
        {
            let (index, mtu) = (bridge.index, bridge.mtu);
            let state = BridgeState { index, mac, mtu, created: false, changed: Vec::new() };
            return Ok((state, own));
        }
        // The MTU of a bridge that exists is its owner's.
        let mtu = spec.mtu.filter(|_| found.is_none());
        let state = link::ensure(&mut self.host, &BridgeSpec { mtu, ..spec.clone() })?;
        Ok((state, spec.addresses.clone()))
    }

    fn configure(&self, pod: &mut Netlink, plan: &Plan) -> Result<(), Error> {
        let index = pod.index_of(self.interface)?.ok_or_else(|| {
            let message = format!("{} vanished from {}", self.interface, self.path.display());
            Error::new(Code::Kernel, message)
        })?;
        let addresses: Vec<Cidr> = plan.addresses.iter().map(|given| given.address).collect();
        let end = PodEnd {
            interface: self.interface,
            mac: self.names.pod_mac,
            addresses: &addresses,
            routes: &plan.routes,
            up: !self.config.disable_interface,
            detect_duplicates: self.config.detect_duplicates,
        };
        match end.configure(pod, index) {
            // A namespace made with IPv6 disabled; a range of it says that it is wanted here.
            Err(error) if error.errno() == Some(libc::EACCES) => {
                let interface = self.interface;
                let path = format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
                let enabled = std::fs::write(&path, "0");
                enabled.map_err(|error| Error::new(Code::Io, format!("{path}: {error}")))?;
                end.complete(pod, index)?;
            }
            configured => configured?,
        }
        refuse_redirects(self.interface, plan);
        Ok(())
    }

    fn result(&self, plan: &Plan, bridge: &BridgeState, mtu: u32, dns: Option<Value>) -> AddResult {
        let interface = |name: InterfaceName, mac: Mac, mtu: u32, sandbox: String| Interface {
            name: name.to_string(),
            mac: Some(mac),
            mtu: Some(mtu),
            sandbox,
        };
        let sandbox = self.path.display().to_string();
        let addresses = plan.addresses.iter().map(|given| Address {
            address: given.address,
            gateway: given.gateway,
            interface: Some(2),
        });
        let routes = plan
            .routes
            .iter()
            .map(|route| ResultRoute { route: *route, on_link: route.gateway.is_none() });
        AddResult {
            interfaces: vec![
                interface(self.config.bridge, bridge.mac, bridge.mtu, String::new()),
                interface(self.names.host, self.names.host_mac, mtu, String::new()),
                interface(self.interface, self.names.pod_mac, mtu, sandbox),
            ],
            addresses: addresses.collect(),
            routes: routes.collect(),
            dns,
        }
    }
}

impl Host for Attach<'_> {
    fn has(&mut self, address: IpAddr) -> Result<bool, LinkError> {
        let answer = link::ask_route(&mut self.host, address)?;
        self.routes.extend(answer);
        Ok(answer.is_some_and(|answer| answer.local))
    }

    fn make_gateways(&mut self) -> Result<(), LinkError> {
        let spec = gateways(self.config);
        // As it is where it is good enough would not do: it lacks them.
        let found = link::find_link(&mut self.host, spec.name)?;
        let mtu = spec.mtu.filter(|_| found.is_none());
        link::ensure(&mut self.host, &BridgeSpec { mtu, ..spec }).map(drop)
    }
}

/// The host may tell a pod to send to another pod of the same bridge directly. After the host
/// translated a service's address that would send the service's packets past the translation, for
/// as long as the pod remembers it. For IPv4 `all` counts as well as the interface, which was told
/// by netlink; no message tells the others. Where /proc/sys cannot be written the pod works all the same, only less surely.
fn refuse_redirects(interface: InterfaceName, plan: &Plan) {
    let ipv6 = plan.addresses.iter().any(|given| given.address.is_ipv6());
    let ipv4 = plan.addresses.iter().any(|given| !given.address.is_ipv6());
    let settings = [
        (ipv4, "ipv4", "all"),
        (ipv6, "ipv6", interface.as_str()),
    ];
    for (_, family, name) in settings.into_iter().filter(|(wanted, ..)| *wanted) {
        let path = format!("/proc/sys/net/{family}/conf/{name}/accept_redirects");
        let _ = std::fs::write(path, "0");
    }
}
