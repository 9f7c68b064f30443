//! The `ipam` block: ranges as the reference host-local understands them, checked and completed.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::address::{Cidr, from_number, to_number};
use crate::config::fields::{self, Fields, Place};
use crate::config::{GatewayMode, Route, is_layer2, read_route};
use crate::error::{Code, Error};

/// Where leases are unless configured.
pub const DATA_DIR: &str = "/var/lib/cni/networks";
/// How long a released address rests unless configured.
pub const COOLDOWN: Duration = Duration::from_secs(60);

/// Who gives out addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ipam {
    /// We do.
    BuiltIn(BuiltIn),
    /// Another plugin does, by exec.
    Delegate(String),
    /// Nobody: pods are on the bridge without an address.
    Layer2,
}

/// The built-in allocator's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltIn {
    /// One address is given out of each set.
    pub sets: Vec<Vec<Range>>,
    /// Leases are in `data_dir/<network>`.
    pub data_dir: PathBuf,
    /// How long a released address rests.
    pub cooldown: Duration,
    /// Further routes of pods.
    pub routes: Vec<Route>,
    /// A resolv.conf to answer with.
    pub resolv_conf: Option<PathBuf>,
}

/// A range of addresses within a subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The subnet, host bits zero.
    pub subnet: Cidr,
    /// First address given out.
    pub first: IpAddr,
    /// Last address given out.
    pub last: IpAddr,
    /// Never given out: the gateway, where it is one of the subnet.
    pub gateway: Option<IpAddr>,
}

impl Range {
    /// A whole subnet: without the network and broadcast addresses of IPv4 and the subnet-router
    /// anycast address of IPv6 (RFC 4291 section 2.6.1), but for subnets of one or two addresses,
    /// which are used whole. In bridge mode the first address is the gateway's.
    pub fn of(subnet: Cidr, mode: GatewayMode) -> Self {
        let subnet = subnet.network();
        let ipv6 = subnet.is_ipv6();
        let (mut first, mut last) = (subnet.first(), subnet.last());
        if last - first > 1 {
            first += 1;
            last -= u128::from(!ipv6);
        }
        let gateway = (mode == GatewayMode::Bridge).then(|| from_number(first, ipv6));
        Self { subnet, first: from_number(first, ipv6), last: from_number(last, ipv6), gateway }
    }

    /// Whether the address is one to give out.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv6() == self.subnet.is_ipv6()
            && (to_number(self.first)..=to_number(self.last)).contains(&to_number(address))
            && self.gateway != Some(address)
    }

    /// How many there are to give out; saturates.
    pub fn size(&self) -> u128 {
        let (first, last) = (to_number(self.first), to_number(self.last));
        let whole = last.saturating_sub(first).saturating_add(1);
        let reserved = self.gateway.is_some_and(|gateway| {
            gateway.is_ipv6() == self.subnet.is_ipv6()
                && (first..=last).contains(&to_number(gateway))
        });
        whole - u128::from(reserved)
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.subnet.is_ipv6() == other.subnet.is_ipv6()
            && to_number(self.first) <= to_number(other.last)
            && to_number(other.first) <= to_number(self.last)
    }
}

impl BuiltIn {
    /// The subnets of all ranges.
    pub fn subnets(&self) -> Vec<Cidr> {
        self.sets.iter().flatten().map(|range| range.subnet).collect()
    }
}

pub(crate) fn read(
    root: &Fields<'_>,
    mode: GatewayMode,
    ip_ranges: Option<&Value>,
) -> Result<Ipam, Error> {
    let Some(value) = root.get("ipam") else {
        let expected = "an object with the ranges of the pods' addresses, or {} for pods without";
        return Err(root.wrong("ipam", expected));
    };
    if ip_ranges.is_none() && is_layer2(root) {
        return Ok(Ipam::Layer2);
    }
    let place = root.place("ipam");
    let ipam = fields::object(place, value)?;
    match ipam.string("type")? {
        None | Some("" | "twill-cni") => built_in(&ipam, mode, ip_ranges).map(Ipam::BuiltIn),
        // A name that is looked up in CNI_PATH must stay in it.
        Some(kind) if kind.contains('/') || kind.starts_with('.') => {
            Err(ipam.wrong("type", "the name of a plugin"))
        }
        Some(kind) => Ok(Ipam::Delegate(kind.to_owned())),
    }
}

fn built_in(
    ipam: &Fields<'_>,
    mode: GatewayMode,
    ip_ranges: Option<&Value>,
) -> Result<BuiltIn, Error> {
    let mut sets = Vec::new();
    if let Some(value) = ip_ranges {
        let runtime = Place::Key(&Place::Root, "runtimeConfig");
        let place = Place::Key(&runtime, "ipRanges");
        for (number, item) in fields::list(place, value)?.iter().enumerate() {
            sets.push(read_set(Place::Item(&place, number), item, mode)?);
        }
    }
    if ipam.get("subnet").is_some() {
        sets.push(vec![read_range(ipam, mode)?]);
    }
    sets.extend(ipam.each("ranges", |place, item| read_set(place, item, mode))?);
    if sets.is_empty() {
        return Err(
            ipam.wrong("ranges", "at least one range, such as [[{\"subnet\": \"10.244.1.0/24\"}]]")
        );
    }
    check_overlap(&sets)?;
    let data_dir = ipam.string("dataDir")?.filter(|dir| !dir.is_empty()).unwrap_or(DATA_DIR);
    let cooldown = match ipam.string("cooldown")? {
        None => COOLDOWN,
        Some(text) => {
            duration(text).ok_or_else(|| ipam.wrong("cooldown", "a duration such as 60s or 5m"))?
        }
    };
    let resolv_conf = ipam.string("resolvConf")?.filter(|path| !path.is_empty()).map(PathBuf::from);
    Ok(BuiltIn {
        sets,
        data_dir: PathBuf::from(data_dir),
        cooldown,
        routes: ipam.each("routes", read_route)?,
        resolv_conf,
    })
}

fn read_set(place: Place<'_>, value: &Value, mode: GatewayMode) -> Result<Vec<Range>, Error> {
    let mut ranges: Vec<Range> = Vec::new();
    for (number, item) in fields::list(place, value)?.iter().enumerate() {
        let range = read_range(&fields::object(Place::Item(&place, number), item)?, mode)?;
        if ranges.iter().any(|other| other.subnet.is_ipv6() != range.subnet.is_ipv6()) {
            return Err(fields::wrong(place, "ranges of one address family", value));
        }
        ranges.push(range);
    }
    if ranges.is_empty() {
        return Err(fields::wrong(place, "at least one range", value));
    }
    Ok(ranges)
}

fn read_range(fields: &Fields<'_>, mode: GatewayMode) -> Result<Range, Error> {
    const SUBNET: &str = "a subnet such as 10.244.1.0/24";
    let subnet: Cidr =
        fields.parse("subnet", SUBNET)?.ok_or_else(|| fields.wrong("subnet", SUBNET))?;
    if subnet.network() != subnet {
        let expected = format!("a subnet without host bits, such as {}", subnet.network());
        return Err(fields.wrong("subnet", &expected));
    }
    let mut range = Range::of(subnet, mode);
    let inside = |key: &str| -> Result<Option<IpAddr>, Error> {
        let expected = format!("an address of {subnet}");
        let address = fields.parse::<IpAddr>(key, &expected)?;
        match address {
            Some(address) if !subnet.contains(address) => Err(fields.wrong(key, &expected)),
            address => Ok(address),
        }
    };
    range.first = inside("rangeStart")?.unwrap_or(range.first);
    range.last = inside("rangeEnd")?.unwrap_or(range.last);
    range.gateway = inside("gateway")?.or(range.gateway);
    if to_number(range.first) > to_number(range.last) {
        return Err(fields.wrong("rangeEnd", &format!("an address from {} on", range.first)));
    }
    if range.size() == 0 {
        return Err(fields.wrong("subnet", "a subnet with addresses besides the gateway's"));
    }
    Ok(range)
}

fn check_overlap(sets: &[Vec<Range>]) -> Result<(), Error> {
    let ranges: Vec<&Range> = sets.iter().flatten().collect();
    for (place, one) in ranges.iter().enumerate() {
        if let Some(other) = ranges.iter().skip(place + 1).find(|other| one.overlaps(other)) {
            return Err(Error::new(
                Code::NetworkConfig,
                format!(
                    "network configuration: ipam.ranges: {}-{} overlaps {}-{}; give each address to one range only",
                    one.first, one.last, other.first, other.last
                ),
            ));
        }
    }
    Ok(())
}

/// A whole number with a unit: ms, s, m or h.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_and_what_they_give() {
        for (subnet, mode, first, last, size) in [
            ("10.0.0.0/24", GatewayMode::LinkLocal, "10.0.0.1", "10.0.0.254", 254),
            ("10.0.0.0/24", GatewayMode::Bridge, "10.0.0.1", "10.0.0.254", 253),
            ("10.0.0.0/30", GatewayMode::LinkLocal, "10.0.0.1", "10.0.0.2", 2),
            ("10.0.0.0/31", GatewayMode::LinkLocal, "10.0.0.0", "10.0.0.1", 2),
            ("10.0.0.0/32", GatewayMode::LinkLocal, "10.0.0.0", "10.0.0.0", 1),
            ("fd00::/126", GatewayMode::LinkLocal, "fd00::1", "fd00::3", 3),
            ("fd00::/127", GatewayMode::Bridge, "fd00::", "fd00::1", 1),
        ] {
            let range = Range::of(subnet.parse().unwrap(), mode);
            assert_eq!(
                (range.first.to_string(), range.last.to_string()),
                (first.into(), last.into())
            );
            assert_eq!(range.size(), size, "{subnet}");
        }
        let all = Range::of("::/0".parse().unwrap(), GatewayMode::LinkLocal);
        assert_eq!(all.size(), u128::MAX);
    }

    #[test]
    fn durations() {
        assert_eq!(duration("60s"), Some(Duration::from_secs(60)));
        assert_eq!(duration("2m"), Some(Duration::from_secs(120)));
        assert_eq!(duration("0s"), Some(Duration::ZERO));
        for bad in ["", "60", "s", "-1s", "1d", "99999999999999999999s", "18446744073709551615h"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
