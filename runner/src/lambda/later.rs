//! Invocations that nobody waits for: kept before they are acknowledged, tried three times.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::model::Queued;
use super::{Answer, Asked, Lambda};
use crate::aws::door::uuid;
use crate::aws::{Error, now};

/// How often one is tried.
const ATTEMPTS: u32 = 3;
/// How long one may wait in all, in seconds.
const LONGEST_SECONDS: f64 = 6.0 * 3600.0;
/// The wait when all instances are busy.
const BUSY: Duration = Duration::from_millis(500);

impl Lambda {
    /// Keeps an invocation, and invokes it in the background.
    pub(crate) async fn invoke_later(&self, name: &str, payload: &[u8]) -> Result<(), Error> {
        let function = self.function(name)?;
        let queued = Queued {
            id: uuid(),
            function: function.name,
            payload: BASE64_STANDARD.encode(payload),
            attempts: 0,
            created_at: now(),
        };
        self.queued.put(&queued.id, queued.clone()).await?;
        self.spawn_later(queued);
        Ok(())
    }

    pub(super) fn spawn_later(&self, queued: Queued) {
        let lambda = self.clone();
        self.ground.tracker.spawn(async move {
            let stop = lambda.ground.stop.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                () = lambda.try_later(queued) => {}
            }
        });
    }

    async fn try_later(&self, mut queued: Queued) {
        let payload = BASE64_STANDARD.decode(&queued.payload).unwrap_or_default();
        loop {
            let asked = Asked {
                payload: payload.clone().into(),
                client_context: None,
            };
            let pause = match self.ask(&queued.function, asked).await {
                Ok(Answer::Whole(_)) => break,
                Ok(Answer::Stream(_, mut pieces)) => {
                    super::invoke::gathered(&mut pieces).await;
                    break;
                }
                Ok(Answer::Failed(error)) => {
                    queued.attempts += 1;
                    let error = String::from_utf8_lossy(&error).into_owned();
                    tracing::info!(
                        function = queued.function,
                        attempt = queued.attempts,
                        error,
                        "an invocation failed"
                    );
                    self.ground.config.lambda.retry_after.duration() * queued.attempts
                }
                Err(error) if error.code == "ResourceNotFoundException" => break,
                Err(_) => BUSY,
            };
            if queued.attempts >= ATTEMPTS || now() - queued.created_at > LONGEST_SECONDS {
                tracing::warn!(
                    function = queued.function,
                    id = queued.id,
                    "an invocation is given up"
                );
                break;
            }
            let attempts = queued.attempts;
            if let Err(error) = self
                .queued
                .update(&queued.id, |kept| kept.attempts = attempts)
                .await
            {
                tracing::error!(%error, "an attempt can't be kept");
            }
            tokio::time::sleep(pause).await;
        }
        if let Err(error) = self.queued.remove(&queued.id).await {
            tracing::error!(%error, "the end of an invocation can't be kept");
        }
    }
}
