//! The CNI file: what a runtime is told of this node's pod network.

use std::path::Path;

use twill_bgp::proto::types::Prefix;
use twill_cni::address::Cidr;
use twill_cni::config::{Conflist, HostRoutes, PortOptions, SpecVersion};
use twill_cni::link::InterfaceName;

use crate::source::Snapshot;

/// The network's name, and that of its directory of leases.
pub(crate) const NETWORK: &str = "twill";
/// How pods' ports are set: `hairpinMode` of [`Conflist`].
pub(crate) const PORT: PortOptions = PortOptions { hairpin: true, isolated: false };
/// What every runtime of today reads. Nobody can ask the runtime, so nothing newer is written.
const KNOWN_TO_RUNTIMES: SpecVersion = SpecVersion::V1_0_0;

/// What was found out about the plugins in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugins {
    /// Whether portmap is there to be chained.
    pub portmap: bool,
    /// What each chained plugin says it supports; `None` for one that did not answer.
    pub versions: Vec<Option<Vec<String>>>,
}

/// The file's content; `None` where none is to be written: switched off, or no pod CIDRs.
///
/// # Errors
/// Where the bridge's name is none.
pub fn conflist(
    snapshot: &Snapshot,
    plugins: &Plugins,
    readiness_file: &Path,
) -> Result<Option<String>, String> {
    if !snapshot.cni.write || snapshot.node.pod_cidrs.is_empty() {
        return Ok(None);
    }
    let dataplane = &snapshot.dataplane;
    let bridge = InterfaceName::new(&dataplane.bridge).map_err(|error| error.to_string())?;
    let subnets = snapshot.node.pod_cidrs.iter().filter_map(cidr).collect();
    let mut conflist = Conflist::new(NETWORK, bridge, subnets);
    conflist.version = version(&plugins.versions);
    conflist.mtu = dataplane.mtu;
    conflist.host_routes = HostRoutes {
        metric: dataplane.metric,
        table: dataplane.table,
        protocol: dataplane.protocol,
    };
    conflist.readiness_file = Some(readiness_file.to_owned());
    if plugins.portmap {
        conflist.chain.push(Conflist::portmap());
    }
    Ok(Some(conflist.to_json()))
}

fn cidr(prefix: &Prefix) -> Option<Cidr> {
    Cidr::new(prefix.address(), prefix.len())
}

/// The highest version that every plugin supports, and every runtime; 1.0.0 where in doubt.
fn version(supported: &[Option<Vec<String>>]) -> SpecVersion {
    let by_all = |version: &SpecVersion| {
        supported.iter().all(|plugin| {
            let listed = plugin.as_ref().map(|plugin| plugin.iter());
            listed.is_some_and(|mut listed| listed.any(|text| text == version.as_str()))
        })
    };
    SpecVersion::ALL
        .into_iter()
        .rev()
        .filter(|version| *version <= KNOWN_TO_RUNTIMES)
        .find(by_all)
        .unwrap_or(KNOWN_TO_RUNTIMES)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::desired::fixture::{THREE, snapshot};

    fn says(versions: &[&str]) -> Option<Vec<String>> {
        Some(versions.iter().map(|version| (*version).to_owned()).collect())
    }

    #[test]
    fn the_version_is_the_highest_that_all_support_and_one_dot_zero_in_doubt() {
        let rows: [(&[Option<Vec<String>>], &str); 6] = [
            (&[says(&["0.3.1", "0.4.0", "1.0.0", "1.1.0"])], "1.0.0"),
            (&[says(&["0.4.0", "1.0.0"]), says(&["0.3.1", "0.4.0"])], "0.4.0"),
            (&[says(&["1.1.0"])], "1.0.0"),
            (&[says(&["1.0.0"]), None], "1.0.0"),
            (&[says(&["0.1.0"])], "1.0.0"),
            (&[says(&["0.3.0"]), says(&["1.0.0", "0.3.0"])], "0.3.0"),
        ];
        for (supported, expected) in rows {
            assert_eq!(version(supported).as_str(), expected, "{supported:?}");
        }
    }

    #[test]
    fn the_file_says_what_the_snapshot_says() {
        let text = format!("{THREE}dataplane: {{bridge: br7, mtu: 1400, metric: 20}}\n");
        let plugins = Plugins { portmap: true, versions: vec![says(&["1.0.0"])] };
        let written = conflist(&snapshot(&text), &plugins, Path::new("/run/twill/ready"));
        let json: Value = serde_json::from_str(&written.unwrap().unwrap()).unwrap();
        let ours = &json["plugins"][0];
        assert_eq!((&json["cniVersion"], &json["name"]), (&"1.0.0".into(), &"twill".into()));
        assert_eq!((&ours["bridge"], &ours["mtu"]), (&"br7".into(), &1400.into()));
        assert_eq!(ours["ipam"]["ranges"][0][0]["subnet"], "10.244.1.0/24");
        assert_eq!(ours["ipam"]["ranges"][1][0]["subnet"], "fd00:244:1::/64");
        assert_eq!(ours["hostRoutes"]["metric"], 20);
        assert_eq!(ours["readinessFile"], "/run/twill/ready");
        assert_eq!(json["plugins"][1]["type"], "portmap");
    }

    #[test]
    fn no_file_where_there_is_nothing_to_attach_to() {
        let plugins = Plugins { portmap: false, versions: Vec::new() };
        for text in ["node: a\naddresses: [10.0.0.1]\n", &format!("{THREE}cni: {{write: false}}\n")]
        {
            let written = conflist(&snapshot(text), &plugins, Path::new("/run/twill/ready"));
            assert_eq!(written, Ok(None));
        }
    }
}
