//! Numbers and times as people read them.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use crate::control::api::PathElement;
use crate::control::timestamp;

/// `42s`, `5m 12s`, `3h 5m`, `2d 4h`: two units at most.
pub(crate) fn duration(seconds: u64) -> String {
    let units = [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')];
    let mut parts = units.iter().enumerate().skip_while(|(_, (size, _))| seconds < *size);
    let Some((index, (size, unit))) = parts.next() else {
        return "0s".to_owned();
    };
    let first = format!("{}{unit}", seconds / size);
    match units.get(index + 1) {
        Some((smaller, unit)) if seconds % size / smaller > 0 => {
            format!("{first} {}{unit}", seconds % size / smaller)
        }
        _ => first,
    }
}

/// A short duration: `250us`, `12ms`, `1.3s`.
pub(crate) fn short(seconds: f64) -> String {
    if seconds < 0.001 {
        format!("{:.0}us", seconds * 1e6)
    } else if seconds < 1.0 {
        format!("{:.0}ms", seconds * 1e3)
    } else {
        format!("{seconds:.1}s")
    }
}

/// How long ago a time of the JSON was; the text itself where it is none.
pub(crate) fn ago(text: &str, now: SystemTime) -> String {
    match timestamp::parse(text) {
        Some(then) => {
            let passed = now.duration_since(then).unwrap_or(Duration::ZERO);
            format!("{} ago", duration(passed.as_secs()))
        }
        None => text.to_owned(),
    }
}

/// `65000 {65001,65002}`; empty for a route of our own AS.
pub(crate) fn as_path(path: &[PathElement]) -> String {
    let element = |element: &PathElement| match element {
        PathElement::As(asn) => asn.to_string(),
        PathElement::Set(set) => {
            let set: Vec<String> = set.iter().map(ToString::to_string).collect();
            format!("{{{}}}", set.join(","))
        }
    };
    path.iter().map(element).collect::<Vec<_>>().join(" ")
}

/// A route's next hop: that of our own is whatever address faces the peer.
pub(crate) fn next_hop(next_hop: IpAddr) -> String {
    if next_hop.is_unspecified() { "self".to_owned() } else { next_hop.to_string() }
}

/// A number, or nothing.
pub(crate) fn optional<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// `1 route`, `2 routes`.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (312, "5m 12s"),
            (3600, "1h"),
            (3601, "1h"),
            (11_100, "3h 5m"),
            (187_200, "2d 4h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
        for (seconds, text) in [(0.000_25, "250us"), (0.012, "12ms"), (1.34, "1.3s")] {
            assert_eq!(short(seconds), text);
        }
    }

    #[test]
    fn times_that_passed() {
        let now = timestamp::parse("2026-11-21T09:47:32.000Z").unwrap();
        assert_eq!(ago("2026-11-21T09:44:31.500Z", now), "3m ago");
        assert_eq!(ago("2026-11-21T09:48:00.000Z", now), "0s ago");
        assert_eq!(ago("soon", now), "soon");
    }
}
