//! Ends forgotten uploads and removes needless bytes, again and again.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::registry::{Registry, Swept};

/// Sweeps `every` so often until `stop`. A sweep that fails is tried again at the next turn.
pub async fn run(registry: Arc<Registry>, every: Duration, stop: CancellationToken) {
    let mut turns = tokio::time::interval(every);
    // The first tick comes at once, and the start of the server has just swept.
    turns.tick().await;
    while stop.run_until_cancelled(turns.tick()).await.is_some() {
        match registry.sweep().await {
            Ok(swept) => report(swept),
            Err(error) => tracing::error!(%error, "a sweep failed"),
        }
    }
}

/// Writes what a sweep did to the log, where it did something.
pub fn report(swept: Swept) {
    if swept == Swept::default() {
        return;
    }
    let Swept {
        uploads,
        strays,
        removals,
    } = swept;
    tracing::info!(uploads, strays, removals, "swept");
}
