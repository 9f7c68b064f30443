//! The partners, each told the same wishes in its own language.

pub(crate) mod bird;
pub(crate) mod exabgp;
pub(crate) mod frr;
pub(crate) mod gobgp;
pub(crate) mod openbgpd;

use std::collections::BTreeSet;
use std::rc::Rc;

use anyhow::Result;
use twill_tests::lab::Host;

use crate::matrix::Tag;

/// Our address, which every partner is configured with.
pub(crate) const US: &str = "10.0.0.1";

/// The terms of a session, as both sides are configured.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// Our AS.
    pub(crate) ours: u32,
    /// Its AS.
    pub(crate) theirs: u32,
    /// It does not dial.
    pub(crate) they_wait: bool,
    /// We do not dial.
    pub(crate) we_wait: bool,
    /// TCP MD5.
    pub(crate) password: Option<&'static str>,
    /// TTL 255 both ways.
    pub(crate) ttl_security: bool,
    /// It has run before, and is to say so.
    pub(crate) restarted: bool,
    /// What it announces from the beginning, with [`COMMUNITY`] and [`LARGE`].
    pub(crate) networks: Vec<&'static str>,
}

/// On what the partner announces from the beginning.
pub(crate) const COMMUNITY: &str = "65000:7";
/// The same, as a large community.
pub(crate) const LARGE: &str = "4200000002:1:2";

impl Terms {
    /// An external session of two numbers above 65535; both dial.
    pub(crate) fn external() -> Terms {
        Terms {
            ours: 4_200_000_001,
            theirs: 4_200_000_002,
            they_wait: false,
            we_wait: false,
            password: None,
            ttl_security: false,
            restarted: false,
            networks: crate::stage::THEIRS.to_vec(),
        }
    }

    /// An internal one.
    pub(crate) fn internal() -> Terms {
        Terms { theirs: 4_200_000_001, ..Terms::external() }
    }

    /// The networks of a family.
    fn of(&self, v6: bool) -> impl Iterator<Item = &'static str> {
        self.networks.iter().copied().filter(move |network| network.contains(':') == v6)
    }
}

/// A route of ours, as the partner shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Nearest first.
    pub(crate) as_path: Vec<u32>,
    /// `64512:100`.
    pub(crate) communities: BTreeSet<String>,
    /// Where shown.
    pub(crate) local_pref: Option<u32>,
}

/// A router at 10.0.0.2 and fd00::2, in a session with ours at 10.0.0.1.
pub(crate) trait Partner {
    /// Its name and version.
    fn tag(&self) -> Result<Tag>;

    /// Where it runs.
    fn host(&self) -> &Rc<Host>;

    /// Ends it at once.
    fn kill(&mut self) -> Result<()>;

    /// Starts it after [`Partner::kill`].
    fn restart(&mut self, terms: &Terms) -> Result<()>;

    /// Whether it calls the session Established.
    fn established(&self) -> Result<bool>;

    /// The prefixes that it has from us.
    fn prefixes(&self) -> Result<BTreeSet<String>>;

    /// One of them.
    fn route(&self, prefix: &str) -> Result<Option<Seen>>;

    /// Whether its kernel has a route of ours; `None` where it does not touch the kernel.
    fn installed(&self, _prefix: &str) -> Result<Option<bool>> {
        Ok(None)
    }

    /// Announces further prefixes, with a community.
    fn announce(&mut self, prefixes: &[String], community: &str) -> Result<()>;

    /// Announces the same with another community.
    fn change(&mut self, prefixes: &[String], community: &str) -> Result<()>;

    /// Announces them no more.
    fn withdraw(&mut self, prefixes: &[String]) -> Result<()>;

    /// Asks us for our routes again; why it cannot, where it cannot.
    fn ask_again(&self) -> Result<Option<String>>;

    /// Why it does not send its routes again, where it was asked and says so.
    fn refuses_refresh(&self) -> Option<String> {
        None
    }

    /// Shuts the session down with a text; why it cannot give one, where it cannot.
    fn shut_down(&self, text: &str) -> Result<Option<String>>;

    /// What it shows of the NOTIFICATION that it got last.
    fn heard(&self) -> Result<String>;

    /// Why it keeps nothing of ours while we are away, after that has been seen; `None` where it
    /// keeps what it has.
    fn forgets(&self) -> Result<Option<String>> {
        Ok(None)
    }
}

/// Starts a partner.
pub(crate) type Start = fn(Rc<Host>, &Terms) -> Result<Box<dyn Partner>>;

/// Numbers in a text, such as an AS path.
fn numbers(text: &str) -> Vec<u32> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
}
