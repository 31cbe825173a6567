//! HTTP on one connection: which version it is, and what is kept of it while nothing is asked.
//!
//! Speaking HTTP/1.1 takes buffers of some twenty kilobytes. A connection that rests between two
//! requests gives them back, and keeps its stream alone, so that ten thousand clients that hold
//! their connections for later cost little. `patience` says when one may.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::Request;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::door::Door;
use super::patience::{Activity, Patient, Version, poll_deadline};
use super::stream::Stream;
use crate::config;

/// How many bytes a client of HTTP/2 may have under way to us, for each stream and for all.
const WINDOW_BYTES: u32 = 4 << 20;
/// How soon a connection rests. Clients that ask one thing after the other come again sooner.
pub(super) const REST_AFTER: Duration = Duration::from_millis(250);

/// Both versions, with the limits of the configuration.
#[derive(Debug)]
pub(super) struct Protocol {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Protocol {
    pub(super) fn new(config: &config::Server) -> Self {
        let header_bytes = config.max_header_bytes.in_memory();
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            // It counts the time between requests too; `patience` tells the two apart.
            .header_read_timeout(None)
            .max_headers(config.max_headers)
            .max_buf_size(header_bytes);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(config.header_timeout.duration())
            .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES);
        Self { http1, http2 }
    }

    /// Answers requests until the connection ends. When it shall stop, those in flight are finished.
    pub(super) async fn speak<S>(
        &self,
        mut stream: Patient<Stream>,
        door: Door<S>,
        activity: &Arc<Activity>,
        stopping: &CancellationToken,
    ) -> hyper::Result<()>
    where
        S: Service<Request<Body>, Response = Response, Error = Infallible>,
        S: Clone + Send + 'static,
        S::Future: Send + 'static,
    {
        loop {
            let version = tokio::select! {
                biased;
                // What has come before is answered.
                version = stream.greeting() => version.ok().flatten(),
                () = stopping.cancelled() => None,
            };
            match version {
                Some(Version::Http1) => {}
                Some(Version::Http2) => {
                    let connection = self.http2.serve_connection(TokioIo::new(stream), door);
                    return until_end(connection, stopping).await;
                }
                None => {
                    // Whoever is gone already doesn't hear it.
                    let _ = stream.shutdown().await;
                    return Ok(());
                }
            }
            let connection = self
                .http1
                .serve_connection(TokioIo::new(stream), door.clone());
            match until_rest(Box::new(connection), activity, stopping).await? {
                Some(resting) => stream = resting,
                None => return Ok(()),
            }
        }
    }
}

async fn until_end<S>(
    connection: http2::Connection<TokioIo<Patient<Stream>>, Door<S>, TokioExecutor>,
    stopping: &CancellationToken,
) -> hyper::Result<()>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let mut connection = Box::pin(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = stopping.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

/// Answers requests until the connection ends, or rests: then its stream is given back.
async fn until_rest<S>(
    mut connection: Box<http1::Connection<TokioIo<Patient<Stream>>, Door<S>>>,
    activity: &Arc<Activity>,
    stopping: &CancellationToken,
) -> hyper::Result<Option<Patient<Stream>>>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let mut stop = pin!(stopping.cancelled());
    let (mut is_stopping, mut rest) = (false, Rest::default());
    let ended = poll_fn(|context| {
        if !is_stopping && stop.as_mut().poll(context).is_ready() {
            is_stopping = true;
            Pin::new(&mut *connection).graceful_shutdown();
        }
        match Pin::new(&mut *connection).poll(context) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending => rest.poll(activity, context).map(|()| None),
        }
    });
    match ended.await {
        Some(ended) => ended.map(|()| None),
        None => {
            let parts = connection.into_parts();
            let mut stream = parts.io.into_inner();
            stream.keep(&parts.read_buf);
            Ok(Some(stream))
        }
    }
}

/// When a connection begins to rest.
#[derive(Debug, Default)]
struct Rest {
    /// How many requests had ended when the wait began, and when it is over.
    wait: Option<(usize, Instant)>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Rest {
    /// Ready when nothing was asked for a while.
    fn poll(&mut self, activity: &Activity, context: &mut Context<'_>) -> Poll<()> {
        let Some(ended) = activity.quiet_after() else {
            self.wait = None;
            return Poll::Pending;
        };
        let until = match self.wait {
            Some((before, until)) if before == ended => until,
            _ => Instant::now() + REST_AFTER,
        };
        self.wait = Some((ended, until));
        poll_deadline(&mut self.timer, until, context).map(|_late| ())
    }
}
