//! What must be counted because the state forgets it: refusals, which the speaker only tells as
//! they happen, and the messages of peers that are gone, without which a total would fall.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use twill_bgp::{Notice, PeerStatus};

/// Combinations of peer and rule that are told apart; what comes after is counted as `other`.
/// A peer cannot make rules, but a rule may name a prefix, and a cluster has many.
const REASONS: usize = 1000;

/// What is counted here.
#[derive(Debug, Default)]
pub(in crate::control) struct Counters(Mutex<Counts>);

/// The counts, as they are now.
#[derive(Debug, Default, Clone)]
pub(super) struct Counts {
    /// By peer and rule.
    pub(super) refused: BTreeMap<(String, String), u64>,
    /// Notices that came faster than they were counted.
    pub(super) lost: u64,
    /// Received, by type 1 to 5.
    pub(super) messages_in: [u64; 5],
    /// Sent, by type 1 to 5.
    pub(super) messages_out: [u64; 5],
    /// What each peer had counted at the last look.
    seen: BTreeMap<String, [[u64; 5]; 2]>,
}

impl Counters {
    /// Held for a few additions, never over an await.
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one notice of the speaker.
    pub(in crate::control) fn notice(&self, notice: Notice) {
        if let Notice::Refused { peer, rule, .. } = notice {
            let mut counts = self.lock();
            let key = (peer, rule.to_string());
            let full = counts.refused.len() >= REASONS;
            let key = if full && !counts.refused.contains_key(&key) {
                ("other".to_owned(), "other".to_owned())
            } else {
                key
            };
            let count = counts.refused.entry(key).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// Takes note that notices were lost.
    pub(in crate::control) fn lost(&self, number: u64) {
        let mut counts = self.lock();
        counts.lost = counts.lost.saturating_add(number);
    }

    /// Adds what peers have counted since the last look.
    pub(super) fn look(&self, peers: &[PeerStatus]) -> Counts {
        let mut counts = self.lock();
        let mut seen = BTreeMap::new();
        for peer in peers {
            let name = &peer.config.name;
            let now = [peer.messages_in, peer.messages_out];
            let [before_in, before_out] = counts.seen.get(name).copied().unwrap_or_default();
            add(&mut counts.messages_in, now[0], before_in);
            add(&mut counts.messages_out, now[1], before_out);
            seen.insert(name.clone(), now);
        }
        counts.seen = seen;
        counts.clone()
    }
}

/// A count that fell belongs to a peer that was removed and came back: it began again at 0.
fn add(totals: &mut [u64; 5], now: [u64; 5], before: [u64; 5]) {
    for ((total, now), before) in totals.iter_mut().zip(now).zip(before) {
        *total = total.saturating_add(now.checked_sub(before).unwrap_or(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::testing;

    #[test]
    fn totals_never_fall() {
        let counters = Counters::default();
        let mut peer = testing::peer("node-b");
        peer.messages_in = [1, 10, 0, 5, 0];
        assert_eq!(counters.look(std::slice::from_ref(&peer)).messages_in, [1, 10, 0, 5, 0]);
        peer.messages_in = [1, 12, 0, 6, 0];
        assert_eq!(counters.look(std::slice::from_ref(&peer)).messages_in, [1, 12, 0, 6, 0]);
        // Removed, and configured anew: its own counts begin at 0, the totals do not.
        assert_eq!(counters.look(&[]).messages_in, [1, 12, 0, 6, 0]);
        peer.messages_in = [1, 0, 0, 1, 0];
        assert_eq!(counters.look(&[peer]).messages_in, [2, 12, 0, 7, 0]);
    }

    #[test]
    fn reasons_are_bounded() {
        let counters = Counters::default();
        let refuse = |rule: String| {
            counters.notice(Notice::Refused {
                peer: "tor".to_owned(),
                prefix: testing::prefix("192.0.2.0/24"),
                rule: rule.into(),
            });
        };
        for number in 0..REASONS + 5 {
            refuse(format!("rule {number}"));
        }
        refuse("rule 0".to_owned());
        let counts = counters.look(&[]);
        assert_eq!(counts.refused.len(), REASONS + 1);
        assert_eq!(counts.refused[&("other".to_owned(), "other".to_owned())], 5);
        assert_eq!(counts.refused[&("tor".to_owned(), "rule 0".to_owned())], 2);
    }
}
