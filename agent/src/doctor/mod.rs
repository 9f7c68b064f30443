//! What on this host keeps packets or sessions from their way, each with evidence and remedy.
//!
//! [`gather()`] looks, and changes nothing; [`findings()`] judges, and is pure. It works with a
//! running agent and without one; with one, what the agent sets itself is expected to be set.

mod facts;
mod firewall;
mod gather;
mod host;
mod sessions;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub use self::facts::{CniFile, Facts, Interface, Known, Listener, Peer, TcpDrops, Want};
pub use self::gather::{Options, gather, peer};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Packets or sessions do not go their way.
    Problem,
    /// They may not; this host alone cannot tell.
    Doubt,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// Which check found it; scripts may rely on the name.
    pub check: &'static str,
    /// What is wrong.
    pub what: String,
    /// What was seen.
    pub evidence: String,
    /// What to do.
    pub remedy: String,
}

/// The names of all checks, in the order in which they are made.
pub const CHECKS: [&str; 13] = [
    "configuration",
    "forwarding",
    "rp-filter",
    "mtu",
    "port",
    "capabilities",
    "routes",
    "protocol",
    "firewall",
    "bridge-netfilter",
    "kernel",
    "sessions",
    "cni",
];

/// All that is found, the worst first.
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    host::judge(facts, &mut found);
    firewall::judge(facts, &mut found);
    sessions::judge(facts, &mut found);
    found.sort();
    found
}

fn problem(check: &'static str, what: String, evidence: String, remedy: String) -> Finding {
    Finding { severity: Severity::Problem, check, what, evidence, remedy }
}

fn doubt(check: &'static str, what: String, evidence: String, remedy: String) -> Finding {
    Finding { severity: Severity::Doubt, check, what, evidence, remedy }
}
