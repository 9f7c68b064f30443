//! What the plugin is told: the network configuration on stdin, the environment, CNI_ARGS.
//!
//! In: bytes and variables. Out: checked values, or an error with a code of the specification that
//! names the key, what was expected and what stands there. The agent writes the same configuration
//! by [`Conflist`]. CNI specification 1.1.0, sections 1 to 3; the reference's CONVENTIONS.md.

mod conflist;
mod environment;
pub(crate) mod fields;
mod ipam;
mod version;

use std::net::IpAddr;

use serde_json::Value;

use crate::address::Cidr;
use crate::config::fields::{Fields, Place};
use crate::error::{Code, Error};
use crate::link::{InterfaceName, Mac};

pub use conflist::{Conflist, HostRoutes};
pub use environment::{Environment, ExtraArgs, Verb};
pub use ipam::{BuiltIn, COOLDOWN, DATA_DIR, Ipam, Range};
pub use version::SpecVersion;

/// The bridge unless configured.
pub const BRIDGE: &str = "twill0";

/// How a pod leaves its interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GatewayMode {
    /// By 169.254.1.1 and fe80::1 on the bridge; the pod has a /32 or /128.
    #[default]
    LinkLocal,
    /// By the first address of its range, on the bridge; the pod has the range's subnet on link.
    Bridge,
}

impl GatewayMode {
    /// The configuration's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LinkLocal => "link-local",
            Self::Bridge => "bridge",
        }
    }
}

/// A route of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Where to.
    pub to: Cidr,
    /// By whom; `None`: the pod's gateway.
    pub gateway: Option<IpAddr>,
    /// RTA_PRIORITY, from specification 1.1.0 on.
    pub priority: Option<u32>,
    /// MTU of the path, from 1.1.0 on.
    pub mtu: Option<u32>,
    /// Advertised MSS, from 1.1.0 on.
    pub advmss: Option<u32>,
    /// Table, from 1.1.0 on; `None`: main.
    pub table: Option<u32>,
    /// RT_SCOPE_*, from 1.1.0 on; link (253) goes by no gateway unless one is named.
    pub scope: Option<u8>,
}

/// One attachment of a network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attachment {
    /// CNI_CONTAINERID of its ADD.
    pub container_id: String,
    /// CNI_IFNAME of its ADD.
    pub interface: String,
}

/// What a bridge port is told beside its master.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PortOptions {
    /// A frame may leave by the port it came in.
    pub hairpin: bool,
    /// Ports with this flag do not reach each other.
    pub isolated: bool,
}

/// The network configuration of one plugin, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkConfig {
    /// Of the specification.
    pub version: SpecVersion,
    /// The network's name.
    pub name: String,
    /// The bridge.
    pub bridge: InterfaceName,
    /// `None`: the bridge's.
    pub mtu: Option<u32>,
    /// How pods leave.
    pub gateway: GatewayMode,
    /// Whether the bridge has the gateways' addresses (`isGateway`); if not, another router on it does.
    pub is_gateway: bool,
    /// Whether pods get a default route by the gateway (`isDefaultGateway`; true unless said).
    pub default_route: bool,
    /// Whether the bridge takes in all frames (`promiscMode`).
    pub promiscuous: bool,
    /// Whether another address on the bridge is no error.
    pub force_address: bool,
    /// Whether pods wait for duplicate address detection (`enabledad`).
    pub detect_duplicates: bool,
    /// Whether pods' ends stay down (`disableContainerInterface`), in a network without addresses.
    pub disable_interface: bool,
    /// Of the host's end.
    pub port: PortOptions,
    /// Further prefixes that pods believe to be on link.
    pub on_link: Vec<Cidr>,
    /// The host's routes to the pods' subnets.
    pub host_routes: HostRoutes,
    /// A file whose presence says that this node was ready once since it booted; STATUS fails
    /// without it. `None`: STATUS does not ask.
    pub readiness_file: Option<String>,
    /// Who gives out addresses.
    pub ipam: Ipam,
    /// Passed into results.
    pub dns: Option<Value>,
    /// From capabilities and `args.cni`.
    pub mac: Option<Mac>,
    /// From capabilities and `args.cni`.
    pub requested: Vec<IpAddr>,
    /// The result of the ADD, or of the plugin before us.
    pub previous: Option<Value>,
    /// GC's list; `None` where there is none.
    pub valid_attachments: Option<Vec<Attachment>>,
}

/// The version and name of a configuration that may not be ours in all else: enough to answer an
/// error in the right version, and for the loopback.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// The whole.
    pub value: Value,
    /// Its version.
    pub version: SpecVersion,
}

impl Envelope {
    /// Reads JSON and its version.
    ///
    /// # Errors
    /// Code 6 for what is no JSON object, 1 for a version that is not spoken.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| {
            Error::new(
                Code::Decoding,
                format!("network configuration on stdin is not JSON: {error}"),
            )
        })?;
        if !value.is_object() {
            let message = "network configuration on stdin: expected an object";
            return Err(Error::new(Code::Decoding, message));
        }
        let version = match value.get("cniVersion") {
            None | Some(Value::Null) => "",
            Some(Value::String(version)) => version,
            Some(other) => {
                let message =
                    format!("network configuration: cniVersion: expected a string, found {other}");
                return Err(Error::new(Code::Decoding, message));
            }
        };
        let version = SpecVersion::parse(version)?;
        Ok(Self { value, version })
    }
}

impl NetworkConfig {
    /// Reads and checks the whole.
    ///
    /// # Errors
    /// Code 7 for a value that cannot be, 2 for one that is not built.
    pub fn read(envelope: &Envelope) -> Result<Self, Error> {
        let root = fields::object(Place::Root, &envelope.value)?;
        refuse_unsupported(&root)?;
        let gateway = match root.string("gateway")? {
            None | Some("" | "link-local") => GatewayMode::LinkLocal,
            Some("bridge") => GatewayMode::Bridge,
            Some(_) => return Err(root.wrong("gateway", "\"link-local\" or \"bridge\"")),
        };
        let bridge = root.string("bridge")?.filter(|name| !name.is_empty()).unwrap_or(BRIDGE);
        let bridge = InterfaceName::new(bridge)
            .map_err(|error| root.wrong("bridge", &format!("an interface name ({error})")))?;
        let runtime = root.with("runtimeConfig", |fields| read_requests(&fields))?;
        let args = root.with("args", |args| args.with("cni", |fields| read_requests(&fields)))?;
        let ip_ranges =
            envelope.value.get("runtimeConfig").and_then(|fields| fields.get("ipRanges"));
        let mtu = read_mtu(&root)?;
        let ipam = ipam::read(&root, gateway, ip_ranges)?;
        check_ipv6_mtu(&root, mtu, &ipam)?;
        Ok(Self {
            version: envelope.version,
            name: network_name(&root)?,
            bridge,
            mtu,
            gateway,
            is_gateway: read_is_gateway(&root, gateway)?,
            default_route: root.boolean("isDefaultGateway", true)?,
            promiscuous: root.boolean("promiscMode", false)?,
            force_address: root.boolean("forceAddress", false)?,
            detect_duplicates: root.boolean("enabledad", false)?,
            disable_interface: read_disable_interface(&root, &ipam)?,
            port: PortOptions {
                hairpin: root.boolean("hairpinMode", false)?,
                isolated: root.boolean("portIsolation", false)?,
            },
            on_link: root.each("onLink", |place, item| {
                fields::parsed(place, "a prefix such as 10.244.0.0/16", item).map(Cidr::network)
            })?,
            host_routes: HostRoutes::read(&root)?,
            readiness_file: root.string("readinessFile")?.map(str::to_owned),
            ipam,
            dns: root.get("dns").cloned(),
            mac: runtime.mac.or(args.mac),
            requested: [args.addresses, runtime.addresses].concat(),
            previous: root.get("prevResult").cloned(),
            valid_attachments: read_attachments(&root)?,
        })
    }
}

/// Whether the `ipam` block is empty: the reference's way to have no addresses.
pub(crate) fn is_layer2(root: &Fields<'_>) -> bool {
    root.get("ipam").and_then(Value::as_object).is_some_and(serde_json::Map::is_empty)
}

/// The reference's rule for network names; ours because it becomes a directory.
fn network_name(root: &Fields<'_>) -> Result<String, Error> {
    let name = root.string("name")?.unwrap_or_default();
    if is_identifier(name) {
        Ok(name.to_owned())
    } else {
        Err(root.wrong("name", "a letter or digit, then letters, digits, _ . -"))
    }
}

/// A letter or digit, then letters, digits, `_`, `.`, `-`: container ids and network names.
pub(crate) fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// 0 means unset in the reference. 68 is the least of IPv4 (RFC 791); the kernel refuses the rest.
fn read_mtu(root: &Fields<'_>) -> Result<Option<u32>, Error> {
    let mtu = root.number("mtu", 0..=65_535)?.filter(|mtu| *mtu != 0);
    match mtu {
        Some(..68) => Err(root.wrong("mtu", "0 or a number from 68 to 65535")),
        mtu => Ok(mtu),
    }
}

/// The kernel takes IPv6 away from a link with a smaller MTU (RFC 8200 section 5).
fn check_ipv6_mtu(root: &Fields<'_>, mtu: Option<u32>, ipam: &Ipam) -> Result<(), Error> {
    let Ipam::BuiltIn(built_in) = ipam else { return Ok(()) };
    let ipv6 = built_in.subnets().iter().any(|subnet| subnet.is_ipv6());
    if ipv6 && mtu.is_some_and(|mtu| mtu < 1280) {
        return Err(root.wrong("mtu", "at least 1280, because the network has an IPv6 range"));
    }
    Ok(())
}

/// In `link-local` mode the pods' gateway is no address that another router could have.
fn read_is_gateway(root: &Fields<'_>, mode: GatewayMode) -> Result<bool, Error> {
    let is_gateway = root.boolean("isGateway", true)?;
    if !is_gateway && mode == GatewayMode::LinkLocal && !is_layer2(root) {
        let remedy = "in link-local mode the bridge is the pods' gateway; \
                      leave it out, or set \"gateway\": \"bridge\"";
        return Err(root.unsupported("isGateway", remedy));
    }
    Ok(is_gateway)
}

/// An interface that is down has no routes: as in the reference, only without addresses.
fn read_disable_interface(root: &Fields<'_>, ipam: &Ipam) -> Result<bool, Error> {
    const KEY: &str = "disableContainerInterface";
    let disabled = root.boolean(KEY, false)?;
    if disabled && *ipam != Ipam::Layer2 {
        return Err(
            root.wrong(KEY, "false, because the network gives out addresses; or \"ipam\": {}")
        );
    }
    Ok(disabled)
}

fn refuse_unsupported(root: &Fields<'_>) -> Result<(), Error> {
    const VLAN: &str = "the bridge filters no VLANs, which not every kernel can; \
                        give each VLAN a bridge of its own";
    let remedies = [("vlanTrunk", VLAN), ("macspoofchk", "leave it out")];
    if root.number("vlan", 0..=4094)?.is_some_and(|vlan| vlan != 0) {
        return Err(root.unsupported("vlan", VLAN));
    }
    for (key, remedy) in remedies {
        let empty = |value: &Value| {
            value == &Value::Bool(false) || value.as_array().is_some_and(Vec::is_empty)
        };
        if root.get(key).is_some_and(|value| !empty(value)) {
            return Err(root.unsupported(key, remedy));
        }
    }
    // Nobody here translates addresses: that is the agent's, for all of the node's pods at once.
    root.boolean("ipMasq", false).map(drop)
}

#[derive(Default)]
struct Requests {
    mac: Option<Mac>,
    addresses: Vec<IpAddr>,
}

fn read_requests(fields: &Fields<'_>) -> Result<Requests, Error> {
    let mac = fields.string("mac")?.filter(|mac| !mac.is_empty());
    let mac = mac.map(|mac| {
        Mac::parse(mac).ok_or_else(|| {
            fields.wrong("mac", "a unicast hardware address such as 02:00:00:00:00:01")
        })
    });
    Ok(Requests { mac: mac.transpose()?, addresses: fields.each("ips", fields::address)? })
}

pub(crate) fn read_route(place: Place<'_>, value: &Value) -> Result<Route, Error> {
    const TO: &str = "a prefix such as 10.0.0.0/8";
    let fields = fields::object(place, value)?;
    let to: Cidr = fields.parse("dst", TO)?.ok_or_else(|| fields.wrong("dst", TO))?;
    let gateway = fields.parse::<IpAddr>("gw", "an IP address")?;
    if gateway.is_some_and(|gateway| gateway.is_ipv6() != to.is_ipv6()) {
        return Err(fields.wrong("gw", "an address of the family of dst"));
    }
    Ok(Route {
        to: to.network(),
        gateway,
        priority: fields.number("priority", 0..=u32::MAX)?,
        mtu: fields.number("mtu", 0..=65_535)?,
        advmss: fields.number("advmss", 0..=65_535)?,
        table: fields.number("table", 1..=u32::MAX)?,
        scope: fields.number("scope", 0..=255)?.map(|scope| scope as u8),
    })
}

fn read_attachments(root: &Fields<'_>) -> Result<Option<Vec<Attachment>>, Error> {
    const KEY: &str = "cni.dev/valid-attachments";
    if root.get(KEY).is_none() {
        return Ok(None);
    }
    let read = |place: Place<'_>, value: &Value| -> Result<Attachment, Error> {
        let fields = fields::object(place, value)?;
        let text = |key| fields.string(key).map(|text| text.unwrap_or_default().to_owned());
        Ok(Attachment { container_id: text("containerID")?, interface: text("ifname")? })
    };
    root.each(KEY, read).map(Some)
}
