//! Why TCP may keep a session from coming up. The kernel counts what it drops for a signature or
//! a TTL for the whole host since it began: whose segments they were it does not say.

use super::facts::{Facts, Peer, TcpDrops};
use super::{Finding, doubt};

pub(super) fn judge(facts: &Facts, found: &mut Vec<Finding>) {
    let Some(TcpDrops { md5_missing, md5_unexpected, md5_wrong, ttl }) = facts.drops else {
        return;
    };
    // With all sessions up, what was dropped is history, or none of ours.
    if facts.agent && facts.peers.iter().all(|peer| peer.up) {
        return;
    }
    let signed = suspects(facts, |peer| peer.signed, |signed| signed);
    let unsigned = suspects(facts, |peer| !peer.signed, |signed| !signed);
    let guarded = suspects(facts, |peer| peer.gtsm.is_some(), |_| true);
    let rows = [
        (
            md5_missing,
            "TCPMD5NotFound",
            "a peer for which a password is set does not sign",
            signed.clone(),
            "set the same password at the peer, or take it out of the configuration here",
        ),
        (
            md5_unexpected,
            "TCPMD5Unexpected",
            "a peer signs, and no password is set for it here",
            unsigned,
            "set the peer's password here, or take it out there",
        ),
        (
            md5_wrong,
            "TCPMD5Failure",
            "a peer signs with another password",
            signed,
            "set the same password on both sides; mind a line end in a password file",
        ),
        (
            ttl,
            "TCPMinTTLDrop",
            "packets from a peer have a lower TTL than GTSM asks for: it is farther off, or does \
             not send TTL 255",
            guarded,
            "switch GTSM on at the peer too (ttl-security), or set gtsm here to 256 less its \
             distance in hops",
        ),
    ];
    for (count, counter, what, suspects, remedy) in rows {
        if count > 0 && !(facts.agent && suspects.is_empty()) {
            let who = match suspects.as_slice() {
                [] => "no session is known that it could be of".to_owned(),
                names => format!("it may be {}", names.join(", ")),
            };
            found.push(doubt(
                "sessions",
                what.to_owned(),
                format!("{counter} is {count} since this host began; {who}"),
                remedy.to_owned(),
            ));
        }
    }
}

/// Of a running agent, the sessions that are down; else all that are configured.
fn suspects(
    facts: &Facts,
    of_agent: impl Fn(&Peer) -> bool,
    of_config: impl Fn(bool) -> bool,
) -> Vec<String> {
    if facts.agent {
        let down = facts.peers.iter().filter(|peer| !peer.up && of_agent(peer));
        return down.map(|peer| format!("{} ({})", peer.name, peer.address)).collect();
    }
    let signed = facts.want.signed.iter().filter(|(_, signed)| of_config(*signed));
    signed.map(|(name, _)| name.clone()).collect()
}
