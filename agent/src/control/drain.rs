//! `/v1/drain`: how far this node is drained, and how much it still forwards.

use std::fs;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::Shared;
use super::answer::Failure;
use super::api::Draining;
use crate::drain::Drain;

/// `GET`.
pub(super) async fn show(State(shared): State<Arc<Shared>>) -> Response {
    answer(&shared)
}

/// `PUT` with `"marked"` or `"withdrawn"`.
pub(super) async fn begin(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<Response, Failure> {
    let drain: Drain = serde_json::from_slice(&body).map_err(|error| {
        Failure::bad_request(format!("bad state: {error}"), "send \"marked\" or \"withdrawn\"")
    })?;
    set(&shared, Some(drain))
}

/// `DELETE`.
pub(super) async fn undo(State(shared): State<Arc<Shared>>) -> Result<Response, Failure> {
    set(&shared, None)
}

fn set(shared: &Shared, to: Option<Drain>) -> Result<Response, Failure> {
    shared.backend.drain.set(to).map_err(|error| {
        Failure::refused(
            format!("it cannot be remembered beside the agent's socket: {error}"),
            "make that directory writable; nothing was changed",
        )
    })?;
    Ok(answer(shared))
}

fn answer(shared: &Shared) -> Response {
    let state = shared.backend.drain.get();
    // Two numbers and a word always serialize.
    let body = serde_json::to_vec(&Draining { state, forwarded_packets: forwarded() });
    let json = [(axum::http::header::CONTENT_TYPE, "application/json")];
    (json, body.unwrap_or_default()).into_response()
}

/// Packets of both families that this host has forwarded since it booted, pods' included; `None`
/// where the kernel does not say.
fn forwarded() -> Option<u64> {
    let v4 = fs::read_to_string("/proc/net/snmp").ok().and_then(|text| ipv4(&text))?;
    // A kernel without IPv6 has no such file, and forwards none.
    let v6 = fs::read_to_string("/proc/net/snmp6").ok().and_then(|text| ipv6(&text)).unwrap_or(0);
    v4.checked_add(v6)
}

/// A line of names is followed by a line of numbers.
fn ipv4(text: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Ip: "));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let mut both = names.split(' ').zip(numbers.split(' '));
    both.find(|(name, _)| *name == "ForwDatagrams")?.1.parse().ok()
}

fn ipv6(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Ip6OutForwDatagrams"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_counts_is_found_by_its_name() {
        let v4 = "Ip: Forwarding DefaultTTL InReceives ForwDatagrams InDelivers\n\
                  Ip: 1 64 100 37 60\nIcmp: InMsgs\nIcmp: 4\n";
        assert_eq!(ipv4(v4), Some(37));
        assert_eq!(ipv4("Ip: Forwarding\nIp: 1\n"), None);
        let v6 = "Ip6InReceives    \t9\nIp6OutForwDatagrams             \t5\n";
        assert_eq!(ipv6(v6), Some(5));
        assert!(forwarded().is_some(), "this kernel counts");
    }
}
