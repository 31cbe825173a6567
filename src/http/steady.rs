//! Bodies that must keep coming.
//!
//! A client that sends a byte now and then would hold its connection, its upload and their memory
//! for as long as it likes; so over each window a least number of bytes must arrive.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};

use crate::registry::BodyError;

/// Over how long the rate is looked at: a client may be silent for nearly as long.
const WINDOW: Duration = Duration::from_secs(30);

/// Why a body was given up.
#[derive(Debug, thiserror::Error)]
#[error("the body came slower than {0} bytes a second")]
pub struct TooSlow(u64);

struct Steady<S> {
    body: S,
    window_ends: Instant,
    /// How many bytes the window still lacks.
    lacking: u64,
}

/// The body, which ends with [`TooSlow`] when it comes slower than that.
pub fn steady<S>(
    body: S,
    min_bytes_per_second: u64,
) -> impl Stream<Item = Result<Bytes, BodyError>> + Send
where
    S: Stream<Item = Result<Bytes, BodyError>> + Send + Unpin,
{
    let quota = min_bytes_per_second * WINDOW.as_secs();
    let state = Steady {
        body,
        window_ends: Instant::now() + WINDOW,
        lacking: quota,
    };
    stream::unfold(Some(state), move |state| async move {
        let mut state = state?;
        loop {
            match timeout_at(state.window_ends, state.body.next()).await {
                Ok(Some(Ok(bytes))) => {
                    state.lacking = state.lacking.saturating_sub(bytes.len() as u64);
                    return Some((Ok(bytes), Some(state)));
                }
                Ok(Some(Err(error))) => return Some((Err(error), None)),
                Ok(None) => return None,
                Err(_) if state.lacking == 0 => {
                    state.window_ends = Instant::now() + WINDOW;
                    state.lacking = quota;
                }
                Err(_) => {
                    let error = TooSlow(min_bytes_per_second);
                    return Some((Err(error.into()), None));
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body that sends `size` bytes every `pause`, for `count` times.
    fn body(
        size: usize,
        pause: Duration,
        count: usize,
    ) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + Unpin {
        Box::pin(stream::iter(0..count).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok(Bytes::from(vec![0; size]))
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_at_a_byte_a_second_is_given_up_after_a_window() {
        let began = Instant::now();
        let got: Vec<_> = steady(body(1, Duration::from_secs(1), 1000), 128)
            .collect()
            .await;
        assert!(got.last().expect("it ends with an error").is_err());
        assert!(began.elapsed() <= WINDOW);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_pauses_and_then_hurries_is_taken_whole() {
        let got: Vec<_> = steady(body(8000, Duration::from_secs(25), 20), 128)
            .collect()
            .await;
        assert_eq!(got.len(), 20);
        assert!(got.iter().all(Result::is_ok));
    }
}
