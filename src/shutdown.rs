//! Stopping: the first SIGTERM or SIGINT drains, the second one ends the process.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How a process ends that was told to stop twice.
const IMPATIENT_EXIT: i32 = 130;

/// The wish to stop, shared by everything that has to.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
}

impl Shutdown {
    /// Stops when the process gets SIGTERM or SIGINT.
    ///
    /// # Errors
    ///
    /// When signals can't be listened to.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::default();
        let token = shutdown.token.clone();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if token.is_cancelled() {
                    std::process::exit(IMPATIENT_EXIT);
                }
                tracing::info!("stopping: requests in flight are finished, new ones refused");
                token.cancel();
            }
        });
        Ok(shutdown)
    }

    /// The token that is cancelled when the process shall stop.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Waits until the process shall stop.
    pub async fn wished(&self) {
        self.token.cancelled().await;
    }

    /// Waits for `work`, for `grace` at most, and tells whether it ended.
    pub async fn within(grace: Duration, work: impl Future<Output = ()>) -> bool {
        tokio::time::timeout(grace, work).await.is_ok()
    }
}
