//! GoBGP.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::rc::Rc;

use anyhow::Result;
use serde_json::Value;
use twill_tests::lab::Host;
use twill_tests::router::Gobgp;

use super::{COMMUNITY, LARGE, Partner, Seen, Terms, US};
use crate::matrix::Tag;

struct Router {
    gobgp: Gobgp,
}

pub(crate) fn start(host: Rc<Host>, terms: &Terms) -> Result<Box<dyn Partner>> {
    Ok(Box::new(Router { gobgp: run(host, terms)? }))
}

/// Its routes come by its commands: the session waits until they are there.
fn run(host: Rc<Host>, terms: &Terms) -> Result<Gobgp> {
    let options: &[&str] = if terms.restarted { &["-r"] } else { &[] };
    let gobgp = Gobgp::start(host, &config(terms), options)?;
    let lines = terms.networks.iter().fold(String::new(), |lines, network| {
        lines + &add(network, &format!("community {COMMUNITY} large-community {LARGE}"))
    });
    gobgp.batch(&lines)?;
    gobgp.cli(&["neighbor", US, "enable"])?;
    Ok(gobgp)
}

fn add(prefix: &str, attributes: &str) -> String {
    let (family, next_hop) =
        if prefix.contains(':') { ("ipv6", "nexthop fd00::2") } else { ("ipv4", "") };
    format!("global rib add -a {family} {prefix} origin igp {attributes} {next_hop}\n")
}

fn config(terms: &Terms) -> String {
    let mut text = format!(
        "[global.config]\nas = {}\nrouter-id = \"10.0.0.2\"\n\
         [[neighbors]]\n[neighbors.config]\nneighbor-address = \"{US}\"\npeer-as = {}\n\
         admin-down = true\n",
        terms.theirs, terms.ours
    );
    if let Some(password) = terms.password {
        let _ = writeln!(text, "auth-password = \"{password}\"");
    }
    text += "[neighbors.timers.config]\nconnect-retry = 1\nhold-time = 9\n\
             keepalive-interval = 3\n\
             [neighbors.graceful-restart.config]\nenabled = true\nrestart-time = 60\n\
             deferral-time = 5\n";
    let _ = writeln!(text, "[neighbors.transport.config]\npassive-mode = {}", terms.they_wait);
    if terms.ttl_security {
        text += "[neighbors.ttl-security.config]\nenabled = true\nttl-min = 255\n";
    }
    for family in ["ipv4", "ipv6"] {
        let _ = writeln!(
            text,
            "[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\n\
             afi-safi-name = \"{family}-unicast\"\n\
             [neighbors.afi-safis.mp-graceful-restart.config]\nenabled = true"
        );
    }
    text
}

impl Partner for Router {
    fn tag(&self) -> Result<Tag> {
        let text = self.gobgp.version()?;
        Ok(Tag { name: "GoBGP", version: text })
    }

    fn host(&self) -> &Rc<Host> {
        self.gobgp.host()
    }

    fn kill(&mut self) -> Result<()> {
        self.gobgp.daemon().kill()
    }

    fn restart(&mut self, terms: &Terms) -> Result<()> {
        self.gobgp = run(self.gobgp.host().clone(), terms)?;
        Ok(())
    }

    fn established(&self) -> Result<bool> {
        self.gobgp.established(US)
    }

    fn prefixes(&self) -> Result<BTreeSet<String>> {
        let mut prefixes = BTreeSet::new();
        for family in ["ipv4", "ipv6"] {
            let table = self.gobgp.table(family)?;
            let learned = table.as_object().into_iter().flatten().filter(|(_, paths)| {
                paths.as_array().into_iter().flatten().any(|path| path["neighbor-ip"] == US)
            });
            prefixes.extend(learned.map(|(prefix, _)| prefix.clone()));
        }
        Ok(prefixes)
    }

    fn route(&self, prefix: &str) -> Result<Option<Seen>> {
        let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
        let table = self.gobgp.table(family)?;
        let paths = table[prefix].as_array().cloned().unwrap_or_default();
        let path = paths.iter().find(|path| path["neighbor-ip"] == US);
        Ok(path.map(|path| seen(&path["attrs"])))
    }

    fn announce(&mut self, prefixes: &[String], community: &str) -> Result<()> {
        let attributes = format!("community {community}");
        let lines = prefixes.iter().map(|prefix| add(prefix, &attributes));
        self.gobgp.batch(&lines.collect::<String>())
    }

    /// By policy: a command for each prefix takes long enough once.
    fn change(&mut self, _prefixes: &[String], community: &str) -> Result<()> {
        self.gobgp.batch(&format!(
            "policy statement other add action community replace {community}\n\
             policy statement other add action accept\n\
             policy add other other\n\
             global policy export add other default accept\n\
             neighbor {US} softresetout\n"
        ))
    }

    fn withdraw(&mut self, _prefixes: &[String]) -> Result<()> {
        let own = crate::stage::THEIRS
            .map(|network| add(network, &format!("community {COMMUNITY} large-community {LARGE}")));
        self.gobgp.batch(&format!(
            "global rib del all -a ipv4\nglobal rib del all -a ipv6\n{}",
            own.concat()
        ))
    }

    fn ask_again(&self) -> Result<Option<String>> {
        // It looks at its own Adj-RIB-In again, and asks nobody.
        self.gobgp.cli(&["neighbor", US, "softresetin"])?;
        let text = self.gobgp.cli(&["neighbor", US])?;
        let line = text.lines().find(|line| line.contains("Route Refresh:"));
        let sent = line.and_then(|line| line.split_whitespace().nth(2));
        let refusal = "`softresetin` reads its own copy again, and `Route Refresh: Sent` stays 0";
        Ok((sent == Some("0")).then(|| refusal.to_owned()))
    }

    fn shut_down(&self, text: &str) -> Result<Option<String>> {
        self.gobgp.cli(&["neighbor", US, "shutdown", "--reason", text])?;
        Ok(None)
    }

    fn heard(&self) -> Result<String> {
        let log = self.gobgp.log();
        let line = log.lines().rev().find(|line| line.contains("notification-received"));
        Ok(line.unwrap_or_default().to_owned())
    }
}

/// Attributes by their type codes; communities as numbers.
fn seen(attributes: &Value) -> Seen {
    let mut seen = Seen::default();
    for attribute in attributes.as_array().into_iter().flatten() {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let number = |value: &Value| value.as_u64().and_then(|value| u32::try_from(value).ok());
        match attribute["type"].as_u64() {
            Some(2) => {
                let segments = list(&attribute["as_paths"]);
                let hops = segments.iter().flat_map(|segment| list(&segment["asns"]));
                seen.as_path = hops.filter_map(|hop| number(&hop)).collect();
            }
            Some(5) => seen.local_pref = number(&attribute["value"]),
            Some(8) => {
                let communities = list(&attribute["communities"]);
                let pairs = communities.iter().filter_map(number);
                seen.communities =
                    pairs.map(|pair| format!("{}:{}", pair >> 16, pair & 0xffff)).collect();
            }
            _ => {}
        }
    }
    seen
}
