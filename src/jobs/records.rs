//! Writes records of what has changed, again and again.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::registry::Recorder;

/// How often; so records lag behind by about this.
const EVERY: Duration = Duration::from_secs(2);

/// Writes records until `stop`, and then what is left.
pub async fn run(recorder: Recorder, stop: CancellationToken) {
    let mut turns = tokio::time::interval(EVERY);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let goes_on = stop.run_until_cancelled(turns.tick()).await.is_some();
        loop {
            match recorder.step().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(%error, "records could not be written");
                    break;
                }
            }
        }
        if !goes_on {
            break;
        }
    }
    if let Err(error) = recorder.release().await {
        tracing::debug!(%error, "the work on records was not let go");
    }
}
