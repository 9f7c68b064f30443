//! What happened to a host's kernel routes, as another process saw it.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::lab::{Host, Process, WAIT, wait};

/// `ip monitor route`, running.
pub struct RouteLog {
    process: Process,
}

/// One notification of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteEvent {
    /// Time of day.
    pub at: Duration,
    /// Removed; added or replaced otherwise.
    pub deleted: bool,
    /// As `ip` prints it.
    pub route: String,
}

impl fmt::Display for RouteEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.deleted { "deleted" } else { "added" };
        write!(f, "{:.6} {what} {}", self.at.as_secs_f64(), self.route)
    }
}

impl RouteLog {
    /// Starts watching; returns when the watch is on.
    pub fn start(host: &Host) -> Result<RouteLog> {
        let process = host.spawn("routes", &["stdbuf", "-oL", "ip", "-ts", "monitor", "route"])?;
        // A route to nowhere of our own shows that the monitor listens.
        wait("the route monitor to listen", WAIT, || {
            host.run(&["ip", "route", "replace", "blackhole", "203.0.113.255/32", "proto", "250"])?;
            host.run(&["ip", "route", "del", "blackhole", "203.0.113.255/32", "proto", "250"])?;
            Ok(process.output().contains("203.0.113.255"))
        })?;
        Ok(RouteLog { process })
    }

    /// All so far about `prefix`, in order.
    pub fn events(&self, prefix: &str) -> Vec<RouteEvent> {
        self.process
            .output()
            .lines()
            .filter_map(parse)
            .filter(|event| event.route.split_whitespace().any(|word| word == prefix))
            .collect()
    }

    /// How long `prefix` was away after its first removal; `None` where it never was.
    pub fn absence(&self, prefix: &str) -> Result<Option<Duration>> {
        let events = self.events(prefix);
        let Some(gone) = events.iter().position(|event| event.deleted) else { return Ok(None) };
        let back = events[gone..].iter().find(|event| !event.deleted);
        let back = back.with_context(|| format!("{prefix} was removed and did not return"))?;
        Ok(Some(back.at.saturating_sub(events[gone].at)))
    }

    /// Whether `prefix` was ever removed.
    pub fn was_deleted(&self, prefix: &str) -> bool {
        self.events(prefix).iter().any(|event| event.deleted)
    }
}

/// `[2026-11-21T09:45:30.123456] Deleted 10.244.2.0/24 via ...`
fn parse(line: &str) -> Option<RouteEvent> {
    let (time, rest) = line.strip_prefix('[')?.split_once(']')?;
    let mut clock = time.split('T').nth(1)?.split(':');
    let hours: f64 = clock.next()?.parse().ok()?;
    let minutes: f64 = clock.next()?.parse().ok()?;
    let seconds: f64 = clock.next()?.parse().ok()?;
    let at = Duration::from_secs_f64(hours * 3600.0 + minutes * 60.0 + seconds);
    let rest = rest.trim();
    let (deleted, route) = match rest.strip_prefix("Deleted ") {
        Some(route) => (true, route),
        None => (false, rest),
    };
    Some(RouteEvent { at, deleted, route: route.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_monitor_are_understood() {
        let event = parse("[2026-11-21T00:01:30.500000] Deleted 10.1.0.0/16 via 10.0.0.1 dev eth0");
        let event = event.unwrap();
        assert!(event.deleted);
        assert_eq!(event.at, Duration::from_millis(90_500));
        assert!(!parse("[2026-11-21T00:01:30.5] fd00::/64 dev eth0").unwrap().deleted);
        assert_eq!(parse("something else"), None);
    }
}
