//! The network configuration list as the agent writes it.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::address::Cidr;
use crate::config::fields::Fields;
use crate::config::{COOLDOWN, DATA_DIR, GatewayMode, SpecVersion};
use crate::error::Error;
use crate::link::InterfaceName;

/// How the host's on-link routes to the pods' subnets are marked. The agent adopts those that ADD
/// made while it was down, so they must look like its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostRoutes {
    /// Metric.
    pub metric: u32,
    /// Table id; 254 is main.
    pub table: u32,
    /// Protocol number.
    pub protocol: u8,
}

impl Default for HostRoutes {
    fn default() -> Self {
        Self { metric: 116, table: 254, protocol: 116 }
    }
}

impl HostRoutes {
    pub(crate) fn read(root: &Fields<'_>) -> Result<Self, Error> {
        let default = Self::default();
        root.with("hostRoutes", |fields| {
            let metric = fields.number("metric", 1..=u32::MAX)?.unwrap_or(default.metric);
            let table = fields.number("table", 1..=u32::MAX)?.unwrap_or(default.table);
            let protocol = fields.number("protocol", 5..=255)?;
            let protocol = protocol.map_or(default.protocol, |protocol| protocol as u8);
            Ok(Self { metric, table, protocol })
        })
    }
}

/// What a conflist is written from. [`Conflist::new`] fills in the defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflist {
    /// Of the specification: the highest that every chained plugin and the runtime speak.
    pub version: SpecVersion,
    /// The network's name, and that of its directory of leases.
    pub name: String,
    /// The bridge.
    pub bridge: InterfaceName,
    /// `None`: the bridge's.
    pub mtu: Option<u32>,
    /// How pods leave.
    pub gateway: GatewayMode,
    /// The pods' subnets: each pod gets one address of each family, out of any subnet of it.
    pub subnets: Vec<Cidr>,
    /// Further prefixes that pods believe to be on link.
    pub on_link: Vec<Cidr>,
    /// How the host's routes are marked.
    pub host_routes: HostRoutes,
    /// STATUS fails until this file is there.
    pub readiness_file: Option<PathBuf>,
    /// Where leases are.
    pub data_dir: PathBuf,
    /// How long a released address rests.
    pub cooldown: Duration,
    /// Configurations of plugins after ours, such as portmap.
    pub chain: Vec<Value>,
}

impl Conflist {
    /// A network of these subnets, all else by default.
    pub fn new(name: &str, bridge: InterfaceName, subnets: Vec<Cidr>) -> Self {
        Self {
            version: SpecVersion::V1_0_0,
            name: name.to_owned(),
            bridge,
            mtu: None,
            gateway: GatewayMode::LinkLocal,
            subnets,
            on_link: Vec::new(),
            host_routes: HostRoutes::default(),
            readiness_file: None,
            data_dir: PathBuf::from(DATA_DIR),
            cooldown: COOLDOWN,
            chain: Vec::new(),
        }
    }

    /// The portmap plugin of the reference, chained where it is present.
    pub fn portmap() -> Value {
        json!({"type": "portmap", "capabilities": {"portMappings": true}})
    }

    /// The file's text.
    pub fn to_json(&self) -> String {
        let mut plugins = vec![self.plugin()];
        plugins.extend(self.chain.iter().cloned());
        let list = json!({
            "cniVersion": self.version.as_str(),
            "name": self.name,
            "plugins": plugins,
        });
        format!("{list:#}\n")
    }

    fn plugin(&self) -> Value {
        let of_family = |ipv6: bool| -> Option<Value> {
            let subnets = self.subnets.iter().filter(|subnet| subnet.is_ipv6() == ipv6);
            let set: Vec<Value> =
                subnets.map(|subnet| json!({"subnet": subnet.network().to_string()})).collect();
            (!set.is_empty()).then_some(Value::Array(set))
        };
        let ranges: Vec<Value> = [false, true].into_iter().filter_map(of_family).collect();
        let on_link: Vec<String> = self.on_link.iter().map(Cidr::to_string).collect();
        let mut plugin = json!({
            "type": "twill-cni",
            "bridge": self.bridge.as_str(),
            "hairpinMode": true,
            "gateway": self.gateway.as_str(),
            "capabilities": {"mac": true, "ips": true},
            "ipam": {
                "ranges": ranges,
                "dataDir": self.data_dir,
                "cooldown": format!("{}ms", self.cooldown.as_millis()),
            },
        });
        if self.cooldown.subsec_nanos() == 0 {
            plugin["ipam"]["cooldown"] = format!("{}s", self.cooldown.as_secs()).into();
        }
        if let Some(mtu) = self.mtu {
            plugin["mtu"] = mtu.into();
        }
        if !on_link.is_empty() {
            plugin["onLink"] = on_link.into();
        }
        if self.host_routes != HostRoutes::default() {
            let HostRoutes { metric, table, protocol } = self.host_routes;
            plugin["hostRoutes"] = json!({"metric": metric, "table": table, "protocol": protocol});
        }
        if let Some(file) = &self.readiness_file {
            plugin["readinessFile"] = json!(file);
        }
        plugin
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BuiltIn, Envelope, Ipam, NetworkConfig, Range};

    #[test]
    fn what_the_agent_writes_the_plugin_reads() {
        let cidr = |text: &str| text.parse::<Cidr>().unwrap();
        let mut conflist = Conflist::new(
            "twill",
            InterfaceName::new("twill0").unwrap(),
            vec![cidr("10.244.1.0/24"), cidr("fd00:244:1::/64"), cidr("10.245.1.0/24")],
        );
        conflist.mtu = Some(1450);
        conflist.on_link = vec![cidr("10.244.0.0/16")];
        conflist.host_routes.metric = 20;
        conflist.readiness_file = Some("/run/twill/ready".into());
        conflist.cooldown = Duration::from_millis(1500);
        conflist.chain = vec![Conflist::portmap()];
        let list: Value = serde_json::from_str(&conflist.to_json()).unwrap();
        assert_eq!(list["plugins"][1]["type"], "portmap");

        // As the runtime derives it.
        let mut one = list["plugins"][0].clone();
        one["cniVersion"] = list["cniVersion"].clone();
        one["name"] = list["name"].clone();
        let envelope = Envelope::read(one.to_string().as_bytes()).unwrap();
        let config = NetworkConfig::read(&envelope).unwrap();
        assert_eq!(config.bridge, conflist.bridge);
        assert_eq!(config.mtu, Some(1450));
        assert_eq!(config.on_link, conflist.on_link);
        assert_eq!(config.host_routes.metric, 20);
        assert_eq!(config.readiness_file.as_deref(), Some("/run/twill/ready"));
        let range = |text| Range::of(cidr(text), GatewayMode::LinkLocal);
        assert_eq!(
            config.ipam,
            Ipam::BuiltIn(BuiltIn {
                sets: vec![
                    vec![range("10.244.1.0/24"), range("10.245.1.0/24")],
                    vec![range("fd00:244:1::/64")]
                ],
                data_dir: DATA_DIR.into(),
                cooldown: Duration::from_millis(1500),
                routes: Vec::new(),
                resolv_conf: None,
            })
        );
    }
}
