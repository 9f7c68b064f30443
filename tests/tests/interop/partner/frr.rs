//! FRR.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::rc::Rc;

use anyhow::{Context, Result};
use serde_json::Value;
use twill_tests::lab::Host;
use twill_tests::router::Frr;

use super::{COMMUNITY, LARGE, Partner, Seen, Terms, US, numbers};
use crate::matrix::Tag;

struct Router {
    frr: Frr,
    asn: u32,
}

pub(crate) fn start(host: Rc<Host>, terms: &Terms) -> Result<Box<dyn Partner>> {
    let frr = Frr::start(host, &config(terms))?;
    Ok(Box::new(Router { frr, asn: terms.theirs }))
}

fn config(terms: &Terms) -> String {
    let Terms { ours, theirs, .. } = terms;
    // The route map first: one that changes after its use is looked at again 5 s later.
    let mut text = format!(
        "route-map always permit 10\n set community {COMMUNITY}\n set large-community {LARGE}\n\
         router bgp {theirs}\n bgp router-id 10.0.0.2\n no bgp ebgp-requires-policy\n \
         no bgp network import-check\n no bgp default ipv4-unicast\n bgp graceful-restart\n \
         bgp graceful-restart preserve-fw-state\n bgp graceful-restart select-defer-time 5\n \
         neighbor {US} remote-as {ours}\n neighbor {US} timers 3 9\n \
         neighbor {US} timers connect 1\n"
    );
    if terms.they_wait {
        let _ = writeln!(text, " neighbor {US} passive");
    }
    if let Some(password) = terms.password {
        let _ = writeln!(text, " neighbor {US} password {password}");
    }
    if terms.ttl_security {
        let _ = writeln!(text, " neighbor {US} ttl-security hops 1");
    }
    for (family, v6) in [("ipv4", false), ("ipv6", true)] {
        let _ = writeln!(text, " address-family {family} unicast\n  neighbor {US} activate");
        for network in terms.of(v6) {
            let _ = writeln!(text, "  network {network} route-map always");
        }
        let _ = writeln!(text, " exit-address-family");
    }
    text
}

impl Router {
    fn json(&self, command: &str) -> Result<Value> {
        let text = self.frr.vtysh(command)?;
        serde_json::from_str(&text).with_context(|| format!("FRR: {command}: {text}"))
    }

    fn neighbor(&self) -> Result<Value> {
        Ok(self.json(&format!("show bgp neighbors {US} json"))?[US].clone())
    }

    /// Adds or removes networks; all at once, from a file.
    fn networks(&self, prefixes: &[String], before: &str, after: &str) -> Result<()> {
        let mut text = format!("router bgp {}\n", self.asn);
        for (family, v6) in [("ipv4", false), ("ipv6", true)] {
            let _ = writeln!(text, "address-family {family} unicast");
            for prefix in prefixes.iter().filter(|prefix| prefix.contains(':') == v6) {
                let _ = writeln!(text, "{before} {prefix} {after}");
            }
            let _ = writeln!(text, "exit-address-family");
        }
        let host = self.frr.host();
        host.write("/run/frr/networks.conf", &text)?;
        let words = ["vtysh", "--vty_socket", "/run/frr", "-d", "bgpd", "-f"];
        host.run(&[&words[..], &["/run/frr/networks.conf"]].concat()).map(drop)
    }

    fn name_community(&self, name: &str, community: &str) -> Result<()> {
        let community = format!("set community {community}");
        self.frr.configure(&[&format!("route-map {name} permit 10"), &community])
    }
}

impl Partner for Router {
    fn tag(&self) -> Result<Tag> {
        let text = self.frr.vtysh("show version")?;
        let version = text.split_whitespace().nth(1).context("FRR shows no version")?;
        Ok(Tag { name: "FRR", version: version.to_owned() })
    }

    fn host(&self) -> &Rc<Host> {
        self.frr.host()
    }

    fn kill(&mut self) -> Result<()> {
        self.frr.kill_bgpd()
    }

    fn restart(&mut self, terms: &Terms) -> Result<()> {
        self.asn = terms.theirs;
        self.frr.start_bgpd(&config(terms))
    }

    fn established(&self) -> Result<bool> {
        Ok(self.neighbor()?["bgpState"] == "Established")
    }

    fn prefixes(&self) -> Result<BTreeSet<String>> {
        let mut prefixes = BTreeSet::new();
        for family in ["ipv4", "ipv6"] {
            let table = self.json(&format!("show bgp {family} unicast json"))?;
            let routes = table["routes"].as_object().into_iter().flatten();
            let ours = routes.filter(|(_, paths)| {
                paths.as_array().into_iter().flatten().any(|path| path["peerId"] == US)
            });
            prefixes.extend(ours.map(|(prefix, _)| prefix.clone()));
        }
        Ok(prefixes)
    }

    fn route(&self, prefix: &str) -> Result<Option<Seen>> {
        let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
        let answer = self.json(&format!("show bgp {family} unicast {prefix} json"))?;
        let path = &answer["paths"][0];
        if path.is_null() {
            return Ok(None);
        }
        let communities = path["community"]["string"].as_str().unwrap_or_default();
        Ok(Some(Seen {
            as_path: numbers(path["aspath"]["string"].as_str().unwrap_or_default()),
            communities: communities.split_whitespace().map(str::to_owned).collect(),
            local_pref: path["locPrf"].as_u64().and_then(|value| value.try_into().ok()),
        }))
    }

    fn installed(&self, prefix: &str) -> Result<Option<bool>> {
        let family = if prefix.contains(':') { "-6" } else { "-4" };
        let routes = self.host().run(&["ip", family, "route", "show", prefix, "proto", "bgp"])?;
        Ok(Some(!routes.trim().is_empty()))
    }

    fn announce(&mut self, prefixes: &[String], community: &str) -> Result<()> {
        self.name_community("more", community)?;
        self.networks(prefixes, "network", "route-map more")
    }

    fn change(&mut self, prefixes: &[String], community: &str) -> Result<()> {
        // A route map of another name: an edited one is looked at after a delay.
        self.name_community("other", community)?;
        self.networks(prefixes, "network", "route-map other")
    }

    fn withdraw(&mut self, prefixes: &[String]) -> Result<()> {
        self.networks(prefixes, "no network", "")
    }

    fn ask_again(&self) -> Result<Option<String>> {
        for family in ["ipv4", "ipv6"] {
            self.frr.vtysh(&format!("clear bgp {family} unicast {US} in"))?;
        }
        Ok(None)
    }

    fn shut_down(&self, text: &str) -> Result<Option<String>> {
        let shutdown = format!("neighbor {US} shutdown message {text}");
        self.frr.configure(&[&format!("router bgp {}", self.asn), &shutdown])?;
        Ok(None)
    }

    fn heard(&self) -> Result<String> {
        let neighbor = self.neighbor()?;
        Ok(format!("{} {}", neighbor["lastResetDueTo"], neighbor["lastNotificationReason"]))
    }
}
