//! Blobs, sent: begun by POST, sent whole by PATCH, ended by PUT.
//!
//! The end comes for itself, so that a stream whose bytes turn out to be wrong makes no blob.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Method, StatusCode, header};
use reqwest::{Body, Response, Url};
use wharf_storage::oci::{Descriptor, RepositoryName};

use super::super::Error;
use super::super::ends::BlobStream;
use super::client::{Ask, Remote, asked, sent, success};
use super::login::Right;

/// For how long no byte of a body may be taken, and how long the answer behind it may take.
const SILENCE: Duration = Duration::from_secs(120);
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Sends a blob.
pub(super) async fn blob(
    remote: &Remote,
    repository: &RepositoryName,
    blob: &Descriptor,
    bytes: BlobStream,
) -> Result<(), Error> {
    let right = Right::Push(repository.clone());
    let begin = Ask::new(
        Method::POST,
        remote.url(&format!("/v2/{repository}/blobs/uploads/")),
        right.clone(),
    );
    let answer = remote.succeed(&begin).await?;
    let upload = location(remote, &begin.url, &answer)?;

    let patched = send(remote, &upload, &right, blob.size, bytes).await;
    let upload = match patched {
        Ok(next) => next,
        Err(error) => {
            // So that nothing of it stays there; it would be ended some time anyhow.
            let cancel = Ask::new(Method::DELETE, upload, right);
            let _ = remote.send(&cancel).await;
            return Err(error);
        }
    };
    let mut url = upload;
    url.query_pairs_mut()
        .append_pair("digest", blob.digest.as_str());
    let end = Ask::new(Method::PUT, url, right);
    remote.succeed(&end).await?;
    Ok(())
}

/// Sends the bytes, and gives the address to go on at.
async fn send(
    remote: &Remote,
    upload: &Url,
    right: &Right,
    size: u64,
    bytes: BlobStream,
) -> Result<Url, Error> {
    // Why the stream broke, which the client of HTTP would tell of as a text at best.
    let broken: Arc<Mutex<Option<Error>>> = Arc::default();
    let taken = Arc::new(AtomicU64::new(0));
    let (why, count) = (Arc::clone(&broken), Arc::clone(&taken));
    let body = bytes.map(move |piece| {
        count.fetch_add(1, Ordering::Relaxed);
        piece.map_err(|error| {
            *why.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            std::io::Error::other("the source broke off")
        })
    });
    let mut request = remote
        .writing()
        .patch(upload.clone())
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::CONTENT_LENGTH, size);
    if let Some(shown) = remote.known(right) {
        request = request.header(header::AUTHORIZATION, shown);
    }
    let request = match size {
        0 => request.body(Bytes::new()),
        _ => request.body(Body::wrap_stream(body)),
    };
    let answer = watched(&taken, upload, request.send()).await;
    if let Some(error) = broken.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(error);
    }
    let answer = success("PATCH", upload, answer?).await?;
    location(remote, upload, &answer)
}

/// Waits for an answer as long as bytes are taken.
async fn watched(
    taken: &AtomicU64,
    url: &Url,
    answer: impl Future<Output = Result<Response, reqwest::Error>>,
) -> Result<Response, Error> {
    let mut answer = std::pin::pin!(answer);
    let (mut seen, mut since) = (0, tokio::time::Instant::now());
    loop {
        match tokio::time::timeout(LOOK, &mut answer).await {
            Ok(outcome) => return sent("PATCH", url, outcome),
            Err(_) => {
                let now = taken.load(Ordering::Relaxed);
                if now != seen {
                    (seen, since) = (now, tokio::time::Instant::now());
                } else if since.elapsed() >= SILENCE {
                    return Err(Error::Request {
                        asked: asked("PATCH", url),
                        reason: "it takes no more bytes".into(),
                    });
                }
            }
        }
    }
}

/// Where an upload goes on. What is shown to a registry goes to no other host.
fn location(remote: &Remote, url: &Url, answer: &Response) -> Result<Url, Error> {
    let failed = |reason: String| Error::Request {
        asked: asked("POST", url),
        reason,
    };
    if answer.status() != StatusCode::ACCEPTED && answer.status() != StatusCode::NO_CONTENT {
        return Err(failed(format!("it answers {}, not 202", answer.status())));
    }
    let location = answer.headers().get(header::LOCATION);
    let location = location.and_then(|location| location.to_str().ok());
    let location =
        location.ok_or_else(|| failed("it does not say where the upload goes".into()))?;
    remote
        .own(url, location)
        .ok_or_else(|| failed("the upload would go to another host".into()))
}
