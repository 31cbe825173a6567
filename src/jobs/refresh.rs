//! Sees what other servers, and the command line, have changed about who may do what.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wharf_auth::authority::Authority;

/// Looks `every` so often until `stop`.
pub async fn run(authority: Arc<Authority>, every: Duration, stop: CancellationToken) {
    let mut turns = tokio::time::interval(every);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // A database that is away is told of once.
    let mut is_told = false;
    while stop.run_until_cancelled(turns.tick()).await.is_some() {
        match authority.refresh().await {
            Ok(()) => is_told = false,
            Err(error) => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(%error, "changes of users and policies can not be seen");
                }
            }
        }
    }
}
