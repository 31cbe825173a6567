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
//! It also tells the versions of HTTP apart by what comes first, and knows whether a connection may
//! rest: all was answered and has gone out, and nothing of a next request has come.
//!
//! Timers are moved only when they fire or have to fire earlier, so that a busy connection pays a
//! comparison for each wait and no more.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How an HTTP/2 connection begins; no request of HTTP/1.1 does.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How many bytes are read at first.
const GREETING: usize = 1024;

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

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
    /// Whether all that was written has gone out.
    is_flushed: AtomicBool,
    /// Whether some of a head has come.
    is_begun: AtomicBool,
}

/// A request in flight, until this is dropped.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

impl Activity {
    /// A request begins.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.is_begun.store(false, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// How many requests have ended, where nothing is in flight, half sent or half read.
    pub(super) fn quiet_after(&self) -> Option<usize> {
        let is_quiet = !self.is_busy()
            && self.is_flushed.load(Ordering::Relaxed)
            && !self.is_begun.load(Ordering::Relaxed);
        let ended = self.ended.load(Ordering::Relaxed);
        (is_quiet && ended > 0).then_some(ended)
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
    /// What was read, and not yet handed on.
    kept: Vec<u8>,
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
            kept: Vec::new(),
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
        if bytes.is_empty() {
            return;
        }
        if self.activity.is_busy() {
            return;
        }
        self.activity.is_begun.store(true, Ordering::Relaxed);
        match self.phase {
            Phase::Fresh => self.phase = Phase::Head,
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

    /// Waits for the first bytes of what comes next, and tells which version they begin: none, where
    /// nothing comes any more.
    pub(super) async fn greeting(&mut self) -> io::Result<Option<Version>>
    where
        IO: AsyncRead + Unpin,
    {
        let is_first = self.phase == Phase::Fresh;
        loop {
            let is_undecided = is_first && HTTP2_PREFACE.starts_with(&self.kept);
            if is_first && self.kept.starts_with(HTTP2_PREFACE) {
                self.is_http2 = true;
                return Ok(Some(Version::Http2));
            }
            if !self.kept.is_empty() && !is_undecided {
                return Ok(Some(Version::Http1));
            }
            let came = poll_fn(|context| self.poll_more(context)).await?;
            if came == 0 {
                return Ok(None);
            }
        }
    }

    /// Keeps bytes for the next reads. A head that came in part with the request before begins now.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
        self.notice_bytes(bytes);
    }

    /// Reads some bytes and keeps them; tells how many.
    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>>
    where
        IO: AsyncRead + Unpin,
    {
        let mut bytes = [0; GREETING];
        let mut buffer = ReadBuf::new(&mut bytes);
        ready!(self.poll_stream(context, &mut buffer))?;
        self.kept.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn poll_stream(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>>
    where
        IO: AsyncRead + Unpin,
    {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        if outcome.is_pending() {
            return self.poll_read_patience(context).map(Err);
        }
        self.notice_bytes(&buffer.filled()[before..]);
        outcome
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
pub(super) fn poll_deadline(
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
        if self.kept.is_empty() {
            return self.poll_stream(context, buffer);
        }
        let length = self.kept.len().min(buffer.remaining());
        buffer.put_slice(&self.kept[..length]);
        self.kept.drain(..length);
        if self.kept.is_empty() {
            // A connection may rest for long.
            self.kept = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Patient<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.activity.is_flushed.store(false, Ordering::Relaxed);
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge_write(outcome, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.activity.is_flushed.store(false, Ordering::Relaxed);
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge_write(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        let is_flushed = matches!(outcome, Poll::Ready(Ok(())));
        self.activity
            .is_flushed
            .store(is_flushed, Ordering::Relaxed);
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
