//! Our side of the matrix: node-a, its configuration, and what it shows.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use twill_tests::lab::{Host, Lab, Switch, WAIT, hold, wait, wait_for};
use twill_tests::node::Node;

use crate::matrix::{Cell, Outcome, Tag, record};
use crate::partner::{Partner, Start, Terms};

/// node-a's name for the partner.
pub(crate) const PEER: &str = "partner";
/// What the partner always announces, of each family.
pub(crate) const THEIRS: [&str; 2] = ["192.0.2.0/24", "2001:db8:1::/48"];
/// What node-a always announces, of each family.
pub(crate) const OURS: [&str; 2] = ["10.244.1.0/24", "fd00:244:1::/64"];
/// Long enough for the slowest partner to come back (GoBGP stays idle for a while).
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How long something that must not happen is given to happen.
const CALM: Duration = Duration::from_secs(2);

/// How our side is configured, beyond the terms of the session.
#[derive(Debug, Clone)]
pub(crate) struct Ours {
    /// Decides collisions; the partner's is 10.0.0.2.
    pub(crate) router_id: &'static str,
    /// Added to what the partner is sent.
    pub(crate) communities: &'static str,
    /// Further prefixes.
    pub(crate) announce: Vec<String>,
    /// Further entries of `peers`.
    pub(crate) peers: &'static str,
}

impl Default for Ours {
    fn default() -> Ours {
        Ours { router_id: "10.0.0.1", communities: "64512:100", announce: Vec::new(), peers: "" }
    }
}

impl Ours {
    fn config(&self, terms: &Terms) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "node: node-a\nasn: {}\nrouterId: {}", terms.ours, self.router_id);
        let _ = writeln!(text, "addresses: [10.0.0.1, fd00::1]");
        let _ = writeln!(text, "podCIDRs: [10.244.1.0/24, 'fd00:244:1::/64']");
        let _ = writeln!(text, "mesh: {{mode: none, restartTime: 60s}}\ncni: {{write: false}}");
        let _ = writeln!(text, "http: none\nannounce:");
        for prefix in &self.announce {
            let _ = writeln!(text, "  - '{prefix}'");
        }
        let _ = writeln!(text, "peers:\n  - name: {PEER}\n    address: 10.0.0.2");
        let _ = writeln!(text, "    asn: {}\n    holdTime: 9s", terms.theirs);
        let _ = writeln!(text, "    import: {{default: accept}}");
        let _ =
            writeln!(text, "    export: {{default: accept, communities: [{}]}}", self.communities);
        if terms.we_wait {
            let _ = writeln!(text, "    passive: true");
        }
        if terms.password.is_some() {
            let _ = writeln!(text, "    password: {{file: /etc/twill/secret}}");
        }
        if terms.ttl_security {
            let _ = writeln!(text, "    gtsm: 255");
        }
        text + self.peers
    }
}

/// The lab of one test.
pub(crate) struct Stage {
    // Before the lab: they end while their hosts still stand.
    pub(crate) partner: Box<dyn Partner>,
    pub(crate) node: Node,
    pub(crate) lan: Switch,
    pub(crate) lab: Lab,
    tag: Tag,
}

impl Stage {
    /// Both sides run; nothing is waited for.
    pub(crate) fn begin(name: &str, start: Start, terms: &Terms, ours: &Ours) -> Result<Stage> {
        let lab = Lab::new(name)?;
        let lan = lab.switch("lan")?;
        let hosts: Vec<Rc<Host>> = ["node-a", "partner"]
            .into_iter()
            .zip(1..)
            .map(|(name, number)| {
                let host = lab.host(name)?;
                let addresses = [format!("10.0.0.{number}/24"), format!("fd00::{number}/64")];
                lab.plug(&host, "eth0", &lan, &[&addresses[0], &addresses[1]])?;
                Ok(host)
            })
            .collect::<Result<_>>()?;
        let node = Node::new(hosts[0].clone(), &ours.config(terms))?;
        write_secret(&node, terms)?;
        node.host().add_view(&["ss", "-tn"]);
        node.start()?;
        let partner = start(hosts[1].clone(), terms)?;
        let tag = partner.tag()?;
        Ok(Stage { partner, node, lan, lab, tag })
    }

    /// Ends the partner, and starts it again on other terms.
    pub(crate) fn restart_partner(&mut self, terms: &Terms) -> Result<()> {
        self.partner.kill()?;
        self.partner.restart(terms)
    }

    /// Gives our side another configuration.
    pub(crate) fn reload(&self, terms: &Terms, ours: &Ours) -> Result<()> {
        write_secret(&self.node, terms)?;
        self.node.reload(&ours.config(terms))
    }

    /// Writes what our side will read at its next start.
    pub(crate) fn configure(&self, terms: &Terms, ours: &Ours) -> Result<()> {
        self.node.host().write(twill_tests::node::CONFIG, &ours.config(terms))
    }

    /// Fills a cell of the matrix.
    pub(crate) fn yes(&self, cell: Cell) -> Result<()> {
        record(&self.tag, cell, &Outcome::Yes)
    }

    /// The same, where the partner may have refused.
    pub(crate) fn fill(&self, cell: Cell, refusal: Option<String>) -> Result<()> {
        record(&self.tag, cell, &Outcome::of(refusal))
    }

    /// `twill peers partner`.
    pub(crate) fn peer(&self) -> Result<Value> {
        Ok(self.node.json(&["peers", PEER])?[0].take())
    }

    /// Waits until both sides call the session Established.
    pub(crate) fn wait_established(&self) -> Result<()> {
        let what = format!("the session with {}", self.tag.name);
        wait(what, PATIENCE, || {
            Ok(self.peer()?["state"] == "Established" && self.partner.established()?)
        })
        .map(drop)
    }

    /// Waits until our side has lost the session.
    pub(crate) fn wait_down(&self) -> Result<()> {
        wait("the session to be down", WAIT, || Ok(self.peer()?["state"] != "Established"))
            .map(drop)
    }

    /// Looks on while the session does not come up.
    pub(crate) fn hold_down(&self, why: &str) -> Result<()> {
        hold(format_args!("no session: {why}"), CALM, || {
            Ok(self.peer()?["state"] != "Established" && !self.partner.established()?)
        })
    }

    /// Waits until each side has what the other always announces, ours in the partner's table and
    /// its in our kernel.
    pub(crate) fn wait_routes(&self) -> Result<()> {
        for (prefix, via) in THEIRS.iter().zip(["via 10.0.0.2", "via fd00::2"]) {
            self.node.wait_route(prefix, via)?;
        }
        wait("our routes at the partner", WAIT, || {
            let prefixes = self.partner.prefixes()?;
            Ok(OURS.iter().all(|prefix| prefixes.contains(*prefix)))
        })
        .map(drop)
    }

    /// What our side has for `prefix` from the partner.
    pub(crate) fn route(&self, prefix: &str) -> Result<Value> {
        route(&self.node, prefix, PEER)
    }

    /// How many prefixes we have from the partner; and how many of ours it should have.
    pub(crate) fn counts(&self) -> Result<(u64, u64)> {
        let peer = self.peer()?;
        let number = |key: &str| peer[key].as_u64().context("a count is missing");
        Ok((number("prefixesAccepted")?, number("prefixesAdvertised")?))
    }

    /// What both sides of the session use, in words.
    pub(crate) fn in_use(&self) -> Result<BTreeSet<String>> {
        Ok(words(&self.peer()?["detail"]["negotiated"]["inUse"]))
    }

    /// What the partner offered, of those that begin with `about`.
    pub(crate) fn offered(&self, about: &str) -> Result<Option<String>> {
        let offered = words(&self.peer()?["detail"]["negotiated"]["capabilities"]);
        Ok(offered.into_iter().find(|capability| capability.starts_with(about)))
    }

    /// A count of messages: `messagesReceived` or `messagesSent`, and the type.
    pub(crate) fn messages(&self, direction: &str, kind: &str) -> Result<u64> {
        self.peer()?["detail"][direction][kind].as_u64().context("a count is missing")
    }
}

/// The strings of a list.
pub(crate) fn words(list: &Value) -> BTreeSet<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|word| word.as_str().map(str::to_owned)).collect()
}

/// What `node` has for `prefix` from `peer`, once it is there.
pub(crate) fn route(node: &Node, prefix: &str, peer: &str) -> Result<Value> {
    wait_for(format_args!("{}: {prefix} from {peer}", node.name()), WAIT, || {
        let routes = node.json(&["routes", "--all", "--peer", peer])?;
        let routes = routes.as_array().cloned().unwrap_or_default();
        Ok(routes.into_iter().find(|route| route["prefix"] == prefix))
    })
}

fn write_secret(node: &Node, terms: &Terms) -> Result<()> {
    let Some(password) = terms.password else { return Ok(()) };
    node.host().write("/etc/twill/secret", password)?;
    node.host().run(&["chmod", "600", "/etc/twill/secret"]).map(drop)
}
