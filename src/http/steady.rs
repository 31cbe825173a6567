//! Bodies that must keep coming.
//!
//! A client that sends a byte now and then would hold its connection, its upload and their memory
//! for as long as it likes; so over each window a least number of bytes must arrive. Windows are
//! looked at only while the server waits for the client: a slow disk cuts nobody off.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::registry::BodyError;

/// Over how long the rate is looked at: a client may be silent for nearly as long.
const WINDOW: Duration = Duration::from_secs(30);

/// Why a body was given up.
#[derive(Debug, thiserror::Error)]
#[error("the body came slower than {0} bytes a second")]
pub struct TooSlow(u64);

/// How fast bytes come.
#[derive(Debug)]
struct Pace {
    min_bytes_per_second: u64,
    /// How many bytes the window still lacks.
    lacking: u64,
    /// The end of the window. There is none before the first wait for the client.
    window: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    fn new(min_bytes_per_second: u64) -> Self {
        let mut pace = Self {
            min_bytes_per_second,
            lacking: 0,
            window: None,
        };
        pace.lacking = pace.quota();
        pace
    }

    fn quota(&self) -> u64 {
        self.min_bytes_per_second.saturating_mul(WINDOW.as_secs())
    }

    fn received(&mut self, bytes: usize) {
        self.lacking = self.lacking.saturating_sub(bytes as u64);
    }

    /// Ready when a window has ended with too little. To be asked while nothing comes.
    fn poll_too_slow(&mut self, context: &mut Context<'_>) -> Poll<TooSlow> {
        let quota = self.quota();
        let window = self
            .window
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(WINDOW)));
        while window.as_mut().poll(context).is_ready() {
            if self.lacking > 0 {
                return Poll::Ready(TooSlow(self.min_bytes_per_second));
            }
            self.lacking = quota;
            window.as_mut().reset(Instant::now() + WINDOW);
        }
        Poll::Pending
    }
}

/// A body that fails with [`TooSlow`] when it comes slower than it must.
#[derive(Debug)]
pub struct SteadyBody<B> {
    body: B,
    pace: Pace,
}

impl<B> SteadyBody<B> {
    /// The body, at least so fast.
    pub fn new(body: B, min_bytes_per_second: u64) -> Self {
        let pace = Pace::new(min_bytes_per_second);
        Self { body, pace }
    }
}

impl<B> Body for SteadyBody<B>
where
    B: Body<Data = Bytes, Error: Into<BodyError>> + Unpin,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            let too_slow = self.pace.poll_too_slow(context);
            return too_slow.map(|error| Some(Err(error.into())));
        };
        if let Some(Ok(frame)) = &frame {
            self.pace.received(frame.data_ref().map_or(0, Bytes::len));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The stream, which ends with [`TooSlow`] when it comes slower than that.
pub fn steady<S>(
    mut body: S,
    min_bytes_per_second: u64,
) -> impl Stream<Item = Result<Bytes, BodyError>> + Send
where
    S: Stream<Item = Result<Bytes, BodyError>> + Send + Unpin,
{
    let mut pace = Pace::new(min_bytes_per_second);
    stream::poll_fn(move |context| {
        let Poll::Ready(item) = body.poll_next_unpin(context) else {
            return pace
                .poll_too_slow(context)
                .map(|error| Some(Err(error.into())));
        };
        if let Some(Ok(bytes)) = &item {
            pace.received(bytes.len());
        }
        Poll::Ready(item)
    })
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    /// A body that sends `size` bytes every `pause`, for `count` times.
    fn body(
        size: usize,
        pause: Duration,
        count: usize,
    ) -> SteadyBody<impl Body<Data = Bytes, Error = BodyError> + Unpin> {
        let frames = stream::iter(0..count).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, BodyError>(Frame::data(Bytes::from(vec![0; size])))
        });
        SteadyBody::new(StreamBody::new(Box::pin(frames)), 128)
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_at_a_byte_a_second_is_given_up_after_a_window() {
        let began = Instant::now();
        let got = body(1, Duration::from_secs(1), 1000).collect().await;
        let error = got.expect_err("it is too slow");
        assert!(error.is::<TooSlow>(), "{error}");
        assert!(began.elapsed() <= WINDOW + Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_pauses_and_then_hurries_is_taken_whole() {
        let got = body(8000, Duration::from_secs(25), 20).collect().await;
        assert_eq!(got.expect("it is fast enough").to_bytes().len(), 160_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_slow_itself_cuts_nobody_off() {
        let mut body = body(8000, Duration::from_millis(1), 20);
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame
                .expect("the client was fast")
                .into_data()
                .expect("data")
                .len();
            tokio::time::sleep(WINDOW * 2).await;
        }
        assert_eq!(length, 160_000);
    }
}
