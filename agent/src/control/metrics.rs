//! `/metrics`, in the text format of OpenMetrics. Almost everything is read from the state at
//! the moment of a scrape; only what the state forgets is counted here.

mod counters;
mod scrape;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

pub(super) use counters::Counters;
pub(super) use scrape::{Parts, encode};

/// How long routes took from the UPDATE's arrival to the kernel's acknowledgement. Cheap to
/// clone; the owner of the routes gets one clone and tells each.
#[derive(Debug, Clone)]
pub struct InstallTimes(Histogram);

impl Default for InstallTimes {
    fn default() -> InstallTimes {
        // 50 us to 1.6 s by doubling: an idle node needs less than a millisecond.
        InstallTimes(Histogram::new(exponential_buckets(50e-6, 2.0, 16)))
    }
}

impl InstallTimes {
    /// Takes one sample.
    pub fn observe(&self, took: Duration) {
        self.0.observe(took.as_secs_f64());
    }

    /// What they are gathered in.
    pub fn histogram(&self) -> Histogram {
        self.0.clone()
    }

    /// As a callback, for an owner that shall not know of metrics.
    pub fn callback(&self) -> Arc<dyn Fn(Duration) + Send + Sync> {
        let times = self.clone();
        Arc::new(move |took| times.observe(took))
    }
}
