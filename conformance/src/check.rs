//! What a check is, and what it can come to.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use serde_json::Value;

use crate::client::{Answer, Ask, Client, Error};
use crate::content::{self, MANIFESTS, digest};

/// How a check ends that doesn't pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The registry does something else than the specification says.
    Failed(String),
    /// The registry does without what the specification leaves open.
    Skipped(String),
}

/// What a check gives.
pub(crate) type Outcome = Result<(), Ended>;

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Ends a check that found a fault.
pub(crate) fn fail<T>(reason: impl Into<String>) -> Result<T, Ended> {
    Err(Ended::Failed(reason.into()))
}

/// Ends a check that can't be made.
pub(crate) fn skip<T>(reason: impl Into<String>) -> Result<T, Ended> {
    Err(Ended::Skipped(reason.into()))
}

type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A question to a registry.
pub(crate) struct Check {
    /// The endpoints that it is about.
    pub(crate) family: &'static str,
    /// What must be so.
    pub(crate) name: &'static str,
    /// Asks.
    pub(crate) run: fn(Context) -> Running,
}

/// Lists the checks of a family: `name => function`.
macro_rules! checks {
    ($family:literal, $($name:literal => $function:path),* $(,)?) => {
        /// The checks of this family.
        pub(crate) const CHECKS: &[$crate::check::Check] = &[$(
            $crate::check::Check {
                family: $family,
                name: $name,
                run: |context| Box::pin($function(context)),
            }
        ),*];
    };
}

pub(crate) use checks;

/// What a check works with: a client, and a repository that nobody else uses.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) repository: String,
}

impl Context {
    /// A context with a repository of its own.
    pub(crate) fn new(client: &Client, prefix: &str) -> Self {
        let repository = format!("{prefix}/{:016x}", content::random());
        Self {
            client: client.clone(),
            repository,
        }
    }

    /// The same with another repository of its own.
    pub(crate) fn another(&self) -> Self {
        let repository = format!("{}-{:08x}", self.repository, content::random() >> 32);
        Self {
            client: self.client.clone(),
            repository,
        }
    }

    /// The path of an endpoint of the repository.
    pub(crate) fn path(&self, endpoint: &str) -> String {
        format!("/v2/{}/{endpoint}", self.repository)
    }

    /// A request to an endpoint of the repository.
    pub(crate) fn ask(&self, method: Method, endpoint: &str) -> Ask {
        Ask::new(method, self.path(endpoint))
    }

    /// Sends a request.
    pub(crate) async fn send(&self, ask: Ask) -> Result<Answer, Ended> {
        Ok(self.client.send(ask).await?)
    }

    /// GETs an endpoint of the repository, and takes any kind of manifest.
    pub(crate) async fn get(&self, endpoint: &str) -> Result<Answer, Ended> {
        let ask = self.ask(Method::GET, endpoint);
        self.send(ask.header(header::ACCEPT, MANIFESTS)).await
    }

    /// HEADs an endpoint of the repository, and takes any kind of manifest.
    pub(crate) async fn head(&self, endpoint: &str) -> Result<Answer, Ended> {
        let ask = self.ask(Method::HEAD, endpoint);
        self.send(ask.header(header::ACCEPT, MANIFESTS)).await
    }

    /// DELETEs an endpoint of the repository.
    pub(crate) async fn delete(&self, endpoint: &str) -> Result<Answer, Ended> {
        self.send(self.ask(Method::DELETE, endpoint)).await
    }

    /// Begins an upload, and gives its location.
    pub(crate) async fn begin(&self, query: &str) -> Result<String, Ended> {
        let answer = self
            .send(self.ask(Method::POST, &format!("blobs/uploads/{query}")))
            .await?;
        answer.is(&[202])?.location()
    }

    /// Pushes a blob by POST and PUT, and gives its digest.
    pub(crate) async fn push_blob(&self, bytes: &Bytes) -> Result<String, Ended> {
        let digest = digest(bytes);
        self.push_blob_as(bytes, &digest).await?;
        Ok(digest)
    }

    /// Pushes a blob by POST and PUT under a digest.
    pub(crate) async fn push_blob_as(&self, bytes: &Bytes, digest: &str) -> Result<(), Ended> {
        let location = self.begin("").await?;
        let ask = Ask::new(Method::PUT, with_digest(&location, digest)).body(bytes.clone());
        self.send(ask).await?.is(&[201])?;
        Ok(())
    }

    /// PUTs a manifest under a reference.
    pub(crate) async fn put_manifest(
        &self,
        reference: &str,
        manifest: &Value,
    ) -> Result<Answer, Ended> {
        let media_type = manifest["mediaType"]
            .as_str()
            .unwrap_or(content::OCI_IMAGE)
            .to_owned();
        self.put_manifest_bytes(reference, &media_type, manifest.to_string())
            .await
    }

    /// PUTs bytes as a manifest under a reference.
    pub(crate) async fn put_manifest_bytes(
        &self,
        reference: &str,
        media_type: &str,
        bytes: impl Into<Bytes>,
    ) -> Result<Answer, Ended> {
        let ask = self.ask(Method::PUT, &format!("manifests/{reference}"));
        self.send(ask.header(header::CONTENT_TYPE, media_type).body(bytes))
            .await
    }

    /// Pushes an image with a config and a layer of its own under a tag, and gives its manifest.
    pub(crate) async fn push_image(&self, tag: &str) -> Result<Value, Ended> {
        let (config, layer) = (content::random_bytes(100), content::random_bytes(1000));
        self.push_blob(&config).await?;
        self.push_blob(&layer).await?;
        let manifest = content::image(&config, &[&layer]);
        self.put_manifest(tag, &manifest).await?.is(&[201])?;
        Ok(manifest)
    }
}

/// The location with a digest in its query, which may have parameters already.
pub(crate) fn with_digest(location: &str, digest: &str) -> String {
    let separator = if location.contains('?') { '&' } else { '?' };
    format!("{location}{separator}digest={digest}")
}

impl Answer {
    /// The answer, when it has one of these statuses.
    pub(crate) fn is(self, statuses: &[u16]) -> Result<Self, Ended> {
        if statuses.contains(&self.status.as_u16()) {
            return Ok(self);
        }
        let wanted: Vec<String> = statuses.iter().map(ToString::to_string).collect();
        fail(format!("{self} came, not {}", wanted.join(" or ")))
    }

    /// The answer, when it is an error of the specification's form with one of these codes.
    pub(crate) fn refused(self, statuses: &[u16], codes: &[&str]) -> Result<Self, Ended> {
        let answer = self.is(statuses)?;
        let code = answer.json()["errors"][0]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if codes.is_empty() && !code.is_empty() || codes.contains(&code.as_str()) {
            return Ok(answer);
        }
        fail(format!(
            "{answer} has the code {code:?}, not {}",
            codes.join(" or ")
        ))
    }

    /// The answer, when a header has a value.
    pub(crate) fn has(self, name: &str, value: &str) -> Result<Self, Ended> {
        match self.header(name) {
            Some(found) if found == value => Ok(self),
            found => fail(format!("{self} has {name}: {found:?}, not {value:?}")),
        }
    }

    /// The answer, when its body is these bytes.
    pub(crate) fn has_body(self, bytes: &[u8]) -> Result<Self, Ended> {
        if self.body == bytes {
            return Ok(self);
        }
        fail(format!("{self} has another body than was pushed"))
    }

    /// The answer's location.
    pub(crate) fn location(&self) -> Result<String, Ended> {
        match self.header("location") {
            Some(location) => Ok(location.to_owned()),
            None => fail(format!("{self} has no Location")),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.asked, self.status.as_u16())?;
        let code = self.json()["errors"][0]["code"]
            .as_str()
            .map(ToOwned::to_owned);
        match code {
            Some(code) if self.status != StatusCode::OK => write!(formatter, " ({code})"),
            _ => Ok(()),
        }
    }
}
