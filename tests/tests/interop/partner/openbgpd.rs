//! OpenBGPD.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::rc::Rc;

use anyhow::Result;
use twill_tests::lab::Host;
use twill_tests::router::Openbgpd;

use super::{COMMUNITY, LARGE, Partner, Seen, Terms, US, numbers};
use crate::matrix::Tag;

struct Router {
    openbgpd: Openbgpd,
}

pub(crate) fn start(host: Rc<Host>, terms: &Terms) -> Result<Box<dyn Partner>> {
    // For the next hop of the family that the session does not run over, it takes the first
    // address of the loopback (portable 7.7), and ends itself where there is none.
    host.batch("addr del ::1/128 dev lo\naddr add fd00::2/128 dev lo nodad\n")?;
    Ok(Box::new(Router { openbgpd: Openbgpd::start(host, &config(terms))? }))
}

fn config(terms: &Terms) -> String {
    let mut text = format!("AS {}\nrouter-id 10.0.0.2\nfib-update no\n", terms.theirs);
    for network in &terms.networks {
        let _ = writeln!(
            text,
            "network {network} set {{ community {COMMUNITY} large-community {LARGE} }}"
        );
    }
    let _ = writeln!(
        text,
        "neighbor {US} {{\nremote-as {}\nlocal-address 10.0.0.2\nholdtime 9\n\
         announce IPv4 unicast\nannounce IPv6 unicast\nannounce restart yes",
        terms.ours
    );
    if terms.they_wait {
        text += "passive\n";
    }
    if let Some(password) = terms.password {
        let _ = writeln!(text, "tcp md5sig password \"{password}\"");
    }
    if terms.ttl_security {
        text += "ttl-security yes\n";
    }
    text += "}\nallow from any\nallow to any\n";
    text
}

impl Partner for Router {
    fn tag(&self) -> Result<Tag> {
        Ok(Tag { name: "OpenBGPD", version: self.openbgpd.version()? })
    }

    fn host(&self) -> &Rc<Host> {
        self.openbgpd.host()
    }

    fn kill(&mut self) -> Result<()> {
        self.openbgpd.daemon().kill()
    }

    fn restart(&mut self, terms: &Terms) -> Result<()> {
        self.openbgpd = Openbgpd::start(self.openbgpd.host().clone(), &config(terms))?;
        Ok(())
    }

    fn established(&self) -> Result<bool> {
        Ok(self.openbgpd.state(US)? == "Established")
    }

    fn prefixes(&self) -> Result<BTreeSet<String>> {
        let routes = self.openbgpd.table(false)?;
        let learned = routes.iter().filter(|route| route["neighbor"]["remote_addr"] == US);
        Ok(learned.filter_map(|route| route["prefix"].as_str().map(str::to_owned)).collect())
    }

    fn route(&self, prefix: &str) -> Result<Option<Seen>> {
        let routes = self.openbgpd.table(true)?;
        let route = routes
            .iter()
            .find(|route| route["prefix"] == prefix && route["neighbor"]["remote_addr"] == US);
        Ok(route.map(|route| Seen {
            as_path: numbers(route["aspath"].as_str().unwrap_or_default()),
            communities: crate::stage::words(&route["communities"]),
            local_pref: route["localpref"].as_u64().and_then(|value| value.try_into().ok()),
        }))
    }

    fn announce(&mut self, prefixes: &[String], community: &str) -> Result<()> {
        let lines = prefixes.join("\n");
        let before_8 = ["network", "bulk", "community", community, "add"];
        let words = ["network", "bulk", "add", "community", community];
        let added = self.openbgpd.cli_with_input(&before_8, &lines);
        added.or_else(|_| self.openbgpd.cli_with_input(&words, &lines)).map(drop)
    }

    fn change(&mut self, prefixes: &[String], community: &str) -> Result<()> {
        self.announce(prefixes, community)
    }

    fn withdraw(&mut self, prefixes: &[String]) -> Result<()> {
        let lines = prefixes.join("\n");
        self.openbgpd.cli_with_input(&["network", "bulk", "delete"], &lines).map(drop)
    }

    fn ask_again(&self) -> Result<Option<String>> {
        self.openbgpd.cli(&["neighbor", US, "refresh"])?;
        Ok(None)
    }

    fn refuses_refresh(&self) -> Option<String> {
        let log = self.openbgpd.log();
        let line = log.lines().find_map(|line| line.split_once("route refresh: AID"));
        line.map(|(_, words)| format!("it logs `route refresh: AID{words}`"))
    }

    fn shut_down(&self, text: &str) -> Result<Option<String>> {
        self.openbgpd.cli(&["neighbor", US, "down", text])?;
        Ok(None)
    }

    fn heard(&self) -> Result<String> {
        let log = self.openbgpd.log();
        let line = log.lines().rev().find(|line| line.contains("received notification"));
        Ok(line.unwrap_or_default().to_owned())
    }
}
