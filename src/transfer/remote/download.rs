//! Downloads that go on behind a break.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::{Method, StatusCode, header};
use reqwest::{Response, Url};

use super::super::Error;
use super::super::ends::BlobStream;
use super::client::{Ask, Remote, asked, success};
use super::login::Right;
use crate::outbound;

/// How often in a row a download may break without a byte.
const BREAKS: u32 = 4;
/// How long the pause before the first try to go on is; it doubles.
const PAUSE: Duration = Duration::from_millis(250);

type Body = std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, reqwest::Error>> + Send>>;

struct Download {
    remote: Remote,
    url: Url,
    right: Right,
    /// How many bytes it has in all.
    size: u64,
    /// How many came.
    at: u64,
    /// How many of the next ones have come before.
    skip: u64,
    body: Option<Body>,
    breaks: u32,
}

/// The bytes of a blob of known size.
pub(super) async fn blob(
    remote: &Remote,
    url: Url,
    right: Right,
    size: u64,
) -> Result<BlobStream, Error> {
    let mut download = Download {
        remote: remote.clone(),
        url,
        right,
        size,
        at: 0,
        skip: 0,
        body: None,
        breaks: 0,
    };
    // That there is no such blob is told at once.
    download.connect().await?;
    Ok(Box::pin(stream::unfold(
        Some(download),
        |download| async move {
            let mut download = download?;
            match download.next().await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(download))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        },
    )))
}

impl Download {
    async fn connect(&mut self) -> Result<(), Error> {
        let mut ask = Ask::new(Method::GET, self.url.clone(), self.right.clone());
        if self.at > 0 {
            ask = ask.header(header::RANGE, &format!("bytes={}-", self.at));
        }
        let answer = self.remote.send(&ask).await?;
        let answer = success("GET", &self.url, answer).await?;
        self.skip = match answer.status() {
            StatusCode::PARTIAL_CONTENT => self.gap(&answer)?,
            // It doesn't know ranges, and begins again.
            _ => self.at,
        };
        self.body = Some(Box::pin(answer.bytes_stream()));
        Ok(())
    }

    /// How far before the point that was asked for an answer begins.
    fn gap(&self, answer: &Response) -> Result<u64, Error> {
        let range = answer.headers().get(header::CONTENT_RANGE);
        let range = range
            .and_then(|range| range.to_str().ok())
            .unwrap_or_default();
        let start = range
            .strip_prefix("bytes ")
            .and_then(|range| range.split_once('-'));
        let start = start.and_then(|(start, _)| start.parse::<u64>().ok());
        let gap = start.and_then(|start| self.at.checked_sub(start));
        gap.ok_or_else(|| Error::Request {
            asked: asked("GET", &self.url),
            reason: format!("asked for bytes from {}, it gives {range:?}", self.at),
        })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let piece = match &mut self.body {
                Some(body) => body.next().await,
                None => match self.connect().await {
                    Ok(()) => continue,
                    Err(error) => {
                        self.pause(error).await?;
                        continue;
                    }
                },
            };
            match piece {
                Some(Ok(mut bytes)) => {
                    let skipped = self.skip.min(bytes.len() as u64);
                    self.skip -= skipped;
                    let _ = bytes.split_to(usize::try_from(skipped).expect("it is in memory"));
                    if bytes.is_empty() {
                        continue;
                    }
                    self.at += bytes.len() as u64;
                    self.breaks = 0;
                    return Ok(Some(bytes));
                }
                // The end, or a length that another check refuses.
                None if self.at >= self.size => return Ok(None),
                None => self.broke("it ended early".into()).await?,
                Some(Err(error)) => self.broke(outbound::chain(&error)).await?,
            }
        }
    }

    async fn broke(&mut self, reason: String) -> Result<(), Error> {
        self.body = None;
        let asked = asked("GET", &self.url);
        self.pause(Error::Request { asked, reason }).await
    }

    /// Waits before the next try, unless there were enough.
    async fn pause(&mut self, error: Error) -> Result<(), Error> {
        self.breaks += 1;
        if self.breaks > BREAKS || !error.may_pass() {
            return Err(error);
        }
        tracing::debug!(reason = error.line(), at = self.at, "a download goes on");
        tokio::time::sleep(PAUSE * (1 << (self.breaks - 1))).await;
        Ok(())
    }
}
