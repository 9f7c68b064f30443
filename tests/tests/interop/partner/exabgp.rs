//! ExaBGP.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::rc::Rc;

use anyhow::{Context, Result};
use serde_json::Value;
use twill_tests::lab::Host;
use twill_tests::router::Exabgp;

use super::{COMMUNITY, LARGE, Partner, Seen, Terms, US};
use crate::matrix::Tag;

struct Router {
    exabgp: Exabgp,
}

pub(crate) fn start(host: Rc<Host>, terms: &Terms) -> Result<Box<dyn Partner>> {
    Ok(Box::new(Router { exabgp: run(host, terms)? }))
}

fn run(host: Rc<Host>, terms: &Terms) -> Result<Exabgp> {
    Exabgp::start(host, US, &config(terms))
}

fn config(terms: &Terms) -> String {
    let mut text = format!(
        "router-id 10.0.0.2;\nlocal-address 10.0.0.2;\nlocal-as {};\npeer-as {};\nhold-time 9;\n\
         capability {{ asn4 enable; route-refresh enable; graceful-restart 60; \
         extended-message enable; }}\nfamily {{ ipv4 unicast; ipv6 unicast; }}\nlisten 179;\n",
        terms.theirs, terms.ours
    );
    if terms.they_wait {
        text += "passive true;\n";
    }
    if let Some(password) = terms.password {
        let _ = writeln!(text, "md5-password '{password}';\nmd5-base64 false;");
    }
    if terms.ttl_security {
        text += "outgoing-ttl 255;\nincoming-ttl 255;\n";
    }
    text += "static {\n";
    for network in &terms.networks {
        let next_hop = next_hop(network.contains(':'));
        let _ = writeln!(
            text,
            "route {network} next-hop {next_hop} community {COMMUNITY} large-community {LARGE};"
        );
    }
    text + "}\n"
}

fn next_hop(v6: bool) -> &'static str {
    if v6 { "fd00::2" } else { "10.0.0.2" }
}

impl Router {
    /// One line of many prefixes for each family.
    fn tell(&self, verb: &str, prefixes: &[String], community: &str) -> Result<()> {
        let mut lines = String::new();
        for v6 in [false, true] {
            let family = prefixes.iter().filter(|prefix| prefix.contains(':') == v6);
            // Pieces that its reader takes at once.
            let family: Vec<&str> = family.map(String::as_str).collect();
            for piece in family.chunks(50) {
                let (next_hop, piece) = (next_hop(v6), piece.join(" "));
                let _ = writeln!(
                    lines,
                    "{verb} attributes next-hop {next_hop} community [ {community} ] nlri {piece}"
                );
            }
        }
        self.exabgp.tell(&lines)
    }
}

impl Partner for Router {
    fn tag(&self) -> Result<Tag> {
        Ok(Tag { name: "ExaBGP", version: self.exabgp.version()? })
    }

    fn host(&self) -> &Rc<Host> {
        self.exabgp.host()
    }

    fn kill(&mut self) -> Result<()> {
        self.exabgp.daemon().kill()
    }

    fn restart(&mut self, terms: &Terms) -> Result<()> {
        self.exabgp = run(self.exabgp.host().clone(), terms)?;
        Ok(())
    }

    fn established(&self) -> Result<bool> {
        self.exabgp.established()
    }

    fn prefixes(&self) -> Result<BTreeSet<String>> {
        Ok(self.exabgp.table()?.into_keys().collect())
    }

    fn route(&self, prefix: &str) -> Result<Option<Seen>> {
        Ok(self.exabgp.table()?.get(prefix).map(|route| seen(&route.attributes)))
    }

    fn announce(&mut self, prefixes: &[String], community: &str) -> Result<()> {
        self.tell("announce", prefixes, community)
    }

    fn change(&mut self, prefixes: &[String], community: &str) -> Result<()> {
        self.tell("announce", prefixes, community)
    }

    fn withdraw(&mut self, prefixes: &[String]) -> Result<()> {
        self.tell("withdraw", prefixes, crate::routes::OTHER)
    }

    fn ask_again(&self) -> Result<Option<String>> {
        self.exabgp
            .tell("announce route-refresh ipv4 unicast\nannounce route-refresh ipv6 unicast\n")?;
        Ok(None)
    }

    fn refuses_refresh(&self) -> Option<String> {
        let events = self.exabgp.events().unwrap_or_default();
        let reason = events.iter().rev().find_map(|event| event["neighbor"]["reason"].as_str())?;
        // What it says of an exception of its own.
        let crashed = reason.contains("peer reset, message () error()");
        crashed.then(|| format!("it ends the session: `{reason}`"))
    }

    fn shut_down(&self, text: &str) -> Result<Option<String>> {
        let command = format!("neighbor {US} teardown 2 {text}");
        let answer = self.exabgp.cli(&command)?;
        Ok(Some(format!("`{command}` answers `{answer}`")))
    }

    fn heard(&self) -> Result<String> {
        let events = self.exabgp.events()?;
        let last = events.iter().rev().find(|event| event["type"] == "notification");
        let Some(last) = last.map(|event| &event["neighbor"]["notification"]) else {
            return Ok(String::new());
        };
        // It shows numbers: RFC 4486 section 3 has the words.
        let reset = last["code"] == 6 && last["subcode"] == 4;
        Ok(format!("{}{last}", if reset { "Administrative Reset " } else { "" }))
    }

    fn forgets(&self) -> Result<Option<String>> {
        let events = self.exabgp.events()?;
        let down = |event: &&Value| event["neighbor"]["state"] == "down";
        let down = events.iter().rev().find(down).context("no session was lost")?;
        Ok(Some(format!(
            "it keeps no routes, it tells its processes `\"state\": {}`",
            down["neighbor"]["state"]
        )))
    }
}

fn seen(attributes: &Value) -> Seen {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let number = |value: &Value| value.as_u64().and_then(|value| u32::try_from(value).ok());
    let pair = |pair: &Value| format!("{}:{}", pair[0], pair[1]);
    Seen {
        as_path: list(&attributes["as-path"]).iter().filter_map(number).collect(),
        communities: list(&attributes["community"]).iter().map(pair).collect(),
        local_pref: number(&attributes["local-preference"]),
    }
}
