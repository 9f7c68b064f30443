use twill_bgp::{BestChange, Readiness, Subscription};

/// Where learned routes come from: the speaker's subscription, or a test.
pub trait BestPaths: Send {
    /// The next changes, first those that make up the whole table; `None` when there will be no
    /// more. Safe to cancel. A batch may be empty where only the readiness changed.
    fn next(&mut self) -> impl Future<Output = Option<Vec<BestChange>>> + Send;

    /// Whether the first exchange was complete with the last batch that was returned.
    fn readiness(&self) -> Readiness;
}

impl BestPaths for Subscription {
    fn next(&mut self) -> impl Future<Output = Option<Vec<BestChange>>> + Send {
        Subscription::next(self)
    }

    fn readiness(&self) -> Readiness {
        Subscription::readiness(self)
    }
}
