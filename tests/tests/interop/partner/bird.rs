//! BIRD 2 and 3.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::rc::Rc;

use anyhow::{Context, Result};
use twill_tests::lab::Host;
use twill_tests::router::Bird;

use super::{COMMUNITY, LARGE, Partner, Seen, Terms, US, numbers};
use crate::matrix::Tag;

struct Router {
    bird: Bird,
    terms: Terms,
}

pub(crate) fn start(host: Rc<Host>, terms: &Terms) -> Result<Box<dyn Partner>> {
    Ok(Box::new(Router { bird: run(host, terms)?, terms: terms.clone() }))
}

fn run(host: Rc<Host>, terms: &Terms) -> Result<Bird> {
    // -R: recovers from a restart.
    let options: &[&str] = if terms.restarted { &["-R"] } else { &[] };
    Bird::start_with(host, &config(terms, &[], ""), options)
}

/// `more`: prefixes announced beside the terms' own, with `community`.
fn config(terms: &Terms, more: &[String], community: &str) -> String {
    let mut text = String::from(
        "router id 10.0.0.2;\ngraceful restart wait 30;\nprotocol device {}\n\
         protocol kernel { ipv4 { export where source = RTS_BGP; }; }\n\
         protocol kernel { ipv6 { export where source = RTS_BGP; }; }\n",
    );
    let pair = |text: &str| text.replace(':', ",");
    for (family, v6) in [("ipv4", false), ("ipv6", true)] {
        let _ = writeln!(text, "protocol static {{ {family};");
        for network in terms.of(v6) {
            let (community, large) = (pair(COMMUNITY), pair(LARGE));
            let _ = writeln!(
                text,
                "route {network} blackhole {{ bgp_community.add(({community})); \
                 bgp_large_community.add(({large})); }};"
            );
        }
        for prefix in more.iter().filter(|prefix| prefix.contains(':') == v6) {
            let community = pair(community);
            let _ =
                writeln!(text, "route {prefix} blackhole {{ bgp_community.add(({community})); }};");
        }
        text += "}\n";
    }
    let _ = writeln!(
        text,
        "protocol bgp twill {{ local 10.0.0.2 as {}; neighbor {US} as {}; direct;\n\
         hold time 9; connect delay time 1; connect retry time 1; error wait time 1, 2;\n\
         graceful restart on; enable extended messages on;",
        terms.theirs, terms.ours
    );
    if terms.they_wait {
        text += "passive on;\n";
    }
    if let Some(password) = terms.password {
        let _ = writeln!(text, "password \"{password}\";");
    }
    if terms.ttl_security {
        text += "ttl security on;\n";
    }
    text += "ipv4 { import all; export where source = RTS_STATIC; };\n\
             ipv6 { import all; export where source = RTS_STATIC; };\n}\n";
    text
}

impl Router {
    fn configure(&self, more: &[String], community: &str) -> Result<()> {
        let config = config(&self.terms, more, community);
        self.bird.configure(&config)
    }

    /// The value of a line of `show protocols all` or `show route all`.
    fn line<'a>(text: &'a str, key: &str) -> Option<&'a str> {
        text.lines().find_map(|line| line.trim().strip_prefix(key)).map(str::trim)
    }
}

impl Partner for Router {
    fn tag(&self) -> Result<Tag> {
        let text = self.bird.birdc("show status")?;
        let version = text.lines().find_map(|line| line.strip_prefix("BIRD "));
        let version = version.and_then(|rest| rest.split_whitespace().next());
        Ok(Tag { name: "BIRD", version: version.context("BIRD shows no version")?.to_owned() })
    }

    fn host(&self) -> &Rc<Host> {
        self.bird.host()
    }

    fn kill(&mut self) -> Result<()> {
        self.bird.daemon().kill()
    }

    fn restart(&mut self, terms: &Terms) -> Result<()> {
        self.terms = terms.clone();
        self.bird = run(self.bird.host().clone(), terms)?;
        Ok(())
    }

    fn established(&self) -> Result<bool> {
        let text = self.bird.birdc("show protocols all twill")?;
        Ok(Self::line(&text, "BGP state:") == Some("Established"))
    }

    fn prefixes(&self) -> Result<BTreeSet<String>> {
        let mut prefixes = BTreeSet::new();
        for table in ["master4", "master6"] {
            let text = self.bird.birdc(&format!("show route table {table} protocol twill"))?;
            let words = text.lines().filter_map(|line| line.split_whitespace().next());
            prefixes.extend(words.filter(|word| word.contains('/')).map(str::to_owned));
        }
        Ok(prefixes)
    }

    fn route(&self, prefix: &str) -> Result<Option<Seen>> {
        let text = self.bird.birdc(&format!("show route {prefix} all protocol twill"))?;
        // `BGP.origin` in BIRD 2, `bgp_origin` in BIRD 3.
        let value = |name: &str| {
            let names = [format!("BGP.{name}:"), format!("bgp_{name}:")];
            names.iter().find_map(|name| Self::line(&text, name))
        };
        if value("origin").is_none() {
            return Ok(None);
        }
        let communities = value("community").unwrap_or_default();
        let communities =
            communities.split(") (").map(|pair| pair.trim_matches(['(', ')']).replace(',', ":"));
        let local_pref = value("local_pref").map(numbers).unwrap_or_default();
        Ok(Some(Seen {
            as_path: value("as_path").or(value("path")).map(numbers).unwrap_or_default(),
            communities: communities.collect(),
            local_pref: local_pref.first().copied(),
        }))
    }

    fn installed(&self, prefix: &str) -> Result<Option<bool>> {
        let family = if prefix.contains(':') { "-6" } else { "-4" };
        let routes = self.host().run(&["ip", family, "route", "show", prefix, "proto", "bird"])?;
        Ok(Some(!routes.trim().is_empty()))
    }

    fn announce(&mut self, prefixes: &[String], community: &str) -> Result<()> {
        self.configure(prefixes, community)
    }

    fn change(&mut self, prefixes: &[String], community: &str) -> Result<()> {
        self.configure(prefixes, community)
    }

    fn withdraw(&mut self, _prefixes: &[String]) -> Result<()> {
        self.configure(&[], "")
    }

    fn ask_again(&self) -> Result<Option<String>> {
        let before_3 = self.bird.birdc("reload in twill");
        before_3.or_else(|_| self.bird.birdc("reload bgp in twill"))?;
        Ok(None)
    }

    fn shut_down(&self, text: &str) -> Result<Option<String>> {
        self.bird.birdc(&format!("disable twill \"{text}\""))?;
        Ok(None)
    }

    fn heard(&self) -> Result<String> {
        let text = self.bird.birdc("show protocols all twill")?;
        Ok(Self::line(&text, "Last error:").unwrap_or_default().to_owned())
    }
}
