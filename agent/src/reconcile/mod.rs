//! Owners, each level-triggered over the same Snapshot; a slow one never holds another up.

pub mod apiserver;
pub mod cni;
mod fight;
pub mod host;
pub mod leases;
pub mod masquerade;
pub mod ndp;
pub mod report;
pub mod routes;
pub mod shadows;
pub mod speaker;

use std::fmt::Display;
use std::time::Duration;

/// How long an owner that failed rests.
const REST: Duration = Duration::from_secs(1);

/// Runs an owner until it ends in good order, and again whenever it fails; `name` is what the log
/// calls it. Owners list what is before they act, so that starting one again is always safe.
pub async fn keep<E: Display, F: Future<Output = Result<(), E>>>(
    name: &str,
    mut run: impl FnMut() -> F,
) {
    while let Err(error) = run().await {
        tracing::error!("{name}: {error}; trying again in {REST:?}");
        tokio::time::sleep(REST).await;
    }
}
