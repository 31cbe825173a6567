//! Runs lifecycle policies, and writes when images were pulled, again and again.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::registry::{Lifecycles, Ran, Registry};

/// How often pulls are written.
const PULLS_EVERY: Duration = Duration::from_secs(10);

/// Runs all policies `every` so often until `stop`.
pub async fn run(lifecycles: Lifecycles, every: Duration, stop: CancellationToken) {
    let mut turns = tokio::time::interval(every);
    // The first tick comes at once; a server that restarts again and again shall not run them
    // each time.
    turns.tick().await;
    while stop.run_until_cancelled(turns.tick()).await.is_some() {
        match lifecycles.run_all().await {
            Ok(ran) if ran == Ran::default() => {}
            Ok(Ran {
                expired,
                archived,
                untagged,
            }) => tracing::info!(expired, archived, untagged, "ran lifecycle policies"),
            Err(error) => tracing::error!(%error, "lifecycle policies could not be run"),
        }
    }
}

/// Writes pulls every so often until `stop`, and then what is left.
pub async fn record_pulls(registry: Arc<Registry>, stop: CancellationToken) {
    let mut turns = tokio::time::interval(PULLS_EVERY);
    loop {
        let goes_on = stop.run_until_cancelled(turns.tick()).await.is_some();
        let (pulls, exclusions) = (
            registry.record_pulls().await,
            registry.refresh_exclusions().await,
        );
        if let Err(error) = pulls.and(exclusions) {
            tracing::warn!(%error, "the times of pulls could not be written");
        }
        if !goes_on {
            return;
        }
    }
}
