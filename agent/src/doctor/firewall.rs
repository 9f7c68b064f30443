//! The packet filter.

use super::facts::Facts;
use super::{Finding, doubt, problem};

pub(super) fn judge(facts: &Facts, found: &mut Vec<Finding>) {
    let bridge = &facts.want.bridge;
    if facts.want.install {
        for chain in facts.dropping.iter().flatten() {
            found.push(problem(
                "firewall",
                "forwarded packets that no rule accepts are dropped, and none names the bridge of pods"
                    .to_owned(),
                format!("chain {chain} has policy drop"),
                format!(
                    "accept pods there: `nft insert rule {chain} iifname {bridge} accept` and \
                     `nft insert rule {chain} oifname {bridge} accept`"
                ),
            ));
        }
        for command in &facts.legacy_drop {
            found.push(problem(
                "firewall",
                "forwarded packets that no rule accepts are dropped".to_owned(),
                format!("`{command} -S FORWARD` says -P FORWARD DROP, and names no {bridge}"),
                format!(
                    "run `{command} -I FORWARD -i {bridge} -j ACCEPT` and `{command} -I FORWARD -o \
                     {bridge} -j ACCEPT`"
                ),
            ));
        }
    }
    let bridged = facts.cni.iter().find(|file| file.gateway.as_deref() == Some("bridge"));
    if let Some(file) = bridged
        && facts.bridge_netfilter != Some(true)
    {
        let seen = match facts.bridge_netfilter {
            None => "the module br_netfilter is not loaded",
            _ => "net.bridge.bridge-nf-call-iptables = 0",
        };
        let (make, proxy): (fn(_, _, _, _) -> Finding, _) = match &facts.kube_proxy {
            Some(proxy) => (problem, proxy.clone()),
            None => (doubt, "kube-proxy was not found here".to_owned()),
        };
        found.push(make(
            "bridge-netfilter",
            "a Service whose pod is on the caller's own node is not reached".to_owned(),
            format!("{} has gateway: bridge; {seen}; {proxy}", file.name),
            "run `modprobe br_netfilter` and `sysctl -w net.bridge.bridge-nf-call-iptables=1`, or \
             use gateway: link-local"
                .to_owned(),
        ));
    }
}
