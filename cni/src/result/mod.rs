//! What ADD answers, and what CHECK and DEL are told it answered.
//!
//! CNI specification, section 5, in each version's form: up to 0.4.0 an address carries its
//! `version`, from 1.1.0 on interfaces carry `mtu` and routes their further fields.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use crate::address::Cidr;
use crate::config::{Route, SpecVersion, fields, fields::Place, read_route};
use crate::error::{Code, Error};
use crate::link::Mac;

/// RT_SCOPE_LINK.
const LINK: u8 = 253;

/// A result of ADD.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AddResult {
    /// In order; addresses refer to them.
    pub interfaces: Vec<Interface>,
    /// The pod's.
    pub addresses: Vec<Address>,
    /// The pod's.
    pub routes: Vec<ResultRoute>,
    /// As configured.
    pub dns: Option<Value>,
}

/// An interface that ADD made or used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its hardware address.
    pub mac: Option<Mac>,
    /// Its MTU.
    pub mtu: Option<u32>,
    /// CNI_NETNS of a pod's; empty for the host's.
    pub sandbox: String,
}

/// An address that ADD assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// With the length it has on its interface.
    pub address: Cidr,
    /// By which the pod leaves.
    pub gateway: Option<IpAddr>,
    /// Which of the interfaces.
    pub interface: Option<usize>,
}

/// A route that ADD made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResultRoute {
    /// Where to, by whom; without a scope of link.
    pub route: Route,
    /// Whether it is on link (scope 253).
    pub on_link: bool,
}

impl AddResult {
    /// In the form of a version.
    pub fn to_json(&self, version: SpecVersion) -> Value {
        let interfaces: Vec<Value> =
            self.interfaces.iter().map(|interface| interface.to_json(version)).collect();
        let addresses: Vec<Value> =
            self.addresses.iter().map(|address| address.to_json(version)).collect();
        let routes: Vec<Value> = self.routes.iter().map(|route| route.to_json(version)).collect();
        let mut result = json!({
            "cniVersion": version.as_str(),
            "interfaces": interfaces,
            "ips": addresses,
            "dns": self.dns.clone().unwrap_or_else(|| json!({})),
        });
        if !routes.is_empty() {
            result["routes"] = routes.into();
        }
        result
    }

    /// Reads one, of any version: that of a delegated plugin, or `prevResult`.
    ///
    /// # Errors
    /// Code 6, naming the field.
    pub fn read(value: &Value) -> Result<Self, Error> {
        Self::read_fields(value)
            .map_err(|error| Error::new(Code::Decoding, format!("result: {}", error.message())))
    }

    fn read_fields(value: &Value) -> Result<Self, Error> {
        let root = fields::object(Place::Root, value)?;
        let interfaces = root.each("interfaces", |place, item| {
            let fields = fields::object(place, item)?;
            let text = |key| fields.string(key).map(|text| text.unwrap_or_default().to_owned());
            let mac = text("mac")?;
            let sandbox = text("sandbox")?;
            let mtu = fields.number("mtu", 0..=u32::MAX)?;
            Ok(Interface { name: text("name")?, mac: Mac::parse(&mac), mtu, sandbox })
        })?;
        let addresses = root.each("ips", |place, item| {
            const ADDRESS: &str = "an address with its prefix length";
            let fields = fields::object(place, item)?;
            let address = fields.parse("address", ADDRESS)?;
            let interface = fields.number("interface", 0..=u32::MAX)?;
            Ok(Address {
                address: address.ok_or_else(|| fields.wrong("address", ADDRESS))?,
                gateway: fields.parse("gateway", "an IP address")?,
                interface: interface.map(|place| place as usize),
            })
        })?;
        let routes = root.each("routes", |place, item| {
            let route = read_route(place, item)?;
            let on_link = route.scope == Some(LINK);
            let scope = route.scope.filter(|scope| *scope != LINK);
            Ok(ResultRoute { route: Route { scope, ..route }, on_link })
        })?;
        Ok(Self { interfaces, addresses, routes, dns: root.get("dns").cloned() })
    }

    /// Puts this after what plugins before us did (`prevResult` of an ADD).
    #[must_use]
    pub fn after(self, previous: Self) -> Self {
        let shift = previous.interfaces.len();
        let shifted = self.addresses.into_iter().map(|address| Address {
            interface: address.interface.map(|place| place + shift),
            ..address
        });
        Self {
            interfaces: [previous.interfaces, self.interfaces].concat(),
            addresses: previous.addresses.into_iter().chain(shifted).collect(),
            routes: [previous.routes, self.routes].concat(),
            dns: self.dns.or(previous.dns),
        }
    }
}

impl Interface {
    fn to_json(&self, version: SpecVersion) -> Value {
        let mut map = Map::new();
        map.insert("name".into(), self.name.clone().into());
        if let Some(mac) = self.mac {
            map.insert("mac".into(), mac.to_string().into());
        }
        if let Some(mtu) = self.mtu.filter(|_| version >= SpecVersion::V1_1_0) {
            map.insert("mtu".into(), mtu.into());
        }
        if !self.sandbox.is_empty() {
            map.insert("sandbox".into(), self.sandbox.clone().into());
        }
        map.into()
    }
}

impl Address {
    fn to_json(self, version: SpecVersion) -> Value {
        let mut map = Map::new();
        if version < SpecVersion::V1_0_0 {
            map.insert("version".into(), if self.address.is_ipv6() { "6" } else { "4" }.into());
        }
        map.insert("address".into(), self.address.to_string().into());
        if let Some(gateway) = self.gateway {
            map.insert("gateway".into(), gateway.to_string().into());
        }
        if let Some(interface) = self.interface {
            map.insert("interface".into(), interface.into());
        }
        map.into()
    }
}

impl ResultRoute {
    fn to_json(self, version: SpecVersion) -> Value {
        let Route { to, gateway, priority, mtu, advmss, table, scope } = self.route;
        let mut map = Map::new();
        map.insert("dst".into(), to.to_string().into());
        if let Some(gateway) = gateway {
            map.insert("gw".into(), gateway.to_string().into());
        }
        if version >= SpecVersion::V1_1_0 {
            let scope = self.on_link.then_some(LINK).or(scope).map(u32::from);
            let further = [
                ("priority", priority),
                ("mtu", mtu),
                ("advmss", advmss),
                ("table", table),
                ("scope", scope),
            ];
            for (key, value) in further {
                if let Some(value) = value {
                    map.insert(key.into(), value.into());
                }
            }
        }
        map.into()
    }
}

#[cfg(test)]
mod tests;
