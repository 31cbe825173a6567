//! The requests that object_store has no call for: a body that comes from a file, and the list of
//! open multiparts.
//!
//! They go to the addresses that object_store makes, with its credentials and its signature, and
//! are tried again as its own are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use object_store::aws::{AmazonS3, AwsAuthorizer};
use object_store::client::{HttpRequest, HttpRequestBody};
use object_store::path::Path;
use object_store::signer::Signer as _;
use url::Url;
use uuid::Uuid;

use super::error::{Answer, failed, unavailable};
use super::gather::Gathered;
use crate::blob::Error;

/// The pauses between tries: twice as long each time, and a random part of that.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// The slowest that a body may go out.
const LEAST_BYTES_PER_SECOND: u64 = 256 << 10;

/// How much of an answer that is no success is read.
const ANSWER_BYTES: usize = 600;

/// SHA-256 of nothing.
const EMPTY: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// A client of the store for these requests.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) s3: AmazonS3,
    pub(super) client: reqwest::Client,
    pub(super) region: String,
    pub(super) timeout: Duration,
    pub(super) retry_for: Duration,
}

/// A request to be made, maybe several times.
struct Request<'a> {
    method: Method,
    path: &'a Path,
    query: &'a [(&'a str, &'a str)],
    body: Option<&'a Arc<Gathered>>,
    action: &'static str,
}

impl Requests {
    /// Writes an object.
    pub(super) async fn put(&self, path: &Path, body: &Arc<Gathered>) -> Result<(), Error> {
        let request = Request {
            method: Method::PUT,
            path,
            query: &[],
            body: Some(body),
            action: "write",
        };
        self.make(&request).await?;
        Ok(())
    }

    /// Writes a part, whose number begins at 1, and gives its entity tag.
    pub(super) async fn put_part(
        &self,
        path: &Path,
        multipart: &str,
        number: usize,
        body: &Arc<Gathered>,
    ) -> Result<String, Error> {
        let number = number.to_string();
        let request = Request {
            method: Method::PUT,
            path,
            query: &[("partNumber", &number), ("uploadId", multipart)],
            body: Some(body),
            action: "write a part of",
        };
        let (headers, _) = self.make(&request).await?;
        let tag = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok());
        tag.map(str::to_owned).ok_or_else(|| {
            let what = "the answer has no entity tag";
            unavailable("write a part of", path.as_ref(), what)
        })
    }

    /// Asks the bucket itself.
    pub(super) async fn ask_bucket(&self, query: &[(&str, &str)]) -> Result<Bytes, Error> {
        let request = Request {
            method: Method::GET,
            path: &Path::ROOT,
            query,
            body: None,
            action: "list the multiparts of",
        };
        let (_, body) = self.make(&request).await?;
        Ok(body)
    }

    /// Makes a request until it is answered for good or the time for retries is over.
    async fn make(&self, request: &Request<'_>) -> Result<(HeaderMap, Bytes), Error> {
        let hash = match request.body {
            Some(body) => body.hash().await?,
            None => EMPTY,
        };
        self.patiently(|| self.try_once(request, &hash)).await
    }

    /// Asks until there is an answer for good or the time for retries is over. For what can be
    /// done twice: object_store tries again itself, but not when an answer breaks off.
    pub(super) async fn patiently<T, F>(&self, mut ask: impl FnMut() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match ask().await {
                Err(error) if error.is_temporary() => error,
                outcome => return outcome,
            };
            if begun.elapsed() + pause > self.retry_for {
                return Err(error);
            }
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the store is asked again"
            );
            tokio::time::sleep(pause / 2 + (pause / 2).mul_f64(chance())).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn try_once(
        &self,
        request: &Request<'_>,
        hash: &[u8; 32],
    ) -> Result<(HeaderMap, Bytes), Error> {
        let (action, name) = (request.action, request.path.as_ref());
        let url = self.address(request).await?;
        let headers = self.sign(request, &url, hash).await?;
        let length = request.body.map_or(0, |body| body.length());
        let limit = self.timeout + Duration::from_secs(length / LEAST_BYTES_PER_SECOND);
        let mut sending = self
            .client
            .request(request.method.clone(), url)
            .headers(headers)
            .timeout(limit);
        if let Some(body) = request.body {
            sending = sending
                .header(header::CONTENT_LENGTH, length)
                .body(reqwest::Body::wrap_stream(body.stream()));
        }
        let lost = |error: reqwest::Error| unavailable(action, name, error.without_url());
        let answer = sending.send().await.map_err(lost)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.map_err(lost)?;
        if status == StatusCode::OK {
            return Ok((headers, body));
        }
        let text = String::from_utf8_lossy(&body[..body.len().min(ANSWER_BYTES)]).into_owned();
        Err(Answer { status, text }.into_error(action, name.to_owned()))
    }

    async fn address(&self, request: &Request<'_>) -> Result<Url, Error> {
        // Of the signed address only the place is used: the signature goes to the header, where
        // it can cover the body.
        let signed = self
            .s3
            .signed_url(request.method.clone(), request.path, self.timeout)
            .await;
        let mut url = signed.map_err(|error| failed(request.action, request.path, error))?;
        url.set_query(None);
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(request.query);
        }
        Ok(url)
    }

    async fn sign(
        &self,
        request: &Request<'_>,
        url: &Url,
        hash: &[u8; 32],
    ) -> Result<HeaderMap, Error> {
        let failed = |error| failed(request.action, request.path, error);
        let credential = self
            .s3
            .credentials()
            .get_credential()
            .await
            .map_err(failed)?;
        let mut signed = HttpRequest::new(HttpRequestBody::empty());
        *signed.method_mut() = request.method.clone();
        *signed.uri_mut() = url.as_str().parse().expect("an address is a URI");
        if request.body.is_some() && request.query.is_empty() {
            let kind = HeaderValue::from_static(super::CONTENT_TYPE);
            signed.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        AwsAuthorizer::new(&credential, "s3", &self.region)
            .try_authorize(&mut signed, Some(hash))
            .map_err(failed)?;
        Ok(std::mem::take(signed.headers_mut()))
    }
}

/// Between 0 and 1.
fn chance() -> f64 {
    // The low bits of a new name are random.
    f64::from(Uuid::now_v7().as_u128() as u32) / f64::from(u32::MAX)
}
