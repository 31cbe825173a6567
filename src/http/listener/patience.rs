//! Ends a connection on which nothing comes or goes for too long.
//!
//! Three waits are told apart, since a client may rest between requests for longer than it may
//! dawdle within one:
//!
//! - for the head of a request, from its first byte, and from the very start of a connection: the
//!   time for a head;
//! - for the next request, from the end of the last one: the idle time;
//! - for the peer to take bytes of an answer: the idle time.
//!
//! While a request is in flight nothing is asked of the reading side here; how fast its body has to
//! come is [`steady`](crate::http::steady)'s matter. In HTTP/2, whose frames come between requests
//! too, only the first head and idleness count.
//!
//! Timers are moved only when they fire or have to fire earlier, so that a busy connection pays a
//! comparison for each wait and no more.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How an HTTP/2 connection begins; no method of HTTP/1.1 does.
const HTTP2_PREFACE: &[u8] = b"PRI";

/// How long the waits may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For the head of a request.
    pub(super) head: Duration,
    /// Between requests, and for the peer to take bytes.
    pub(super) idle: Duration,
}

/// Which requests are in flight on a connection: the requests tell, the stream asks.
#[derive(Debug, Default)]
pub(super) struct Activity {
    in_flight: AtomicUsize,
    ended: AtomicUsize,
}

/// A request in flight, until this is dropped.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

impl Activity {
    /// A request begins.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the reading side waits for while no request is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The connection's first byte.
    Fresh,
    /// The rest of a head.
    Head,
    /// The next request.
    Idle,
}

/// A stream with patience.
#[derive(Debug)]
pub(super) struct Patient<IO> {
    stream: IO,
    activity: Arc<Activity>,
    patience: Patience,
    is_http2: bool,
    phase: Phase,
    since: Instant,
    /// How many requests had ended when `phase` was last looked at.
    ended: usize,
    read_timer: Option<Pin<Box<Sleep>>>,
    /// Since when the peer takes nothing.
    stuck_since: Option<Instant>,
    write_timer: Option<Pin<Box<Sleep>>>,
}

impl<IO> Patient<IO> {
    pub(super) fn new(stream: IO, activity: Arc<Activity>, patience: Patience) -> Self {
        Self {
            stream,
            activity,
            patience,
            is_http2: false,
            phase: Phase::Fresh,
            since: Instant::now(),
            ended: 0,
            read_timer: None,
            stuck_since: None,
            write_timer: None,
        }
    }

    /// Looks whether requests have ended since the last time.
    fn notice_ends(&mut self) {
        let ended = self.activity.ended.load(Ordering::Relaxed);
        if ended != self.ended {
            self.ended = ended;
            self.phase = Phase::Idle;
            self.since = Instant::now();
        }
    }

    fn notice_bytes(&mut self, bytes: &[u8]) {
        self.notice_ends();
        if bytes.is_empty() || self.activity.is_busy() {
            return;
        }
        match self.phase {
            Phase::Fresh => {
                self.is_http2 = bytes.starts_with(HTTP2_PREFACE);
                self.phase = Phase::Head;
            }
            Phase::Idle if !self.is_http2 => {
                self.phase = Phase::Head;
                self.since = Instant::now();
            }
            Phase::Head | Phase::Idle => {}
        }
    }

    fn poll_read_patience(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        self.notice_ends();
        let is_busy = self.activity.is_busy();
        let deadline = match self.phase {
            _ if is_busy => Instant::now() + self.patience.idle,
            Phase::Fresh | Phase::Head => self.since + self.patience.head,
            Phase::Idle => self.since + self.patience.idle,
        };
        poll_deadline(&mut self.read_timer, deadline, context)
    }

    fn poll_write_patience(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let since = *self.stuck_since.get_or_insert_with(Instant::now);
        let deadline = since + self.patience.idle;
        poll_deadline(&mut self.write_timer, deadline, context)
    }

    /// The outcome of a write, or the end of the patience with it.
    fn judge_write<T>(
        &mut self,
        outcome: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stuck_since = None;
            return outcome;
        }
        self.poll_write_patience(context).map(Err)
    }
}

/// Ready when the deadline has passed. The timer may stand at an earlier time than the deadline;
/// it is only moved when it has fired there for nothing, or stands too late.
fn poll_deadline(
    timer: &mut Option<Pin<Box<Sleep>>>,
    deadline: Instant,
    context: &mut Context<'_>,
) -> Poll<io::Error> {
    let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
    if timer.deadline() > deadline {
        timer.as_mut().reset(deadline);
    }
    while timer.as_mut().poll(context).is_ready() {
        if Instant::now() >= deadline {
            return Poll::Ready(io::ErrorKind::TimedOut.into());
        }
        timer.as_mut().reset(deadline);
    }
    Poll::Pending
}

impl<IO: AsyncRead + Unpin> AsyncRead for Patient<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        if outcome.is_pending() {
            return self.poll_read_patience(context).map(Err);
        }
        self.notice_bytes(&buffer.filled()[before..]);
        outcome
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Patient<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge_write(outcome, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge_write(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        self.judge_write(outcome, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judge_write(outcome, context)
    }
}

#[cfg(test)]
#[path = "patience_tests.rs"]
mod tests;
