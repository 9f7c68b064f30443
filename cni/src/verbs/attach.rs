//! The kernel's part of ADD: the pair, the bridge, the pod's end.
//!
//! Two ways lead through here. Where the addresses are known beforehand, [`Attach::make`] does all
//! of it. Where another plugin gives them, it may talk through the interface (dhcp does), so
//! [`Attach::make_bare`] makes that first and [`Attach::complete`] the rest.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::Path;

use nix::libc;
use serde_json::Value;

use crate::address::Cidr;
use crate::config::NetworkConfig;
use crate::error::{Code, Error};
use crate::ipam::Host;
use crate::link::{
    self, BridgeSpec, BridgeState, HostEnd, InterfaceName, LinkError, Mac, Netlink, PairNames,
    PodEnd,
};
use crate::netns::Netns;
use crate::result::{AddResult, Address, Interface, ResultRoute};
use crate::verbs::Request;
use crate::verbs::plan::{Allocation, Given, Plan, dns, gateways};

/// Which pod is to be attached to what.
pub(super) struct Wanted<'a> {
    pub(super) request: &'a Request,
    pub(super) config: &'a NetworkConfig,
    pub(super) interface: InterfaceName,
    pub(super) names: PairNames,
    pub(super) path: &'a Path,
    pub(super) netns: Netns,
}

/// That, a socket of the host's namespace, and what the kernel answered so far.
pub(super) struct Attach<'a> {
    pub(super) wanted: Wanted<'a>,
    host: Netlink,
    /// Routes to addresses that were asked about.
    routes: Vec<link::Answer>,
}

impl<'a> Attach<'a> {
    pub(super) fn new(wanted: Wanted<'a>) -> Result<Self, LinkError> {
        Ok(Self { wanted, host: Netlink::open()?, routes: Vec::new() })
    }

    /// A socket in the pod, where the interface must not be.
    pub(super) fn enter(&self) -> Result<Netlink, Error> {
        let pod = self.wanted.netns.enter(self.wanted.path, &self.host)?;
        let interface = self.wanted.interface;
        if pod.index_of(interface)?.is_some() {
            return Err(Error::new(
                Code::Environment,
                format!(
                    "CNI_IFNAME: {interface} exists in {}; DEL comes before another ADD",
                    self.wanted.path.display()
                ),
            ));
        }
        Ok(pod)
    }

    /// The holder has addresses, and the host's end of its pair says whether it uses them.
    pub(super) fn refuse_attached(&mut self) -> Result<(), Error> {
        if link::find_link(&mut self.host, self.wanted.names.host)?.is_none() {
            return Ok(());
        }
        Err(self.wanted.attached_elsewhere())
    }

    /// The pair with these addresses, whatever the bridge lacks, the pod's end configured.
    pub(super) fn make(
        &mut self,
        pod: &mut Netlink,
        allocation: &Allocation,
    ) -> Result<AddResult, Error> {
        let plan = Plan::new(self.wanted.config, allocation)?;
        let dns = dns(self.wanted.config, allocation)?;
        let (bridge, own) = self.bridge(&plan.bridge)?;
        let missing = |gateway: &&Cidr| !own.contains(gateway);
        let gateways: Vec<Cidr> = plan.bridge.addresses.iter().filter(missing).copied().collect();
        let missing = |subnet: &&Cidr| !self.has_route(**subnet, bridge.index);
        let subnets: Vec<Cidr> = plan.subnets.iter().filter(missing).copied().collect();
        let end = self.wanted.host_end(&bridge, &plan.addresses, &gateways, &subnets);
        end.attach(&mut self.host).map_err(|error| self.wanted.refused(error))?;
        self.wanted.configure(pod, &plan).inspect_err(|_| self.undo())?;
        Ok(self.wanted.result(&plan, &bridge, dns))
    }

    /// The pair without addresses, both ends up.
    pub(super) fn make_bare(&mut self, pod: &mut Netlink) -> Result<BridgeState, Error> {
        let (bridge, _) = self.bridge(&gateways(self.wanted.config))?;
        let end = self.wanted.host_end(&bridge, &[], &[], &[]);
        end.attach(&mut self.host).map_err(|error| self.wanted.refused(error))?;
        let up = link::bring_up(pod, self.wanted.interface, self.wanted.config.detect_duplicates);
        up.inspect_err(|_| self.undo())?;
        Ok(bridge)
    }

    /// What that lacks, now that the addresses are known.
    pub(super) fn complete(
        &mut self,
        pod: &mut Netlink,
        bridge: &BridgeState,
        allocation: &Allocation,
    ) -> Result<AddResult, Error> {
        let plan = Plan::new(self.wanted.config, allocation)?;
        let dns = dns(self.wanted.config, allocation)?;
        let end =
            self.wanted.host_end(bridge, &plan.addresses, &plan.bridge.addresses, &plan.subnets);
        end.complete(&mut self.host)?;
        self.wanted.netns.go(self.wanted.path)?;
        self.wanted.configure(pod, &plan)?;
        Ok(self.wanted.result(&plan, bridge, dns))
    }

    /// What a step failed with matters more than what this meets; DEL, which must follow, tries again.
    pub(super) fn undo(&mut self) {
        let _ = link::delete(&mut self.host, self.wanted.names.host);
    }

    /// Whether a route that was asked about is ours to this subnet.
    fn has_route(&self, subnet: Cidr, bridge: u32) -> bool {
        let ours = |route: &link::Answer| {
            (route.to, route.device) == (subnet, Some(bridge))
                && route.on_link
                && route.mark == self.wanted.config.host_routes
        };
        self.routes.iter().any(ours)
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
}

impl Wanted<'_> {
    fn attached_elsewhere(&self) -> Error {
        Error::new(
            Code::Environment,
            format!(
                "CNI_CONTAINERID: {} is attached already, by {} on the host; DEL comes before another ADD",
                self.request.environment.container_id, self.names.host
            ),
        )
    }

    fn host_end<'a>(
        &'a self,
        bridge: &BridgeState,
        given: &[Given],
        gateways: &'a [Cidr],
        subnets: &'a [Cidr],
    ) -> HostEnd<'a> {
        HostEnd {
            names: self.names,
            interface: self.interface,
            netns: self.netns.as_fd(),
            bridge: self.config.bridge,
            bridge_index: bridge.index,
            mtu: self.mtu(bridge),
            port: self.config.port,
            promiscuous: self.config.promiscuous,
            ipv6: given.iter().any(|given| given.address.is_ipv6()),
            gateways,
            subnets,
            routes: self.config.host_routes,
        }
    }

    fn refused(&self, error: LinkError) -> Error {
        match error {
            LinkError::Refused { step: link::message::Step::CreatePair(_), errno, .. }
                if errno == libc::EEXIST =>
            {
                self.attached_elsewhere()
            }
            error => error.into(),
        }
    }

    fn mtu(&self, bridge: &BridgeState) -> u32 {
        self.config.mtu.unwrap_or(bridge.mtu)
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

    fn result(&self, plan: &Plan, bridge: &BridgeState, dns: Option<Value>) -> AddResult {
        let mtu = self.mtu(bridge);
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
        if !self.wanted.config.is_gateway {
            return Ok(());
        }
        let spec = gateways(self.wanted.config);
        // As it is where it is good enough would not do: it lacks them.
        let found = link::find_link(&mut self.host, spec.name)?;
        let mtu = spec.mtu.filter(|_| found.is_none());
        link::ensure(&mut self.host, &BridgeSpec { mtu, ..spec }).map(drop)
    }
}

/// The host may tell a pod to send to another pod of the same bridge directly. After the host
/// translated a service's address that would send the service's packets past the translation, for
/// as long as the pod remembers it. For IPv4 `all` counts as well as the interface, which was told
/// by netlink; no message tells the others. Where /proc/sys cannot be written the pod works all the
/// same, only less surely.
fn refuse_redirects(interface: InterfaceName, plan: &Plan) {
    let ipv6 = plan.addresses.iter().any(|given| given.address.is_ipv6());
    let ipv4 = plan.addresses.iter().any(|given| !given.address.is_ipv6());
    let settings = [(ipv4, "ipv4", "all"), (ipv6, "ipv6", interface.as_str())];
    for (_, family, name) in settings.into_iter().filter(|(wanted, ..)| *wanted) {
        let path = format!("/proc/sys/net/{family}/conf/{name}/accept_redirects");
        let _ = std::fs::write(path, "0");
    }
}
