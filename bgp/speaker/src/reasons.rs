//! Why a session was lost, and why it did not come up: the last reasons, each with its times.

use std::collections::VecDeque;
use std::time::SystemTime;

/// So many reasons are kept. Those for which a session was lost stay longest: attempts fail every
/// few seconds while a peer is away, and would soon be all there is.
const KEPT: usize = 16;

/// What came to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// A session that was established.
    Session,
    /// An attempt at one.
    Attempt,
}

/// Why a session was lost, or an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Which of the two.
    pub ended: Ended,
    /// In words.
    pub words: String,
    /// When it was so for the first time in a row.
    pub since: SystemTime,
    /// When it was so last.
    pub at: SystemTime,
    /// How often in a row.
    pub times: u32,
}

/// The last reasons, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Reasons(VecDeque<Reason>);

impl Reasons {
    /// Notes one more. Of a row of attempts that fail alike, the last and their number are kept.
    pub(crate) fn note(&mut self, ended: Ended, words: String, at: SystemTime) {
        if let Some(last) = self.0.back_mut()
            && ended == Ended::Attempt
            && (last.ended, &last.words) == (ended, &words)
        {
            last.at = at;
            last.times = last.times.saturating_add(1);
            return;
        }
        if self.0.len() >= KEPT {
            let attempt = self.0.iter().position(|reason| reason.ended == Ended::Attempt);
            self.0.remove(attempt.unwrap_or_default());
        }
        self.0.push_back(Reason { ended, words, since: at, at, times: 1 });
    }

    /// Why the session was lost last; of a peer that never had one, why the last attempt failed.
    pub(crate) fn last_error(&self) -> Option<(SystemTime, String)> {
        let lost = self.0.iter().rev().find(|reason| reason.ended == Ended::Session);
        lost.or(self.0.back()).map(|reason| (reason.at, reason.words.clone()))
    }

    /// All that are kept, the newest first.
    pub(crate) fn newest_first(&self) -> Vec<Reason> {
        self.0.iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    #[test]
    fn attempts_do_not_hide_why_the_session_was_lost() {
        let mut reasons = Reasons::default();
        reasons.note(Ended::Attempt, "refused".into(), at(1));
        assert_eq!(reasons.last_error(), Some((at(1), "refused".into())));
        reasons.note(Ended::Session, "hold timer expired".into(), at(10));
        for second in 11..200 {
            let words = if second % 2 == 0 { "refused" } else { "timed out" };
            reasons.note(Ended::Attempt, words.into(), at(second));
        }
        assert_eq!(reasons.last_error(), Some((at(10), "hold timer expired".into())));
        let all = reasons.newest_first();
        assert_eq!(all.len(), KEPT);
        assert_eq!((all[0].ended, all[0].at), (Ended::Attempt, at(199)));
        assert_eq!(all.last().map(|reason| reason.ended), Some(Ended::Session));
        reasons.note(Ended::Session, "Cease".into(), at(300));
        assert_eq!(reasons.last_error(), Some((at(300), "Cease".into())));
    }

    #[test]
    fn a_row_of_equal_attempts_is_counted_and_losses_stand_alone() {
        let mut reasons = Reasons::default();
        for second in 1..=3 {
            reasons.note(Ended::Attempt, "refused".into(), at(second));
        }
        for second in 4..=5 {
            reasons.note(Ended::Session, "Cease".into(), at(second));
        }
        let all = reasons.newest_first();
        let times: Vec<u32> = all.iter().map(|reason| reason.times).collect();
        assert_eq!(times, [1, 1, 3]);
        assert_eq!((all[2].since, all[2].at), (at(1), at(3)));
    }

    #[test]
    fn losses_alone_are_kept_to_the_bound() {
        let mut reasons = Reasons::default();
        for second in 0..100 {
            reasons.note(Ended::Session, second.to_string(), at(second));
        }
        let all = reasons.newest_first();
        assert_eq!((all.len(), all[0].words.as_str()), (KEPT, "99"));
    }
}
