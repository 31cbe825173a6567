//! Reads all bytes again from time to time.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wharf_storage::clock::Clock;

use crate::registry::{Scrubbed, Scrubber};

/// How often it is looked whether it is time.
const LOOK_EVERY: Duration = Duration::from_secs(600);

/// Scrubs `every` so often until `stop`. A scrub that was broken off goes on.
pub async fn run(scrubber: Scrubber, clock: &dyn Clock, every: Duration, stop: CancellationToken) {
    let look_every = LOOK_EVERY.min(every);
    while stop
        .run_until_cancelled(tokio::time::sleep(look_every))
        .await
        .is_some()
    {
        let is_due = match scrubber.progress().await {
            Ok(Some((before, at))) => !before.is_done || at <= clock.now().before(every),
            Ok(None) => true,
            Err(error) => {
                tracing::warn!(%error, "how far the last scrub got can not be read");
                false
            }
        };
        if !is_due {
            continue;
        }
        match scrubber.run(|_| !stop.is_cancelled()).await {
            Ok(None) => {}
            Ok(Some(Scrubbed {
                blobs,
                bytes,
                wrong,
                unreadable,
                is_done,
                ..
            })) => tracing::info!(blobs, bytes, wrong, unreadable, is_done, "scrubbed"),
            Err(error) => tracing::error!(%error, "a scrub failed"),
        }
    }
}
