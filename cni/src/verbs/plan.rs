//! What an attachment is to look like: pure.

use std::net::IpAddr;
use std::path::Path;

use nix::libc;
use serde_json::{Value, json};

use crate::address::{Cidr, from_number};
use crate::config::{GatewayMode, Ipam, NetworkConfig, Range, Route};
use crate::error::{Code, Error};
use crate::ipam::Assigned;
use crate::link::{BridgeSpec, link_local_gateway};
use crate::result::{AddResult, ResultRoute};

/// An address as an allocator gave it: with the length of its subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) address: Cidr,
    pub(crate) gateway: Option<IpAddr>,
}

/// What the allocator gave.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Allocation {
    pub(crate) given: Vec<Given>,
    pub(crate) routes: Vec<Route>,
    pub(crate) dns: Option<Value>,
}

impl Allocation {
    /// Of the built-in allocator.
    pub(crate) fn of_built_in(assigned: &[Assigned]) -> Self {
        let given = assigned.iter().filter_map(|Assigned { address, range }| {
            let address = Cidr::new(*address, range.subnet.length())?;
            Some(Given { address, gateway: range.gateway })
        });
        Self { given: given.collect(), ..Self::default() }
    }

    /// Of another plugin.
    pub(crate) fn of_delegate(result: AddResult) -> Self {
        let given = result.addresses.iter();
        let given = given.map(|a| Given { address: a.address, gateway: a.gateway }).collect();
        let routes = result.routes.into_iter().map(|ResultRoute { route, on_link }| {
            let scope = if on_link { Some(libc::RT_SCOPE_LINK) } else { route.scope };
            Route { scope, ..route }
        });
        let routes = routes.collect();
        Self { given, routes, dns: result.dns }
    }
}

/// The pod's side and the bridge's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// With the length they have in the pod, and their gateway.
    pub(crate) addresses: Vec<Given>,
    pub(crate) routes: Vec<Route>,
    pub(crate) bridge: BridgeSpec,
    /// On link at the bridge.
    pub(crate) subnets: Vec<Cidr>,
}

impl Plan {
    pub(crate) fn new(config: &NetworkConfig, allocation: &Allocation) -> Result<Self, Error> {
        let given = &allocation.given;
        if given.is_empty() && config.ipam != Ipam::Layer2 {
            let message = "the IPAM plugin gave no address; configure a range there";
            return Err(Error::new(Code::NetworkConfig, message));
        }
        let addresses: Vec<Given> = given.iter().map(|given| in_pod(config, *given)).collect();
        let mut routes = Vec::new();
        // On a further interface of a pod it would be in the way of the first one's; routes by the
        // gateway do without it there.
        let first = config.default_route && given.iter().any(|g| !g.address.is_ipv6());
        if config.gateway == GatewayMode::LinkLocal && first {
            routes.push(plain(Cidr::host(link_local_gateway(false)), None));
        }
        let further = further_routes(config, allocation);
        if config.default_route {
            routes.extend(default_routes(&addresses, &further));
        }
        for on_link in &config.on_link {
            routes.push(plain(*on_link, None));
        }
        for route in further {
            let own = addresses.iter().find(|a| a.address.is_ipv6() == route.to.is_ipv6());
            let Some(own) = own else { return Err(no_address(route.to)) };
            let by_own = own.gateway.filter(|_| route.scope != Some(libc::RT_SCOPE_LINK));
            let gateway = route.gateway.or(by_own);
            routes.push(Route { gateway, ..route });
        }
        let mut unique: Vec<Route> = Vec::with_capacity(routes.len());
        for route in routes {
            let family = |a: &Given| a.address.is_ipv6() == route.to.is_ipv6();
            if !addresses.iter().any(family) {
                return Err(no_address(route.to));
            }
            if !unique
                .iter()
                .any(|o| (o.to, o.priority, o.table) == (route.to, route.priority, route.table))
            {
                unique.push(route);
            }
        }
        let on_bridge = given.iter().filter(|_| config.is_gateway);
        let subnets: Vec<Cidr> = on_bridge.map(|given| given.address.network()).collect();
        let bridge = bridge(config, &addresses, &subnets);
        Ok(Self { addresses, routes: unique, bridge, subnets })
    }
}

fn no_address(to: Cidr) -> Error {
    let message = format!(
        "network configuration: route to {to}: the pod has no address of that family; \
         add a range of it, or remove the route"
    );
    Error::new(Code::NetworkConfig, message)
}

fn plain(to: Cidr, gateway: Option<IpAddr>) -> Route {
    Route { to, gateway, priority: None, mtu: None, advmss: None, table: None, scope: None }
}

fn in_pod(config: &NetworkConfig, given: Given) -> Given {
    let address = given.address;
    match config.gateway {
        GatewayMode::LinkLocal => Given {
            address: Cidr::host(address.address()),
            gateway: Some(link_local_gateway(address.is_ipv6())),
        },
        GatewayMode::Bridge => {
            let first = || {
                let range = Range::of(address, GatewayMode::Bridge);
                range.gateway.unwrap_or_else(|| from_number(address.first(), address.is_ipv6()))
            };
            Given { address, gateway: given.gateway.or_else(|| config.is_gateway.then(first)) }
        }
    }
}

fn further_routes(config: &NetworkConfig, allocation: &Allocation) -> Vec<Route> {
    match &config.ipam {
        Ipam::BuiltIn(ipam) => ipam.routes.clone(),
        Ipam::Delegate(_) | Ipam::Layer2 => allocation.routes.clone(),
    }
}

/// One for each family, but where the configuration has its own.
fn default_routes(addresses: &[Given], further: &[Route]) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    for given in addresses.iter().filter(|given| given.gateway.is_some()) {
        let to = if given.address.is_ipv6() { Cidr::DEFAULT_V6 } else { Cidr::DEFAULT_V4 };
        if !routes.iter().chain(further).any(|route| route.to == to) {
            routes.push(plain(to, given.gateway));
        }
    }
    routes
}

/// The bridge with the gateways of all ranges, in bridge mode.
pub(crate) fn gateways(config: &NetworkConfig) -> BridgeSpec {
    bridge(config, &[], &[])
}

/// In bridge mode every range's gateway is the bridge's, so that one is not taken for a stranger
/// when a pod of another range comes.
fn bridge(config: &NetworkConfig, addresses: &[Given], subnets: &[Cidr]) -> BridgeSpec {
    let mut spec = match config.gateway {
        GatewayMode::LinkLocal => BridgeSpec::link_local(config.bridge, subnets),
        GatewayMode::Bridge if !config.is_gateway => {
            BridgeSpec::gateways(config.bridge, Vec::new())
        }
        GatewayMode::Bridge => {
            let of_range = |range: &Range| Cidr::new(range.gateway?, range.subnet.length());
            let own = addresses.iter().filter_map(|a| Cidr::new(a.gateway?, a.address.length()));
            let mut gateways: Vec<Cidr> = match &config.ipam {
                Ipam::BuiltIn(ipam) => ipam.sets.iter().flatten().filter_map(of_range).collect(),
                Ipam::Delegate(_) | Ipam::Layer2 => Vec::new(),
            };
            let exclusive = !gateways.is_empty() && !config.force_address;
            gateways.extend(own);
            gateways.sort();
            gateways.dedup();
            BridgeSpec { exclusive, ..BridgeSpec::gateways(config.bridge, gateways) }
        }
    };
    spec.mtu = config.mtu;
    spec
}

/// The `dns` of a result: the configuration's, else the allocator's, else that of a resolv.conf.
pub(crate) fn dns(config: &NetworkConfig, allocation: &Allocation) -> Result<Option<Value>, Error> {
    let set = |dns: &Value| dns.as_object().is_some_and(|dns| !dns.is_empty());
    if let Some(dns) = config.dns.iter().chain(&allocation.dns).find(|dns| set(dns)) {
        return Ok(Some(dns.clone()));
    }
    match &config.ipam {
        Ipam::BuiltIn(ipam) => ipam.resolv_conf.as_deref().map(resolv_conf).transpose(),
        Ipam::Delegate(_) | Ipam::Layer2 => Ok(None),
    }
}

/// resolv.conf(5), as far as a result has a place for it.
fn resolv_conf(path: &Path) -> Result<Value, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let path = path.display();
        Error::new(Code::Io, format!("network configuration: ipam.resolvConf: {path}: {error}"))
    })?;
    let (mut nameservers, mut search, mut options) = (Vec::new(), Vec::new(), Vec::new());
    let mut domain = None;
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("nameserver") => nameservers.extend(words.next()),
            Some("search") => search = words.collect(),
            Some("options") => options.extend(words),
            Some("domain") => domain = words.next(),
            _ => {}
        }
    }
    let mut dns = json!({"nameservers": nameservers, "search": search, "options": options});
    if let Some(domain) = domain {
        dns["domain"] = domain.into();
    }
    Ok(dns)
}
